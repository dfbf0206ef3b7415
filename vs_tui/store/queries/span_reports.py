"""Reports that read the spans themselves: durations, pull requests, flaky jobs, the expected ends
of spans in flight, and what the rules of the metrics match, for `vs-tui doctor`."""

from __future__ import annotations

import sqlite3
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import repeat, starmap
from pathlib import Path
from typing import Any, Final

import orjson

from vs_tui.metrics.counted import NO_TEAM
from vs_tui.metrics.pull_requests import PeriodFigures, PullRequest, aggregate
from vs_tui.metrics.statistics import (
    FlakyJob,
    Group,
    Other,
    SpanGroup,
    check_grouping,
    span_groups,
)
from vs_tui.metrics.windows import MONDAY, Window
from vs_tui.model.grouping import grouped
from vs_tui.model.teams import Teams
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import span_where
from vs_tui.store.queries.read_traces import read_baselines
from vs_tui.store.rows import IS_RUN, KIND, PULL_REQUEST, PULL_REQUEST_MORE
from vs_tui.store.schema import open_reader
from vs_tui.traces.baseline import Baseline

_STATUSES: Final = {status.value: status for status in Status}
MAX_EXPECTED: Final = 1_000


@dataclass(frozen=True, slots=True)
class Whose:
    """SQL condition for the spans of a report: all spans, or those of one team."""

    where: str = "1"
    bound: Sequence[Any] = ()


def spans_of(db: sqlite3.Connection, team: str, teams: Teams) -> Whose:
    """The spans of a team: its own, and those of projects that it shares with the team under which
    they are stored. All spans for an empty team."""
    if not team:
        return Whose()
    if team == NO_TEAM:
        return Whose("team = ?", ("",))
    projects = {kind[KIND.index("project")] for kind in _kinds(db)}
    shared = [
        project
        for project in sorted(projects)
        if team in teams.all_of(project, "", "") and teams.of(project, "", "") != team
    ]
    if not shared:
        return Whose("team = ?", (team,))
    where = "(team = ? OR project IN (SELECT value FROM json_each(?)))"
    return Whose(where, (team, rows.as_json(shared)))


def teams_of_spans(db: sqlite3.Connection) -> list[str]:
    """The teams that have spans, configured or not."""
    ended = {kind[KIND.index("team")] for kind in _kinds(db)}
    open_ones = "SELECT DISTINCT team FROM spans WHERE status = 'in_flight' AND derived = 0"
    return sorted(team or NO_TEAM for team in ended | {team for (team,) in db.execute(open_ones)})


@contextmanager
def one_moment(db: sqlite3.Connection) -> Iterator[None]:
    """All statements in this context read the same state of the database."""
    if db.in_transaction:
        yield
        return
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def read_durations(
    db: sqlite3.Connection,
    window: Window,
    grouping: Sequence[str],
    filter_text: str = "",
    whose: Whose = Whose(),
    most: int = sys.maxsize,
) -> tuple[list[SpanGroup], int]:
    """`span_groups` of the spans that match; phases only if they are grouped by or filtered for.

    Ended spans are read one kind at a time, in the order of their index, and grouped here: sorting
    all of them by group takes SQLite longer than all the rest. A JSON array of many rows takes
    SQLite half the time of the rows themselves. ValueError for an unknown grouping or filter.
    """
    check_grouping(grouping)
    where, bound = span_where(filter_text, window.now)
    where, bound = f"({where}) AND {whose.where}", [*bound, *whose.bound]
    if "stage" not in grouping and "stage" not in filter_text:
        where = f"derived = 0 AND ({where})"
    since, until, end = window.since, window.until, window.end
    own = [name for name in grouping if name not in KIND]
    over = (
        f"SELECT {''.join(f'json_group_array({name}), ' for name in own)}json_group_array(CASE "
        f"WHEN started_at >= {since} AND started_at <= ended_at AND ended_at <= {end} "
        f"AND ended_at < {until} THEN ended_at - started_at "
        "ELSE COALESCE(started_at, '') || ' ' || ended_at END) "
        "FROM spans INDEXED BY spans_finished "
        f"WHERE {' AND '.join(f'{name} = ?' for name in KIND)} AND ended_at >= {since} "
        f"AND (ended_at < {until} OR started_at >= {since} AND started_at < {until} "
        f"OR started_at <= {end} AND ended_at > {end}) AND ({where})"
    )
    in_flight = (
        f"SELECT {', '.join(grouping)}, started_at FROM spans WHERE ended_at IS NULL "
        f"AND status = 'in_flight' AND (started_at < {until} OR started_at <= {end}) AND {where}"
    )
    others: defaultdict[Group, list[Other]] = defaultdict(list)
    within: dict[Status, defaultdict[Group, list[Duration]]] = {}
    with one_moment(db):
        for *group, began in db.execute(in_flight, bound):
            others[tuple(group)].append(Other(Status.IN_FLIGHT, began, None))
        for kind in _kinds(db):
            found = db.execute(over, (*kind, *bound)).fetchone()
            *keys, took = map(orjson.loads, found)
            same = dict(zip(KIND, kind, strict=True))
            status = _STATUSES[same["status"]]
            durations = within.setdefault(status, defaultdict(list))
            columns = iter(keys)
            groups = zip(
                *(repeat(same[n], len(took)) if n in same else next(columns) for n in grouping),
                strict=True,
            )
            if '"' in found[-1]:
                for group, each in zip(groups, took, strict=True):
                    if isinstance(each, int):
                        durations[group].append(each)
                    else:
                        first, last = each.split(" ")
                        others[group].append(
                            Other(status, int(first) if first else None, int(last))
                        )
            elif own:
                for group, each in zip(groups, took, strict=True):
                    durations[group].append(each)
            elif took:
                durations[next(groups)] += took
    return span_groups(within, others, window, most)


