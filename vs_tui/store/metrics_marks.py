"""Marks the buckets of time whose columns for reports are no longer true (see `metrics_tree`)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from operator import itemgetter
from typing import Final

from vs_tui.store import rows
from vs_tui.store.rows import Row

FINEST: Final = 34
"""The power of two of the finest bucket's microseconds."""
FINISHED: Final = "finished"
"""Finished spans, by their end."""
REQUESTS: Final = "requests"
"""Pull requests that are over, by their start."""
_COLUMNS: Final = ("operation", "status", "started_at", "ended_at", "derived")
_moments = itemgetter(*(rows.WRITTEN.index(name) for name in _COLUMNS))


def mark_changed(connection: sqlite3.Connection, touched: Iterable[Row]) -> None:
    """After spans were written: `touched` are rows as they were and as they are now."""
    _mark(connection, map(_moments, touched))


def mark_regrouped(connection: sqlite3.Connection, row_ids: Iterable[int]) -> None:
    """After stored spans were given another team."""
    sql = f"SELECT {', '.join(_COLUMNS)} FROM spans WHERE rowid IN (SELECT value FROM json_each(?))"
    _mark(connection, rows.select_in(connection, sql, row_ids))


def _mark(connection: sqlite3.Connection, touched: Iterable[Row]) -> None:
    finished, requests = set(), set()
    for operation, status, started, ended, derived in touched:
        if ended is not None and not derived:
            finished.add(ended >> FINEST)
        if operation == "pull_request" and started is not None and status != "in_flight":
            requests.add(started >> FINEST)
    if not finished and not requests:
        return
    kept = dict(connection.execute("SELECT tree, kept_until >> ? FROM report_trees", (FINEST,)))
    stale = [
        (tree, n)
        for tree, numbers in ((FINISHED, finished), (REQUESTS, requests))
        for n in numbers
        if n < kept.get(tree, 0)
    ]
    if stale:
        connection.executemany("INSERT OR IGNORE INTO report_stale VALUES (?, 0, ?)", stale)
