"""The reports on spans (durations, pull requests, stages, flaky jobs, what is in flight) as JSON
and as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import tzinfo
from typing import Any, Final

from vs_tui.export.report_json import Table, seconds
from vs_tui.metrics import texts
from vs_tui.metrics.durations import GroupFigures
from vs_tui.metrics.flaky import FlakyJob
from vs_tui.metrics.pull_requests import PeriodFigures, PullRequest
from vs_tui.metrics.report import Detail
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Instant, iso, to_datetime
from vs_tui.store.metrics.span_reports import Expected

Record = Mapping[str, Any]
PULL_REQUEST_COLUMNS: Final = (
    *("owner", "repo", "created_at", "merged", "duration", "comments", "additions", "deletions"),
    *("total_changes", "duration_per_comment", "duration_per_line", "id", "merged_at"),
    *("closed_at", "updated_at", "author", "url", "title", "reviewers"),
)


def cells(records: Sequence[Record], titles: Sequence[str] = ()) -> Table:
    """Records as rows; what is missing is an empty cell."""
    names = titles or tuple(records[0]) if records else titles
    return names, [["" if r[n] is None else _cell(r[n]) for n in names] for r in records]


def _cell(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def duration_records(
    grouping: Sequence[str], groups: Sequence[GroupFigures]
) -> list[dict[str, Any]]:
    """A record a group; durations are seconds."""
    return [
        {
            **dict(zip(grouping, figures.group, strict=True)),
            "started": figures.started,
            "finished": figures.finished,
            "ok": figures.ok,
            "failed": figures.failed,
            "cancelled": figures.cancelled,
            "in_progress": figures.in_progress,
            "success_ratio": figures.success_ratio,
            "per_day": figures.throughput,
            "n": figures.duration.n,
            "mean": seconds(figures.duration.mean),
            "p50": seconds(figures.duration.p50),
            "p90": seconds(figures.duration.p90),
            "p95": seconds(figures.duration.p95),
            "p99": seconds(figures.duration.p99),
        }
        for figures in groups
    ]


def duration_table(grouping: Sequence[str], groups: Sequence[GroupFigures]) -> Table:
    """For people."""
    titles = (
        *grouping,
        *("started", "finished", "in progress", "success", "rate", "mean", "p50", "p90", "p95"),
        *("p99", "n"),
    )
    rows = [
        (
            *(name or texts.MISSING for name in f.group),
            str(f.started),
            str(f.finished),
            str(f.in_progress),
            texts.percent(f.success_ratio),
            texts.rate(f.throughput),
            texts.brief(f.duration.mean),
            texts.brief(f.duration.p50),
            texts.brief(f.duration.p90),
            texts.brief(f.duration.p95),
            texts.brief(f.duration.p99),
            str(f.duration.n),
        )
        for f in groups
    ]
    return titles, rows


def pull_request_records(pull_requests: Sequence[PullRequest], now: int) -> list[dict[str, Any]]:
    """A record a pull request, in ValueStream's columns."""
    return [
        {
            "owner": pr.owner,
            "repo": pr.repo,
            "created_at": iso(pr.created_at),
            "merged": pr.merged,
            "duration": seconds(pr.duration(now)),
            "comments": pr.comments,
            "additions": pr.additions,
            "deletions": pr.deletions,
            "total_changes": pr.total_changes,
            "duration_per_comment": pr.duration_per_comment(now),
            "duration_per_line": pr.duration_per_line(now),
            "id": pr.id,
            "merged_at": iso(pr.merged_at),
            "closed_at": iso(pr.closed_at),
            "updated_at": iso(pr.updated_at),
            "author": pr.author,
            "url": pr.url,
            "title": pr.title,
            "reviewers": pr.reviewers,
        }
        for pr in pull_requests
    ]


def pull_request_table(pull_requests: Sequence[PullRequest], now: int) -> Table:
    """For people."""
    titles = ("repository", "id", "title", "author", "state", "took", "lines", "comments")
    rows = [
        (
            f"{pr.owner}/{pr.repo}",
            pr.id,
            pr.title[:60],
            pr.author,
            "merged" if pr.merged else "open" if pr.closed_at is None else "closed",
            texts.brief(pr.duration(now)),
            _count(pr.total_changes),
            _count(pr.comments),
        )
        for pr in pull_requests
    ]
    return titles, rows


