"""Deployment frequency: successful deployments a day, and the working days that had one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vs_tui.metrics.statistics import ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Instant


@dataclass(frozen=True, slots=True)
class Frequency:
    """How often a window had a successful deployment."""

    n: int
    per_day: float | None
    """None when no part of the window has passed yet."""
    working_days: int
    """Mondays to Fridays of it."""
    working_days_with: int


def frequency(ended: Sequence[Instant], ok: bytes, window: Window) -> Frequency:
    """`ended`: sorted ends of deployments, `ok`: 1 for each that succeeded; those outside the
    window are left."""
    n = ok.count(1, *window.contained(ended))
    slices = window.working_slices(ended)
    return Frequency(
        n=n,
        per_day=ratio(n, window.length),
        working_days=len(window.working_days),
        working_days_with=sum([ok.find(1, start, stop) >= 0 for start, stop in slices]),
    )
