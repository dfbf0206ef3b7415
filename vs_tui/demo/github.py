"""GitHub's deliveries: pushes, issues, pull requests, workflow runs and deployments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.demo.world import Bodies, Body, World
from vs_tui.model.time import SECOND, Duration, Instant, iso


def user(login: str) -> Body | None:
    """An account; None for an empty login."""
    kind = "Bot" if login.endswith("[bot]") else "User"
    page = f"https://github.com/{login}"
    return {"login": login, "type": kind, "html_url": page} if login else None


def _named(names: Iterable[str]) -> list[Body]:
    return [{"name": name} for name in names]


BODIES: Final = Bodies(
    "github",
    user=user,
    users=lambda logins: [user(login) for login in logins],
    named=_named,
    short=lambda sha: sha[:12],
)


@dataclass(slots=True)
class Repo:
    """A repository and the state of its main branch."""

    world: World
    full_name: str
    main: str
    """The sha of its newest commit."""

    @property
    def owner(self) -> str:
        return self.full_name.partition("/")[0]

    @property
    def name(self) -> str:
        return self.full_name.rpartition("/")[2]

    @property
    def url(self) -> str:
        return f"https://github.com/{self.full_name}"

    @property
    def body(self) -> Body:
        return BODIES("repository", repo=self)

    def send(self, at: Instant, event: str, sender: str, action: str = "", **fields: Any) -> None:
        """Deliver one event of the repository."""
        body: Body = {"action": action} if action else {}
        body |= {**fields, "repository": self.body, "sender": user(sender)}
        if event == "push":
            body["repository"]["pushed_at"] = at // SECOND
        headers = {
            "x-github-event": event,
            "x-github-delivery": self.world.uuid(),
            "user-agent": "GitHub-Hookshot/1a2b3c4",
        }
        self.world.send(at, "/github", headers, body)

    def push(
        self, at: Instant, branch: str, sha: str, message: str, written: Instant, login: str,
        before: str = "",
    ) -> None:  # fmt: skip
        """Send a push of one commit on `before`, or else on main."""
        commit = BODIES("commit", sha=sha, message=message, written=written, login=login)
        fields = BODIES(
            "push", repo=self, branch=branch, before=before or self.main, sha=sha, commit=commit,
            login=login,
        )  # fmt: skip
        self.send(at, "push", login, **fields)
        if branch == "main":
            self.main = sha

    def issue(
        self, at: Instant, action: str, number: int, title: str, author: str, created_at: Instant,
        sender: str, labels: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Send an issue that was `opened` or, a second before, `closed`."""
        closed_at = at - SECOND if action == "closed" else None
        body = BODIES(
            "issue", repo=self, identifier=900_000_000 + number, number=number, title=title,
            author=author, state="closed" if closed_at else "open",
            reason="completed" if closed_at else None, labels=labels, created_at=created_at,
            updated_at=closed_at or created_at, closed_at=closed_at,
        )  # fmt: skip
        self.send(at, "issues", sender, action, issue=body)


@dataclass(slots=True)
class Pull:
    """The current state of a pull request, of which every event has a snapshot."""

    repo: Repo
    number: int
    identifier: int
    title: str
    branch: str
    author: str
    created_at: Instant
    head: str
    text: str = ""
    draft: bool = False
    reviewers: tuple[str, ...] = ()
    commits: int = 1
    additions: int = 10
    deletions: int = 2
    comments: int = 0
    updated_at: Instant = 0
    closed_at: Instant | None = None
    merge_sha: str = ""
    merged_by: str = ""
    labels: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        return f"{self.repo.url}/pull/{self.number}"

    def body(self) -> Body:
        merged = bool(self.merge_sha)
        return BODIES(
            "pull_request", pull=self, state="open" if self.closed_at is None else "closed",
            merged=merged, merged_at=self.closed_at if merged else None,
            merged_by=self.merged_by if merged else "", review_comments=self.comments * 2,
            changed_files=1 + self.additions // 40, updated_at=self.updated_at or self.created_at,
        )  # fmt: skip

    def send(self, at: Instant, action: str, sender: str = "") -> None:
        """Send an event of the pull request, by its author unless another is named."""
        self.updated_at = at
        fields = {"number": self.number, "pull_request": self.body()}
        self.repo.send(at, "pull_request", sender or self.author, action, **fields)

    def review(self, at: Instant, reviewer: str, state: str = "approved") -> None:
        """Send a review. Its snapshot lacks some fields of the pull request."""
        identifier = self.repo.world.identifier("review", 2_400_000_000)
        self.updated_at = at
        review = BODIES(
            "review", pull=self, identifier=identifier, reviewer=reviewer, state=state, at=at
        )
        lacks = ("merged", "merged_by", "additions", "deletions", "changed_files", "commits")
        short = {name: value for name, value in self.body().items() if name not in lacks}
        fields = {"review": review, "pull_request": short}
        self.repo.send(at, "pull_request_review", reviewer, "submitted", **fields)

    def amend(self, at: Instant, message: str, written: Instant, pause: int) -> None:
        """Push another commit to the branch; its event follows after `pause`."""
        before, self.head = self.head, self.repo.world.sha()
        self.repo.push(at, self.branch, self.head, message, written, self.author, before)
        self.send(at + pause, "synchronize")

    def close(self, at: Instant, login: str) -> None:
        self.closed_at = at
        self.send(at, "closed", login)

    def merge(self, at: Instant, login: str) -> None:
        """Squash and merge it. The push to main is another event."""
        self.merge_sha, self.merged_by = self.repo.world.sha(), login
        self.close(at, login)


# GitHub Actions and deployments.


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
        changes = [BODIES("run_change", run=self)] if self.change is not None else []
        event = "pull_request" if changes else "push"
        told = {"status": status, "conclusion": conclusion, "at": at}
        return BODIES("workflow_run", run=self, changes=changes, event=event, **told)


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
        steps, at = [], began
        for number, name in enumerate(self.steps, 1):
            last = number == len(self.steps)
            until = ended if last else min(at + share, ended)
            conclusion = self.conclusion if last else "success"
            told = {"number": number, "name": name, "conclusion": conclusion}
            steps.append(BODIES("step", **told, began=at, ended=until))
            at = until
        state = {"status": "completed", "conclusion": self.conclusion}
        return {**state, "completed_at": iso(ended), "steps": steps}


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
        job = BODIES(
            "job", run=run, identifier=identifier, name=task.name, queued_at=queued,
            started_at=began, runner=identifier % 12,
        )  # fmt: skip
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
        is_production = self.environment == "production"
        body = BODIES("deployment", deployment=self, is_production=is_production, at=updated_at)
        of_run = {"workflow_run": BODIES("deployment_run", run=self.run)} if self.run else {}
        return {"deployment": body, **of_run}

    def status(self, identifier: int, state: str, at: Instant, description: str) -> Body:
        """The fields of a `deployment_status` event."""
        log_url = self.run.url if self.run else f"{self.repo.url}/deployments"
        status = BODIES(
            "deployment_status", deployment=self, identifier=identifier, state=state, at=at,
            description=description, log_url=log_url,
        )  # fmt: skip
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
