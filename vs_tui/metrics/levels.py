"""DORA's performance levels, one metric at a time, with the year of the report.

DORA's clusters describe whole teams, so levels are never averaged over metrics. Where a report
gives two clusters the same range or an odd order (2024: high 20 %, medium 10 % failures), a value
gets the best level whose range it meets. The 2025 report has no four clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from vs_tui.model.time import DAY, HOUR

LATEST: Final = 2024
YEARS: Final = (2023, 2024)
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY


class Bound(NamedTuple):
    """The worst value of a level."""

    level: str
    most: float
    included: bool = True


Table = Mapping[int, Sequence[Bound]]
"""Year of the report -> its levels above `low`, the best first."""
_LEAD: Final = (Bound("elite", DAY, included=False), Bound("high", WEEK), Bound("medium", MONTH))
_RESTORED: Final = (Bound("elite", HOUR, included=False), Bound("high", DAY, included=False))
LEAD: Final[Table] = dict.fromkeys(YEARS, _LEAD)
FAIL: Final[Table] = {
    2023: (Bound("elite", 0.05), Bound("high", 0.10), Bound("medium", 0.15)),
    2024: (Bound("elite", 0.05), Bound("high", 0.20)),
}
RECOVERY: Final[Table] = {2023: (*_RESTORED, Bound("medium", WEEK)), 2024: _RESTORED}


def levels_of(value: float | None, table: Table) -> dict[int, str]:
    """Year -> level of a value: the best one whose range it meets; empty without a value."""
    if value is None:
        return {}

    def level(bounds: Sequence[Bound]) -> str:
        met = (b.level for b in bounds if value < b.most or (b.included and value - b.most < 1e-9))
        return next(met, "low")

    return {year: level(bounds) for year, bounds in table.items()}
