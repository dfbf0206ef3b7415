"""The steps of a trace: as a tree in time order, compared with those of another trace, and those
that a run in flight has not begun yet.

What is not begun is expected from earlier runs of the series: nothing counts it, and it disappears
when the run ends.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from statistics import median
from typing import Final

from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span

RUNS: Final = 10
"""Number of latest successes that are looked at."""
FEWEST: Final = 3
"""Fewest past runs from which steps are predicted."""
MOST: Final = 12
"""Most steps predicted for one run."""
NO_RUNS: Final = frozenset({"issue", "pull_request", "sprint", "incident", "release"})
"""Operations that people keep open as long as they need: their steps have no usual place."""
_NO_STEPS: Final = frozenset({"issue", "pull_request", "sprint", "incident", "review", "push"})
_STATES: Final = frozenset({"queued", "waiting", "running"})
"""Phases that only say that a run is in progress."""


def step_name(span: Span) -> tuple[str, str]:
    """The key that aligns steps of different traces: kind and name, without numbers of the run."""
    names = span.attributes
    label = names.get("cicd.pipeline.task.name") or names.get("cicd.pipeline.name")
    if span.operation == "deploy":
        label = f"{span.service} to {span.environment}" if span.service else span.environment
    if span.operation in ("issue", "pull_request", "push", "review", "incident"):
        label = span.operation.replace("_", " ")
    return span.operation, str(label or span.name)


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step of a successful run."""

    operation: str
    name: str
    """The name without numbers of the run."""
    offset: Duration
    """Time from the run's begin to the step's begin."""
    length: Duration


PastRun = tuple[PastStep, ...]
"""The steps of one successful run, by begin."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A predicted step and its place."""

    operation: str
    name: str
    begins: Instant
    ends: Instant
    n: int
    """Past runs that had it."""
    of: int
    """Past runs looked at."""


def steps_of(run: Span, children: Iterable[Span]) -> PastRun:
    """The steps of an ended run, for the prediction of the next."""
    if run.started_at is None:
        return ()
    found = [
        PastStep(*step_name(child), child.started_at - run.started_at, child.duration)
        for child in children
        if child.started_at is not None and child.duration is not None and _is_step(child)
    ]
    return tuple(sorted(found, key=lambda step: (step.offset, step.operation, step.name)))


def has_steps(span: Span) -> bool:
    """Whether steps can be predicted for this span."""
    return span.in_flight and span.started_at is not None and span.operation not in NO_RUNS


def upcoming(
    run: Span, children: Iterable[Span], past: Sequence[PastRun], now: Instant
) -> list[Upcoming]:
    """The steps that at least half of the past runs had and this one has not begun, in order. A
    step is left out if it always came before one that has begun. Places are medians; if the run is
    late, a step begins now at the earliest, and after the step it waits for."""
    if not has_steps(run) or run.started_at is None or len(past) < FEWEST:
        return []
    begun = {step_name(child) for child in children}
    firsts = [_first_of_each(steps) for steps in past]
    expected: list[tuple[Duration, Duration, tuple[str, str], int]] = []
    for name in {name for steps in firsts for name in steps} - begun:
        had = [steps[name] for steps in firsts if name in steps]
        if 2 * len(had) >= len(past) and not _left_out(name, begun, firsts):
            offset = round(median(step.offset for step in had))
            expected.append((offset, round(median(step.length for step in had)), name, len(had)))
    found: list[Upcoming] = []
    ends: list[tuple[Duration, Instant]] = []
    """(end of a step in the past run, expected end now) of each step."""
    for offset, length, step, n in sorted(expected)[:MOST]:
        waits = [will for did, will in ends if did <= offset]
        begins = max([run.started_at + offset, now, *waits])
        ends.append((offset + length, begins + length))
        found.append(Upcoming(*step, begins, begins + length, n, len(past)))
    return found


def _is_step(span: Span) -> bool:
    return span.operation not in _NO_STEPS and not (
        span.operation == "stage" and span.name in _STATES
    )


def _first_of_each(steps: PastRun) -> Mapping[tuple[str, str], PastStep]:
    return {(step.operation, step.name): step for step in reversed(steps)}


def _left_out(
    name: tuple[str, str],
    begun: Iterable[tuple[str, str]],
    past: Sequence[Mapping[tuple[str, str], PastStep]],
) -> bool:
    """Whether a step has begun that came after this one in every past run."""
    for other in begun:
        both = [steps for steps in past if name in steps and other in steps]
        if both and all(steps[name].offset < steps[other].offset for steps in both):
            return True
    return False


# Two traces step by step.

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


# The tree in which people read a trace.

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
    """The spans that folding hides below it."""

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
        hidden = tuple(within(span, below))[1:] if is_folded else ()
        rows.append(Row(span, len(lasts), lasts, len(kids), is_folded, hidden))
        if not is_folded:
            above = lasts[: DEEPEST - 1]
            waiting += [(kid, (*above, kid is kids[-1])) for kid in reversed(kids)]
    return rows


def within(span: Span, below: Mapping[str, Sequence[Span]]) -> Iterator[Span]:
    """A span and all spans below it, each once."""
    seen = {span.key}
    waiting = [span]
    while waiting:
        one = waiting.pop()
        yield one
        kids = [kid for kid in below.get(one.key, ()) if kid.key not in seen]
        seen.update(kid.key for kid in kids)
        waiting += kids


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
