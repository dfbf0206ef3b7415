"""Sends the deliveries of one activity: a workflow, a deployment, a pipeline or a build.

Each function returns when the activity ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.demo import github, gitlab
from vs_tui.demo.actions import Deployment, Run, steps
from vs_tui.demo.jenkins import Build
from vs_tui.demo.world import World
from vs_tui.model.time import SECOND, Duration, Instant


@dataclass(frozen=True, slots=True)
class Task:
    """A job: its steps, shortest and longest duration, and whether it fails."""

    name: str
    steps: tuple[str, ...]
    low: Duration
    high: Duration
    failing: bool = False


def run_workflow(world: World, run: Run, tasks: list[Task]) -> Instant:
    """Send a workflow run in which all tasks run in parallel; a failing task fails the run."""
    repo, actor = run.repo, run.actor
    github.send(
        world,
        run.began_at,
        "workflow_run",
        repo,
        actor,
        "in_progress",
        **run.fields("in_progress", run.began_at),
    )
    ends = []
    for task in tasks:
        identifier = world.identifier("job", 51_000_000_000)
        queued = run.began_at + SECOND
        began = queued + world.between(2 * SECOND, 25 * SECOND)
        ended = began + world.between(task.low, task.high)
        shown = run.job(identifier, task.name, "in_progress", queued, began)
        github.send(world, began, "workflow_job", repo, actor, "in_progress", **shown)
        done = run.job(
            identifier,
            task.name,
            "completed",
            queued,
            began,
            ended,
            "failure" if task.failing else "success",
            steps(task.steps, began, ended, task.failing),
        )
        github.send(world, ended, "workflow_job", repo, actor, "completed", **done)
        ends.append(ended)
    finished = max(ends) + 2 * SECOND
    conclusion = "failure" if any(task.failing for task in tasks) else "success"
    fields = run.fields("completed", finished, conclusion)
    github.send(world, finished, "workflow_run", repo, actor, "completed", **fields)
    return finished


def deploy(
    world: World, deployment: Deployment, took: Duration, state: str = "success", why: str = ""
) -> Instant:
    """Send a deployment: created, in progress, and its end (`success`, `failure` or `error`)."""
    repo, creator, at = deployment.repo, deployment.creator, deployment.created_at
    github.send(world, at, "deployment", repo, creator, "created", **deployment.fields())
    began = at + world.between(2 * SECOND, 9 * SECOND)
    ended = began + took
    for word, moment, description in (("in_progress", began, ""), (state, ended, why)):
        identifier = world.identifier("status", 4_100_000_000)
        fields = deployment.status(identifier, word, moment, description=description)
        github.send(world, moment, "deployment_status", repo, creator, "created", **fields)
    return ended


PLAN: Final = (
    ("build", "assets", 50 * SECOND, 130 * SECOND),
    ("test", "unit", 60 * SECOND, 150 * SECOND),
    ("test", "browser", 90 * SECOND, 240 * SECOND),
)
"""Jobs of every pipeline: stage, name, shortest and longest duration."""


def run_pipeline(
    world: World,
    pipeline: gitlab.Pipeline,
    failing: str = "",
    flaky: str = "",
    jobs: tuple[gitlab.Job, ...] = (),
) -> Instant:
    """Run the stages of PLAN one after the other, with `jobs` listed after them. The job `failing`
    fails; the job `flaky` fails too, but is allowed to."""
    at = pipeline.created_at + 4 * SECOND
    for stage, name, _, _ in PLAN:
        job = gitlab.Job(job_number(world), stage, name, pipeline.login, pipeline.created_at)
        job.allow_failure = name == flaky
        pipeline.jobs.append(job)
    pipeline.jobs.extend(jobs)
    broken = False
    sizes = {name: (low, high) for _, name, low, high in PLAN}
    for stage in dict.fromkeys(stage for stage, _, _, _ in PLAN):
        mine = [job for job in pipeline.jobs if job.stage == stage]
        if broken:
            for job in mine:
                job.status = "skipped"
            continue
        ends = []
        for job in mine:
            job.started_at, job.status = at + 3 * SECOND, "running"
            ends.append(job.started_at + world.between(*sizes[job.name]))
        pipeline.send(world, at + 3 * SECOND, "running")
        for job, ended in zip(mine, ends, strict=True):
            bad = job.name in (failing, flaky)
            job.finished_at, job.status = ended, "failed" if bad else "success"
            broken |= bad and not job.allow_failure
        at = max(ends)
    pipeline.finished_at = at + 2 * SECOND
    return pipeline.finished_at


def run_job(
    world: World,
    pipeline: gitlab.Pipeline,
    job: gitlab.Job,
    at: Instant,
    took: Duration,
    succeeds: bool = True,
) -> Instant:
    """Send a deploy job of a pipeline, and its deployment."""
    began, ended = at + 3 * SECOND, at + 3 * SECOND + took
    identifier = world.identifier("gl deployment", 15_000)
    job.started_at, job.finished_at, job.status = began, None, "running"

    def told(moment: Instant, status: str) -> None:
        gitlab.deployment(
            world,
            moment,
            identifier,
            status,
            job.environment,
            job.identifier,
            pipeline.sha,
            pipeline.message.partition("\n")[0],
            job.login,
        )

    pipeline.send(world, began, "running")
    told(began, "running")
    job.finished_at, job.status = ended, "success" if succeeds else "failed"
    told(ended, job.status)
    return ended


def job_number(world: World) -> int:
    return world.identifier("gl job", 880_000)


def build(
    world: World, started: Build, took: Duration, result: str = "SUCCESS", failure: str = ""
) -> Instant:
    """Send the start and the end of a Jenkins build."""
    ended = started.started_at + took
    started.start(world)
    started.finish(world, ended, result, failure)
    return ended
