"""The steps of a trace: the names that align them with those of other traces, and those that a run
in flight has not begun yet.

What is not begun is expected from earlier runs of the series: nothing counts it, and it disappears
when the run ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from vs_tui.model.time import Duration, Instant
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
