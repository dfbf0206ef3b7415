"""The REST API of a host, which answers with a history of `flows` as an import reads it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from aiohttp import web

from tests.metrics.http.clock import at
from tests.metrics.http.flows import Feature, Team, clock
from tests.metrics.http.git import Git
from tests.metrics.http.gitlab import GitLab


class Recorded(Team):
    """A team whose host can be asked later."""

    def __init__(self, git: Git, seed: str) -> None:
        super().__init__(git, seed)
        self._committed: dict[str, int] = {}
        self._listed: dict[int, list[str]] = {}
        """Number of a pull request -> its commits when it was merged."""
        commit = git.commit

        def noted(*told: Any, **more: Any) -> str:
            name = commit(*told, **more)
            self._committed[name] = self.minute
            return name

        land = git.land

        def listed(number: int, *told: Any, **more: Any) -> None:
            new = self._not_merged(number)
            land(number, *told, **more)
            self._listed[number] = new

        git.commit, git.land = noted, listed  # type: ignore[method-assign]

    def land(self, feature: Feature, ways: Sequence[str]) -> None:
        if not feature.number:
            self.open(feature)
        git, base = self.git, self.head(feature.base)
        own = git.requests[feature.number]
        super().land(feature, ways)
        # GitLab rebases the branch itself.
        is_copied = len(git.parents[own["merge"]]) == 1 and "." in own["merge"]
        if is_copied and git.tool is GitLab:
            own["sha"] = own["merge"]
        self._listed[feature.number] = git.missing(own["sha"], [base])

    def commits_of(self, request: int) -> list[str]:
        """The oldest first."""
        return self._listed.get(request) or self._not_merged(request)

    def _not_merged(self, request: int) -> list[str]:
        own, heads = self.git.requests[request], self.git.heads
        return self.git.missing(heads[own["head"]], [heads[own["base"]]])

    def commits_on(self, branch: str) -> list[str]:
        """The newest first."""
        order = list(self.git.written)
        known = self.git.history_of([self.git.heads[branch]])
        return sorted(known, key=lambda n: (self._committed[n], order.index(n)), reverse=True)

    def moments(self, commit: str) -> tuple[str, str]:
        """When it was authored and when it was committed."""
        return at(self.git.written[commit][0]), at(clock(self._committed[commit]))

    def bodies(self, name: str) -> list[dict[str, Any]]:
        return [post.body for post in self.git.story.posts if name in post.body]


def github(team: Recorded) -> dict[str, Any]:
    """The routes of a `FakeApi`."""
    git, root = team.git, f"/repos/{team.git.name}"

    def commit(name: str) -> dict[str, Any]:
        authored, committed = team.moments(name)
        dates = {"author": {"date": authored}, "committer": {"date": committed}}
        parents = [{"sha": git.sha(parent)} for parent in git.parents[name]]
        return {"sha": git.sha(name), "parents": parents, "commit": {"message": name, **dates}}

    changes = {body["number"]: body["pull_request"] for body in team.bodies("pull_request")}
    told = team.bodies("deployment_status")
    deployments = {body["deployment"]["id"]: body["deployment"] for body in told}
    routes: dict[str, Any] = {
        root: git.own._repository() | {"default_branch": git.default},
        f"{root}/issues": [],
        f"{root}/pulls": _newest(changes.values(), "updated_at"),
        f"{root}/commits": _by_branch({b: [*map(commit, team.commits_on(b))] for b in git.heads}),
        f"{root}/branches": [{"name": branch} for branch in git.heads],
        f"{root}/actions/runs": {"workflow_runs": []},
        f"{root}/deployments": _newest(deployments.values(), "created_at"),
        f"{root}/releases": [],
    }
    for number, change in changes.items():
        routes |= {
            f"{root}/pulls/{number}": change,
            f"{root}/pulls/{number}/commits": [*map(commit, team.commits_of(number))],
            f"{root}/pulls/{number}/reviews": [],
            f"{root}/issues/{number}/events": [],
        }
    for key in deployments:
        own = [body["deployment_status"] for body in told if body["deployment"]["id"] == key]
        routes[f"{root}/deployments/{key}/statuses"] = own[::-1]
    return routes


def gitlab(team: Recorded) -> dict[str, Any]:
    """The same of GitLab."""
    git, root = team.git, f"/projects/{quote(team.git.name, safe='')}"
    web = f"https://gitlab.example.com/{git.name}"
    project = git.own._project()

    def commit(name: str) -> dict[str, Any]:
        authored, committed = team.moments(name)
        dates = {"authored_date": authored, "committed_date": committed}
        parents = [git.sha(parent) for parent in git.parents[name]]
        return {"id": git.sha(name), "parent_ids": parents, "message": name, **dates}

    changes: dict[int, dict[str, Any]] = {}
    for body in team.bodies("object_attributes"):
        told = body["object_attributes"]
        is_merged, own = told["state"] == "merged", git.requests[told["iid"]]
        names = ("id", "iid", "title", "description", "state", "created_at", "updated_at", "draft")
        by_merge = is_merged and len(git.parents[own["merge"]]) > 1
        changes[told["iid"]] = {name: told[name] for name in names} | {
            "source_branch": told["source_branch"],
            "target_branch": told["target_branch"],
            "source_project_id": project["id"],
            "target_project_id": project["id"],
            "merged_at": told["updated_at"] if is_merged else None,
            "author": body["user"],
            "sha": git.sha(own["sha"]),
            "merge_commit_sha": git.sha(own["merge"]) if by_merge else None,
            "squash_commit_sha": git.sha(own["merge"]) if "squash" in own["merge"] else None,
            "web_url": f"{web}/-/merge_requests/{told['iid']}",
        }
    deployments: dict[int, dict[str, Any]] = {}
    for body in team.bodies("deployment_id"):
        when = body["status_changed_at"]
        found = deployments.setdefault(body["deployment_id"], {"created_at": when})
        found |= {
            "id": body["deployment_id"],
            "ref": body["ref"],
            "sha": body["commit_url"].rpartition("/")[2],
            "status": body["status"],
            "updated_at": when,
            "environment": {"id": 8, "name": "production", "tier": body["environment_tier"]},
            "deployable": {"id": body["deployable_id"], "started_at": found["created_at"]}
            | {"finished_at": when},
        }
    routes: dict[str, Any] = {
        root: {"id": project["id"], "path_with_namespace": git.name, "web_url": web}
        | {"name": project["name"], "default_branch": git.default, "namespace": {"name": "Acme"}},
        f"{root}/issues": [],
        f"{root}/merge_requests": _newest(changes.values(), "updated_at"),
        f"{root}/repository/commits": _by_branch(
            {b: [*map(commit, team.commits_on(b))] for b in git.heads}
        ),
        f"{root}/repository/branches": [{"name": branch} for branch in git.heads],
        f"{root}/pipelines": [],
        f"{root}/deployments": _newest(deployments.values(), "updated_at"),
        f"{root}/environments": [],
        f"{root}/releases": [],
    }
    for number in changes:
        newest_first = team.commits_of(number)[::-1]
        routes[f"{root}/merge_requests/{number}/commits"] = [*map(commit, newest_first)]
        routes[f"{root}/merge_requests/{number}/notes"] = []
    return routes


def _by_branch(commits: dict[str, list[dict[str, Any]]]) -> Callable[[web.Request], web.Response]:
    def answer(request: web.Request) -> web.Response:
        branch = request.query.get("sha") or request.query["ref_name"]
        # Branches of features are deleted after their merge.
        if branch.startswith("feature/") or branch not in commits:
            return web.json_response({"message": "Not Found"}, status=404)
        return web.json_response(commits[branch])

    return answer


def _newest(listed: Any, by: str) -> list[dict[str, Any]]:
    return sorted(listed, key=lambda entry: entry[by], reverse=True)
