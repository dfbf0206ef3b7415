"""Reads one span, one trace, rows of the list of traces, and the last successes of a span's series:
their durations and their steps."""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store import rows
from vs_tui.store.queries.read_spans import (
    ATTRIBUTES,
    PAGE_BYTES,
    Condition,
    Cursor,
    cursor_text,
    parse_cursor,
)
from vs_tui.store.queries.reader_protocol import Trace, TracePage, TraceSummary
from vs_tui.store.queries.span_search import TURN, Search
from vs_tui.traces.baseline import HISTORY, Baseline, baseline_of
from vs_tui.traces.steps import RUNS, PastRun, steps_of

MAX_TRACE: Final = 5_000
"""Most spans of one trace that are read; nobody can look at more."""
MAX_TRACE_BYTES: Final = 16 * MIB
"""Most bytes of attributes that are read of one trace."""
MOST_STEPS: Final = 50
"""Most steps of a past run that are read, on average."""
_AT_ONCE: Final = 1_000
_ORDER: Final = "traces"
_LATER: Final = 1 << 62
_BEGAN: Final = "COALESCE(started_at, ended_at, last_event_at)"
_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"


def find_span(db: sqlite3.Connection, ref: str) -> Span | None:
    """The span with this key, ref, short ref or alias. If several share a short ref, the latest."""
    for where in (
        "key = ?",
        "short_ref = ? AND short_ref <> key ORDER BY started_at DESC, key LIMIT 1",
        "full_ref = ? AND full_ref <> '' ORDER BY started_at DESC, key LIMIT 1",
        "key IN (SELECT key FROM offers WHERE token = 'ref:' || ?) "
        "ORDER BY started_at DESC LIMIT 1",
    ):
        row = db.execute(f"{_SELECT} WHERE {where}", (ref,)).fetchone()
        if row:
            return rows.span_of(row)
    return None


def read_trace(db: sqlite3.Connection, trace_id: str) -> Trace | None:
    """The trace with this id. It may also be the id of a trace that became part of it, or a W3C id
    of one of its spans."""
    found = _trace_rows(db, trace_id)
    if not found:
        trace_id = _alias(db, trace_id)
        found = _trace_rows(db, trace_id)
        if not found:
            return None
    spans = sorted((rows.span_of(row) for row in found), key=lambda s: (s.at, s.key))
    keys = {span.key for span in spans}
    root = next((s for s in spans if s.parent_key not in keys), spans[0])
    links: dict[tuple[str, str], Link] = {}
    for column in ("child", "parent"):
        for row in rows.select_in(db, rows.SELECT_LINKS.format(column), keys):
            links[row[0], row[1]] = rows.link_of(row)
    outside = {end for pair in links for end in pair} - keys
    sql = f"{_SELECT} WHERE key {rows.KEYS}"
    linked = [rows.span_of(row) for row in rows.select_in(db, sql, sorted(outside)[:200])]
    return Trace(trace_id, root, spans, list(links.values()), linked)


def _alias(db: sqlite3.Connection, trace_id: str) -> str:
    """The trace that has this id as another name; empty if there is none."""
    token = f"w3c:{trace_id.lower()}"
    for sql, parameters in (
        (
            "SELECT trace_id FROM spans WHERE own_trace_id = ? AND own_trace_id <> trace_id "
            "AND derived = 0 LIMIT 1",
            (trace_id,),
        ),
        # A whole context is `TRACE-SPAN`; the character behind `-` ends the range.
        (
            "SELECT trace_id FROM spans WHERE key IN (SELECT key FROM offers WHERE token = ? "
            "OR (token >= ? AND token < ?)) ORDER BY started_at, key LIMIT 1",
            (token, f"{token}-", f"{token}."),
        ),
    ):
        row = db.execute(sql, parameters).fetchone()
        if row:
            return str(row[0])
    return ""


