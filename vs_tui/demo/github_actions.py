"""GitHub Actions and GitHub's deployments: their bodies, and the deliveries of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.demo.github import Body, Pull, Repo, user
from vs_tui.demo.world import World
from vs_tui.model.time import SECOND, Duration, Instant, iso

WORKFLOW: Final = {"name": "CI", "path": ".github/workflows/ci.yml"}


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of the workflow."""

    repo: Repo
    identifier: int
    number: int
    title: str
    branch: str
    sha: str
    actor: str
    created_at: Instant
    """When the first attempt was created."""
    began_at: Instant
    """When this attempt began."""
    attempt: int = 1
    change: Pull | None = None
    """The pull request that is checked; None for a push."""

    @property
    def url(self) -> str:
        return f"{self.repo.url}/actions/runs/{self.identifier}"

    def fields(self, status: str, at: Instant, conclusion: str | None = None) -> Body:
        """The fields of a `workflow_run` event: the run as of `at`."""
        listed = []
        if self.change is not None:
            listed = [
                {
                    "id": self.change.identifier,
                    "number": self.change.number,
                    "head": {"ref": self.branch, "sha": self.sha},
                    "base": {"ref": "main", "sha": self.repo.main},
                }
            ]
        run = {
            "id": self.identifier,
            **WORKFLOW,
            "display_title": self.title,
            "run_number": self.number,
            "run_attempt": self.attempt,
            "event": "pull_request" if listed else "push",
            "status": status,
            "conclusion": conclusion,
            "head_branch": self.branch,
            "head_sha": self.sha,
            "head_repository": {"full_name": self.repo.full_name},
            "head_commit": {"id": self.sha, "message": self.title},
            "pull_requests": listed,
            "actor": user(self.actor),
            "triggering_actor": user(self.actor),
            "html_url": self.url,
            "created_at": iso(self.created_at),
            "run_started_at": iso(self.began_at),
            "updated_at": iso(at),
        }
        return {"workflow": {"id": 9, **WORKFLOW}, "workflow_run": run}

    def job(self, identifier: int, name: str, queued_at: Instant, started_at: Instant) -> Body:
        """A job of the run that has started, as in `workflow_job` events."""
        return {
            "id": identifier,
            "run_id": self.identifier,
            "run_attempt": self.attempt,
            "name": name,
            "workflow_name": WORKFLOW["name"],
            "head_branch": self.branch,
            "head_sha": self.sha,
            "status": "in_progress",
            "conclusion": None,
            "created_at": iso(queued_at),
            "started_at": iso(started_at),
            "completed_at": None,
            "check_run_url": f"https://api.github.com/repos/{self.repo.full_name}/check-runs/"
            f"{identifier}",
            "html_url": f"{self.url}/job/{identifier}",
            "labels": ["ubuntu-latest"],
            "runner_name": f"GitHub Actions {identifier % 12}",
            "steps": [],
        }


@dataclass(frozen=True, slots=True)
class Task:
    """A job: its steps, shortest and longest duration, and whether it fails."""

    name: str
    steps: tuple[str, ...]
    low: Duration
    high: Duration
    failing: bool = False

    @property
    def conclusion(self) -> str:
        return "failure" if self.failing else "success"

    def done(self, began: Instant, ended: Instant) -> Body:
        """What the end of the job changes. Its steps are consecutive; the last one may fail."""
        share = max((ended - began) // (len(self.steps) + 2) // SECOND * SECOND, SECOND)
        found, at = [], began
        for position, name in enumerate(self.steps, 1):
            last = position == len(self.steps)
            until = ended if last else min(at + share, ended)
            found.append(
                {
                    "number": position,
                    "name": name,
                    "status": "completed",
                    "conclusion": self.conclusion if last else "success",
                    "started_at": iso(at),
                    "completed_at": iso(until),
                }
            )
            at = until
        return {
            "status": "completed",
            "conclusion": self.conclusion,
            "completed_at": iso(ended),
            "steps": found,
        }


def run_workflow(world: World, run: Run, tasks: list[Task]) -> Instant:
    """Send a workflow run in which all tasks run in parallel; a failing task fails the run. Returns
    when it ended."""

    def tell(at: Instant, event: str, action: str, fields: Body) -> None:
        run.repo.send(at, event, run.actor, action, **fields)

    tell(run.began_at, "workflow_run", "in_progress", run.fields("in_progress", run.began_at))
    ends = []
    for task in tasks:
        identifier = world.identifier("job", 51_000_000_000)
        queued = run.began_at + SECOND
        began = queued + world.between(2 * SECOND, 25 * SECOND)
        ended = began + world.between(task.low, task.high)
        job = run.job(identifier, task.name, queued, began)
        tell(began, "workflow_job", "in_progress", {"workflow_job": job})
        done = {"workflow_job": {**job, **task.done(began, ended)}}
        tell(ended, "workflow_job", "completed", done)
        ends.append(ended)
    finished = max(ends) + 2 * SECOND
    conclusion = "failure" if any(task.failing for task in tasks) else "success"
    tell(finished, "workflow_run", "completed", run.fields("completed", finished, conclusion))
    return finished


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a repository; `run` is set if Actions made it."""

    repo: Repo
    identifier: int
    sha: str
    environment: str
    creator: str
    created_at: Instant
    task: str = "deploy"
    description: str = ""
    run: Run | None = None

    def fields(self, updated_at: Instant) -> Body:
        """The fields of a `deployment` event."""
        found: Body = {
            "deployment": {
                "id": self.identifier,
                "sha": self.sha,
                "ref": "main",
                "task": self.task,
                "payload": {},
                "environment": self.environment,
                "original_environment": self.environment,
                "description": self.description,
                "creator": user(self.creator),
                "production_environment": self.environment == "production",
                "transient_environment": False,
                "created_at": iso(self.created_at),
                "updated_at": iso(updated_at),
            }
        }
        if self.run is not None:
            found["workflow_run"] = {
                "id": self.run.identifier,
                "run_attempt": self.run.attempt,
                "html_url": self.run.url,
            }
        return found

    def status(self, identifier: int, state: str, at: Instant, description: str) -> Body:
        """The fields of a `deployment_status` event."""
        status = {
            "id": identifier,
            "state": state,
            "environment": self.environment,
            "description": description,
            "creator": user(self.creator),
            "log_url": self.run.url if self.run else f"{self.repo.url}/deployments",
            "environment_url": f"https://{self.repo.name}.{self.environment}.acme.example",
            "created_at": iso(at),
            "updated_at": iso(at),
        }
        return {"deployment_status": status, **self.fields(at)}


def deploy(
    world: World, deployment: Deployment, took: Duration, state: str = "success", why: str = ""
) -> Instant:
    """Send a deployment: created, in progress, and its end (`success`, `failure` or `error`).
    Returns when it ended."""
    repo, creator, at = deployment.repo, deployment.creator, deployment.created_at
    repo.send(at, "deployment", creator, "created", **deployment.fields(at))
    began = at + world.between(2 * SECOND, 9 * SECOND)
    ended = began + took
    for word, moment, description in (("in_progress", began, ""), (state, ended, why)):
        identifier = world.identifier("status", 4_100_000_000)
        fields = deployment.status(identifier, word, moment, description)
        repo.send(moment, "deployment_status", creator, "created", **fields)
    return ended
