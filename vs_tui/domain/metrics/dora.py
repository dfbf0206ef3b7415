"""The five metrics over a window: the one computation that view, API, CLI and Prometheus show."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Final

from vs_tui.domain.instants import Duration
from vs_tui.domain.metrics import levels
from vs_tui.domain.metrics.frequency import frequency
from vs_tui.domain.metrics.ledger import BASES, UNKNOWN, Ledger
from vs_tui.domain.metrics.statistics import Runs, median, percentile, ratio
from vs_tui.domain.metrics.windows import Window

METRICS: Final[Mapping[str, str]] = {
    "deploys": "deployment_frequency",
    "lead": "change_lead_time",
    "fail": "change_fail_rate",
    "restore": "failed_deployment_recovery_time",
    "rework": "deployment_rework_rate",
}
"""Short name (cards, filters) -> name in JSON and Prometheus."""
Buckets = Callable[[Sequence[int]], Sequence[tuple[int, int]]]
"""Which part of sorted instants lies in each bucket of the trend."""
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

    @property
    def levels(self) -> Mapping[int, str]:
        """Performance level by the year of the report; empty without a value or a level."""
        if not self.n:
            return {}
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
    "deploys": levels.frequency_level,
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
) -> dict[str, Figure]:
    """The five metrics of a ledger, each against the period before.

    Someone who never deployed has no frequency; who did (`known`, or the ledger says so) and
    did not in this window has 0 a day. Without `trend` the figures have no series. When the
    period before is not `covered` by what is known, frequencies are not compared.
    """
    before = window.previous
    buckets = window.slices if trend else _no_buckets
    known = known or (bool(ledger.ended) and ledger.ended[0] < window.end)
    return {
        "deploys": _deploys(ledger, window, before if covered else None, buckets, known),
        "lead": _lead(ledger, window, before, buckets),
        "fail": _share("fail", ledger.failed, ledger.ended, window, before, buckets),
        "restore": _restore(ledger, window, before, buckets),
        "rework": _share("rework", ledger.rework, ledger.ended, window, before, buckets),
    }


def _no_buckets(_: Sequence[int]) -> list[tuple[int, int]]:
    return []


def _deploys(
    ledger: Ledger, window: Window, before: Window | None, buckets: Buckets, known: bool
) -> Figure:
    ended, ok = ledger.ended, ledger.ok
    start, stop = window.contained(ended)
    found = frequency(list(compress(ended[start:stop], ok[start:stop])), window)
    old = ok.count(1, *before.contained(ended)) if before else 0
    return Figure(
        "deploys",
        found.per_day if known else None,
        found.n,
        working_days=found.working_days,
        working_days_with=found.working_days_with,
        series=[float(ok.count(1, a, b)) for a, b in buckets(ended)],
        before=ratio(old, before.length) if before else None,
        before_n=old,
    )


def _lead(ledger: Ledger, window: Window, before: Window, buckets: Buckets) -> Figure:
    start, stop = window.contained(ledger.shipped_at)
    slices = buckets(ledger.shipped_at)
    runs = [_known(ledger.lead, a, b) for a, b in slices or [(start, stop)]]
    together = Runs(runs)
    middle, upper = together.median_and_percentile(90)
    old = _known(ledger.lead, *before.contained(ledger.shipped_at))
    bases = ledger.basis[start:stop]
    counts = {basis.value: bases.count(number) for number, basis in enumerate(BASES)}
    return Figure(
        "lead",
        middle,
        together.n,
        p90=upper,
        unknown=stop - start - together.n,
        starts={name: n for name, n in counts.items() if name and n},
        series=[median(run) for run in runs[: len(slices)]],
        before=median(old),
        before_n=len(old),
    )


def _known(values: Sequence[float], start: int, stop: int) -> list[float]:
    found = sorted(values[start:stop])
    return found[bisect_right(found, UNKNOWN) :]


def _share(
    metric: str,
    hits: bytes,
    ended: Sequence[int],
    window: Window,
    before: Window,
    buckets: Buckets,
) -> Figure:
    start, stop = window.contained(ended)
    old_start, old_stop = before.contained(ended)
    found = hits.count(1, start, stop)
    return Figure(
        metric,
        ratio(found, stop - start),
        stop - start,
        hits=found,
        series=[ratio(hits.count(1, a, b), b - a) for a, b in buckets(ended)],
        before=ratio(hits.count(1, old_start, old_stop), old_stop - old_start),
        before_n=old_stop - old_start,
    )


def _restore(ledger: Ledger, window: Window, before: Window, buckets: Buckets) -> Figure:
    end = window.end
    took = [
        max(cleared - began, 0) if cleared != UNKNOWN and cleared <= end else UNKNOWN
        for began, cleared in zip(ledger.began, ledger.cleared, strict=True)
    ]
    start, stop = window.contained(ledger.broke_at)
    durations = _known(took, start, stop)
    old = _known(took, *before.contained(ledger.broke_at))
    lasting = [
        began
        for began, duration in zip(ledger.began[start:stop], took[start:stop], strict=True)
        if duration == UNKNOWN and began <= end
    ]
    return Figure(
        "restore",
        median(durations),
        len(durations),
        p90=percentile(durations, 90),
        open=len(lasting),
        open_for=max((end - began for began in lasting), default=0),
        series=[median(_known(took, a, b)) for a, b in buckets(ledger.broke_at)],
        before=median(old),
        before_n=len(old),
    )