def _trace_rows(db: sqlite3.Connection, trace_id: str) -> list[Any]:
    sql = f"{_SELECT} WHERE trace_id = ? ORDER BY started_at LIMIT ?"
    found: list[Any] = []
    size = 0
    for row in db.execute(sql, (trace_id, MAX_TRACE)):
        size += len(row[ATTRIBUTES])
        if found and size > MAX_TRACE_BYTES:
            break
        found.append(row)
    return found


def read_found_traces(
    db: sqlite3.Connection, search: Search, limit: int, at: Instant | None
) -> TracePage:
    """The first traces in which a search finds a span within a turn."""
    enough = limit + 1
    deadline = time.monotonic() + TURN
    while True:
        search.turn(db, enough, max(deadline - time.monotonic(), 0))
        found, more = _traces_of(db, search.rowids(), limit)
        if more or search.finished or time.monotonic() >= deadline:
            break
        # These spans belong to few traces, so more spans are needed.
        enough = 2 * max(search.count, enough)
    return TracePage(
        summaries(db, found, at),
        more=more or search.searched is not None,
        searched=None if more or search.finished else search.searched,
    )


def _traces_of(db: sqlite3.Connection, rowids: Sequence[int], limit: int) -> tuple[list[str], bool]:
    """(trace ids of these spans in order, each once, at most `limit`; whether there are more)."""
    sql = f"SELECT rowid, trace_id FROM spans WHERE rowid {rows.KEYS}"
    found: dict[str, None] = {}
    for start in range(0, len(rowids), _AT_ONCE):
        some = rowids[start : start + _AT_ONCE]
        by_rowid = dict(rows.select_in(db, sql, some))
        found.update(dict.fromkeys(by_rowid[rowid] for rowid in some if rowid in by_rowid))
        if len(found) > limit:
            break
    listed = list(found)
    return listed[:limit], len(listed) > limit


def read_all_traces(
    db: sqlite3.Connection, condition: Condition, limit: int, cursor: str
) -> tuple[Sequence[TraceSummary], str]:
    """(traces with a matching span, cursor of the next page). A trace is listed at the place of its
    first matching span. It takes as long as needed."""
    where, parameters = condition
    begin = parse_cursor(_ORDER, cursor)
    seen: set[str] = set()
    found: list[tuple[str, Cursor]] = []
    for part, (column, among) in enumerate(
        (("started_at", "status = 'in_flight'"), ("ended_at", "ended_at IS NOT NULL"))
    ):
        sql = (
            f"SELECT trace_id, {column}, key FROM spans WHERE {among} AND derived = 0 "
            f"AND operation <> 'stage' AND ({where}) ORDER BY {column} DESC, key"
        )
        for trace_id, value, key in db.execute(sql, parameters):
            if trace_id in seen:
                continue
            seen.add(trace_id)
            here = Cursor(part, value, key)
            if begin is None or begin.is_before(here):
                found.append((trace_id, here))
                if len(found) > limit:
                    break
        if len(found) > limit:
            break
    limit = _fitting(db, [trace_id for trace_id, _ in found[:limit]])
    page = summaries(db, [trace_id for trace_id, _ in found[:limit]])
    return page, cursor_text(_ORDER, found[limit - 1][1]) if len(found) > limit else ""


def _fitting(db: sqlite3.Connection, trace_ids: Sequence[str]) -> int:
    """The number of these traces that fit on a page, by the attributes of their roots; at least
    one."""
    sql = (
        "SELECT trace_id, length(attributes) FROM spans WHERE parent_key = '' "
        f"AND trace_id {rows.KEYS}"
    )
    sizes, size = dict(rows.select_in(db, sql, trace_ids)), 0
    for number, trace_id in enumerate(trace_ids):
        size += sizes.get(trace_id, 0)
        if number and size > PAGE_BYTES:
            return number
    return len(trace_ids)


