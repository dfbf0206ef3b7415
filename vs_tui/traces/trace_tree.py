"""A trace as people read it: a tree in time order, its critical path, its waits.

Pure layout, no terminal: the waterfall, the JSON export and the reports draw from it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import MINUTE, Duration, Instant
from vs_tui.model.vocabulary import Link, Rule, Span

GAP_MINIMUM: Final = MINUTE
"""Waits shorter than a minute are not named."""
DEEPEST: Final = 60
"""What is further down stands there: nobody counts as many levels, and a sender could make a chain
of thousands."""
EFFECTS: Final = frozenset({Rule.PROXIMITY, Rule.SHIPS})
"""Links that never make a parent and yet tell how a delivery went on."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree."""

    span: Span
    depth: int
    lasts: tuple[bool, ...]
    """For each level above and this one: whether it is the last of its siblings."""
    children: int
    folded: bool
    hidden: int
    """Spans that folding hides below it."""
    hidden_failed: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which nothing ran, between what ended and what began next."""

    name: str
    begins: Instant
    ends: Instant
    until: str
    """Key of the span that ended it."""

    @property
    def duration(self) -> Duration:
        return self.ends - self.begins


def children_of(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans by their parent's key, in time order; `` holds those without a parent here."""
    known = list(spans)
    keys = {span.key for span in known}
    found: dict[str, list[Span]] = {}
    for span in known:
        parent = span.parent_key if span.parent_key in keys else ""
        found.setdefault(parent, []).append(span)
    for siblings in found.values():
        siblings.sort(key=lambda s: (s.at, s.operation != "stage", s.key))
    return found


def tree(spans: Sequence[Span], folded: Collection[str] = ()) -> list[Row]:
    """Rows from top to bottom. A span whose parent is missing stands at the top: never hidden.

    `folded` holds the keys whose descendants are not shown.
    """
    below = children_of(spans)
    rows: list[Row] = []
    seen: set[str] = set()
    waiting: list[tuple[Span, tuple[bool, ...]]] = [(s, ()) for s in reversed(below.get("", []))]
    while waiting:
        span, lasts = waiting.pop()
        if span.key in seen:
            continue
        seen.add(span.key)
        kids = below.get(span.key, [])
        is_folded = span.key in folded and bool(kids)
        hidden = _descendants(span.key, below) if is_folded else []
        failed = sum(s.status.failed for s in hidden)
        rows.append(Row(span, len(lasts), lasts, len(kids), is_folded, len(hidden), failed))
        if not is_folded:
            above = lasts[: DEEPEST - 1]
            waiting += [(kid, (*above, kid is kids[-1])) for kid in reversed(kids)]
    return rows


def with_effects(
    spans: Sequence[Span], links: Iterable[Link], linked: Iterable[Span]
) -> tuple[list[Span], frozenset[str]]:
    """The spans of a trace, and below them what they led to in other traces: the incident after a
    deploy, the deploy that shipped a merged pull request. Those are no children (the link is a
    hint or one of several), so their keys are told apart.
    """
    inside = {span.key for span in spans}
    outside = {span.key: span for span in linked if span.key not in inside}
    below: dict[str, str] = {}
    for link in links:
        if link.rule in EFFECTS and link.parent in inside and link.child in outside:
            below[link.child] = min(below.get(link.child, link.parent), link.parent)
    effects = [outside[child]._replace(parent_key=parent) for child, parent in below.items()]
    return [*spans, *effects], frozenset(below)


def _descendants(key: str, below: Mapping[str, Sequence[Span]]) -> list[Span]:
    found: dict[str, Span] = {}
    waiting = list(below.get(key, ()))
    while waiting:
        span = waiting.pop()
        if span.key not in found:
            found[span.key] = span
            waiting.extend(below.get(span.key, ()))
    return list(found.values())


def bounds(spans: Sequence[Span], now: Instant) -> tuple[Instant, Instant]:
    """First start and last end of a trace; `now` where something is in flight."""
    starts = [span.at for span in spans]
    ends = [end_at(span, now) for span in spans]
    begin, end = min(starts), max(ends)
    return begin, max(end, begin + 1)


def end_at(span: Span, now: Instant) -> Instant:
    """Where a span's bar ends: its end, or `now` while it is in flight."""
    return span.ended_at if span.ended_at is not None else max(now, span.at)


def critical_path(spans: Sequence[Span], now: Instant) -> list[Span]:
    """The spans that decided when the trace ended, first to last.

    Walks back from the latest end: what finished last before the current one began is what it
    waited for. A delivery's deploy begins after its change has ended, so nothing is cut off at
    its parent's end (tracing tools do that, and lose it). Only leaves count: a parent that lasts
    as long as its children explains nothing.
    """
    parents = {span.parent_key for span in spans}
    leaves = [span for span in spans if span.key not in parents and span.started_at is not None]
    leaves.sort(key=lambda s: (end_at(s, now), s.at, s.key))
    ends = [end_at(span, now) for span in leaves]
    path: list[Span] = []
    index = len(leaves) - 1
    while index >= 0:
        path.append(leaves[index])
        # A tool's clock may tell an end before its start.
        began = min(leaves[index].at, ends[index])
        index = bisect_right(ends, began, 0, index) - 1
    return path[::-1]


def self_time(span: Span, children: Sequence[Span], now: Instant) -> Duration | None:
    """Time of a span that none of its children covers; None while its start is unknown."""
    if span.started_at is None:
        return None
    begin, end = span.started_at, end_at(span, now)
    covered, position = 0, begin
    for child in sorted(children, key=lambda c: c.at):
        start, stop = max(child.at, position), min(end_at(child, now), end)
        if stop > start:
            covered += stop - start
            position = stop
    return max(end - begin - covered, 0)


def gaps(spans: Sequence[Span], now: Instant) -> list[Gap]:
    """Named waits of a trace: times in which no build, deploy or review was under way.

    An issue or a change being open is not work; what lies between its steps is a wait.
    """
    work = [
        s
        for s in spans
        if s.operation not in ("issue", "pull_request", "sprint", "stage", "incident")
    ]
    begun = (s for s in work if s.started_at is not None)
    # A pipeline begins with its first build: the wait was for the pipeline.
    work = sorted(begun, key=lambda s: (s.at, s.operation != "pipeline", s.key))
    found: list[Gap] = []
    change = next((s for s in spans if s.operation == "pull_request"), None)
    reached = change.started_at if change and change.started_at is not None else None
    for span in work:
        if reached is not None and span.at - reached >= GAP_MINIMUM:
            found.append(Gap(_gap_name(span, change, reached), reached, span.at, span.key))
        end = end_at(span, now)
        reached = end if reached is None else max(reached, end)
    return found


def _gap_name(span: Span, change: Span | None, began: Instant) -> str:
    merged = change.ended_at if change is not None else None
    if span.operation == "review":
        return "review wait"
    if merged is not None and began <= merged <= span.at and span.operation != "deploy":
        after = span.at - merged > merged - began
        return f"merge → {span.operation}" if after else "merge wait"
    if span.operation == "deploy":
        return "merge → deploy" if merged is not None and merged <= span.at else "deploy wait"
    return f"wait for {span.operation.replace('_', ' ')}"


def next_match(
    rows: Sequence[Row], start: int, matches: Callable[[Row], bool], step: int = 1
) -> int | None:
    """Index of the next row (cyclic) that matches, None when none does."""
    for offset in range(1, len(rows) + 1):
        index = (start + step * offset) % len(rows)
        if matches(rows[index]):
            return index
    return None
