"""Align two traces step by step: which steps got slower, and which are in only one of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Final

from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.steps import step_name
from vs_tui.traces.trace_tree import Row, tree

NOTABLE: Final = 0.2
"""A step is slower or faster if its duration changed by more than this share and by at least a
second."""
_EXACT: Final = 400 * 400
"""Most pairs of steps that are compared one by one. Above it, names that occur often align only
next to rare ones; comparing all would take minutes."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One step in both traces, or in one of them."""

    operation: str
    name: str
    first: Duration | None
    second: Duration | None
    verdict: str
    """slower, faster, same, running, only in A, or only in B."""
    depth: int = 0
    """Depth of the step in its tree."""

    @property
    def delta(self) -> Duration | None:
        if self.first is None or self.second is None:
            return None
        return self.second - self.first


def compare(first: Sequence[Span], second: Sequence[Span], now: Instant) -> list[Pair]:
    """Steps in tree order, aligned by kind and name (longest common runs)."""
    a, b = tree(first), tree(second)
    names_a, names_b = ([step_name(row.span) for row in rows] for rows in (a, b))
    pairs: list[Pair] = []
    coarse = len(a) * len(b) > _EXACT
    matcher = SequenceMatcher(None, names_a, names_b, autojunk=coarse)
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            pairs += [_pair(x, y, now) for x, y in zip(a[i1:i2], b[j1:j2], strict=True)]
        else:
            pairs += [_alone(row, "only in A", now) for row in a[i1:i2]]
            pairs += [_alone(row, "only in B", now) for row in b[j1:j2]]
    return pairs


def _pair(a: Row, b: Row, now: Instant) -> Pair:
    operation, name = step_name(a.span)
    first, second = a.span.elapsed(now), b.span.elapsed(now)
    verdict = "same"
    if first is not None and second is not None:
        change = second - first
        if abs(change) > max(NOTABLE * first, SECOND):
            verdict = "slower" if change > 0 else "faster"
        # Of what has not ended only that it is the longer one can be known already.
        longer, other = (b.span, a.span) if change > 0 else (a.span, b.span)
        if other.in_flight or (longer.in_flight and verdict == "same"):
            verdict = "running"
    return Pair(operation, name, first, second, verdict, min(a.depth, b.depth))


def _alone(row: Row, where: str, now: Instant) -> Pair:
    operation, name = step_name(row.span)
    took = row.span.elapsed(now)
    return Pair(
        operation,
        name,
        took if where == "only in A" else None,
        took if where == "only in B" else None,
        where,
        row.depth,
    )
