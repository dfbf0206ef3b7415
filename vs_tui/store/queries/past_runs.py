"""Reads the last successes of a span's series: their durations and their steps."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from vs_tui.metrics.statistics import HISTORY, History, history_of
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.traces.steps import RUNS, PastRun, steps_of

MOST_STEPS: Final = 50
"""Most steps of a run that are read, on average."""
_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"


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
    until, bound = ("AND ended_at <= ?", [at]) if at is not None else ("", [])
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


def read_histories(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, History]:
    """Span key -> durations of the last successes of its series; absent if there are none."""
    sql = f"SELECT key, series FROM spans WHERE key {rows.KEYS}"
    series: dict[str, str] = dict(rows.select_in(db, sql, keys))
    sql = (
        "SELECT MAX(ended_at - started_at, 0) FROM spans WHERE series = ? AND status = 'ok' "
        "AND started_at IS NOT NULL ORDER BY ended_at DESC LIMIT ?"
    )
    histories: dict[str, History | None] = {}
    for name in set(series.values()):
        bound: tuple[Any, ...] = (name, HISTORY)
        histories[name] = history_of([row[0] for row in db.execute(sql, bound)])
    return {
        key: history for key, name in series.items() if (history := histories[name]) is not None
    }
