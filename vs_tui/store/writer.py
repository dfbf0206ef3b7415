"""The one writer: a queue of deliveries, drained into group commits on one connection.

    submit() -> queue -> one BEGIN IMMEDIATE .. COMMIT for all that waits -> futures resolve

A future resolves only after COMMIT returned under synchronous=FULL; that is what 2xx means.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, TypeVar

import aiosqlite

from vs_tui.domain.instants import Duration, Instant
from vs_tui.domain.model import Rule, Verdict
from vs_tui.domain.teams import Teams
from vs_tui.store import batch
from vs_tui.store.folder import Change, Context
from vs_tui.store.intake import Intake, Outcome, Rejection
from vs_tui.store.schema import StoreError, open_writer
from vs_tui.store.thread import run_on

log = logging.getLogger(__name__)

T = TypeVar("T")
Listener = Callable[[Sequence[Change]], None]
MAX_BATCH: Final = 500
MAX_WAITING: Final = 5_000
"""Deliveries waiting for a commit; beyond it senders are told to come again."""
SWEEP_SECONDS: Final = 1.0


class Unavailable(Exception):
    """The store cannot commit now; the message says why. Senders get 503 and Retry-After."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the writer folds with."""

    teams: Teams = field(default_factory=Teams)
    timeouts: Mapping[str, Duration] = field(default_factory=dict)
    disabled_rules: frozenset[Rule] = frozenset()
    after_fold: Sequence[batch.Hook] = ()


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
        )
        self._queue: asyncio.Queue[tuple[Intake, asyncio.Future[Outcome]]] = asyncio.Queue()
        self._rejections: list[Rejection] = []
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._lock_file: int | None = None
        self._inode = 0
        self._displaced = ""
        self.trouble = ""
        """What is wrong with the store, for banners and /readyz; `` when it commits."""

    async def open(self) -> None:
        """Lock and open the database and start committing. StoreError says what to do."""
        self._lock_file = lock_database(self.path)
        try:
            self._db = await aiosqlite.Connection(lambda: open_writer(self.path), 64)
            self._inode = self.path.stat().st_ino
            await self._transaction(self._adopt_settings)
        except BaseException:
            self._unlock()
            raise
        self._tasks = [
            asyncio.create_task(self._commit_forever(), name="commit"),
            asyncio.create_task(self._sweep_forever(), name="sweep"),
        ]

    async def close(self) -> None:
        """Commit what waits, checkpoint, and give the database back."""
        if not self._tasks:
            return
        await self._queue.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        try:
            if not self._displaced:
                await self._flush_rejections()
                await self.run(lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
        except (sqlite3.Error, Unavailable) as error:
            log.warning("the last checkpoint failed (%s); the next start will do it", error)
        await self._db.close()
        self._unlock()

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` with the changed spans after every commit, on the event loop; the
        result unsubscribes."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    @property
    def waiting(self) -> int:
        """Deliveries that wait for their commit."""
        return self._queue.qsize()

    async def submit(self, intake: Intake) -> Outcome:
        """Store one delivery; returns after its commit. Unavailable when that is impossible."""
        if self._displaced:
            raise Unavailable(self._displaced)
        if self._queue.qsize() >= MAX_WAITING:
            raise Unavailable("too many deliveries are waiting to be stored")
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((intake, future))
        # Shielded: a sender that hangs up does not undo what is being committed.
        return await asyncio.shield(future)

    def reject(self, rejection: Rejection) -> None:
        """Note a refused request; stored within a second, bounded in memory until then."""
        if len(self._rejections) < 1_000:
            self._rejections.append(rejection)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the writer's connection, outside a transaction (checkpoint, backup)."""
        return await run_on(self._db, work)

    async def transaction(self, work: Callable[[sqlite3.Connection, batch.Folding], T]) -> T:
        """Run a function in one transaction and tell the listeners that something changed."""
        result = await self._transaction(work)
        self._notify(())
        return result

    async def _transaction(self, work: Callable[[sqlite3.Connection, batch.Folding], T]) -> T:
        return await self.run(lambda db: _in_transaction(db, self._folding, self._clock(), work))

    def _notify(self, changes: Sequence[Change]) -> None:
        for listener in list(self._listeners):
            try:
                listener(changes)
            except Exception:
                log.exception("a listener of the change feed failed; the receiver goes on")

    async def _commit_forever(self) -> None:
        while True:
            waiting = [await self._queue.get()]
            await self._let_arrive()
            while len(waiting) < MAX_BATCH and not self._queue.empty():
                waiting.append(self._queue.get_nowait())
            try:
                await self._commit(waiting)
            finally:
                for _ in waiting:
                    self._queue.task_done()

    async def _let_arrive(self) -> None:
        """Let the loop read what has already arrived: fewer, larger commits under load, and the
        writer's thread does not fight the loop for the interpreter. Costs nothing when idle."""
        seen = -1
        while seen < self._queue.qsize() < MAX_BATCH:
            seen = self._queue.qsize()
            await asyncio.sleep(0)

    async def _commit(self, waiting: Sequence[tuple[Intake, asyncio.Future[Outcome]]]) -> None:
        intakes = [intake for intake, _ in waiting]
        try:
            ingested = await self._transaction(lambda db, f: batch.ingest(db, intakes, f))
        except sqlite3.Error as error:
            await self._storage_failed(error, waiting)
            return
        except Exception:
            log.exception("a delivery could not be folded; each is tried alone")
            await self._one_by_one(waiting)
            return
        self.trouble = ""
        for (_, future), outcome in zip(waiting, ingested.outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
        self._notify(ingested.changes)

    async def _one_by_one(self, waiting: Sequence[tuple[Intake, asyncio.Future[Outcome]]]) -> None:
        """After a bug in folding: only the delivery that trips it is quarantined."""
        for intake, future in waiting:
            try:
                ingested = await self._transaction(
                    lambda db, f, intake=intake: batch.ingest(db, [intake], f)  # type: ignore[misc]
                )
            except sqlite3.OperationalError as error:
                await self._storage_failed(error, [(intake, future)])
                continue
            except Exception as error:
                ingested = await self._quarantine(intake, error)
            if not future.done():
                future.set_result(ingested.outcomes[0])
            self._notify(ingested.changes)

    async def _quarantine(self, intake: Intake, error: Exception) -> batch.Ingested:
        log.error("delivery of %s quarantined: %s", intake.source, type(error).__name__)
        reason = f"folding failed ({type(error).__name__}); `vs-tui db rebuild` tries again"
        kept = replace(intake, verdict=Verdict.QUARANTINED, reason=reason, events=())
        return await self._transaction(lambda db, f: batch.ingest(db, [kept], f))

    async def _storage_failed(
        self, error: sqlite3.Error, waiting: Sequence[tuple[Intake, asyncio.Future[Outcome]]]
    ) -> None:
        if len(waiting) > 1 and not isinstance(error, sqlite3.OperationalError):
            await self._one_by_one(waiting)  # a value that SQLite refuses, not the disk
            return
        self.trouble = explain(error, self.path)
        log.error("%s", self.trouble)
        for _, future in waiting:
            if not future.done():
                future.set_exception(Unavailable(self.trouble))
        self._notify(())

    async def _sweep_forever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            try:
                await self.sweep()
            except sqlite3.Error as error:
                self.trouble = explain(error, self.path)
            except Exception:
                log.exception("the sweep failed; it is tried again in a second")

    async def sweep(self) -> None:
        """Once a second: spans past their timeout, refused requests, and whether the file is
        still the one that was opened."""
        if not self._check_file():
            return
        await self._flush_rejections()
        timeouts = dict(self._settings.timeouts)
        now = self._clock()
        due = await self.run(lambda db: batch.due_timeouts(db, timeouts, now))
        if due:
            self._notify(await self._transaction(lambda db, f: _sweep(db, f, due)))

    def _check_file(self) -> bool:
        """Whether the path still names the open file: SQLite goes on writing into a moved one,
        and what it acknowledged would be gone from the path."""
        try:
            found = self.path.stat().st_ino
        except OSError:
            found = 0
        if found == self._inode:
            if self._displaced:
                self._displaced = self.trouble = ""
                self._notify(())
            return True
        self._displaced = self.trouble = (
            f"{self.path} was moved, deleted or replaced while in use; put it back, or restart "
            "to begin a new one"
        )
        return False

    async def _flush_rejections(self) -> None:
        if not self._rejections:
            return
        waiting, self._rejections = self._rejections, []
        await self.transaction(lambda db, _: batch.record_rejections(db, waiting))

    def _adopt_settings(self, db: sqlite3.Connection, folding: batch.Folding) -> None:
        """Fold spans again whose team changed with the configuration."""
        wanted = repr(self._settings.teams.teams)
        row = db.execute("SELECT value FROM meta WHERE name = 'teams'").fetchone()
        if row and row[0] == wanted:
            return
        folding.context.seq = batch.next_seq(db)
        teams = self._settings.teams
        changed = [
            (team, folding.context.seq, project, service, actor, team)
            for project, service, actor in db.execute(
                "SELECT DISTINCT project, service, actor FROM spans"
            ).fetchall()
            for team in [teams.of(project, service, actor)]
        ]
        db.executemany(
            "UPDATE spans SET team = ?, changed = ? "
            "WHERE project = ? AND service = ? AND actor = ? AND team <> ?",
            changed,
        )
        db.execute("INSERT OR REPLACE INTO meta VALUES ('teams', ?)", (wanted,))

    def _unlock(self) -> None:
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None


def _in_transaction(
    db: sqlite3.Connection,
    folding: batch.Folding,
    now: Instant,
    work: Callable[[sqlite3.Connection, batch.Folding], T],
) -> T:
    folding.context.now = now
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db, folding)
        db.execute("COMMIT")
    except BaseException:
        folding.cache.clear()
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return result


def _sweep(db: sqlite3.Connection, folding: batch.Folding, due: Sequence[str]) -> Sequence[Change]:
    folding.context.seq = batch.next_seq(db)
    return batch.refold_and_link(db, due, folding)


def lock_database(path: Path) -> int:
    """Take the database for this process; the kernel gives it back when the process ends.

    Raises StoreError with the holder's pid when another receiver has it.
    """
    lock_path = path.with_name(path.name + ".lock")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock_path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        holder = os.read(descriptor, 20).decode("ascii", "replace").strip() or "unknown"
        os.close(descriptor)
        raise StoreError(
            f"{path} is in use by process {holder}; open it read-only with `vs-tui view {path}`, "
            "or give this receiver its own file with --db"
        ) from None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, str(os.getpid()).encode(), 0)
    return descriptor


def explain(error: sqlite3.Error, path: Path) -> str:
    """A storage error in words, with what to do."""
    name = getattr(error, "sqlite_errorname", "") or type(error).__name__
    advice: dict[str, str] = {
        "SQLITE_FULL": "the disk is full; free some space, it goes on by itself",
        "SQLITE_READONLY": "the file system is read-only; remount it, it goes on by itself",
        "SQLITE_BUSY": "another process holds the database; end it, it goes on by itself",
        "SQLITE_CORRUPT": "the database is damaged; stop and run `vs-tui db verify`",
        "SQLITE_NOTADB": "the file is no database any more; stop and restore a backup",
    }
    for prefix, text in advice.items():
        if name.startswith(prefix):
            return f"{path}: {text}"
    return f"{path}: {error} ({name}); check the disk, deliveries are refused with 503 until then"
