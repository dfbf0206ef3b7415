"""GitLab's REST API (v4) as webhooks: issues, merge requests, commits of branches,
pipelines, deployments, releases.

https://docs.gitlab.com/api: objects of the API differ from those of webhooks, so their fields are
renamed here. Only system notes have the times of approvals and drafts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.importing import (
    Answer,
    Api,
    Delivery,
    Forbidden,
    ImportScope,
    Page,
    Project,
    delivery,
)
from vs_tui.cli.importing.commits import Branches, Commit, Push

_ENDS: Final = frozenset({"success", "failed", "canceled", "skipped"})
_READY: Final = ("marked this merge request as ready", "unmarked this merge request as a draft")
_APPROVED: Final = "approved this merge request"
"""Texts of system notes about approvals, without asterisks."""
_END_FIELDS: Final = ("merged_at", "closed_at", "merge_commit_sha", "squash_commit_sha")
_SAME_NAMES: Final = (
    *("id", "iid", "title", "description", "state", "created_at", "updated_at", *_END_FIELDS),
    *("moved_to_id", "severity", "weight", "draft", "source_branch", "target_branch"),
    *("user_notes_count", "changes_count"),
)


def event(hook: str, body: dict[str, Any]) -> Delivery:
    """A webhook of GitLab."""
    return delivery("/gitlab", "idempotency-key", body, {"x-gitlab-event": hook})


class GitLab(Project):
    """One project, `group/project` with any number of groups."""

    title, variable, what = "GitLab", "GITLAB_TOKEN", "GROUP/PROJECT"
    url, host = "https://gitlab.com/api/v4", "https://gitlab.com/"
    steps = ("issues", "merge_requests", "commits", "pipelines", "deployments", "releases")
    wanted = "a project; write it like group/project"

    @classmethod
    def proof(cls, token: str, user: str) -> dict[str, str]:  # noqa: ARG003
        return {"PRIVATE-TOKEN": token}

    def __init__(self, api: Api, project: str, scope: ImportScope) -> None:
        super().__init__(api, f"projects/{quote(project, safe='')}", scope)
        whole = self._object(self._at)
        self.project = {
            **{name: whole.get(name) for name in ("id", "name", "web_url", "default_branch")},
            "path_with_namespace": whole.get("path_with_namespace"),
            "namespace": (whole.get("namespace") or {}).get("name"),
        }
        self._tiers: dict[int, Any] | None = None

    @cached_property
    def _branches(self) -> Branches:
        default = str(self.project["default_branch"] or "")
        if not self._reads_commits:
            return Branches(default, ())
        newest = {"order_by": "updated_at", "sort": "desc", "updated_after": self._scope.since}
        merged = {"state": "merged", "scope": "all", **newest}
        changes = list(self._recent("merge_requests", "updated_at", **merged))
        bases, heads = (
            [change.get(name) for change in changes] for name in ("target_branch", "source_branch")
        )
        refs = {d.get("ref"): None for d in self._recent("deployments", "updated_at", **newest)}
        deployed = self._existing("repository/branches", refs, {default, *bases, *heads})
        return Branches(default, [*bases, *deployed])

    def _by_update(self, cursor: str, path: str, **query: object) -> Answer:
        newest_first = {"order_by": "updated_at", "sort": "desc"}
        since = self._scope.since
        return self._list(cursor, path, updated_after=since, **newest_first, **query)

    def issues(self, cursor: str) -> Page:
        return self._page(self._by_update(cursor, "issues", scope="all"), self._issue)

    def _issue(self, issue: dict[str, Any]) -> Iterator[Delivery]:
        action = "close" if issue.get("state") == "closed" else "update"
        people = {"assignees": issue.get("assignees") or []}
        yield event("Issue Hook", self._hook("issue", issue, action, issue.get("author")) | people)

    def _hook(
        self, kind: str, entry: dict[str, Any], action: str, user: Any, **more: Any
    ) -> dict[str, Any]:
        attributes: dict[str, Any] = {name: entry.get(name) for name in _SAME_NAMES}
        attributes |= {
            "url": entry.get("web_url"),
            "author_id": (entry.get("author") or {}).get("id"),
            "type": str(entry.get("issue_type") or "").capitalize() or None,
            "action": action,
            **more,
        }
        return {
            "object_kind": kind,
            "user": user,
            "project": self.project,
            "object_attributes": {n: value for n, value in attributes.items() if value is not None},
            "labels": [{"title": label} for label in entry.get("labels") or []],
        }

    def merge_requests(self, cursor: str) -> Page:
        answer = self._by_update(cursor, "merge_requests", state="all", scope="all")
        return self._page(answer, self._change)

    def _change(self, change: dict[str, Any]) -> Iterator[Delivery]:
        state = change.get("state")
        if self._scope.details:
            yield from self._push(change)
        people = {name: change.get(name) or [] for name in ("assignees", "reviewers")}
        last = {"last_commit": {"id": change.get("sha")}}
        # Its opening names the author, its end who merged it: a hook names one person only.
        opening = _still_open(change, change.get("created_at"))
        author = change.get("author")
        body = self._hook("merge_request", opening, "open", author, **last) | people
        yield event("Merge Request Hook", body)
        if self._scope.details:
            yield from self._noted(change, last, people)
        actor, action = author, "update"
        if state == "merged":
            actor, action = change.get("merge_user") or change.get("merged_by"), "merge"
        elif state == "closed":
            actor, action = change.get("closed_by"), "close"
        body = self._hook("merge_request", change, action, actor, **last) | people
        yield event("Merge Request Hook", body)

    def _noted(
        self, change: dict[str, Any], last: dict[str, Any], people: dict[str, Any]
    ) -> Iterator[Delivery]:
        """From system notes: its approvals, and the instants at which it left the draft state."""
        try:
            notes = list(self._every(f"merge_requests/{change.get('iid')}/notes"))
        except Forbidden:
            return
        for note in reversed(notes):  # the API lists the newest first
            if note.get("system") is not True:
                continue
            said = str(note.get("body") or "").replace("*", "").lower()
            then = _still_open(change, note.get("created_at")) | {"draft": False}
            if said.startswith(_READY):
                body = self._hook("merge_request", then, "update", note.get("author"))
                body["changes"] = {"draft": {"previous": True, "current": False}}
            elif said.startswith(_APPROVED):
                body = self._hook("merge_request", then, "approved", note.get("author"))
            else:
                continue
            body["object_attributes"] |= last
            yield event("Merge Request Hook", body | people)

    def _push(self, change: dict[str, Any]) -> Iterator[Delivery]:
        """The change's commits as one push to its branch, so that lead time begins with the
        first."""
        try:
            listed = list(self._every(f"merge_requests/{change.get('iid')}/commits"))
        except Forbidden:
            return
        made = [_commit(entry) for entry in reversed(listed)]  # the API lists the newest first
        merge = change.get("merge_commit_sha") or change.get("squash_commit_sha")
        own = (change.get("merged_at"), change.get("iid"), merge or change.get("sha"))
        for found in self._branches.merge(change.get("target_branch"), made, *own):
            yield self._pushed(*found)
        if change.get("source_project_id") == change.get("target_project_id"):  # else of a fork
            author = (change.get("author") or {}).get("username")
            for found in self._branches.push(str(change.get("source_branch") or ""), made):
                yield self._pushed(*found, user_username=author)

    def _pushed(self, branch: str, push: Push, **more: Any) -> Delivery:
        """A push, which the API does not have."""
        body = {
            "object_kind": "push",
            "ref": f"refs/heads/{branch}",
            "before": push.before,
            "after": push.after.sha,
            "project": self.project,
            "commits": [
                {
                    "id": commit.sha,
                    "message": commit.message,
                    "timestamp": commit.authored or commit.committed,
                    "committed_date": push.at if commit is push.after else commit.committed,
                }
                for commit in push.commits
            ],
            "total_commits_count": len(push.commits),
            **more,
        }
        return event("Push Hook", body)

    def commits(self, _cursor: str) -> Page:
        """The branches as pushes, in one page: a merge may bring commits of any page."""

        def listed(branch: str) -> Iterator[Commit]:
            asked = {"ref_name": branch, "since": self._scope.since}
            return map(_commit, self._every("repository/commits", **asked))

        return Page([self._pushed(*found) for found in self._branches.pushes(listed)])

    def pipelines(self, cursor: str) -> Page:
        return self._page(self._by_update(cursor, "pipelines"), self._pipeline)

    def _pipeline(self, entry: dict[str, Any]) -> Iterator[Delivery]:
        # The list has no times of start and end.
        pipeline = self._object(f"{self._at}/pipelines/{entry.get('id')}") or entry
        jobs: list[dict[str, Any]] = []
        if self._scope.details:
            jobs = list(self._every(f"pipelines/{entry.get('id')}/jobs", include_retried="true"))
        names = (
            *("id", "iid", "name", "ref", "tag", "sha", "source", "status", "created_at"),
            *("finished_at", "duration", "queued_duration"),
        )
        attributes = {name: pipeline[name] for name in names if pipeline.get(name) is not None}
        commits = [job["commit"] for job in jobs if isinstance(job.get("commit"), dict)]
        body = {
            "object_kind": "pipeline",
            "object_attributes": {**attributes, "url": pipeline.get("web_url")},
            "user": pipeline.get("user"),
            "project": self.project,
            "commit": commits[0] if commits else {"id": pipeline.get("sha")},
            "builds": jobs,
        }
        yield event("Pipeline Hook", body)

    def deployments(self, cursor: str) -> Page:
        return self._page(self._by_update(cursor, "deployments"), self._deployment)

    def _deployment(self, entry: dict[str, Any]) -> Iterator[Delivery]:
        job = entry.get("deployable") or {}
        commit = job.get("commit") or {}
        sha = str(entry.get("sha") or "")
        environment = entry.get("environment") or {}
        whole = {
            "object_kind": "deployment",
            "deployment_id": entry.get("id"),
            "deployable_id": job.get("id"),
            "deployable_url": job.get("web_url"),
            "environment": environment.get("name"),
            "environment_tier": environment.get("tier") or self._tier(environment.get("id")),
            "environment_external_url": environment.get("external_url"),
            "project": self.project,
            "short_sha": sha[:8],
            "commit_url": f"{self.project['web_url']}/-/commit/{sha}" if sha else None,
            "commit_title": commit.get("title"),
            "ref": entry.get("ref"),
            "user": entry.get("user"),
        }
        began = job.get("started_at") or entry.get("created_at")
        yield event("Deployment Hook", {**whole, "status": "running", "status_changed_at": began})
        status = entry.get("status")
        if status == "running":
            return
        at = entry.get("updated_at")
        if status in _ENDS:  # a deployment is also updated by whatever replaces it
            at = job.get("finished_at") or entry.get("finished_at") or at
        yield event("Deployment Hook", {**whole, "status": status, "status_changed_at": at})

    def _tier(self, identifier: Any) -> Any:
        """`production`, `staging` and so on; a deployment's environment does not carry it."""
        if self._tiers is None:
            try:
                listed = list(self._every("environments"))
            except Forbidden:
                listed = []
            self._tiers = {entry.get("id", 0): entry.get("tier") for entry in listed}
        return self._tiers.get(identifier)

    def releases(self, cursor: str) -> Page:
        answer = self._list(cursor, "releases", order_by="released_at", sort="desc")
        return self._page(answer, self._release)

    def _release(self, release: dict[str, Any]) -> Iterator[Delivery]:
        if not self._is_recent(release, "released_at"):
            return
        names = ("name", "description", "released_at", "created_at", "commit")
        body = {
            "object_kind": "release",
            "action": "create",
            "tag": release.get("tag_name"),
            "url": (release.get("_links") or {}).get("self"),
            "project": self.project,
            **{name: release.get(name) for name in names},
        }
        yield event("Release Hook", body)


def _still_open(change: dict[str, Any], at: Any) -> dict[str, Any]:
    """A merge request as it was at a time before its end."""
    before = {name: value for name, value in change.items() if name not in _END_FIELDS}
    return {**before, "state": "opened", "updated_at": at}


def _commit(entry: dict[str, Any]) -> Commit:
    return Commit(
        sha=str(entry.get("id") or ""),
        parents=[str(parent) for parent in entry.get("parent_ids") or []],
        message=str(entry.get("message") or ""),
        authored=entry.get("authored_date"),
        committed=entry.get("committed_date") or entry.get("created_at"),
    )
