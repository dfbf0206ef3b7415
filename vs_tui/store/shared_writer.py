"""The writer of a node whose deliveries go to a shared log.

    submit() -> queue -> one commit to PostgreSQL -> answer to each sender
    follow: the log's entries in order -> own deliveries, with the position in the log -> projector

A 2xx means that PostgreSQL committed. The SQLite file is a cache: deleting it loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic
from typing import Final

import orjson

from vs_tui.log.append_queue import Waiting
from vs_tui.log.delivery import Intake, Outcome
from vs_tui.log.postgres import Appended, Entry, LogAway, Position, PostgresLog
from vs_tui.model.limits import READ_WAIT_SECONDS
from vs_tui.model.time import MINUTE, Instant, iso
from vs_tui.model.vocabulary import Verdict
from vs_tui.store import shared_cache
from vs_tui.store.folding import transaction
from vs_tui.store.maintenance import forgetting
from vs_tui.store.maintenance.retention import Pruned
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.shared_cache import Place
from vs_tui.store.storage_errors import is_storage
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)

WAKE_SECONDS: Final = 2.0
"""Pause between two reads of the log without a notification; some connection poolers send none."""
PAUSE_SECONDS: Final = 0.25
LONGEST_PAUSE: Final = 5.0
REMEMBERED: Final = 5_000
"""Most own deliveries whose parsed events are kept until they are read back from the log."""
REMEMBERED_BYTE_SIZE: Final = 256 * 1024
"""Events of larger bodies are not kept but parsed again."""


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
        self._place = Place()
        self._moved = asyncio.Event()
        self._away = ""
        self._away_since: Instant = 0
        self._own: OrderedDict[int, Intake] = OrderedDict()

    async def open(self) -> None:
        """Open the cache and start to follow the log. If the log is away, the cached data is
        shown."""
        await super().open()
        self._place = await self._run(shared_cache.place)
        self._tasks.append(asyncio.create_task(self._follow_forever(), name="follow"))

    def _check(self, db: sqlite3.Connection) -> None:
        shared_cache.check(db, str(self.path), self._shared.address.shown)

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

    async def _append(self, waiting: Sequence[Waiting]) -> None:
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
            if not stored.repeated and len(entry.intake.body) <= REMEMBERED_BYTE_SIZE:
                self._own[stored.id] = entry.intake
            entry.tell(_outcome(entry.intake, stored))
        while len(self._own) > REMEMBERED:
            self._own.popitem(last=False)

    async def _admitted(self, waiting: Sequence[Waiting]) -> Sequence[Waiting]:
        """Refuse deliveries that require a span that does not exist; returns the others."""
        if not any(entry.intake.requires for entry in waiting):
            return waiting
        admitted: list[Waiting] = []
        for entry in waiting:
            wanted = entry.intake.requires
            if (
                not wanted
                or any(
                    wanted in (event.key, event.ref)
                    for before in admitted
                    for event in before.intake.events
                )
                or await self._run(lambda db, name=wanted: transaction.exists(db, name))  # type: ignore[misc]
            ):
                admitted.append(entry)
            else:
                reason = f"there is no {wanted}; create it first"
                entry.tell(Outcome(0, Verdict.REJECTED, reason))
        return admitted

    async def _follow_forever(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            try:
                if not await self._follow_some():
                    await self._shared.wait(WAKE_SECONDS)
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
            await self._start_over(Place(state.epoch, Position(), state.prune))
            return True
        if not entries:
            self._place = Place(state.epoch, place.position, state.prune)
            return False
        reached = Place(state.epoch, entries[-1].position, state.prune)
        await self._store(entries, reached)
        return True

    async def _store(self, entries: Sequence[Entry], reached: Place) -> None:
        numbers = await self._transaction(
            lambda db, folding: shared_cache.store(db, folding, entries, reached), synced=False
        )
        self._reached(reached, numbers)

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
            spent = await self._run(lambda db, ids=deliveries: shared_cache.missing(db, ids))  # type: ignore[misc]
            if spent or repeats:
                await self._shared.delete([*spent, *repeats], self._clock())

    async def _may_decide(self, now: Instant) -> bool:
        """Whether this node decides about retention now; one node decides for all."""
        try:
            return not self._away and await self._shared.claim("retained_at", now, MINUTE)
        except LogAway as error:
            self._note_away(error)
            return False

    def _reached(self, reached: Place, numbers: Sequence[tuple[int, int]]) -> None:
        self._place = reached
        for own, log_id in numbers:
            intake = self._own.pop(log_id, None)
            if intake is None:
                self._fold_loop.stored(own)
            else:
                self._fold_loop.appended([(own, intake)])
        self._fold_loop.appended(())  # repeats were counted
        self._moved.set()

    async def _start_over(self, reached: Place) -> None:
        """Build the cache again from the first entry of the log."""
        if self._place.epoch:
            log.warning(
                "%s is made again: entries that it had not read, or had, were deleted or changed "
                "in the log meanwhile",
                self.path,
            )
        await self._transaction(lambda db, folding: shared_cache.start_over(db, folding, reached))
        if self._place.epoch:
            # Deleted data may name a person who must be forgotten.
            await self._run(forgetting.wipe)
        self._own.clear()
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
    return Entry(
        id=0,
        source=intake.source,
        kind=intake.kind,
        path=intake.path,
        headers=orjson.dumps(dict(intake.headers)).decode(),
        body=intake.body,
        sha256=intake.digest,
        received_at=intake.received_at,
        dedupe=intake.dedupe,
        verdict=intake.verdict.value,
        reason=intake.reason,
        status=intake.status,
        duplicates=0,
        adapter=intake.adapter,
        keys=orjson.dumps(list(dict.fromkeys(event.key for event in intake.events))).decode(),
    )


def _outcome(intake: Intake, stored: Appended) -> Outcome:
    refs = {event.key: event.ref or event.key for event in intake.events}
    keys = orjson.loads(stored.keys) if stored.repeated else list(refs)
    shown = [refs.get(key, key) for key in keys]
    if stored.repeated:
        reason = f"the same as delivery {stored.id}"
        return Outcome(stored.id, Verdict.DUPLICATE, reason, keys, shown)
    return Outcome(stored.id, intake.verdict, stored.reason, keys, shown)
