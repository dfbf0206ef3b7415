"""Flaky jobs out of the runs of jobs, which are kept beside the columns of finished spans.

Of a job's runs on one commit each knows when the one before it was. So the commits of a window are
its runs that have none before them in it: they are counted, never gathered.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import orjson

from vs_tui.metrics.buckets import Stretch
from vs_tui.metrics.flaky import FlakyJob, Run, flaky_jobs, in_order, run_of
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics_marks import FINISHED
from vs_tui.store.metrics_tree import one_moment, unkept

_SELECT: Final = (
    "SELECT key, project, name, status, ended_at, attributes, team FROM spans WHERE derived = 0 "
    "AND operation IN ('build', 'pipeline', 'test', 'stage') AND status IN ('ok', 'error') "
    "AND ended_at >= ? AND ended_at < ?"
)
_NEVER: Final = -1
_GROUPS: Final = (
    "FROM json_each(?) g CROSS JOIN report_runs r INDEXED BY report_runs_of "
    "ON r.job = g.value ->> 0 AND r.commit_id = g.value ->> 1"
)

_Group = tuple[int, int]
"""(job, commit) by their numbers."""


def read_flaky(db: sqlite3.Connection, window: Window, team: str) -> list[FlakyJob]:
    """Jobs with both results on one commit."""
    wanted = (window.since, window.until)
    with one_moment(db):
        left = unkept(db, FINISHED, wanted)
        if left == [wanted]:
            return read_from_spans(db, window, team)
        return _Search(db, wanted, team, left).found()


def read_from_spans(db: sqlite3.Connection, window: Window, team: str) -> list[FlakyJob]:
    """The same of every span by itself."""
    return flaky_jobs(run for run, _ in _runs(db, (window.since, window.until), team))


def _runs(
    db: sqlite3.Connection, stretch: Stretch, team: str = "", project: str | None = None
) -> Iterator[tuple[Run, str]]:
    """The runs that ended in a stretch, with their teams."""
    sql, bound = _SELECT, list[Any](stretch)
    for column, value in (("team", team or None), ("project", project)):
        if value is not None:
            sql, bound = f"{sql} AND {column} = ?", [*bound, value]
    for key, of_project, name, status, ended, attributes, of_team in db.execute(sql, bound):
        run = run_of(key, of_project, name, status == "ok", ended, orjson.loads(attributes))
        if run is not None:
            yield run, of_team


def _commit_id(commit: str) -> int:
    digest = blake2b(commit.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, signed=True)


def keep_runs(db: sqlite3.Connection, since: Instant, until: Instant) -> None:
    """Make the runs kept of a stretch those of the spans. In the caller's transaction."""
    sql = (
        "DELETE FROM report_runs WHERE mixed IN (0, 1) AND at >= ? AND at < ? "
        "RETURNING job, commit_id"
    )
    changed: set[_Group] = set(db.execute(sql, (since, until)).fetchall())
    jobs: dict[tuple[str, str], int] = {}
    added = []
    for run, team in list(_runs(db, (since, until))):
        name = (run.project, run.job)
        if name not in jobs:
            jobs[name] = rows.id_of(db, "report_jobs", ("project", "job"), name)
        group = (jobs[name], _commit_id(run.commit))
        changed.add(group)
        added.append((*group, run.at, int(run.ok), team))
    db.executemany(
        "INSERT INTO report_runs (job, commit_id, at, ok, team, before, own_before, mixed) "
        f"VALUES (?, ?, ?, ?, ?, {_NEVER}, {_NEVER}, 0)",
        added,
    )
    _put_in_order(db, changed)


def _job(db: sqlite3.Connection, name: tuple[str, str]) -> int:
    """The number of a job; 0 when it has none."""
    row = db.execute("SELECT id FROM report_jobs WHERE project = ? AND job = ?", name).fetchone()
    return int(row[0]) if row else 0


def _put_in_order(db: sqlite3.Connection, groups: Iterable[_Group]) -> None:
    """Say of the runs on each commit which follows which, and whether their results differ."""
    sql = (
        "SELECT r.job, r.commit_id, r.id, r.at, r.ok, r.team, r.before, r.own_before, r.mixed "
        f"{_GROUPS} ORDER BY r.job, r.commit_id, r.at, r.id"
    )
    of_group: dict[_Group, list[tuple[Any, ...]]] = {}
    for job, commit, *run in db.execute(sql, (rows.as_json(groups),)):
        of_group.setdefault((job, commit), []).append(tuple(run))
    updates = []
    for runs in of_group.values():
        mixed = int(len({ok for _, _, ok, *_ in runs}) == 2)
        last, last_of_team = _NEVER, dict[str, Instant]()
        for id_, at, _, team, *stored in runs:
            wanted = [last, last_of_team.get(team, _NEVER), mixed]
            if stored != wanted:
                updates.append((*wanted, id_))
            last = last_of_team[team] = at
    db.executemany(
        "UPDATE report_runs SET before = ?, own_before = ?, mixed = ? WHERE id = ?", updates
    )


