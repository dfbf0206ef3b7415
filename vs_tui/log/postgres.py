"""The delivery log in PostgreSQL: any number of receivers append, every node follows.

Entries are ordered by (transaction id, id) and read only below the oldest transaction that still
runs. A transaction that commits late therefore has its place after what was read, never before it,
and every node sees the same order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import psycopg
from psycopg import AsyncConnection

from vs_tui.log.address import LogAddress
from vs_tui.log.postgres_schema import DEFAULT_SCHEMA, LogSchemaError, prepare
from vs_tui.model.errors import Explained
from vs_tui.model.time import DAY, Duration

log = logging.getLogger(__name__)

APPLICATION: Final = "vs-tui"
CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 6.0
"""Longest wait for one statement; a sender is answered within eight seconds."""
READ_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 32 * 1024 * 1024
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
DEADLOCK_TRIES: Final = 3
REPEAT: Final = "duplicate"
"""Verdict of an entry that only counts a repeat of an earlier delivery."""
_RETRIED: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)


class Position(NamedTuple):
    """A place in the log: everything up to and including it was read."""

    xid: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        xid, _, number = text.partition("-")
        return cls(int(xid), int(number))


class Entry(NamedTuple):
    """A row of the log."""

    id: int
    source: str
    kind: str
    path: str
    headers: str
    """JSON"""
    body: bytes
    sha256: bytes
    received_at: int
    dedupe: str
    verdict: str
    reason: str
    status: int
    duplicates: int
    adapter: int
    keys: str
    """JSON"""
    original: int = 0
    """The delivery that this one repeats; 0: none."""


_COLUMNS: Final = ", ".join(Entry._fields)


class Appended(NamedTuple):
    """What became of one entry."""

    id: int
    """Its own, or that of the delivery that it repeats."""
    repeated: bool
    keys: str
    """JSON; of the delivery that is stored."""


@dataclass(frozen=True, slots=True)
class State:
    """What a follower compares with its own notes, to see whether it can go on."""

    epoch: str
    prune: int
    """Number of the newest deletion."""
    complete: bool
    """Whether nothing was deleted or lost that the follower has not read."""


class LogAway(Explained):
    """The log cannot be reached, or refuses to commit; the message says why, without secrets."""


class PostgresLog:
    """One node's connections to the log. Calls raise LogAway while the server is away; each call
    tries to connect again, at most as often as the pause between tries allows."""

    def __init__(
        self,
        address: LogAddress,
        schema: str = DEFAULT_SCHEMA,
        *,
        window: Duration = DAY,
        pause: float = FIRST_PAUSE,
    ) -> None:
        """`window`: how long a body without a sender's id counts as a repeat."""
        self.address = address
        self.schema = schema
        self.window = window
        self.channel = f"{schema}_log"
        self._first_pause = pause
        self._writing = _Session(self)
        self._reading = _Session(self)
        self._listening = _Session(self, listen=self.channel)
        self._prepared = False
        self._preparing = asyncio.Lock()

    async def open(self) -> None:
        """Connect, create or upgrade the tables. LogAway says what to do."""
        async with self._reading.use():
            pass

    async def close(self) -> None:
        for session in (self._writing, self._reading, self._listening):
            await session.close()

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """Commit entries; returns what became of each, in order. `id` of what is given is ignored.

        A delivery that is stored already is not stored again; the repeat is counted.
        """
        for tries in range(DEADLOCK_TRIES):
            try:
                async with self._writing.use() as connection:
                    return await self._append(connection, entries)
            except _RETRIED:
                if tries == DEADLOCK_TRIES - 1:
                    raise
        raise AssertionError  # unreachable: the last try returns or raises

    async def read(
        self, after: Position, limit: int = READ_AT_ONCE
    ) -> tuple[list[Entry], Position]:
        """The next entries and the position behind them; none while all that follows is newer than
        a transaction that still runs."""
        async with self._reading.use() as connection:
            cursor = await connection.execute(
                self._sql(_READ), [after.xid, after.id, limit, BYTES_AT_ONCE], binary=True
            )
            rows = await cursor.fetchall()
        if not rows:
            return [], after
        return [Entry._make(row[1:]) for row in rows], Position(int(rows[-1][0]), rows[-1][1])

    async def state(self, position: Position, prune: int) -> State:
        """Whether a follower that stands at `position` and knows deletion `prune` can go on."""
        async with self._reading.use() as connection:
            cursor = await connection.execute(
                self._sql(_STATE),
                {"xid": position.xid, "id": position.id, "prune": prune},
            )
            row = await cursor.fetchone()
        assert row is not None
        return State(*row)

    async def head(self) -> Position:
        """The last committed entry, which may not be readable yet."""
        async with self._reading.use() as connection:
            cursor = await connection.execute(self._sql(_HEAD))
            row = await cursor.fetchone()
        return Position(int(row[0]), row[1]) if row else Position()

    async def wait(self, seconds: float) -> None:
        """Returns when something was committed, or after `seconds`."""
        async with self._listening.use() as connection:
            async for _ in connection.notifies(timeout=seconds, stop_after=1):
                pass

    def _sql(self, text: str) -> str:
        return text.replace("{schema}", self.schema)

    async def _append(
        self, connection: AsyncConnection[Any], entries: Sequence[Entry]
    ) -> list[Appended]:
        first: dict[tuple[str, str], Entry] = {}
        for entry in entries:
            first.setdefault((entry.source, entry.dedupe), entry)
        found = await self._insert(connection, list(first.values()))
        if missing := [name for name in first if name not in found]:
            for name, number, keys in await self._stored(connection, missing):
                found[name] = Appended(number, True, keys)
        repeats: list[Entry] = []
        outcomes: list[Appended] = []
        for entry in entries:
            name = entry.source, entry.dedupe
            appended = found[name]
            if appended.repeated or first[name] is not entry:
                repeats.append(_repeat_of(entry, appended.id))
                appended = appended._replace(repeated=True)
            outcomes.append(appended)
        if repeats:
            await self._insert_repeats(connection, repeats)
        return outcomes

    async def _insert(
        self, connection: AsyncConnection[Any], entries: Sequence[Entry]
    ) -> dict[tuple[str, str], Appended]:
        values = {**_arrays(entries), "window": self.window, "channel": self.channel}
        cursor = await connection.execute(self._sql(_APPEND), values)
        return {
            (source, dedupe): Appended(number, False, keys)
            for number, source, dedupe, keys, _ in await cursor.fetchall()
        }

    async def _stored(
        self, connection: AsyncConnection[Any], names: Sequence[tuple[str, str]]
    ) -> list[tuple[tuple[str, str], int, str]]:
        sources, dedupes = zip(*names, strict=True)
        cursor = await connection.execute(
            self._sql(_STORED),
            {"sources": list(sources), "dedupes": [_text(name) for name in dedupes]},
        )
        rows = {(source, dedupe): (number, keys) async for source, dedupe, number, keys in cursor}
        return [(name, *rows[name[0], _text(name[1])]) for name in names]

    async def _insert_repeats(
        self, connection: AsyncConnection[Any], repeats: Sequence[Entry]
    ) -> None:
        values = {**_arrays(repeats), "channel": self.channel}
        await connection.execute(self._sql(_REPEATS), values)

    async def connect(self, listen: str) -> AsyncConnection[Any]:
        """A new connection; the tables are looked after before the first one is used."""
        async with self._preparing:
            if not self._prepared:
                await asyncio.to_thread(self._prepare)
                self._prepared = True
        connection = await AsyncConnection.connect(
            self.address.url, autocommit=True, **connection_options(self.address)
        )
        if listen:
            await connection.execute(f"LISTEN {listen}")
        return connection

    def _prepare(self) -> None:
        with psycopg.connect(
            self.address.url, autocommit=True, **connection_options(self.address)
        ) as connection:
            prepare(connection, self.schema)


