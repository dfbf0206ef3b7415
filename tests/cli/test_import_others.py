"""`vs-tui import gitlab` and `jira`."""

from __future__ import annotations

import asyncio
import os
import pty

import pytest
from aiohttp import web

from tests.cli.fake_api import FakeApi, Pages, limited
from tests.cli.shell import deliveries, one

HEAD, MERGE = "1" * 40, "e" * 40
PROJECT = "/projects/acme%2Fshop"
ANN = {"id": 1, "username": "ann", "name": "Ann"}
BOB = {"id": 2, "username": "bob", "name": "Bob"}


def at(clock):
    return f"2026-03-02T{clock}.000Z"


def gitlab_routes():
    job = {
        "id": 900,
        "name": "unit",
        "stage": "test",
        "status": "success",
        "created_at": at("10:30:00"),
        "started_at": at("10:30:20"),
        "finished_at": at("10:35:00"),
        "duration": 280.0,
        "queued_duration": 5.0,
        "allow_failure": False,
        "user": BOB,
        "commit": {"id": HEAD, "message": "Cache the cart"},
    }
    pipeline = {
        "id": 555,
        "iid": 7,
        "project_id": 3,
        "sha": HEAD,
        "ref": "4-cart",
        "status": "success",
        "source": "push",
        "created_at": at("10:30:00"),
        "updated_at": at("10:35:01"),
        "web_url": "https://gitlab.example/acme/shop/-/pipelines/555",
    }
    change = {
        "id": 77,
        "iid": 34,
        "title": "Cache the cart",
        "description": "Closes #4",
        "state": "merged",
        "created_at": at("10:00:00"),
        "updated_at": at("11:30:05"),
        "merged_at": at("11:30:00"),
        "closed_at": None,
        "author": BOB,
        "merge_user": ANN,
        "assignees": [BOB],
        "reviewers": [ANN],
        "labels": ["perf"],
        "draft": False,
        "source_branch": "4-cart",
        "target_branch": "main",
        "sha": HEAD,
        "merge_commit_sha": MERGE,
        "web_url": "https://gitlab.example/acme/shop/-/merge_requests/34",
    }
    issue = {
        "id": 301,
        "iid": 4,
        "title": "The cart is slow",
        "description": "",
        "state": "closed",
        "issue_type": "issue",
        "created_at": at("09:00:00"),
        "updated_at": at("12:00:00"),
        "closed_at": at("11:31:00"),
        "author": ANN,
        "assignees": [BOB],
        "labels": ["bug"],
        "web_url": "https://gitlab.example/acme/shop/-/issues/4",
    }
    incident = {
        **issue,
        "id": 302,
        "iid": 5,
        "title": "Checkout is down",
        "state": "opened",
        "closed_at": None,
        "issue_type": "incident",
    }
    deployment = {
        "id": 15,
        "iid": 2,
        "ref": "main",
        "sha": MERGE,
        "status": "failed",
        "created_at": at("11:40:00"),
        "updated_at": at("13:00:00"),
        "user": ANN,
        "environment": {"id": 8, "name": "live", "external_url": "https://shop.example"},
        "deployable": {
            "id": 901,
            "started_at": at("11:40:10"),
            "finished_at": at("11:44:00"),
            "web_url": "https://gitlab.example/acme/shop/-/jobs/901",
            "commit": {"id": MERGE, "title": "Merge branch '4-cart'"},
        },
    }
    return {
        PROJECT: {
            "id": 3,
            "name": "Shop",
            "path_with_namespace": "acme/shop",
            "web_url": "https://gitlab.example/acme/shop",
            "default_branch": "main",
            "namespace": {"name": "Acme"},
        },
        f"{PROJECT}/issues": Pages([issue], [incident]),
        f"{PROJECT}/merge_requests": [change],
        f"{PROJECT}/merge_requests/34/commits": [
            {"id": HEAD, "message": "Cache the cart", "committed_date": at("09:50:00")},
            {"id": "2" * 40, "message": "Start", "committed_date": at("09:10:00")},
        ],
        f"{PROJECT}/pipelines": [pipeline],
        f"{PROJECT}/pipelines/555": {
            **pipeline,
            "user": BOB,
            "finished_at": at("10:35:01"),
            "duration": 281,
            "queued_duration": 5,
        },
        f"{PROJECT}/pipelines/555/jobs": [job],
        f"{PROJECT}/deployments": [deployment],
        f"{PROJECT}/environments": [{"id": 8, "name": "live", "tier": "production"}],
        f"{PROJECT}/releases": [
            {
                "tag_name": "v2",
                "name": "Two",
                "released_at": at("11:45:00"),
                "commit": {"id": MERGE},
                "_links": {"self": "https://gitlab.example/acme/shop/-/releases/v2"},
            },
            {"tag_name": "v1", "name": "One", "released_at": "2020-01-01T00:00:00Z"},
        ],
    }


