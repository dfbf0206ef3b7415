"""The pull-request report as ValueStream's `vsperformancereport agg pull-request` reads it.

Its reader takes Go's zero values, not empty cells: an empty time is an error there. `ID` and
`Reviewers` are its names, and reviewers are joined with `|`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from vs_tui.export.report_json import seconds
from vs_tui.metrics.pull_requests import PullRequest
from vs_tui.model.time import Instant, iso

COLUMNS: Final = (
    *("owner", "repo", "created_at", "merged", "duration", "comments", "additions", "deletions"),
    *("total_changes", "duration_per_comment", "duration_per_line", "ID", "merged_at"),
    *("closed_at", "updated_at", "author", "url", "title", "Reviewers"),
)
_NO_TIME: Final = "0001-01-01T00:00:00Z"
"""Go's zero time."""


def rows(pull_requests: Iterable[PullRequest], now: Instant) -> list[list[str]]:
    """A row for each pull request. Unknown counts are 0, as its reader has nothing else."""
    return [
        [
            pr.owner,
            pr.repo,
            _time(pr.created_at),
            "true" if pr.merged else "false",
            str(seconds(pr.duration(now)) or 0),
            str(pr.comments or 0),
            str(pr.additions or 0),
            str(pr.deletions or 0),
            str(pr.total_changes or 0),
            str(pr.duration_per_comment(now) or 0),
            # ValueStream divides by 0 here, and +Inf makes every mean infinite.
            str(pr.duration_per_line(now) or 0),
            pr.id,
            _time(pr.merged_at),
            _time(pr.closed_at),
            _time(pr.updated_at),
            pr.author,
            pr.url,
            pr.title,
            pr.reviewers.replace(",", "|"),
        ]
        for pr in pull_requests
    ]


def _time(at: Instant | None) -> str:
    return iso(at) or _NO_TIME