def summaries(
    db: sqlite3.Connection, trace_ids: Sequence[str], at: Instant | None = None
) -> list[TraceSummary]:
    """One row for each trace, in the order of the ids; as of a moment, if given."""
    moment = _LATER if at is None else at
    sql = f"""
        SELECT trace_id, COUNT(*),
            SUM(CASE WHEN ended_at > {moment} THEN 1 ELSE status = 'in_flight' END),
            SUM(status IN ('error', 'timed_out') AND COALESCE(ended_at, 0) <= {moment}),
            MIN({_BEGAN}), MAX(MIN(last_event_at, {moment})),
            MAX(CASE WHEN ended_at <= {moment} THEN ended_at END)
        FROM spans WHERE operation <> 'stage' AND {_BEGAN} <= {moment}
        AND trace_id {rows.KEYS} GROUP BY trace_id"""
    totals = {row[0]: row[1:] for row in rows.select_in(db, sql, trace_ids)}
    sql = f"{_SELECT} WHERE parent_key = '' AND trace_id {rows.KEYS} ORDER BY {_BEGAN} DESC"
    roots = {span.trace_id: span for span in map(rows.span_of, rows.select_in(db, sql, trace_ids))}
    found = []
    for trace_id in trace_ids:
        if trace_id not in roots or trace_id not in totals:
            continue
        spans, in_flight, failed, started, last, ended = totals[trace_id]
        root = roots[trace_id]
        found.append(
            TraceSummary(
                trace_id=trace_id,
                root=root if at is None else root.as_of(at),
                spans=spans,
                in_flight=in_flight,
                failed=failed,
                started_at=started,
                last_event_at=last,
                ended_at=None if in_flight else ended,
            )
        )
    return found


_UNTIL: Final = "AND ended_at <= ?"


def read_past_runs(
    db: sqlite3.Connection, keys: Sequence[str], at: Instant | None = None, team: str = ""
) -> dict[str, list[PastRun]]:
    """Span key -> last successes of its series (before a moment), latest first. With a team, only
    runs and steps of that team."""
    sql = f"SELECT key, series FROM spans WHERE key {rows.KEYS}"
    series: dict[str, str] = dict(rows.select_in(db, sql, keys))
    known = {name: _runs(db, name, at, team) for name in set(series.values())}
    return {key: known[name] for key, name in series.items() if known[name]}


def _runs(db: sqlite3.Connection, series: str, at: Instant | None, team: str) -> list[PastRun]:
    until, bound = (_UNTIL, [at]) if at is not None else ("", [])
    sql = (
        f"{_SELECT} WHERE series = ? AND status = 'ok' AND started_at IS NOT NULL {until} "
        "ORDER BY ended_at DESC LIMIT ?"
    )
    parameters: list[Any] = [series, *bound, RUNS]
    runs = [rows.span_of(row) for row in db.execute(sql, parameters)]
    runs = [run for run in runs if not team or run.team == team]
    sql = (
        # The index excludes spans without a parent, so the query must do so as well.
        f"{_SELECT} WHERE parent_key <> '' AND parent_key {rows.KEYS} "
        f"ORDER BY started_at DESC LIMIT {RUNS * MOST_STEPS}"
    )
    below: defaultdict[str, list[Span]] = defaultdict(list)
    for row in rows.select_in(db, sql, [run.key for run in runs]):
        span = rows.span_of(row)
        if not team or span.team == team:
            below[span.parent_key].append(span)
    return [steps_of(run, below[run.key]) for run in runs]


def read_baselines(
    db: sqlite3.Connection, keys: Sequence[str], at: Instant | None = None
) -> dict[str, Baseline]:
    """Span key -> durations of the last successes of its series (before a moment); absent if there
    are none."""
    sql = f"SELECT key, series FROM spans WHERE key {rows.KEYS}"
    series: dict[str, str] = dict(rows.select_in(db, sql, keys))
    sql = (
        "SELECT MAX(ended_at - started_at, 0) FROM spans WHERE series = ? AND status = 'ok' "
        f"{_UNTIL if at is not None else ''} "
        "AND started_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?"
    )
    found: dict[str, Baseline | None] = {}
    for name in set(series.values()):
        bound: tuple[Any, ...] = (name, HISTORY) if at is None else (name, at, HISTORY)
        found[name] = baseline_of([row[0] for row in db.execute(sql, bound)])
    return {key: usual for key, name in series.items() if (usual := found[name]) is not None}
