"""Order statistics as the definitions want them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

Number = TypeVar("Number", int, float)


def median(ordered: Sequence[float]) -> float | None:
    """The middle of sorted values, the mean of the middle two for an even count; None for none."""
    n = len(ordered)
    if not n:
        return None
    return (ordered[(n - 1) // 2] + ordered[n // 2]) / 2


def percentile(ordered: Sequence[Number], percent: int) -> Number | None:
    """The nearest-rank percentile of sorted values: always one of them; None for none."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(rank, 1) - 1]


def mean(values: Sequence[int]) -> float | None:
    """The arithmetic mean; None for no values."""
    return sum(values) / len(values) if values else None


def ratio(part: float, whole: float) -> float | None:
    """part / whole; None when there is no whole, because 0 of nothing is not 0 %."""
    return part / whole if whole else None


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a set of durations (microseconds) is spread; every value is None without any."""

    n: int
    mean: float | None
    p50: float | None
    p90: int | None
    p95: int | None
    p99: int | None

    @classmethod
    def of(cls, values: Sequence[int]) -> Distribution:
        ordered = sorted(values)
        return cls(
            n=len(ordered),
            mean=mean(ordered),
            p50=median(ordered),
            p90=percentile(ordered, 90),
            p95=percentile(ordered, 95),
            p99=percentile(ordered, 99),
        )


class Runs:
    """Many whole values as sorted runs: percentiles without sorting them together."""

    def __init__(self, runs: Sequence[Sequence[float]]) -> None:
        self._runs = [run for run in runs if run]
        self.n = sum(len(run) for run in self._runs)

    def _at(self, rank: int, low: float) -> float:
        """The value that has exactly `rank` values before it in sorted order; it is no less than
        `low`. Found by halving the range of values: some forty looks into each run."""
        high = max(run[-1] for run in self._runs)
        while low < high:
            middle = (low + high) // 2
            if self._up_to(middle) > rank:
                high = middle
            else:
                low = middle + 1
        return low

    def _up_to(self, value: float) -> int:
        return sum([bisect_right(run, value) for run in self._runs])

    def median_and_percentile(self, percent: int) -> tuple[float | None, float | None]:
        """As `median` and `percentile` (of 50 and more) of all values sorted."""
        if len(self._runs) < 2:
            values = self._runs[0] if self._runs else []
            return median(values), percentile(values, percent)
        lower = self._at((self.n - 1) // 2, min(run[0] for run in self._runs))
        upper = lower
        if self._up_to(lower) <= self.n // 2:
            following = (run[bisect_right(run, lower) :][:1] for run in self._runs)
            upper = min(values[0] for values in following if values)
        return (lower + upper) / 2, self._at(max(-(-self.n * percent // 100), 1) - 1, lower)
