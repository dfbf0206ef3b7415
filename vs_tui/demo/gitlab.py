"""GitLab's webhook bodies: issues, merge requests, pushes, deployments and tags."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.demo.cast import Person
from vs_tui.demo.world import World, zulu
from vs_tui.domain.instants import Instant, to_datetime

HOST: Final = "https://gitlab.acme.example"
ZERO: Final = "0" * 40


@dataclass(slots=True)
class Project:
    path: str
    ident: int
    head: str
    title: str
    default_branch: str = "main"

    @property
    def url(self) -> str:
        return f"{HOST}/{self.path}"


@dataclass(slots=True)
class Card:
    """An issue."""

    iid: int
    ident: int
    title: str
    description: str
    author: Person
    created_at: Instant
    labels: tuple[str, ...] = ()
    assignees: tuple[Person, ...] = ()
    state: str = "opened"
    closed_at: Instant | None = None


@dataclass(slots=True)
class Merge:
    """A merge request as it stands."""

    iid: int
    ident: int
    title: str
    description: str
    branch: str
    author: Person
    head: str
    message: str
    created_at: Instant
    draft: bool = False
    labels: tuple[str, ...] = ()
    reviewers: tuple[Person, ...] = ()
    state: str = "opened"
    merge_sha: str | None = None
    squash_sha: str | None = None
    commits: list[tuple[str, str, Instant]] = field(default_factory=list)


class GitLab:
    """Writes the deliveries of a group's webhook."""

    def __init__(self, world: World) -> None:
        self.world = world

    def send(self, event: str, body: dict[str, Any], at: Instant) -> None:
        headers = {
            "content-type": "application/json",
            "idempotency-key": self.world.uuid(),
            "user-agent": "GitLab/18.1.0",
            "x-gitlab-event": event,
            "x-gitlab-event-uuid": self.world.uuid(),
            "x-gitlab-instance": HOST,
            "x-gitlab-webhook-uuid": "5b2f0c1e-8f0d-4c1a-9a57-1f0e7c3d2b10",
        }
        self.world.send("/gitlab", body, headers, at)

    def issue(self, project: Project, card: Card, action: str, by: Person, at: Instant) -> None:
        attributes = {
            "id": card.ident,
            "iid": card.iid,
            "title": card.title,
            "description": card.description,
            "author_id": card.author.number,
            "assignee_ids": [person.number for person in card.assignees],
            "project_id": project.ident,
            "created_at": stamp(card.created_at),
            "updated_at": stamp(at),
            "closed_at": stamp(card.closed_at) if card.closed_at else None,
            "confidential": False,
            "type": "Issue",
            "severity": "unknown",
            "weight": None,
            "state": card.state,
            "action": action,
            "url": f"{project.url}/-/issues/{card.iid}",
        }
        body = {
            "object_kind": "issue",
            "event_type": "issue",
            "user": user(by),
            "project": project_of(project),
            "object_attributes": attributes,
            "labels": labels(card.labels, project),
            "changes": {},
            "repository": repository(project),
            "assignees": [user(person) for person in card.assignees],
        }
        self.send("Issue Hook", body, at)

    def merge_request(
        self,
        project: Project,
        merge: Merge,
        action: str,
        by: Person,
        at: Instant,
        oldrev: str = "",
        changes: dict[str, Any] | None = None,
    ) -> None:
        attributes: dict[str, Any] = {
            "id": merge.ident,
            "iid": merge.iid,
            "title": f"Draft: {merge.title}" if merge.draft else merge.title,
            "description": merge.description,
            "source_branch": merge.branch,
            "target_branch": project.default_branch,
            "source_project_id": project.ident,
            "target_project_id": project.ident,
            "author_id": merge.author.number,
            "reviewer_ids": [person.number for person in merge.reviewers],
            "created_at": stamp(merge.created_at),
            "updated_at": stamp(at),
            "state": merge.state,
            "draft": merge.draft,
            "work_in_progress": merge.draft,
            "merge_status": "can_be_merged",
            "detailed_merge_status": "draft_status" if merge.draft else "mergeable",
            "merge_commit_sha": merge.merge_sha,
            "squash_commit_sha": merge.squash_sha,
            "url": f"{project.url}/-/merge_requests/{merge.iid}",
            "source": project_of(project),
            "target": {"path_with_namespace": project.path, "default_branch": "main"},
            "last_commit": commit(project, (merge.head, merge.message, at), merge.author),
            "action": action,
        }
        if oldrev:
            attributes["oldrev"] = oldrev
        body = {
            "object_kind": "merge_request",
            "event_type": "merge_request",
            "user": user(by),
            "project": project_of(project),
            "repository": repository(project),
            "object_attributes": attributes,
            "labels": labels(merge.labels, project),
            "changes": changes or {},
            "assignees": [user(merge.author)],
            "reviewers": [user(person) for person in merge.reviewers],
        }
        self.send("Merge Request Hook", body, at)

    def push(
        self,
        project: Project,
        branch: str,
        before: str,
        commits: list[tuple[str, str, Instant]],
        by: Person,
        at: Instant,
    ) -> None:
        after = commits[-1][0]
        body = {
            "object_kind": "push",
            "event_name": "push",
            "before": before,
            "after": after,
            "ref": f"refs/heads/{branch}",
            "checkout_sha": after,
            "user_id": by.number,
            "user_name": by.name,
            "user_username": by.login,
            "project_id": project.ident,
            "project": project_of(project),
            "commits": [commit(project, entry, by) for entry in commits],
            "total_commits_count": len(commits),
            "repository": repository(project),
        }
        self.send("Push Hook", body, at)

    def tag(self, project: Project, tag: str, by: Person, at: Instant) -> None:
        body = {
            "object_kind": "tag_push",
            "event_name": "tag_push",
            "before": ZERO,
            "after": self.world.sha("tag object"),
            "ref": f"refs/tags/{tag}",
            "checkout_sha": project.head,
            "message": f"Shop {tag}",
            "user_id": by.number,
            "user_name": by.name,
            "user_username": by.login,
            "project_id": project.ident,
            "project": project_of(project),
            "commits": [commit(project, (project.head, f"Release {tag}", at), by)],
            "total_commits_count": 1,
            "repository": repository(project),
        }
        self.send("Tag Push Hook", body, at)

    def note(self, project: Project, merge: Merge, words: str, by: Person, at: Instant) -> None:
        body = {
            "object_kind": "note",
            "event_type": "note",
            "user": user(by),
            "project_id": project.ident,
            "project": project_of(project),
            "object_attributes": {
                "id": self.world.number("gitlab note", 88_120, 7),
                "note": words,
                "noteable_type": "MergeRequest",
                "created_at": stamp(at),
                "updated_at": stamp(at),
                "url": f"{project.url}/-/merge_requests/{merge.iid}#note_1",
            },
            "merge_request": {"iid": merge.iid, "title": merge.title, "state": merge.state},
        }
        self.send("Note Hook", body, at)

    def deployment(
        self,
        project: Project,
        ident: int,
        job: int,
        environment: str,
        status: str,
        sha: str,
        title: str,
        by: Person,
        at: Instant,
    ) -> None:
        body = {
            "object_kind": "deployment",
            "status": status,
            "status_changed_at": f"{to_datetime(at):%Y-%m-%d %H:%M:%S} +0000",
            "deployment_id": ident,
            "deployable_id": job,
            "deployable_url": f"{project.url}/-/jobs/{job}",
            "environment": environment,
            "environment_tier": environment,
            "environment_slug": environment,
            "environment_external_url": "https://shop.acme.example"
            if environment == "production"
            else f"https://{environment}.shop.acme.example",
            "project": project_of(project),
            "ref": project.default_branch,
            "short_sha": sha[:8],
            "user": user(by),
            "user_url": f"{HOST}/{by.login}",
            "commit_url": f"{project.url}/-/commit/{sha}",
            "commit_title": title,
        }
        self.send("Deployment Hook", body, at)


