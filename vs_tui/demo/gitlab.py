"""Webhook bodies in GitLab's documented shapes, for one project, and the deliveries of its
pipelines."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.demo.world import NAMES, World
from vs_tui.model.time import SECOND, Duration, Instant, iso

Body = dict[str, Any]
HOST = "https://gitlab.acme.example"
PROJECT = "acme/web/shop"
WEB = f"{HOST}/{PROJECT}"
EVENTS = {
    "issue": "Issue Hook",
    "merge_request": "Merge Request Hook",
    "pipeline": "Pipeline Hook",
    "push": "Push Hook",
    "deployment": "Deployment Hook",
    "note": "Note Hook",
}


def stamp(at: Instant | None) -> str | None:
    """A time as `2026-03-02 10:00:00 UTC`, the format of most of GitLab's events."""
    text = iso(at)
    return None if text is None else text.replace("T", " ").replace("Z", " UTC")


def user(login: str) -> Body:
    return {"id": 40 + sorted(NAMES).index(login), "name": NAMES[login], "username": login}


def project() -> Body:
    return {
        "id": 3,
        "name": "shop",
        "namespace": "web",
        "web_url": WEB,
        "git_ssh_url": f"git@gitlab.acme.example:{PROJECT}.git",
        "path_with_namespace": PROJECT,
        "default_branch": "main",
    }


def send(world: World, at: Instant, kind: str, login: str, fields: Body) -> None:
    """Deliver one event of the project."""
    headers = {
        "x-gitlab-event": EVENTS[kind],
        "x-gitlab-event-uuid": world.uuid(),
        "x-gitlab-instance": HOST,
        "user-agent": "GitLab/18.4.0",
    }
    body = {"object_kind": kind, "user": user(login), "project": project(), **fields}
    world.send(at, "/gitlab", headers, body)


def issue(
    world: World,
    at: Instant,
    action: str,
    number: int,
    title: str,
    author: str,
    created_at: Instant,
    labels: tuple[str, ...] = (),
) -> None:
    closed = action == "close"
    attributes = {
        "id": 7_000 + number,
        "iid": number,
        "title": title,
        "description": "",
        "author_id": user(author)["id"],
        "state": "closed" if closed else "opened",
        "action": action,
        "created_at": iso(created_at),
        "updated_at": iso(at),
        "closed_at": iso(at) if closed else None,
        "url": f"{WEB}/-/issues/{number}",
    }
    fields = {
        "object_attributes": attributes,
        "labels": [{"title": label} for label in labels],
        "assignees": [user(author)],
    }
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
    def url(self) -> str:
        return f"{WEB}/-/merge_requests/{self.number}"

    def attributes(self, action: str, at: Instant) -> Body:
        return {
            "id": 9_000 + self.number,
            "iid": self.number,
            "title": self.title,
            "description": self.text,
            "author_id": user(self.author)["id"],
            "source_branch": self.branch,
            "target_branch": "main",
            "state": self.state,
            "action": action,
            "draft": False,
            "created_at": stamp(self.created_at),
            "updated_at": stamp(at),
            "last_commit": {"id": self.head, "message": self.title},
            "merge_commit_sha": self.merge_sha or None,
            "source": {"path_with_namespace": PROJECT, "default_branch": "main"},
            "target": {"path_with_namespace": PROJECT, "default_branch": "main"},
            "url": self.url,
        }


def merge_request(
    world: World, at: Instant, action: str, change: MergeRequest, login: str, **more: Any
) -> None:
    fields = {
        "object_attributes": change.attributes(action, at),
        "labels": [{"title": label} for label in change.labels],
        "reviewers": [user(name) for name in change.reviewers],
        **more,
    }
    send(world, at, "merge_request", login, fields)


def push(
    world: World,
    at: Instant,
    branch: str,
    before: str,
    commits: list[tuple[str, str, Instant]],
    login: str,
) -> None:
    """Send a push of commits, each (sha, message, time of writing), oldest first."""
    fields = {
        "event_name": "push",
        "before": before,
        "after": commits[-1][0],
        "checkout_sha": commits[-1][0],
        "ref": f"refs/heads/{branch}",
        "user_name": NAMES[login],
        "user_username": login,
        "commits": [
            {"id": sha, "message": message, "timestamp": iso(written)}
            for sha, message, written in commits
        ],
        "total_commits_count": len(commits),
    }
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
        return {
            "id": self.identifier,
            "stage": self.stage,
            "name": self.name,
            "status": self.status,
            "created_at": stamp(self.created_at),
            "started_at": stamp(self.started_at),
            "finished_at": stamp(self.finished_at),
            "queued_duration": 3.0 if self.started_at else None,
            "failure_reason": "script_failure" if self.status == "failed" else None,
            "allow_failure": False,
            "manual": self.status == "manual",
            "user": user(self.login),
            "runner": {"id": 5, "description": "runner-5"} if self.started_at else None,
            "environment": {"name": self.environment} if self.environment else None,
        }


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
        stages = list(dict.fromkeys(job.stage for job in self.jobs))
        ended = self.finished_at
        attributes = {
            "id": self.identifier,
            "iid": self.number,
            "name": None,
            "ref": self.branch,
            "tag": False,
            "sha": self.sha,
            "source": self.source,
            "status": status,
            "stages": stages,
            "created_at": stamp(self.created_at),
            "finished_at": stamp(ended),
            "queued_duration": None if status in ("created", "pending") else 4,
            "duration": (ended - self.created_at) // SECOND if ended else None,
            "variables": [],
            "url": f"{WEB}/-/pipelines/{self.identifier}",
        }
        change = self.change
        fields: Body = {
            "object_attributes": attributes,
            "merge_request": None
            if change is None
            else {"id": 9_000 + change.number, "iid": change.number, "url": change.url},
            "commit": {"id": self.sha, "message": self.message, "title": self.message},
            "builds": [job.body() for job in self.jobs],
        }
        send(world, at, "pipeline", self.login, fields)


def deployment(
    world: World, at: Instant, identifier: int, status: str, pipeline: Pipeline, job: Job
) -> None:
    """Send a deployment of a pipeline's job."""
    environment, sha = job.environment, pipeline.sha
    fields = {
        "status": status,
        "status_changed_at": f"{stamp(at)}".replace("UTC", "+0000"),
        "deployment_id": identifier,
        "deployable_id": job.identifier,
        "deployable_url": f"{WEB}/-/jobs/{job.identifier}",
        "environment": environment,
        "environment_tier": environment,
        "environment_external_url": f"https://{environment}.shop.acme.example",
        "short_sha": sha[:8],
        "commit_url": f"{WEB}/-/commit/{sha}",
        "commit_title": pipeline.message.partition("\n")[0],
        "ref": "main",
    }
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
