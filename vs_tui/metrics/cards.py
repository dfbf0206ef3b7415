"""A metric of a team as it is shown: what the dashboard's DORA panels are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.metrics import texts
from vs_tui.metrics.definitions import METRICS, Figure, Unit
from vs_tui.metrics.goals import is_met
from vs_tui.metrics.levels import LATEST
from vs_tui.model.time import SECOND, Instant

SMALL_SAMPLE: Final = 5
"""Of fewer values a median or a share is marked: one more may turn it over."""


@dataclass(frozen=True, slots=True)
class Card:
    """One team and one metric."""

    team: str
    metric: str
    """Its name in `METRICS`."""
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
    title: str = ""
    short: str = ""
    """The title where there is little room."""
    is_count: bool = False
    """Whether the buckets are counts."""
    small: bool = False
    """Whether it stands on too few values to say much."""
    since: Instant | None = None
    """From when on there is data, where that lies within the window."""
    before_n: int = 0
    """How many the period before stands on."""
    wanted: str = ""
    """The team's goal with its unit; empty without one."""
    tally: str = ""
    """What was counted, in words: `2 deployments`, `0 of 2 failed`."""


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
            [value or None if is_count(figure) else value for value in figure.series],
            goal_mark(figure),
            figure.definition.title,
            figure.definition.short,
            is_count(figure),
            is_small(figure),
            figure.since,
            figure.before_n,
            wanted_text(figure),
            tally_text(figure),
        )
        for metric, figure in figures.items()
    ]


def seconds(duration: float | None) -> float | None:
    """Microseconds as seconds; None stays None."""
    return None if duration is None else duration / SECOND


def measured(figure: Figure, value: float | None) -> float | None:
    """A value of a figure in its metric's unit: durations are seconds."""
    return seconds(value) if figure.definition.unit is Unit.DURATION else value


def is_count(figure: Figure) -> bool:
    """Whether the values of a trend are counts, of which 0 is a gap."""
    return figure.definition.unit is Unit.PER_DAY


_TEXTS: Final[Mapping[Unit, Callable[[float | None], str]]] = {
    Unit.PER_DAY: texts.rate,
    Unit.DURATION: texts.brief,
    Unit.SHARE: texts.percent,
    Unit.PER_DEPLOYMENT: texts.number,
}


def text_of(metric: str, value: float | None) -> str:
    """A value with its unit: `3/day`, `2.1d`, `4 %`; `-` for none."""
    return _TEXTS[METRICS[metric].unit](value)


def value_text(figure: Figure) -> str:
    """The figure's value; `1 open` when no failure is over yet."""
    if figure.value is None and figure.open:
        return f"{figure.open} open"
    return text_of(figure.metric, figure.value)


def before_text(figure: Figure) -> str:
    """The value of the period before."""
    return text_of(figure.metric, figure.before if figure.before_n else None)


def is_small(figure: Figure) -> bool:
    """Whether a median or a share stands on too few to say much; a count is what it is."""
    return figure.value is not None and figure.definition.is_sample and figure.n < SMALL_SAMPLE


def remarks(figure: Figure) -> list[str]:
    """What a value is made of."""
    found = [f"{n} from {name}" for name, n in figure.starts.items()]
    if figure.n and figure.working_days:
        found.append(f"on {figure.working_days_with} of {figure.working_days} working days")
    if figure.n and figure.definition.hits:
        found.append(figure.definition.hits.format(hits=figure.hits, n=figure.n))
    if figure.open:
        found.append(f"{figure.open} open, the longest {texts.brief(figure.open_for)}")
    if figure.unknown:
        found.append(f"{figure.unknown} of unknown begin")
    return found


def delta_text(figure: Figure) -> str:
    """Shares in points, all else in percent; empty when there is nothing to compare."""
    if not figure.n or not figure.before_n:
        return ""
    is_share = figure.definition.unit is Unit.SHARE
    return (texts.points if is_share else texts.change)(figure.value, figure.before)


def goal_mark(figure: Figure) -> str:
    """`met`, `missed` or `few`; empty without a goal or a value."""
    if figure.goal is None or figure.value is None:
        return ""
    if is_small(figure):
        return "few"
    return "met" if is_met(figure.metric, figure.value, figure.goal) else "missed"


def wanted_text(figure: Figure) -> str:
    """The goal with its unit; empty without one."""
    return "" if figure.goal is None else text_of(figure.metric, figure.goal)


def tally_text(figure: Figure) -> str:
    """What was counted, in words; `-` for nothing."""
    seen = figure.n + figure.unknown + figure.open
    text = figure.definition.tally.format(n=figure.n, hits=figure.hits, seen=seen)
    return text if seen else texts.MISSING


def goal_text(figure: Figure) -> str:
    """`goal 2d met` or `goal 2d missed`; empty without a goal or a value."""
    if figure.goal is None or figure.value is None:
        return ""
    met = "met" if is_met(figure.metric, figure.value, figure.goal) else "missed"
    return f"goal {wanted_text(figure)} {met}"


def level_text(figure: Figure, year: int = LATEST) -> str:
    """`elite 2024`, or how it stands to its team's own goal; empty without a level."""
    if found := goal_text(figure):
        return found
    found = figure.levels.get(year, "")
    return f"{found} {year}" if found else ""
