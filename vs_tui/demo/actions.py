"""Bodies of GitHub Actions and of GitHub's deployments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vs_tui.demo.github import Body, Pull, Repo, user
from vs_tui.model.time import SECOND, Instant, iso


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt of a workflow."""

    repo: Repo
    identifier: int
    number: int
    workflow: str
    title: str
    branch: str
    sha: str
    message: str
    actor: str
    created_at: Instant
    """When the first attempt was created."""
    began_at: Instant
    """When this attempt began."""
    attempt: int = 1
    change: Pull | None = None
    event: str = "push"

    @property
    def url(self) -> str:
        return f"{self.repo.url}/actions/runs/{self.identifier}"

    def fields(self, status: str, at: Instant, conclusion: str | None = None) -> Body:
        """The fields of a `workflow_run` event: the run as of `at`."""
        path = f".github/workflows/{self.workflow.lower()}.yml"
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
            "name": self.workflow,
            "path": path,
            "display_title": self.title,
            "run_number": self.number,
            "run_attempt": self.attempt,
            "event": self.event,
            "status": status,
            "conclusion": conclusion,
            "head_branch": self.branch,
            "head_sha": self.sha,
            "head_repository": {"full_name": self.repo.full_name},
            "head_commit": {"id": self.sha, "message": self.message},
            "pull_requests": listed,
            "actor": user(self.actor),
            "triggering_actor": user(self.actor),
            "html_url": self.url,
            "created_at": iso(self.created_at),
            "run_started_at": iso(self.began_at),
            "updated_at": iso(at),
        }
        return {"workflow": {"id": 9, "name": self.workflow, "path": path}, "workflow_run": run}

    def job(
        self,
        identifier: int,
        name: str,
        status: str,
        queued_at: Instant,
        started_at: Instant | None = None,
        completed_at: Instant | None = None,
        conclusion: str | None = None,
        steps: list[Body] | None = None,
    ) -> Body:
        """The fields of a `workflow_job` event."""
        job = {
            "id": identifier,
            "run_id": self.identifier,
            "run_attempt": self.attempt,
            "name": name,
            "workflow_name": self.workflow,
            "head_branch": self.branch,
            "head_sha": self.sha,
            "status": status,
            "conclusion": conclusion,
            "created_at": iso(queued_at),
            "started_at": iso(started_at or queued_at),
            "completed_at": iso(completed_at),
            "check_run_url": f"https://api.github.com/repos/{self.repo.full_name}/check-runs/"
            f"{identifier}",
            "html_url": f"{self.url}/job/{identifier}",
            "labels": ["ubuntu-latest"],
            "runner_name": f"GitHub Actions {identifier % 12}" if started_at else None,
            "steps": steps or [],
        }
        return {"workflow_job": job}


def steps(names: tuple[str, ...], began: Instant, ended: Instant, failed: bool) -> list[Body]:
    """The bodies of consecutive steps. If `failed`, the last one fails."""
    share = max((ended - began) // (len(names) + 2) // SECOND * SECOND, SECOND)
    found, at = [], began
    for position, name in enumerate(names, 1):
        last = position == len(names)
        until = ended if last else min(at + share, ended)
        found.append(
            {
                "number": position,
                "name": name,
                "status": "completed",
                "conclusion": "failure" if failed and last else "success",
                "started_at": iso(at),
                "completed_at": iso(until),
            }
        )
        at = until
    return found


@dataclass(frozen=True, slots=True)
class Deployment:
    """A deployment of a repository; `run` is set if Actions made it."""

    repo: Repo
    identifier: int
    sha: str
    environment: str
    creator: str
    created_at: Instant
    ref: str = "main"
    task: str = "deploy"
    description: str = ""
    run: Run | None = None

    def fields(self, updated_at: Instant | None = None) -> Body:
        """The fields of a `deployment` event."""
        found: Body = {
            "deployment": {
                "id": self.identifier,
                "sha": self.sha,
                "ref": self.ref,
                "task": self.task,
                "payload": {},
                "environment": self.environment,
                "original_environment": self.environment,
                "description": self.description,
                "creator": user(self.creator),
                "production_environment": self.environment == "production",
                "transient_environment": False,
                "created_at": iso(self.created_at),
                "updated_at": iso(updated_at or self.created_at),
            }
        }
        if self.run is not None:
            found["workflow_run"] = {
                "id": self.run.identifier,
                "run_attempt": self.run.attempt,
                "html_url": self.run.url,
            }
        return found

    def status(self, identifier: int, state: str, at: Instant, **more: Any) -> Body:
        """The fields of a `deployment_status` event."""
        status = {
            "id": identifier,
            "state": state,
            "environment": self.environment,
            "description": "",
            "creator": user(self.creator),
            "log_url": self.run.url if self.run else f"{self.repo.url}/deployments",
            "environment_url": f"https://{self.repo.name}.{self.environment}.acme.example",
            "created_at": iso(at),
            "updated_at": iso(at),
        }
        return {"deployment_status": {**status, **more}, **self.fields(at)}
