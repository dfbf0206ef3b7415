"""Webhook bodies in GitHub's documented shape, with only the fields that a delivery tool reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vs_tui.demo.world import World
from vs_tui.model.time import SECOND, Instant, iso

Body = dict[str, Any]


def user(login: str) -> Body:
    kind = "Bot" if login.endswith("[bot]") else "User"
    return {"login": login, "type": kind, "html_url": f"https://github.com/{login}"}


@dataclass(slots=True)
class Repo:
    """A repository and the state of its main branch."""

    full_name: str
    main: str
    """The sha of its newest commit."""

    @property
    def name(self) -> str:
        return self.full_name.rpartition("/")[2]

    @property
    def url(self) -> str:
        return f"https://github.com/{self.full_name}"

    def body(self) -> Body:
        return {
            "name": self.name,
            "full_name": self.full_name,
            "owner": {"login": self.full_name.partition("/")[0], "type": "Organization"},
            "html_url": self.url,
            "default_branch": "main",
        }


@dataclass(slots=True)
class Pull:
    """The current state of a pull request; `body` is the snapshot in every event."""

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
    labels: tuple[str, ...] = field(default=())

    def body(self) -> Body:
        merged = bool(self.merge_sha)
        return {
            "id": self.identifier,
            "number": self.number,
            "title": self.title,
            "body": self.text,
            "user": user(self.author),
            "state": "open" if self.closed_at is None else "closed",
            "draft": self.draft,
            "merged": merged,
            "merge_commit_sha": self.merge_sha or None,
            "head": {"ref": self.branch, "sha": self.head, "repo": self.repo.body()},
            "base": {"ref": "main", "sha": self.repo.main, "repo": self.repo.body()},
            "requested_reviewers": [user(name) for name in self.reviewers],
            "labels": [{"name": name} for name in self.labels],
            "comments": self.comments,
            "review_comments": self.comments * 2,
            "commits": self.commits,
            "additions": self.additions,
            "deletions": self.deletions,
            "changed_files": 1 + self.additions // 40,
            "html_url": f"{self.repo.url}/pull/{self.number}",
            "created_at": iso(self.created_at),
            "updated_at": iso(self.updated_at or self.created_at),
            "closed_at": iso(self.closed_at),
            "merged_at": iso(self.closed_at) if merged else None,
            "merged_by": user(self.merged_by) if merged else None,
        }


def send(
    world: World, at: Instant, event: str, repo: Repo, sender: str, action: str = "", **fields: Any
) -> None:
    """Deliver one event of a repository."""
    body: Body = {"action": action} if action else {}
    body |= {**fields, "repository": repo.body(), "sender": user(sender)}
    if event == "push":
        body["repository"]["pushed_at"] = at // SECOND
    world.send(at, "/github", headers(world, event), body)


def headers(world: World, event: str) -> dict[str, str]:
    return {
        "x-github-event": event,
        "x-github-delivery": world.uuid(),
        "user-agent": "GitHub-Hookshot/1a2b3c4",
    }


def issue(
    repo: Repo,
    number: int,
    title: str,
    author: str,
    created_at: Instant,
    closed_at: Instant | None = None,
    labels: tuple[str, ...] = (),
    reason: str | None = None,
) -> Body:
    return {
        "id": 900_000_000 + number,
        "number": number,
        "title": title,
        "body": "",
        "user": user(author),
        "state": "open" if closed_at is None else "closed",
        "state_reason": None if closed_at is None else (reason or "completed"),
        "labels": [{"name": name} for name in labels],
        "assignees": [user(author)],
        "comments": 0,
        "html_url": f"{repo.url}/issues/{number}",
        "created_at": iso(created_at),
        "updated_at": iso(closed_at or created_at),
        "closed_at": iso(closed_at),
    }


def pull(world: World, at: Instant, action: str, change: Pull, sender: str) -> None:
    """Send an event of a pull request, with its snapshot at `at`."""
    change.updated_at = at
    fields = {"number": change.number, "pull_request": change.body()}
    send(world, at, "pull_request", change.repo, sender, action, **fields)


def review(world: World, at: Instant, change: Pull, reviewer: str, state: str) -> None:
    identifier = world.identifier("review", 2_400_000_000)
    change.updated_at = at
    found = {
        "id": identifier,
        "user": user(reviewer),
        "body": "",
        "commit_id": change.head,
        "state": state,
        "submitted_at": iso(at),
        "html_url": f"{change.repo.url}/pull/{change.number}#pullrequestreview-{identifier}",
    }
    short = {
        name: value
        for name, value in change.body().items()
        if name not in {"merged", "merged_by", "additions", "deletions", "changed_files", "commits"}
    }
    fields = {"review": found, "pull_request": short}
    send(world, at, "pull_request_review", change.repo, reviewer, "submitted", **fields)


def push(
    world: World,
    at: Instant,
    repo: Repo,
    branch: str,
    before: str,
    commits: list[tuple[str, str, Instant]],
    sender: str,
) -> None:
    """Send a push of commits, each (sha, message, time of writing), oldest first."""
    listed = [
        {
            "id": sha,
            "message": message,
            "timestamp": iso(written),
            "distinct": True,
            "author": {"name": sender, "username": sender},
        }
        for sha, message, written in commits
    ]
    send(
        world,
        at,
        "push",
        repo,
        sender,
        ref=f"refs/heads/{branch}",
        before=before,
        after=commits[-1][0],
        created=False,
        deleted=False,
        forced=False,
        compare=f"{repo.url}/compare/{before[:12]}...{commits[-1][0][:12]}",
        commits=listed,
        head_commit=listed[-1],
        pusher={"name": sender},
    )
