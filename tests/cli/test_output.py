"""What a command prints may have nowhere to go: it ends with 1 and a line, never a traceback."""

from __future__ import annotations

import os
import sys

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


def test_no_stdout_at_all_is_fine(run, monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["config", "show"]) == 0
