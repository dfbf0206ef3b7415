"""The five metrics over a window: the one computation that view, API, CLI and Prometheus show."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

from vs_tui.metrics import levels
from vs_tui.metrics.columns import UNKNOWN, Strand
from vs_tui.metrics.frequency import frequency
from vs_tui.metrics.ledger import BASES, Ledger
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
        """`better`, `worse`, `same`, or `` when there is nothing to compare."""
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
    ledger: Ledger,
    window: Window,
    *,
    known: bool = False,
    covered: bool = True,
    trend: bool = True,
    since: Instant | None = None,
    only: Collection[str] = tuple(METRICS),
) -> dict[str, Figure]:
    """The five metrics of a ledger, each against the period before.

    Someone who never deployed has no frequency; who did (`known`, or the ledger says so) and
    did not in this window has 0 a day. Without `trend` the figures have no series. When the
    period before is not `covered` by what is known, frequencies are not compared. `since`: when
    there was data first; days before do not count in a frequency.
    """
    before = window.previous
    ended: Sequence[int] = ledger.deployments.column("at")
    slices = window.slices(ended) if trend else []
    known = known or (bool(ended) and ended[0] < window.end)
    found: dict[str, Callable[[], Figure]] = {
        "deploys": lambda: _deploys(
            ledger, window, before if covered else None, slices, known=known, since=since
        ),
        "lead": lambda: _lead(ledger.changes, window, before, trend),
        "fail": lambda: _share(
            "fail", "failed", as_known(ledger, window.now), window, before, slices
        ),
        "restore": lambda: _restore(ledger.episodes, window, before, trend),
        "rework": lambda: _share("rework", "rework", ledger, window, before, slices),
    }
    return {name: work() for name, work in found.items() if name in only}


Slices = Sequence[tuple[int, int]]
"""Which part of the columns lies in each bucket of the trend."""


def _deploys(
    ledger: Ledger,
    window: Window,
    before: Window | None,
    slices: Slices,
    *,
    known: bool,
    since: Instant | None,
) -> Figure:
    ended, ok = ledger.deployments.column("at"), ledger.deployments.column("ok")
    young = since is not None and since > window.since
    found = frequency(ended, ok, window.since_day(since) if young and since else window)
    old = ok.count(1, *before.contained(ended)) if before else 0
    return Figure(
        "deploys",
        found.per_day if known else None,
        found.n,
        working_days=found.working_days,
        working_days_with=found.working_days_with,
        series=[float(ok.count(1, a, b)) for a, b in slices],
        before=ratio(old, before.length) if before else None,
        before_n=old,
        level=found.level if known else "",
        since=since if young else None,
    )


def _lead(changes: Strand, window: Window, before: Window, trend: bool) -> Figure:
    start, stop = window.contained(changes.column("at"))
    values = changes.spread("lead", window.since, window.until)
    old = changes.spread("lead", before.since, before.until)
    bases = changes.column("basis")
    counts = {basis.value: bases.count(number, start, stop) for number, basis in enumerate(BASES)}
    edges = (*window.bucket_starts, window.until) if trend else ()
    return Figure(
        "lead",
        values.median(),
        values.n,
        p90=values.percentile(90),
        unknown=stop - start - values.n,
        starts={name: n for name, n in counts.items() if name and n},
        series=[changes.spread("lead", a, b).median() for a, b in pairwise(edges)],
        before=old.median(),
        before_n=old.n,
    )


def _share(
    metric: str, column: str, ledger: Ledger, window: Window, before: Window, slices: Slices
) -> Figure:
    ended, hits = ledger.deployments.column("at"), ledger.deployments.column(column)
    start, stop = window.contained(ended)
    old_start, old_stop = before.contained(ended)
    found = hits.count(1, start, stop)
    return Figure(
        metric,
        ratio(found, stop - start),
        stop - start,
        hits=found,
        series=[ratio(hits.count(1, a, b), b - a) for a, b in slices],
        before=ratio(hits.count(1, old_start, old_stop), old_stop - old_start),
        before_n=old_stop - old_start,
    )


def _restore(episodes: Strand, window: Window, before: Window, trend: bool) -> Figure:
    at = episodes.column("at")
    end, (start, stop) = window.end, window.contained(at)
    took = recoveries(episodes, start, stop, end)
    durations = sorted(value for value in took if value != UNKNOWN)
    earlier = recoveries(episodes, *before.contained(at), end)
    old = sorted(value for value in earlier if value != UNKNOWN)
    lasting = [
        began
        for began, value in zip(episodes.column("began")[start:stop], took, strict=True)
        if value == UNKNOWN and began <= end
    ]
    slices = window.slices(at) if trend else []
    return Figure(
        "restore",
        median(durations),
        len(durations),
        p90=percentile(durations, 90),
        open=len(lasting),
        open_for=max((end - began for began in lasting), default=0),
        series=[
            median(sorted(value for value in took[a - start : b - start] if value != UNKNOWN))
            for a, b in slices
        ],
        before=median(old),
        before_n=len(old),
    )


def as_known(ledger: Ledger, now: Instant) -> Ledger:
    """The ledger without the failures that nobody could see yet at a moment, for a look back."""
    began, ids = ledger.episodes.column("began"), ledger.episodes.column("id")
    if not began or max(began) <= now:
        return ledger
    seen = {id_ for id_, at in zip(ids, began, strict=True) if at <= now}
    unseen = set(ids) - seen
    failed = bytearray(ledger.deployments.column("failed"))
    for position, id_ in enumerate(ledger.deployments.column("id")):
        if id_ in unseen:
            failed[position] = 0
    return replace(ledger, deployments=ledger.deployments.with_flags("failed", bytes(failed)))


def recoveries(episodes: Strand, start: int, stop: int, end: Instant) -> list[Duration]:
    """How long each of a part of the episodes took; UNKNOWN for what lasted at `end`."""
    began, cleared = episodes.column("began"), episodes.column("cleared")
    return [
        over - since if since <= over <= end else (0 if UNKNOWN < over <= end else UNKNOWN)
        for since, over in zip(began[start:stop], cleared[start:stop], strict=True)
    ]
