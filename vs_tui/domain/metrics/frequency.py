"""Deployment frequency: successful deployments a day, and the working days that had one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.statistics import ratio
from vs_tui.domain.metrics.windows import Window


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a window had a successful deployment."""

    n: int
    per_day: float | None
    """None when no part of the window has passed yet."""
    working_days: int
    """Mondays to Fridays of it."""
    working_days_with: int


def frequency(successes: Sequence[Instant], window: Window) -> Frequency:
    """`successes`: ends of successful deployments, sorted; those outside the window are left."""
    start, stop = window.contained(successes)
    return Frequency(
        n=stop - start,
        per_day=ratio(stop - start, window.length),
        working_days=len(window.working_days),
        working_days_with=window.working_days_with(successes),
    )