@dataclass(slots=True)
class _Commit:
    """The runs of a job on one commit in the window."""

    results: set[bool] = field(default_factory=set)
    last_at: Instant = _NEVER

    def add(self, at: Instant, ok: bool) -> None:
        self.results.add(ok)
        self.last_at = max(self.last_at, at)


class _Search:
    """Flaky jobs of the kept runs, where some stretches of the window are read from the spans."""

    def __init__(
        self, db: sqlite3.Connection, wanted: Stretch, team: str, left: Sequence[Stretch]
    ) -> None:
        self._db = db
        self._wanted = wanted
        self._team = team
        self._left = left
        self._names: dict[int, tuple[str, str]] = {}
        self._commits: dict[_Group, _Commit] = {}
        self._corrections: dict[int, int] = {}
        """Job -> how many more commits it has than the kept runs say."""

    def found(self) -> list[FlakyJob]:
        self._look_again(self._runs_left())
        self._add_mixed()
        by_job: dict[int, dict[int, _Commit]] = {}
        for (job, commit), runs in self._commits.items():
            if len(runs.results) == 2:
                by_job.setdefault(job, {})[commit] = runs
        self._names |= {
            id_: (project, job)
            for id_, project, job in rows.select_in(
                self._db,
                "SELECT id, project, job FROM report_jobs "
                "WHERE id IN (SELECT value FROM json_each(?))",
                by_job.keys() - self._names.keys(),
            )
        }
        return in_order(self._flaky(job, commits) for job, commits in by_job.items())

    def _runs_left(self) -> dict[_Group, list[Run]]:
        """The runs that are not kept, by job and commit."""
        numbers: dict[tuple[str, str], int] = {}
        found: dict[_Group, list[Run]] = {}
        for stretch in self._left:
            for run, _ in _runs(self._db, stretch, self._team):
                name = (run.project, run.job)
                if name not in numbers:
                    # A job that was never kept has a number of its own here.
                    numbers[name] = _job(self._db, name) or -1 - len(numbers)
                    self._names[numbers[name]] = name
                found.setdefault((numbers[name], _commit_id(run.commit)), []).append(run)
        return found

    def _look_again(self, read: dict[_Group, list[Run]]) -> None:
        """Commits with runs that are not kept, or no longer true: all of their runs."""
        groups = set(read)
        for stretch in self._left:
            sql = (
                "SELECT DISTINCT job, commit_id FROM report_runs "
                "WHERE mixed IN (0, 1) AND at >= ? AND at < ?"
            )
            groups.update(self._db.execute(sql, stretch))
        stored = set()
        self._commits = {group: _Commit() for group in groups}
        of_team, named = ("AND r.team = ?", [self._team]) if self._team else ("", [])
        sql = (
            f"SELECT r.job, r.commit_id, r.at, r.ok {_GROUPS} "
            f"WHERE r.at >= ? AND r.at < ? {of_team}"
        )
        bound = (rows.as_json(groups), *self._wanted, *named)
        for job, commit, at, ok in self._db.execute(sql, bound):
            stored.add((job, commit))
            if not any(since <= at < until for since, until in self._left):
                self._commits[job, commit].add(at, bool(ok))
        for group, runs in read.items():
            for run in runs:
                self._commits[group].add(run.at, run.ok)
        for group, found in self._commits.items():
            more = bool(found.results) - (group in stored)
            self._corrections[group[0]] = self._corrections.get(group[0], 0) + more

    def _add_mixed(self) -> None:
        """Commits with both results whose runs are kept."""
        of_team, named = ("AND team = ?", [self._team]) if self._team else ("", [])
        sql = (
            "SELECT job, commit_id, at, ok FROM report_runs WHERE mixed = 1 AND at >= ? "
            f"AND at < ? {of_team}"
        )
        known = frozenset(self._commits)
        for job, commit, at, ok in self._db.execute(sql, (*self._wanted, *named)):
            if (job, commit) not in known:
                self._commits.setdefault((job, commit), _Commit()).add(at, bool(ok))

    def _flaky(self, job: int, flaky: dict[int, _Commit]) -> FlakyJob:
        project, name = self._names[job]
        last_at = max(runs.last_at for runs in flaky.values())
        last = {commit for commit, runs in flaky.items() if runs.last_at == last_at}
        return FlakyJob(
            project,
            name,
            commits=self._number_of_commits(job),
            flaky=len(flaky),
            last_at=last_at,
            example=max(
                run.key
                for run, _ in _runs(self._db, (last_at, last_at + 1), self._team, project)
                if run.job == name and _commit_id(run.commit) in last
            ),
        )

    def _number_of_commits(self, job: int) -> int:
        since, until = self._wanted
        sql = "SELECT COUNT(*) FROM report_runs WHERE job = ? AND at >= ? AND at < ? "
        bound: list[Any] = [job, since, until, since]
        if self._team:
            sql, bound = f"{sql} AND own_before < ? AND team = ?", [*bound, self._team]
        else:
            sql = f"{sql} AND before < ?"
        kept = self._db.execute(sql, bound).fetchone()[0]
        return int(kept) + self._corrections.get(job, 0)
