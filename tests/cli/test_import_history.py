"""What an import tells the metrics: authored commits, drafts, approvals, the default branch."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.cli.fake_api import FakeApi
from tests.cli.shell import one
from vs_tui.cli.importing import Forbidden
from vs_tui.cli.importing.commits import Branches, Commit

ANN = {"id": 1, "login": "ann", "username": "ann", "name": "Ann"}
BOB = {"id": 2, "login": "bob", "username": "bob", "name": "Bob"}


def at(day: int, clock: str) -> str:
    return f"2026-03-{day:02}T{clock}:00Z"


def sha(letter: str) -> str:
    return letter * 40


def commit(name: str, *parents: str, committed: str = "") -> Commit:
    return Commit(name, parents, name, None, committed or f"2026-03-02T00:00:0{name[-1]}Z")


def brought(listed: list[Commit]) -> list[tuple[str, str, list[str]]]:
    found = Branches("main", ()).pushes(lambda _: listed)
    return [(p.before, p.after.sha, [c.sha for c in p.commits]) for _, p in found]


def test_a_straight_line_is_a_push_for_each_commit() -> None:
    listed = [commit("c3", "c2"), commit("c2", "c1"), commit("c1", "c0")]
    assert brought(listed) == [("c0", "c1", ["c1"]), ("c1", "c2", ["c2"]), ("c2", "c3", ["c3"])]


def test_a_merge_brings_the_commits_of_its_branch() -> None:
    """c1 - c2 ----- c5 - c6, with c3 and c4 on a branch from c1."""
    listed = [
        commit("c6", "c5"),
        commit("c5", "c2", "c4"),
        commit("c4", "c3"),
        commit("c3", "c1"),
        commit("c2", "c1"),
        commit("c1"),
    ]
    assert brought(listed) == [
        ("0" * 40, "c1", ["c1"]),
        ("c1", "c2", ["c2"]),
        ("c2", "c5", ["c3", "c4", "c5"]),
        ("c5", "c6", ["c6"]),
    ]


def test_a_merge_of_a_merge_brings_each_commit_once() -> None:
    """Main was merged into the branch before the branch was merged into main."""
    listed = [
        commit("c5", "c2", "c4"),
        commit("c4", "c3", "c2"),
        commit("c3", "c1"),
        commit("c2", "c1"),
        commit("c1"),
    ]
    assert [names for _, _, names in brought(listed)] == [["c1"], ["c2"], ["c3", "c4", "c5"]]


def test_commits_that_were_rebased_together_are_one_push() -> None:
    """c2 and c3 were written in one second; a merge of that second is another push."""
    then = "2026-03-02T00:00:09Z"
    listed = [
        commit("c5", "c4"),
        commit("c4", "c3", "c0", committed=then),
        commit("c3", "c2", committed=then),
        commit("c2", "c1", committed=then),
        commit("c1"),
    ]
    assert brought(listed)[1:] == [
        ("c1", "c3", ["c2", "c3"]),
        ("c3", "c4", ["c4"]),
        ("c4", "c5", ["c5"]),
    ]


def test_a_fast_forward_brings_the_commits_of_its_pull_request_when_it_is_merged() -> None:
    listed = [commit("c4", "c3"), commit("c3", "c2"), commit("c2", "c1"), commit("c1")]
    branches = Branches("main", ["main"])
    ((_, told),) = branches.merge("main", listed[2:0:-1], "2026-03-02T00:00:09Z", 7, "c3")
    assert (told.before, [c.sha for c in told.commits]) == ("c1", ["c2", "c3"])
    found = [(p.after.sha, p.at, len(p.commits)) for _, p in branches.pushes(lambda _: listed)]
    written = "2026-03-02T00:00:0{}Z".format
    assert found == [("c1", written(1), 1), ("c3", written(9), 2), ("c4", written(4), 1)]


def test_another_branch_begins_where_it_leaves_the_default_branch() -> None:
    """c1 - c2 - c5 on main; c3 and the merge c6 of main on develop, cut at c1."""
    listed = {
        "main": [commit("c5", "c2"), commit("c2", "c1"), commit("c1")],
        "develop": [
            commit("c6", "c3", "c5"),
            commit("c5", "c2"),
            commit("c3", "c1"),
            commit("c2", "c1"),
            commit("c1"),
        ],
    }
    found = [*Branches("main", ["develop", "main"]).pushes(lambda branch: listed[branch])]
    own = [(p.before, [c.sha for c in p.commits]) for branch, p in found if branch == "develop"]
    assert own == [("c1", ["c3"]), ("c3", ["c2", "c5", "c6"])]


def test_a_branch_that_is_moved_on_to_its_own_merge_keeps_its_line() -> None:
    """c1 - c2 - c3, a pull request's merge, on main; c4 and the merge c5 of main on develop, to
    which main is moved on."""
    listed = [
        commit("c5", "c4", "c3"),
        commit("c4", "c1"),
        commit("c3", "c2"),
        commit("c2", "c1"),
        commit("c1"),
    ]
    branches = Branches("main", [])
    assert not [*branches.merge("main", [], "2026-03-02T00:00:03Z", 7, "c3")]
    found = [(p.before, [c.sha for c in p.commits]) for _, p in branches.pushes(lambda _: listed)]
    assert found == [
        ("0" * 40, ["c1"]),
        ("c1", ["c2"]),
        ("c2", ["c3"]),
        ("c3", ["c4", "c5"]),
    ]


def test_of_a_deleted_branch_the_commits_of_its_pull_request_are_known() -> None:
    def listed(branch: str) -> list[Commit]:
        if branch != "main":
            raise Forbidden
        return [commit("c1")]

    branches = Branches("main", ["release/1"])
    made = [commit("c2", "c1"), commit("c3", "c2")]
    assert not [*branches.push("release/1", made)]
    found = [(branch, p.after.sha) for branch, p in branches.pushes(listed)]
    assert found == [("main", "c1"), ("release/1", "c2"), ("release/1", "c3")]


def test_of_no_commits_there_is_no_push() -> None:
    assert brought([]) == []


def github_routes() -> dict[str, Any]:
    """A draft of five days, rebased before its merge; then a commit on main; then a deploy."""
    repository = {
        "id": 77,
        "name": "hist",
        "full_name": "acme/hist",
        "owner": {"login": "acme"},
        "html_url": "https://github.com/acme/hist",
        "default_branch": "main",
    }
    change = {
        "id": 5,
        "number": 1,
        "title": "Faster cart",
        "user": BOB,
        "state": "closed",
        "draft": False,
        "merged": True,
        "merge_commit_sha": sha("c"),
        "head": {"ref": "cart", "sha": sha("a"), "repo": repository},
        "base": {"ref": "main", "sha": sha("0"), "repo": repository},
        "created_at": at(2, "10:00"),
        "updated_at": at(7, "12:00"),
        "merged_at": at(7, "12:00"),
        "closed_at": at(7, "12:00"),
    }

    def listed(name: str, authored: str, committed: str, *parents: str) -> dict[str, Any]:
        return {
            "sha": sha(name),
            "parents": [{"sha": sha(parent)} for parent in parents],
            "commit": {
                "message": f"commit {name}",
                "author": {"date": authored},
                "committer": {"date": committed},
            },
        }

    branch = listed("a", at(2, "08:00"), at(7, "11:00"), "b")
    at_repo = "/repos/acme/hist"
    deployment = {
        "id": 9,
        "sha": sha("d"),
        "ref": "main",
        "task": "deploy",
        "environment": "production",
        "creator": ANN,
        "created_at": at(7, "13:50"),
        "updated_at": at(7, "14:00"),
    }
    status = {"id": 3, "state": "success", "environment": "production", "creator": ANN}
    return {
        at_repo: repository,
        f"{at_repo}/issues": [],
        f"{at_repo}/issues/1/events": [
            {"event": "labeled", "created_at": at(2, "10:01"), "actor": BOB},
            {"event": "ready_for_review", "created_at": at(7, "09:00"), "actor": BOB},
        ],
        f"{at_repo}/pulls": [change],
        f"{at_repo}/pulls/1": change,
        f"{at_repo}/pulls/1/commits": [branch],
        f"{at_repo}/pulls/1/reviews": [
            {
                "id": 4,
                "user": ANN,
                "state": "APPROVED",
                "submitted_at": at(7, "10:00"),
                "commit_id": sha("a"),
            }
        ],
        f"{at_repo}/commits": [
            listed("d", at(7, "12:30"), at(7, "12:30"), "c"),
            listed("c", at(7, "12:00"), at(7, "12:00"), "b", "a"),
            branch,
            listed("b", at(1, "08:00"), at(1, "08:00"), "0"),
        ],
        f"{at_repo}/actions/runs": {"workflow_runs": []},
        f"{at_repo}/deployments": [deployment],
        f"{at_repo}/deployments/9/statuses": [
            {**status, "created_at": at(7, "14:00"), "updated_at": at(7, "14:00")}
        ],
        f"{at_repo}/releases": [],
    }


def gitlab_routes() -> dict[str, Any]:
    """The same history on GitLab."""
    project = "/projects/acme%2Fhist"
    web = "https://gitlab.example/acme/hist"
    change = {
        "id": 5,
        "iid": 1,
        "title": "Faster cart",
        "state": "merged",
        "created_at": at(2, "10:00"),
        "updated_at": at(7, "12:00"),
        "merged_at": at(7, "12:00"),
        "author": BOB,
        "merge_user": ANN,
        "draft": False,
        "source_branch": "cart",
        "target_branch": "main",
        "sha": sha("a"),
        "merge_commit_sha": sha("c"),
        "web_url": f"{web}/-/merge_requests/1",
    }

    def listed(name: str, authored: str, committed: str, *parents: str) -> dict[str, Any]:
        return {
            "id": sha(name),
            "parent_ids": [sha(parent) for parent in parents],
            "message": f"commit {name}",
            "authored_date": authored,
            "committed_date": committed,
        }

    branch = listed("a", at(2, "08:00"), at(7, "11:00"), "b")
    ready = {"system": True, "body": "marked this merge request as **ready**", "author": BOB}
    approved = {"system": True, "body": "approved this merge request", "author": ANN}
    said = {"system": False, "body": "approved this merge request!", "author": BOB}
    return {
        project: {
            "id": 78,
            "name": "hist",
            "path_with_namespace": "acme/hist",
            "web_url": web,
            "default_branch": "main",
            "namespace": {"name": "Acme"},
        },
        f"{project}/issues": [],
        f"{project}/merge_requests": [change],
        f"{project}/merge_requests/1/commits": [branch],
        f"{project}/merge_requests/1/notes": [
            {**approved, "created_at": at(7, "10:00")},
            {**said, "created_at": at(7, "09:30")},
            {**ready, "created_at": at(7, "09:00")},
        ],
        f"{project}/repository/commits": [
            listed("d", at(7, "12:30"), at(7, "12:30"), "c"),
            listed("c", at(7, "12:00"), at(7, "12:00"), "b", "a"),
            branch,
            listed("b", at(1, "08:00"), at(1, "08:00"), "0"),
        ],
        f"{project}/pipelines": [],
        f"{project}/deployments": [
            {
                "id": 9,
                "ref": "main",
                "sha": sha("d"),
                "status": "success",
                "created_at": at(7, "13:50"),
                "updated_at": at(7, "14:00"),
                "user": ANN,
                "environment": {"id": 8, "name": "production", "tier": "production"},
                "deployable": {
                    "id": 901,
                    "started_at": at(7, "13:50"),
                    "finished_at": at(7, "14:00"),
                },
            }
        ],
        f"{project}/releases": [],
        f"{project}/environments": [],
    }


ROUTES = {"github": github_routes, "gitlab": gitlab_routes}


@pytest.fixture(params=ROUTES)
async def imported(request, aiohttp_server, server, shell):
    """The receiver after an import, and the API that was asked."""
    fake = FakeApi(ROUTES[request.param]())
    running = await aiohttp_server(fake.app())
    url = str(running.make_url("/")).rstrip("/")
    words = ("import", request.param, "acme/hist", "--url", url, "--since", "2026-02-01")
    done = await asyncio.to_thread(shell.here, *words, **{f"{request.param.upper()}_TOKEN": "t"})
    assert done.returncode == 0, done.stderr
    return server, fake


async def test_an_import_tells_who_made_what_when(imported) -> None:
    server, fake = imported
    spans = server.spans()
    change = one(spans, operation="pull_request")
    assert (change["status"], change["ended_at"]) == ("ok", at(7, "12:00"))
    assert change["attributes"]["vcs.ref.base.name"] == "main"
    assert change["attributes"]["vs.pr.merge_commit"] == sha("c")
    pushed = {
        (span["attributes"]["vcs.ref.head.name"], span["attributes"]["vcs.ref.head.revision"]): span
        for span in spans
        if span["operation"] == "push"
    }
    own = pushed["cart", sha("a")]
    assert own["attributes"]["vs.commit.first_at"] == at(2, "08:00")
    assert own["ended_at"] == at(7, "11:00")
    on_main = {name for branch, name in pushed if branch == "main"}
    assert on_main == {sha("b"), sha("c"), sha("d")}
    merge = pushed["main", sha("c")]
    assert merge["attributes"]["vcs.ref.base.revision"] == sha("b")
    brought_in = [entry[0] for entry in json.loads(merge["attributes"]["vs.push.log"])]
    assert brought_in == [sha("a"), sha("c")]
    assert merge["ended_at"] == at(7, "12:00")
    review = one(spans, operation="review")
    assert (review["actor"], review["started_at"]) == ("ann", at(7, "10:00"))
    assert change["attributes"]["vs.pr.ready_at"] == at(7, "09:00")
    listings = [r for r in fake.requests if r.path.endswith(("/commits",)) and "since" in r.query]
    assert [r.query["since"] for r in listings] == ["2026-02-01T00:00:00Z"]


async def test_imported_history_gives_the_lead_times_of_webhooks(imported) -> None:
    """Before the deploy came a commit of six days ago, the pull request, and a commit after it."""
    server, _ = imported
    asked = "by=project&since=2026-03-01&until=2026-03-09&tz=UTC"
    status, answer = server.call(f"/api/dora?{asked}")
    assert status == 200
    (item,) = answer["items"]
    lead = item["metrics"]["change_lead_time"]
    assert (lead["n"], lead["p90"] / 3600, lead["value"] / 3600) == (3, 150, 126)


async def test_without_the_commits_of_branches_those_of_pull_requests_are_told(
    aiohttp_server, server, shell
) -> None:
    """Another one was merged into the branch, so its pushes would be read from the branch."""
    routes = github_routes()
    at_repo = "/repos/acme/hist"
    (change,) = routes[f"{at_repo}/pulls"]
    upper = {**change, "number": 2, "head": {**change["head"], "ref": "upper"}}
    upper |= {"base": change["head"], "merge_commit_sha": sha("f")}
    routes[f"{at_repo}/pulls"] = [change, upper]
    routes |= {
        path.replace("/1", "/2"): answer for path, answer in routes.items() if "s/1" in path
    } | {f"{at_repo}/pulls/2": upper}
    running = await aiohttp_server(FakeApi(routes).app())
    url = str(running.make_url("/")).rstrip("/")
    words = ("import", "github", "acme/hist", "--url", url, "--since", "2026-02-01")
    only = ("--only", "pull_requests")
    done = await asyncio.to_thread(shell.here, *words, *only, GITHUB_TOKEN="t")
    assert done.returncode == 0, done.stderr
    pushed = [span["attributes"] for span in server.spans() if span["operation"] == "push"]
    assert "cart" in {told["vcs.ref.head.name"] for told in pushed}
