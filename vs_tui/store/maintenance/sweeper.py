"""The periodic work of a writer: checks, timeouts, retention, refused requests, and a changed
configuration, whose teams and incident rules are applied to stored spans in small transactions, so
that receivers and dashboards do not wait."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

import orjson

from vs_tui.log import sqlite_log, sqlite_position
from vs_tui.log.delivery import PRUNE_PATH, UNKNOWN_SOURCE, Intake, Receipt, Rejection, decision
from vs_tui.model.limits import LOW_SPACE, Retention
from vs_tui.model.teams import Teams
from vs_tui.model.time import DAY, HOUR, SECOND, Duration, Instant, iso
from vs_tui.store.clock import Uptime, Watch, uptime
from vs_tui.store.folding import transaction
from vs_tui.store.folding.span_folding import Change, Context
from vs_tui.store.folding.transaction import Transact
from vs_tui.store.maintenance import retention
from vs_tui.store.maintenance.retention import Pruned
from vs_tui.store.schema import StoreError
from vs_tui.store.storage_errors import Condition, free_bytes, is_storage, sizes
from vs_tui.traces.correlation import LinkRules

log = logging.getLogger(__name__)

T = TypeVar("T")
Adopt = Callable[[sqlite3.Connection, transaction.Folding], bool]
"""Work of one small transaction. Returns whether there is more; its progress is stored."""
MAX_REJECTIONS: Final = 1_000
"""Most refused requests that are kept between two sweeps; beyond it they are only counted."""
MAX_UNKNOWN: Final = 100
"""Most of these to unknown paths, so that scanners leave room for the refused requests of tools."""
SWEEP_SECONDS: Final = 1.0
DAMAGED_SECONDS: Final = 10.0
"""Pause between two checks of a damaged file; each check reads the whole file."""


@dataclass(frozen=True, slots=True)
class WriterSettings:
    """Settings for folding and retention."""

    teams: Teams = field(default_factory=Teams)
    timeouts: Mapping[str, Duration] = field(default_factory=dict)
    links: LinkRules = field(default_factory=LinkRules)
    after_fold: Sequence[transaction.Hook] = ()
    adopt: Sequence[Adopt] = ()
    """Work on stored spans after a change of the configuration, once they have their teams."""
    retention: Retention = field(default_factory=Retention)
    low_space: int = LOW_SPACE
    """Bytes that stay free on the disk, so that pruning is possible."""
    free_bytes: Callable[[Path], int] = free_bytes
    uptime: Callable[[], Uptime] = uptime
    notice: Callable[[str], object] = log.info
    """Is told what takes long before the database is open: a migration."""


class Rejections:
    """Refused requests that wait to be stored; bounded in memory."""

    def __init__(self) -> None:
        self._waiting: list[Rejection] = []
        self._uncounted: Counter[str] = Counter()
        self._unknown = 0

    def add(self, rejection: Rejection) -> None:
        unknown = rejection.source == UNKNOWN_SOURCE
        self._unknown += unknown
        if len(self._waiting) < MAX_REJECTIONS and not (unknown and self._unknown > MAX_UNKNOWN):
            self._waiting.append(rejection)
        else:
            self._uncounted[rejection.source] += 1

    async def store(self, transact: Transact, now: Instant) -> bool:
        """Store the waiting requests; returns whether there were any. They stay in the queue if
        that fails. The transaction gets a change number, so that viewers see a wrong secret even
        before the first valid delivery."""
        if not (self._waiting or self._uncounted):
            return False
        waiting, self._waiting = self._waiting, []
        self._unknown = 0
        counted, self._uncounted = self._uncounted, Counter()

        def record(db: sqlite3.Connection, _: transaction.Folding) -> None:
            transaction.next_seq(db)
            sqlite_log.record_rejections(db, waiting, counted, now)

        try:
            await transact(record)
        except BaseException:
            self._waiting = (waiting + self._waiting)[:MAX_REJECTIONS]
            self._uncounted += counted
            raise
        return True


class Sweeper(ABC):
    """What a writer does besides storing and folding deliveries."""

    def __init__(self, path: Path, clock: Callable[[], Instant], settings: WriterSettings) -> None:
        self.path = path
        self._clock = clock
        self._settings = settings
        self._folding = transaction.Folding(
            Context(now=clock(), seq=0, teams=settings.teams, timeouts=settings.timeouts),
            links=settings.links,
            after_fold=settings.after_fold,
        )
        self._rejections = Rejections()
        self._condition = Condition(
            path, settings.low_space, settings.free_bytes, lambda: self._notify(())
        )
        self._timed_out_at: Duration = -DAY
        self._retain_at: Duration = 0
        self._pruned = Pruned()
        self._pruning = asyncio.Lock()
        self._sweeping = asyncio.Lock()
        self._retain_after: Instant = 0
        self._generation = -1
        self._watch = Watch(clock, settings.uptime)
        self._to_adopt = [*self._adopters()]

    @abstractmethod
    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on the writer's connection, outside a transaction."""

    @abstractmethod
    async def _transaction(
        self, work: Callable[[sqlite3.Connection, transaction.Folding], T], *, synced: bool = True
    ) -> T:
        """Run a function in one transaction."""

    @abstractmethod
    def _notify(self, changes: Sequence[Change]) -> None:
        """Call the listeners with the spans that changed."""

    @abstractmethod
    async def _stored(self, intake: Intake) -> Receipt:
        """Append a delivery to the log."""

    @property
    @abstractmethod
    def behind(self) -> int:
        """Deliveries that are stored and not folded yet."""

    @abstractmethod
    async def folded(self) -> None:
        """Wait until everything acknowledged is folded."""

    @abstractmethod
    async def _look_anew(self) -> None:
        """Read the position again after derived data was deleted or replaced."""

    @abstractmethod
    async def _try_again(self) -> None:
        """Commit a small change after a storage error."""

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
        """Check once a second: whether the path still names the opened file, whether a failed store
        commits again, whether derived data was replaced, free space, a large WAL, spans past their
        timeout, refused requests, retention. One at a time: a second would close the connection
        that the first has just replaced."""
        async with self._sweeping:
            await self._sweep()

    async def _sweep(self) -> None:
        if not self._condition.check_file():
            return
        if self._condition.failed:
            await self._try_again()
        if await self._run(sqlite_position.generation) != self._generation:
            await self._look_anew()
        self._condition.check_space()
        if sizes(self.path)[1] > retention.LARGE_WAL:
            await self._run(retention.empty_wal)
        if await self._rejections.store(self._transaction, self._clock()):
            self._notify(())
        believed = await self._watch.look(self._transaction)
        now = self._settings.uptime().up
        if not 0 <= now - self._timed_out_at < 10 * SECOND:
            # It reads all spans in flight; a backlog of tickets is too many for every second.
            self._timed_out_at = now
            await self._time_out(believed.timing)
        await self.adopt()
        if self.behind:
            return
        await self._carry_out()
        if self._settings.retention and now >= self._retain_at:
            await self._retain(believed.deleting)
            self._retain_at = now + (0 if self._retain_after else HOUR)

    async def _time_out(self, now: Instant) -> None:
        # Imported with the first sweep, after the first rows.
        from vs_tui.store.folding.missing_ends import due_timeouts

        timeouts = dict(self._settings.timeouts)
        due = await self._run(lambda db: due_timeouts(db, timeouts, now))
        if due:
            self._notify(await self._transaction(lambda db, f: _fold_again(db, f, due)))
        if self._watch.doubted:
            wall = self._clock()
            if await self._run(lambda db: due_timeouts(db, timeouts, wall)):
                await self._watch.hold_back(self._transaction)

    async def _retain(self, now: Instant) -> None:
        """Decide what to delete: hourly, or in further steps at once while there is much."""
        kept = self._settings.retention
        if kept.age and self._watch.doubted:
            old = self._clock() - kept.age
            if await self._run(lambda db: retention.has_older(db, old)):
                await self._watch.hold_back(self._transaction)
        before, more = await retention.retain(
            self._run, self._transaction, kept, now, self._retain_after
        )
        self._retain_after = before if more else 0
        if before and await self._may_decide(self._clock()):
            await self._decide(before)

    async def _may_decide(self, _now: Instant) -> bool:
        return True

    async def _carry_out(self) -> None:
        async with self._pruning:
            if before := await self._run(retention.decided):
                # A deployment that is not judged yet would be lost with its trace.
                await self.adopt()
                await self._prune(before)

    async def _prune(self, before: Instant) -> Pruned:
        """Delete what was decided. The next start continues if the process dies meanwhile."""
        pruned = await retention.prune(self._run, self._transaction, before)
        await self._transaction(lambda db, _: retention.set_done(db, before))
        log.info(
            "traces from before %s: %d deleted, with %d deliveries",
            *(iso(before), pruned.traces, pruned.deliveries),
        )
        self._pruned += pruned
        self._notify(())
        return pruned

    def _adopters(self) -> Sequence[Adopt]:
        return (adopt_teams, *self._settings.adopt, adopt_incidents)

    async def reconfigure(self, settings: WriterSettings) -> None:
        """Use other settings from now on; stored spans are updated in small transactions."""

        def change(_: sqlite3.Connection) -> None:  # between two transactions, on their thread
            folding = self._folding
            folding.context.teams, folding.context.timeouts = settings.teams, settings.timeouts
            folding.links, folding.after_fold = settings.links, settings.after_fold

        await self._run(change)
        done = set(self._adopters())
        self._settings = settings
        self._condition.low_space = settings.low_space
        self._retain_at = 0
        self._to_adopt = [*self._adopters(), *(w for w in self._to_adopt if w not in done)]

    async def adopt(self) -> None:
        """Apply a changed configuration to stored spans; deliveries are stored in between."""
        while self._to_adopt:
            work = self._to_adopt[0]
            try:
                while await self._transaction(work):
                    pass
            except Exception as error:
                if is_storage(error):
                    raise
                log.exception("not all is grouped as configured; the next start tries again")
            if work in self._to_adopt:  # a concurrent call may have removed it
                self._to_adopt.remove(work)
            self._notify(())

    async def prune(self, before: Instant) -> Pruned:
        """Decide to delete finished traces from before an instant, and wait until that is done;
        deliveries are stored meanwhile. It also works below the low-space mark, to free space."""
        self._pruned = Pruned()
        await self._decide(before)
        await self.folded()
        await self._carry_out()
        return self._pruned

    async def _decide(self, before: Instant) -> None:
        await self._stored(decision(PRUNE_PATH, {"before": before}, self._clock()))


