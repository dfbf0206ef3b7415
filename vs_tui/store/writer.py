"""The one writer: a queue of deliveries, drained into group commits on one connection.

    submit() -> line -> one BEGIN IMMEDIATE .. COMMIT for all that waits -> each is told its outcome

An outcome is told only after COMMIT returned under synchronous=FULL; that is what 2xx means.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from vs_tui.log.append_queue import Tell, Unavailable, Waiting, WaitingLine
from vs_tui.log.delivery import Intake, Outcome, Rejection
from vs_tui.model.limits import LOW_SPACE, Retention
from vs_tui.model.teams import Teams
from vs_tui.model.time import HOUR, MINUTE, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Rule, Verdict
from vs_tui.store import batch, retention, upkeep
from vs_tui.store.health import Condition
from vs_tui.store.lock import DatabaseLock
from vs_tui.store.retention import Pruned
from vs_tui.store.schema import StoreError, open_checked, open_writer
from vs_tui.store.span_folding import Change, Context
from vs_tui.store.storage_errors import explain, free_bytes, is_storage, sizes
from vs_tui.store.team_reassignment import adopt_teams, is_empty
from vs_tui.store.thread import connect, run_on
from vs_tui.store.upkeep import Rejections, time_out

log = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Sequence[Change]], None]
Adopt = Callable[[sqlite3.Connection, batch.Folding], bool]
"""One small transaction's work; whether there is more. What is done is kept with the database."""
SWEEP_SECONDS: Final = 1.0
STAND_BACK_SECONDS: Final = 0.01
"""The longest that the event loop leaves the interpreter to a batch being folded."""
DAMAGED_SECONDS: Final = 10.0
"""Between two looks at a damaged file; each reads all of it."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the writer folds with, and what it keeps."""

    teams: Teams = field(default_factory=Teams)
    timeouts: Mapping[str, Duration] = field(default_factory=dict)
    disabled_rules: frozenset[Rule] = frozenset()
    after_fold: Sequence[batch.Hook] = ()
    after_rebuild: Sequence[Callable[[sqlite3.Connection], None]] = ()
    adopt: Sequence[Adopt] = ()
    """What a changed configuration asks of the stored spans, once they have their teams."""
    make: Sequence[Adopt] = ()
    """What is made of the stored spans while no delivery waits, each minute."""
    retention: Retention = field(default_factory=Retention)
    low_space: int = LOW_SPACE
    """Bytes that stay free on the disk, so that pruning is possible."""
    free_bytes: Callable[[Path], int] = free_bytes


