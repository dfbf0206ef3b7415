"""`vs-tui connect` against APIs that behave as GitHub's and GitLab's document it: the fake sends
what it is told to send, to the receiver, signed with the secret that it was given."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.cli.shell import deliveries
from tests.ingest.server import SECRETS
from tests.sources import github_payloads as gh
from vs_tui.cli.main import main
from vs_tui.sources.github import HOOK_EVENTS as GITHUB_EVENTS
from vs_tui.sources.gitlab import HOOK_EVENTS as GITLAB_EVENTS


@dataclass
class GitHub:
    """https://docs.github.com/rest/repos/webhooks"""

    hooks: list[dict[str, Any]] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)

    def app(self) -> web.Application:
        app = web.Application()
        for at in ("/repos/acme/api/hooks", "/orgs/acme/hooks"):
            app.router.add_get(at, self.list_hooks)
            app.router.add_post(at, self.make)
            app.router.add_patch(at + "/{id}", self.change)
            app.router.add_post(at + "/{id}/pings", self.ping)
            app.router.add_get(at + "/{id}/deliveries", self.list_sent)
        return app

    async def list_hooks(self, request: web.Request) -> web.Response:
        self.tokens.add(request.headers["Authorization"])
        return web.json_response(self.hooks)

    async def make(self, request: web.Request) -> web.Response:
        body = await request.json()
        if any(h["config"]["url"] == body["config"]["url"] for h in self.hooks):
            return web.json_response({"message": "Validation Failed"}, status=422)
        self.hooks.append({"id": 7, **body})
        return web.json_response(self.hooks[-1], status=201)

    async def change(self, request: web.Request) -> web.Response:
        self.hooks[0].update(await request.json())
        return web.json_response(self.hooks[0])

    async def ping(self, _: web.Request) -> web.Response:
        hook = self.hooks[0]
        body = json.dumps(
            {"zen": "x", "hook_id": 7, "hook": hook, "repository": gh.repo()}
        ).encode()
        mark = hmac.new(hook["config"]["secret"].encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "ping", "X-GitHub-Delivery": f"d{len(self.sent)}",
                   "Content-Type": "application/json",
                   "X-Hub-Signature-256": f"sha256={mark}"}  # fmt: skip
        async with (
            aiohttp.ClientSession() as client,
            client.post(hook["config"]["url"], data=body, headers=headers) as answer,
        ):
            good = answer.status < 300
            status = "OK" if good else f"Invalid HTTP Response: {answer.status}"
            self.sent.insert(0, {"id": len(self.sent), "event": "ping", "status": status,
                                 "status_code": answer.status})  # fmt: skip
        return web.Response(status=204)

    async def list_sent(self, _: web.Request) -> web.Response:
        return web.json_response(self.sent)


@dataclass
class GitLab:
    """https://docs.gitlab.com/api/project_webhooks/; the group is a Premium one."""

    hooks: list[dict[str, Any]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.handle)
        return app

    async def handle(self, request: web.Request) -> web.Response:
        path = request.raw_path.partition("?")[0]
        self.asked.append(f"{request.method} {path}")
        assert request.headers["PRIVATE-TOKEN"] == "gl-token"
        if path.startswith("/projects/acme%2Fweb%2Fshop/hooks"):
            return await self.answer(request, path)
        return web.json_response({"message": "404 Project Not Found"}, status=404)

    async def answer(self, request: web.Request, path: str) -> web.Response:
        if path.endswith("/test/push_events"):
            hook = self.hooks[0]
            body = {"object_kind": "push", "event_name": "push", "ref": "refs/heads/main",
                    "before": "a" * 40, "after": "b" * 40, "checkout_sha": "b" * 40, "commits": [],
                    "project": {"id": 3, "path_with_namespace": "acme/web/shop"}}  # fmt: skip
            headers = {"X-Gitlab-Event": "Push Hook", "X-Gitlab-Token": hook["token"]}
            async with (
                aiohttp.ClientSession() as client,
                client.post(hook["url"], json=body, headers=headers) as answer,
            ):
                if answer.status >= 300:
                    return web.json_response({"message": f"Hook executed: {answer.status}"},
                                             status=422)  # fmt: skip
            return web.json_response({"message": "201 Created"}, status=201)
        if request.method == "GET":
            return web.json_response(self.hooks)
        body = await request.json()
        if request.method == "PUT":
            self.hooks[0].update(body)
            return web.json_response(self.hooks[0])
        self.hooks.append({"id": 5, **body})
        return web.json_response(self.hooks[-1], status=201)


async def run(shell, *words, **env) -> tuple[int, str, str]:
    done = await asyncio.to_thread(shell.here, "connect", *words, **env)
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
async def github(aiohttp_server):
    fake = GitHub()
    fake.url = str((await aiohttp_server(fake.app())).make_url("/"))
    return fake