class _Session:
    """One connection that is made again after an error, with growing pauses between the tries."""

    def __init__(self, owner: PostgresLog, listen: str = "") -> None:
        self._owner = owner
        self._listen = listen
        self._connection: AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self._why = ""

    @contextlib.asynccontextmanager
    async def use(self) -> AsyncIterator[AsyncConnection[Any]]:
        """The connection, for one caller at a time. LogAway when there is none."""
        async with self._lock:
            connection = await self._open()
            try:
                async with asyncio.timeout(2 * STATEMENT_SECONDS):
                    yield connection
            except _RETRIED:
                raise
            except (psycopg.Error, OSError, TimeoutError) as error:
                await self.close()
                raise self._away(error) from None
            except BaseException:
                await self.close()  # a cancelled statement leaves a connection in the middle
                raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                await connection.close()

    async def _open(self) -> AsyncConnection[Any]:
        if self._connection is not None and not self._connection.broken:
            return self._connection
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            raise LogAway(self._why)
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                self._connection = await self._owner.connect(self._listen)
        except (psycopg.Error, OSError, TimeoutError, LogSchemaError) as error:
            self._pause = min(max(2 * self._pause, self._owner._first_pause), LONGEST_PAUSE)
            self._not_before = asyncio.get_running_loop().time() + self._pause
            raise self._away(error) from None
        self._pause = self._not_before = 0.0
        return self._connection

    def _away(self, error: BaseException) -> LogAway:
        self._why = f"{self._owner.address.shown}: {reason(error, self._owner.address)}"
        return LogAway(self._why)


