"""The list of traces: its rows, their order, and what a filter leaves."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
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
SHOWN: Final = ("vs.incident.severity", "vs.issue.severity")
"""Attributes of a row's spans that are shown."""
Having = Callable[[Filter], Container[str]]
"""Returns the ids of the traces of which one span matches a filter."""


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
    version: str = field(default="", compare=False)
    """Name of this state of the list; empty for a past moment or the spans of one team."""
    unchanged: Mapping[str, int] = field(default_factory=dict)
    """Id -> place of the rows that are as in the version that the caller has."""


def without_details(row: Standing) -> Standing:
    """The row with those attributes of its two spans that are shown."""
    step = row.action.step
    root = of_row(row.root)
    if step is None:
        return replace(row, root=root)
    kept = root if step is row.root else of_row(step)
    return replace(row, root=root, action=replace(row.action, step=kept))


def of_row(span: Span) -> Span:
    """The span with those attributes that a row shows."""
    kept = {name: span.attributes[name] for name in SHOWN if name in span.attributes}
    return span._replace(attributes=kept)


def board(
    rows: Iterable[Standing],
    text: str,
    now: Instant,
    having: Having,
    *,
    finished_for: Duration = DEFAULT_THRESHOLDS.finished_for,
) -> Board:
    """The rows that match a filter; ValueError as in `filters.parse`."""
    wanted = filters.parse(text, traces=True)
    listed = [row for row in rows if is_current(row, now, finished_for)]
    everything = totals(listed, now)
    found, matched, others = listed, everything, []
    if wanted.terms:
        found = matching(wanted, listed, now, having)
        matched = totals(found, now)
        kept = {row.trace_id for row in found}
        incidents = [row for row in listed if row.section is Section.INCIDENT]
        others = [row for row in incidents if row.trace_id not in kept]
    terms = {}
    if wanted.terms and not found:
        for term in wanted.terms:
            terms[str(term)] = len(matching(Filter((term,)), listed, now, having))
    return Board(
        sorted([*found, *others], key=lambda row: _place(row, now)),
        matched,
        everything,
        frozenset(row.trace_id for row in others),
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


def matching(
    wanted: Filter, rows: Iterable[Standing], now: Instant, having: Having
) -> list[Standing]:
    """The rows of which one span matches all terms about spans, and the trace all terms about
    traces."""
    own = [(_test(term, now, having), term.negated) for term in wanted.terms if _is_of_trace(term)]
    rest = Filter(tuple(term for term in wanted.terms if not _is_of_trace(term)))
    among = having(rest) if rest.terms else None
    return [
        row
        for row in rows
        if (among is None or row.trace_id in among)
        and all(holds(row) != negated for holds, negated in own)
    ]


def _is_of_trace(term: Term) -> bool:
    if term.key == "is":
        return all(value in filters.TRACE_FLAGS for value in term.values)
    return term.key in filters.TRACE_KEYS or term.key in ("", "team")


def _test(term: Term, now: Instant, having: Having) -> Callable[[Standing], bool]:
    """The test of a term about traces, as if it was not negated."""
    if term.key in ("", "team"):
        among = having(Filter((replace(term, negated=False),)))
        if term.key == "team":
            return lambda row: row.trace_id in among
        return lambda row: row.trace_id in among or matches_text(row, term.values[0])
    return lambda row: _holds(term, row, now)


def _holds(term: Term, row: Standing, now: Instant) -> bool:
    action = row.action
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
    }[term.key]
    return any(filters.glob_matches(text, value) for text in texts for value in term.values)


def is_current(row: Standing, now: Instant, finished_for: Duration) -> bool:
    """Whether a trace is listed: it is open, or has finished within `finished_for`."""
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
