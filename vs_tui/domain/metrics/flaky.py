"""Flaky jobs: the same job on the same commit with both results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.reading import commit_of, text
from vs_tui.domain.metrics.statistics import ratio
from vs_tui.domain.model import Span, Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One finished run of a job."""

    project: str
    job: str
    commit: str
    ok: bool
    at: Instant
    key: str = ""


@dataclass(frozen=True, slots=True)
class FlakyJob:
    """A job whose result does not depend on the commit alone."""

    project: str
    job: str
    commits: int
    """On how many commits it had been run."""
    flaky: int
    """On how many of them it had both results."""
    last_at: Instant
    example: str
    """Key of a run on the latest commit with both results."""

    @property
    def rate(self) -> float | None:
        return ratio(self.flaky, self.commits)


def run_of(span: Span) -> Run | None:
    """A finished build, test or pipeline as a run; None for what was cancelled or has no commit."""
    commit = commit_of(span.attributes)
    if not commit or span.status not in (Status.OK, Status.ERROR) or span.ended_at is None:
        return None
    pipeline = text(span.attributes, "cicd.pipeline.name")
    task = text(span.attributes, "cicd.pipeline.task.name")
    job = " / ".join(dict.fromkeys(name for name in (pipeline, task) if name)) or span.name
    return Run(
        project=span.project,
        job=job,
        commit=commit,
        ok=span.status is Status.OK,
        at=span.ended_at,
        key=span.key,
    )


def flaky_jobs(runs: Iterable[Run]) -> list[FlakyJob]:
    """Jobs with both results on one commit, the most often flaky first."""
    by_job: dict[tuple[str, str], dict[str, dict[str, Run]]] = {}
    for run in runs:
        commits = by_job.setdefault((run.project, run.job), {})
        commits.setdefault(run.commit, {})[run.key or f"{run.at}{run.ok}"] = run
    found = []
    for (project, job), commits in by_job.items():
        both = [
            max(of_commit.values(), key=lambda run: (run.at, run.key))
            for of_commit in commits.values()
            if len({run.ok for run in of_commit.values()}) == 2
        ]
        if both:
            last = max(both, key=lambda run: (run.at, run.key))
            found.append(FlakyJob(project, job, len(commits), len(both), last.at, last.key))
    return sorted(found, key=lambda job: (-job.flaky, -(job.rate or 0), job.project, job.job))
