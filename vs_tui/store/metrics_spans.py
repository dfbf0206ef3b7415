"""Reports that are read from the spans themselves: durations, pull requests, flaky jobs and when
what is in flight should end."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.metrics.durations import (
    HISTORY,
    Expectation,
    History,
    expected_end,
    history_of,
)
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span, Status
from vs_tui.store import rows

_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
MAX_EXPECTED: Final = 1_000
_STATUSES: Final = {status.value: status for status in Status}


@dataclass(frozen=True, slots=True)
class Expected:
    """A span in flight and when it should end; None without a success of its series."""

    span: Span
    expectation: Expectation | None


def read_expected(db: sqlite3.Connection, team: str, now: Instant) -> list[Expected]:
    """What is in flight, the longest first."""
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    sql = (
        f"{_SELECT} WHERE status = 'in_flight' AND derived = 0 AND started_at IS NOT NULL "
        f"{of_team} ORDER BY started_at LIMIT {MAX_EXPECTED}"
    )
    spans = [rows.span_of(row) for row in db.execute(sql, named)]
    known = read_histories(db, [span.key for span in spans])
    return [
        Expected(
            span,
            expected_end(span.started_at, known[span.key], now)
            if span.key in known and span.started_at is not None
            else None,
        )
        for span in spans
    ]


def read_histories(db: sqlite3.Connection, keys: Sequence[str]) -> dict[str, History]:
    """By span key: how long the last successes of its series took; absent without any."""
    sql = f"SELECT key, series FROM spans WHERE key {_KEYS}"
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
