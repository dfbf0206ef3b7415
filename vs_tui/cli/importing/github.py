"""GitHub's REST API (v3) as webhooks: issues, pull requests, commits of branches,
workflow runs, deployments, releases.

https://docs.github.com/rest: the API lists the same objects that webhooks carry, so an event is
such an object, its repository and the action that happened last.
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
    objects,
)
from vs_tui.cli.importing.commits import Branches, Commit, Push

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

    @cached_property
    def _branches(self) -> Branches:
        default = str(self.repository.get("default_branch") or "")
        if not self._reads_commits:
            return Branches(default, ())
        newest = {"state": "closed", "sort": "updated", "direction": "desc"}
        changes = list(self._recent("pulls", "updated_at", **newest))
        bases = [
            (change.get("base") or {}).get("ref") for change in changes if change.get("merged_at")
        ]
        heads = [(change.get("head") or {}).get("ref") for change in changes]
        refs = {deploy.get("ref"): None for deploy in self._recent("deployments", "created_at")}
        deployed = self._existing("branches", refs, {default, *bases, *heads})
        return Branches(default, [*bases, *deployed])

    def _body(self, action: str, sender: Any = None, **fields: Any) -> dict[str, Any]:
        body = {"action": action, **fields, "repository": self.repository}
        return {**body, "sender": sender} if isinstance(sender, dict) else body

    def _by_update(self, cursor: str, path: str, **query: object) -> Answer:
        return self._list(cursor, path, state="all", sort="updated", direction="desc", **query)

    # A closed object is delivered as its closing, an open one as an edit: an edit's instant is
    # its last change, so that it also undoes an end whose reopening was never received.

    def issues(self, cursor: str) -> Page:
        answer = self._by_update(cursor, "issues", since=self._scope.since)
        return self._page(answer, self._issue)

    def _issue(self, issue: dict[str, Any]) -> Iterator[Delivery]:
        if "pull_request" not in issue:
            yield event("issues", self._body(_action(issue), issue.get("user"), issue=issue))

    def pull_requests(self, cursor: str) -> Page:
        answer = self._by_update(cursor, "pulls")
        return self._page(answer, self._change, newest_by="updated_at")

    def _change(self, change: dict[str, Any]) -> Iterator[Delivery]:
        number = change.get("number")
        if self._scope.details:
            change = self._object(f"{self._at}/pulls/{number}") or change
            yield from self._push(change, list(self._every(f"pulls/{number}/commits")))
            yield from self._readied(change)
        body = self._body(_action(change), change.get("user"), number=number, pull_request=change)
        yield event("pull_request", body)
        if self._scope.details:
            for review in self._every(f"pulls/{number}/reviews"):
                if review.get("state") != "PENDING":
                    more = {"review": review, "pull_request": change}
                    body = self._body("submitted", review.get("user"), **more)
                    yield event("pull_request_review", body)

    def _push(self, change: dict[str, Any], commits: list[dict[str, Any]]) -> Iterator[Delivery]:
        """The change's commits as one push to its branch, so that lead time begins with the
        first."""
        made = [_commit(entry) for entry in commits[-_COMMITS:]]
        base, head = (change.get(name) or {} for name in ("base", "head"))
        own = (change.get("merged_at"), change.get("number"), change.get("merge_commit_sha"))
        for found in self._branches.merge(base.get("ref"), made, *own):
            yield self._pushed(*found)
        if _home(head) == _home(base):  # pushes to a fork are of the fork
            for branch, push in self._branches.push(str(head.get("ref") or ""), made):
                yield self._pushed(branch, push, sender=change.get("user"))

    def _pushed(self, branch: str, push: Push, **more: Any) -> Delivery:
        """A push, which the API does not have."""
        listed = [
            {
                "id": commit.sha,
                "message": commit.message,
                "timestamp": commit.authored or commit.committed,
                # A merge brings commits that their own branch had before.
                "distinct": branch not in self._branches.names or commit is push.after,
            }
            for commit in push.commits
        ]
        body = {
            "ref": f"refs/heads/{branch}",
            "before": push.before,
            "after": push.after.sha,
            "commits": listed,
            "head_commit": listed[-1],
            "repository": {**self.repository, "pushed_at": push.at},
            **more,
        }
        return event("push", body)

    def _readied(self, change: dict[str, Any]) -> Iterator[Delivery]:
        """The instants at which it left the draft state."""
        try:
            happened = list(self._every(f"issues/{change.get('number')}/events"))
        except Forbidden:
            return
        open_again = {"state": "open", "draft": False, "merged": False}
        open_again |= dict.fromkeys(("merged_at", "closed_at", "merged_by", "merge_commit_sha"))
        for entry in happened:
            if entry.get("event") == "ready_for_review":
                then = {**change, **open_again, "updated_at": entry.get("created_at")}
                more = {"number": change.get("number"), "pull_request": then}
                body = self._body("ready_for_review", entry.get("actor"), **more)
                yield event("pull_request", body)

    def commits(self, _cursor: str) -> Page:
        """The branches as pushes, in one page: a merge may bring commits of any page."""

        def listed(branch: str) -> Iterator[Commit]:
            return map(_commit, self._every("commits", sha=branch, since=self._scope.since))

        return Page([self._pushed(*found) for found in self._branches.pushes(listed)])

    def workflow_runs(self, cursor: str) -> Page:
        answer = self._list(cursor, "actions/runs")
        return self._page(answer, self._run, newest_by="created_at", key="workflow_runs")

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
            for job in self._every(f"actions/runs/{run['id']}/jobs?filter=all", "jobs"):
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
            listed = self._every("actions/workflows", "workflows")
            self._workflows = {workflow.get("id", 0): workflow for workflow in listed}
        return self._workflows.get(identifier, {})

    def deployments(self, cursor: str) -> Page:
        answer = self._list(cursor, "deployments")
        return self._page(answer, self._deployment, newest_by="created_at")

    def _deployment(self, deployment: dict[str, Any]) -> Iterator[Delivery]:
        creator = deployment.get("creator")
        yield event("deployment", self._body("created", creator, deployment=deployment))
        statuses = list(self._every(f"deployments/{deployment.get('id')}/statuses"))
        for status in reversed(statuses):  # the API lists the newest first
            body = self._body("created", creator, deployment=deployment, deployment_status=status)
            yield event("deployment_status", body)

    def releases(self, cursor: str) -> Page:
        return self._page(self._list(cursor, "releases"), self._release)

    def _release(self, release: dict[str, Any]) -> Iterator[Delivery]:
        if release.get("published_at") and self._is_recent(release, "published_at"):
            yield event("release", self._body("published", release.get("author"), release=release))


def _home(branch: dict[str, Any]) -> Any:
    """The repository of a branch; None if it was deleted."""
    return (branch.get("repo") or {}).get("id")


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
