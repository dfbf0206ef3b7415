"""GitHub's REST API (v3) as webhooks: issues, pull requests, commits of the default branch,
workflow runs, deployments, releases.

https://docs.github.com/rest: the API lists the same objects that webhooks carry, so an event is
such an object, its repository and the action that happened last.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.importing import (
    Commit,
    Delivery,
    Forbidden,
    ImportScope,
    Page,
    Push,
    delivery,
    objects,
    pushes,
)
from vs_tui.cli.importing.api import Answer, Api, Project

_COMMITS: Final = 250
"""Most commits of a pull request that the API lists."""
_RUN_ACTIONS: Final = {"completed": "completed", "in_progress": "in_progress"}


def event(name: str, body: dict[str, Any]) -> Delivery:
    """A webhook of GitHub."""
    return delivery("/github", "x-github-delivery", body, {"x-github-event": name})


class GitHub(Project):
    """One repository, `owner/name`."""

    title, variable, what = "GitHub", "GITHUB_TOKEN", "OWNER/REPO"
    url, host = "https://api.github.com", "https://github.com/"
    steps = ("issues", "pull_requests", "commits", "workflow_runs", "deployments", "releases")
    wanted = "a repository; write it like acme/api"

    def __init__(self, api: Api, project: str, scope: ImportScope) -> None:
        super().__init__(api, f"repos/{quote(project, safe='/')}", scope)
        self.repository = self._object(self._at)
        # What is older than a repository's last push must not pass for it.
        self.repository.pop("pushed_at", None)
        self._workflows: dict[int, dict[str, Any]] | None = None

    @classmethod
    def _is_name(cls, name: str) -> bool:
        return name.count("/") == 1 and super()._is_name(name)

    def _body(self, action: str, sender: Any = None, **fields: Any) -> dict[str, Any]:
        body = {"action": action, **fields, "repository": self.repository}
        return {**body, "sender": sender} if isinstance(sender, dict) else body

    def _by_update(self, cursor: str, path: str, **query: object) -> Answer:
        return self._lists.page(
            cursor, path, state="all", sort="updated", direction="desc", **query
        )

    # A closed object is delivered as its closing, an open one as an edit: an edit's instant is
    # its last change, so that it also undoes an end whose reopening was never received.

    def issues(self, cursor: str) -> Page:
        answer = self._by_update(cursor, "issues", since=self._scope.since)
        found = [
            event("issues", self._body(_action(issue), issue.get("user"), issue=issue))
            for issue in objects(answer.value)
            if "pull_request" not in issue
        ]
        return Page(found, answer.next, answer.pages)

    def pull_requests(self, cursor: str) -> Page:
        answer = self._by_update(cursor, "pulls")
        return self._newest(answer, objects(answer.value), "updated_at", self._change)

    def _change(self, change: dict[str, Any]) -> Iterator[Delivery]:
        number = change.get("number")
        if self._scope.details:
            change = self._object(f"{self._at}/pulls/{number}") or change
            yield from self._push(change, list(self._lists.every(f"pulls/{number}/commits")))
            yield from self._readied(change)
        body = self._body(_action(change), change.get("user"), number=number, pull_request=change)
        yield event("pull_request", body)
        if self._scope.details:
            for review in self._lists.every(f"pulls/{number}/reviews"):
                if review.get("state") != "PENDING":
                    yield event(
                        "pull_request_review",
                        self._body(
                            *("submitted", review.get("user")), review=review, pull_request=change
                        ),
                    )

    def _push(self, change: dict[str, Any], commits: list[dict[str, Any]]) -> Iterator[Delivery]:
        """The change's commits as one push to its branch, so that lead time begins with the
        first."""
        made = [_commit(entry) for entry in commits[-_COMMITS:]]
        if made:
            branch = (change.get("head") or {}).get("ref", "")
            yield self._pushed(branch, Push("", made[-1], made), sender=change.get("user"))

    def _pushed(self, branch: str, push: Push, **more: Any) -> Delivery:
        """A push. The API has no pushes; the date of the newest commit is its earliest possible
        time."""
        listed = [
            {
                "id": commit.sha,
                "message": commit.message,
                "timestamp": commit.authored or commit.committed,
                # A merge brings commits that their own branch had before.
                "distinct": not push.before or commit is push.after,
            }
            for commit in push.commits
        ]
        body = {
            "ref": f"refs/heads/{branch}",
            "before": push.before,
            "after": push.after.sha,
            "commits": listed,
            "head_commit": listed[-1],
            "repository": {**self.repository, "pushed_at": push.after.committed},
            **more,
        }
        return event("push", body)

    def _readied(self, change: dict[str, Any]) -> Iterator[Delivery]:
        """The instants at which it left the draft state."""
        try:
            happened = list(self._lists.every(f"issues/{change.get('number')}/events"))
        except Forbidden:
            return
        open_again = {"state": "open", "draft": False, "merged": False}
        open_again |= dict.fromkeys(("merged_at", "closed_at", "merged_by", "merge_commit_sha"))
        for entry in happened:
            if entry.get("event") == "ready_for_review":
                then = {**change, **open_again, "updated_at": entry.get("created_at")}
                body = self._body(
                    *("ready_for_review", entry.get("actor")),
                    number=change.get("number"),
                    pull_request=then,
                )
                yield event("pull_request", body)

    def commits(self, _cursor: str) -> Page:
        """The default branch as pushes, in one page: a merge may bring commits of any page."""
        branch = str(self.repository.get("default_branch") or "")
        listed = self._lists.every("commits", sha=branch, since=self._scope.since)
        commits = [_commit(entry) for entry in listed]
        found = [self._pushed(branch, push) for push in pushes(commits)]
        return Page(found)

    def workflow_runs(self, cursor: str) -> Page:
        answer = self._lists.page(cursor, "actions/runs")
        return self._newest(
            answer, objects((answer.value or {}).get("workflow_runs")), "created_at", self._run
        )

    def _run(self, run: dict[str, Any]) -> Iterator[Delivery]:
        latest = run.get("run_attempt")
        earlier = range(1, latest) if isinstance(latest, int) and self._scope.details else ()
        for attempt in earlier:
            try:
                former = self._object(f"{self._at}/actions/runs/{run['id']}/attempts/{attempt}")
            except Forbidden:
                continue  # GitHub forgets attempts before their run
            if former:
                yield self._run_event(former)
        yield self._run_event(run)
        if self._scope.details:
            for job in self._lists.every(f"actions/runs/{run['id']}/jobs?filter=all", "jobs"):
                sender = run.get("triggering_actor") or run.get("actor")
                action = _RUN_ACTIONS.get(str(job.get("status")), str(job.get("status")))
                yield event("workflow_job", self._body(action, sender, workflow_job=job))

    def _run_event(self, run: dict[str, Any]) -> Delivery:
        action = _RUN_ACTIONS.get(str(run.get("status")), "requested")
        sender = run.get("triggering_actor") or run.get("actor")
        workflow = self._workflow(run.get("workflow_id"))
        return event(
            "workflow_run", self._body(action, sender, workflow_run=run, workflow=workflow)
        )

    def _workflow(self, identifier: Any) -> dict[str, Any]:
        """The workflow of a run. Its name is the pipeline's; the run's own name may be a title."""
        if self._workflows is None:
            listed = self._lists.every("actions/workflows", "workflows")
            self._workflows = {workflow.get("id", 0): workflow for workflow in listed}
        return self._workflows.get(identifier, {})

    def deployments(self, cursor: str) -> Page:
        answer = self._lists.page(cursor, "deployments")
        return self._newest(answer, objects(answer.value), "created_at", self._deployment)

    def _deployment(self, deployment: dict[str, Any]) -> Iterator[Delivery]:
        creator = deployment.get("creator")
        yield event("deployment", self._body("created", creator, deployment=deployment))
        statuses = list(self._lists.every(f"deployments/{deployment.get('id')}/statuses"))
        for status in reversed(statuses):  # the API lists the newest first
            body = self._body("created", creator, deployment=deployment, deployment_status=status)
            yield event("deployment_status", body)

    def releases(self, cursor: str) -> Page:
        answer = self._lists.page(cursor, "releases")
        found = [
            event("release", self._body("published", release.get("author"), release=release))
            for release in objects(answer.value)
            if release.get("published_at") and self._is_recent(release, "published_at")
        ]
        return Page(found, answer.next, answer.pages)


def _action(entry: dict[str, Any]) -> str:
    return "closed" if entry.get("state") == "closed" else "edited"


def _commit(entry: dict[str, Any]) -> Commit:
    commit = entry.get("commit") or {}
    return Commit(
        sha=str(entry.get("sha") or ""),
        parents=[str(parent.get("sha")) for parent in objects(entry.get("parents"))],
        message=str(commit.get("message") or ""),
        authored=(commit.get("author") or {}).get("date"),
        committed=(commit.get("committer") or {}).get("date"),
    )
