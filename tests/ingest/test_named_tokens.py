"""Named tokens: one right each, known by their hash, named in Events; decisions made once."""

from __future__ import annotations

import json
import sqlite3
import time
import urllib.request
from urllib.parse import quote

import pytest

from tests.ingest.server import TOKEN, Server, serving
from tests.patience import PATIENCE
from vs_tui.api.remote import Remote
from vs_tui.cli.main import main
from vs_tui.config import read_secrets
from vs_tui.model.request_signing import signed_body, signed_delivery, signed_head, signing_key
from vs_tui.store.queries.reader_protocol import Unreachable

CONFIG = """
[teams.core]
projects = ["acme/core"]
[teams.web]
projects = ["acme/web"]
"""


class Named:
    """A receiver with three named tokens."""

    def __init__(self, server: Server, tokens: dict[str, str]) -> None:
        self.server = server
        self.tokens = tokens

    def call(self, name: str, path: str, body=None, **headers: str):
        token = self.tokens.get(name, name)
        return self.server.call(path, body, headers, token=token)

    def signed(self, name: str, path: str):
        proof = signed_head(self.tokens[name], "GET", path)
        return self.server.call(path, headers=proof, token="")


def build(number: int, project: str) -> dict:
    body = {"type": "build", "id": str(number), "action": "start", "name": f"secret of {project}"}
    return body | {"tags": {"repository": f"https://git.example/acme/{project}"}}


@pytest.fixture(scope="module")
def named(tmp_path_factory) -> Named:
    folder = tmp_path_factory.mktemp("named")
    (folder / "config.toml").write_text(CONFIG)
    with serving(folder) as server, pytest.MonkeyPatch.context() as patched:
        for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
            patched.setenv(name, str(folder))
        tokens = {
            name: made(folder, server, name, *scope)
            for name, scope in {
                "ci": ("send",),
                "wall": ("read",),
                "core": ("read", "--team", "core"),
            }.items()
        }
        for number, project in enumerate(("core", "web")):
            status, answer = server.call("/customhttp", build(number, project))
            assert status == 200, answer
        yield Named(server, tokens)


def made(folder, server: Server, name: str, scope: str, *more: str) -> str:
    """A new token, once the running receiver knows it."""
    import contextlib
    import io

    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["secret", "add", name, "--scope", scope, *more, "--db", str(server.db)]) == 0
    token = out.getvalue().strip()
    if scope == "send":
        server.wait_for(lambda: server.call("/github", b"{}", token=token)[0] != 401, "the token")
    else:
        server.wait_for(lambda: server.call("/api/teams", token=token)[0] == 200, "the token")
    return token


def test_only_the_hash_is_stored(named) -> None:
    text = (named.server.folder / "secrets.toml").read_text()
    for token in named.tokens.values():
        assert token.startswith("vst_")
        assert token not in text
        assert signing_key(token).decode() in text


def test_a_send_token_sends_and_reads_nothing(named) -> None:
    status, answer = named.call("ci", "/customhttp", build(7, "core"))
    assert (status, answer["verdict"]) == (200, "accepted")
    _, detail = named.server.call(f"/api/deliveries/{answer['delivery']}")
    assert detail["headers"]["vs-proof"] == "token ci"
    for path in ("/api/spans", "/api/deliveries", "/metrics", "/deployments", "/api/stream"):
        assert named.call("ci", path)[0] == 401, path
    body = {"action": "pin", "child": "a", "parent": "b"}
    assert named.call("ci", "/api/links", body)[0] == 401


def test_a_read_token_reads_and_sends_nothing(named) -> None:
    assert named.call("wall", "/api/spans")[0] == 200
    assert named.call("wall", "/api/deliveries")[0] == 200
    for path in ("/customhttp", "/api/links", "/deployments"):
        assert named.call("wall", path, build(8, "core"))[0] == 401, path