def stamp(at: Instant | None) -> str | None:
    """`2026-03-02 10:00:00 UTC`, as GitLab writes most times."""
    return None if at is None else f"{to_datetime(at):%Y-%m-%d %H:%M:%S} UTC"


def user(person: Person) -> dict[str, Any]:
    return {
        "id": person.number,
        "name": person.name,
        "username": person.login,
        "avatar_url": None,
        "email": "[REDACTED]",
    }


def project_of(project: Project) -> dict[str, Any]:
    return {
        "id": project.ident,
        "name": project.title,
        "description": None,
        "web_url": project.url,
        "git_ssh_url": f"git@gitlab.acme.example:{project.path}.git",
        "git_http_url": f"{project.url}.git",
        "namespace": "Web",
        "visibility_level": 0,
        "path_with_namespace": project.path,
        "default_branch": project.default_branch,
        "ci_config_path": "",
    }


def repository(project: Project) -> dict[str, Any]:
    return {
        "name": project.title,
        "url": f"git@gitlab.acme.example:{project.path}.git",
        "description": None,
        "homepage": project.url,
    }


def labels(names: tuple[str, ...], project: Project) -> list[dict[str, Any]]:
    return [
        {"id": 200 + len(name), "title": name, "color": "#6699cc", "project_id": project.ident}
        for name in names
    ]


def commit(project: Project, entry: tuple[str, str, Instant], author: Person) -> dict[str, Any]:
    sha, message, at = entry
    return {
        "id": sha,
        "message": message,
        "title": message.partition("\n")[0],
        "timestamp": (zulu(at) or "").replace("Z", "+00:00"),
        "url": f"{project.url}/-/commit/{sha}",
        "author": {"name": author.name, "email": author.email},
    }
