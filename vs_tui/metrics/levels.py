"""The performance levels of DORA's reports: from which value on a metric is elite, high, medium or
low. https://dora.dev/research/ has the reports of 2023 and 2024."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from vs_tui.metrics.statistics import median
from vs_tui.model.grouping import grouped
from vs_tui.model.time import DAY, HOUR

LATEST: Final = 2024
YEARS: Final = (2023, 2024)
"""The years of DORA's reports with four clusters of teams; 2025 has none. Clusters describe whole
teams, so levels are never averaged over metrics. Where two clusters have the same range or an odd
order (2024: high 20 %, medium 10 % failures), a value gets the best level whose range it meets."""
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY


class Cutoff(NamedTuple):
    """The worst value of a level."""

    level: str
    most: float
    included: bool = True


Levels = Mapping[int, Sequence[Cutoff]]
"""Year of the report -> its levels above `low`, the best first."""
_LEAD: Final = (Cutoff("elite", DAY, included=False), Cutoff("high", WEEK), Cutoff("medium", MONTH))
_RESTORED: Final = (Cutoff("elite", HOUR, included=False), Cutoff("high", DAY, included=False))
LEAD: Final[Levels] = dict.fromkeys(YEARS, _LEAD)
FAIL: Final[Levels] = {
    2023: (Cutoff("elite", 0.05), Cutoff("high", 0.10), Cutoff("medium", 0.15)),
    2024: (Cutoff("elite", 0.05), Cutoff("high", 0.20)),
}
RECOVERY: Final[Levels] = {2023: (*_RESTORED, Cutoff("medium", WEEK)), 2024: _RESTORED}


def levels_of(value: float | None, table: Levels) -> dict[int, str]:
    """Year -> level of a value: the best one whose range it meets; empty without a value."""
    if value is None:
        return {}

    def level(bounds: Sequence[Cutoff]) -> str:
        met = (b.level for b in bounds if value < b.most or (b.included and value - b.most < 1e-9))
        return next(met, "low")

    return {year: level(bounds) for year, bounds in table.items()}


_OFTEN: Final = 3
"""Days with a deployment in the median week that make the level elite (on demand)."""
_TWO_MONTHS: Final = 60


def frequency_level(days: Sequence[tuple[date, bool]]) -> str:
    """The frequency level of days with or without a deployment: elite for 3 days of the median
    week, high for 1 day of it, medium for 1 day of the median calendar month, else low.

    Weeks are counted back from the end. A window shorter than two months counts as one month.
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
    months = grouped(((day.year, day.month), has) for day, has in days)
    whole = [sum(own) for month, own in months.items() if len(own) == monthrange(*month)[1]]
    if len(days) < _TWO_MONTHS or not whole:
        whole = [sum(flags)]
    return "medium" if (median(sorted(whole)) or 0) >= 1 else "low"