def _count(number: int | None) -> str:
    return texts.MISSING if number is None else str(number)


def period_records(periods: Sequence[PeriodFigures]) -> list[dict[str, Any]]:
    """A record a period and repository."""
    return [
        {
            "period": f.period.isoformat(),
            "owner": f.owner,
            "repo": f.repo,
            "total": f.total,
            "merged": f.merged,
            "merge_ratio": f.merge_ratio,
            "lines": f.lines,
            "duration_h": f.hours,
            "seconds_per_line": f.seconds_per_line,
            "seconds_per_comment": f.seconds_per_comment,
            "comments": f.comments,
            "running_p50_h": f.running_p50,
            "running_p95_h": f.running_p95,
            "running_p99_h": f.running_p99,
        }
        for f in periods
    ]


def stage_table(detail: Detail) -> Table:
    """The stages of the lead time; the bottleneck and what became slower are marked."""
    slower = {found.name: found for found in detail.regressions}
    rows = []
    for stage in detail.stages:
        marks = ["bottleneck"] if stage.stage == detail.bottleneck else []
        if stage.stage in slower:
            found = slower[stage.stage]
            marks.append(f"{found.factor:.1f}x of the {texts.brief(found.before)} before")
        rows.append(
            (
                stage.stage,
                texts.brief(stage.median),
                texts.brief(stage.p90),
                texts.brief(stage.mean),
                texts.percent(stage.share),
                str(stage.n),
                ", ".join(marks),
            )
        )
    return ("stage", "p50", "p90", "mean", "share of means", "n", ""), rows


def flaky_records(jobs: Sequence[FlakyJob]) -> list[dict[str, Any]]:
    """A record a job with both results on one commit."""
    return [
        {
            "project": job.project,
            "job": job.job,
            "flaky_commits": job.flaky,
            "commits": job.commits,
            "rate": job.rate,
            "last_at": iso(job.last_at),
            "example": job.example,
        }
        for job in jobs
    ]


def flaky_table(jobs: Sequence[FlakyJob], zone: tzinfo) -> Table:
    """For people."""
    titles = ("job", "project", "flaky", "of commits", "rate", "last")
    rows = [
        (
            job.job,
            job.project,
            str(job.flaky),
            str(job.commits),
            texts.percent(job.rate),
            _clock(job.last_at, zone),
        )
        for job in jobs
    ]
    return titles, rows


def expected_table(entries: Sequence[Expected], zone: tzinfo) -> Table:
    """For people, on the clock of a zone."""
    titles = ("kind", "name", "began", "half end by", "90 % end by", "n", "")
    rows = []
    for entry in entries:
        found = entry.expectation
        rows.append(
            (
                entry.span.operation,
                entry.span.name,
                _clock(entry.span.started_at, zone),
                _clock(found.median_end if found else None, zone),
                _clock(found.p90_end if found else None, zone),
                str(found.n) if found else "0",
                "overdue" if found and found.overdue else "",
            )
        )
    return titles, rows


def _clock(at: Instant | None, zone: tzinfo) -> str:
    if at is None:
        return texts.MISSING
    return f"{to_datetime(at).astimezone(zone):%Y-%m-%d %H:%M}"


def expected_records(entries: Sequence[Expected]) -> list[dict[str, Any]]:
    """A record a span in flight."""
    return [
        {
            "span_id": entry.span.ref,
            "operation": entry.span.operation,
            "name": entry.span.name,
            "started_at": iso(entry.span.started_at),
            "expected_p50": iso(entry.expectation.median_end) if entry.expectation else None,
            "expected_p90": iso(entry.expectation.p90_end) if entry.expectation else None,
            "n": entry.expectation.n if entry.expectation else 0,
            "overdue": entry.expectation.overdue if entry.expectation else None,
        }
        for entry in entries
    ]


def window_title(window: Window) -> str:
    """The window in words, on the clock of its zone, for the head of a report."""
    since, end = (to_datetime(at).astimezone(window.zone) for at in (window.since, window.end))
    return f"{since:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} ({window.zone})"
