"""The list of traces: its rows, their order, and what a filter leaves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.model import filters
from vs_tui.model.filters import Filter, Term
from vs_tui.model.limits import DEFAULT_THRESHOLDS
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.next_action import Section
from vs_tui.traces.standing import Standing, matches_text
from vs_tui.traces.trace_facts import severity_rank

ORDERS: Final = ("state", "over", "person", "project", "name")
"""Sort orders of the rows in a section; the first is each section's default."""
Member = tuple[Standing, Sequence[Span]]
"""A row and the spans of its trace."""


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of rows."""

    sections: Mapping[str, int] = field(default_factory=dict)
    """Section -> rows."""
    long: int = 0
    """Rows that wait or run for at least one and a half times the usual time."""
    jobs_done: int = 0
    jobs: int = 0
    """Jobs of the runs in flight."""
    deploys: int = 0
    """Deploys in flight."""

    def of(self, section: Section) -> int:
        return self.sections.get(section.value, 0)

    @property
    def listed(self) -> int:
        """The rows without those on which work has not begun."""
        return sum(self.sections.values()) - self.of(Section.NOT_STARTED)

    @property
    def open(self) -> int:
        """The listed rows without those that have just finished."""
        return self.listed - self.of(Section.FINISHED)


@dataclass(frozen=True, slots=True)
class Board:
    """The rows that a filter leaves of the open and just finished traces."""

    rows: Sequence[Standing]
    """Section by section; within each in the order of that section."""
    matched: Totals
    everything: Totals
    """Totals without the filter."""
    outside: frozenset[str] = frozenset()
    """Ids of incidents that are listed although the filter leaves them out."""
    terms: Mapping[str, int] = field(default_factory=dict)
    """Number of rows that match each term alone; filled only if no row matches all terms."""


def board(
    members: Iterable[Member],
    text: str,
    now: Instant,
    *,
    finished_for: Duration = DEFAULT_THRESHOLDS.finished_for,
) -> Board:
    """The rows that match a filter; ValueError as in `filters.parse`."""
    wanted = filters.parse(text, traces=True)
    listed = [m for m in members if _is_current(m[0], now, finished_for)]
    everything = totals((row for row, _ in listed), now)
    found, matched, others = listed, everything, []
    if wanted.terms:
        found = [m for m in listed if matches(wanted, m, now)]
        matched = totals((row for row, _ in found), now)
        kept = {row.trace_id for row, _ in found}
        incidents = [m for m in listed if m[0].section is Section.INCIDENT]
        others = [m for m in incidents if m[0].trace_id not in kept]
    terms = {}
    if wanted.terms and not found:
        for term in wanted.terms:
            alone = Filter((term,))
            terms[str(term)] = sum(matches(alone, m, now) for m in listed)
    rows = sorted((row for row, _ in [*found, *others]), key=lambda r: _place(r, now))
    return Board(
        rows,
        matched,
        everything,
        frozenset(row.trace_id for row, _ in others),
        terms,
    )


def totals(rows: Iterable[Standing], now: Instant) -> Totals:
    """The counts of some rows."""
    sections: dict[str, int] = dict.fromkeys((section.value for section in Section), 0)
    long = done = jobs = deploys = 0
    for row in rows:
        sections[row.section.value] += 1
        long += row.section is Section.WAITING and row.is_long(now)
        if row.section is Section.RUNNING:
            ci = row.cells[3]
            if ci.mark in ("running", "expected", "failed") and ci.all:
                jobs += ci.all
                done += ci.done if ci.mark != "failed" else 0
            deploys += row.action.verb == "deploy"
    return Totals(sections, long, done, jobs, deploys)


def ordered(rows: Sequence[Standing], order: str, now: Instant) -> list[Standing]:
    """Rows in another order within their sections; a leading `-` reverses it."""
    if order == ORDERS[0]:
        return list(rows)
    name = order.lstrip("-")
    keys: Mapping[str, Callable[[Standing], Any]] = {
        "over": lambda r: -(r.over(now) or 0),
        "person": lambda r: (not r.action.who, r.action.who),
        "project": lambda r: (r.project, r.label, r.title),
        "name": lambda r: (r.label, r.title.lower()),
    }
    found: list[Standing] = []
    for section in Section:
        part = [row for row in rows if row.section is section]
        if name in keys:
            part.sort(key=keys[name])
        found += reversed(part) if order.startswith("-") else part
    return found


def matches(wanted: Filter, member: Member, now: Instant) -> bool:
    """Whether one span matches all terms about spans, and the trace all terms about traces."""
    row, spans = member
    own = [term for term in wanted.terms if _is_of_trace(term)]
    if not all(_holds(term, row, spans, now) != term.negated for term in own):
        return False
    rest = Filter(tuple(term for term in wanted.terms if not _is_of_trace(term)))
    return not rest.terms or any(rest.matches(span, now) for span in spans)


def _is_of_trace(term: Term) -> bool:
    if term.key == "is":
        return all(value in filters.TRACE_FLAGS for value in term.values)
    return term.key in filters.TRACE_KEYS or term.key in ("", "team")


def _holds(term: Term, row: Standing, spans: Sequence[Span], now: Instant) -> bool:
    action = row.action
    if term.key == "":
        alone = Filter((Term("", "", term.values),))
        return matches_text(row, term.values[0]) or any(alone.matches(s, now) for s in spans)
    if term.key == "wait":
        waited = row.waited(now) if row.section is Section.WAITING else None
        return waited is not None and filters.compare(waited, term.op, term.number)
    if term.key == "over":
        ratio = row.over(now)
        return ratio is not None and filters.compare(round(1_000 * ratio), term.op, term.number)
    if term.key == "is":
        flags = {
            "long": row.is_long(now),
            "silent": action.rule == "silent",
            "quiet": row.is_quiet(now),
        }
        return any(flags[value] for value in term.values)
    texts: Sequence[str] = {
        "section": (row.section.value, row.section.value.replace("_", "-")),
        "next": action.who or ((action.nobody,) if action.nobody else ()),
        "step": (action.verb, action.verb.replace(" ", "_"), action.what),
        "team": (row.team, *(span.team for span in spans)),
    }[term.key]
    return any(filters.glob_matches(text, value) for text in texts for value in term.values)


def _is_current(row: Standing, now: Instant, finished_for: Duration) -> bool:
    ended = row.action.since
    return row.section is not Section.FINISHED or (ended or 0) > now - finished_for


_SECTIONS: Final = {section: place for place, section in enumerate(Section)}


def _place(row: Standing, now: Instant) -> tuple[Any, ...]:
    """Sort key: running rows by begin, so that new rows come last; waiting rows longest first;
    finished rows newest first. Quiet rows and starts in the future come last."""
    since = row.action.since or now
    first: Any = 0
    if row.section is Section.INCIDENT:
        step = row.action.step
        first = severity_rank(step) if step is not None else 9
    elif row.section is Section.FINISHED:
        since = -since
    elif row.section is Section.WAITING:
        first = row.is_quiet(now)
    return _SECTIONS[row.section], first, since, row.trace_id
