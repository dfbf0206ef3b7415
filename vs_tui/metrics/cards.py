"""A metric of a team as it is shown: what the dashboard's DORA panels are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vs_tui.metrics import texts
from vs_tui.metrics.dora import Figure
from vs_tui.metrics.goals import is_met
from vs_tui.metrics.levels import LATEST

SMALL_SAMPLE: Final = 5
"""Of fewer values a median or a share is marked: one more may turn it over."""


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
    """Change against the period before, such as `12%`; empty when there is nothing to compare."""
    direction: str
    """`better`, `worse`, `same` or empty."""
    level: str
    """Performance level with its year, such as `elite 2024`; empty without a value."""
    buckets: Sequence[float | None]
    """A value a bucket of the window for the sparkline, None where there were no deployments."""
    goal: str = ""
    """How it stands to the team's own goal: `met`, `missed`, `few` (fewer than five values); empty
    without a goal."""


def cards_of(team: str, figures: Mapping[str, Figure]) -> list[Card]:
    """The cards of one team, one a metric."""
    return [
        Card(
            team,
            metric,
            value_text(figure),
            figure.n,
            delta_text(figure),
            figure.direction,
            level_text(figure),
            # No deployment is a gap; a value of zero (0 % failed) is a bar of no height.
            [None if metric == "deploys" and not value else value for value in figure.series],
            goal_mark(figure),
        )
        for metric, figure in figures.items()
    ]


def value_text(figure: Figure) -> str:
    """The value with its unit: `3/day`, `2.1d`, `4 %`; `1 open` when no episode is over yet."""
    if figure.value is None:
        return f"{figure.open} open" if figure.open else texts.MISSING
    if figure.metric == "deploys":
        return texts.rate(figure.value)
    return texts.percent(figure.value) if figure.is_share else texts.brief(figure.value)


def is_small(figure: Figure) -> bool:
    """Whether a median or a share stands on too few to say much; a count is what it is."""
    return figure.value is not None and figure.metric != "deploys" and figure.n < SMALL_SAMPLE


def remarks(figure: Figure) -> list[str]:
    """What a value is made of."""
    found = [f"{n} from {name}" for name, n in figure.starts.items()]
    if figure.metric == "deploys" and figure.n and figure.working_days:
        found.append(f"on {figure.working_days_with} of {figure.working_days} working days")
    if figure.is_share and figure.n:
        found.append(f"{figure.hits} of {figure.n} deployments")
    if figure.open:
        found.append(f"{figure.open} open, the longest {texts.brief(figure.open_for)}")
    if figure.unknown:
        found.append(f"{figure.unknown} of unknown begin")
    return found


def delta_text(figure: Figure) -> str:
    """Shares in points, all else in percent; empty when there is nothing to compare."""
    if not figure.n or not figure.before_n:
        return ""
    if figure.is_share:
        return texts.points(figure.value, figure.before)
    return texts.change(figure.value, figure.before)


def goal_mark(figure: Figure) -> str:
    """`met`, `missed` or `few`; empty without a goal or a value."""
    if figure.goal is None or figure.value is None:
        return ""
    if is_small(figure):
        return "few"
    return "met" if is_met(figure.metric, figure.value, figure.goal) else "missed"


def goal_text(figure: Figure) -> str:
    """`goal 2d met` or `goal 2d missed`; empty without a goal or a value."""
    if figure.goal is None or figure.value is None:
        return ""
    wanted = value_text(replace(figure, value=figure.goal))
    return (
        f"goal {wanted} {'met' if is_met(figure.metric, figure.value, figure.goal) else 'missed'}"
    )


def level_text(figure: Figure, year: int = LATEST) -> str:
    """`elite 2024`, or how it stands to its team's own goal; empty without a level."""
    if found := goal_text(figure):
        return found
    found = figure.levels.get(year, "")
    return f"{found} {year}" if found else ""
