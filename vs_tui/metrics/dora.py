"""The five metrics over a window: the one computation that view, API, CLI and Prometheus show."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from vs_tui.metrics import levels
from vs_tui.metrics.counted import Counted, Deployed, Recovery, ShippedChange
from vs_tui.metrics.frequency import frequency
from vs_tui.metrics.lead_time import Basis
from vs_tui.metrics.statistics import median, percentile, ratio
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Duration, Instant

METRICS: Final[Mapping[str, str]] = {
    "deploys": "deployment_frequency",
    "lead": "change_lead_time",
    "fail": "change_fail_rate",
    "restore": "failed_deployment_recovery_time",
    "rework": "deployment_rework_rate",
}
"""Short name (cards, filters) -> name in JSON and Prometheus."""
SAME_SHARE: Final = 0.05
SAME_POINTS: Final = 0.005


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric over one window."""

    metric: str
    value: float | None
    """Per day, microseconds, or a share of 1; None without data."""
    n: int
    """What the value stands on: deployments, changes or closed episodes."""
    p90: float | None = None
    hits: int = 0
    """Deployments that failed (fail) or repaired (rework)."""
    open: int = 0
    """Episodes that last (restore)."""
    open_for: Duration = 0
    """How long the longest of them has lasted at the end of the window."""
    unknown: int = 0
    """Changes whose begin is not known (lead)."""
    starts: Mapping[str, int] = field(default_factory=dict)
    """From which moment lead times were counted -> changes."""
    working_days: int = 0
    working_days_with: int = 0
    """Of them, those with a successful deployment (deploys)."""
    series: Sequence[float | None] = ()
    """A value a bucket of the window, None where it has no data."""
    before: float | None = None
    """The value over the period before."""
    before_n: int = 0
    level: str = ""
    """Of a frequency, which follows days and not the value."""
    goal: float | None = None
    """What its team wants it to be."""
    since: Instant | None = None
    """From when on there is data, where that lies within the window."""

    @property
    def levels(self) -> Mapping[int, str]:
        """Performance level by the year of the report; empty without a value or a level."""
        if not self.n:
            return {}
        if self.level:
            return dict.fromkeys(levels.YEARS, self.level)
        found = _LEVELS.get(self.metric)
        return found(self.value) if found else {}

    @property
    def direction(self) -> str:
        """`better`, `worse`, `same`, or empty when there is nothing to compare."""
        if self.value is None or self.before is None or not self.n or not self.before_n:
            return ""
        grown = self.value - self.before
        least = SAME_POINTS if self.is_share else abs(self.before) * SAME_SHARE
        if abs(grown) <= least:
            return "same"
        return "better" if (grown > 0) == (self.metric == "deploys") else "worse"

    @property
    def is_share(self) -> bool:
        return self.metric in ("fail", "rework")


_LEVELS: Final = {
    "lead": levels.lead_time_level,
    "fail": levels.fail_rate_level,
    "restore": levels.recovery_level,
}


def measure(
    counted: Counted,
    window: Window,
    *,
    known: bool = False,
    covered: bool = True,
    trend: bool = True,
    since: Instant | None = None,
    only: Collection[str] = tuple(METRICS),
) -> dict[str, Figure]:
    """The five metrics of a group, each against the period before.

    Someone who never deployed has no frequency; who did (`known`, or the deployments say so) and
    did not in this window has 0 a day. Without `trend` the figures have no series. When the
    period before is not `covered` by what is known, frequencies are not compared. `since`: when
    there was data first; days before do not count in a frequency.
    """
    listed = counted.deployments
    known = known or (bool(listed) and listed[0].at < window.end)
    deployments = _Parts(listed, window, trend)
    found: dict[str, Callable[[], Figure]] = {
        "deploys": lambda: _deploys(deployments, window, known, covered, since),
        "lead": lambda: _lead(_Parts(counted.changes, window, trend)),
        "fail": lambda: _share("fail", deployments, failed_by(window.now)),
        "restore": lambda: _restore(_Parts(counted.recoveries, window, trend), window.end),
        "rework": lambda: _share("rework", deployments, lambda row: row.is_rework),
    }
    return {name: work() for name, work in found.items() if name in only}


Row = TypeVar("Row", Deployed, ShippedChange, Recovery)


class _Parts(Generic[Row]):
    """Rows in time order: those of the window, of the period before, and of each bucket."""

    def __init__(self, rows: Sequence[Row], window: Window, trend: bool) -> None:
        self.moments = [row.at for row in rows]
        start, stop = window.contained(self.moments)
        self.own: Sequence[Row] = rows[start:stop]
        start, stop = window.previous.contained(self.moments)
        self.before: Sequence[Row] = rows[start:stop]
        slices = window.slices(self.moments) if trend else ()
        self.buckets: list[Sequence[Row]] = [rows[start:stop] for start, stop in slices]


def _deploys(
    parts: _Parts[Deployed], window: Window, known: bool, covered: bool, since: Instant | None
) -> Figure:
    successes = [row.at for row in parts.own if row.ok]
    young = since is not None and since > window.since
    found = frequency(successes, window.since_day(since) if young and since else window)
    old = sum(row.ok for row in parts.before) if covered else 0
    return Figure(
        "deploys",
        found.per_day if known else None,
        found.n,
        working_days=found.working_days,
        working_days_with=found.working_days_with,
        series=[float(sum(row.ok for row in bucket)) for bucket in parts.buckets],
        before=ratio(old, window.previous.length) if covered else None,
        before_n=old,
        level=found.level if known else "",
        since=since if young else None,
    )


def _leads(changes: Iterable[ShippedChange]) -> list[Duration]:
    return sorted([change.lead for change in changes if change.lead is not None])


def _lead(parts: _Parts[ShippedChange]) -> Figure:
    values, old = _leads(parts.own), _leads(parts.before)
    bases = Counter(change.basis for change in parts.own)
    return Figure(
        "lead",
        median(values),
        len(values),
        p90=percentile(values, 90),
        unknown=len(parts.own) - len(values),
        starts={basis.value: bases[basis] for basis in Basis if basis and bases[basis]},
        series=[median(_leads(bucket)) for bucket in parts.buckets],
        before=median(old),
        before_n=len(old),
    )


def failed_by(now: Instant) -> Callable[[Deployed], bool]:
    """Whether a deployment failed as far as could be seen at a moment that is looked back to."""
    return lambda row: row.failed_at is not None and row.failed_at <= now


def _share(metric: str, parts: _Parts[Deployed], counts: Callable[[Deployed], int]) -> Figure:
    hits = sum(map(counts, parts.own))
    return Figure(
        metric,
        ratio(hits, len(parts.own)),
        len(parts.own),
        hits=hits,
        series=[ratio(sum(map(counts, bucket)), len(bucket)) for bucket in parts.buckets],
        before=ratio(sum(map(counts, parts.before)), len(parts.before)),
        before_n=len(parts.before),
    )


def took(recoveries: Iterable[Recovery], end: Instant) -> list[Duration]:
    """The durations of those that are over, sorted."""
    return sorted([taken for row in recoveries if (taken := row.took(end)) is not None])


def _restore(parts: _Parts[Recovery], end: Instant) -> Figure:
    durations, old = took(parts.own, end), took(parts.before, end)
    lasting = [row.began for row in parts.own if row.took(end) is None and row.began <= end]
    return Figure(
        "restore",
        median(durations),
        len(durations),
        p90=percentile(durations, 90),
        open=len(lasting),
        open_for=max((end - began for began in lasting), default=0),
        series=[median(took(bucket, end)) for bucket in parts.buckets],
        before=median(old),
        before_n=len(old),
    )