def _kinds(db: sqlite3.Connection) -> Iterator[tuple[str, ...]]:
    """The kinds of ended spans."""
    return _each(db, "spans_finished", KIND, "ended_at", "ended_at IS NOT NULL")


def _each(
    db: sqlite3.Connection, index: str, names: Sequence[str], then: str, where: str
) -> Iterator[tuple[str, ...]]:
    """The distinct values of the first columns of an index, found with one seek for each; `then` is
    the column after them."""
    listed = ", ".join(names)
    # A blob sorts after any number or text, so the next entry has other values.
    sql = (
        f"SELECT {listed} FROM spans INDEXED BY {index} WHERE {where} "
        f"AND ({listed}, {then}) > ({', '.join('?' * len(names))}, x'') ORDER BY {listed} LIMIT 1"
    )
    values = ("",) * len(names)
    while found := db.execute(sql, values).fetchone():
        yield (values := tuple(found))


def read_pull_requests(
    db: sqlite3.Connection,
    window: Window,
    whose: Whose,
    *,
    after: PullRequest | None = None,
    limit: int = -1,
) -> list[PullRequest]:
    """Pull requests created in the window, oldest first, with their reviewers: all of them, or a
    page after one."""
    begin = (after.created_at, after.key) if after else (window.since, "")
    columns = (*PULL_REQUEST, *PULL_REQUEST_MORE)
    found = _pull_requests(db, columns, begin, window.until, whose, limit)
    sql = (
        "SELECT parent_key, actor FROM spans WHERE operation = 'review' AND parent_key <> '' "
        f"AND parent_key {rows.KEYS} AND actor <> '' ORDER BY started_at, key"
    )
    reviewers: dict[str, list[str]] = grouped(rows.select_in(db, sql, [each.key for each in found]))
    return [
        _reviewed(each, reviewers[each.key]) if each.key in reviewers else each for each in found
    ]


def _reviewed(pull_request: PullRequest, reviewers: Sequence[str]) -> PullRequest:
    asked = (name for name in pull_request.reviewers.split(",") if name)
    return pull_request._replace(reviewers=",".join(dict.fromkeys((*asked, *reviewers))))


def read_periods(
    db: sqlite3.Connection, window: Window, whose: Whose, period: str, week_start: int = MONDAY
) -> list[PeriodFigures]:
    """Figures of pull requests for each repository and day, week or month. The ValueError names the
    periods."""
    found = _pull_requests(db, PULL_REQUEST, (window.since, ""), window.until, whose)
    return aggregate(found, period, window.zone, window.now, week_start=week_start)


def _pull_requests(
    db: sqlite3.Connection,
    columns: Sequence[str],
    after: tuple[Instant, str],
    until: Instant,
    whose: Whose,
    limit: int = -1,
) -> list[PullRequest]:
    sql = (
        f"SELECT {', '.join(columns)} FROM spans INDEXED BY spans_requested "
        f"WHERE operation = 'pull_request' AND (started_at, key) > (?, ?) AND started_at < ? "
        f"AND {whose.where} ORDER BY started_at, key LIMIT ?"
    )
    bound = (*after, until, *whose.bound, limit)
    return list(starmap(PullRequest, db.execute(sql, bound)))


