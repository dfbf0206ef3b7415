"""What a command prints may have nowhere to go, or only where its characters are not known: it ends
with 1 and a line, never a traceback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vs_tui.cli import vscli
from vs_tui.cli.main import main

COMMANDS = (
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


@pytest.mark.parametrize(("program", "arguments"), COMMANDS)
def test_a_full_disk_is_said(run, capsys, program, arguments):
    assert run(program, arguments, full()) == 1
    told = capsys.readouterr().err
    assert told == f"{program}: the output was not written: No space left on device\n"


@pytest.mark.parametrize(("program", "arguments"), COMMANDS)
def test_a_reader_that_has_gone_is_no_news(run, capsys, program, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    assert run(program, arguments, os.fdopen(writing, "w")) == 1
    assert capsys.readouterr().err == ""


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


def test_no_stdout_at_all_is_fine(run, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["config", "show"]) == 0


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
