"""Order statistics as the definitions want them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from vs_tui.model.time import Duration

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


class Distribution(NamedTuple):
    """How a set of durations (microseconds) is spread; every value is None without any."""

    n: int
    mean: float | None
    p50: float | None
    p90: int | None
    p95: int | None
    p99: int | None

    @classmethod
    def of(cls, values: Sequence[int]) -> Distribution:
        if len(values) == 1:  # of groups by name most have one
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
"""Successes of a series that say how long it usually takes."""


@dataclass(frozen=True, slots=True)
class History:
    """How long the last successes of a series took (at most HISTORY of them)."""

    n: int
    median: float
    p90: Duration


def history_of(durations: Sequence[Duration]) -> History | None:
    """Of the durations of the last successes, in any order; None without any."""
    ordered = sorted(durations)
    middle, upper = median(ordered), percentile(ordered, 90)
    if middle is None or upper is None:
        return None
    return History(len(ordered), middle, upper)
