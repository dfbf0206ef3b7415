"""The table of the delivery metrics. Each metric is an entry of METRICS; the view, API, commands,
Prometheus and configuration all read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from vs_tui.metrics.counted import UNKNOWN, Counted
from vs_tui.metrics.levels import FAIL, LEAD, RECOVERY, YEARS, Levels, levels_of
from vs_tui.metrics.statistics import median, percentile, ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import DAY, HOUR, MINUTE, Duration, Instant

SAME_SHARE: Final = 0.05
SAME_POINTS: Final = 0.005


class Unit(StrEnum):
    """The unit of a value, as named in JSON."""

    PER_DAY = "per_day"
    DURATION = "seconds"
    """Microseconds in memory, seconds in JSON."""
    SHARE = "ratio"
    PER_DEPLOYMENT = "per_deployment"


class Rows(StrEnum):
    """The kind of items that a metric counts."""

    DEPLOYMENTS = "deployments"
    CHANGES = "changes"
    FAILURES = "failures"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over one window."""

    metric: str
    value: float | None
    """In the metric's unit; None without data."""
    n: int
    """Number of deployments, changes or closed failures behind the value."""
    p90: float | None = None
    hits: int = 0
    """For a share: deployments that failed or repaired. For changes per deployment: the changes."""
    open: int = 0
    """Failures that are not over."""
    open_for: Duration = 0
    """Age of the longest failure that is still open, at the end of the window."""
    unknown: int = 0
    """Changes with an unknown start."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """Basis of the lead time -> number of changes."""
    working_days: int = 0
    working_days_with: int = 0
    """Working days with a successful deployment."""
    series: Sequence[float | None] = ()
    """One value per bucket of the window; None without data."""
    before: float | None = None
    """The value of the period before."""
    before_n: int = 0
    level: str = ""
    """Level of a frequency, which depends on the days with deployments and not on the value."""
    goal: float | None = None
    """The team's goal."""
    since: Instant | None = None
    """Where the data begins, if that is inside the window."""

    @property
    def definition(self) -> Metric:
        return METRICS[self.metric]

    @property
    def levels(self) -> Mapping[int, str]:
        """Year of the report -> performance level; empty without a value or a level."""
        if not self.n:
            return {}
        if self.level:
            return dict.fromkeys(YEARS, self.level)
        table = self.definition.level
        return levels_of(self.value, table) if table else {}

    @property
    def change(self) -> float | None:
        """What the value is more than that of the period before; None without both."""
        if self.value is None or self.before is None or not self.n or not self.before_n:
            return None
        return self.value - self.before

    @property
    def direction(self) -> str:
        """`better`, `worse` or `same`; empty without a value to compare."""
        grown = self.change
        if grown is None:
            return ""
        is_share = self.definition.unit is Unit.SHARE
        least = SAME_POINTS if is_share else abs(self.before or 0.0) * SAME_SHARE
        if abs(grown) <= least:
            return "same"
        return "better" if (grown > 0) == self.definition.more_is_better else "worse"


def _deploys(counted: Counted, _: Window) -> Figure:
    return Figure("", float(len(counted.ok)), len(counted.ok))


def _leads(counted: Counted, _: Window) -> list[Duration]:
    """Known lead times, sorted."""
    return sorted([lead for _, lead in counted.changes if lead != UNKNOWN])


def _usual(values: Sequence[Duration], **more: Any) -> Figure:
    """The figure of sorted durations."""
    return Figure("", median(values), len(values), percentile(values, 90), **more)


def _lead(counted: Counted, window: Window) -> Figure:
    known = {name: n for name, n in counted.starts.items() if name}
    return _usual(_leads(counted, window), unknown=counted.starts.get("", 0), starts=known)


def _share(hits: Callable[[Counted], Sequence[Instant]]) -> Callable[[Counted, Window], Figure]:
    def share(counted: Counted, _: Window) -> Figure:
        found, n = len(hits(counted)), len(counted.ended)
        return Figure("", ratio(found, n), n, hits=found)

    return share


def _recoveries(counted: Counted, window: Window) -> list[Duration]:
    """Durations of closed failures, sorted."""
    taken = [row.took(window.now) for row in counted.recoveries]
    return sorted([took for took in taken if took is not None])


def _restore(counted: Counted, window: Window) -> Figure:
    lasting = [
        max(window.end - row.began, 0)
        for row in counted.recoveries
        if row.began <= window.now and row.took(window.now) is None
    ]
    open_for = max(lasting, default=0)
    return _usual(_recoveries(counted, window), open=len(lasting), open_for=open_for)


def _batch(counted: Counted, _: Window) -> Figure:
    changes, n = len(counted.changes), len(counted.ok)
    return Figure("", ratio(changes, n), n, hits=changes)


