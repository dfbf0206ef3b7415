"""Webhook bodies in GitHub's documented shape, with only the fields that a delivery tool reads."""

from __future__ import annotations

from dataclasses import dataclass
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

    world: World
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

    def send(self, at: Instant, event: str, sender: str, action: str = "", **fields: Any) -> None:
        """Deliver one event of the repository."""
        body: Body = {"action": action} if action else {}
        body |= {**fields, "repository": self.body(), "sender": user(sender)}
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
        before = before or self.main
        commit = {
            "id": sha,
            "message": message,
            "timestamp": iso(written),
            "distinct": True,
            "author": {"name": login, "username": login},
        }
        fields: Body = {
            "ref": f"refs/heads/{branch}",
            "before": before,
            "after": sha,
            "created": False,
            "deleted": False,
            "forced": False,
            "compare": f"{self.url}/compare/{before[:12]}...{sha[:12]}",
            "commits": [commit],
            "head_commit": commit,
            "pusher": {"name": login},
        }
        self.send(at, "push", login, **fields)
        if branch == "main":
            self.main = sha

    def issue(
        self, at: Instant, action: str, number: int, title: str, author: str, created_at: Instant,
        sender: str, labels: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        """Send an issue that was `opened` or, a second before, `closed`."""
        closed_at = at - SECOND if action == "closed" else None
        body = {
            "id": 900_000_000 + number,
            "number": number,
            "title": title,
            "body": "",
            "user": user(author),
            "state": "open" if closed_at is None else "closed",
            "state_reason": None if closed_at is None else "completed",
            "labels": [{"name": name} for name in labels],
            "assignees": [user(author)],
            "comments": 0,
            "html_url": f"{self.url}/issues/{number}",
            "created_at": iso(created_at),
            "updated_at": iso(closed_at or created_at),
            "closed_at": iso(closed_at),
        }
        self.send(at, "issues", sender, action, issue=body)


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
    labels: tuple[str, ...] = ()

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

    def send(self, at: Instant, action: str, sender: str = "") -> None:
        """Send an event of the pull request, by its author unless another is named."""
        self.updated_at = at
        fields = {"number": self.number, "pull_request": self.body()}
        self.repo.send(at, "pull_request", sender or self.author, action, **fields)

    def review(self, at: Instant, reviewer: str, state: str = "approved") -> None:
        """Send a review. Its snapshot lacks some fields of the pull request."""
        identifier = self.repo.world.identifier("review", 2_400_000_000)
        self.updated_at = at
        review = {
            "id": identifier,
            "user": user(reviewer),
            "body": "",
            "commit_id": self.head,
            "state": state,
            "submitted_at": iso(at),
            "html_url": f"{self.repo.url}/pull/{self.number}#pullrequestreview-{identifier}",
        }
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
