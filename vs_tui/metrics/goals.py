"""What a team wants its metrics to be: `[goals.TEAM]` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model.time import parse_duration

Goals = Mapping[str, Mapping[str, float]]
"""Team -> short name of a metric -> value: a day's count, microseconds or a share."""
NAMES: Final[Mapping[str, str]] = {
    "deployment_frequency": "deploys",
    "change_lead_time": "lead",
    "change_fail_rate": "fail",
    "failed_deployment_recovery_time": "restore",
    "deployment_rework_rate": "rework",
}
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(day|week|month)\Z")
_PERCENT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*%\Z")
_DAYS: Final = {"day": 1, "week": 7, "month": 30}


def read_goals(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Goals as people write them; ValueError says what is accepted."""
    found: dict[str, dict[str, float]] = {}
    for team, table in tables.items():
        for name, text in table.items():
            if name not in NAMES:
                accepted = ", ".join(NAMES)
                raise ValueError(f"[goals.{team}] {name} is not a metric; use one of {accepted}")
            found.setdefault(team, {})[NAMES[name]] = _value(f"[goals.{team}] {name}", name, text)
    return found


def _value(setting: str, name: str, text: Any) -> float:
    words = str(text).strip()
    if name.endswith("_rate"):
        if match := _PERCENT.match(words):
            return float(match[1]) / 100
        raise ValueError(f'{setting} must be a share such as "10%", not {text!r}')
    if name == "deployment_frequency":
        if match := _RATE.match(words):
            return float(match[1]) / _DAYS[match[2]]
        raise ValueError(f'{setting} must be a rate such as "1/day" or "2/week", not {text!r}')
    try:
        return float(parse_duration(words))
    except ValueError:
        raise ValueError(f'{setting} must be a duration such as "2d", not {text!r}') from None


def is_met(metric: str, value: float, goal: float) -> bool:
    """Whether a value reaches a goal: more is better of a frequency, less of all others."""
    return value >= goal if metric == "deploys" else value <= goal
