"""Hostile texts through every plain command: what is printed cannot steer the terminal."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from tests.tui.hostile import SEQUENCES, texts
from vs_tui.cli.main import main
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config
from vs_tui.export.report_writer import csv_text, markdown_text, plain_text
from vs_tui.model.display import clean, escaped_json
from vs_tui.model.time import SECOND

HOSTILE = texts(1_000)
NOW = 1_772_445_600 * SECOND


def steers(text: str) -> list[str]:
    """Characters that a terminal would act on; joiners inside emoji are none."""
    return [f"U+{ord(c):04X}" for c in text if not c.isprintable() and c not in "\n\u200d\ufe0f"]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A database in which every text is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    config = Config(db=folder / "t.db")

    async def fill() -> None:
        runtime = Runtime(config, lambda: NOW)
        await runtime.open_store()
        sent = []
        for number, text in enumerate(HOSTILE):
            shown = text.encode("utf-8", "replace").decode()
            kind = ("deploy", "build", "incident", "pull_request")[number % 4]
            body = {
                "type": kind, "id": f"{number}", "action": "end" if number % 3 else "start",
                "error": shown if number % 2 else False, "name": f"n{shown}",
                "namespace": f"p{shown}"[:190], "traceparent": shown, "parentid": f"{shown}"[:390],
                "tags": {
                    **dict.fromkeys(("user", "service", "environment", "branch", "version"), shown),
                    f"k{shown}": shown, "url": f"https://x/{shown}", "team": shown,
                },
            }  # fmt: skip
            data = orjson.dumps(body)
            sent.append(runtime.ingest("/customhttp", {}, data, NOW + number * SECOND))
        outcomes = await asyncio.gather(*sent)
        assert sum(outcome is not None for outcome in outcomes) > 900
        await runtime.close()

    asyncio.run(fill())
    return folder


@pytest.fixture(autouse=True)
def environment(home, monkeypatch) -> None:
    monkeypatch.setenv("VS_CONFIG_DIR", str(home))
    monkeypatch.setenv("VS_DATA_DIR", str(home))
    for name in ("VS_URL", "VS_TOKEN", "VS_PARENT", "TRACEPARENT"):
        monkeypatch.delenv(name, raising=False)


REPORTS = ("dora", "durations", "pull-requests", "teams")
COMMANDS = [
    ["ls", "-n", "1000"],
    ["ls", "-n", "1000", "--json"],
    ["ls", "state:failed", "-n", "500"],
    ["db", "stats"],
    ["db", "stats", "--json"],
    ["db", "verify"],
    ["record"],
    ["doctor"],
    ["doctor", "--json"],
    ["config", "show"],
    *(["report", name, "--since", "2026-01-01", "--format", form]
      for name in REPORTS for form in ("table", "json", "csv", "markdown")),
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_no_command_prints_what_steers_a_terminal(home, capfd, command) -> None:
    main([*command, *([] if command[0] == "config" else ["--db", str(home / "t.db")])])
    out, err = capfd.readouterr()
    assert out
    # RFC 4180 ends lines with CR LF.
    assert steers(out.replace("\r\n", "\n") + err) == [], (out + err)[:300]


def test_the_commands_did_show_them(home, capfd) -> None:
    main(["ls", "-n", "1000", "--db", str(home / "t.db")])
    out, _ = capfd.readouterr()
    assert "␛]0;PWNED␇" in out
    assert "[@click=app.quit]x[/]" in out
    main(["ls", "-n", "1000", "--json", "--db", str(home / "t.db")])
    names = {json.loads(line)["name"] for line in capfd.readouterr().out.splitlines()}
    stored = {f"n{text.encode('utf-8', 'replace').decode()}"[:500] for text in HOSTILE}
    assert len(names & stored) > 700, "JSON keeps what was sent"


@contextmanager
def hostile_receiver(text: str, status: int) -> Iterator[str]:
    """Answers everything with hostile words."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", "0")))
            body = orjson.dumps(dict.fromkeys(("error", "detail", "verdict", "reason"), text))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [200, 400, 401, 404])
def test_a_hostile_receiver_steers_nobody(home, capfd, tmp_path, monkeypatch, status) -> None:
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    text = "".join(each for each in SEQUENCES if len(each) < 60)
    recording = tmp_path / "one.jsonl"
    line = {"received_at": "2026-03-02T10:00:00Z", "path": "/github", "headers": {}, "body": {}}
    recording.write_bytes(orjson.dumps(line) + b"\n")
    with hostile_receiver(text.encode("utf-8", "replace").decode(), status) as url:
        monkeypatch.setenv("VS_URL", url)
        for command in (
            ["event", "--type", "build", "start"],
            ["flush"],
            ["link", "show", "x"],
            ["link", "cut", "a", "b"],
            ["replay", str(recording), "--to", url, "--speed", "max"],
            *([["view", url]] if status != 200 else []),  # else it would open
        ):
            # What comes of an answer that no receiver gives is not this test's matter.
            with suppress(SystemExit, KeyError, TypeError):
                main(command)
            out, err = capfd.readouterr()
            assert steers((out + err).replace("\r", "")) == [], (command, out, err)
        # It waits for its child by signals, which are a process' own.
        done = subprocess.run(
            [sys.executable, "-m", "vs_tui", "run", "--", "true"], capture_output=True, check=True
        )
        assert steers((done.stdout + done.stderr).decode()) == []