def _fold_again(
    db: sqlite3.Connection, folding: transaction.Folding, due: Sequence[str]
) -> Sequence[Change]:
    """Fold spans again whose timeout has passed."""
    folding.context.seq = transaction.next_seq(db)
    return transaction.refold_and_link(db, due, folding)


SPANS_AT_ONCE: Final = 2_000
INCIDENTS_AT_ONCE: Final = 500


def adopt_teams(connection: sqlite3.Connection, folding: transaction.Folding) -> bool:
    """Assign the next 2,000 spans to the configured teams. Returns False once all are assigned.
    Spans that are not reached yet keep their old team.

    The progress is stored in the database, for the next start. Runs in the caller's transaction.
    """
    teams = folding.context.teams
    wanted = repr(teams.teams)
    names = dict(
        connection.execute("SELECT name, value FROM meta WHERE name IN ('teams', 'teams_from')")
    )
    if names.get("teams") == wanted:
        return False
    for_teams, after = orjson.loads(names.get("teams_from", '["", 0]'))
    if for_teams != wanted:
        after = 0
    found = connection.execute(
        "SELECT rowid, project, service, actor, team FROM spans WHERE rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (after, SPANS_AT_ONCE),
    ).fetchall()
    changed = [
        (team, rowid)
        for rowid, project, service, actor, before in found
        if (team := teams.of(project, service, actor)) != before
    ]
    if changed:
        folding.context.seq = transaction.next_seq(connection)
        connection.executemany(
            "UPDATE spans SET team = ?, changed = ? WHERE rowid = ?",
            [(team, folding.context.seq, rowid) for team, rowid in changed],
        )
    # Progress for other teams is invalid from now on, even if these teams come back.
    connection.execute("DELETE FROM meta WHERE name IN ('teams', 'teams_from')")
    if len(found) < SPANS_AT_ONCE:
        connection.execute("INSERT INTO meta VALUES ('teams', ?)", (wanted,))
        return False
    reached = orjson.dumps([wanted, found[-1][0]]).decode()
    connection.execute("INSERT INTO meta VALUES ('teams_from', ?)", (reached,))
    return True


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether there are no spans yet, so that none can have an old team."""
    return connection.execute("SELECT 1 FROM spans LIMIT 1").fetchone() is None


def adopt_incidents(connection: sqlite3.Connection, folding: transaction.Folding) -> bool:
    """Link the next incidents by the current window and environments. Returns False once all are
    linked.

    The progress is stored in the database, for the next start. Runs in the caller's transaction.
    """
    rules = folding.links
    globs = rules.environments.globs
    production = [sorted(globs.get(name, ())) for name in ("production", "not_production")]
    counted = repr(rules.metrics.deployments) if rules.metrics else ""
    wanted = [rules.incident_window, *production, counted]
    row = connection.execute("SELECT value FROM meta WHERE name = 'incidents'").fetchone()
    reached, *linked_by = orjson.loads(row[0]) if row else (0,)
    if linked_by != wanted:
        reached = 0
    elif reached is None:
        return False
    found = connection.execute(
        "SELECT rowid, key FROM spans WHERE operation = 'incident' AND rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (reached, INCIDENTS_AT_ONCE),
    ).fetchall()
    if found:
        from vs_tui.store.folding.linker import (
            relink,  # imported with the first span, after the first rows
        )

        folding.context.seq = transaction.next_seq(connection)
        relink(connection, (), folding.context.seq, rules, also=[key for _, key in found])
    reached = found[-1][0] if len(found) == INCIDENTS_AT_ONCE else None
    stored = orjson.dumps([reached, *wanted]).decode()
    connection.execute("REPLACE INTO meta VALUES ('incidents', ?)", (stored,))
    return reached is not None
