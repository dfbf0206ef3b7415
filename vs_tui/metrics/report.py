"""What a report is made of: the five metrics of someone, what stands beside them, and what is
behind a number."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from vs_tui.metrics.counted import LEVELS, Counted
from vs_tui.metrics.definitions import Figure, Metric
from vs_tui.metrics.incidents import IncidentFigures
from vs_tui.metrics.stages import Regression, StageTime
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Duration, Instant

GROUPS = (*LEVELS[1:], LEVELS[0])
"""What the five metrics can be grouped by."""


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands beside the five metrics of a team."""

    incidents: IncidentFigures
    started: int
    """Deploys that began in the window, whatever became of them."""
    deployed: int
    """Successful deployments that ended in it."""
    duration_median: float | None
    duration_p90: float | None
    merged: int
    """Pull requests."""
    engineers: int
    merged_per_engineer_week: float | None
    innovation_ratio: float | None


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The five metrics of one group."""

    by: str
    """One of GROUPS."""
    name: str
    """Of the group; empty is all, or nobody's."""
    window: Window
    figures: Mapping[str, Figure]
    beside: Beside | None = None
    data_since: Instant | None = None
    """The first event there is, where that lies within the window."""


@dataclass(frozen=True, slots=True)
class Behind:
    """One deployment, change or episode that a number stands on."""

    at: Instant
    """End of the deployment."""
    trace_id: str
    """Of the deployment."""
    key: str
    """Of the span to look at: the pull request, else the deployment."""
    title: str
    service: str
    version: str
    result: str
    """`ok`, `failed`, `open`."""
    value: Duration | None
    """What it took: the deploy, the change's lead time, the recovery."""
    note: str
    """Why it counts so: the signs of failure, where its lead time begins, why it is a repair."""
    longest: str = ""
    """The stage of a change that took longest, and how long: `pickup 3.1d`."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One metric of one team, explained."""

    team: str
    figure: Figure
    window: Window
    distribution: Sequence[tuple[str, int]] = ()
    """(bin, how many)."""
    stages: Sequence[StageTime] = ()
    bottleneck: str = ""
    regressions: Sequence[Regression] = ()
    behind: Sequence[Behind] = ()
    """The newest first; lead times and recoveries the longest first."""
    of: int = 0
    """How many there are behind it; `behind` may hold fewer."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Why deployments failed, or repaired -> how many."""
    hints: Sequence[str] = ()
    """Where nothing is behind it: why, and what to do."""
    left_out: Sequence[str] = ()
    """What was seen and does not count, a sentence each."""


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def distribution(metric: Metric, counted: Counted, window: Window) -> list[tuple[str, int]]:
    """How many values lie in each of the metric's bins, the last one the rest; without bins how
    many moments on each day of the week."""
    if metric.spread is not None:
        values = metric.spread(counted, (window.since, window.until, window.end))
        edges = [0, *(bisect_left(values, limit) for _, limit in metric.bins), len(values)]
        names = [*(name for name, _ in metric.bins), "more"]
        return [(name, b - a) for name, (a, b) in zip(names, pairwise(edges), strict=True)]
    days: Counter[int] = Counter()
    for day, start, stop in window.day_slices(metric.moments(counted)):
        days[day.weekday()] += stop - start
    return [(name, days[number]) for number, name in enumerate(WEEKDAYS)]
