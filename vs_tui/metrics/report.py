"""The parts of a report and how they are computed: the metrics of a group over a window, the
figures of incidents, deploys and tickets beside them, and the rows behind a number."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from typing import NamedTuple

from vs_tui.metrics.counted import Counted
from vs_tui.metrics.definitions import METRICS, Figure, Metric, Unit
from vs_tui.metrics.lead_time import Regression, StageTime
from vs_tui.metrics.levels import frequency_level
from vs_tui.metrics.statistics import Distribution, ratio
from vs_tui.metrics.windows import WEEKEND, Window
from vs_tui.model.time import Duration, Instant

CREATING: frozenset[str] = frozenset(
    {"feature", "new feature", "story", "user story", "enhancement", "improvement", "epic"}
)
"""Ticket types that create something new, as opposed to repair and operation."""


class IncidentFact(NamedTuple):
    """One incident and the deployment it is linked to."""

    started_at: Instant
    restored_at: Instant | None
    finished_at: Instant | None
    deployed_at: Instant | None
    """End of the linked deployment; None without one."""

    @property
    def time_to_restore(self) -> Duration | None:
        """Time from its start until it was restored; None if only its end was received."""
        if self.restored_at is None or self.restored_at <= self.started_at:
            return None
        return self.restored_at - self.started_at

    @property
    def time_to_detect(self) -> Duration | None:
        """Time from the end of the linked deployment; None without one, or if the incident began
        before that end, or if only its end was received."""
        begun = self.started_at
        if self.deployed_at is None or begun < self.deployed_at or begun == self.finished_at:
            return None
        return begun - self.deployed_at


class Beside(NamedTuple):
    """The figures of a window shown beside the metrics of a team; None is unknown."""

    incidents: int
    """Incidents that began."""
    incidents_linked: int
    """Those of them that are linked to a deployment."""
    incidents_restored: int
    incidents_finished: int
    time_to_restore: Distribution
    time_to_detect: Distribution
    deploys_started: int
    """Deploys that began, whatever their result."""
    deployed: int
    """Successful deployments that ended."""
    deployment_duration: Distribution
    merged_pull_requests: int
    engineers: int
    """The users of the team, or else the authors of the merged pull requests."""
    merged_per_engineer_week: float | None
    innovation_ratio: float | None
    """Time in finished tickets of CREATING types, divided by the time in all with a type."""


def beside_of(
    window: Window,
    *,
    incidents: Sequence[IncidentFact] = (),
    started: int = 0,
    deployed: int = 0,
    took: Sequence[Duration] = (),
    merges: Mapping[str, int] = MappingProxyType({}),
    users: Sequence[str] = (),
    spent: Mapping[str, Duration] = MappingProxyType({}),
) -> Beside:
    """The figures for what happened in a window: incidents that began, durations of finished
    deploys, merges by author, and time in finished tickets by type in lower case."""
    restores = [each for i in incidents if (each := i.time_to_restore) is not None]
    detects = [each for i in incidents if (each := i.time_to_detect) is not None]
    merged = sum(merges.values())
    engineers = len(set(users) or {author for author in merges if author})
    typed = {kind: time for kind, time in spent.items() if kind}
    created = sum(time for kind, time in typed.items() if kind in CREATING)
    return Beside(
        incidents=len(incidents),
        incidents_linked=sum(i.deployed_at is not None for i in incidents),
        incidents_restored=sum(i.restored_at is not None for i in incidents),
        incidents_finished=sum(i.finished_at is not None for i in incidents),
        time_to_restore=Distribution.of(restores),
        time_to_detect=Distribution.of(detects),
        deploys_started=started,
        deployed=deployed,
        deployment_duration=Distribution.of(took),
        merged_pull_requests=merged,
        engineers=engineers,
        merged_per_engineer_week=ratio(merged, engineers * window.length / 7),
        innovation_ratio=ratio(created, sum(typed.values())),
    )


@dataclass(frozen=True, slots=True)
class Scorecard:
    """The five metrics of one group."""

    by: str
    """One of GROUPS."""
    name: str
    """Name of the group; empty for all, or for projects without a team."""
    window: Window
    figures: Mapping[str, Figure]
    beside: Beside | None = None


class MetricRow(NamedTuple):
    """One deployment, change or failure behind a number."""

    at: Instant
    """End of the deployment."""
    trace_id: str
    """Trace of the deployment."""
    key: str
    """Key of the span to open: the pull request, or else the deployment."""
    title: str
    service: str
    version: str
    result: str
    """`ok`, `failed`, `open`."""
    value: Duration | None
    """Duration of the deploy or the recovery, or the change's lead time."""
    note: str
    """The reason: the signals of failure, the basis of the lead time, or why it is a repair."""
    longest: str = ""
    """The longest stage of a change and its duration: `pickup 3.1d`."""


