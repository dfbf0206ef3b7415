"""Searches and counts deliveries in short turns, as `span_search` does for spans, by the filter of
the Events view.

Plain words of the filter match several columns; `source:`, `verdict:`, `kind:` and `reason:` match
one. `span:` finds the deliveries of a span; `since:` and `until:` limit the time of receipt.
"""

from __future__ import annotations

import shlex
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vs_tui.model.filters import MAX_LENGTH, MAX_TERMS, MAX_VALUES, moment
from vs_tui.model.time import MINUTE, Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.filter_sql import escaped
from vs_tui.store.queries.read_deliveries import DELIVERY, REJECTION, delivery_row
from vs_tui.store.queries.reader_protocol import COUNTED, DeliveryPage, DeliveryRow, Tally
from vs_tui.store.queries.span_search import MOST, TURN, Pace
from vs_tui.store.rows import KEYS, select_in

_FIELDS: Final = {"source": "source", "verdict": "verdict", "kind": "kind", "reason": "reason"}
_EXAMPLES: Final = {
    "source": "github",
    "verdict": "rejected",
    "kind": "pull_request",
    "reason": "signature",
}
_OF_SPAN: Final = (
    "instr(keys, json_quote(COALESCE("
    "(SELECT s.key FROM spans s WHERE s.short_ref = ? AND s.short_ref <> s.key "
    "ORDER BY s.started_at DESC, s.key LIMIT 1), "
    "(SELECT s.key FROM spans s WHERE s.full_ref = ? AND s.full_ref <> '' "
    "ORDER BY s.started_at DESC, s.key LIMIT 1), "
    "(SELECT MIN(o.key) FROM offers o WHERE o.token = 'ref:' || ?), ?)))"
)
"""SQL: finds deliveries by the span's key or displayed ref, including refs from before a rename."""
_MOMENTS: Final = {"since": ">=", "until": "<="}


def delivery_where(text: str) -> tuple[str, list[str | int]]:
    """(condition, parameters) over deliveries; ValueError says what is accepted."""
    conditions: list[str] = []
    parameters: list[str | int] = []
    for negated, term in _terms(text):
        name, colon, value = term.partition(":")
        if colon and name in _FIELDS:
            wanted = _values(name, value)
            condition = " OR ".join(f"{_FIELDS[name]} LIKE ? ESCAPE '\\'" for _ in wanted)
            parameters.extend(_like(v, exact=name != "reason") for v in wanted)
        elif colon and name == "span":
            condition = _OF_SPAN
            parameters.extend([_span(value)] * 4)
        elif colon and name in _MOMENTS:
            condition = f"received_at {_MOMENTS[name]} ?"
            parameters.append(moment(name, value))
        elif colon and name.isidentifier():
            known = ", ".join((*_FIELDS, "span", *_MOMENTS))
            raise ValueError(f"'{name}:' is not known here; use {known} or plain words")
        else:
            condition = " OR ".join(f"{column} LIKE ? ESCAPE '\\'" for column in _FIELDS.values())
            parameters.extend([_like(term, exact=False)] * len(_FIELDS))
        conditions.append(f"NOT ({condition})" if negated else f"({condition})")
    return " AND ".join(conditions) or "1", parameters


@dataclass(frozen=True, slots=True)
class Reach:
    """The rows that can match, derived from the terms that every match must meet."""

    stored: bool = True
    refused: bool = True
    since: Instant = 0


def delivery_reach(text: str) -> Reach:
    """The rows that can match a filter; the others need not be read. ValueError as
    `delivery_where`."""
    stored = refused = True
    since = 0
    for negated, term in _terms(text):
        name, _, value = term.partition(":")
        if negated:
            continue
        if name == "verdict" and "*" not in value:
            wanted = {v.lower() for v in _values(name, value)}
            stored = stored and wanted != {Verdict.REJECTED.value}
            refused = refused and Verdict.REJECTED.value in wanted
        elif name == "span":
            refused = False  # a refused request makes no span
        elif name == "since":
            since = max(since, moment(name, value))
    return Reach(stored, refused, since)


