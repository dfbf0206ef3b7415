"""DORA's performance levels, one metric at a time, with the year of the report.

DORA's clusters describe whole teams, so levels are never averaged over metrics. Where a report
gives two clusters the same range or an odd order (2024: high 20 %, medium 10 % failures), a value
gets the best level whose range it meets. The 2025 report has no four clusters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vs_tui.model.time import DAY, HOUR

LATEST: Final = 2024
YEARS: Final = (2023, 2024)
WEEK: Final = 7 * DAY
MONTH: Final = 30 * DAY

Bound = tuple[str, float]
_LEAD: Final[tuple[Bound, ...]] = (("high", WEEK), ("medium", MONTH))
_FAIL: Final[Mapping[int, tuple[Bound, ...]]] = {
    2023: (("elite", 0.05), ("high", 0.10), ("medium", 0.15)),
    2024: (("elite", 0.05), ("high", 0.20)),
}
_RECOVERY: Final[Mapping[int, tuple[Bound, ...]]] = {
    2023: (("medium", WEEK),),
    2024: (),
}


def lead_time_level(duration: float | None) -> Mapping[int, str]:
    """Year -> level of a lead time: elite under a day, high up to a week, medium up to a month."""
    if duration is None:
        return {}
    found = next((name for name, most in _LEAD if duration <= most), "low")
    return dict.fromkeys(YEARS, "elite" if duration < DAY else found)


def fail_rate_level(rate: float | None) -> Mapping[int, str]:
    """Year -> level of a fail rate: the best level whose maximum it does not exceed."""
    if rate is None:
        return {}
    return {
        year: next((name for name, most in bounds if rate <= most + 1e-9), "low")
        for year, bounds in _FAIL.items()
    }


def recovery_level(duration: float | None) -> Mapping[int, str]:
    """Year -> level of a recovery time: elite under an hour, high under a day, in 2023 medium up to
    a week."""
    if duration is None:
        return {}
    if duration < DAY:
        return dict.fromkeys(YEARS, "elite" if duration < HOUR else "high")
    return {
        year: next((name for name, most in bounds if duration <= most), "low")
        for year, bounds in _RECOVERY.items()
    }
