"""ValueStream's questions, for any kind of span and any grouping: how often, how long, how well,
how much at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from vs_tui.metrics.statistics import Distribution, History, ratio
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Status

if TYPE_CHECKING:
    from vs_tui.metrics.windows import Window

GROUPINGS: Final = (
    *("operation", "name", "project", "team", "service", "environment", "source", "actor"),
    *("status", "stage"),
)
"""What spans can be grouped by; any number of them together."""


@dataclass(slots=True)
class Tally:
    """What is counted of one group of spans in a window."""

    started: int = 0
    in_progress: int = 0
    """At the end of the window."""
    ok: int = 0
    failed: int = 0
    """With an error or timed out."""
    cancelled: int = 0
    finished: int = 0
    durations: list[Duration] = field(default_factory=list)
    """Of those that ended in the window, ok or failed, with a known start."""

    def finish(self, status: Status, n: int, durations: Iterable[Duration]) -> None:
        """So many spans ended with this status; `durations` of those whose start is known."""
        self.finished += n
        self.ok += n if status is Status.OK else 0
        self.failed += n if status.failed else 0
        if status is Status.CANCELLED:
            self.cancelled += n
        else:
            self.durations.extend(durations)


@dataclass(frozen=True, slots=True)
class GroupFigures:
    """One group of spans in a window."""

    group: tuple[str, ...]
    started: int
    finished: int
    ok: int
    failed: int
    """With an error or timed out."""
    cancelled: int
    in_progress: int
    """At the end of the window."""
    success_ratio: float | None
    """ok / (ok + failed): a cancelled span says nothing about success."""
    throughput: float | None
    """Finished a day."""
    duration: Distribution
    """Of those that ended in the window, ok or failed, with a known start."""


def check_grouping(grouping: Sequence[str]) -> None:
    """ValueError when a name is none of GROUPINGS."""
    for name in grouping:
        if name not in GROUPINGS:
            accepted = ", ".join(GROUPINGS)
            raise ValueError(f"'{name}' cannot be grouped by; use one of {accepted}")


def duration_report(tallies: Mapping[tuple[str, ...], Tally], window: Window) -> list[GroupFigures]:
    """Figures of every group that anything happened in, most finished spans first."""
    found = [
        GroupFigures(
            group=group,
            started=tally.started,
            finished=tally.finished,
            ok=tally.ok,
            failed=tally.failed,
            cancelled=tally.cancelled,
            in_progress=tally.in_progress,
            success_ratio=ratio(tally.ok, tally.ok + tally.failed),
            throughput=ratio(tally.finished, window.length),
            duration=Distribution.of(tally.durations),
        )
        for group, tally in tallies.items()
        if tally.started or tally.finished or tally.in_progress
    ]
    return sorted(found, key=lambda figures: (-figures.finished, figures.group))


@dataclass(frozen=True, slots=True)
class Expectation:
    """When an in-flight span should end, by its last successes."""

    n: int
    median_end: Instant
    p90_end: Instant
    overdue: bool
    """Whether even the 90th percentile has passed."""


def expected_end(started_at: Instant, history: History, now: Instant) -> Expectation:
    """Start plus what its series usually takes."""
    end = started_at + history.p90
    return Expectation(history.n, started_at + round(history.median), end, now > end)