async def test_a_webhook_of_github_is_made_and_pinged_and_brought_up_to_date(
    server, shell, github
) -> None:
    words = ("github", "acme/api", "--api", github.url, "--public-url", server.url)
    env = {"GITHUB_TOKEN": "gh-token", "VS_SECRET_GITHUB": SECRETS["github"]}
    code, out, err = await run(shell, *words, **env)
    assert code == 0, err
    (hook,) = github.hooks
    assert hook["config"] == {"url": f"{server.url}/github", "content_type": "json",
                              "secret": SECRETS["github"], "insecure_ssl": "0"}  # fmt: skip
    assert hook["events"] == list(GITHUB_EVENTS)
    assert github.tokens == {"Bearer gh-token"}
    assert "webhook 7 made at acme/api" in out
    assert "ping    arrived: OK" in out
    assert SECRETS["github"] not in out + err
    assert [(d["kind"], d["verdict"]) for d in deliveries(server)] == [("ping", "ignored")]
    words = ("github", "https://github.com/acme/api.git", *words[2:])  # as the browser has it
    code, out, _ = await run(shell, *words, "--json", **env)
    assert (code, len(github.hooks)) == (0, 1)
    assert json.loads(out)["made"] is False


async def test_a_ping_that_is_refused_says_so_and_ends_with_1(server, shell, github) -> None:
    """This machine's secret is not the receiver's."""
    code, out, err = await run(
        shell, "github", "acme", "--api", github.url, "--public-url", server.url,
        GITHUB_TOKEN="gh-token", VS_SECRET_GITHUB="another",
    )  # fmt: skip
    assert code == 1
    assert "ping    did not arrive: Invalid HTTP Response: 401" in out
    assert "see Events (4)" in err
    assert {d["verdict"] for d in deliveries(server)} <= {"rejected"}, "counted a little later"


async def test_a_project_of_gitlab_and_a_group_that_may_not(server, shell, aiohttp_server) -> None:
    fake = GitLab()
    url = str((await aiohttp_server(fake.app())).make_url("/"))
    words = ("--api", url, "--public-url", server.url)
    env = {"GITLAB_TOKEN": "gl-token", "VS_SECRET_GITLAB": SECRETS["gitlab"]}
    code, out, err = await run(shell, "gitlab", "acme/web/shop", *words, **env)
    assert code == 0, err
    (hook,) = fake.hooks
    assert hook["url"] == f"{server.url}/gitlab"
    assert all(hook[name] is True for name in GITLAB_EVENTS)
    assert "ping    arrived" in out
    assert [d["kind"] for d in deliveries(server)] == ["push"]
    code, _, err = await run(shell, "gitlab", "acme", *words, **env)
    assert code == 1
    assert "the role Maintainer" in err
    assert "GET /groups/acme/hooks" in fake.asked


async def test_what_to_enter_where_for_tools_without_an_api_here(shell) -> None:
    code, out, err = await run(shell, "jenkins", "--public-url", "https://vs.example")
    assert code == 0, err
    assert "https://vs.example/jenkins?token=TOKEN" in out
    assert "Statistics Gatherer" in out
    code, out, _ = await run(shell, "jira", "--json", "--show-secret",
                             VS_SECRET_JIRA="s3cret-of-jira")  # fmt: skip
    told = json.loads(out)
    assert told["url"] == "http://127.0.0.1:5000/jira"
    assert told["secret"] == "s3cret-of-jira"


@pytest.mark.parametrize(
    ("tool", "lines"),
    [
        ("github", ["secret          what `vs-tui secret show github` prints"]),
        ("gitlab", ["secret token    what `vs-tui secret show gitlab` prints"]),
        ("heroku", ["secret          what `vs-tui secret show heroku` prints"]),
        ("linear", ["signing secret  the one that Linear shows; enter it here, under [linear] "]),
        ("vercel", ["secret          the one that Vercel shows; enter it here, under [vercel] "]),
        ("otlp", ["header          Authorization: Bearer TOKEN\n",
                  "TOKEN           what `vs-tui secret show token` prints"]),
        ("drone", ["header          Authorization: Bearer TOKEN, or ?token=TOKEN in the URL",
                   "TOKEN           what `vs-tui secret show token` prints"]),
        ("jenkins", ["url             http://127.0.0.1:5000/jenkins?token=TOKEN",
                     "TOKEN           what `vs-tui secret show token` prints"]),
    ],
)  # fmt: skip
async def test_the_form_names_the_secret_that_the_tool_sends(shell, tool, lines) -> None:
    code, out, err = await run(shell, tool)
    assert code == 0, err
    assert [line for line in lines if line not in out] == []
    assert ("secret show token" in out) == ("TOKEN" in out)


@pytest.mark.parametrize(
    ("words", "env", "code", "told"),
    [
        (("jenkins", "acme"), {}, 2, "only the webhooks of github and gitlab"),
        (("nothing",), {}, 2, "there is no source 'nothing'"),
        (("user",), {}, 2, "there is no source 'user'"),
        (("github", "acme/api"), {"GITHUB_TOKEN": "x"}, 1, "import github acme/api --follow"),
        (("github", "acme/api", "--public-url", "https://a.example"), {}, 1, "set GITHUB_TOKEN"),
    ],
)
def test_what_is_missing_is_named(shell, words, env, code, told, monkeypatch, capsys) -> None:
    for name, value in shell.environment(env).items():
        monkeypatch.setenv(name, value)
    assert main(["connect", *words]) == code
    assert told in capsys.readouterr().err
