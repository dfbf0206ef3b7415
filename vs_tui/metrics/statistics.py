"""Order statistics as docs/metrics.md defines them, and figures of spans of any kind: counts and
durations by any grouping (ValueStream's figures), flaky jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import nsmallest
from itertools import chain
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Status

if TYPE_CHECKING:
    from vs_tui.metrics.windows import Window

Number = TypeVar("Number", int, float)


def median(ordered: Sequence[float]) -> float | None:
    """The middle of sorted values, or the mean of the two middle ones; None without values."""
    n = len(ordered)
    if not n:
        return None
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def percentile(ordered: Sequence[Number], percent: int) -> Number | None:
    """The nearest-rank percentile of sorted values, always one of them; None without values."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def mean(values: Sequence[int]) -> float | None:
    """The arithmetic mean; None without values."""
    return sum(values) / len(values) if values else None


def ratio(part: float, whole: float) -> float | None:
    """part / whole; None if whole is 0, because 0 of 0 is not 0 %."""
    return part / whole if whole else None


class Distribution(NamedTuple):
    """Statistics of durations in microseconds; all are None without values."""

    n: int
    mean: float | None
    p50: float | None
    p90: int | None
    p95: int | None
    p99: int | None

    @classmethod
    def of(cls, values: Sequence[int]) -> Distribution:
        if len(values) == 1:  # most groups by name have one value
            only = values[0]
            return cls(1, only, only, only, only, only)
        ordered = sorted(values)
        p90, p95, p99 = (percentile(ordered, percent) for percent in (90, 95, 99))
        return cls(len(ordered), mean(ordered), median(ordered), p90, p95, p99)


GROUPINGS: Final = (
    *("operation", "name", "project", "team", "service", "environment", "source", "actor"),
    *("status", "stage"),
)
"""Fields by which spans can be grouped, also several."""


Group = tuple[str, ...]
"""The values of a grouping's fields."""


class SpanGroup(NamedTuple):
    """The spans of one group in a window."""

    group: Group
    started: int
    finished: int
    ok: int
    failed: int
    cancelled: int
    in_progress: int
    """Spans in progress at the end of the window."""
    duration: Distribution
    """Of the spans that ended in the window, ok or failed, with a known start."""

    @property
    def success_ratio(self) -> float | None:
        """ok / (ok + failed), where a timeout failed; cancelled spans do not count."""
        return ratio(self.ok, self.ok + self.failed)


class Other(NamedTuple):
    """A span that was in the window, but did not both begin and end there."""

    status: Status
    began: Instant | None
    ended: Instant | None


Durations = Mapping[Group, Sequence[Duration]]


def span_groups(
    within: Mapping[Status, Durations],
    others: Mapping[Group, Sequence[Other]],
    window: Window,
    most: int,
) -> tuple[list[SpanGroup], int]:
    """(at most `most` groups, those with the most finished spans; number of all groups). `within`
    has the durations of spans that began and ended in the window, `others` what else was in it.
    Figures are made for those groups only: of names there may be 100,000."""
    finished: dict[Group, int] = {}
    for durations in within.values():
        for group, took in durations.items():
            finished[group] = finished.get(group, 0) + len(took)
    for group, each in others.items():
        over = sum(other.ended is not None and other.ended < window.until for other in each)
        finished[group] = finished.get(group, 0) + over
    # Text sorts in half the time of tuples.
    ranked = [(-n, "\0".join(group), group) for group, n in finished.items()]
    shown = (group for *_, group in nsmallest(most, ranked))
    found = [_span_group(group, within, others.get(group, ()), window) for group in shown]
    return found, len(ranked)


def _span_group(
    group: Group, within: Mapping[Status, Durations], others: Sequence[Other], window: Window
) -> SpanGroup:
    ended = {status: each[group] for status, each in within.items() if group in each}
    counts = {status: len(each) for status, each in ended.items()}
    timed = (each for status, each in ended.items() if status is not Status.CANCELLED)
    durations = list(chain.from_iterable(timed))
    started, in_progress = sum(counts.values()), 0
    for status, began, over in others:
        if began is not None:
            started += began in window
            in_progress += began <= window.end and (over is None or over > window.end)
        if over is not None and over < window.until:
            counts[status] = counts.get(status, 0) + 1
            if began is not None and status is not Status.CANCELLED:
                durations.append(max(over - began, 0))
    finished = sum(counts.values())
    ok, cancelled = counts.get(Status.OK, 0), counts.get(Status.CANCELLED, 0)
    return SpanGroup(
        group=group,
        started=started,
        finished=finished,
        ok=ok,
        failed=finished - ok - cancelled,
        cancelled=cancelled,
        in_progress=in_progress,
        duration=Distribution.of(durations),
    )


def check_grouping(grouping: Sequence[str]) -> None:
    """Raise ValueError for a name that is not in GROUPINGS."""
    if unknown := [name for name in grouping if name not in GROUPINGS]:
        accepted = ", ".join(GROUPINGS)
        raise ValueError(f"'{unknown[0]}' cannot be grouped by; use one of {accepted}")


class FlakyJob(NamedTuple):
    """A job that both passed and failed on one commit."""

    project: str
    job: str
    commits: int
    """Number of commits it ran on."""
    flaky: int
    """Number of commits with both results."""
    last_at: Instant
    example: str
    """Key of a run on the latest commit with both results."""

    @property
    def rate(self) -> float | None:
        return ratio(self.flaky, self.commits)