class Writer:
    """Owns the database for writing; everything else reads it through read-only connections."""

    def __init__(
        self, path: Path, clock: Callable[[], Instant], settings: Settings | None = None
    ) -> None:
        self.path = path
        self._clock = clock
        settings = settings or Settings()
        self._settings = settings
        self._folding = batch.Folding(
            Context(now=clock(), seq=0, teams=settings.teams, timeouts=settings.timeouts),
            disabled_rules=settings.disabled_rules,
            after_fold=settings.after_fold,
            after_rebuild=settings.after_rebuild,
        )
        self._line = WaitingLine(f"{path}: the disk is too slow; send it again")
        self._rejections = Rejections()
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = DatabaseLock(path)
        self._condition = Condition(
            path, settings.low_space, settings.free_bytes, lambda: self._notify(())
        )
        self._timed_out_at = self._retain_at = self._make_at = 0
        self._to_adopt = [adopt_teams, *settings.adopt]

    async def open(self) -> None:
        """Lock and open the database and start committing. StoreError says what to do."""
        self._lock.take()
        try:
            self._db = await connect(lambda: open_writer(self.path, used=self._lock.held_data))
        except BaseException:
            self._lock.release()
            raise
        try:
            self._condition.opened()
            await self.run(self._folding.bodies.load)
            if await self._transaction(lambda db, _: is_empty(db)):
                await self.adopt()
            self._lock.opened()
        except BaseException as error:
            await self._db.close()
            self._lock.release()
            if isinstance(error, sqlite3.Error):
                raise StoreError(explain(error, self.path)) from error
            raise
        self._condition.check_space()
        self._tasks = [
            asyncio.create_task(self._commit_forever(), name="commit"),
            asyncio.create_task(self._sweep_forever(), name="sweep"),
        ]

    async def close(self) -> None:
        """Commit what waits, checkpoint, and give the database back."""
        if not self._tasks:
            return
        await self._line.empty()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        try:
            if self._condition.check_file():
                await self._rejections.store(self._transaction, self._clock())
                await self.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        except (sqlite3.Error, ValueError) as error:
            log.warning("the last checkpoint failed (%s); the next start will do it", error)
        try:
            await self._db.close()
        except sqlite3.Error as error:
            log.warning("the database was not closed cleanly (%s); the next start mends it", error)
        self._lock.release()

    @property
    def trouble(self) -> str:
        """What is wrong with the store, for banners and /readyz; `` when it commits."""
        return self._condition.trouble

    @property
    def alive(self) -> bool:
        """Whether the tasks that commit still run, for the watchdog of a service manager."""
        return bool(self._tasks) and not any(task.done() for task in self._tasks)

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the changed spans after every commit, on the event loop; the
        result unsubscribes."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their commit."""
        return len(self._line)

    async def submit(self, intake: Intake) -> Outcome:
        """Store one delivery; returns after its commit. Unavailable when that is impossible, or
        when it takes so long that the sender would hang up: then it may still be committed, and
        the sender's retry counts as a repeat."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        def tell(result: Outcome | Unavailable) -> None:
            if future.done():
                return  # whoever waited has gone
            if isinstance(result, Unavailable):
                future.set_exception(result)
            else:
                future.set_result(result)

        self.put(intake, tell)
        return await future

    def put(self, intake: Intake, tell: Tell) -> None:
        """As `submit`, for who does not wait: `tell` is called with the outcome or with why there
        is none. Unavailable when nothing can be stored now."""
        if self.trouble:
            raise Unavailable(self.trouble)
        self._line.put(intake, tell)

    def reject(self, rejection: Rejection) -> None:
        """Note a refused request; stored within a second, bounded in memory until then."""
        self._rejections.add(rejection)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the writer's connection, outside a transaction (checkpoint, backup)."""
        return await run_on(self._db, work)

    async def transaction(self, work: Callable[[sqlite3.Connection, batch.Folding], T]) -> T:
        """Run a function in one transaction and tell the listeners that something changed."""
        result = await self._transaction(work)
        self._notify(())
        return result

    async def _transaction(self, work: Callable[[sqlite3.Connection, batch.Folding], T]) -> T:
        return await self.run(
            lambda db: batch.in_transaction(db, self._folding, self._clock(), work)
        )

    def _notify(self, changes: Sequence[Change]) -> None:
        for listener in list(self._listeners):
            try:
                listener(changes)
            except Exception:
                log.exception("a listener of the change feed failed; the receiver goes on")

    async def _commit_forever(self) -> None:
        while True:
            waiting = await self._line.take()
            try:
                await self._commit(waiting)
            except Exception as error:
                log.exception("a commit failed; its senders are told to come again")
                self._give_up(waiting, explain(error, self.path) or type(error).__name__)
            finally:
                self._line.done()

    async def _commit(self, waiting: Sequence[Waiting]) -> None:
        if not self._condition.check_file():
            self._give_up(waiting, self.trouble)
            return
        intakes = [entry.intake for entry in waiting]
        try:
            ingested = await self._ingest(intakes)
        except Exception as error:
            if is_storage(error):
                self._condition.fail(error)
                self._give_up(waiting, self.trouble)
                return
            log.exception("a delivery could not be folded; each is tried alone")
            await self._one_by_one(waiting)
            return
        self._settle(waiting, ingested)

    async def _ingest(self, intakes: Sequence[Intake]) -> batch.Ingested:
        """Fold and commit. The event loop stands back while the writer's thread folds: both need
        the interpreter, which would go to and fro between them at every statement, and that costs
        each delivery more than the wait. It goes on during the commit, which is the disk's."""
        folded = threading.Event()

        def work(db: sqlite3.Connection, folding: batch.Folding) -> batch.Ingested:
            try:
                return batch.ingest(db, intakes, folding)
            finally:
                folded.set()

        committing = asyncio.create_task(self._transaction(work))
        await asyncio.sleep(0)  # it is on its way to the thread
        folded.wait(STAND_BACK_SECONDS)
        return await committing

    def _settle(self, waiting: Sequence[Waiting], ingested: batch.Ingested) -> None:
        if not self._condition.check_file():
            # Committed, but into a file that is no longer at the path: not to be acknowledged.
            self._give_up(waiting, self.trouble)
            return
        for entry, outcome in zip(waiting, ingested.outcomes, strict=True):
            entry.tell(outcome)
        self._notify(ingested.changes)

    async def _one_by_one(self, waiting: Sequence[Waiting]) -> None:
        """After a bug in folding: only the delivery that trips it is quarantined."""
        for position, entry in enumerate(waiting):
            try:
                ingested = await self._alone(entry.intake)
            except Exception as error:
                if is_storage(error):
                    self._condition.fail(error)
                    self._give_up(waiting[position:], self.trouble)
                    return
                log.exception("a delivery of %s could not be stored", entry.intake.source)
                self._give_up([entry], "the delivery could not be stored; see the receiver's log")
                continue
            self._settle([entry], ingested)

    async def _alone(self, intake: Intake) -> batch.Ingested:
        try:
            return await self._transaction(lambda db, f: batch.ingest(db, [intake], f))
        except Exception as error:
            if is_storage(error):
                raise
            log.error("delivery of %s quarantined: %s", intake.source, type(error).__name__)
            reason = f"folding failed ({type(error).__name__}); `vs-tui db rebuild` tries again"
        kept = intake._replace(verdict=Verdict.QUARANTINED, reason=reason, events=())
        return await self._transaction(lambda db, f: batch.ingest(db, [kept], f))

    def _give_up(self, waiting: Sequence[Waiting], why: str) -> None:
        for entry in waiting:
            entry.tell(Unavailable(why))

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(DAMAGED_SECONDS if self._condition.damaged else SWEEP_SECONDS)
            try:
                await self.sweep()
            except Exception as error:
                if is_storage(error) or isinstance(error, StoreError):
                    self._condition.fail(error)
                else:
                    log.exception("the sweep failed; it is tried again in a second")

    async def sweep(self) -> None:
        """Once a second: whether the file is still the one that was opened, whether a store that
        failed commits again, free space, a WAL that readers keep large, spans past their timeout,
        refused requests, retention."""
        if not self._condition.check_file():
            return
        if self._condition.failed:
            await self._try_again()
        self._condition.check_space()
        if sizes(self.path)[1] > retention.LARGE_WAL:
            await self.run(retention.empty_wal)
        if await self._rejections.store(self._transaction, self._clock()):
            self._notify(())
        now = self._clock()
        if not 0 <= now - self._timed_out_at < 10 * SECOND:
            # All that is in flight is looked at: a backlog of tickets costs too much each second.
            self._timed_out_at = now
            timeouts = dict(self._settings.timeouts)
            due = await self.run(lambda db: batch.due_timeouts(db, timeouts, now))
            if due:
                self._notify(await self._transaction(lambda db, f: time_out(db, f, due)))
        await self.adopt()
        if now >= self._make_at and await upkeep.make(
            self._transaction, self._settings.make, lambda: bool(self.waiting)
        ):
            self._make_at = now + MINUTE
        if self._settings.retention and now >= self._retain_at:
            self._retain_at = now + HOUR
            await upkeep.retain(self.run, self._transaction, self._settings.retention, now)
            self._notify(())

    async def adopt(self) -> None:
        """Apply a changed configuration to what is stored; deliveries are stored in between."""
        while self._to_adopt:
            try:
                while await self._transaction(self._to_adopt[0]):
                    pass
            except Exception as error:
                if is_storage(error):
                    raise
                log.exception("not all is grouped as configured; the next start tries again")
            self._to_adopt.pop(0)
            self._notify(())

    async def _try_again(self) -> None:
        """Commit something small, on a new connection where the old one may be stale."""
        if self._condition.reopen:
            await self._db.close()
            self._db = await connect(lambda: open_checked(self.path))
            self._condition.opened()
        await self._transaction(lambda db, _: batch.next_seq(db))
        self._condition.recover()

    async def prune(self, before: Instant) -> Pruned:
        """Delete what is over and older; deliveries are stored meanwhile."""
        pruned = await upkeep.prune(self.run, self._transaction, before)
        self._notify(())
        return pruned
