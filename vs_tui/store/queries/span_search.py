"""Searches spans by a filter, newest first, in short turns, so that no list of the dashboard waits
for a scan of a million spans.

A filter may match next to nothing, and no index serves every filter. So a search reads as many
spans as it can in a turn, from the newest backwards, keeps its matches, and continues in the next
turn. Spans that are committed meanwhile are inserted at their place. The search reports how far it
got.
"""

from __future__ import annotations

import re
import sqlite3
import time
from bisect import bisect_right, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vs_tui.log.sqlite_position import generation
from vs_tui.model import filters
from vs_tui.model.filters import Filter, Term
from vs_tui.model.time import MINUTE, Instant
from vs_tui.model.vocabulary import State, Status
from vs_tui.store import rows
from vs_tui.store.queries.filter_sql import FAILED, where
from vs_tui.store.queries.reader_protocol import COUNTED

TURN: Final = 0.015
"""Longest turn in seconds; then a search answers with the matches found so far."""
_FIRST_STEP: Final = 1_000
_LEAST: Final = 250
MOST: Final = 16_000
"""Most rows that are read between two checks of the time."""
_MANY_CHANGED: Final = 2_000
"""With more changes a search starts again."""
_GOOD_FOR: Final = MINUTE
"""How long a search keeps using the instant of its start for terms such as `age<7d`."""
_LATER: Final = 1 << 62
"""An instant after all others."""


