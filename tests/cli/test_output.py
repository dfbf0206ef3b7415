"""What a command prints may have nowhere to go, or only where its characters are not known: it ends
with 1 and a line, or like any program in a pipe, never with a traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.ingest.inside import START, receiving
from vs_tui.cli import import_, link, vscli
from vs_tui.cli.commands import COMMANDS, PIPE_CLOSED
from vs_tui.cli.main import main
from vs_tui.cli.receiver_api import ReceiverApi
from vs_tui.log.recording import Delivery, format_line

ONE = Delivery(1_772_445_600_000_000, "/customhttp", START)

FULL = (
    ("vs-tui", ["--help"]),
    ("vs-tui", ["config", "show"]),
    ("vs-tui", ["secret", "show", "token"]),
    ("vs-tui", ["completion", "bash"]),
    ("vs-tui", ["flush", "--json"]),
    ("vs-tui", ["event", "start"]),
    ("vscli", ["event", "start"]),
)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs a command with this file as its stdout."""
    for name in ("VS_CONFIG_DIR", "VS_DATA_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("VS_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("VS_TOKEN", "t")

    def run(program, arguments, file):
        with file:
            monkeypatch.setattr(sys, "stdout", file)
            return (vscli.main if program == "vscli" else main)(arguments)

    return run


def full():
    return os.fdopen(os.open("/dev/full", os.O_WRONLY), "w")


@pytest.mark.parametrize(("program", "arguments"), FULL)
def test_a_full_disk_is_said(run, capsys, program, arguments):
    assert run(program, arguments, full()) == 1
    told = capsys.readouterr().err
    assert told == f"{program}: the output was not written: No space left on device\n"


DB = ["--db", "DB"]
PRINTING = {
    "ls": [["ls", *DB], ["ls", "--json", *DB], ["ls", "--by", "trace", *DB]],
    "report": [
        *(["report", "durations", "--format", form, *DB] for form in ("table", "csv", "markdown")),
        *(["report", name, "--json", *DB] for name in ("dora", "pull-requests", "expected")),
    ],
    "record": [["record", *DB]],
    "replay": [["replay", "RECORDING", "--db", "OTHER"]],
    "event": [["event", "start"]],
    "flush": [["flush"], ["flush", "--json"]],
    "link": [["link", "--json"], ["link", "show", "x"]],
    "connect": [["connect", "jenkins"], ["connect", "github", "--json"]],
    "import": [["import", "github", "acme/api"]],
    "config": [["config", "show"], ["config", "show", "--json"], ["config", "init"]],
    "source": [["source", "list"], ["source", "show", "vercel"]],
    "secret": [["secret", "show", "token"], ["secret", "list", "--json"]],
    "doctor": [["doctor", *DB], ["doctor", "--json", *DB]],
    "db": [["db", "stats", *DB], ["db", "verify", "--json", *DB]],
    "completion": [["completion", "bash"]],
}
"""Command -> calls that print. DB is a database with a span, RECORDING its delivery."""
SILENT = {"dashboard", "view", "demo", "serve", "run", "export", "screenshot"}
"""They draw, go on without a reader, print nothing, or print as the others do once all is done."""


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    """A database with a span."""
    path: Path = tmp_path_factory.mktemp("output") / "some.db"

    async def make() -> None:
        async with receiving(path.parent) as runtime:
            await runtime.ingest("/customhttp", {}, START)

    asyncio.run(make())
    (path.parent / "inside.db").rename(path)
    return path


@pytest.fixture
def elsewhere(monkeypatch) -> None:
    """Commands that ask a receiver or a tool get an answer."""

    class Answering(ReceiverApi):
        def __init__(self, *_: object) -> None:
            self.verdicts = Counter(accepted=1)

        def get(self, path: str) -> dict[str, Any]:
            link = {"primary": True, "parent": "p", "why": "w", "rule": "r", "confidence": 1}
            return {"items": [], "next": "", "span_id": "x", "links": [link], "path": path}

        def check(self) -> None:
            pass

        def close(self) -> None:
            pass

    for module in (link, import_):
        monkeypatch.setattr(module, "ReceiverApi", Answering)
    monkeypatch.setattr(import_._Import, "run", lambda *_: [])
    monkeypatch.setenv("GITHUB_TOKEN", "t")


def closed_pipe():
    reading, writing = os.pipe()
    os.close(reading)
    return os.fdopen(writing, "w")


def test_every_command_has_its_place_here() -> None:
    assert COMMANDS.keys() == PRINTING.keys() | SILENT


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        *(("vs-tui", [name, "--help"]) for name in COMMANDS),
        *(("vs-tui", call) for calls in PRINTING.values() for call in calls),
        *(("vs-tui", [option]) for option in ("--help", "--version")),
        *(("vscli", call) for call in (["event", "start"], ["event", "--help"])),
    ],
)
def test_a_reader_that_has_gone_is_no_news(
    run, capsys, database, elsewhere, tmp_path, program, arguments
):
    """The command ends at once, without a word, and with the code of a closed pipe."""
    (tmp_path / "one.jsonl").write_bytes(format_line(ONE))
    names = {"DB": database, "OTHER": tmp_path / "other.db", "RECORDING": tmp_path / "one.jsonl"}
    arguments = [str(names.get(word, word)) for word in arguments]
    assert run(program, arguments, closed_pipe()) == PIPE_CLOSED
    assert "rror" not in capsys.readouterr().err


