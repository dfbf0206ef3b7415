"""Deployment frequency: successful deployments a day, and the working days that had one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import compress

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


def frequency(ended: Sequence[Instant], ok: bytes, window: Window) -> Frequency:
    """`ended`: sorted ends of deployments, `ok`: 1 for each that succeeded; those outside the
    window are left."""
    start, stop = window.contained(ended)
    successes = list(compress(ended[start:stop], ok[start:stop]))
    return Frequency(
        n=len(successes),
        per_day=ratio(len(successes), window.length),
        working_days=len(window.working_days),
        working_days_with=window.working_days_with(successes),
    )
