"""Order statistics as docs/metrics.md defines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from vs_tui.model.time import Duration

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
            return cls(1, float(only), float(only), only, only, only)
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