def _terms(text: str) -> Iterator[tuple[bool, str]]:
    """(negated, term) of each term in the filter."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"the filter has {len(text)} characters; it can have {MAX_LENGTH}")
    try:
        words = shlex.split(text)
    except ValueError:
        raise ValueError('a quote is not closed; write it like "two words"') from None
    if len(words) > MAX_TERMS or sum(word.count(",") for word in words) > MAX_VALUES:
        raise ValueError(
            f"the filter has more than {MAX_TERMS} terms or {MAX_VALUES} values; leave some out"
        )
    for word in words:
        negated = word.startswith("-") and len(word) > 1
        yield negated, word[1:] if negated else word


def _values(name: str, value: str) -> list[str]:
    wanted = [v for v in value.split(",") if v]
    if not wanted:
        raise ValueError(f"'{name}:' needs a value; such as {name}:{_EXAMPLES[name]}")
    if name == "verdict":
        known = [verdict.value for verdict in Verdict]
        unknown = next((v for v in wanted if "*" not in v and v.lower() not in known), None)
        if unknown is not None:
            raise ValueError(f"verdict: '{unknown}' is not known; use {', '.join(known)}")
    return wanted


def _span(value: str) -> str:
    if not value:
        raise ValueError("'span:' needs a value; such as span:vstrace-github-deploy-api-7")
    return value


def _like(value: str, *, exact: bool) -> str:
    return escaped(value).replace("*", "%") if exact else f"%{escaped(value)}%"


_FIRST_STEP: Final = 500
_LEAST: Final = 50
_GOOD_FOR: Final = MINUTE
"""How long matches are kept. A delivery is seldom parsed again, and may then match differently."""
_BEYOND: Final = 1 << 62
_CLOCK_SET_BACK: Final = 10 * MINUTE
"""Largest disorder of deliveries that is expected after a clock was set back."""


class DeliverySearch:
    """A search for one filter, with one connection. Use it in one thread."""

    def __init__(
        self, text: str, now: Instant, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """ValueError if the text is not a filter."""
        self._where, self._parameters = delivery_where(text)
        self._reach = delivery_reach(text)
        self._began = now
        self._monotonic = monotonic
        self._ids: list[int] = []
        """Ids of the matches, newest first."""
        self._top = 0
        """The newest id that was searched."""
        self._next = _BEYOND
        """The oldest id that was searched."""
        self._searched: Instant | None = now
        self._pace = Pace(_FIRST_STEP, _LEAST)

    def fits(self, now: Instant) -> bool:
        """Whether the kept matches are recent enough."""
        return abs(now - self._began) < _GOOD_FOR

    def page(self, db: sqlite3.Connection, limit: int, seconds: float = TURN) -> DeliveryPage:
        """Search until `COUNTED` matches are found or the time is up. Returns the newest
        matches."""
        deadline = self._monotonic() + seconds
        refused = self._refused(db) if self._reach.refused else []
        self._look_at_new(db)
        while self._searched is not None and len(self._ids) < COUNTED:
            began = self._monotonic()
            self._look_back(db)
            now = self._monotonic()
            self._pace.took(now - began)
            if now >= deadline:
                break
        sql = f"{DELIVERY} WHERE id {KEYS} ORDER BY id DESC"
        stored = [delivery_row(row) for row in select_in(db, sql, self._ids[:limit])]
        found = sorted([*stored, *refused], key=lambda r: (r.received_at, r.id), reverse=True)
        matched = len(self._ids) + len(refused)
        unsure = self._searched is not None
        return DeliveryPage(
            found[:limit],
            min(matched, COUNTED),
            more=unsure or matched > COUNTED,
            searched=self._searched if unsure and len(self._ids) < COUNTED else None,
        )

    def _refused(self, db: sqlite3.Connection) -> list[DeliveryRow]:
        # There are few, because only the latest are kept.
        sql = f"SELECT * FROM ({REJECTION}) WHERE ({self._where}) ORDER BY received_at DESC"
        return [delivery_row(row) for row in db.execute(sql, self._parameters)]

    def _look_at_new(self, db: sqlite3.Connection) -> None:
        row = db.execute("SELECT MAX(id) FROM deliveries").fetchone()
        newest = int(row[0] or 0)
        if newest < self._top or self._next == _BEYOND or newest - self._top > MOST:
            # The first search, another database, or more rows than fit into a turn.
            self._ids, self._top, self._next = [], newest, newest + 1
            self._searched = self._began if newest and self._reach.stored else None
        elif newest > self._top and self._reach.stored:
            fresh = self._matching(db, self._top + 1, newest)
            self._ids[:0] = fresh
        self._top = newest

    def _look_back(self, db: sqlite3.Connection) -> None:
        low = max(self._next - self._pace.rows, 1)
        self._ids += self._matching(db, low, self._next - 1)
        self._next = low
        # Ids and times of receipt grow together, unless a clock was set back.
        row = db.execute(
            "SELECT received_at FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1", (low,)
        ).fetchone()
        at = int(row[0]) if row is not None else 0
        oldest = db.execute("SELECT MIN(id) FROM deliveries").fetchone()[0] or 0
        over = low <= oldest or at < self._reach.since - _CLOCK_SET_BACK
        self._searched = None if over else at

    def _matching(self, db: sqlite3.Connection, low: int, high: int) -> list[int]:
        sql = (
            f"SELECT id FROM deliveries WHERE id BETWEEN ? AND ? AND ({self._where}) "
            "ORDER BY id DESC"
        )
        return [row[0] for row in db.execute(sql, (low, high, *self._parameters))]


class Counting:
    """Counts the deliveries of a time range by source and verdict. It reads the deliveries from
    before the first turn once; later ones are the difference of the totals that the store keeps
    anyway."""

    def __init__(
        self,
        since: Instant,
        until: Instant | None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`until` None means that the range has no end."""
        self._since = since
        self._until = until
        self._monotonic = monotonic
        self._counted: Counter[tuple[str, str]] = Counter()
        self._totals: Counter[tuple[str, str]] | None = None
        self._next = 0
        self._last = -1
        self._pace = Pace(_FIRST_STEP, _LEAST)

    def fits(self, _: Instant) -> bool:
        """Always True: later deliveries are added."""
        return True

    def tally(self, db: sqlite3.Connection, seconds: float = TURN) -> Tally:
        """The counts after another turn."""
        deadline = self._monotonic() + seconds
        totals = _totals(db)
        if self._totals is None:
            self._begin(db, totals)
        while self._next <= self._last and self._monotonic() < deadline:
            began = self._monotonic()
            self._count(db)
            self._pace.took(self._monotonic() - began)
        found = Counter(self._counted)
        if self._until is None and self._totals is not None:
            for name, number in totals.items():
                found[name] += number - self._totals[name]
        counts: dict[str, dict[str, int]] = {}
        for (source, verdict), number in sorted(found.items()):
            if number > 0:
                counts.setdefault(source, {})[verdict] = number
        return Tally(counts, self._came_to(db) if self._next <= self._last else None)

    def _came_to(self, db: sqlite3.Connection) -> Instant:
        sql = "SELECT received_at FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1"
        row = db.execute(sql, (self._next,)).fetchone()
        return int(row[0]) if row is not None else self._since

    def _begin(self, db: sqlite3.Connection, totals: Counter[tuple[str, str]]) -> None:
        self._totals = totals
        self._last = int(db.execute("SELECT MAX(id) FROM deliveries").fetchone()[0] or 0)
        self._next = first_since(db, self._since - _CLOCK_SET_BACK)
        sql = (
            "SELECT source, COUNT(*) + SUM(repeats) FROM rejections "
            "WHERE received_at BETWEEN ? AND ? GROUP BY source"
        )
        for source, number in db.execute(sql, self._bounds):
            self._counted[source, Verdict.REJECTED.value] += number

    @property
    def _bounds(self) -> tuple[Instant, Instant]:
        return self._since, _BEYOND if self._until is None else self._until

    def _count(self, db: sqlite3.Connection) -> None:
        high = self._next + self._pace.rows
        sql = (
            "SELECT source, verdict, COUNT(*), SUM(duplicates) FROM deliveries "
            "WHERE id >= ? AND id < ? AND id <= ? AND received_at BETWEEN ? AND ? "
            "GROUP BY source, verdict"
        )
        for source, verdict, number, repeats in db.execute(
            sql, (self._next, high, self._last, *self._bounds)
        ):
            self._counted[source, verdict] += number
            self._counted[source, Verdict.DUPLICATE.value] += repeats
        self._next = high


def first_since(db: sqlite3.Connection, since: Instant) -> int:
    """The id from which on deliveries were received at an instant or later. It is found by
    bisection, because ids and times of receipt grow together."""
    # Two subqueries read the ends of an index; MIN and MAX in one SELECT would scan.
    ends = "SELECT (SELECT MIN(id) FROM deliveries), (SELECT MAX(id) FROM deliveries)"
    low, high = db.execute(ends).fetchone()
    if low is None:
        return 1
    high += 1
    sql = "SELECT id, received_at FROM deliveries WHERE id >= ? ORDER BY id LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        row = db.execute(sql, (middle,)).fetchone()
        if row is None or row[1] >= since:
            high = middle
        else:
            low = row[0] + 1
    return int(low)


def _totals(db: sqlite3.Connection) -> Counter[tuple[str, str]]:
    sql = "SELECT source, verdict, n FROM counts"
    return Counter({(source, verdict): n for source, verdict, n in db.execute(sql)})
