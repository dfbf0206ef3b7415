from datetime import date, timedelta

import pytest

from vs_tui.metrics.levels import FAIL, LEAD, RECOVERY, frequency_level, levels_of
from vs_tui.model.time import DAY, HOUR


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (levels_of(DAY - 1, LEAD), "elite elite"),
        (levels_of(DAY, LEAD), "high high"),
        (levels_of(31 * DAY, LEAD), "low low"),
        (levels_of(0.05, FAIL), "elite elite"),
        (levels_of(0.12, FAIL), "medium high"),
        (levels_of(0.3, FAIL), "low low"),
        (levels_of(HOUR - 1, RECOVERY), "elite elite"),
        (levels_of(2 * DAY, RECOVERY), "medium low"),
    ],
)
def test_levels_of_2023_and_2024(found, expected) -> None:
    assert f"{found[2023]} {found[2024]}" == expected


def days(pattern: str) -> list[tuple[date, bool]]:
    """Days from 1 March 2026 on, `x` with a deployment."""
    return [(date(2026, 3, 1) + timedelta(n), mark == "x") for n, mark in enumerate(pattern)]


@pytest.mark.parametrize(
    ("pattern", "level"),
    [
        ("x.x.x.." * 4, "elite"),
        ("x.x...." * 4, "high"),
        ("x......" * 3 + "......." * 2, "high"),
        ("x......" + "......." * 3, "medium"),
        ("......." * 4, "low"),
        ("x", "high"),
        ("", ""),
        ("x" + "." * 60 + "x" + "." * 30, "medium"),
        ("x" + "." * 121, "low"),
    ],
)
def test_the_level_of_a_frequency_follows_days(pattern, level) -> None:
    assert frequency_level(days(pattern)) == level


def test_without_a_value_there_is_no_level() -> None:
    assert not levels_of(None, RECOVERY)
