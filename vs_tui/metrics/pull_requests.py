"""The pull-request report: a row a pull request, and figures a day, week or month."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, tzinfo
from math import fsum
from typing import Final, NamedTuple

from vs_tui.metrics.reading import text
from vs_tui.metrics.statistics import mean, median, percentile, ratio
from vs_tui.metrics.windows import MONDAY, day_of, period_start
from vs_tui.model.time import SECOND, Duration, Instant
from vs_tui.model.vocabulary import Span, Status

PERIODS: Final = ("day", "week", "month")


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """One pull request; counts are None where its tool does not tell them."""

    key: str
    owner: str
    repo: str
    created_at: Instant
    merged_at: Instant | None
    closed_at: Instant | None
    """When it was merged or closed; None while it is open."""
    updated_at: Instant
    comments: int | None = None
    additions: int | None = None
    deletions: int | None = None
    id: str = ""
    author: str = ""
    url: str = ""
    title: str = ""
    reviewers: str = ""
    team: str = ""

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
        """Until merged, else closed, else now."""
        end = self.merged_at if self.merged_at is not None else self.closed_at
        return max((now if end is None else end) - self.created_at, 0)

    def duration_per_comment(self, now: Instant) -> float | None:
        """Seconds; 0 without comments, None when the number of comments is not known."""
        if self.comments is None:
            return None
        return self.duration(now) / SECOND / self.comments if self.comments else 0.0

    def duration_per_line(self, now: Instant) -> float | None:
        """Seconds; None without changed lines, because nothing is infinite."""
        return ratio(self.duration(now) / SECOND, self.total_changes or 0)


def pull_request_of(span: Span, reviewers: Iterable[str] = ()) -> PullRequest | None:
    """A `pull_request` span as a row; None without a start. `reviewers` are those who reviewed."""
    if span.started_at is None:
        return None
    names = span.attributes
    owner, _, repo = span.project.rpartition("/")
    asked = text(names, "vs.pr.reviewers").split(",")
    return PullRequest(
        key=span.key,
        owner=text(names, "vcs.owner.name") or owner,
        repo=text(names, "vcs.repository.name") or repo,
        created_at=span.started_at,
        merged_at=span.ended_at if span.status is Status.OK else None,
        closed_at=span.ended_at,
        updated_at=span.last_event_at,
        comments=_number(span, "vs.pr.comments", "vs.pr.review_comments"),
        additions=_number(span, "vs.pr.additions"),
        deletions=_number(span, "vs.pr.deletions"),
        id=text(names, "vcs.change.id"),
        author=span.actor,
        url=span.url,
        title=text(names, "vcs.change.title") or span.name,
        reviewers=",".join(dict.fromkeys(name for name in (*asked, *reviewers) if name)),
        team=span.team,
    )


def _number(span: Span, *names: str) -> int | None:
    """The sum of the counts that are there; None when none is."""
    found = [
        value
        for name in names
        if isinstance(value := span.attributes.get(name), int) and not isinstance(value, bool)
    ]
    return sum(found) if found else None


class PeriodFigures(NamedTuple):
    """The pull requests of one repository that were created in one period."""

    period: date
    """Its first day."""
    owner: str
    repo: str
    total: int
    merged: int
    merge_ratio: float | None
    lines: float | None
    """Means over those of which it is known."""
    hours: float | None
    seconds_per_line: float | None
    seconds_per_comment: float | None
    comments: float | None
    running_p50: float | None
    """Percentiles of the duration in hours, from the given date to the end of this period."""
    running_p95: float | None
    running_p99: float | None


def aggregate(
    pull_requests: Iterable[PullRequest],
    period: str,
    zone: tzinfo,
    now: Instant,
    *,
    week_start: int = MONDAY,
    running_since: date | None = None,
) -> list[PeriodFigures]:
    """Figures a period and repository, in time order. ValueError for an unknown period.

    `running_since`: from which day on the running percentiles count (default: the first).
    """
    if period not in PERIODS:
        raise ValueError(f"'{period}' is not a period; use one of {', '.join(PERIODS)}")
    by_repo: dict[tuple[str, str], dict[date, dict[str, PullRequest]]] = {}
    for pr in pull_requests:
        first = period_start(day_of(pr.created_at, zone), period, week_start)
        periods = by_repo.setdefault((pr.owner, pr.repo), {})
        periods.setdefault(first, {})[pr.key] = pr
    found = []
    for (owner, repo), periods in by_repo.items():
        running: list[Duration] = []
        for first in sorted(periods):
            members = list(periods[first].values())
            running.extend(
                pr.duration(now)
                for pr in members
                if running_since is None or day_of(pr.created_at, zone) >= running_since
            )
            found.append(_period(first, owner, repo, members, sorted(running), now))
    return sorted(found, key=lambda figures: (figures.period, figures.owner, figures.repo))


def _period(
    first: date,
    owner: str,
    repo: str,
    members: Sequence[PullRequest],
    running: Sequence[Duration],
    now: Instant,
) -> PeriodFigures:
    merged = sum(1 for pr in members if pr.merged)
    return PeriodFigures(
        period=first,
        owner=owner,
        repo=repo,
        total=len(members),
        merged=merged,
        merge_ratio=ratio(merged, len(members)),
        lines=_mean(pr.total_changes for pr in members),
        hours=hours(mean([pr.duration(now) for pr in members])),
        seconds_per_line=_mean(pr.duration_per_line(now) for pr in members),
        seconds_per_comment=_mean(pr.duration_per_comment(now) for pr in members),
        comments=_mean(pr.comments for pr in members),
        running_p50=hours(median(running)),
        running_p95=hours(percentile(running, 95)),
        running_p99=hours(percentile(running, 99)),
    )


def hours(duration: float | None) -> float | None:
    """A duration in hours."""
    return None if duration is None else duration / SECOND / 3600


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    # The exact sum, rounded once: the same in any order.
    return fsum(known) / len(known) if known else None
