"""Columns and indexes of spans for the reports of durations, pull requests and flaky jobs.

A report is a query over one of these indexes, which hold everything for its figures. SQLite updates
them with the spans, so nothing has to be computed, invalidated or repaired.
"""

from __future__ import annotations

from typing import Final

from vs_tui.model.vocabulary import Attributes

KIND: Final = ("operation", "project", "team", "service", "environment", "source", "status")
"""The columns that spans of one kind share; `spans_finished` begins with them."""
JOBS: Final = frozenset({"build", "pipeline", "test", "stage"})
"""Operations whose spans are runs of a job."""
IS_RUN: Final = "derived = 0 AND commit_id <> '' AND status IN ('ok', 'error')"
"""SQL: a finished run of a job on a commit."""


def job_of(operation: str, name: str, attributes: Attributes) -> tuple[str, str]:
    """(job, commit) of a run of a job; both empty without a commit."""
    if operation not in JOBS:
        return "", ""
    commit = attributes.get("vcs.ref.head.revision") or attributes.get("commit")
    if not commit:
        return "", ""
    names = (attributes.get("cicd.pipeline.name"), attributes.get("cicd.pipeline.task.name"))
    job = " / ".join(dict.fromkeys(str(each) for each in names if each))
    return job or name, str(commit).lower()


def _text(name: str) -> str:
    """SQL: an attribute as text; NULL if it is missing or empty."""
    return f"NULLIF(CAST(json_extract(attributes, '$.\"{name}\"') AS TEXT), '')"


def _count(name: str) -> str:
    """SQL: an attribute if it is an integer, else NULL."""
    path = f"attributes, '$.\"{name}\"'"
    return f"CASE json_type({path}) WHEN 'integer' THEN json_extract({path}) END"


_OWNERS: Final = "rtrim(project, replace(project, '/', ''))"
"""SQL: a project up to its last slash."""
_COMMENTS, _REVIEW_COMMENTS = _count("vs.pr.comments"), _count("vs.pr.review_comments")
PULL_REQUEST: Final = (
    f"COALESCE({_text('vcs.owner.name')}, rtrim({_OWNERS}, '/'))",
    f"COALESCE({_text('vcs.repository.name')}, substr(project, length({_OWNERS}) + 1))",
    "started_at",
    "CASE status WHEN 'ok' THEN ended_at END",
    "ended_at",
    f"COALESCE({_COMMENTS} + {_REVIEW_COMMENTS}, {_COMMENTS}, {_REVIEW_COMMENTS})",
    _count("vs.pr.additions"),
    _count("vs.pr.deletions"),
)
"""SQL: the first fields of a `PullRequest`; the index `spans_requested` has all of them."""
PULL_REQUEST_MORE: Final = (
    *("key", "last_event_at", f"COALESCE({_text('vcs.change.id')}, '')", "actor", "url"),
    *(f"COALESCE({_text('vcs.change.title')}, name)", f"COALESCE({_text('vs.pr.reviewers')}, '')"),
)
"""SQL: the other fields of a `PullRequest`. Reviewers are the requested ones."""

_NAME, _TASK = _text("cicd.pipeline.name"), _text("cicd.pipeline.task.name")
_COMMIT: Final = f"COALESCE({_text('vcs.ref.head.revision')}, {_text('commit')})"
CREATE_REPORTED: Final = f"""
DROP TRIGGER IF EXISTS report_finished_gone;
DROP TRIGGER IF EXISTS report_requests_gone;
DROP TABLE IF EXISTS report_trees;
DROP TABLE IF EXISTS report_stale;
DROP TABLE IF EXISTS report_pages;
DROP TABLE IF EXISTS report_kinds;
DROP TABLE IF EXISTS report_jobs;
DROP TABLE IF EXISTS report_runs;
DROP TABLE IF EXISTS report_places;
ALTER TABLE spans ADD COLUMN job TEXT NOT NULL DEFAULT '';
ALTER TABLE spans ADD COLUMN commit_id TEXT NOT NULL DEFAULT '';
UPDATE spans SET commit_id = lower({_COMMIT}), job = COALESCE(
    CASE WHEN {_NAME} = {_TASK} THEN {_NAME} ELSE {_NAME} || ' / ' || {_TASK} END,
    {_NAME}, {_TASK}, name)
    WHERE derived = 0 AND operation IN ({", ".join(f"'{name}'" for name in sorted(JOBS))})
    AND {_COMMIT} IS NOT NULL;
CREATE INDEX spans_runs ON spans (project, job, commit_id, ended_at, status, team, derived)
    WHERE {IS_RUN};
CREATE INDEX spans_finished ON spans
    ({", ".join(KIND)}, ended_at, started_at, derived, name, actor) WHERE ended_at IS NOT NULL;
DROP INDEX IF EXISTS spans_requested;
CREATE INDEX spans_requested ON spans
    (started_at, {", ".join(c for c in PULL_REQUEST if c != "started_at")}, team, project)
    WHERE operation = 'pull_request';
"""
"""Replaces the columnar store of schemas 4 and 5 for these reports."""