def connection_options(address: LogAddress) -> Mapping[str, Any]:
    """Settings that the URL does not make itself: a dead server is noticed in seconds, and a node
    that dies in a transaction does not hold the log back."""
    seconds = int(STATEMENT_SECONDS * 1000)
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": APPLICATION,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": seconds,
        "options": f"-c statement_timeout={seconds} -c idle_in_transaction_session_timeout=10000",
    }
    return {name: value for name, value in options.items() if f"{name}=" not in address.url}


def reason(error: BaseException, address: LogAddress) -> str:
    """Why the log cannot be used, and what to do, in one line and without the password."""
    if isinstance(error, TimeoutError | psycopg.errors.QueryCanceled):
        return "the server does not answer in time; check it and the network, it goes on by itself"
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # It quotes what it cannot read, which may be the password.
        return "the URL cannot be read; write postgresql://USER@HOST/DATABASE"
    words = " ".join(address.redact(str(error)).split())[:300] or type(error).__name__
    if isinstance(error, LogSchemaError):
        return words
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"{words}; grant this role the schema, or let its owner start vs-tui once"
    return f"{words}; it goes on by itself once the server answers"


def _repeat_of(entry: Entry, original: int) -> Entry:
    """The entry that counts a repeat; it needs no body."""
    return entry._replace(
        headers="{}", body=b"", sha256=b"", verdict=REPEAT, reason="", keys="[]", original=original
    )


def _text(text: str) -> str:
    """PostgreSQL's text cannot hold NUL; its picture stands for it."""
    return text.replace("\0", "\u2400") if "\0" in text else text


def _arrays(entries: Sequence[Entry]) -> dict[str, list[Any]]:
    """A column each, as parameters of one statement."""
    columns: dict[str, list[Any]] = {
        name: list(column)
        for name, column in zip(Entry._fields, zip(*entries, strict=True), strict=True)
    }
    for name in ("source", "kind", "path", "headers", "dedupe", "verdict", "reason", "keys"):
        columns[name] = [_text(text) for text in columns[name]]
    return columns


