"""Reads lists of spans: complete ones for scripts, and the results of searches for screens.

A cursor names the last row of a page, and the next page begins after it. Rows that are added
meanwhile do not shift the pages, unlike an offset. Only a row that moves itself, such as a span
that ends, may appear again at its new place.
"""

from __future__ import annotations

import base64
import binascii
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from vs_tui.model.limits import MIB
from vs_tui.model.time import DAY, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.queries.reader_protocol import COUNTED, Counts, SpanPage
from vs_tui.store.queries.span_search import TURN, Search

PAGE_BYTES: Final = 4 * MIB
"""Most bytes of attributes on a page; a page of large spans ends before its limit."""
ATTRIBUTES: Final = Span._fields.index("attributes")
SORTS: Final = {
    "started": "started_at",
    "ended": "ended_at",
    "duration": "(ended_at - started_at)",
    "name": "name COLLATE NOCASE",
    "changed": "changed",
}


def order_of(sort: str) -> str:
    """The text after ORDER BY. The ValueError names the known orders."""
    column, way = _sorted_by(sort)
    return f"{column} IS NULL, {column} {way}"


def _sorted_by(sort: str) -> tuple[str, str]:
    """(column, DESC or ASC)."""
    name = sort.lstrip("-")
    if name not in SORTS:
        raise ValueError(f"sort '{name}' is not known; use live, {', '.join(SORTS)}")
    # Times and durations read best newest and longest first; names read from A to Z.
    descending = (name != "name") != sort.startswith("-")
    return SORTS[name], "DESC" if descending else "ASC"


def read_found(
    db: sqlite3.Connection, search: Search, limit: int, sort: str, at: Instant | None
) -> SpanPage:
    """The first spans that a search finds within a turn, sorted."""
    # Any other order needs all matches first.
    if sort == "live":
        search.turn(db, limit + 1)
    else:
        # Sorting takes time as well.
        search.turn(db, COUNTED, TURN / 3)
    if sort.lstrip("-") == "live":
        found = search.rowids()[:: -1 if sort == "-live" else 1]
    else:
        found = search.sorted(db, order_of(sort))
    spans = _by_rowid(db, found[:limit])
    if at is not None:
        spans = [span.as_of(at) for span in spans]
    finished = search.finished or (sort == "live" and search.count > limit)
    return SpanPage(spans, searched=None if finished else search.searched)


def _by_rowid(db: sqlite3.Connection, rowids: Sequence[int]) -> list[Span]:
    sql = f"SELECT rowid, {rows.SELECT_SPAN} FROM spans WHERE rowid {rows.KEYS}"
    found = {row[0]: rows.span_of(row[1:]) for row in rows.select_in(db, sql, rowids)}
    return [found[rowid] for rowid in rowids if rowid in found]


def read_counts(
    db: sqlite3.Connection, search: Search, everything: Search, at: Instant | None, now: Instant
) -> Counts:
    """The numbers in the header: matches of a search, all spans, spans in flight and failed
    spans."""
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
        flying = rows.number(db, in_flight)
        until = 1 << 62
    else:
        flying, until = len(everything.open), at
    return Counts(
        matched=min(search.count, COUNTED),
        total=min(everything.count, COUNTED),
        in_flight=flying,
        failed=rows.number(db, failed, (moment - DAY, until)),
        more=search.searched is not None,
        more_in_all=everything.searched is not None,
        searched=next((s.searched for s in (search, everything) if not s.finished), None),
    )


Condition = tuple[str, Sequence[Any]]
"""A WHERE and its parameters."""


def read_live(
    db: sqlite3.Connection, condition: Condition, limit: int, cursor: str, at: Instant | None
) -> SpanPage:
    """A page in the order `live`: in flight first, newest start first; then ended spans, latest
    first. It takes as long as needed."""
    where, parameters = condition
    begin = parse_cursor("live", cursor)
    parts: tuple[tuple[str, str, tuple[Any, ...]], ...]
    if at is None:
        parts = (
            ("started_at", "status = 'in_flight'", ()),
            ("ended_at", "ended_at IS NOT NULL", ()),
        )
    else:
        open_then = "started_at <= ? AND (ended_at IS NULL OR ended_at > ?)"
        parts = (("started_at", open_then, (at, at)), ("ended_at", "ended_at <= ?", (at,)))
    page = _Page("live", limit, at)
    for part, (column, among, bound) in enumerate(parts):
        after, from_there = "1", list[Any]()
        if page.is_full or (begin is not None and part < begin.part):
            continue
        if begin is not None and part == begin.part:
            after, from_there = begin.after(column, "DESC")
        sql = (
            f"SELECT {column}, {rows.SELECT_SPAN} FROM spans WHERE {among} AND derived = 0 "
            f"AND ({after}) AND ({where}) ORDER BY {column} DESC, key LIMIT ?"
        )
        page.take(db, sql, (*bound, *from_there, *parameters), part)
    return page.made()


