"""The one writer: deliveries are appended to the log, and a projector folds them afterwards.

    submit() -> queue -> one commit to the log for all that wait -> answer to each sender
    projector: from the stored position -> fold, link, judge -> commit with the new position

A sender gets its answer only after the log's COMMIT returned under synchronous=FULL; that is what
2xx means. Both kinds of transactions run on one connection, one at a time, appends first.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from vs_tui.log import sqlite_log, sqlite_position
from vs_tui.log.append_queue import AppendQueue, Queued, Tell, Unavailable
from vs_tui.log.delivery import Intake, Receipt, Rejection
from vs_tui.model.limits import READ_WAIT_SECONDS
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.folding.projector import FoldLoop
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.transaction import Folding, exists, in_transaction, next_seq
from vs_tui.store.lock import DatabaseLock, refuse_neighbour
from vs_tui.store.maintenance.sweeper import SWEEP_SECONDS, Sweeper, WriterSettings, is_empty
from vs_tui.store.schema import StoreError, connect, open_checked, open_writer, run_on
from vs_tui.store.storage_errors import explain, is_storage

log = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Sequence[Change]], None]


class Writer(Sweeper):
    """Owns the database for writing; everything else uses read-only connections."""

    def __init__(
        self, path: Path, clock: Callable[[], Instant], settings: WriterSettings | None = None
    ) -> None:
        super().__init__(path, clock, settings or WriterSettings())
        self._line = AppendQueue(f"{path}: the disk is too slow; send it again")
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lock = DatabaseLock(path)
        self._turn = asyncio.Lock()
        """Held while the connection is used, or replaced."""
        self._fold_loop = FoldLoop(self._transaction, self._condition, self._line, self._notify)
        self._projector = self._fold_loop.projector
        self.receipt_time = self._watch.receipt_time
        self._is_open = False
        self._to_adopt.append(self._clear_leftovers)

    async def open(self) -> None:
        """Lock and open the database and start committing. StoreError says what to do."""
        self._lock.take()
        try:
            self._db = await connect(self._connect)
        except BaseException:
            self._lock.release()
            raise
        try:
            self._condition.opened()
            await self._run(self._check)
            await self._transaction(lambda db, _: self._watch.recall(db))
            await self._run(self._folding.bodies.load)
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
        if self._projector.behind:
            log.info("%d stored deliveries are folded first", self._projector.behind)
        self._is_open = True
        self._tasks = [
            asyncio.create_task(self._append_forever(), name="append"),
            asyncio.create_task(self._fold_loop.run(), name="project"),
            asyncio.create_task(self._sweep_forever(), name="sweep"),
        ]

    def _connect(self) -> sqlite3.Connection:
        refuse_neighbour(self.path)
        return open_writer(self.path, used=self._lock.held_data, notice=self._settings.notice)

    def _check(self, db: sqlite3.Connection) -> None:
        """StoreError if the file is the cache of a shared log."""
        row = db.execute("SELECT value FROM meta WHERE name = 'log_cache'").fetchone()
        if row is not None:
            raise StoreError(
                f"{self.path} is a cache of the log {row[0]}: use it with --log or [log] url, or "
                "choose another file with --db"
            )

    async def close(self) -> None:
        """Commit waiting deliveries, checkpoint, and close and unlock the database."""
        if not self._is_open:
            return
        self._is_open = False
        await self._line.empty()
        await self.caught_up()
        await self._stop()
        try:
            if self._condition.check_file():
                await self._rejections.store(self._transaction, self._clock())
                await self._run(lambda db: db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)"))
        except (sqlite3.Error, ValueError) as error:
            log.warning("the last checkpoint failed (%s); the next start will do it", error)
        await self._db.close()
        self._lock.release()

    async def _stop(self) -> None:
        """Stop the tasks that append and fold; their transactions are committed or rolled back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @property
    def trouble(self) -> str:
        """The problem of the store, for banners and /readyz; empty if it commits."""
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
        """Deliveries that wait for their commit to the log."""
        return len(self._line)

    async def submit(self, intake: Intake) -> Receipt:
        """Store one delivery; returns after its commit. Unavailable if that is impossible, or takes
        so long that the sender would hang up; it may still be committed then, and the sender's
        retry counts as a repeat. A delivery that requires a span waits (bounded) until earlier ones
        are folded."""
        if self.trouble:
            raise Unavailable(self.trouble)
        folded = not intake.requires or await self.caught_up()
        receipt = await self._stored(intake)
        if receipt.verdict is Verdict.REJECTED and not folded:
            raise Unavailable("not all that came before is folded yet; send it again")
        return receipt

    async def _stored(self, intake: Intake) -> Receipt:
        future: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()

        def tell(result: Receipt | Unavailable) -> None:
            if future.done():
                return  # the waiting task was cancelled
            if isinstance(result, Unavailable):
                future.set_exception(result)
            else:
                future.set_result(result)

        self._line.put(intake, tell)
        return await future

    def put(self, intake: Intake, tell: Tell) -> None:
        """As `submit`, for a delivery that requires no span. `tell` is called with the receipt or
        the error. Unavailable if nothing can be stored now."""
        if self.trouble:
            raise Unavailable(self.trouble)
        self._line.put(intake, tell)

    def reject(self, rejection: Rejection) -> None:
        """Record a refused request; it is stored within a second, and bounded in memory until
        then."""
        self._rejections.add(rejection)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the writer's connection, outside a transaction (checkpoint, backup),
        after everything acknowledged before is folded."""
        await self.caught_up()
        return await self._run(work)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        async with self._turn:
            running = asyncio.ensure_future(run_on(self._db, work))
            try:
                return await asyncio.shield(running)
            finally:
                if not running.done():  # the caller was cancelled, but the thread goes on
                    await asyncio.wait((running,))

    async def transaction(self, work: Callable[[sqlite3.Connection, Folding], T]) -> T:
        """Run a function in one transaction, after everything acknowledged before is folded, and
        notify the listeners."""
        await self.caught_up()
        result = await self._transaction(work)
        self._notify(())
        return result

    def _clear_leftovers(self, db: sqlite3.Connection, _: Folding) -> bool:
        from vs_tui.store.maintenance.table_swap import clear_leftovers  # after the first rows

        return clear_leftovers(db, self.path)

    async def start_over(self, work: Callable[[sqlite3.Connection, Folding], T]) -> T:
        """Run a function in a transaction that also deletes all derived data. The log is folded
        again from then on; `caught_up` waits for it."""

        def whole(db: sqlite3.Connection, folding: Folding) -> T:
            from vs_tui.store.maintenance.table_swap import empty_models  # not at the start

            result = work(db, folding)
            empty_models(db, folding)
            return result

        result = await self.transaction(whole)
        await self._look_anew()
        return result

    async def _look_anew(self) -> None:
        """Read the position again after derived data was deleted or replaced."""
        await self._transaction(lambda _db, _folding: None)
        self._notify(())

    async def _transaction(
        self, work: Callable[[sqlite3.Connection, Folding], T], *, synced: bool = True
    ) -> T:
        result = await self._run(
            lambda db: in_transaction(
                db, self._folding, self._watch.judged().timing, self._current(work), synced=synced
            )
        )
        if self._projector.behind:
            self._fold_loop.wake()
        return result

    def _current(
        self, work: Callable[[sqlite3.Connection, Folding], T]
    ) -> Callable[[sqlite3.Connection, Folding], T]:
        """`work`, after a look whether derived data was replaced, here or by another process."""

        def current(db: sqlite3.Connection, folding: Folding) -> T:
            generation = sqlite_position.generation(db)
            if generation != self._generation:
                self._generation = generation
                folding.cache.clear()
                self._opened(db)
            result = work(db, folding)
            self._projector.look(db)
            return result

        return current

    def _opened(self, db: sqlite3.Connection) -> None:
        """Read again what is kept in memory."""
        self._projector.opened(db)

    def _notify(self, changes: Sequence[Change]) -> None:
        for listener in list(self._listeners):
            try:
                listener(changes)
            except Exception:
                log.exception("a listener of the change feed failed; the receiver goes on")

    async def _append_forever(self) -> None:
        while True:
            waiting = await self._line.take()
            try:
                await self._append(waiting)
            except Exception as error:
                log.exception("a commit failed; its senders are told to come again")
                self._give_up(waiting, explain(error, self.path) or type(error).__name__)
            finally:
                self._line.done()

    async def _append(self, waiting: Sequence[Queued]) -> None:
        """Commit deliveries to the log and answer their senders."""
        if not self._condition.check_file():
            self._give_up(waiting, self.trouble)
            return
        try:
            appended = await self._transaction(lambda db, folding: _append(db, folding, waiting))
        except Exception as error:
            if is_storage(error):
                self._condition.fail(error)
                self._give_up(waiting, self.trouble)
            elif len(waiting) > 1:
                log.exception("a batch could not be stored; each delivery is tried alone")
                for entry in waiting:
                    await self._append([entry])
            else:
                log.exception("a delivery of %s could not be stored", waiting[0].intake.source)
                self._give_up(waiting, "the delivery could not be stored; see the receiver's log")
            return
        self._fold_loop.appended(appended.fresh)
        if not self._condition.check_file():
            # Committed, but into a file that is no longer at the path: do not acknowledge.
            self._give_up(waiting, self.trouble)
            return
        for entry, receipt in zip(waiting, appended.receipts, strict=True):
            entry.tell(receipt)

    async def caught_up(self, seconds: float = READ_WAIT_SECONDS) -> bool:
        """Wait until everything acknowledged by now is folded. Returns False after `seconds`."""
        return await self._fold_loop.caught_up(seconds)

    async def folded(self) -> None:
        """Wait until everything acknowledged is folded, however long it takes. StoreError if the
        storage fails."""
        while not await self.caught_up(SWEEP_SECONDS):
            if self._condition.failed:
                raise StoreError(self._condition.failed)

    @property
    def lag(self) -> float:
        """Seconds since the oldest delivery that is not folded was stored; 0 if all are folded."""
        return self._projector.lag

    @property
    def behind(self) -> int:
        """Deliveries that are stored and not folded yet."""
        return self._projector.behind

    async def claim_notices(self, hashes: Sequence[int]) -> tuple[set[int], set[int]]:
        """(notices that this node may send now, notices that another node has sent)."""
        return set(hashes), set()

    async def settle_notices(self, hashes: Sequence[int], *, sent: bool) -> None:
        """These notices were sent, or could not be sent now."""

    def _give_up(self, waiting: Sequence[Queued], why: str) -> None:
        for entry in waiting:
            entry.tell(Unavailable(why))

    async def _try_again(self) -> None:
        """Commit a small change, on a new connection if the old one may be stale."""
        if self._condition.reopen:
            async with self._turn:
                await self._db.close()  # first: it deletes the WAL that is there
                self._db = await connect(lambda: open_checked(self.path))
            self._condition.opened()
            self._generation = -1
        await self._transaction(lambda db, _: next_seq(db))
        self._condition.recover()


def _append(
    db: sqlite3.Connection, folding: Folding, waiting: Sequence[Queued]
) -> sqlite_log.Appended:
    intakes = [entry.intake for entry in waiting]
    return sqlite_log.append(db, intakes, folding.bodies, lambda name: exists(db, name))