def test_the_code_is_that_of_other_programs_in_a_pipe(tmp_path):
    env = {**os.environ, "VS_CONFIG_DIR": str(tmp_path), "VS_DATA_DIR": str(tmp_path)}
    with closed_pipe() as pipe:
        words = [sys.executable, "-m", "vs_tui", "completion", "bash"]
        ended = subprocess.run(words, env=env, stdout=pipe, stderr=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stderr) == (128 + signal.SIGPIPE, b"")


def test_an_event_is_kept_though_its_id_could_not_be_printed(run, tmp_path):
    assert run("vscli", ["event", "start"], full()) == 1
    assert len(list(tmp_path.rglob("*.event"))) == 1


@pytest.mark.parametrize(
    "arguments", [["config", "init", "--config", "FILE/x"], ["screenshot", "--out", "FILE/x"]]
)
def test_a_file_that_cannot_be_used_is_named(run, tmp_path, capsys, arguments):
    (tmp_path / "file").write_text("")
    arguments = [each.replace("FILE", str(tmp_path / "file")) for each in arguments]
    assert main(arguments) == 1
    told = capsys.readouterr().err
    assert told.startswith(f"vs-tui: {tmp_path / 'file'}")
    assert told.endswith("; see whether it is there and whether you may use it\n")


@pytest.mark.parametrize("command", ["report dora", "config show", "--help"])
def test_what_is_printed_to_a_closed_stdout_is_missed(database, tmp_path, command):
    ended = in_shell(f"{command} >&-", database, tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr == "vs-tui: the output was not written: Bad file descriptor\n"


def test_an_error_for_a_closed_stderr_is_not_printed_elsewhere(database, tmp_path):
    ended = in_shell("ls 'dur>x' 2>&-", database, tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")


def in_shell(command, database, folder):
    env = {**os.environ, "VS_CONFIG_DIR": str(folder), "VS_DB": str(database)}
    words = ["bash", "-c", f"exec '{sys.executable}' -m vs_tui {command}"]
    return subprocess.run(words, env=env, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_data_is_utf_8_in_every_locale(run, tmp_path, encoding):
    (tmp_path / "config.toml").write_text('[views]\n"Ärger 🐛" = "state:failed"\n', "utf-8")
    with open(tmp_path / "out", "w", encoding=encoding) as out:  # noqa: PTH123 - as a shell does
        assert run("vs-tui", ["config", "show"], out) == 0
    assert "Ärger 🐛" in (tmp_path / "out").read_text("utf-8")


def test_a_terminal_gets_escapes_for_what_it_cannot_show(run, tmp_path):
    (tmp_path / "config.toml").write_text('[views]\n"Ärger 🐛" = "state:failed"\n', "utf-8")
    ours, theirs = os.openpty()
    assert run("vs-tui", ["config", "show"], os.fdopen(theirs, "w", encoding="latin-1")) == 0
    shown = b""
    while "Ärger \\U0001f41b".encode("latin-1") not in shown:
        shown += os.read(ours, 10_000)
    os.close(ours)


@pytest.mark.parametrize("command", [[], ["demo"], ["view", "t.db"]])
def test_no_dashboard_without_a_terminal(run, tmp_path, capsys, monkeypatch, command):
    import asyncio

    from tests.store.conftest import Clock
    from vs_tui.store.writer import Writer

    async def make() -> None:
        writer = Writer(Path("t.db"), Clock())
        await writer.open()
        await writer.close()

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("vs_tui.cli.dashboard.terminal_is_there", lambda: False)
    asyncio.run(make())
    assert main(command) == 1
    assert "the dashboard needs a terminal" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["view", "t.db"]])
def test_a_key_of_no_action_ends_a_dashboard_before_it_begins(run, tmp_path, capsys, command):
    (tmp_path / "config.toml").write_text('[keys]\nfrz = "space"\n')
    assert main(command) == 1
    assert "config.toml: [keys] frz is not an action; use one of" in capsys.readouterr().err