@dataclass(slots=True)
class Pace:
    """The number of rows to read between two checks of the time, adapted to the duration of a
    turn."""

    rows: int
    least: int

    def took(self, seconds: float) -> None:
        if seconds < TURN / 4:
            self.rows = min(2 * self.rows, MOST)
        elif seconds > TURN / 2:
            self.rows = max(self.rows // 2, self.least)


Found = tuple[int, int]
"""(negative instant to sort by, rowid): ascending order is newest first."""


class Search:
    """A search for one filter at one moment (None: now). Use it in one thread, with one
    connection."""

    def __init__(
        self,
        text: str,
        at: Instant | None,
        now: Instant,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """FilterError if the text is not a filter."""
        wanted = filters.parse(text)
        self._at = at
        self._began = now
        self._monotonic = monotonic
        self._moves = at is None and any(t.key in filters.COMPARED for t in wanted.terms)
        self._where, self._parameters = listed_where(wanted, now if at is None else at)
        self._reach = reach(wanted, now if at is None else at)
        self._seq = -1
        self._sorted: tuple[str, tuple[object, ...], list[int]] = ("", (), [])
        self._begin()

    def _begin(self) -> None:
        self.open: list[Found] = []
        self.ended: list[Found] = []
        self._pace = Pace(_FIRST_STEP, _LEAST)
        until = self._reach.until if self._at is None else min(self._reach.until, self._at + 1)
        self._down = until if self._reach.ended else self._reach.since
        """Ended spans with an end before this are not searched yet."""
        self._up = self._at if self._at is not None and self._reach.open else _LATER
        """Spans open at the past moment that ended after this are not searched yet."""

    # What is known.

    @property
    def count(self) -> int:
        """Number of matches found so far."""
        return len(self.open) + len(self.ended)

    @property
    def searched(self) -> Instant | None:
        """Spans that ended before this are not searched yet; None if all are."""
        if self._down > self._reach.since or self._up < _LATER:
            return min(self._down, self._began)
        return None

    @property
    def finished(self) -> bool:
        """Whether another turn would find no further matches that are needed."""
        return self.searched is None or self.count >= COUNTED

    def fits(self, now: Instant) -> bool:
        """Whether terms about ages still mean the same as at the start."""
        return not self._moves or abs(now - self._began) < _GOOD_FOR

    def rowids(self) -> list[int]:
        """Row ids of the matches: in flight by start, then ended by end, newest first."""
        return [rowid for _, rowid in (*self.open, *self.ended)]

    def sorted(self, db: sqlite3.Connection, order: str) -> list[int]:
        """Row ids of the matches in another order; sorted again only after a change."""
        state = (self._seq, self._down, self._up, self._at)
        if self._sorted[:2] != (order, state):
            sql = f"SELECT rowid FROM spans WHERE rowid {rows.KEYS} ORDER BY {order}, rowid"
            found = [row[0] for row in rows.select_in(db, sql, self.rowids())]
            self._sorted = (order, state, found)
        return self._sorted[2]

    # Looking.

    def turn(self, db: sqlite3.Connection, enough: int = COUNTED, seconds: float = TURN) -> None:
        """Add committed changes, then search until `enough` matches are found or the time is up."""
        deadline = self._monotonic() + seconds
        self._catch_up(db)
        while self.count < min(enough, COUNTED) and self.searched is not None:
            began = self._monotonic()
            if self._up < _LATER:
                self._look_forward(db)
            if self._down > self._reach.since:
                self._look_back(db)
            now = self._monotonic()
            self._pace.took(now - began)
            if now >= deadline:
                return

    def _catch_up(self, db: sqlite3.Connection) -> None:
        seq = current_seq(db)
        before, self._seq = self._seq, seq
        if seq == before:
            return
        if follows(db, before, seq) and not self._reach.traces:
            sql = "SELECT rowid FROM spans INDEXED BY spans_changed WHERE changed > ? LIMIT ?"
            changed = [row[0] for row in db.execute(sql, (before, _MANY_CHANGED + 1))]
            if len(changed) <= _MANY_CHANGED:
                self._replace(db, changed)
                return
        self._begin()
        if self._reach.traces:
            among = f"trace_id IN ({', '.join('?' * len(self._reach.traces))}) AND derived = 0"
            self.open = sorted(self._open_ones(db, among, self._reach.traces))
            self.ended = sorted(self._ended_ones(db, among, self._reach.traces))
            self._down, self._up = self._reach.since, _LATER
        elif self._reach.open:
            among = "status = 'in_flight' AND derived = 0"
            self.open = sorted(self._open_ones(db, among, (), index="spans_in_flight"))

    def _replace(self, db: sqlite3.Connection, changed: Sequence[int]) -> None:
        """Move changed spans to their new place. Spans that belong to the part not searched yet are
        found there later."""
        gone = set(changed)
        self.open = [found for found in self.open if found[1] not in gone]
        self.ended = [found for found in self.ended if found[1] not in gone]
        among = f"derived = 0 AND rowid {rows.KEYS}"
        bound = [rows.as_json(changed)]
        if self._reach.open:
            met = f"{among} AND (ended_at IS NULL OR ended_at <= ?)"
            for found in self._open_ones(db, met, [*bound, self._up]):
                insort(self.open, found)
        for found in self._ended_ones(db, f"{among} AND ended_at >= ?", [*bound, self._down]):
            insort(self.ended, found)
        if len(self.ended) > 2 * COUNTED:  # a search may be asked again for days
            self._down = -self.ended[COUNTED - 1][0]
            del self.ended[bisect_right(self.ended, (-self._down, _LATER)) :]

    def _look_back(self, db: sqlite3.Connection) -> None:
        """Read the next step of ended spans, towards the oldest."""
        failed = f"{FAILED} AND " if self._reach.failed else ""
        index = "spans_failed" if failed else "spans_ended"
        low = max(
            self._edge(db, index, f"{failed}ended_at < ?", "DESC", self._down, -_LATER),
            self._reach.since,
        )
        among = f"{failed}derived = 0 AND ended_at >= ? AND ended_at < ?"
        self.ended.extend(sorted(self._ended_ones(db, among, [low, self._down], index=index)))
        self._down = low

    def _look_forward(self, db: sqlite3.Connection) -> None:
        """Read the next step of spans that ended after the past moment and may have started before
        it."""
        high = self._edge(db, "spans_ended", "ended_at > ?", "ASC", self._up, _LATER)
        among = "derived = 0 AND ended_at > ? AND ended_at <= ?"
        for found in self._open_ones(db, among, [self._up, high], index="spans_ended"):
            insort(self.open, found)
        self._up = high

    def _edge(
        self, db: sqlite3.Connection, index: str, side: str, way: str, start: int, end: int
    ) -> int:
        """The end time of a span about one step away; `end` if there are fewer spans."""
        sql = (
            f"SELECT ended_at FROM spans INDEXED BY {index} WHERE derived = 0 AND {side} "
            f"ORDER BY ended_at {way} LIMIT 1 OFFSET ?"
        )
        row = db.execute(sql, (start, self._pace.rows)).fetchone()
        return end if row is None else int(row[0])

    def _ended_ones(
        self, db: sqlite3.Connection, among: str, bound: Sequence[Any], *, index: str = ""
    ) -> Iterator[Found]:
        by = f" INDEXED BY {index}" if index else ""
        then, moment = ("", []) if self._at is None else (" AND ended_at <= ?", [self._at])
        sql = (
            f"SELECT -ended_at, rowid FROM spans{by} WHERE {among} AND ended_at IS NOT NULL{then} "
            f"AND ({self._where})"
        )
        return iter(db.execute(sql, (*bound, *moment, *self._parameters)).fetchall())

    def _open_ones(
        self, db: sqlite3.Connection, among: str, bound: Sequence[Any], *, index: str = ""
    ) -> Iterator[Found]:
        by = f" INDEXED BY {index}" if index else ""
        if self._at is None:
            sql = (
                f"SELECT -COALESCE(started_at, 0), rowid FROM spans{by} "
                f"WHERE {among} AND status = 'in_flight' AND ({self._where}) "
                f"ORDER BY started_at DESC LIMIT {COUNTED}"
            )
            return iter(db.execute(sql, (*bound, *self._parameters)).fetchall())
        # A span that ended later was in flight at that moment, without an end (traces.past).
        columns = ", ".join(
            f"{_AS_IT_WAS[name]} AS {name}" if name in _AS_IT_WAS else name
            for name in rows.SPAN_COLUMNS
            if re.search(rf"\b{name}\b", self._where) or name == "started_at"
        )
        sql = (
            f"SELECT -started_at, id FROM (SELECT rowid AS id, {columns} FROM spans{by} "
            f"WHERE {among} AND started_at <= ? AND (ended_at > ? "
            f"OR (ended_at IS NULL AND status = 'in_flight'))) WHERE {self._where}"
        )
        moment = (self._at, self._at)
        return iter(db.execute(sql, (*bound, *moment, *self._parameters)).fetchall())


_AS_IT_WAS: Final = {
    "status": f"'{Status.IN_FLIGHT.value}'",
    "state": f"CASE WHEN ended_at IS NULL THEN state ELSE {int(State.RUNNING)} END",
    "ended_at": "NULL",
    "error": "CASE WHEN ended_at IS NULL THEN error ELSE '' END",
}


def current_seq(db: sqlite3.Connection) -> int:
    """The number of the last commit that changed spans."""
    row = db.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()
    return int(row[0]) if row else 0


def follows(db: sqlite3.Connection, before: int, seq: int) -> bool:
    """Whether the changes since a number are complete: it is from this database, and nothing was
    begun again from the start since."""
    return generation(db) <= before <= seq and before >= 0


def listed_where(wanted: Filter, now: Instant) -> tuple[str, list[Any]]:
    """(condition, parameters) for lists. As `filter_sql.where`, but without phases, unless the
    filter is about kinds, one trace or one span."""
    condition, parameters = where(wanted, now)
    if not {"kind", "trace", "ref"} & {term.key for term in wanted.terms}:
        condition = f"({condition}) AND operation <> 'stage'"
    return condition, parameters


@dataclass(frozen=True, slots=True)
class Reach:
    """The spans that can match, derived from the terms that every match must meet."""

    open: bool = True
    """Whether spans in flight can match."""
    ended: bool = True
    """Whether ended spans can match."""
    failed: bool = False
    """Whether only failed spans can match."""
    since: Instant = -_LATER
    """Matches ended at this instant or later."""
    until: Instant = _LATER
    """Matches ended before this instant."""
    traces: tuple[str, ...] = ()
    """If not empty, matches are in one of these traces."""


def reach(wanted: Filter, now: Instant) -> Reach:
    """The spans that can match a filter; the others need not be read."""
    found = Reach()
    for term in wanted.terms:
        if not term.negated:
            found = _narrowed(found, term, now)
    return found


_OPEN_ONLY: Final = {"in_flight", "inflight", "open", "running", "queued", "waiting", "stale"}
_FAILED_ONLY: Final = {"failed", "error", "timed_out"}
_ENDED_ONLY: Final = {"ok", "cancelled", "ended", *_FAILED_ONLY}


def _narrowed(found: Reach, term: Term, now: Instant) -> Reach:
    values = set(term.values)
    if term.key in ("state", "is"):
        if values <= _OPEN_ONLY:
            return replace(found, ended=False)
        if values <= _FAILED_ONLY:
            return replace(found, open=False, failed=True)
        if values <= _ENDED_ONLY:
            return replace(found, open=False)
    elif term.key in ("age", "fresh"):
        if term.op in ("<", "<="):
            return replace(found, since=max(found.since, now - term.number))
        return replace(found, until=min(found.until, now - term.number + 1))
    elif term.key == "since":
        return replace(found, since=max(found.since, term.number))
    elif term.key == "trace" and not any("*" in value for value in values):
        return replace(found, traces=tuple(value.lower() for value in term.values))
    return found
