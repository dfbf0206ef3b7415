"""The pull-request report: one row per pull request, and figures per day, week or month."""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta, tzinfo
from math import fsum
from operator import attrgetter
from typing import Final, NamedTuple

from vs_tui.metrics.statistics import mean, median, percentile, ratio
from vs_tui.metrics.windows import BUCKETS, MONDAY, day_of, day_start, period_start
from vs_tui.model.time import SECOND, Duration, Instant

_DAY: Final = timedelta(1)
_MANY: Final = 64


class PullRequest(NamedTuple):
    """One pull request; counts are None if the tool does not report them."""

    owner: str
    repo: str
    created_at: Instant
    merged_at: Instant | None = None
    closed_at: Instant | None = None
    """When it was merged or closed; None while it is open."""
    comments: int | None = None
    additions: int | None = None
    deletions: int | None = None
    key: str = ""
    updated_at: Instant = 0
    id: str = ""
    author: str = ""
    url: str = ""
    title: str = ""
    reviewers: str = ""
    """Requested reviewers and actual reviewers, separated by commas."""

    @property
    def merged(self) -> bool:
        return self.merged_at is not None

    @property
    def total_changes(self) -> int | None:
        """Lines added and deleted."""
        if self.additions is None and self.deletions is None:
            return None
        return (self.additions or 0) + (self.deletions or 0)

    def duration(self, now: Instant) -> Duration:
        """Time from creation to merge, or else to close, or else to `now`."""
        end = self.merged_at if self.merged_at is not None else self.closed_at
        return max((now if end is None else end) - self.created_at, 0)

    def duration_per_comment(self, now: Instant) -> float | None:
        """Seconds; 0 without comments, None if the number of comments is unknown."""
        return _per_comment(self.duration(now), self.comments)

    def duration_per_line(self, now: Instant) -> float | None:
        """Seconds; None without changed lines."""
        return _per_line(self.duration(now), self.total_changes)


def _per_comment(duration: Duration, comments: int | None) -> float | None:
    if comments is None:
        return None
    return duration / SECOND / comments if comments else 0.0


def _per_line(duration: Duration, lines: int | None) -> float | None:
    return duration / SECOND / lines if lines else None


class PeriodFigures(NamedTuple):
    """Figures of the pull requests of one repository that were created in one period."""

    period: date
    """Its first day."""
    owner: str
    repo: str
    total: int
    merged: int
    merge_ratio: float | None
    lines: float | None
    """Like the other means, over the pull requests for which it is known."""
    hours: float | None
    seconds_per_line: float | None
    seconds_per_comment: float | None
    comments: float | None
    running_p50: float | None
    """Percentiles of the duration in hours, over all pull requests up to the end of this period."""
    running_p95: float | None
    running_p99: float | None


def aggregate(
    pull_requests: Iterable[PullRequest],
    period: str,
    zone: tzinfo,
    now: Instant,
    *,
    week_start: int = MONDAY,
) -> list[PeriodFigures]:
    """Figures by period and repository, in time order. ValueError for an unknown period."""
    if period not in BUCKETS:
        raise ValueError(f"'{period}' is not a period; use one of {', '.join(BUCKETS)}")
    groups: defaultdict[tuple[date, str, str], list[PullRequest]] = defaultdict(list)
    first, day_end = date.min, None
    for pr in sorted(pull_requests, key=attrgetter("created_at")):
        if day_end is None or pr.created_at >= day_end:
            day = day_of(pr.created_at, zone)
            first, day_end = period_start(day, period, week_start), day_start(day + _DAY, zone)
        groups[first, pr.owner, pr.repo].append(pr)
    running: defaultdict[tuple[str, str], list[Duration]] = defaultdict(list)
    found = []
    for (first, owner, repo), members in sorted(groups.items()):
        durations = [pr.duration(now) for pr in members]
        ordered = running[owner, repo]
        _put(ordered, durations)
        merged = sum([pr.merged for pr in members])
        lines = [pr.total_changes for pr in members]
        comments = [pr.comments for pr in members]
        found.append(
            PeriodFigures(
                period=first,
                owner=owner,
                repo=repo,
                total=len(members),
                merged=merged,
                merge_ratio=ratio(merged, len(members)),
                lines=_mean(lines),
                hours=hours(mean(durations)),
                seconds_per_line=_mean(map(_per_line, durations, lines)),
                seconds_per_comment=_mean(map(_per_comment, durations, comments)),
                comments=_mean(comments),
                running_p50=hours(median(ordered)),
                running_p95=hours(percentile(ordered, 95)),
                running_p99=hours(percentile(ordered, 99)),
            )
        )
    return found


def _put(ordered: list[Duration], values: Sequence[Duration]) -> None:
    """Add values to a sorted list: few values are inserted, many are appended and sorted."""
    if len(values) * _MANY < len(ordered):
        for value in values:
            insort(ordered, value)
    else:
        ordered += values
        ordered.sort()


def hours(duration: float | None) -> float | None:
    """A duration in hours."""
    return None if duration is None else duration / SECOND / 3600


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    # The exact sum, rounded once: the same in any order.
    return fsum(known) / len(known) if known else None
