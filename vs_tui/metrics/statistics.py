"""Order statistics as the definitions want them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from math import isqrt
from typing import Final, TypeVar

Number = TypeVar("Number", int, float)

_FEW: Final = 256
"""So many values are sorted sooner than searched."""
_STEPS: Final = ((1 << 17, 64), (1 << 15, 32), (0, 16))
"""(of so many values and more, one of so many of a run goes into the sample)"""


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
    """Many values as sorted runs: their order statistics without sorting them all together."""

    def __init__(self, runs: Iterable[Sequence[float]]) -> None:
        self._runs = [run for run in runs if len(run)]
        self.n = sum([len(run) for run in self._runs])
        self._step = next(step for least, step in _STEPS if self.n >= least)
        self._sample: list[float] = []
        self._near: tuple[int, list[float]] = (0, [])
        """The neighbourhood that was sorted last, and the position of its first value."""

    def median(self) -> float | None:
        """As `median` of all values sorted."""
        if not self.n:
            return None
        lower = self._at((self.n - 1) // 2)
        return lower if self.n % 2 else (lower + self._at(self.n // 2)) / 2

    def percentile(self, percent: int) -> float | None:
        """As `percentile` of all values sorted."""
        if not self.n:
            return None
        return self._at(max(-(-self.n * percent // 100), 1) - 1)

    def greatest(self, n: int) -> float | None:
        """The least of the n greatest values; None when there are fewer."""
        return self._at(self.n - n) if 0 < n <= self.n else None

    def mean(self) -> float | None:
        return sum([sum(run) for run in self._runs]) / self.n if self.n else None

    def below(self, limit: float) -> int:
        """How many values are less."""
        return sum([bisect_left(run, limit) for run in self._runs])

    def _some(self) -> Iterable[Sequence[float]]:
        """One of so many values, counted through all runs: short ones have their share in it."""
        if self.n <= _FEW:
            yield from self._runs
            return
        start = self._step // 2
        for run in self._runs:
            yield run[start :: self._step]
            start = (start - len(run)) % self._step

    def _at(self, rank: int) -> float:
        """The value that would be at this position of all values sorted.

        A sample says near which value it is; how many values are less and greater proves it, and
        only those between are sorted. A few of them unless the runs are very unlike: then the
        neighbourhood grows until it holds the position.
        """
        if len(self._runs) == 1:
            return self._runs[0][rank]
        first, values = self._near
        if first <= rank < first + len(values):
            return values[rank - first]
        if not self._sample:
            self._sample = sorted(chain.from_iterable(self._some()))
        if self.n <= _FEW:
            return self._sample[rank]
        near = min(rank // self._step, len(self._sample) - 1)
        reach = 2 + isqrt(len(self._runs))
        while True:
            low, high = near - reach, near + reach
            least = self._sample[low] if low > 0 else None
            most = self._sample[high] if high < len(self._sample) else None
            starts = [0 if least is None else bisect_left(run, least) for run in self._runs]
            ends = [len(run) if most is None else bisect_right(run, most) for run in self._runs]
            before = sum(starts)
            if before <= rank < sum(ends):
                if least is not None and least == most:
                    return least
                between = zip(self._runs, starts, ends, strict=True)
                values = sorted(chain.from_iterable([run[a:b] for run, a, b in between]))
                self._near = (before, values)
                return values[rank - before]
            reach *= 4


NOTHING: Final = Runs(())
"""No values."""
