"""The writer of a node whose deliveries go to a shared log.

    submit() -> queue -> one commit to PostgreSQL -> answer to each sender
    follow: the log's entries in order -> own deliveries, with the position in the log -> projector

A 2xx means that PostgreSQL committed. The SQLite file is a cache: deleting it loses nothing. One
transaction stores entries and the position in the log, so that each entry is stored once, whenever
the node dies.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Final

import orjson

from vs_tui.log import sqlite_position
from vs_tui.log.append_queue import Queued
from vs_tui.log.delivery import (
    Intake,
    Receipt,
    flagged,
    makes,
    receipt_of_repeat,
    receipt_without,
)
from vs_tui.log.postgres import (
    BEGINNING,
    REPEAT,
    AppendedEntry,
    Entry,
    LogAway,
    Position,
    PostgresLog,
)
from vs_tui.model.limits import READ_WAIT_SECONDS
from vs_tui.model.time import MINUTE, Instant, iso
from vs_tui.store.folding import transaction
from vs_tui.store.maintenance import forgetting
from vs_tui.store.maintenance.copy_log import insert_entries
from vs_tui.store.maintenance.retention import Pruned
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.schema import StoreError
from vs_tui.store.storage_errors import is_storage
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)

WAKE_SECONDS: Final = 2.0
"""Pause between two reads of the log without a notification; some connection poolers send none."""
HELD_SECONDS: Final = 0.1
"""The same while a running transaction, perhaps of another database, holds entries back."""
PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE: Final = 5.0
_KEPT_TABLES: Final = ("meta", "exported_spans", "notified", "counted_facts", "counted_totals")
"""Tables about the node itself, so that it does not send or count anything again. Refused requests
and waiting notices are deleted, because they may name a person who is forgotten."""


@dataclass(frozen=True, slots=True)
class LogPlace:
    """The position of a node in the log."""

    epoch: str = ""
    position: Position = BEGINNING
    prune: int = 0
    """Number of the newest deletion that the node knows."""


class SharedWriter(Writer):
    """Appends to the shared log, and copies it into the cache."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], Instant],
        settings: WriterSettings | None,
        shared: PostgresLog,
    ) -> None:
        super().__init__(path, clock, settings)
        self._shared = shared
        self._place = LogPlace()
        self._moved = asyncio.Event()
        self._away = ""
        self._away_since: Instant = 0

    async def open(self) -> None:
        """Open the cache and start to follow the log. If the log is away, the cached data is
        shown."""
        await super().open()
        self._tasks.append(asyncio.create_task(self._follow_forever(), name="follow"))

    def _opened(self, db: sqlite3.Connection) -> None:
        super()._opened(db)
        self._place = place_of(db)

    def _check(self, db: sqlite3.Connection) -> None:
        check(db, str(self.path), self._shared.address.shown)

    async def close(self) -> None:
        await super().close()
        await self._shared.close()

    @property
    def trouble(self) -> str:
        """The problem of the cache or the log; empty if deliveries are stored."""
        return super().trouble or self._away

    async def caught_up(self, seconds: float = READ_WAIT_SECONDS) -> bool:
        """Wait until everything that any node has committed by now is folded here. Returns False
        after `seconds`, or at once while the log is away."""
        if self._away or not self._tasks:
            return False
        deadline = monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                head = await self._shared.head()
                while self._place.position < head:
                    self._moved.clear()
                    await self._moved.wait()
        except (LogAway, TimeoutError):
            return False
        return await super().caught_up(max(deadline - monotonic(), 0.01))

    async def claim_notices(self, hashes: Sequence[int]) -> tuple[set[int], set[int]]:
        """(notices that this node may send now, notices that a node has sent). LogAway if nobody
        can tell."""
        return await self._shared.claim_notices(hashes)

    async def settle_notices(self, hashes: Sequence[int], *, sent: bool) -> None:
        """End the claims: no node sends these notices again, or any node may try now."""
        await self._shared.settle_notices(hashes, sent=sent)

    async def _append(self, waiting: Sequence[Queued]) -> None:
        """Commit deliveries to the shared log and answer their senders."""
        waiting = await self._admitted(waiting)
        if not waiting:
            return
        try:
            appended = await self._shared.append([entry_of(entry.intake) for entry in waiting])
        except LogAway as error:
            self._note_away(error)
            self._give_up(waiting, self.trouble)
            return
        for entry, stored in zip(waiting, appended, strict=True):
            entry.tell(_receipt(entry.intake, stored))

    async def _admitted(self, waiting: Sequence[Queued]) -> Sequence[Queued]:
        """Refuse deliveries that require a span that does not exist; returns the others."""
        admitted: list[Queued] = []
        for entry in waiting:
            wanted = entry.intake.requires
            if (
                not wanted
                or makes((before.intake for before in admitted), wanted)
                or await self._run(partial(transaction.exists, name=wanted))
            ):
                admitted.append(entry)
            else:
                entry.tell(receipt_without(entry.intake))
        return admitted

    async def _follow_forever(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                if not await self._follow_some():
                    # Nothing is notified when a transaction ends that holds entries back.
                    is_held_back = await self._shared.head() > self._place.position
                    await self._shared.wait(HELD_SECONDS if is_held_back else WAKE_SECONDS)
                pause = PAUSE_SECONDS
            except LogAway as error:
                self._note_away(error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                if is_storage(error):
                    self._condition.fail(error)
                else:
                    log.exception("the log could not be followed; it is tried again")
                await asyncio.sleep(LONGEST_PAUSE)

    async def _follow_some(self) -> bool:
        """Store the next entries of the log. Returns whether there were any."""
        place = self._place
        entries = await self._shared.read(place.position)
        # After the read, so that all earlier deletions are visible.
        state = await self._shared.state(place.position, place.prune)
        self._note_back()
        if state.epoch != place.epoch or not state.complete:
            await self._start_over(LogPlace(state.epoch, Position(), state.prune))
            return True
        if self._place != place:
            return True  # the cache was opened again meanwhile
        if not entries:
            self._place = LogPlace(state.epoch, place.position, state.prune)
            return False
        reached = LogPlace(state.epoch, entries[-1].position, state.prune)
        await self._store(entries, place, reached)
        return True

    async def _store(self, entries: Sequence[Entry], place: LogPlace, reached: LogPlace) -> None:
        """Store the entries after `place`, unless the cache is at another one since they were read:
        a cache that is opened again may have lost its last transactions."""
        head = await self._transaction(
            lambda db, folding: (
                store(db, folding, entries, reached) if self._place == place else None
            ),
            synced=False,
        )
        if head is None:
            return
        self._place = reached
        self._fold_loop.stored(head)
        self._moved.set()

    async def _prune(self, before: Instant) -> Pruned:
        pruned = await super()._prune(before)
        await self._delete_spent(max(before, pruned.latest + 1))
        return pruned

    async def _delete_spent(self, before: Instant) -> None:
        """Delete from the log the entries that this node has read and deleted. Every node may do
        this, so a node that dies leaves its part to the next one."""
        upto, after = self._place.position, 0
        while found := await self._shared.old(before, upto, after):
            after = found[-1][0]
            repeats = [number for number, original in found if original]
            deliveries = [number for number, original in found if not original]
            spent = await self._run(partial(missing, log_ids=deliveries, upto=upto))
            if spent or repeats:
                await self._shared.delete([*spent, *repeats], self._clock())

    async def _may_decide(self, now: Instant) -> bool:
        """Whether this node decides about retention now; one node decides for all."""
        try:
            return not self._away and await self._shared.claim("retained_at", now, MINUTE)
        except LogAway as error:
            self._note_away(error)
            return False

    async def _start_over(self, reached: LogPlace) -> None:
        """Build the cache again from the first entry of the log."""
        if self._place.epoch:
            log.warning(
                "%s is made again: entries that it had not read, or had, were deleted or changed "
                "in the log meanwhile",
                self.path,
            )
        await self._transaction(lambda db, folding: start_over(db, folding, reached))
        if self._place.epoch:
            # Deleted data may name a person who must be forgotten.
            await self._run(forgetting.wipe)
        self._place = reached
        await self._look_anew()

    def _note_away(self, error: LogAway) -> None:
        if not self._away:
            self._away_since = self._clock()
            log.error("%s", error)
        before, self._away = self._away, f"{error} (away since {iso(self._away_since)})"
        if before != self._away:
            self._notify(())

    def _note_back(self) -> None:
        if self._away:
            self._away = ""
            log.warning("%s answers again", self._shared.address)
            self._notify(())


def entry_of(intake: Intake) -> Entry:
    """The log entry of a delivery."""
    return Entry(0, *intake.columns(intake.digest, intake.reason, intake.refs))


def _receipt(intake: Intake, stored: AppendedEntry) -> Receipt:
    if stored.repeated:
        return receipt_of_repeat(intake, stored.id, orjson.loads(stored.keys))
    return Receipt(stored.id, intake.verdict, stored.reason, [*intake.refs.values()])


def check(db: sqlite3.Connection, name: str, log: str) -> None:
    """StoreError if the file holds deliveries that are in no shared log."""
    marked = db.execute("SELECT 1 FROM meta WHERE name = 'log_cache'").fetchone()
    if not marked and db.execute("SELECT 1 FROM deliveries LIMIT 1").fetchone():
        raise StoreError(
            f"{name} holds deliveries of its own, and the log {log} does not: move them with "
            f"`vs-tui db copy-log {name} {log}`, then choose another file with --db"
        )
    db.execute("REPLACE INTO meta VALUES ('log_cache', ?)", (log,))


def place_of(db: sqlite3.Connection) -> LogPlace:
    rows = db.execute("SELECT name, value FROM meta WHERE name LIKE 'log\\_%' ESCAPE '\\'")
    found = {name: str(value) for name, value in rows}
    return LogPlace(
        found.get("log_epoch", ""),
        Position.parse(found.get("log_position", "0-0")),
        int(found.get("log_prune", 0)),
    )


def set_place(db: sqlite3.Connection, reached: LogPlace) -> None:
    db.executemany(
        "REPLACE INTO meta VALUES (?, ?)",
        [
            ("log_epoch", reached.epoch),
            ("log_position", str(reached.position)),
            ("log_prune", reached.prune),
        ],
    )


def start_over(db: sqlite3.Connection, folding: transaction.Folding, reached: LogPlace) -> None:
    """Delete everything that was read; the caller commits, and then reads from the beginning.

    Ids continue from the current ones, so that the projector's position stays below the new ones.
    """
    sqlite_position.set_position(db, sqlite_position.head(db))
    db.execute("DELETE FROM meta WHERE name IN ('teams', 'teams_from')")
    for (table,) in db.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
    ).fetchall():
        if table not in _KEPT_TABLES:
            db.execute(f"DELETE FROM {table}")
    folding.cache.clear()
    folding.bodies.clear()
    sqlite_position.set_generation(db, transaction.next_seq(db))
    set_place(db, reached)


def store(
    db: sqlite3.Connection,
    folding: transaction.Folding,
    entries: Sequence[Entry],
    reached: LogPlace,
) -> int:
    """Store entries as deliveries, in order. Returns the own id of the last one."""
    last = sqlite_position.head(db)
    stored: list[tuple[int, int, Entry]] = []
    for entry in entries:
        is_new = entry.verdict != REPEAT
        last += is_new
        earlier = folding.bodies.first(entry.path, entry.sha256, entry.id) if is_new else 0
        told = entry._replace(reason=flagged(entry.reason, earlier)) if earlier else entry
        stored.append((last, entry.id, told))
    insert_entries(db, stored, by="log_id")
    set_place(db, reached)
    return last


def missing(db: sqlite3.Connection, log_ids: Sequence[int], upto: Position) -> list[int]:
    """The entries that this node has no delivery of. None if it has read less than `upto`: then it
    has begun again from the start, perhaps a moment ago."""
    if place_of(db).position < upto:
        return []
    listed = orjson.dumps(list(log_ids)).decode()
    sql = (
        "SELECT value FROM json_each(?) WHERE value NOT IN "
        "(SELECT log_id FROM deliveries WHERE log_id IS NOT NULL AND log_id IN "
        "(SELECT value FROM json_each(?)))"
    )
    return [number for (number,) in db.execute(sql, (listed, listed))]
