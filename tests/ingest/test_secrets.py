"""Canary secrets in every place that holds or carries one: nothing that is written, shown or sent
by us has them again."""

from __future__ import annotations

import ast
import json
import os
from pathlib import Path

import pytest

import vs_tui
from tests.ingest.server import Server, run
from tests.patience import PATIENCE

CANARY = "canaryCAFE0123456789"
SOURCES = ("github", "gitlab", "jira", "customhttp", "linear", "pagerduty", "circleci", "trello")


class Watched(Server):
    """A receiver whose every secret is a canary, and whose words are kept."""

    def _configure(self) -> None:
        lines = [f'token = "{CANARY}-token"']
        for name in SOURCES:
            lines += [f"[{name}]", f'secrets = ["{CANARY}-{name}-new", "{CANARY}-{name}-old"]']
        path = self.folder / "secrets.toml"
        path.write_text("\n".join(lines) + "\n")
        path.chmod(0o600)
        config = self.folder / "config.toml"
        config.write_text(f'[server]\npublic_url = "https://u:{CANARY}@hooks.example"\n')
        config.chmod(0o600)

    def words(self) -> str:
        """Stop it; everything that it said on stdout and stderr."""
        self.process.terminate()
        out, errors = self.process.communicate(timeout=PATIENCE)
        return self.url + out + errors


def cli(folder: Path, *arguments: str) -> str:
    """stdout and stderr of a command with the same configuration."""
    done = run(folder, *arguments)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def told(tmp_path_factory) -> dict[str, str]:
    """What was written, shown and sent, by place."""
    folder = tmp_path_factory.mktemp("canary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VS_SECRET_BUILDKITE", f"{CANARY}-of-a-variable")
        server = Watched(folder, "--db", str(folder / "t.db"))
    good = {"Authorization": f"Bearer {CANARY}-token"}
    start = {"type": "build", "id": "1", "action": "start", "name": "compile"}
    answers: list[object] = []

    def send(path: str, body: object, headers: dict[str, str] | None = None) -> None:
        answers.append(server.call(path, body, headers or good, token=""))

    send("/customhttp", start)
    send("/jenkins?token=" + f"{CANARY}-token", {"configFile": "x"}, {"X-Test": "1"})
    send("/trello?token=" + f"{CANARY}-token", {"action": {"id": "t"}}, {"X-Test": "1"})
    send("/gitlab", {"object_kind": "push"}, {"X-Gitlab-Token": f"{CANARY}-gitlab-new"})
    send("/github", {"zen": "x"}, {**good, "X-GitHub-Event": "ping", "Cookie": f"s={CANARY}"})
    # Wrong ones, too: people paste the right secret into the wrong place.
    for name in ("Authorization", "X-Gitlab-Token", "X-Hub-Signature-256", "X-VS-Signature"):
        for path in ("/customhttp", "/github", "/gitlab", "/jira"):
            send(path, start, {name: f"{CANARY}-wrong"})
    send(f"/nothing/{CANARY}?token={CANARY}", start)
    send("/customhttp", b"{not json", {**good, "Referer": f"https://u:{CANARY}@x.example/"})
    send("/customhttp", {"type": 1, "id": [], "action": "x"}, good)
    send(f"/customhttp?access_token={CANARY}", start, {**good, "Proxy-Authorization": CANARY})
    server.wait_for(
        lambda: server.call("/api/deliveries?filter=verdict:rejected", headers=good, token="")[1][
            "items"
        ],
        "refusals in Events",
    )
    found: dict[str, str] = {"answers": json.dumps(answers)}
    for path in ("/metrics", "/api/sources", "/api/health", "/api/spans", "/readyz", "/healthz"):
        found[path] = str(server.call(path, headers=good, token=""))
    _, listed = server.call("/api/deliveries?limit=1000", headers=good, token="")
    found["/api/deliveries"] = json.dumps(listed)
    for item in listed["items"]:
        found[f"delivery {item['id']}"] = str(
            server.call(f"/api/deliveries/{item['id']}", headers=good, token="")
        )
    arguments = Path(f"/proc/{server.process.pid}/cmdline")
    if arguments.exists():
        found["process list"] = arguments.read_text()
    found["doctor"] = cli(folder, "doctor", "--json", "--db", str(server.db))
    opened = sorted(folder.glob("t.db*"))
    assert {"t.db-wal", "t.db-shm"} <= {path.name for path in opened}
    found["database in use"] = "".join(path.read_bytes().decode("latin-1") for path in opened)
    found["output"] = server.words()
    found["database"] = "".join(
        path.read_bytes().decode("latin-1") for path in sorted(folder.glob("t.db*"))
    )
    for command in (
        ("db", "stats"),
        ("db", "verify"),
        ("config", "show"),
        ("config", "show", "--json"),
        ("ls",),
        ("ls", "--json"),
        ("report", "dora"),
        ("db", "forget", "--actor", "nobody-of-this-name"),
        ("record", "--out", str(folder / "recorded.jsonl")),
        ("screenshot", "--out", str(folder / "shots")),
    ):
        more = () if command[0] == "config" else ("--db", str(server.db))
        found[" ".join(command[:2])] = cli(folder, *command, *more)
    found["help"] = cli(folder, "--help") + cli(folder, "serve", "--help")
    for path in folder.rglob("*"):
        if (
            path.is_file()
            and path.name not in ("secrets.toml", "config.toml")
            and "t.db" not in path.name
        ):
            found[f"file {path.relative_to(folder)}"] = path.read_bytes().decode("latin-1")
    others = [path.name for path in folder.rglob("*.*") if path.stat().st_mode & 0o077]
    found["readable by others"] = " ".join(others)
    return found


