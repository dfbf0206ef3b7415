"""The goals of teams for their metrics: `[goals.TEAM]` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vs_tui.metrics.definitions import BY_KEY, METRICS, Unit
from vs_tui.model.time import parse_duration

Goals = Mapping[str, Mapping[str, float]]
"""Team -> short name of a metric -> goal: a count per day, microseconds, a share or a number."""
_GOAL: Final = re.compile(r"\A(\d+(?:\.\d+)?)(.*)\Z")
_DIVISORS: Final[Mapping[Unit, Mapping[str, int]]] = {
    Unit.PER_DAY: {"/day": 1, "/week": 7, "/month": 30},
    Unit.SHARE: {"%": 100},
    Unit.PER_DEPLOYMENT: {"": 1},
}
"""Unit -> what may follow a number in a goal -> divisor of the number."""
EXAMPLES: Final[Mapping[Unit, str]] = {
    Unit.PER_DAY: "1/day",
    Unit.SHARE: "10%",
    Unit.DURATION: "2d",
    Unit.PER_DEPLOYMENT: "3",
}
"""Unit -> example of how to write a goal."""
_KINDS: Final[Mapping[Unit, str]] = {
    Unit.PER_DAY: f'a rate such as "{EXAMPLES[Unit.PER_DAY]}" or "2/week"',
    Unit.SHARE: f'a share such as "{EXAMPLES[Unit.SHARE]}"',
    Unit.DURATION: f'a duration such as "{EXAMPLES[Unit.DURATION]}"',
    Unit.PER_DEPLOYMENT: f'a number such as "{EXAMPLES[Unit.PER_DEPLOYMENT]}"',
}


def read_goals(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Parse the goals of the configuration. ValueError says what is accepted."""
    found: dict[str, dict[str, float]] = {}
    for team, table in tables.items():
        for name, text in table.items():
            if name not in BY_KEY:
                accepted = ", ".join(BY_KEY)
                raise ValueError(f"[goals.{team}] {name} is not a metric; use one of {accepted}")
            metric = BY_KEY[name]
            value = _value(f"[goals.{team}] {name}", metric.unit, text)
            found.setdefault(team, {})[metric.name] = value
    return found


def _value(setting: str, unit: Unit, text: Any) -> float:
    words = str(text).strip()
    try:
        if unit is Unit.DURATION:
            return float(parse_duration(words))
        number, after = _GOAL.findall(words)[0]
        return float(number) / _DIVISORS[unit]["".join(after.split())]
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"{setting} must be {_KINDS[unit]}, not {text!r}") from None


def is_met(metric: str, value: float, goal: float) -> bool:
    """Whether a value meets a goal."""
    return value >= goal if METRICS[metric].more_is_better else value <= goal
