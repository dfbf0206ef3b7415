"""The level of a deployment frequency, which follows days and not counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Final

from vs_tui.metrics.statistics import median

_OFTEN: Final = 3
"""Days of the median week with a deployment that are on demand."""
_TWO_MONTHS: Final = 60


def level_of(days: Sequence[tuple[date, bool]]) -> str:
    """The level of days with or without a deployment: 3 days of the median week, 1 day of it, 1
    day of the median calendar month, or less.

    Weeks are counted back from the end. A window shorter than two months is one month.
    """
    if not days:
        return ""
    flags = [has for _, has in days]
    weeks = [sum(flags[max(end - 7, 0) : end]) for end in range(len(flags), 6, -7)]
    usual = median(sorted(weeks or [sum(flags)])) or 0
    if usual >= _OFTEN:
        return "elite"
    if usual >= 1:
        return "high"
    months: dict[tuple[int, int], int] = {}
    for day, has in days:
        months[day.year, day.month] = months.get((day.year, day.month), 0) + has
    whole = [
        n
        for (year, month), n in months.items()
        if days[0][0] <= date(year, month, 1) and days[-1][0] >= _last_day(year, month)
    ]
    if len(days) < _TWO_MONTHS or not whole:
        whole = [sum(flags)]
    return "medium" if (median(sorted(whole)) or 0) >= 1 else "low"


def _last_day(year: int, month: int) -> date:
    following = date(year + month // 12, month % 12 + 1, 1)
    return following - timedelta(1)