def read_sorted(
    db: sqlite3.Connection,
    condition: Condition,
    limit: int,
    cursor: str,
    sort: str,
    at: Instant | None,
) -> SpanPage:
    """A page in an order other than `live`. It takes as long as needed."""
    where, parameters = condition
    column, way = _sorted_by(sort)
    begin = parse_cursor(sort, cursor)
    after, from_there = ("1", []) if begin is None else begin.after(column, way)
    bound, extra = ("AND started_at <= ?", (at,)) if at is not None else ("", ())
    sql = (
        f"SELECT {column}, {rows.SELECT_SPAN} FROM spans WHERE ({where}) {bound} AND ({after}) "
        f"ORDER BY {order_of(sort)}, key LIMIT ?"
    )
    page = _Page(sort, limit, at)
    page.take(db, sql, (*parameters, *extra, *from_there), 0)
    return page.made()


@dataclass(slots=True)
class _Page:
    """The rows of a page while they are read: one more than its limit, which large rows lower."""

    order: str
    limit: int
    at: Instant | None
    found: list[tuple[Span, Cursor]] = field(default_factory=list)
    size: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.found) > self.limit

    def take(self, db: sqlite3.Connection, sql: str, bound: Sequence[Any], part: int) -> None:
        """Add rows of a statement that ends with LIMIT, until the page is full."""
        for value, *row in db.execute(sql, (*bound, self.limit + 1 - len(self.found))):
            span = rows.span_of(row)
            self.found.append((span, Cursor(part, value, span.key)))
            self.size += len(row[ATTRIBUTES])
            if self.size > PAGE_BYTES:
                self.limit = max(len(self.found) - 1, 1)
            if self.is_full:
                break

    def made(self) -> SpanPage:
        """The spans of the page, and the cursor of the next page if there is more."""
        listed = self.found[: self.limit]
        spans = [span if self.at is None else span.as_of(self.at) for span, _ in listed]
        return SpanPage(spans, cursor_text(self.order, listed[-1][1]) if self.is_full else "")


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a row in a list, after which the next page begins."""

    part: int
    """Number of the part, in a list of several parts one after the other."""
    value: int | str | None
    """The value by which the part is sorted; rows without a value come last."""
    key: str
    """Sorts rows with the same value, from A to Z."""

    def after(self, column: str, way: str) -> tuple[str, list[Any]]:
        """SQL condition for the rows of this part after this one, sorted by `column`, DESC or
        ASC."""
        if self.value is None:
            return f"{column} IS NULL AND key > ?", [self.key]
        beyond = "<" if way == "DESC" else ">"
        rest = f"{column} {beyond}= ? AND ({column} {beyond} ? OR key > ?)"
        return f"({rest}) OR {column} IS NULL", [self.value, self.value, self.key]

    def is_before(self, other: Cursor) -> bool:
        """Whether this one comes before another, in a list sorted DESC by numbers."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, bool, int, str]:
        value = self.value if isinstance(self.value, int) else 0
        return self.part, self.value is None, -value, self.key


def cursor_text(order: str, cursor: Cursor) -> str:
    """A cursor of a list of this order as text; safe in a URL."""
    told = orjson.dumps([order, cursor.part, cursor.value, cursor.key])
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def parse_cursor(order: str, text: str) -> Cursor | None:
    """The cursor of a text; None for an empty one, the beginning. ValueError if it is not from a
    list of this order."""
    if not text:
        return None
    try:
        padded = text + "=" * (-len(text) % 4)
        told = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        told = None
    match told:
        case [str(its), int(part), int() | str() | None as value, str(key)] if its == order:
            if not isinstance(value, int) or abs(value) < 1 << 63:  # what SQLite can compare
                return Cursor(part, value, key)
    raise ValueError("cursor must be one that an answer before this one told, to the same question")
