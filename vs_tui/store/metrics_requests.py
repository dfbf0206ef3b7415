"""Pull requests a day, week or month: out of columns where there are any, or from the spans."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from typing import Final

from vs_tui.metrics.buckets import Bucket, Stretch
from vs_tui.metrics.pull_requests import (
    PERIODS,
    PeriodFigures,
    PullRequest,
    aggregate,
    pull_request_of,
)
from vs_tui.metrics.requests import (
    PARTS,
    Columns,
    Record,
    encode,
    merge,
    period_figures,
    periods_of,
    record_of,
)
from vs_tui.metrics.windows import MONDAY, Window, day_of
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics_marks import REQUESTS
from vs_tui.store.metrics_tree import Parts, Tree, one_moment

_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"
_CREATED: Final = "operation = 'pull_request' AND started_at >= ? AND started_at < ?"
_OVER: Final = f"WHERE {_CREATED} AND status <> 'in_flight'"
_OPEN: Final = (
    f"INDEXED BY spans_in_flight WHERE {_CREATED} AND status = 'in_flight' AND derived = 0"
)
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


def read_pull_requests(
    db: sqlite3.Connection,
    window: Window,
    team: str,
    *,
    after: PullRequest | None = None,
    limit: int = -1,
) -> list[PullRequest]:
    """Those created in the window, oldest first, with who reviewed them: all of them, or a page
    of those that come after one."""
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    since, key = (after.created_at, after.key) if after else (window.since, "")
    sql = (
        f"{_SELECT} WHERE {_CREATED} AND (started_at, key) > (?, ?) {of_team} "
        "ORDER BY started_at, key LIMIT ?"
    )
    bound = (since, window.until, since, key, *named, limit)
    spans = [rows.span_of(row) for row in db.execute(sql, bound)]
    sql = (
        "SELECT parent_key, actor FROM spans WHERE operation = 'review' AND parent_key <> '' "
        f"AND parent_key {_KEYS} ORDER BY started_at, key"
    )
    reviewers: dict[str, list[str]] = {}
    for parent, actor in rows.select_in(db, sql, [span.key for span in spans]):
        reviewers.setdefault(parent, []).append(actor)
    found = (pull_request_of(span, reviewers.get(span.key, ())) for span in spans)
    return [pull_request for pull_request in found if pull_request is not None]


def read_periods(
    db: sqlite3.Connection, window: Window, team: str, period: str, week_start: int = MONDAY
) -> list[PeriodFigures]:
    """The same a day, week or month and repository. ValueError names the periods."""
    periods = periods_of(window, period, week_start) if period in PERIODS else None
    if periods is None:
        return read_from_pull_requests(db, window, team, period, week_start)
    with one_moment(db):
        sql = "SELECT id, owner, repo FROM report_places WHERE ? IN ('', team)"
        repos = {id_: (owner, repo) for id_, owner, repo in db.execute(sql, (team,))}
        ((buckets, left),) = REQUESTED.cover(db, [(window.since, window.until)])
        columns = _load(db, buckets)
        single = [pr for ends in left for pr in _read(db, _OVER, ends, team)]
        single += _read(db, _OPEN, (window.since, window.until), team)
    records: dict[int, list[Record]] = {}
    numbers: dict[tuple[str, str], int] = {}
    for pull_request in single:
        repo = (pull_request.owner, pull_request.repo)
        number = numbers.setdefault(repo, max(repos, default=0) + 1 + len(numbers))
        records.setdefault(number, []).append(record_of(pull_request, window.now))
    repos |= {number: repo for repo, number in numbers.items()}
    if records:
        columns.append(Columns(encode(records)))
    return period_figures(columns, repos, periods)


def read_from_pull_requests(
    db: sqlite3.Connection, window: Window, team: str, period: str, week_start: int = MONDAY
) -> list[PeriodFigures]:
    """The same of every pull request by itself."""
    return aggregate(
        read_pull_requests(db, window, team),
        period,
        window.zone,
        window.now,
        week_start=week_start,
        running_since=day_of(window.since, window.zone),
    )


def _read(
    db: sqlite3.Connection, where: str, stretch: Stretch, team: str = ""
) -> Iterator[PullRequest]:
    """Without who reviewed them."""
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    for row in db.execute(f"{_SELECT} {where} {of_team}", (*stretch, *named)):
        found = pull_request_of(rows.span_of(row))
        if found is not None:
            yield found


def _load(db: sqlite3.Connection, buckets: Sequence[Bucket]) -> list[Columns]:
    found: dict[Bucket, dict[str, bytes]] = {}
    for part in PARTS:
        for bucket, data in REQUESTED.parts(db, part, buckets):
            found.setdefault(bucket, {})[part] = data
    return [Columns(parts) for parts in found.values()]


def _make(db: sqlite3.Connection, since: Instant, until: Instant) -> tuple[int, Parts]:
    found = list(_read(db, _OVER, (since, until)))
    records: dict[int, list[Record]] = {}
    numbers: dict[tuple[str, str, str], int] = {}
    for pull_request in found:
        place = (pull_request.owner, pull_request.repo, pull_request.team)
        if place not in numbers:
            numbers[place] = rows.id_of(db, "report_places", ("owner", "repo", "team"), place)
        # What is over does not depend on the moment.
        records.setdefault(numbers[place], []).append(record_of(pull_request, 0))
    return len(found), encode(records) if records else {}


REQUESTED: Final = Tree(
    REQUESTS,
    "SELECT MIN(started_at) FROM spans WHERE operation = 'pull_request' AND started_at >= ?",
    _make,
    merge,
)