TODO, DOING, DONE = (
    {"id": number, "name": name, "statusCategory": {"key": category}}
    for number, name, category in (
        ("1", "Zu erledigen", "new"),
        ("3", "In Arbeit", "indeterminate"),
        ("5", "Fertig", "done"),
    )
)


def moved(clock, before, after, number):
    return {
        "id": number,
        "created": f"2026-03-02T{clock}.000+0000",
        "author": {"displayName": "Cid"},
        "items": [
            {"field": "assignee", "fieldId": "assignee", "fromString": None, "toString": "Bob"},
            {
                "field": "status",
                "fieldId": "status",
                "from": before["id"],
                "fromString": before["name"],
                "to": after["id"],
                "toString": after["name"],
            },
        ],
    }


HISTORY = [
    moved("12:00:00", DOING, DONE, "103"),
    moved("10:00:00", TODO, DOING, "101"),
    {"id": "104", "created": "2026-03-02T12:05:00.000+0000", "items": [{"field": "labels"}]},
]
SPRINT = {
    "id": 12,
    "state": "closed",
    "name": "Sprint 12",
    "startDate": "2026-03-01T08:00:00.000Z",
    "endDate": "2026-03-08T08:00:00.000Z",
    "completeDate": "2026-03-08T09:00:00.000Z",
    "originBoardId": 2,
}


def jira_issue(histories=HISTORY, total=None):
    return {
        "id": "10002",
        "key": "TP-3",
        "self": "https://acme.atlassian.net/rest/api/2/issue/10002",
        "fields": {
            "summary": "Invoices are slow",
            "status": DONE,
            "project": {"key": "TP"},
            "issuetype": {"name": "Story", "subtask": False},
            "resolution": {"name": "Done"},
            "resolutiondate": "2026-03-02T12:00:00.000+0000",
            "created": "2026-03-02T09:00:00.000+0000",
            "updated": "2026-03-02T12:05:00.000+0000",
            "assignee": {"displayName": "Bob"},
            "labels": ["perf"],
        },
        "changelog": {"total": len(histories) if total is None else total, "histories": histories},
    }


def jira_routes():
    def search(request):
        if request.query.get("nextPageToken") == "more":
            return web.json_response({"issues": []})
        return web.json_response({"issues": [jira_issue()], "nextPageToken": "more"})

    def boards(request):
        return web.json_response({"values": [{"id": 2}, {"id": 9}], "isLast": True})

    return {
        "/rest/api/2/status": [TODO, DOING, DONE],
        "/rest/api/2/search/jql": search,
        "/rest/agile/1.0/board": boards,
        "/rest/agile/1.0/board/2/sprint": {"values": [SPRINT], "isLast": True},
        "/rest/agile/1.0/board/9/sprint": lambda _: limited(400),
    }


@pytest.fixture
async def serve(aiohttp_server):
    async def start(routes):
        fake = FakeApi(routes)
        running = await aiohttp_server(fake.app())
        fake.url = str(running.make_url("/")).rstrip("/")
        return fake

    return start


async def run_import(shell, *arguments, **env):
    tokens = {"GITLAB_TOKEN": "gl-token", "JIRA_TOKEN": "jira-token", **env}
    words = ("import", *arguments, "--since", "2026-01-01")
    done = await asyncio.to_thread(shell.here, *words, **tokens)
    return done.returncode, done.stdout, done.stderr


async def test_gitlab_history_reads_like_webhooks(server, shell, serve):
    api = await serve(gitlab_routes())
    code, _, err = await run_import(shell, "gitlab", "acme/shop", "--url", api.url)

    assert code == 0, err
    assert {d["verdict"] for d in deliveries(server)} == {"accepted"}
    spans = server.spans()
    issue = one(spans, operation="issue")
    assert (issue["status"], issue["ended_at"]) == ("ok", "2026-03-02T11:31:00Z")
    assert (issue["actor"], issue["attributes"]["vs.issue.labels"]) == ("ann", "bug")
    assert one(spans, operation="incident")["status"] == "in_flight"
    change = one(spans, operation="pull_request")
    assert change["parent_span_id"] == issue["span_id"]
    assert (change["status"], change["ended_at"]) == ("ok", "2026-03-02T11:30:00Z")
    assert (change["actor"], change["attributes"]["vs.pr.merged_by"]) == ("bob", "ann")
    push = one(spans, operation="push")
    assert push["parent_span_id"] == change["span_id"]
    assert push["attributes"]["vs.commit.first_at"] == "2026-03-02T09:10:00Z"
    pipeline = one(spans, operation="pipeline")
    assert (pipeline["status"], pipeline["duration_s"]) == ("ok", 301.0)
    assert pipeline["trace_id"] == change["trace_id"]
    assert one(spans, operation="build")["parent_span_id"] == pipeline["span_id"]
    deploy = one(spans, operation="deploy")
    assert (deploy["status"], deploy["environment"]) == ("error", "live")
    assert (deploy["started_at"], deploy["ended_at"]) == (
        "2026-03-02T11:40:10Z",
        "2026-03-02T11:44:00Z",
    )
    assert deploy["attributes"]["vs.environment.tier"] == "production"
    assert deploy["trace_id"] == change["trace_id"]
    assert one(spans, operation="release")["name"] == "Two"
    assert {request.headers["PRIVATE-TOKEN"] for request in api.requests} == {"gl-token"}


