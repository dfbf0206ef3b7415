"""Formats the metrics of a team for display, as in the dashboard's DORA panels, and reads and
compares its goals: `[goals.TEAM]` of the configuration."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final, NamedTuple

from vs_tui.metrics import texts
from vs_tui.metrics.definitions import BY_KEY, METRICS, Figure, Unit
from vs_tui.metrics.levels import LATEST
from vs_tui.model.display import Count
from vs_tui.model.time import SECOND, Instant, parse_duration, to_datetime

SMALL_SAMPLE: Final = 5
"""Medians and shares of fewer values are marked: one more value may change them a lot."""


@dataclass(frozen=True, slots=True)
class Card:
    """One metric of one team, formatted."""

    team: str
    metric: str
    """Its name in `METRICS`."""
    text: str
    """The value with its unit; `-` without a value."""
    n: int
    delta: str
    """Change from the period before, such as `12%`; empty without a value to compare."""
    direction: str
    """`better`, `worse`, `same` or empty."""
    level: str
    """Performance level with its year, such as `elite 2024`; empty without a value."""
    buckets: Sequence[float | None]
    """One value per bucket of the window, for the sparkline; None for a bucket without
    deployments."""
    goal: str = ""
    """The value compared with the team's goal: `met`, `missed`, `few` (fewer than five values);
    empty without a goal."""
    title: str = ""
    short: str = ""
    """The short title."""
    is_count: bool = False
    """Whether the buckets are counts."""
    small: bool = False
    """Whether too few values support it."""
    since: Instant | None = None
    """Where the data begins, if that is inside the window."""
    before_n: int = 0
    """Number of values of the period before."""
    wanted: str = ""
    """The team's goal with its unit; empty without one."""
    tally: str = ""
    """The counted items in words: `2 deployments`, `0 of 2 failed`."""

    @property
    def trend(self) -> str:
        return trend_of(self)


def trend_of(compared: Card | Figure) -> str:
    """`direction`, or `few` and `few before` where a sample is too small to compare."""
    if compared.n < SMALL_SAMPLE:
        return "few"
    few_before = compared.direction and compared.before_n < SMALL_SAMPLE
    return "few before" if few_before else compared.direction


def cards_of(team: str, figures: Mapping[str, Figure]) -> list[Card]:
    """The cards of one team, one per metric."""
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
    """A value of a figure in its metric's unit; durations in seconds."""
    return seconds(value) if figure.definition.unit is Unit.DURATION else value


def is_count(figure: Figure) -> bool:
    """Whether the values of the trend are counts; a 0 then shows as a gap."""
    return figure.definition.unit is Unit.PER_DAY


class Form(NamedTuple):
    """How values of a unit are written."""

    say: Callable[[float | None], str]
    kind: str
    """What a goal must be, in words."""
    divisors: Mapping[str, int] = {}
    """What may follow a number in a goal -> divisor of the number."""


FORMS: Final[Mapping[Unit, Form]] = {
    Unit.PER_DAY: Form(
        texts.rate, 'a rate such as "1/day" or "2/week"', {"/day": 1, "/week": 7, "/month": 30}
    ),
    Unit.DURATION: Form(texts.brief, 'a duration such as "2d"'),
    Unit.SHARE: Form(texts.percent, 'a share such as "10%"', {"%": 100}),
    Unit.PER_DEPLOYMENT: Form(texts.number, 'a number such as "3"', {"": 1}),
}


def text_of(metric: str, value: float | None) -> str:
    """A value with its unit: `3/day`, `2.1d`, `4 %`; `-` without a value."""
    return FORMS[METRICS[metric].unit].say(value)


def value_text(figure: Figure) -> str:
    """The figure's value; `1 open` if all its failures are still open."""
    if figure.value is None and figure.open:
        return f"{figure.open} open"
    return text_of(figure.metric, figure.value)


def before_text(figure: Figure) -> str:
    """The value of the period before, as text."""
    return text_of(figure.metric, figure.before if figure.before_n else None)


def is_small(figure: Figure) -> bool:
    """Whether too few values support a median or a share. A count is never small."""
    return figure.value is not None and not is_count(figure) and figure.n < SMALL_SAMPLE


def remarks(figure: Figure) -> list[str]:
    """Short notes on the values behind a figure."""
    found = [f"{n} from {name}" for name, n in figure.starts.items()]
    if figure.n and figure.working_days:
        found.append(f"on {figure.working_days_with} of {figure.working_days} working days")
    if figure.n and figure.definition.hits:
        found.append(figure.definition.hits.format(hits=Count(figure.hits), n=Count(figure.n)))
    if figure.open:
        found.append(f"{figure.open} open, the longest {texts.brief(figure.open_for)}")
    if figure.unknown:
        found.append(f"{figure.unknown} of unknown begin")
    return found


def since_text(figure: Figure, zone: tzinfo) -> str:
    """`since DATE` if the data begins within the window, else empty."""
    begun = figure.since
    return "" if begun is None else f"since {to_datetime(begun).astimezone(zone):%Y-%m-%d}"


def delta_text(figure: Figure) -> str:
    """Change from the period before: shares in percentage points, others in percent; empty without
    a value to compare."""
    if figure.change is None:
        return ""
    if figure.definition.unit is Unit.SHARE:
        return texts.points(figure.change)
    return texts.change(figure.change, figure.before or 0.0)


def goal_mark(figure: Figure) -> str:
    """`met`, `missed` or `few`; empty without a goal or a value."""
    met = is_met(figure, figure.value)
    if met is None:
        return ""
    return "few" if is_small(figure) else "met" if met else "missed"


def wanted_text(figure: Figure) -> str:
    """The goal with its unit; empty without one."""
    return "" if figure.goal is None else text_of(figure.metric, figure.goal)


def tally_text(figure: Figure) -> str:
    """The counted items in words; `-` without any."""
    seen = figure.n + figure.unknown + figure.open
    counts = {"n": figure.n, "hits": figure.hits, "seen": seen}
    text = figure.definition.tally.format(**{name: Count(n) for name, n in counts.items()})
    return text if seen else texts.MISSING


def goal_text(figure: Figure) -> str:
    """`goal 2d met` or `goal 2d missed`; empty without a goal or a value."""
    met = is_met(figure, figure.value)
    return "" if met is None else f"goal {wanted_text(figure)} {'met' if met else 'missed'}"


def level_text(figure: Figure) -> str:
    """The result against the team's own goal, or else the level, such as `elite 2024`; empty
    without both."""
    level = figure.levels.get(LATEST, "")
    return goal_text(figure) or (f"{level} {LATEST}" if level else "")


Goals = Mapping[str, Mapping[str, float]]
"""Team -> short name of a metric -> goal: a count per day, microseconds, a share or a number."""
_GOAL: Final = re.compile(r"\A(\d+(?:\.\d+)?)(.*)\Z")


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
        return float(number) / FORMS[unit].divisors["".join(after.split())]
    except (ValueError, TypeError, LookupError):
        raise ValueError(f"{setting} must be {FORMS[unit].kind}, not {text!r}") from None


def is_met(figure: Figure, value: float | None) -> bool | None:
    """Whether a value meets the figure's goal; None without a goal or a value."""
    goal = figure.goal
    if goal is None or value is None:
        return None
    return value >= goal if figure.definition.more_is_better else value <= goal
