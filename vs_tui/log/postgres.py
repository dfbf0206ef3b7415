"""The delivery log in PostgreSQL: any number of receivers append, and every node follows.

Entries are ordered by (transaction id, id) and read only below the oldest running transaction. A
transaction that commits late therefore sorts after the entries that were read, never before them,
and every node sees the same order.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from secrets import token_hex
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from vs_tui.log import postgres_sql as sql
from vs_tui.log.address import DEFAULT_SCHEMA, LogAddress
from vs_tui.log.delivery import flagged_id, with_body
from vs_tui.log.postgres_connection import (
    FIRST_PAUSE,
    RETRIED,
    LogConnection,
    LogServer,
    connection_options,
)
from vs_tui.log.postgres_sql import (
    BEGINNING,
    COLUMNS,
    REPEAT,
    AppendedEntry,
    Entry,
    LogAway,
    LogState,
    Position,
    prepare,
)
from vs_tui.log.sqlite_log import BODY_DEDUPE_WINDOW
from vs_tui.model.time import Duration, Instant

__all__ = ["BEGINNING", "REPEAT", "AppendedEntry", "Entry", "LogAway", "Position", "PostgresLog"]

LONG_SECONDS: Final = 3600.0
"""Longest time for a command that a person started."""
READ_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 32 * 1024 * 1024
DEADLOCK_TRIES: Final = 5
"""The server ends one of two deadlocked appends after a second; senders wait eight."""
CLAIMED_SECONDS: Final = 60.0
"""Longer than sending a message takes."""
Values = Mapping[str, Any] | Sequence[Any] | None


class PostgresLog:
    """One node's connections to the log. Calls raise LogAway while the server is away. Each call
    tries to connect again, but not before the pause between two tries is over."""

    def __init__(
        self,
        address: LogAddress,
        schema: str = DEFAULT_SCHEMA,
        *,
        pause: float = FIRST_PAUSE,
    ) -> None:
        self.address = address
        self.schema = schema
        self.channel = f"{schema}_log"
        server = LogServer(address, self._connect, pause)
        self._writing = LogConnection(server)
        self._reading = LogConnection(server)
        self._listening = LogConnection(server, listen=self.channel)
        self._listened: AsyncConnection[Any] | None = None
        self._node = token_hex(8)
        self._prepared = False
        self._preparing = asyncio.Lock()

    async def open(self) -> None:
        """Connect, and create or upgrade the tables. LogAway says what to do."""
        async with self._reading.use():
            pass

    async def close(self) -> None:
        for connection in (self._writing, self._reading, self._listening):
            await connection.close()

    async def append(self, entries: Sequence[Entry]) -> list[AppendedEntry]:
        """Commit entries; returns the result of each, in order. The `id` of the given entries is
        ignored.

        A delivery that is already stored is not stored again; the repeat is counted.
        """
        for _ in range(DEADLOCK_TRIES - 1):
            with suppress(*RETRIED):
                return await self._append(entries)
        return await self._append(entries)

    async def read(self, after: Position, limit: int = READ_AT_ONCE) -> list[Entry]:
        """The next entries; empty while all of them are newer than the oldest running
        transaction."""
        values = [after.xid, after.id, limit, BYTES_AT_ONCE]
        return [Entry._make(row) for row in await self._asked(sql.READ, values, binary=True)]

    async def state(self, position: Position, prune: int) -> LogState:
        """Whether a follower at `position` that knows deletion `prune` can go on."""
        values = {"xid": position.xid, "id": position.id, "prune": prune}
        (row,) = await self._asked(sql.STATE, values)
        return LogState(*row)

    async def head(self) -> Position:
        """The position of the last committed entry, which may not be readable yet."""
        found = await self._asked(sql.HEAD)
        return Position(*found[0]) if found else BEGINNING

    async def wait(self, seconds: float) -> None:
        """Wait until an entry is committed, at most `seconds`. Who begins to listen does not wait:
        what was committed just before is told to nobody."""
        async with self._listening.use() as connection:
            if connection is not self._listened:
                self._listened = connection
                return
            async for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    async def summary(self) -> str:
        """Server version, entries and size as text, and the number of entries that wait for a
        transaction."""
        ((version, entries, size, held_back),) = await self._asked(sql.SUMMARY)
        text = f"PostgreSQL {version}, about {max(int(entries), 0)} entries, {size}"
        return f"{text}; {held_back} entries wait for a transaction to end" if held_back else text

    async def copy(self, entries: Sequence[Entry], generations: Sequence[int]) -> bool:
        """Store entries under their own ids, unless they are there already. Returns False if
        another delivery has one of the ids."""
        values = {**_arrays(entries), "generation": list(generations)}
        async with self._writing.use() as connection:
            await self._rows(connection, sql.COPY, values)
            ((same,),) = await self._rows(connection, sql.SAME, values)
            await self._rows(connection, sql.SET_NEXT_ID)
        return bool(same == len(entries))

    async def claim(self, name: str, now: Instant, every: Duration) -> bool:
        """Whether this node may do `name` now; only one node may, at most once in `every`."""
        return bool(await self._asked(sql.CLAIM, {"name": name, "now": now, "every": every}))

    async def claim_notices(self, hashes: Sequence[int]) -> tuple[set[int], set[int]]:
        """(notices that this node may send within the next CLAIMED_SECONDS, notices that a node has
        sent). A node that dies before it has noted what it sent leaves its claims to the others:
        they may send those notices once more, and none is lost."""
        values = {"ids": list(hashes), "node": self._node, "seconds": CLAIMED_SECONDS}
        claimed = await self._asked(sql.CLAIM_NOTICES, values)
        sent = await self._asked(sql.SENT_NOTICES, {"ids": list(hashes)})
        return {number for (number,) in claimed}, {number for (number,) in sent}

    async def settle_notices(self, hashes: Sequence[int], *, sent: bool) -> None:
        """End this node's claims: the notices were sent, or any node may try now."""
        values = {"ids": list(hashes), "node": self._node, "sent": sent}
        await self._asked(sql.SETTLE_NOTICES, values)

    async def old(
        self, before: Instant, upto: Position, after: int, limit: int = 2_000
    ) -> list[tuple[int, int]]:
        """(id, original) of the next entries up to a position that were received before an
        instant."""
        values = {"before": before, "after": after, "xid": upto.xid, "id": upto.id, "limit": limit}
        return [(number, original) for number, original, _ in await self._asked(sql.OLD, values)]

    async def delete(self, ids: Sequence[int], now: Instant) -> None:
        """Delete entries and record the position that the deletion reached."""
        async with self._writing.use() as connection:
            await self._rows(connection, sql.DELETE, {"ids": list(ids), "now": now})

    async def rewrite(self, change: Callable[[Entry], Entry]) -> int:
        """Change entries in one transaction; afterwards every node reads all entries again. Returns
        the number of changed entries. `change` returns an entry unchanged if there is nothing to
        do."""
        changed, last = 0, 0
        page = f"SELECT {COLUMNS} FROM {{schema}}.deliveries WHERE id > %s ORDER BY id LIMIT 100"
        async with self._writing.use(LONG_SECONDS) as connection, connection.transaction():
            while rows := await self._rows(connection, page, [last], binary=True):
                last = rows[-1][0]
                for before in (Entry(*row) for row in rows):
                    after = change(before)
                    if after != before:
                        changed += 1
                        values = {**after._asdict(), "sha256": sha256(after.body).digest()}
                        await self._rows(connection, sql.REWRITE, values)
            if changed:
                begin_again = "UPDATE {schema}.meta SET value = %s WHERE name = 'epoch'"
                await self._rows(connection, begin_again, [token_hex(8)])
                await self._rows(connection, "SELECT pg_notify(%s, '')", [self.channel])
        return changed

    async def _asked(
        self, text: str, values: Values = None, *, binary: bool = False
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement on the reading connection."""
        async with self._reading.use() as connection:
            return await self._rows(connection, text, values, binary=binary)

    async def _rows(
        self,
        connection: AsyncConnection[Any],
        text: str,
        values: Values = None,
        *,
        binary: bool = False,
    ) -> list[tuple[Any, ...]]:
        """The rows of one statement; empty if it returns none."""
        named = text.replace("{schema}", self.schema)
        cursor = await connection.execute(named, values, binary=binary)
        return await cursor.fetchall() if cursor.description else []

    async def _append(self, entries: Sequence[Entry]) -> list[AppendedEntry]:
        receipts: dict[int, AppendedEntry] = {}
        repeats: list[Entry] = []
        waiting = [(n, each._replace(dedupe=_text(each.dedupe))) for n, each in enumerate(entries)]
        async with self._writing.use() as connection:
            while waiting:
                # First insert one entry of each name; later ones with another body wait.
                first: dict[tuple[str, str], Entry] = {}
                for _, entry in waiting:
                    first.setdefault((entry.source, entry.dedupe), entry)
                found = await self._insert(connection, first)
                later: list[tuple[int, Entry]] = []
                for place, entry in waiting:
                    name = entry.source, entry.dedupe
                    stored = found[name]
                    if first.get(name) is entry and not stored.repeated:
                        receipts[place] = stored
                    elif name in first and _is_same(entry, stored):
                        repeats.append(_repeat_of(entry, stored.id))
                        receipts[place] = stored._replace(repeated=True)
                    else:
                        later.append((place, _again(entry, stored)))
                        if entry.dedupe.startswith("run:"):
                            first.pop(name, None)
                waiting = later
            if repeats:
                values = {**_arrays(repeats), "channel": self.channel}
                await self._rows(connection, sql.REPEATS, values)
        return [receipts[place] for place in range(len(entries))]

    async def _insert(
        self, connection: AsyncConnection[Any], entries: Mapping[tuple[str, str], Entry]
    ) -> dict[tuple[str, str], AppendedEntry]:
        """Insert one entry of each name, unless it is there. Returns what is stored of each."""
        values = {
            **_arrays([*entries.values()]),
            "window": BODY_DEDUPE_WINDOW,
            "channel": self.channel,
        }
        found = {}
        for number, source, dedupe, _ in await self._rows(connection, sql.APPEND, values):
            entry = entries[source, dedupe]
            found[source, dedupe] = AppendedEntry(
                number, False, entry.keys, entry.sha256, entry.reason
            )
        if missing := [name for name in entries if name not in found]:
            sources, dedupes = zip(*missing, strict=True)
            names = {"sources": list(sources), "dedupes": list(dedupes)}
            for source, dedupe, *stored in await self._rows(connection, sql.STORED, names):
                number, keys, digest = stored
                found[source, dedupe] = AppendedEntry(number, True, keys, bytes(digest))
        return found

    async def _connect(self, listen: str) -> AsyncConnection[Any]:
        """A new connection. Before the first one the tables are created or upgraded."""
        async with self._preparing:
            if not self._prepared:
                await asyncio.to_thread(self._prepare)
                self._prepared = True
        connection = await AsyncConnection.connect(
            self.address.url, autocommit=True, **connection_options(self.address)
        )
        try:
            if listen:
                await connection.execute(f"LISTEN {listen}")
        except BaseException:
            await connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        with psycopg.connect(
            self.address.url, autocommit=True, **connection_options(self.address)
        ) as connection:
            prepare(connection, self.schema)


def _is_same(entry: Entry, stored: AppendedEntry) -> bool:
    """Whether an entry repeats the stored delivery of the same name."""
    return not entry.dedupe.startswith(("id:", "run:")) or entry.sha256 == stored.sha256


def _again(entry: Entry, stored: AppendedEntry) -> Entry:
    """The entry with a name that includes its body, because its id was used with another body."""
    if not entry.dedupe.startswith("id:"):
        return entry
    reason = flagged_id(entry.reason, stored.id)
    return entry._replace(dedupe=with_body(entry.dedupe, entry.sha256), reason=reason)


def _repeat_of(entry: Entry, original: int) -> Entry:
    """An entry that counts a repeat; it needs no body."""
    return entry._replace(
        headers="{}", body=b"", sha256=b"", verdict=REPEAT, reason="", keys="[]", original=original
    )


def _text(text: str) -> str:
    """Replace NUL by its symbol, because PostgreSQL's text cannot hold NUL."""
    return text.replace("\0", "\u2400") if "\0" in text else text


def _arrays(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """One array for each column, as parameters of one statement."""
    columns: dict[str, list[Any]] = {
        name: list(column)
        for name, column in zip(Entry._fields, zip(*entries, strict=True), strict=True)
    }
    for name in ("source", "kind", "path", "headers", "dedupe", "verdict", "reason", "keys"):
        columns[name] = [_text(text) for text in columns[name]]
    return columns