async def test_jira_history_has_the_columns_and_their_times(server, shell, serve):
    api = await serve(jira_routes())
    arguments = ("jira", "tp", "--url", api.url, "--user", "ana@acme.example")
    code, _, err = await run_import(shell, *arguments)

    assert code == 0, err
    spans = server.spans()
    issue = one(spans, span_id="vstrace-jira-issue-TP-3")
    assert (issue["status"], issue["started_at"], issue["ended_at"]) == (
        "ok",
        "2026-03-02T09:00:00Z",
        "2026-03-02T12:00:00Z",
    )
    stages = {s["name"]: s for s in spans if s["parent_span_id"] == issue["span_id"]}
    times = {name: (s["started_at"][11:16], s["ended_at"][11:16]) for name, s in stages.items()}
    assert times == {"Zu erledigen": ("09:00", "10:00"), "In Arbeit": ("10:00", "12:00")}
    sprint = one(spans, operation="sprint")
    assert (sprint["status"], sprint["ended_at"]) == ("ok", "2026-03-08T09:00:00Z")
    assert sprint["attributes"]["vs.sprint.late"] is True
    assert {d["verdict"] for d in deliveries(server)} == {"accepted"}
    (proof,) = {request.headers["Authorization"] for request in api.requests}
    assert proof.startswith("Basic ")
    search = next(r for r in api.requests if r.path.endswith("/search/jql"))
    assert search.query["jql"] == 'project = "TP" AND updated >= "2025-12-31" ORDER BY updated DESC'


async def test_jira_data_center_is_searched_the_old_way(server, shell, serve):
    routes = jira_routes()
    del routes["/rest/api/2/search/jql"]

    def search(request):
        start = int(request.query["startAt"])
        issues = [jira_issue(), {**jira_issue(), "id": "10099", "key": "TP-4"}][start : start + 1]
        return web.json_response({"startAt": start, "total": 2, "issues": issues})

    routes["/rest/api/2/search"] = search
    api = await serve(routes)
    code, _, err = await run_import(shell, "jira", "TP", "--url", api.url, "--only", "issues")

    assert code == 0, err
    found = {s["span_id"] for s in server.spans() if s["operation"] == "issue"}
    assert found == {"vstrace-jira-issue-TP-3", "vstrace-jira-issue-TP-4"}
    assert {request.headers["Authorization"] for request in api.requests} == {"Bearer jira-token"}


async def test_a_long_changelog_is_read_to_its_end(server, shell, serve):
    routes = jira_routes()
    issue = jira_issue(histories=HISTORY[:1], total=3)
    routes["/rest/api/2/search/jql"] = lambda _: web.json_response({"issues": [issue]})

    def changelog(request):
        start = int(request.query["startAt"])
        return web.json_response({"values": HISTORY[start : start + 2], "isLast": start > 0})

    routes["/rest/api/2/issue/TP-3/changelog"] = changelog
    api = await serve(routes)
    code, _, err = await run_import(shell, "jira", "TP", "--url", api.url)

    assert code == 0, err
    stages = [s["name"] for s in server.spans() if s["operation"] == "stage"]
    assert sorted(stages) == ["In Arbeit", "Zu erledigen"]


async def test_a_terminal_shows_a_bar(server, shell, serve):
    api = await serve(gitlab_routes())
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *("vs-tui", "import", "gitlab", "acme/shop", "--url", api.url, "--only", "issues"),
        *("--since", "2026-01-01"),
        env=shell.environment({"GITLAB_TOKEN": "t", "COLUMNS": "100"}),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    await process.wait()
    seen = os.read(ours, 65_536).decode()
    os.close(ours)

    assert "1/2 pages, 1 deliveries" in seen
    assert "━━━━" in seen
    assert "\x1b[?25h" in seen, "the terminal has its cursor back"
    assert "\r" in seen
    assert seen.rstrip().endswith("acme/shop issues: 2 deliveries")