def test_no_canary_is_anywhere(told) -> None:
    hits = {place: text.count(CANARY) for place, text in told.items() if CANARY in text}
    assert hits == {}


def test_the_test_looked_where_it_says(told) -> None:
    assert "compile" in told["database"]
    assert "compile" in told["/api/spans"]
    assert "listening" in told["output"]
    assert "vs_deliveries" in told["/metrics"]
    assert '"check"' in told["doctor"]
    assert "(set)" in told["config show"]
    assert "unauthorized" in told["/api/deliveries"]
    assert "compile" in told["file recorded.jsonl"]
    assert any(place.endswith(".svg") for place in told), "screenshots"


def test_whatever_was_written_is_private(told) -> None:
    assert told["readable by others"] == ""


@pytest.mark.parametrize("mask", [0o000, 0o022])
def test_every_file_is_private(tmp_path, mask) -> None:
    folder = tmp_path / "deep"
    before = os.umask(mask)
    try:
        server = Watched(tmp_path, "--db", str(folder / "t.db"))
        start = {"type": "b", "id": "1", "action": "start"}
        server.call("/customhttp", start, {"Authorization": f"Bearer {CANARY}-token"})
        running = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
        server.words()
        cli(tmp_path, "record", "--db", str(folder / "t.db"), "--out", str(folder / "out.jsonl"))
        cli(tmp_path, "db", "backup", "--db", str(folder / "t.db"), str(folder / "copy.db"))
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()}
    assert {"t.db", "t.db-wal", "t.db-shm"} <= set(running)
    assert {"t.db", "out.jsonl", "copy.db"} <= set(modes)
    assert set((running | modes).values()) == {0o600}, running | modes
    assert folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("name", ["t.db", "t.db.lock", "out.jsonl"])
def test_a_symbolic_link_is_not_followed(tmp_path, name) -> None:
    """Who may write into the folder could have us write over another file of ours."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    folder = tmp_path / "data"
    folder.mkdir()
    if name == "out.jsonl":
        with Watched(tmp_path, "--db", str(folder / "t.db")).process as process:
            process.terminate()
    (folder / name).symlink_to(precious)
    if name == "out.jsonl":
        said = cli(tmp_path, "record", "--db", str(folder / "t.db"), "--out", str(folder / name))
    else:
        said = cli(tmp_path, "serve", "--port", "0", "--db", str(folder / "t.db"))
    assert precious.read_text() == "precious"
    assert str(folder / name) in said


SECRET_WORDS = ("token", "secret", "signature", "digest", "password")


def test_secrets_are_compared_in_one_module_and_in_constant_time() -> None:
    """No `==`, `!=` or `in` between names that hold proofs, outside sources/signatures.py."""
    root = Path(vs_tui.__file__).parent
    found = []
    for folder in ("receiver", "sources"):
        for path in (root / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Compare) and _is_about_secrets(node):
                    found.append(f"{path.relative_to(root)}:{node.lineno}")
    assert found == []
    assert _is_about_secrets(ast.parse("given == token", mode="eval").body), "it finds one"


def _is_about_secrets(node: ast.Compare) -> bool:
    if not any(isinstance(op, ast.Eq | ast.NotEq | ast.In | ast.NotIn) for op in node.ops):
        return False
    sides = [node.left, *node.comparators]
    if any(isinstance(side, ast.Constant) for side in sides):
        return False  # compared with something that everyone can read
    names = {
        part.id if isinstance(part, ast.Name) else part.attr
        for side in sides
        for part in ast.walk(side)
        if isinstance(part, ast.Name | ast.Attribute)
    }
    return any(word in name.lower() for name in names for word in SECRET_WORDS)