_UNNEST: Final = (
    "unnest(%(source)s::text[], %(kind)s::text[], %(path)s::text[], %(headers)s::text[], "
    "%(body)b::bytea[], %(sha256)b::bytea[], %(received_at)s::bigint[], %(dedupe)s::text[], "
    "%(verdict)s::text[], %(reason)s::text[], %(status)s::int[], %(duplicates)s::int[], "
    "%(adapter)s::int[], %(keys)s::text[], %(original)s::bigint[]) WITH ORDINALITY AS i (source, "
    "kind, path, headers, body, sha256, received_at, dedupe, verdict, reason, status, duplicates, "
    "adapter, keys, original, place)"
)
_FIELDS: Final = _COLUMNS.removeprefix("id, ")
_VALUES: Final = ", ".join(f"i.{name}" for name in Entry._fields[1:])
# The unique index decides: a name that another transaction inserts right now is waited for, and
# then is a repeat. A body without an id becomes a new delivery once the window has passed.
_APPEND: Final = f"""
WITH inserted AS (
    INSERT INTO {{schema}}.deliveries ({_FIELDS}, generation)
    SELECT {_VALUES}, COALESCE(
        l.generation + CASE WHEN i.dedupe LIKE 'sha:%%'
            AND abs(i.received_at - l.received_at) > %(window)s THEN 1 ELSE 0 END, 0)
    FROM {_UNNEST}
    LEFT JOIN LATERAL (
        SELECT d.generation, d.received_at FROM {{schema}}.deliveries d
        WHERE d.source = i.source AND d.dedupe = i.dedupe AND d.original = 0
        ORDER BY d.generation DESC LIMIT 1
    ) l ON true
    ORDER BY i.place
    ON CONFLICT (source, dedupe, generation) WHERE original = 0 DO NOTHING
    RETURNING id, source, dedupe, keys
)
SELECT id, source, dedupe, keys, (SELECT pg_notify(%(channel)s, '')) FROM inserted
"""
_REPEATS: Final = f"""
WITH inserted AS (
    INSERT INTO {{schema}}.deliveries ({_FIELDS}, generation)
    SELECT {_VALUES}, 0 FROM {_UNNEST} ORDER BY i.place RETURNING 1
)
SELECT pg_notify(%(channel)s, '') WHERE EXISTS (SELECT 1 FROM inserted)
"""
_STORED: Final = """
SELECT DISTINCT ON (d.source, d.dedupe) d.source, d.dedupe, d.id, d.keys
FROM unnest(%(sources)s::text[], %(dedupes)s::text[]) AS n (source, dedupe)
JOIN {schema}.deliveries d
    ON d.source = n.source AND d.dedupe = n.dedupe AND d.original = 0
ORDER BY d.source, d.dedupe, d.generation DESC
"""
_READ: Final = f"""
SELECT xid::text::bigint, {_COLUMNS} FROM (
    SELECT *, SUM(octet_length(body)) OVER (ORDER BY xid, id) - octet_length(body) AS before
    FROM (
        SELECT xid, {_COLUMNS} FROM {{schema}}.deliveries
        WHERE (xid, id) > (%s::text::xid8, %s::bigint)
            AND xid < pg_snapshot_xmin(pg_current_snapshot())
        ORDER BY xid, id LIMIT %s::int
    ) page
) sized WHERE before < %s::bigint ORDER BY xid, id
"""
# Nothing is missing when no later deletion reached beyond the position, and the entry at the
# position is still there or was deleted: a log that was restored from a backup has lost it.
_STATE: Final = """
SELECT (SELECT value FROM {schema}.meta WHERE name = 'epoch'),
    COALESCE((SELECT MAX(generation) FROM {schema}.prunes), 0),
    NOT EXISTS (
        SELECT 1 FROM {schema}.prunes p WHERE p.generation > %(prune)s
        AND (p.xid, p.id) > (%(xid)s::text::xid8, %(id)s::bigint)
    ) AND (
        %(id)s::bigint = 0
        OR EXISTS (
            SELECT 1 FROM {schema}.deliveries d WHERE d.xid = %(xid)s::text::xid8 AND d.id = %(id)s
        ) OR EXISTS (
            SELECT 1 FROM {schema}.prunes p
            WHERE (p.xid, p.id) >= (%(xid)s::text::xid8, %(id)s::bigint)
        )
    )
"""
_HEAD: Final = """
SELECT xid::text::bigint, id FROM {schema}.deliveries ORDER BY xid DESC, id DESC LIMIT 1
"""