@dataclass(frozen=True, slots=True)
class Detail:
    """One metric of one team, explained."""

    team: str
    figure: Figure
    window: Window
    distribution: Sequence[tuple[str, int]] = ()
    """(bin, number of values)."""
    stages: Sequence[StageTime] = ()
    bottleneck: str = ""
    regressions: Sequence[Regression] = ()
    behind: Sequence[MetricRow] = ()
    """Newest first; lead times and recoveries longest first."""
    of: int = 0
    """Number of all rows; `behind` may hold fewer."""
    marks: Mapping[str, int] = field(default_factory=dict)
    """Reason of a failure or repair -> number of deployments."""
    hints: Sequence[str] = ()
    """If there are no rows: the reason, and what to do."""
    left_out: Sequence[str] = ()
    """Received items that do not count, one sentence each."""


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def distribution(metric: Metric, counted: Counted, window: Window) -> list[tuple[str, int]]:
    """Number of values in each bin of the metric; the last bin has the rest. A metric without bins
    is counted by day of the week."""
    if metric.spread is not None:
        values = metric.spread(counted.within(window.since, window.until), window)
        edges = [0, *(bisect_left(values, limit) for _, limit in metric.bins), len(values)]
        names = [*(name for name, _ in metric.bins), "more"]
        return [(name, b - a) for name, (a, b) in zip(names, pairwise(edges), strict=True)]
    days: Counter[int] = Counter()
    for day, start, stop in window.day_slices(metric.moments(counted)):
        days[day.weekday()] += stop - start
    return [(name, days[number]) for number, name in enumerate(WEEKDAYS)]


class Before(NamedTuple):
    """Facts about a group and the time before a window."""

    known: bool = True
    """Whether there were deployments before its end: a window without any is then 0 a day and not
    missing."""
    covered: bool = True
    """Whether enough of the period before is known to compare with it."""
    since: Instant | None = None
    """When the data begins; a frequency ignores the days before."""


def measure(
    counted: Counted,
    window: Window,
    before: Before = Before(),  # noqa: B008
    *,
    trend: bool = True,
    only: Sequence[str] = (),
) -> dict[str, Figure]:
    """The metrics of a group, or only those in `only`, each with the value of the period before.
    Without `trend` the figures have no series."""
    previous = window.previous
    edges = (*window.bucket_starts, window.until) if trend else ()
    now = counted.within(window.since, window.until)
    past = counted.within(previous.since, previous.until)
    buckets = [counted.within(a, b) for a, b in pairwise(edges)]
    found = {}
    for name in only or METRICS:
        metric = METRICS[name]
        old = metric.measure(past, window)
        figure = replace(
            metric.measure(now, window),
            metric=name,
            series=[metric.measure(bucket, window).value for bucket in buckets],
            before=old.value,
            before_n=old.n,
        )
        if metric.unit is Unit.PER_DAY:
            figure = _a_day(figure, counted, window, before)
        found[name] = figure
    return found


def _a_day(figure: Figure, counted: Counted, window: Window, before: Before) -> Figure:
    """Convert a count to a rate per day; only days with data count."""
    since = before.since if before.since and before.since > window.since else None
    known, past = (each.since_day(before.since) for each in (window, window.previous))
    days = [(day, after > first) for day, first, after in known.day_slices(counted.ok)]
    working = [has for day, has in days if day.weekday() not in WEEKEND]
    n = len(counted.within(known.since, known.until).ok)
    return replace(
        figure,
        value=ratio(n, _days(known)) if before.known else None,
        n=n,
        working_days=len(working),
        working_days_with=sum(working),
        before=ratio(figure.before_n, _days(past)) if before.covered else None,
        before_n=figure.before_n if before.covered else 0,
        level=frequency_level(days) if before.known else "",
        since=since,
    )


def _days(window: Window) -> float:
    """The days that a rate divides by. A begun time shorter than a day counts as one, so that one
    deployment within an hour is not told as 24 a day."""
    return max(window.length, 1.0) if window.days else 0.0