Bins = tuple[tuple[str, Duration], ...]
_LEAD_BINS: Final[Bins] = (
    *(("< 1h", HOUR), ("< 4h", 4 * HOUR), ("< 1d", DAY), ("< 2d", 2 * DAY)),
    *(("< 1w", 7 * DAY), ("< 2w", 14 * DAY), ("< 30d", 30 * DAY)),
)
_RECOVERY_BINS: Final[Bins] = (
    *(("< 5m", 5 * MINUTE), ("< 15m", 15 * MINUTE), ("< 1h", HOUR)),
    *(("< 4h", 4 * HOUR), ("< 1d", DAY), ("< 1w", 7 * DAY)),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """The definition of a metric."""

    name: str
    """Its name on cards and in filters."""
    key: str
    """Its name in JSON, Prometheus and [goals]."""
    title: str
    short: str
    """The short title."""
    about: str
    """One line of help."""
    meaning: str
    """Its definition, the first sentences in docs/metrics.md."""
    unit: Unit
    more_is_better: bool = False
    measure: Callable[[Counted, Window], Figure]
    """Of the items of a time range; the window has the time up to which facts are known."""
    level: Levels | None = None
    tells: tuple[str, ...] = ()
    """The fields of a figure that apply to it."""
    hits: str = ""
    """Template that says `hits` and `n` in words."""
    tally: str
    """Short template for the counted items: `n`, `hits` and `seen` (all items, with open and
    unknown ones)."""
    bins: Bins = ()
    """Bins of the histogram of `spread`. Without bins the histogram shows `moments` by day of the
    week."""
    spread: Callable[[Counted, Window], list[Duration]] | None = None
    moments: Callable[[Counted], Sequence[Instant]] = lambda counted: counted.ok
    rows: Rows = Rows.DEPLOYMENTS
    counts: str = "outcome IN ('ok', 'failed')"
    """SQL condition: the deployments that it counts."""
    first: str = "1"
    """SQL expression that orders the listed deployments, greatest first."""
    note: str = "reasons"
    """The list's note on a deployment: `reasons`, `repair` or `{first} changes`."""
    listed: str
    """Title of the list of rows."""


FIRST: Final = (
    "(c.again = 0 OR NOT EXISTS (SELECT 1 FROM dora_changes e WHERE e.change = c.change "
    "AND (e.at, e.deployment) < (c.at, c.deployment) AND e.unit <> :unit "
    "AND e.place IN (SELECT value FROM json_each(:places))))"
)
"""SQL: whether a row `c` of dora_changes is the first shipment of its change in the group."""
_TABLE: Final = (
    Metric(
        name="deploys",
        key="deployment_frequency",
        title="deployment frequency",
        short="deploys",
        about="Successful production deployments a day",
        meaning="Successful production deployments, divided by the days of the time "
        "range since the first event known of the project, at least one.",
        unit=Unit.PER_DAY,
        more_is_better=True,
        measure=_deploys,
        tells=("working_days", "working_days_with", "since"),
        tally="{n:deployment}",
        counts="outcome = 'ok'",
        listed="successful deployments",
    ),
    Metric(
        name="lead",
        key="change_lead_time",
        title="change lead time",
        short="lead",
        about="Median seconds from a change's begin to production",
        meaning="The median time from the begin of a change (its first commit, or when "
        "its pull request was opened) to the end of the successful production "
        "deployment that first contains it.",
        unit=Unit.DURATION,
        measure=_lead,
        level=LEAD,
        tells=("p90", "starts", "unknown"),
        tally="{seen:change}",
        bins=_LEAD_BINS,
        spread=_leads,
        rows=Rows.CHANGES,
        listed="changes, the longest first",
    ),
    Metric(
        name="fail",
        key="change_fail_rate",
        title="change fail rate",
        short="fail",
        about="Share of the deployments that failed",
        meaning="Production deployments that failed, divided by all production "
        "deployments. A deployment fails by its own result, by a test or an "
        "incident after it, or because it was rolled back.",
        unit=Unit.SHARE,
        measure=_share(lambda counted: counted.failed),
        level=FAIL,
        tells=("hits",),
        hits="{hits} of {n:deployment}",
        tally="{hits} of {n} failed",
        moments=lambda counted: counted.failed,
        first="failed_at IS NOT NULL AND failed_at <= :now",
        listed="deployments, those that failed first",
    ),
    Metric(
        name="restore",
        key="failed_deployment_recovery_time",
        title="recovery time",
        short="recovery",
        about="Median seconds until a failure was over",
        meaning="The median time from the first sign that a production deployment "
        "failed until every sign of it is closed.",
        unit=Unit.DURATION,
        measure=_restore,
        level=RECOVERY,
        tells=("p90", "open", "open_for"),
        tally="{n} of {seen} over",
        bins=_RECOVERY_BINS,
        spread=_recoveries,
        rows=Rows.FAILURES,
        listed="failures, open and longest first",
    ),
    Metric(
        name="rework",
        key="deployment_rework_rate",
        title="deployment rework",
        short="rework",
        about="Share of the deployments made to repair",
        meaning="Production deployments made to repair, divided by all production "
        "deployments: rollbacks, reverts, hotfixes, and what ended an incident.",
        unit=Unit.SHARE,
        measure=_share(lambda counted: counted.rework),
        tells=("hits",),
        hits="{hits} of {n:deployment}",
        tally="{hits} of {n} repairs",
        moments=lambda counted: counted.rework,
        first="repair <> ''",
        note="repair",
        listed="deployments, those that repaired first",
    ),
    Metric(
        name="batch",
        key="changes_per_deployment",
        title="changes per deployment",
        short="batch",
        about="Changes that a successful deployment shipped first, on average",
        meaning="Changes that successful production deployments shipped first, divided "
        "by those deployments.",
        unit=Unit.PER_DEPLOYMENT,
        measure=_batch,
        tells=("hits",),
        hits="{hits:change} in {n:deployment}",
        tally="{hits} in {n}",
        moments=lambda counted: [at for at, _ in counted.changes],
        counts="outcome = 'ok'",
        first="(SELECT COUNT(*) FROM dora_changes c WHERE c.deployment = d.key AND " + FIRST + ")",  # noqa: S608
        note="{first} changes",
        listed="successful deployments, the largest first",
    ),
)

METRICS: Final[Mapping[str, Metric]] = {metric.name: metric for metric in _TABLE}
BY_KEY: Final[Mapping[str, Metric]] = {metric.key: metric for metric in _TABLE}
