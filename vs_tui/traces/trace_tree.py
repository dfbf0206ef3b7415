"""A trace as people read it: a tree in time order. Pure layout, no terminal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span

DEEPEST: Final = 60
"""Deepest level that is drawn; deeper spans are drawn at it. A sender could make a chain of
thousands."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tree."""

    span: Span
    depth: int
    lasts: tuple[bool, ...]
    """For each level down to this one: whether the ancestor there is the last of its siblings."""
    children: int
    folded: bool
    below: tuple[Span, ...] = ()
    """Number of rows that folding hides below it."""

    @property
    def hidden(self) -> int:
        return len(self.below)

    @property
    def hidden_failed(self) -> int:
        return sum(span.status.failed for span in self.below)


def children_of(spans: Iterable[Span]) -> dict[str, list[Span]]:
    """Spans by their parent's key, in time order; the empty key holds those whose parent is not in
    the trace."""
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
        rows.append(Row(span, len(lasts), lasts, len(kids), is_folded, tuple(hidden)))
        if not is_folded:
            above = lasts[: DEEPEST - 1]
            waiting += [(kid, (*above, kid is kids[-1])) for kid in reversed(kids)]
    return rows


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
    """First start and last end of a trace; `now` if something is in flight."""
    starts = [span.at for span in spans]
    ends = [end_at(span, now) for span in spans]
    begin, end = min(starts), max(ends)
    return begin, max(end, begin + 1)


def end_at(span: Span, now: Instant) -> Instant:
    """Where a span's bar ends: its end, or `now` while it is in flight."""
    return span.ended_at if span.ended_at is not None else max(now, span.at)


def self_time(span: Span, children: Sequence[Span], now: Instant) -> Duration | None:
    """The time of a span that no child covers; None while its start is unknown."""
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


def next_match(
    rows: Sequence[Row], start: int, matches: Callable[[Row], bool], step: int = 1
) -> int | None:
    """Index of the next row (cyclic) that matches; None without a match."""
    for offset in range(1, len(rows) + 1):
        index = (start + step * offset) % len(rows)
        if matches(rows[index]):
            return index
    return None
