"""Flaky jobs: the same job on the same commit with both results."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vs_tui.metrics.reading import commit_of, text
from vs_tui.metrics.statistics import ratio
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Attributes


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


def run_of(
    key: str, project: str, name: str, ok: bool, at: Instant, attributes: Attributes
) -> Run | None:
    """A build, test or pipeline that ended well or with an error as a run; None without a
    commit."""
    commit = commit_of(attributes)
    if not commit:
        return None
    pipeline = text(attributes, "cicd.pipeline.name")
    task = text(attributes, "cicd.pipeline.task.name")
    job = " / ".join(dict.fromkeys(each for each in (pipeline, task) if each)) or name
    return Run(project=project, job=job, commit=commit, ok=ok, at=at, key=key)


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
    return in_order(found)


def in_order(jobs: Iterable[FlakyJob]) -> list[FlakyJob]:
    """The most often flaky first."""
    return sorted(jobs, key=lambda job: (-job.flaky, -(job.rate or 0), job.project, job.job))
