"""ValueStream's figures for any kind of span and any grouping: counts, durations, success ratio and
spans in progress."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from vs_tui.metrics.statistics import Distribution, History, ratio
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Status

if TYPE_CHECKING:
    from vs_tui.metrics.windows import Window

GROUPINGS: Final = (
    *("operation", "name", "project", "team", "service", "environment", "source", "actor"),
    *("status", "stage"),
)
"""Fields by which spans can be grouped; several can be combined."""


@dataclass(slots=True)
class Tally:
    """Counts of one group of spans in a window."""

    started: int = 0
    in_progress: int = 0
    """Spans in progress at the end of the window."""
    ok: int = 0
    failed: int = 0
    """Spans with an error or a timeout."""
    cancelled: int = 0
    finished: int = 0
    durations: list[Duration] = field(default_factory=list)
    """Durations of the spans that ended in the window, ok or failed, with a known start."""

    def see(self, began: Instant | None, ended: Instant | None, window: Window) -> None:
        """Count the start of a span, and whether it is in progress at the end of the window."""
        if began is not None:
            self.started += window.since <= began < window.until
            self.in_progress += began <= window.end and (ended is None or ended > window.end)

    def finish(self, status: Status, began: Instant | None, ended: Instant, window: Window) -> None:
        """Count the end of a span, if it is in the window."""
        if ended < window.until:
            self._end(status, 1, [max(ended - began, 0)] if began is not None else [])

    def add(self, status: Status, durations: list[Duration]) -> None:
        """Count spans that started and ended in the window; `durations` has one value per span."""
        self.started += len(durations)
        self._end(status, len(durations), durations)

    def _end(self, status: Status, n: int, durations: list[Duration]) -> None:
        self.finished += n
        if status is Status.CANCELLED:
            self.cancelled += n
            return
        if status is Status.OK:
            self.ok += n
        elif status.failed:
            self.failed += n
        if self.durations:
            self.durations += durations
        else:
            self.durations = durations


def by_values(
    keys: Sequence[Sequence[str]], took: list[Duration]
) -> dict[tuple[str, ...], list[Duration]]:
    """The durations by combination of values; `keys` has one sequence per column."""
    if not keys:
        return {(): took} if took else {}
    found: defaultdict[Any, list[Duration]] = defaultdict(list)
    if len(keys) == 1:  # building a tuple per span would double the time
        for key, duration in zip(keys[0], took, strict=True):
            found[key].append(duration)
        return {(key,): durations for key, durations in found.items()}
    for values, duration in zip(zip(*keys, strict=True), took, strict=True):
        found[values].append(duration)
    return found


class GroupFigures(NamedTuple):
    """Figures of one group of spans in a window."""

    group: tuple[str, ...]
    started: int
    finished: int
    ok: int
    failed: int
    """Spans with an error or a timeout."""
    cancelled: int
    in_progress: int
    """Spans in progress at the end of the window."""
    success_ratio: float | None
    """ok / (ok + failed); cancelled spans do not count."""
    throughput: float | None
    """Finished spans per day."""
    duration: Distribution
    """Durations of the spans that ended in the window, ok or failed, with a known start."""


def check_grouping(grouping: Sequence[str]) -> None:
    """Raise ValueError for a name that is not in GROUPINGS."""
    for name in grouping:
        if name not in GROUPINGS:
            accepted = ", ".join(GROUPINGS)
            raise ValueError(f"'{name}' cannot be grouped by; use one of {accepted}")


def duration_report(tallies: Mapping[tuple[str, ...], Tally], window: Window) -> list[GroupFigures]:
    """Figures of every group with activity in the window, most finished spans first."""
    days = window.length
    found = [
        GroupFigures(
            group,
            tally.started,
            tally.finished,
            tally.ok,
            tally.failed,
            tally.cancelled,
            tally.in_progress,
            ratio(tally.ok, tally.ok + tally.failed),
            ratio(tally.finished, days),
            Distribution.of(tally.durations),
        )
        for group, tally in tallies.items()
        if tally.started or tally.finished or tally.in_progress
    ]
    found.sort(key=attrgetter("group"))
    found.sort(key=attrgetter("finished"), reverse=True)
    return found


@dataclass(frozen=True, slots=True)
class Expectation:
    """When an in-flight span should end, judged by the last successes of its series."""

    n: int
    median_end: Instant
    p90_end: Instant
    overdue: bool
    """Whether the expected end by the 90th percentile has passed."""


def expected_end(started_at: Instant, history: History, now: Instant) -> Expectation:
    """The expected end: the start plus the usual durations of the series."""
    end = started_at + history.p90
    return Expectation(history.n, started_at + round(history.median), end, now > end)