def test_our_commands_prove_a_named_token_without_sending_it(named) -> None:
    assert named.signed("wall", "/api/spans?limit=5")[0] == 200
    assert named.signed("ci", "/api/spans?limit=5")[0] == 401
    import hmac

    body = json.dumps(build(9, "core")).encode()
    for name, status in (("ci", 200), ("wall", 401)):
        key = signing_key(named.tokens[name])
        proof = hmac.new(key, body, "sha256").hexdigest()
        headers = {"X-VS-Signature": proof, "Idempotency-Key": name}
        assert named.server.call("/customhttp", body, headers, token="")[0] == status


def test_a_team_token_sees_its_team_only(named) -> None:
    for path in ("/api/spans", "/api/traces", "/api/board", "/api/spans?filter=team:web"):
        status, answer = named.call("core", path)
        assert status == 200, answer
        assert "secret of web" not in json.dumps(answer), path
    assert "secret of core" in json.dumps(named.call("core", "/api/spans")[1])
    assert named.call("core", "/api/spans?filter=team:web")[1]["items"] == []
    others = [s for s in named.server.spans() if s["team"] == "web"]
    assert others
    for span in others:
        assert named.call("core", f"/api/spans/{span['span_id']}")[0] == 404
        assert named.call("core", f"/api/traces/{span['trace_id']}")[0] == 404
        assert named.call("core", f"/api/baselines?key={span['key']}")[1] == {}
    assert named.call("core", "/api/teams")[1] == {"items": [{"name": "core"}]}
    changed = named.call("core", "/api/changes?since=1")[1]["keys"]
    assert not {span["key"] for span in others} & set(changed)
    for path in ("/api/deliveries", "/metrics", "/incidents", "/api/sources"):
        assert named.call("core", path)[0] == 403, path
    assert named.call("core", "/api/dora?team=web")[0] == 403
    _, report = named.call("core", "/api/dora")
    assert {item["name"] for item in report["items"]} <= {"core"}


def crossing(server: Server) -> None:
    """Traces in which both teams have spans, runs before them, and what failed."""
    at = time.time() - 4_000
    for kind, number, project, parent in (
        *(("pipeline", f"p{n}", "core", "") for n in range(3)),
        *(("build", f"b{n}", "web", f"pipeline-default-p{n}") for n in range(3)),
        *(("deploy", f"d{n}", "core", f"pipeline-default-p{n}") for n in range(3)),
        ("pipeline", "p9", "web", ""),
        ("deploy", "d9", "core", "pipeline-default-p9"),
        ("deploy", "d8", "web", ""),
        ("incident", "i9", "web", ""),
        *(("pull_request", f"r{n}", "web", "") for n in range(3)),
    ):
        leak = "LEAK " if project == "web" else ""
        for action in ("start", "end"):
            at += 20
            body = {"type": kind, "id": number, "action": action, "timestamp": at}
            body |= {"name": f"{leak}{kind}", "error": number == "d8"}
            tags = {"service": f"{leak}service", "environment": "prod", "user": f"{leak}user"}
            body["tags"] = tags | {"repository": f"https://git.example/acme/{project}"}
            if parent:
                body["parentid"] = f"vstrace-customhttp-{parent}"
            if action == "start" or number not in ("p2", "b2", "d9", "i9"):
                assert server.call("/customhttp", body)[0] == 200


def test_no_path_shows_a_team_what_is_anothers(named) -> None:
    """A walk over all that can be read, with every id there is."""
    crossing(named.server)
    spans = named.server.spans()
    assert "LEAK" in json.dumps(spans)
    keys = [quote(span["key"]) for span in spans]
    day = {"from": "2020-01-01T00:00:00Z", "to": "2030-01-01T00:00:00Z"}
    question = {"range": day, "targets": [{"target": "deployment_frequency of web"}]}
    read = set()
    for path, operations in named.server.call("/openapi.json")[1]["paths"].items():
        paths = [path]
        if "{ref}" in path:
            paths = [path.replace("{ref}", key) for key in keys]
        elif "{trace_id}" in path:
            paths = [path.replace("{trace_id}", each) for each in {s["trace_id"] for s in spans}]
        elif "{id}" in path:
            paths = [path.replace("{id}", str(number)) for number in (1, "d1", "d9")]
        elif path in ("/api/baselines", "/api/past-runs"):
            paths = [f"{path}?key={'&key='.join(keys)}"]
        elif path == "/api/dora/detail":
            paths = [f"{path}?metric={each}" for each in ("change_fail_rate", "lead_time")]
        for each in paths if path != "/api/stream" else ():
            mark = "&" if "?" in each else "?"
            for query in ("", f"{mark}team=web", f"{mark}filter=team:web", f"{mark}quick=1"):
                for method in {"get", "post"} & operations.keys():
                    body = question if method == "post" else None
                    status, answer = named.call("core", each + query, body)
                    assert status < 500
                    assert "LEAK" not in json.dumps(answer), each + query
                    assert "acme/web" not in json.dumps(answer), each + query
                    read |= {path} if status == 200 else set()
    assert len(read) > 12, sorted(read)
    _, counts = named.call("core", "/api/counts")
    assert counts["total"] < named.server.call("/api/counts")[1]["total"]