WORDS = [each for each in SEQUENCES if "\0" not in each and len(each) < 60 and not each.isascii()]
WORDS += ["\x1b]0;PWNED\x07", "\x1b[2J", "\r\n\t\x08", "\x7f"]


@pytest.mark.parametrize("word", WORDS[::2], ids=ascii)
def test_an_error_about_a_hostile_word_is_harmless(home, capfd, word) -> None:
    path = f"/nowhere/{word.replace('/', '')}"
    for command in (
        ["ls", "--db", path],
        ["db", "stats", "--db", path],
        ["view", path],
        ["ls", f"state:{word}", "--db", str(home / "t.db")],
        ["report", "dora", "--since", f"x{word}", "--db", str(home / "t.db")],
    ):
        with suppress(SystemExit):
            main([each.encode("utf-8", "replace").decode() for each in command])
        out, err = capfd.readouterr()
        assert steers(out + err) == [], (command, err)


MIXED = "".join(each for each in SEQUENCES if len(each) < 60).replace("\0", "")
SETTINGS = {
    "server": ("host", "db", "public_url", "log_level", "log_format"),
    "ui": ("theme", "zone", "watch_command"),
    "views": (MIXED,),
    "keys": (MIXED, "open"),
    "retention": ("age",),
    "environments": ("production", MIXED),
    MIXED: (MIXED,),
}


def toml(text: str) -> str:
    return json.dumps(text.encode("utf-8", "replace").decode()).replace("\x7f", "\\u007f")


@pytest.mark.parametrize(
    ("table", "name"), [(table, name) for table, names in SETTINGS.items() for name in names],
    ids=lambda each: each if each != MIXED else "hostile",
)  # fmt: skip
def test_a_hostile_configuration_steers_nobody(home, capfd, tmp_path, monkeypatch, table, name):
    """Valid or not: what is shown of it, and what an error says about it."""
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    setting = f"[{toml(table)}]\n{toml(name)} = {toml(MIXED)}\n"
    team = f"[teams.{toml(MIXED)}]\nusers = [{toml(MIXED)}]\nprojects = [{toml(MIXED)}]\n"
    (tmp_path / "config.toml").write_text(setting + team)
    (tmp_path / "secrets.toml").write_text(f"token = {toml(MIXED)}\n")
    for command in (
        ["config", "show"],
        ["config", "show", "--json"],
        ["ls", "team:x", "--db", str(home / "t.db")],
        ["doctor", "--json", "--db", str(home / "t.db")],
        ["report", "dora", "--db", str(home / "t.db")],
        ["secret", "show", MIXED],
        ["secret", "show", "token", "--help"],
        ["import", "github", MIXED, "--only", MIXED],
        ["db", "prune", "--dry-run", "--db", str(home / "t.db"), "--older-than", MIXED],
        ["db", "forget", "--dry-run", "--db", str(home / "t.db"), "--actor", MIXED],
        [MIXED],
    ):
        with suppress(SystemExit):
            main([each.encode("utf-8", "replace").decode() for each in command])
        out, err = capfd.readouterr()
        assert out or err, command
        assert steers(out + err) == [], (command, out, err)


def test_escaped_json_is_the_same_value() -> None:
    for text in HOSTILE:
        value = {text.encode("utf-8", "replace").decode(): ["\x7f\x9b\u202e\U000e0041"]}
        shown = escaped_json(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())
        assert json.loads(shown) == value
        assert steers(shown) == []
        assert "\u200d" not in shown


def test_cells_of_csv_are_no_formulas_and_come_back() -> None:
    rows = [[text] for text in HOSTILE if not text.startswith("'")]
    rows += [
        [f"{sign}{more}"] for sign in "=+-@\t\r＝＋－＠" for more in ("1", "cmd|' /C calc'!A0", "")
    ]
    rows += [[f" \t {sign}1"] for sign in "=+-@"]
    found = list(csv.reader(io.StringIO(csv_text(["title"], rows), newline="")))
    assert len(found) == len(rows) + 1
    for (cell,), (text,) in zip(found[1:], rows, strict=True):
        assert not cell.lstrip().startswith(tuple("=+@＝＋－＠")), cell
        assert not cell.lstrip().startswith("-") or cell == "-"
        begins = clean(text).lstrip()[:1]
        back = cell[1:] if cell.startswith("'") and begins in tuple("=+-@＝＋－＠") else cell
        assert back == clean(text)


def test_markdown_and_plain_tables_keep_their_shape() -> None:
    rows = [[text, "x"] for text in HOSTILE]
    lines = markdown_text(["a", "b"], rows).splitlines()
    assert len(lines) == len(rows) + 2
    for line in lines[2:]:
        bare = re.sub(r"\\.", "", line)
        assert bare.count("|") == 3, line
        assert not re.search(r"[<>\[\]`*_#~&$]", bare), line
    assert len(plain_text(["a", "b"], rows).splitlines()) >= len(rows) + 1
    assert steers(plain_text(["a", "b"], rows)) == []
    # Two columns of a terminal each, and a mark that takes none.
    assert (
        plain_text(["a", "b"], [["日本", "x"], ["e\u0301", "y"]])
        == "a     b\n日本  x\ne\u0301     y\n"
    )
