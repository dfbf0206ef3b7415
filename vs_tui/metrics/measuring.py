"""Computes all metrics of a group over a window, each with the value of the period before."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from itertools import pairwise
from typing import Final, NamedTuple

from vs_tui.metrics.counted import Counted
from vs_tui.metrics.definitions import METRICS, Figure, Unit
from vs_tui.metrics.statistics import median, ratio
from vs_tui.metrics.windows import WEEKEND, Window
from vs_tui.model.time import Instant


class Before(NamedTuple):
    """Facts about the time before a window."""

    known: bool = False
    """Whether there were deployments: a window without any is then 0 a day and not missing."""
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
    end, previous = window.end, window.previous
    edges = (*window.bucket_starts, window.until) if trend else ()
    known = before.known or (bool(counted.ended) and counted.ended[0] < end)
    now = counted.within(window.since, window.until)
    past = counted.within(previous.since, previous.until)
    buckets = [counted.within(a, b) for a, b in pairwise(edges)]
    found = {}
    for name in only or METRICS:
        metric = METRICS[name]
        old = metric.measure(past, end)
        figure = replace(
            metric.measure(now, end),
            metric=name,
            series=[metric.measure(bucket, end).value for bucket in buckets],
            before=old.value,
            before_n=old.n,
        )
        if metric.unit is Unit.PER_DAY:
            figure = _a_day(figure, counted, window, before._replace(known=known))
        found[name] = figure
    return found


def _a_day(figure: Figure, counted: Counted, window: Window, before: Before) -> Figure:
    """Convert a count to a rate per day; only days with data count."""
    since = before.since if before.since and before.since > window.since else None
    known = window.since_day(since) if since else window
    days = [(day, after > first) for day, first, after in known.day_slices(counted.ok)]
    start, stop = known.contained(counted.ok)
    return replace(
        figure,
        value=ratio(stop - start, _days(known)) if before.known else None,
        n=stop - start,
        working_days=len(known.working_days),
        working_days_with=sum(has for day, has in days if day.weekday() not in WEEKEND),
        before=ratio(figure.before_n, _days(window.previous)) if before.covered else None,
        before_n=figure.before_n if before.covered else 0,
        level=level_of(days) if before.known else "",
        since=since,
    )


def _days(window: Window) -> float:
    """The days that a rate divides by. A begun time shorter than a day counts as one, so that one
    deployment within an hour is not told as 24 a day."""
    return max(window.length, 1.0) if window.days else 0.0


_OFTEN: Final = 3
"""Days with a deployment in the median week that make the level elite (on demand)."""
_TWO_MONTHS: Final = 60


def level_of(days: Sequence[tuple[date, bool]]) -> str:
    """The frequency level of days with or without a deployment: elite for 3 days of the median
    week, high for 1 day of it, medium for 1 day of the median calendar month, else low.

    Weeks are counted back from the end. A window shorter than two months counts as one month.
    """
    if not days:
        return ""
    flags = [has for _, has in days]
    weeks = [sum(flags[max(end - 7, 0) : end]) for end in range(len(flags), 6, -7)]
    usual = median(sorted(weeks or [sum(flags)])) or 0
    if usual >= _OFTEN:
        return "elite"
    if usual >= 1:
        return "high"
    months: dict[tuple[int, int], list[bool]] = {}
    for day, has in days:
        months.setdefault((day.year, day.month), []).append(has)
    whole = [sum(own) for month, own in months.items() if len(own) == monthrange(*month)[1]]
    if len(days) < _TWO_MONTHS or not whole:
        whole = [sum(flags)]
    return "medium" if (median(sorted(whole)) or 0) >= 1 else "low"