def test_a_stream_ends_with_its_token(named, monkeypatch) -> None:
    server = named.server
    for variable in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(variable, str(server.folder))
    for name, scope in (("passing", ("read",)), ("of-core", ("read", "--team", "core"))):
        token = made(server.folder, server, name, *scope)
        request = urllib.request.Request(
            f"{server.url}/api/stream", headers={"Authorization": f"Bearer {token}"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as stream:
            assert server.call("/customhttp", build(300 + len(name), "core"))[0] == 200
            while not stream.readline().startswith(b"data:"):
                pass
            assert main(["secret", "revoke", name, "--db", str(server.db)]) == 0
            stream.read()  # it ends


async def test_a_viewer_elsewhere_never_sends_the_token(named, monkeypatch) -> None:
    sent: list[str] = []
    remote = Remote(named.server.url, named.tokens["wall"])
    await remote.open()
    try:
        real = remote._session.get
        monkeypatch.setattr(
            remote._session, "get", lambda *a, **k: (sent.append(repr((a, k))), real(*a, **k))[1]
        )
        assert (await remote.get("/api/spans", filter="state:open dur>1m"))["next"] is None
    finally:
        await remote.close()
    assert sent and named.tokens["wall"] not in "".join(sent)
    wrong = Remote(named.server.url, "wrong")
    with pytest.raises(Unreachable, match="refuses the token"):
        await wrong.open()


def test_uses_are_listed_and_a_revoked_token_is_refused(named, capsys, monkeypatch) -> None:
    server = named.server
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(server.folder))
    options = ["--db", str(server.db)]

    def listed() -> dict[str, dict]:
        assert main(["secret", "list", "--json", *options]) == 0
        return {row["name"]: row for row in json.loads(capsys.readouterr().out)["items"]}

    assert named.call("ci", "/customhttp", build(10, "core"))[0] == 200
    server.wait_for(lambda: listed()["ci"]["last_used_at"], "its use")
    assert [listed()["core"][key] for key in ("scope", "team")] == ["read", "core"]
    extra = made(server.folder, server, "extra", "read")
    assert server.call("/api/teams", token=extra)[0] == 200
    assert main(["secret", "revoke", "extra", *options]) == 0
    server.wait_for(lambda: server.call("/api/teams", token=extra)[0] == 401, "its end")
    assert main(["secret", "revoke", "extra", *options]) == 2
    assert "there is no token extra" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["a b", "--scope", "send"], "name a token"),
        (["x", "--scope", "send", "--team", "core"], "goes with --scope read"),
        (["x", "--scope", "read", "--team", "nobody"], "there is no team"),
        (["wall", "--scope", "read"], "already"),
    ],
)
def test_what_cannot_be_a_token_is_told(named, capsys, monkeypatch, arguments, why) -> None:
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(named.server.folder))
    assert main(["secret", "add", *arguments]) == 2
    assert why in capsys.readouterr().err


def test_a_rotation_keeps_the_named_tokens(named, capsys, monkeypatch) -> None:
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(named.server.folder))
    before = read_secrets(named.server.folder / "secrets.toml").named
    assert main(["secret", "rotate", "gitlab"]) == 0
    assert read_secrets(named.server.folder / "secrets.toml").named == before


