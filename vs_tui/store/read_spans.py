"""Reading lists of spans: whole ones for scripts, what a search has found for screens."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from vs_tui.domain.instants import DAY, Instant
from vs_tui.domain.model import Span
from vs_tui.domain.past import as_of
from vs_tui.store import rows
from vs_tui.store.api import COUNTED, Counts, SpanPage
from vs_tui.store.searching import TURN, Search

_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"
SORTS: Final = {
    "started": "started_at",
    "ended": "ended_at",
    "duration": "(ended_at - started_at)",
    "name": "name COLLATE NOCASE",
    "changed": "changed",
}


def order_of(sort: str) -> str:
    """What follows ORDER BY; ValueError names the orders there are."""
    name = sort.lstrip("-")
    if name not in SORTS:
        raise ValueError(f"sort '{name}' is not known; use live, {', '.join(SORTS)}")
    # Times and durations read best newest and longest first; names read from A to Z.
    descending = (name != "name") != sort.startswith("-")
    return f"{SORTS[name]} IS NULL, {SORTS[name]} {'DESC' if descending else 'ASC'}"


def read_found(
    db: sqlite3.Connection, search: Search, limit: int, sort: str, at: Instant | None
) -> SpanPage:
    """The first spans that a search finds within a turn, in an order."""
    # Any other order is one of all matches.
    if sort == "live":
        search.turn(db, limit + 1)
    else:
        # To sort takes its time as well.
        search.turn(db, COUNTED, TURN / 3)
    if sort.lstrip("-") == "live":
        found = search.rowids()[:: -1 if sort == "-live" else 1]
    else:
        found = search.sorted(db, order_of(sort))
    spans = _by_rowid(db, found[:limit])
    if at is not None:
        spans = [as_of(span, at) for span in spans]
    finished = search.finished or (sort == "live" and search.count > limit)
    return SpanPage(
        spans,
        str(limit) if len(found) > limit else "",
        searched=None if finished else search.searched,
    )


def _by_rowid(db: sqlite3.Connection, rowids: Sequence[int]) -> list[Span]:
    sql = (
        f"SELECT rowid, {rows.SELECT_SPAN} FROM spans "
        "WHERE rowid IN (SELECT value FROM json_each(?))"
    )
    found = {row[0]: rows.span_of(row[1:]) for row in rows.select_in(db, sql, rowids)}
    return [found[rowid] for rowid in rowids if rowid in found]


def read_counts(
    db: sqlite3.Connection, search: Search, everything: Search, at: Instant | None, now: Instant
) -> Counts:
    """What the header says: matches of a search, of all spans, and what is in flight and failed."""
    search.turn(db)
    if everything is not search:
        everything.turn(db)
    moment = now if at is None else at
    failed = (
        "SELECT COUNT(*) FROM spans INDEXED BY spans_failed WHERE status IN ('error', 'timed_out') "
        "AND derived = 0 AND operation <> 'stage' AND ended_at >= ? AND ended_at <= ?"
    )
    if at is None:
        in_flight = (
            "SELECT COUNT(*) FROM spans INDEXED BY spans_in_flight WHERE status = 'in_flight' "
            "AND derived = 0 AND operation <> 'stage'"
        )
        flying = _one(db, in_flight)
        until = 1 << 62
    else:
        flying, until = len(everything.open), at
    return Counts(
        matched=min(search.count, COUNTED),
        total=min(everything.count, COUNTED),
        in_flight=flying,
        failed=_one(db, failed, (moment - DAY, until)),
        more=search.searched is not None,
        more_in_all=everything.searched is not None,
        searched=next((s.searched for s in (search, everything) if not s.finished), None),
    )


def _one(db: sqlite3.Connection, sql: str, parameters: Sequence[Any] = ()) -> int:
    row = db.execute(sql, parameters).fetchone()
    return int(row[0] or 0) if row else 0


def read_live(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    cursor: str,
    at: Instant | None,
) -> SpanPage:
    """In flight first, newest start first; then the latest ended. However long it takes."""
    offset = int(cursor) if cursor.isdigit() else 0
    if at is not None:
        open_then = "started_at <= ? AND (ended_at IS NULL OR ended_at > ?)"
        done_then = "ended_at <= ?"
        first = (
            f"{_SELECT} WHERE derived = 0 AND {open_then} AND ({where}) "
            "ORDER BY started_at DESC, key"
        )
        second = (
            f"{_SELECT} WHERE derived = 0 AND {done_then} AND ({where}) ORDER BY ended_at DESC, key"
        )
        bounds: tuple[tuple[Any, ...], tuple[Any, ...]] = ((at, at), (at,))
    else:
        first = (
            f"{_SELECT} WHERE status = 'in_flight' AND derived = 0 AND ({where}) "
            "ORDER BY started_at DESC, key"
        )
        second = (
            f"{_SELECT} WHERE ended_at IS NOT NULL AND derived = 0 AND ({where}) "
            "ORDER BY ended_at DESC, key"
        )
        bounds = ((), ())
    found = db.execute(f"{first} LIMIT ?", (*bounds[0], *parameters, offset + limit)).fetchall()
    missing = offset + limit + 1 - len(found)
    if missing > 0:
        found += db.execute(f"{second} LIMIT ?", (*bounds[1], *parameters, missing)).fetchall()
    spans = [rows.span_of(row) for row in found[offset : offset + limit]]
    if at is not None:
        spans = [as_of(span, at) for span in spans]
    more = len(found) > offset + limit
    return SpanPage(spans, str(offset + limit) if more else "")


def read_sorted(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    cursor: str,
    sort: str,
    at: Instant | None,
) -> SpanPage:
    """In another order than `live`. However long it takes."""
    order = order_of(sort)
    offset = int(cursor) if cursor.isdigit() else 0
    bound, extra = ("AND started_at <= ?", (at,)) if at is not None else ("", ())
    sql = f"{_SELECT} WHERE ({where}) {bound} ORDER BY {order}, key LIMIT ? OFFSET ?"
    found = db.execute(sql, (*parameters, *extra, limit + 1, offset)).fetchall()
    spans = [rows.span_of(row) for row in found[:limit]]
    if at is not None:
        spans = [as_of(span, at) for span in spans]
    return SpanPage(spans, str(offset + limit) if len(found) > limit else "")
