"""`vs-tui import github`: what the API lists is what the webhooks would have told."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from types import SimpleNamespace

import pytest
from aiohttp import web

from tests.cli.fake_api import FakeApi, Pages, limited
from tests.cli.shell import deliveries, one
from tests.patience import PATIENCE
from tests.sources import github_payloads as gh
from vs_tui.cli import import_
from vs_tui.cli.main import main

REPO = "/repos/acme/api"


def commit(sha, message, clock):
    when = {"date": gh.stamp(clock), "name": "Bob"}
    return {"sha": sha, "commit": {"message": message, "author": when, "committer": when}}


def routes():
    open_issue = gh.issue("opened", number=13, title="Slow start")["issue"]
    closed = gh.issue("closed", state="closed", closed_at=gh.stamp("11:31:00"))["issue"]
    change = gh.merged()["pull_request"]
    listed = {name: change[name] for name in change if name not in ("merged", "additions")}
    run = gh.run("completed", "10:51:00", 2, run_started_at=gh.stamp("10:45:00"))["workflow_run"]
    first = gh.run("completed", "10:36:00", conclusion="failure")["workflow_run"]
    for entry in (run, first):
        entry["workflow_id"] = 9
    waited = gh.deploy_status("in_progress", "11:40:30")["deployment_status"]
    shipped = gh.deploy_status("success", "11:43:00")["deployment_status"]
    return {
        REPO: {**gh.repo(), "pushed_at": "2026-06-01T00:00:00Z"},
        f"{REPO}/issues": Pages(
            [closed, {**open_issue, "number": 34, "pull_request": {"url": "..."}}], [open_issue]
        ),
        f"{REPO}/pulls": Pages([listed]),
        f"{REPO}/pulls/34": change,
        f"{REPO}/pulls/34/commits": [
            commit(gh.HEAD_1, "start", "08:30:00"),
            commit(gh.HEAD_2, "finish", "10:20:00"),
        ],
        f"{REPO}/pulls/34/reviews": [gh.review()["review"]],
        f"{REPO}/commits": [commit(gh.MERGE, "Cache invoices (#34)", "11:30:00")],
        f"{REPO}/actions/runs": {"total_count": 1, "workflow_runs": [run]},
        f"{REPO}/actions/workflows": {"workflows": [{"id": 9, "name": "CI"}]},
        f"{REPO}/actions/runs/555/attempts/1": first,
        f"{REPO}/actions/runs/555/jobs": {"jobs": [gh.job("completed", attempt=2)["workflow_job"]]},
        f"{REPO}/deployments": [gh.deployment()],
        f"{REPO}/deployments/42/statuses": [shipped, waited],
        f"{REPO}/releases": [gh.release()["release"]],
    }


@pytest.fixture
async def api(aiohttp_server):
    """A running fake and its address."""
    fake = FakeApi(routes())
    running = await aiohttp_server(fake.app())
    fake.url = str(running.make_url("/")).rstrip("/")
    return fake


async def run_import(shell, api, *options, since="2026-01-01", **env):
    """(exit code, stdout, stderr) of an import."""
    words = words_of(api, *options, since=since)
    done = await asyncio.to_thread(shell.here, *words, **{"GITHUB_TOKEN": "gh-token", **env})
    return done.returncode, done.stdout, done.stderr


def words_of(api, *options, since="2026-01-01"):
    when = ("--since", since) if since else ()
    return ("import", "github", "acme/api", "--url", api.url, *when, *options)


async def start_import(shell, api):
    return await asyncio.create_subprocess_exec(
        "vs-tui",
        *words_of(api),
        env=shell.environment({"GITHUB_TOKEN": "gh-token"}),
        cwd=shell.work,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def test_history_reads_like_webhooks(server, shell, api):
    code, out, err = await run_import(shell, api)

    assert code == 0, err
    spans = server.spans()
    issue = one(spans, span_id="vstrace-github-issue-api-12")
    assert (issue["status"], issue["ended_at"]) == ("ok", "2026-03-02T11:31:00Z")
    assert one(spans, span_id="vstrace-github-issue-api-13")["status"] == "in_flight"
    change = one(spans, operation="pull_request")
    assert (change["status"], change["started_at"]) == ("ok", "2026-03-02T10:00:00Z")
    assert change["parent_span_id"] == issue["span_id"]
    assert change["attributes"]["vs.pr.additions"] == 120
    review = one(spans, operation="review")
    assert review["parent_span_id"] == change["span_id"]
    merge = one(spans, operation="push", name="Cache invoices (#34)")
    assert merge["attributes"]["vcs.ref.head.name"] == "main"
    push = one(spans, operation="push", name="finish")
    assert push["parent_span_id"] == change["span_id"]
    assert push["attributes"]["vs.commit.first_at"] == "2026-03-02T08:30:00Z"
    assert push["ended_at"] == "2026-03-02T10:20:00Z"
    attempts = {span["attempt"]: span for span in spans if span["operation"] == "pipeline"}
    assert attempts[1]["status"] == "error"
    assert (attempts[2]["status"], attempts[2]["name"]) == ("ok", "CI #163")
    assert attempts[2]["started_at"] == "2026-03-02T10:45:00Z"
    assert one(spans, operation="build")["parent_span_id"] == attempts[2]["span_id"]
    deploy = one(spans, operation="deploy")
    assert (deploy["environment"], deploy["status"]) == ("production", "ok")
    assert deploy["ended_at"] == "2026-03-02T11:43:00Z"
    assert deploy["trace_id"] == change["trace_id"]
    assert one(spans, operation="release")["name"] == "1.2.0"
    arrived = deliveries(server)
    assert {delivery["verdict"] for delivery in arrived} == {"accepted"}
    assert out == f"{len(arrived)} accepted\n"
    assert "acme/api issues: 2 deliveries" in err
    assert {request.headers["Authorization"] for request in api.requests} == {"Bearer gh-token"}


async def test_importing_again_stores_nothing_twice(server, shell, api):
    await run_import(shell, api)
    before = len(server.spans())
    code, out, _ = await run_import(shell, api, "--json")

    assert code == 0
    assert set(json.loads(out)) == {"duplicate", "skipped"}
    assert len(server.spans()) == before


async def test_without_since_an_import_begins_where_the_last_one_began(server, shell, api):
    began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    await run_import(shell, api, "--only", "issues")
    for _ in range(2):
        await run_import(shell, api, "--only", "issues", since="")

    first_pages = [r for r in api.requests if r.path == f"{REPO}/issues" and "page" not in r.query]
    first, second, third = (request.query["since"] for request in first_pages)
    assert first == "2026-01-01T00:00:00Z"
    assert began <= second <= third


async def test_a_killed_import_goes_on_where_it_stopped(server, shell, api):
    api.hold = "page=2"
    process = await start_import(shell, api)
    await asyncio.wait_for(api.held.wait(), PATIENCE)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    first = deliveries(server)
    assert len(first) == 1
    api.hold = ""
    api.released.set()
    api.requests.clear()
    code, _, err = await run_import(shell, api)

    assert code == 0, err
    lists = [request.query for request in api.requests if request.path == f"{REPO}/issues"]
    assert [query.get("page") for query in lists] == ["2"]
    assert {delivery["verdict"] for delivery in deliveries(server)} == {"accepted"}
    assert len([span for span in server.spans() if span["operation"] == "issue"]) == 2


async def test_rate_limits_are_waited_for(server, shell, api):
    reset = str(int(time.time()))
    api.troubles = {
        f"{REPO}/issues": [limited(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=reset)],
        f"{REPO}/releases": [limited(429, Retry_After="1"), limited(502)],
    }
    code, _, err = await run_import(shell, api, "--only", "issues,releases")

    assert code == 0, err
    assert err.count("rate limit: going on at") == 2
    assert "answered 502: going on at" in err
    assert api.asked(f"{REPO}/issues") == 3
    assert {span["operation"] for span in server.spans()} == {"issue", "release"}


async def test_quick_asks_for_lists_only(server, shell, api):
    code, _, err = await run_import(shell, api, "--quick")

    assert code == 0, err
    assert api.asked(f"{REPO}/pulls/34") == 0
    assert api.asked(f"{REPO}/actions/runs/555/jobs") == 0
    operations = sorted(span["operation"] for span in server.spans())
    assert [name for name in operations if name not in ("stage", "issue")] == [
        *("deploy", "pipeline", "pull_request", "push", "release")
    ]


async def test_what_the_token_may_not_read_is_left_out_and_said(server, shell, api):
    del api.routes[f"{REPO}/actions/runs"]
    code, out, err = await run_import(shell, api, "--json")

    assert code == 0
    assert json.loads(out)["skipped"] == ["acme/api workflow_runs"]
    assert "left out, /repos/acme/api/actions/runs answered 404 (Not Found)" in err
    assert one(server.spans(), operation="deploy")["status"] == "ok"


@pytest.mark.parametrize(
    ("change", "env", "hint"),
    [
        ({REPO: lambda _: web.json_response({"message": "Bad"}, status=401)}, {}, "token is wrong"),
        ({REPO: None}, {}, "check the name of acme/api"),
        ({REPO: lambda _: web.Response(text="<html>")}, {}, "not JSON"),
        ({}, {"GITHUB_TOKEN": ""}, "set GITHUB_TOKEN"),
        ({}, {"VS_TOKEN": "wrong"}, "does not accept our token"),
        ({}, {"VS_URL": "http://127.0.0.1:1"}, "start it with `vs-tui serve`"),
    ],
)
async def test_what_is_wrong_is_said(server, shell, api, change, env, hint):
    api.routes.update(change)
    code, out, err = await run_import(shell, api, **env)

    assert (code, out) == (1, "")
    assert hint in err
    assert "Traceback" not in err


@pytest.mark.parametrize("way", ["link", "redirect"])
async def test_the_token_is_not_told_to_another_host(server, shell, api, aiohttp_server, way):
    stranger = FakeApi({})
    running = await aiohttp_server(stranger.app())
    elsewhere = str(running.make_url("/more"))

    def lead_astray(_request):
        if way == "redirect":
            return web.Response(status=302, headers={"Location": elsewhere})
        return web.json_response([], headers={"Link": f'<{elsewhere}>; rel="next"'})

    api.routes[f"{REPO}/issues"] = lead_astray
    code, _, err = await run_import(shell, api)

    assert code == 1
    assert "another host, which does not get the token" in err
    assert stranger.requests == []


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["github", "api"], "write it like acme/api"),
        (["github", "acme/api", "--since", "long ago"], "such as 30d"),
        (["github", "acme/api", "--only", "issues,wikis"], "GitHub has issues"),
        (["jira", "TP"], "--url"),
        (["jira", "TP", "--url", "acme.atlassian.net"], "'acme.atlassian.net' is not an address"),
        (["gitlab", "a/b", "--url", "https://u:p@x:y"], "--url 'x:y' is not an address; write"),
        (["bugzilla", "x"], "invalid choice"),
    ],
)
def test_a_wrong_command_line_is_explained(server, shell, arguments, hint):
    done = shell.here("import", *arguments, GITHUB_TOKEN="t")

    assert done.returncode == 2
    assert hint in done.stderr


async def test_following_asks_again_for_what_is_new_until_it_is_stopped(
    server, shell, api, monkeypatch, capsys
):
    """Lists are asked for by their ETag, and an outage is waited out. Waits end at once here."""
    rounds = unchanged = 0

    def issues(request):
        nonlocal unchanged
        if rounds == 1:
            return web.json_response({"message": "down"}, status=418)
        found = [gh.issue("opened", number=13)["issue"]]
        if rounds >= 3:
            found.append(gh.issue("opened", number=14, title="New")["issue"])
        etag = f'"{len(found)}"'
        if request.headers.get("If-None-Match") == etag:
            unchanged += 1
            return web.Response(status=304, headers={"ETag": etag})
        return web.json_response(found, headers={"ETag": etag})

    def sleep(seconds):
        nonlocal rounds
        assert seconds == 10
        rounds += 1
        if rounds > 4:
            raise KeyboardInterrupt

    api.routes[f"{REPO}/issues"] = issues
    for name, value in shell.environment({"GITHUB_TOKEN": "gh-token"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(import_, "time", SimpleNamespace(sleep=sleep, strftime=time.strftime))
    words = ("import", "github", "acme/api", "--url", api.url, "--since", "2026-01-01")
    code = await asyncio.to_thread(main, [*words, "--only", "issues", "--follow", "10s"])
    out, err = capsys.readouterr()
    assert code == 0, err
    assert "following acme/api, every 0:10; ctrl+c stops" in err
    assert "1 new" in err
    assert "asked again in 0:10" in err
    assert "2 accepted" in out
    assert one(server.spans(), span_id="vstrace-github-issue-api-14")["name"] == "New"
    assert unchanged > 0


@pytest.mark.parametrize("every", ["1s", "soon"])
async def test_following_is_asked_for_with_a_time_that_spares_the_rate_limit(shell, api, every):
    code, _, err = await run_import(shell, api, "--follow", every)
    assert code == 2
    assert "write a time of 10s or longer" in err
