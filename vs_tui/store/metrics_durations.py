"""The durations report: out of columns of finished spans where there are any, or from the spans."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from vs_tui.metrics.buckets import Bucket, Stretch, joined
from vs_tui.metrics.durations import GroupFigures, Item, check_grouping, duration_report
from vs_tui.metrics.finished import (
    DURATIONS,
    KINDS,
    STARTED,
    TOTALS,
    Columns,
    Kind,
    Report,
    encode,
    merge,
)
from vs_tui.metrics.windows import Window
from vs_tui.model import filters
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Status
from vs_tui.store import rows
from vs_tui.store.filter_sql import span_where
from vs_tui.store.metrics_flaky import keep_runs
from vs_tui.store.metrics_marks import FINISHED
from vs_tui.store.metrics_tree import Parts, Tree, one_moment

_STATUSES: Final = {status.value: status for status in Status}
_COMMON: Final = (*("operation", "project", "team", "service", "environment", "source", "status"),)
"""What the spans of a kind have in common; the columns of `report_kinds`."""
_FILTERED: Final = frozenset({"kind", "project", "team", "service", "env", "source"})
_ENDLESS: Final = 1 << 62


def read_durations(
    db: sqlite3.Connection,
    window: Window,
    grouping: Sequence[str],
    filter_text: str = "",
    team: str = "",
) -> list[GroupFigures]:
    """Figures a group of spans; phases only when they are grouped by or asked for.

    ValueError for a grouping or a filter that is not known.
    """
    check_grouping(grouping)
    where, bound = span_where(filter_text, window.now)
    if team:
        where, bound = f"({where}) AND team = ?", [*bound, team]
    if _has_columns(grouping, filter_text):
        with one_moment(db):
            return _read_columns(db, window, grouping, where, bound)
    derived = "" if "stage" in grouping or "stage" in filter_text else "derived = 0 AND "
    return read_from_spans(db, window, grouping, f"{derived}({where})", bound)


def _has_columns(grouping: Sequence[str], filter_text: str) -> bool:
    return set(grouping) <= set(_COMMON) and all(
        term.key in _FILTERED for term in filters.parse(filter_text).terms
    )


def read_from_spans(
    db: sqlite3.Connection,
    window: Window,
    grouping: Sequence[str],
    where: str,
    bound: Sequence[Any],
) -> list[GroupFigures]:
    """The same of every span by itself."""
    items = [
        *_items(db, grouping, where, bound, (window.since, _ENDLESS)),
        *_in_flight(db, grouping, where, bound),
    ]
    return duration_report(items, window)


def _items(
    db: sqlite3.Connection,
    grouping: Sequence[str],
    where: str,
    bound: Sequence[Any],
    stretch: Stretch,
) -> Iterator[Item]:
    sql = f"SELECT {_columns(grouping)} FROM spans WHERE ended_at >= ? AND ended_at < ? AND {where}"
    return _as_items(len(grouping), db.execute(sql, (*stretch, *bound)))


def _in_flight(
    db: sqlite3.Connection, grouping: Sequence[str], where: str, bound: Sequence[Any]
) -> Iterator[Item]:
    sql = (
        f"SELECT {_columns(grouping)} FROM spans WHERE ended_at IS NULL "
        f"AND status = 'in_flight' AND {where}"
    )
    return _as_items(len(grouping), db.execute(sql, bound))


def _columns(grouping: Sequence[str]) -> str:
    return ", ".join((*grouping, "status", "started_at", "ended_at"))


def _as_items(width: int, found: Iterable[Sequence[Any]]) -> Iterator[Item]:
    return (Item(tuple(row[:width]), _STATUSES[row[width]], *row[width + 1 :]) for row in found)


def _read_columns(
    db: sqlite3.Connection,
    window: Window,
    grouping: Sequence[str],
    where: str,
    bound: Sequence[Any],
) -> list[GroupFigures]:
    groups, kinds = _kinds(db, grouping, where, bound)
    report = Report(window, groups, kinds)
    edges = sorted({window.since, max(window.until, window.since), window.end + 1, _ENDLESS})
    left: list[Stretch] = []
    stretches = list(pairwise(edges))
    for stretch, (buckets, rest) in zip(
        stretches, FINISHED_SPANS.cover(db, stretches), strict=True
    ):
        inside = window.since <= stretch[0] and stretch[1] <= window.until
        after = stretch[0] > window.end
        left += rest
        for columns in _load(db, report, buckets, inside=inside, after=after):
            report.add(columns, inside=inside, after=after)
    where = f"derived = 0 AND ({where})"
    for stretch in joined(left):
        report.add_items(_items(db, grouping, where, bound, stretch))
    report.add_items(_in_flight(db, grouping, where, bound))
    return report.figures()


def _kinds(
    db: sqlite3.Connection, grouping: Sequence[str], where: str, bound: Sequence[Any]
) -> tuple[list[tuple[str, ...]], dict[int, Kind]]:
    """The groups that there are, and in which one each kind of span is."""
    names = ", ".join(("id", "status", "begun", *grouping))
    groups: dict[tuple[str, ...], int] = {}
    kinds = {}
    for id_, status, begun, *values in db.execute(
        f"SELECT {names} FROM report_kinds WHERE {where}", bound
    ):
        group = groups.setdefault(tuple(values), len(groups))
        kinds[id_] = Kind(group, _STATUSES[status], bool(begun))
    return list(groups), kinds


def _load(
    db: sqlite3.Connection,
    report: Report,
    buckets: Sequence[Bucket],
    *,
    inside: bool,
    after: bool,
) -> Iterator[Columns]:
    """The columns of some buckets, with the parts that the report needs of them."""
    found: dict[Bucket, dict[str, bytes]] = {}
    for part in (KINDS, TOTALS):
        for bucket, data in FINISHED_SPANS.parts(db, part, buckets):
            found.setdefault(bucket, {})[part] = data
    columns = {bucket: Columns(parts) for bucket, parts in found.items()}
    if inside:
        for bucket, data in FINISHED_SPANS.parts(db, DURATIONS, found):
            found[bucket][DURATIONS] = data
    wanted = [b for b, read in columns.items() if report.wants_started(read, after=after)]
    for bucket, data in FINISHED_SPANS.parts(db, STARTED, wanted):
        found[bucket][STARTED] = data
    return iter(columns.values())


def _make(db: sqlite3.Connection, since: Instant, until: Instant) -> tuple[int, Parts]:
    """The columns of the spans that ended in a stretch; their runs as jobs are kept, too."""
    sql = (
        f"SELECT {', '.join(_COMMON)}, started_at, ended_at FROM spans "
        "WHERE derived = 0 AND ended_at >= ? AND ended_at < ?"
    )
    found = db.execute(sql, (since, until)).fetchall()
    keep_runs(db, since, until)
    records: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
    for *common, started, ended in found:
        begun = started is not None
        # Where the start is not known, its place in the columns says nothing.
        record = (max(ended - started, 0), started) if begun else (0, ended)
        records.setdefault((*common, int(begun)), []).append(record)
    if not records:
        return len(found), {}
    names = (*_COMMON, "begun")
    by_id = {rows.id_of(db, "report_kinds", names, kind): of for kind, of in records.items()}
    return len(found), encode(by_id)


FINISHED_SPANS: Final = Tree(
    FINISHED,
    "SELECT MIN(ended_at) FROM spans WHERE derived = 0 AND ended_at >= ?",
    _make,
    merge,
)