def read_flaky(db: sqlite3.Connection, window: Window, whose: Whose) -> list[FlakyJob]:
    """Jobs that passed and failed on the same commit, the most often flaky first."""
    runs = (
        f"FROM spans INDEXED BY spans_runs WHERE {IS_RUN} AND project = ? AND job = ? "
        f"AND ended_at >= ? AND ended_at < ? AND {whose.where}"
    )
    commits = ", ".join(
        f"json_group_array(commit_id) FILTER (WHERE status = '{status}')"
        for status in ("ok", "error")
    )
    latest = f"{runs} AND commit_id {rows.KEYS} ORDER BY ended_at DESC, key DESC LIMIT 1"
    found = []
    with one_moment(db):
        for project, job in _each(db, "spans_runs", ("project", "job"), "ended_at", IS_RUN):
            bound = (project, job, window.since, window.until, *whose.bound)
            read = db.execute(f"SELECT {commits} {runs}", bound).fetchone()
            passed, failed = (set(orjson.loads(each)) for each in read)
            if mixed := passed & failed:
                bound = (*bound, rows.as_json(mixed))
                last = db.execute(f"SELECT ended_at, key {latest}", bound).fetchone()
                found.append(FlakyJob(project, job, len(passed | failed), len(mixed), *last))
    return sorted(found, key=lambda job: (-job.flaky, -(job.rate or 0), job.project, job.job))


@dataclass(frozen=True, slots=True)
class Expected:
    """A span in flight, and how long its series takes; None without a success of it."""

    span: Span
    usual: Baseline | None
    now: Instant


def read_expected(db: sqlite3.Connection, whose: Whose, now: Instant) -> list[Expected]:
    """The spans in flight with their expected ends, longest running first."""
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE status = 'in_flight' AND derived = 0 "
        f"AND started_at IS NOT NULL AND {whose.where} ORDER BY started_at LIMIT {MAX_EXPECTED}"
    )
    spans = [rows.span_of(row) for row in db.execute(sql, whose.bound)]
    known = read_baselines(db, [span.key for span in spans])
    return [Expected(span, known.get(span.key), now) for span in spans]


@dataclass(frozen=True, slots=True)
class Coverage:
    """The data in a database that the metrics can use."""

    deploys: Mapping[str, int]
    """Environment, empty if none is named -> finished deploys."""
    matched: Mapping[str, int]
    """Filter of a rule -> number of matching spans."""
    without_team: Mapping[str, int]
    """Project without a team -> finished deploys."""
    shared: Mapping[str, Sequence[str]]
    """Project with deploys -> the teams that list it, if there are several."""
    unseen: Mapping[str, tuple[int, Sequence[str]]]
    """Code host of which no push or no review is known -> its merged pull requests, and which."""


_LEAD_TIMES_NEED: Final = ("push", "review")
_CODE_HOSTS: Final = ("github", "gitlab", "bitbucket", "gitea", "azure")
_ENOUGH: Final = 5
"""Merged pull requests from which a missing kind of event is no accident."""


def read_coverage(path: Path, filters: Sequence[str], teams: Teams, now: Instant) -> Coverage:
    """The coverage of a database file. Raises the same errors as `open_reader`."""
    db = open_reader(path)
    try:
        finished = "operation = 'deploy' AND status NOT IN ('in_flight', 'cancelled')"
        by_environment = dict(
            db.execute(f"SELECT environment, COUNT(*) FROM spans WHERE {finished} GROUP BY 1")
        )
        by_project = db.execute(
            "SELECT project, service, team, COUNT(*) FROM spans "
            f"WHERE {finished} GROUP BY 1, 2, 3 ORDER BY 1"
        ).fetchall()
        matched = {text: _matching(db, text, now) for text in filters}
        seen = {
            (source, operation): count
            for source, operation, count in db.execute(
                "SELECT source, operation, COUNT(*) FROM spans "
                "WHERE operation IN ('push', 'review') OR (operation = 'pull_request' "
                "AND status = 'ok') GROUP BY 1, 2"
            )
        }
    finally:
        db.close()
    without: dict[str, int] = {}
    shared: dict[str, Sequence[str]] = {}
    for project, service, team, count in by_project if teams.teams else ():
        listing = teams.all_of(project, service, "")
        if not team and not listing:
            without[project] = without.get(project, 0) + count
        elif len(listing) > 1:
            shared[project] = listing
    unseen = {}
    for host in _CODE_HOSTS:
        missing = [kind for kind in _LEAD_TIMES_NEED if (host, kind) not in seen]
        if missing and (merged := seen.get((host, "pull_request"), 0)) >= _ENOUGH:
            unseen[host] = merged, missing
    return Coverage(by_environment, matched, without, shared, unseen)


def _matching(db: sqlite3.Connection, text: str, now: Instant) -> int:
    condition, bound = span_where(text, now)
    sql = f"SELECT COUNT(*) FROM spans WHERE derived = 0 AND {condition}"
    return int(db.execute(sql, bound).fetchone()[0])
