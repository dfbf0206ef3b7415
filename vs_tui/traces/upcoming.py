"""The steps that a run in flight has not begun, from what earlier runs of its series did.

They are expectations and no spans: nothing counts them, and they go when the run has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.compare import step_name

RUNS: Final = 10
"""Successes of a series that are looked at, the latest ones."""
FEWEST: Final = 3
"""Fewer say nothing of the next one."""
MOST: Final = 12
"""Steps that are expected of one run at most."""
NO_RUNS: Final = frozenset({"issue", "pull_request", "sprint", "incident", "release"})
"""Open for as long as people work on them: their steps have no usual place."""
_NO_STEPS: Final = frozenset({"issue", "pull_request", "sprint", "incident", "review", "push"})
_STATES: Final = frozenset({"queued", "waiting", "running"})
"""Phases that only say that a run is under way."""


@dataclass(frozen=True, slots=True)
class PastStep:
    """A step of a run that went well."""

    operation: str
    name: str
    """Without what is the run's own, such as its number."""
    offset: Duration
    """From the begin of the run to its own."""
    length: Duration


PastRun = tuple[PastStep, ...]
"""The steps of one success, by their begin."""


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A step that is expected, and where."""

    operation: str
    name: str
    begins: Instant
    ends: Instant
    n: int
    """Past runs that had it."""
    of: int
    """Past runs looked at."""


def steps_of(run: Span, children: Iterable[Span]) -> PastRun:
    """What a run that has ended tells of the next one."""
    if run.started_at is None:
        return ()
    found = [
        PastStep(*step_name(child), child.started_at - run.started_at, child.duration)
        for child in children
        if child.started_at is not None and child.duration is not None and _is_step(child)
    ]
    return tuple(sorted(found, key=lambda step: (step.offset, step.operation, step.name)))


def has_steps(span: Span) -> bool:
    """Whether it is a run that steps can be expected of."""
    return span.in_flight and span.started_at is not None and span.operation not in NO_RUNS


def upcoming(
    run: Span, children: Iterable[Span], past: Sequence[PastRun], now: Instant
) -> list[Upcoming]:
    """The steps that at least half of the past runs had and this one has not begun, in order.

    A step that always came before one that has begun was left out this time. Places are medians;
    where the run is late, they begin now at the earliest, and after the step they wait for.
    """
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
    """Where a step ends in the past, and where it will now."""
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
    """Whether a step has begun that in every run came after this one."""
    for other in begun:
        both = [steps for steps in past if name in steps and other in steps]
        if both and all(steps[name].offset < steps[other].offset for steps in both):
            return True
    return False
