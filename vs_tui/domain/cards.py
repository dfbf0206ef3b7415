"""A metric of a team as it is shown: what the dashboard's DORA panels are given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Card:
    """One team and one metric."""

    team: str
    metric: str
    """deploys, lead, fail, restore, rework."""
    text: str
    """The value with its unit, `-` when there is none."""
    n: int
    delta: str
    """Change against the period before, such as `12%`; `` when there is nothing to compare."""
    direction: str
    """`better`, `worse`, `same` or ``."""
    level: str
    """Performance level with its year, such as `elite 2024`; `` without a value."""
    buckets: Sequence[float | None]
    """A value a day for the sparkline, None where there is no data."""
