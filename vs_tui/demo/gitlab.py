"""GitLab's deliveries for one project: issues, merge requests, pushes, pipelines, deployments."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.demo.world import NAMES, Bodies, Body, World
from vs_tui.model.time import SECOND, Duration, Instant, iso

HOST = "https://gitlab.acme.example"
WEB = f"{HOST}/acme/web/shop"
EVENTS = {
    "issue": "Issue Hook",
    "merge_request": "Merge Request Hook",
    "pipeline": "Pipeline Hook",
    "push": "Push Hook",
    "deployment": "Deployment Hook",
}


def stamp(at: Instant | None) -> str | None:
    """A time as `2026-03-02 10:00:00 UTC`, the format of most of GitLab's events."""
    text = iso(at)
    return None if text is None else text.replace("T", " ").replace("Z", " UTC")


def user(login: str) -> Body:
    return {"id": 40 + sorted(NAMES).index(login), "name": NAMES[login], "username": login}


BODIES: Final = Bodies(
    "gitlab",
    stamp=stamp,
    offset_stamp=lambda at: f"{stamp(at)}".replace("UTC", "+0000"),
    user=user,
    user_id=lambda login: user(login)["id"],
    users=lambda logins: [user(login) for login in logins],
    full_name=lambda login: NAMES[login],
    titled=lambda labels: [{"title": label} for label in labels],
    short=lambda sha: sha[:8],
)


def send(world: World, at: Instant, kind: str, login: str, fields: Body) -> None:
    """Deliver one event of the project."""
    headers = {
        "x-gitlab-event": EVENTS[kind],
        "x-gitlab-event-uuid": world.uuid(),
        "x-gitlab-instance": HOST,
        "user-agent": "GitLab/18.4.0",
    }
    body = {"object_kind": kind, "user": user(login), "project": BODIES("project"), **fields}
    world.send(at, "/gitlab", headers, body)


def issue(
    world: World, at: Instant, action: str, number: int, title: str, author: str,
    created_at: Instant, labels: tuple[str, ...] = (),
) -> None:  # fmt: skip
    closed = action == "close"
    fields = BODIES(
        "issue", identifier=7_000 + number, number=number, title=title, author=author,
        state="closed" if closed else "opened", action=action, created_at=created_at, at=at,
        closed_at=at if closed else None, web=WEB, labels=labels,
    )  # fmt: skip
    send(world, at, "issue", author, fields)


@dataclass(slots=True)
class MergeRequest:
    """The current state of a merge request."""

    number: int
    title: str
    branch: str
    author: str
    created_at: Instant
    head: str
    text: str = ""
    reviewers: tuple[str, ...] = ()
    merge_sha: str = ""
    state: str = "opened"
    labels: tuple[str, ...] = ()

    @property
    def identifier(self) -> int:
        return 9_000 + self.number

    @property
    def url(self) -> str:
        return f"{WEB}/-/merge_requests/{self.number}"


def merge_request(
    world: World, at: Instant, action: str, change: MergeRequest, login: str, **more: Any
) -> None:
    fields = BODIES("merge_request", change=change, action=action, at=at)
    send(world, at, "merge_request", login, {**fields, **more})


def push(
    world: World, at: Instant, branch: str, before: str, commits: list[tuple[str, str, Instant]],
    login: str,
) -> None:  # fmt: skip
    """Send a push of commits, each (sha, message, time of writing), oldest first."""
    listed = [BODIES("commit", sha=sha, message=text, written=at_) for sha, text, at_ in commits]
    fields = BODIES(
        "push", branch=branch, before=before, after=commits[-1][0], login=login, commits=listed,
        count=len(listed),
    )  # fmt: skip
    send(world, at, "push", login, fields)


@dataclass(slots=True)
class Job:
    """A job in a pipeline's snapshot."""

    identifier: int
    stage: str
    name: str
    login: str
    created_at: Instant
    started_at: Instant | None = None
    finished_at: Instant | None = None
    status: str = "created"
    environment: str = ""

    def body(self) -> Body:
        return BODIES(
            "job", job=self, queued=3.0 if self.started_at else None,
            failure="script_failure" if self.status == "failed" else None,
            is_manual=self.status == "manual",
            runner={"id": 5, "description": "runner-5"} if self.started_at else None,
            environment={"name": self.environment} if self.environment else None,
        )  # fmt: skip


@dataclass(slots=True)
class Pipeline:
    """The current state of a pipeline."""

    identifier: int
    number: int
    branch: str
    sha: str
    message: str
    login: str
    created_at: Instant
    source: str = "push"
    change: MergeRequest | None = None
    jobs: list[Job] = field(default_factory=list)
    finished_at: Instant | None = None

    def job(self, world: World, stage: str, name: str, environment: str = "") -> Job:
        """A new job, which is not in the snapshots yet."""
        identifier = world.identifier("gl job", 880_000)
        return Job(identifier, stage, name, self.login, self.created_at, environment=environment)

    def send(self, world: World, at: Instant, status: str) -> None:
        """Send a snapshot of the pipeline and all its jobs."""
        ended, change = self.finished_at, self.change
        fields = BODIES(
            "pipeline", pipeline=self, status=status, web=WEB,
            stages=list(dict.fromkeys(job.stage for job in self.jobs)),
            queued=None if status in ("created", "pending") else 4,
            duration=(ended - self.created_at) // SECOND if ended else None,
            change=None if change is None else BODIES("pipeline_change", change=change),
            builds=[job.body() for job in self.jobs],
        )  # fmt: skip
        send(world, at, "pipeline", self.login, fields)


def deployment(
    world: World, at: Instant, identifier: int, status: str, pipeline: Pipeline, job: Job
) -> None:
    """Send a deployment of a pipeline's job."""
    told = {"identifier": identifier, "status": status, "at": at, "web": WEB}
    fields = BODIES("deployment", pipeline=pipeline, job=job, **told)
    send(world, at, "deployment", job.login, fields)


PLAN: Final = (
    ("build", "assets", 50 * SECOND, 130 * SECOND),
    ("test", "unit", 60 * SECOND, 150 * SECOND),
    ("test", "browser", 90 * SECOND, 240 * SECOND),
)
"""Jobs of every pipeline: stage, name, shortest and longest duration."""


def run_pipeline(
    world: World, pipeline: Pipeline, failing: str = "", jobs: tuple[Job, ...] = ()
) -> Instant:
    """Run the stages of PLAN one after the other, with `jobs` listed after them. The job `failing`
    fails, and later stages are skipped. Returns when it ended."""
    at = pipeline.created_at + 4 * SECOND
    pipeline.jobs += [pipeline.job(world, stage, name) for stage, name, _, _ in PLAN]
    pipeline.jobs += jobs
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
            bad = job.name == failing
            job.finished_at, job.status = ended, "failed" if bad else "success"
            broken |= bad
        at = max(ends)
    pipeline.finished_at = at + 2 * SECOND
    return pipeline.finished_at


def run_job(
    world: World,
    pipeline: Pipeline,
    job: Job,
    at: Instant,
    took: Duration,
    succeeds: bool = True,
) -> Instant:
    """Send a deploy job of a pipeline, and its deployment. Returns when it ended."""
    began, ended = at + 3 * SECOND, at + 3 * SECOND + took
    identifier = world.identifier("gl deployment", 15_000)
    job.started_at, job.finished_at, job.status = began, None, "running"

    pipeline.send(world, began, "running")
    deployment(world, began, identifier, "running", pipeline, job)
    job.finished_at, job.status = ended, "success" if succeeds else "failed"
    deployment(world, ended, identifier, job.status, pipeline, job)
    return ended
