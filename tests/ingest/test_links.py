"""Links over HTTP and by `vs-tui link`: by ref, by key or by alias, kept by a rebuild."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.ingest.server import TOKEN, Server
from tests.sources import github_payloads as gh
from vs_tui.cli.main import main


def ref(number: object, kind: str = "build") -> str:
    return f"vstrace-customhttp-{kind}-links-{number}"


@pytest.fixture
def chain(shared: Server) -> Server:
    """2 below 1, and 9 alone."""
    for number, parent in ((1, ""), (2, ref(1)), (9, "")):
        body = {"type": "build", "id": str(number), "action": "start", "namespace": "links"}
        body |= {"timestamp": f"2026-03-02T10:0{number}:00Z"}
        status, answer = shared.call("/customhttp", body | ({"parentid": parent} if parent else {}))
        assert status == 200, answer
    shared.call("/api/links", {"action": "clear", "child": ref(2)})
    return shared


def parent_of(server: Server, name: str) -> str | None:
    status, span = server.call(f"/api/spans/{name}")
    assert status == 200, span
    return span["parent_span_id"]


def test_pin_cut_and_clear(chain) -> None:
    for action, other, parent in (
        ("cut", ref(1), None),
        ("pin", ref(9), ref(9)),
        ("clear", "", ref(1)),
    ):
        status, answer = chain.call(
            "/api/links", {"action": action, "child": ref(2), "parent": other}
        )
        assert (status, answer["verdict"], answer["spans"]) == (200, "accepted", [ref(2)])
        assert parent_of(chain, ref(2)) == parent


def test_a_short_ref_is_stored_as_the_key_it_meant(shared) -> None:
    """A second owner of the ref comes later: the decision still means the first one."""
    import hashlib
    import hmac

    def issue(owner: str) -> None:
        body = json.dumps(gh.issue("opened", number=77) | {"repository": gh.repo(f"{owner}/lib")})
        proof = hmac.new(b"gh-secret", body.encode(), hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "issues", "X-Hub-Signature-256": f"sha256={proof}"}
        assert shared.call("/github", body.encode(), headers)[0] == 200

    issue("acme")
    task = {"type": "task", "id": "77", "action": "start", "namespace": "links"}
    shared.call("/customhttp", task)
    pinned = {"action": "pin", "child": ref(77, "task"), "parent": "vstrace-github-issue-lib-77"}
    assert shared.call("/api/links", pinned)[0] == 200
    issue("fork")
    assert parent_of(shared, ref(77, "task")) == "vstrace-github-issue-acme/lib-77"
    _, listed = shared.call("/api/deliveries?filter=source:user")
    _, stored = shared.call(f"/api/deliveries/{listed['items'][0]['id']}")
    parent = json.loads(stored["body"])["parent"]
    assert parent.startswith("vstrace-github-issue-id:github.com/") and parent.endswith("-77")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"action": "pin", "child": ref(404), "parent": ref(1)}, 404, "child: there is no span"),
        ({"action": "pin", "child": ref(2), "parent": ref(404)}, 404, "parent: there is no span"),
        ({"action": "pin", "child": ref(2), "parent": ref(2)}, 400, "another span"),
        ({"action": "pin", "child": ref(2)}, 400, "parent: is missing"),
        ({"action": "cut", "parent": ref(2)}, 400, "child: is missing"),
        ({"action": "glue", "child": ref(2), "parent": ref(1)}, 400, "must be one of"),
        ({"action": "pin", "child": ["x"], "parent": {}}, 400, "child: is missing"),
        (b"[]", 400, "must be a JSON object"),
        (b"{", 400, "is not JSON"),
    ],
)
def test_what_is_refused_says_why_and_changes_nothing(chain, body, status, says) -> None:
    found, answer = chain.call("/api/links", body)
    assert found == status
    assert says in answer["detail"]
    assert parent_of(chain, ref(2)) == ref(1)


def test_a_stage_is_not_moved(chain) -> None:
    proof = {"X-Gitlab-Event": "Job Hook", "X-Gitlab-Token": "gl-secret"}
    from tests.sources import gitlab_payloads as gl

    assert chain.call("/gitlab", gl.job_hook("running", "10:31:00"), proof)[0] == 200
    stages = [s for s in chain.spans("&filter=kind:stage") if s["name"] == "queued"]
    body = {"action": "pin", "child": stages[0]["key"], "parent": ref(1)}
    status, answer = chain.call("/api/links", body)
    assert (status, "a stage belongs to its span" in answer["detail"]) == (400, True)


def test_only_the_token_may_decide(chain) -> None:
    body = {"action": "cut", "child": ref(2), "parent": ref(1)}
    assert chain.call("/api/links", body, token="wrong")[0] == 401
    assert chain.call(f"/api/links?token={TOKEN}", body, token="")[0] == 401
    assert parent_of(chain, ref(2)) == ref(1)


@pytest.fixture
def client(chain, tmp_path, monkeypatch) -> Server:
    """The environment of a command on the same machine."""
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VS_URL", chain.url)
    monkeypatch.setenv("VS_TOKEN", TOKEN)
    return chain


def test_the_command_shows_pins_cuts_and_clears(client, capsys) -> None:
    assert main(["link", "show", ref(2)]) == 0
    line = f"parent  {ref(1)}  by a parent named by the sender  (explicit, explicit)\n"
    assert capsys.readouterr().out == line
    assert main(["link", "pin", ref(2), ref(9)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"parent  {ref(9)}  by a person's pin  (pinned, explicit)"
    assert second.startswith(f"link    {ref(1)}")
    assert main(["link", "clear", ref(2)]) == 0
    assert main(["link", "cut", ref(2), ref(1)]) == 0
    told = capsys.readouterr()
    assert told.err == f"{ref(2)} is linked to nothing\n"
    assert main(["link", "show", "--json", ref(2)]) == 0
    assert json.loads(capsys.readouterr().out)["links"] == []


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["show", ref(404)], 1, "there is no such span"),
        (["pin", ref(2), ref(404)], 1, "404: parent: there is no span"),
        (["show", ref(2), "--token", "wrong"], 1, "does not accept our token; set VS_TOKEN"),
        (["show", ref(2), "--url", "http://127.0.0.1:9"], 1, "start it with `vs-tui serve`"),
        (["show", ref(2), "--url", "localhost:5000"], 2, "write http://HOST:PORT"),
    ],
)
def test_what_fails_says_what_to_do(client, capsys, arguments, code, says) -> None:
    assert main(["link", *arguments]) == code
    told = capsys.readouterr()
    assert says in told.err
    assert not told.out


def test_decisions_survive_a_restart_and_a_rebuild(server, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    for number in (1, 2, 3):
        body = {"type": "build", "id": str(number), "action": "start", "namespace": "links"}
        server.call("/customhttp", body | ({"parentid": ref(1)} if number > 1 else {}))
    server.call("/api/links", {"action": "pin", "child": ref(3), "parent": ref(2)})
    server.call("/api/links", {"action": "cut", "child": ref(2), "parent": ref(1)})
    server.stop()
    assert main(["db", "rebuild", "--db", str(server.db)]) == 0
    with sqlite3.connect(server.db) as database:
        found = dict(database.execute("SELECT key, parent_key FROM spans"))
    database.close()
    assert found == {ref(1): "", ref(2): "", ref(3): ref(2)}


def test_the_token_follows_no_redirect(tmp_path) -> None:
    """urllib would take the Authorization header along, to whatever host an answer names."""
    asked: list[str | None] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Authorization"))
            self.send_response(302 if len(asked) == 1 else 200)
            self.send_header("Location", f"http://localhost:{self.server.server_port}/stolen")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as elsewhere:
        Thread(target=elsewhere.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{elsewhere.server_port}"
        done = subprocess.run(
            [sys.executable, "-m", "vs_tui", "link", "show", "x", "--url", url],
            env={**os.environ, "VS_TOKEN": "t0ken", "VS_CONFIG_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )
        elsewhere.shutdown()
    assert [proof.partition(" ")[0] for proof in asked] == ["VS1"]
    assert "t0ken" not in str(asked)
    assert done.returncode == 1
    assert "is the address right?" in done.stderr
