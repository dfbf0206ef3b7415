"""Order statistics as docs/metrics.md defines them, and the figures of spans of any kind: counts
and durations by any grouping (ValueStream's figures), flaky jobs, and the expected ends of spans in
flight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
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
            return cls._make((1, only, only, only, only, only))  # half the time of cls(...)
        ordered = sorted(values)
        return cls(
            n=len(ordered),
            mean=mean(ordered),
            p50=median(ordered),
            p90=percentile(ordered, 90),
            p95=percentile(ordered, 95),
            p99=percentile(ordered, 99),
        )


HISTORY: Final = 20
"""Number of last successes that give the usual duration of a series."""


@dataclass(frozen=True, slots=True)
class History:
    """Durations of the last successes of a series, at most HISTORY of them."""

    n: int
    median: float
    p90: Duration


def history_of(durations: Sequence[Duration]) -> History | None:
    """The history for the durations of the last successes, in any order; None without values."""
    ordered = sorted(durations)
    middle, upper = median(ordered), percentile(ordered, 90)
    if middle is None or upper is None:
        return None
    return History(len(ordered), middle, upper)


GROUPINGS: Final = (
    *("operation", "name", "project", "team", "service", "environment", "source", "actor"),
    *("status", "stage"),
)
"""Fields by which spans can be grouped; several can be combined."""


class SpanGroup:
    """The spans of one group in a window."""

    __slots__ = (
        *("_duration", "cancelled", "durations", "failed", "finished", "group", "in_progress"),
        *("ok", "started"),
    )

    def __init__(self, group: tuple[str, ...], n: int = 0, ok: int = 0, failed: int = 0) -> None:
        """A group of `n` spans that began and ended in the window."""
        self.group = group
        self.started = self.finished = n
        self.ok = ok
        self.failed = failed
        self.cancelled = n - ok - failed
        self.in_progress = 0
        """Spans in progress at the end of the window."""
        self.durations: list[Duration] = []
        """Durations of the spans that ended in the window, ok or failed, with a known start."""
        self._duration: Distribution | None = None

    def see(self, began: Instant | None, ended: Instant | None, window: Window) -> None:
        """Count the start of a span, and whether it is in progress at the end of the window."""
        if began is not None:
            self.started += window.since <= began < window.until
            self.in_progress += began <= window.end and (ended is None or ended > window.end)

    def end(self, status: Status, n: int, durations: list[Duration]) -> None:
        """Count spans of one status that ended in the window. The list becomes the group's own."""
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

    @property
    def success_ratio(self) -> float | None:
        """ok / (ok + failed), where a timeout failed; cancelled spans do not count."""
        return ratio(self.ok, self.ok + self.failed)

    @property
    def duration(self) -> Distribution:
        """Computed when it is read, because there may be 100,000 groups."""
        if self._duration is None:
            self._duration = Distribution.of(self.durations)
        return self._duration


class Tally(dict[tuple[str, ...], SpanGroup]):
    """Counts spans by group."""

    def __missing__(self, group: tuple[str, ...]) -> SpanGroup:
        self[group] = found = SpanGroup(group)
        return found

    def add(self, status: Status, ended: Mapping[tuple[str, ...], list[Duration]]) -> None:
        """Count spans of one status that began and ended in the window, by group."""
        is_ok, failed = status is Status.OK, status.failed
        for group, durations in ended.items():
            n, each = len(durations), self.get(group)
            if each is not None:
                each.started += n
                each.end(status, n, durations)
                continue
            # Most groups by name are of one status, and there may be 100,000.
            self[group] = each = SpanGroup(group, n, n if is_ok else 0, n if failed else 0)
            if is_ok or failed:
                each.durations = durations

    def active(self) -> list[SpanGroup]:
        """The groups with activity in the window, most finished spans first."""
        found = [
            each for each in self.values() if each.started or each.finished or each.in_progress
        ]
        found.sort(key=attrgetter("group"))
        found.sort(key=attrgetter("finished"), reverse=True)
        return found


def check_grouping(grouping: Sequence[str]) -> None:
    """Raise ValueError for a name that is not in GROUPINGS."""
    for name in grouping:
        if name not in GROUPINGS:
            accepted = ", ".join(GROUPINGS)
            raise ValueError(f"'{name}' cannot be grouped by; use one of {accepted}")


@dataclass(frozen=True, slots=True)
class FlakyJob:
    """A job that both passed and failed on one commit: its result does not depend on the commit
    alone."""

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