def test_a_recorded_decision_is_made_once(named) -> None:
    server = named.server
    for name in ("one", "two"):
        server.call("/customhttp", {"type": "build", "id": name, "action": "end"})
    server.call("/api/counts")  # waits for folding
    with sqlite3.connect(f"file:{server.db}?mode=ro", uri=True) as db:
        keys = [key for (key,) in db.execute("SELECT key FROM spans ORDER BY key LIMIT 2")]
    body = json.dumps({"action": "pin", "child": keys[0], "parent": keys[1]}).encode()
    proof = signed_body(TOKEN, body)
    assert server.call("/api/links", body, proof, token="")[0] == 200
    status, answer = server.call("/api/links", body, proof, token="")
    assert (status, "came before" in answer["detail"]) == (401, True)
    for _ in range(2):  # the same decision, signed anew, is meant again
        status, answer = server.call("/api/links", body, signed_body(TOKEN, body), token="")
        assert (status, answer["verdict"]) == (200, "accepted")


GITHUB = {
    "zen": "x",
    "hook": {"type": "Repository"},
    "repository": {"full_name": "acme/core", "name": "core", "owner": {"login": "acme"}},
}


def sent_on(named: Named, token: str, *, path: str = "/github", signs: str = "", **more: str):
    """A tool's delivery that our own command signs, and what became of it."""
    body = json.dumps({**GITHUB, "hook_id": len(more) + len(path) + len(token)}).encode()
    headers = {"x-github-event": "ping", "x-github-delivery": f"{token}{path}"}
    proof = signed_delivery(named.tokens.get(token, token), signs or path, headers, body)
    return named.server.call(path, body, {**headers, **proof, **more}, token="")


@pytest.mark.parametrize("path", ["/github", "//github/", "/github?a=b%20c"])
def test_a_tools_delivery_is_proved_by_a_signature_of_ours(named, path) -> None:
    for token, proof in ((TOKEN, "the token, newest secret"), ("ci", "the token ci")):
        status, answer = sent_on(named, token, path=path)
        assert status == 200, answer
        _, detail = named.server.call(f"/api/deliveries/{answer['delivery']}")
        assert detail["headers"]["vs-proof"] == f"signature by {proof}"
        assert "VS1" not in json.dumps(detail), "the proof is not kept"
    assert sent_on(named, "wall", path=path)[0] == 401


def test_what_was_signed_is_what_is_taken(named) -> None:
    """One who listened may send nothing else with it: no other path, header or body."""
    assert sent_on(named, "unknown token")[0] == 401
    assert sent_on(named, TOKEN, signs="/gitea")[0] == 401
    assert sent_on(named, TOKEN, **{"x-github-event": "push"})[0] == 401
    assert sent_on(named, TOKEN, **{"X-Hub-Signature-256": "sha256=00"})[0] == 401
    headers = {"x-github-event": "ping"}
    proof = signed_delivery(TOKEN, "/github", headers, b"{}")["Authorization"]
    for wrong in (
        proof.replace("VS1 1", "VS1 2"),
        proof.replace(";", ":"),
        proof.replace("x-github-event", ""),
        proof[:-1],
        proof + "0",
        f"{proof} {proof}",
        "VS1 ;:",
        "VS1 " + "9" * 5_000 + ";:a",
        "VS1 \u00b2;a:b",
    ):
        sent = {**headers, "Authorization": wrong}
        assert named.server.call("/github", b"{}", sent, token="")[0] == 401, wrong
    old = f"VS1 1000000000{proof[14:]}"
    for body, authorization in ((b"[]", proof), (b"{}", old)):
        sent = {**headers, "Authorization": authorization}
        assert named.server.call("/github", body, sent, token="")[0] == 401


def test_a_signed_delivery_does_not_read_nor_decide_for_a_named_token(named) -> None:
    proof = signed_delivery(TOKEN, "/api/spans", {}, b"")
    assert named.server.call("/api/spans", headers=proof, token="")[0] == 401
    body = json.dumps({"action": "pin", "child": "a", "parent": "b"}).encode()
    proof = signed_delivery(named.tokens["ci"], "/api/links", {}, body)
    assert named.server.call("/api/links", body, proof, token="")[0] == 401
