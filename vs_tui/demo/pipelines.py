"""GitLab pipelines: the snapshot that each change of a pipeline sends, its jobs and deploys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vs_tui.demo.cast import Person
from vs_tui.demo.gitlab import GitLab, Merge, Project, commit, project_of, repository, stamp, user
from vs_tui.demo.world import Dice, Moment, Process, World, play
from vs_tui.domain.instants import SECOND, Instant


@dataclass(frozen=True, slots=True)
class Step:
    """A job as its configuration has it."""

    name: str
    stage: str
    seconds: float
    result: str = "success"
    reason: str = "script_failure"
    allow_failure: bool = False
    environment: str = ""
    manual: bool = False
    """Waits for a person; never run here."""


@dataclass(slots=True)
class Build:
    """A job of one pipeline."""

    ident: int
    step: Step
    created_at: Instant
    status: str = "created"
    queued_at: Instant | None = None
    started_at: Instant | None = None
    finished_at: Instant | None = None
    retries: int = 0
    retried: bool = False
    """Another build took its place."""


@dataclass(slots=True)
class Pipeline:
    ident: int
    iid: int
    ref: str
    sha: str
    message: str
    source: str
    author: Person
    created_at: Instant
    merge: Merge | None = None
    builds: list[Build] = field(default_factory=list)
    status: str = "pending"
    began_at: Instant | None = None
    finished_at: Instant | None = None


class Pipelines:
    """Runs pipelines and writes what GitLab tells of them."""

    def __init__(self, world: World, gitlab: GitLab, project: Project) -> None:
        self.world = world
        self.gitlab = gitlab
        self.project = project

    def create(
        self,
        steps: Sequence[Step],
        ref: str,
        sha: str,
        message: str,
        source: str,
        author: Person,
        at: Instant,
        merge: Merge | None = None,
    ) -> Pipeline:
        pipeline = Pipeline(
            self.world.number("gitlab pipeline", 230_114, 3),
            self.world.number(f"pipeline of {self.project.path}", 1_402),
            ref, sha, message, source, author, at, merge,
        )  # fmt: skip
        for step in steps:
            pipeline.builds.append(self._build(step, at))
        return pipeline

    def play(self, pipeline: Pipeline, dice: Dice) -> Process[str]:
        """All its stages from its first job on. Returns its status."""
        self.tell(pipeline, "pending", pipeline.created_at)
        pipeline.began_at = pipeline.created_at + dice.around(5)
        yield pipeline.began_at
        return (yield from self._stages(pipeline, pipeline.began_at, dice))

    def retry(
        self, pipeline: Pipeline, results: dict[str, str], by: Person, at: Instant, dice: Dice
    ) -> Process[str]:
        """Failed jobs run again, those after them at last; the pipeline keeps its id."""
        yield at
        for build in list(pipeline.builds):
            if build.status == "failed":
                step = build.step
                again = Step(
                    step.name, step.stage, step.seconds, results.get(step.name, "success"),
                    step.reason, step.allow_failure, step.environment,
                )  # fmt: skip
                new = self._build(again, at)
                new.retries = build.retries + 1
                build.retried = True
                pipeline.builds[pipeline.builds.index(build)] = new
            elif build.status == "skipped":
                build.status = "created"
        pipeline.author = by
        return (yield from self._stages(pipeline, at, dice))

    def _build(self, step: Step, at: Instant) -> Build:
        ident = self.world.number("gitlab job", 1_904_310, 2)
        return Build(ident, step, at, "manual" if step.manual else "created")

    def _stages(self, pipeline: Pipeline, at: Instant, dice: Dice) -> Process[str]:
        failed = False
        told = False
        stages = dict.fromkeys(build.step.stage for build in pipeline.builds)
        for stage in stages:
            builds = [b for b in pipeline.builds if b.step.stage == stage and b.status == "created"]
            if failed:
                for build in builds:
                    build.status, build.finished_at = "skipped", None
                continue
            moments: list[Moment] = []
            ends = [at]
            for build in builds:
                build.queued_at = at
                started = at + dice.around(7)
                ended = started + max(dice.around(build.step.seconds), 3 * SECOND)
                moments += self._course(pipeline, build, started, ended)
                if not told:
                    moments.append((started, partial(self.tell, pipeline, "running", started)))
                    told = True
                ends.append(ended)
            yield from play(moments)
            at = max(ends)
            failed = any(b.status == "failed" and not b.step.allow_failure for b in builds)
        yield at
        pipeline.finished_at = at
        self.tell(pipeline, "failed" if failed else "success", at)
        return pipeline.status

    def _course(
        self, pipeline: Pipeline, build: Build, started: Instant, ended: Instant
    ) -> list[Moment]:
        def begin() -> None:
            build.status, build.started_at = "running", started
            self.job(pipeline, build, started)

        def end() -> None:
            build.status, build.finished_at = build.step.result, ended
            self.job(pipeline, build, ended)

        moments: list[Moment] = [(started, begin), (ended, end)]
        if build.step.environment:
            ident = self.world.number("gitlab deployment", 7_311)
            deploy = partial(
                self.gitlab.deployment, self.project, ident, build.ident, build.step.environment
            )
            title = pipeline.message.partition("\n")[0]
            verdict = "success" if build.step.result == "success" else "failed"
            for at, status in ((started, "running"), (ended, verdict)):
                moments.append(
                    (at, partial(deploy, status, pipeline.sha, title, pipeline.author, at))
                )
        return moments

    def tell(self, pipeline: Pipeline, status: str, at: Instant) -> None:
        """The Pipeline Hook: the pipeline and all its jobs as of now."""
        pipeline.status = status
        terminal = status in ("success", "failed", "canceled")
        began = pipeline.began_at if status != "pending" else None
        attributes = {
            "id": pipeline.ident,
            "iid": pipeline.iid,
            "name": None,
            "ref": pipeline.ref,
            "tag": False,
            "sha": pipeline.sha,
            "before_sha": "0" * 40,
            "source": pipeline.source,
            "status": status,
            "detailed_status": {"success": "passed"}.get(status, status),
            "stages": list(dict.fromkeys(build.step.stage for build in pipeline.builds)),
            "created_at": stamp(pipeline.created_at),
            "finished_at": stamp(pipeline.finished_at),
            "duration": (at - pipeline.created_at) // SECOND if terminal else None,
            "queued_duration": None if began is None else (began - pipeline.created_at) // SECOND,
            "variables": [],
            "url": f"{self.project.url}/-/pipelines/{pipeline.ident}",
        }
        merge = pipeline.merge
        body = {
            "object_kind": "pipeline",
            "object_attributes": attributes,
            "merge_request": {
                "id": merge.ident,
                "iid": merge.iid,
                "title": merge.title,
                "source_branch": merge.branch,
                "target_branch": self.project.default_branch,
                "state": merge.state,
                "merge_status": "can_be_merged",
                "url": f"{self.project.url}/-/merge_requests/{merge.iid}",
            }
            if merge
            else None,
            "user": user(pipeline.author),
            "project": project_of(self.project),
            "commit": commit(
                self.project,
                (pipeline.sha, pipeline.message, pipeline.created_at),
                pipeline.author,
            ),
            "builds": [_snapshot(build, pipeline.author) for build in pipeline.builds],
        }
        self.gitlab.send("Pipeline Hook", body, at)

    def job(self, pipeline: Pipeline, build: Build, at: Instant) -> None:
        """The Job Hook."""
        step = build.step
        body: dict[str, Any] = {
            "object_kind": "build",
            "ref": pipeline.ref,
            "tag": False,
            "before_sha": "0" * 40,
            "sha": pipeline.sha,
            "build_id": build.ident,
            "build_name": step.name,
            "build_stage": step.stage,
            "build_status": build.status,
            "build_created_at": stamp(build.created_at),
            "build_started_at": stamp(build.started_at),
            "build_finished_at": stamp(build.finished_at),
            "build_duration": _length(build.started_at, build.finished_at),
            "build_queued_duration": _length(build.queued_at, build.started_at),
            "build_allow_failure": step.allow_failure,
            "build_failure_reason": step.reason if build.status == "failed" else "unknown_failure",
            "retries_count": build.retries,
            "pipeline_id": pipeline.ident,
            "project_id": self.project.ident,
            "project_name": f"Web / {self.project.title}",
            "user": user(pipeline.author),
            "commit": {
                "id": pipeline.ident,
                "name": None,
                "sha": pipeline.sha,
                "message": pipeline.message,
                "author_name": pipeline.author.name,
                "author_email": pipeline.author.email,
                "status": pipeline.status,
            },
            "repository": repository(self.project),
            "project": project_of(self.project),
            "runner": _runner(build),
            "environment": _environment(step),
        }
        self.gitlab.send("Job Hook", body, at)


def _snapshot(build: Build, by: Person) -> dict[str, Any]:
    step = build.step
    return {
        "id": build.ident,
        "stage": step.stage,
        "name": step.name,
        "status": build.status,
        "created_at": stamp(build.created_at),
        "started_at": stamp(build.started_at),
        "finished_at": stamp(build.finished_at),
        "duration": _length(build.started_at, build.finished_at),
        "queued_duration": _length(build.queued_at, build.started_at),
        "failure_reason": step.reason if build.status == "failed" else None,
        "when": "manual" if step.manual else "on_success",
        "manual": step.manual,
        "allow_failure": step.allow_failure or step.manual,
        "user": user(by),
        "runner": _runner(build) if build.started_at else None,
        "environment": _environment(step),
    }


def _length(began: Instant | None, ended: Instant | None) -> float | None:
    return None if began is None or ended is None else (ended - began) / SECOND


def _runner(build: Build) -> dict[str, Any]:
    number = 1 + build.ident // 2 % 4
    return {
        "id": 300 + number,
        "description": f"runner-{number}.ci.acme.example",
        "runner_type": "instance_type",
        "active": True,
        "is_shared": True,
        "tags": ["linux", "docker"],
    }


def _environment(step: Step) -> dict[str, Any] | None:
    if not step.environment:
        return None
    return {"name": step.environment, "action": "start", "deployment_tier": step.environment}
