"""Completion as a shell asks for it, and once by the tab key of a real one."""

from __future__ import annotations

import io
import os
import pty
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.shell import Shell
from tests.ingest.server import run
from tests.patience import PATIENCE
from vs_tui.cli import main as completion
from vs_tui.cli.commands import COMMANDS
from vs_tui.cli.vscli import vscli_parser


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    (tmp_path / "recording.jsonl").touch()
    monkeypatch.chdir(tmp_path)


def offers(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is offered at the end of a line."""

    def end(code: int) -> None:
        raise SystemExit(code)

    answers = tmp_path / "answers"
    asked = {
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "_ARGCOMPLETE_SHELL": "bash",
        "_ARGCOMPLETE_COMP_WORDBREAKS": " \t\n\"'><=;|&(:",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line)),
    }
    # It takes file descriptor 9, which is one of pytest's.
    monkeypatch.setattr("argcomplete.finders.CompletionFinder._init_debug_stream", lambda _: None)
    # The one that it has is the stderr of the test that imported it, which is closed.
    monkeypatch.setattr("argcomplete.io.debug_stream", io.StringIO())
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit, match="0"):
        if Path(line.split()[0]).name == "vscli":
            parser = completion.with_one_dash(vscli_parser())
        else:
            parser = completion.vs_tui_parser(completion.words_before()[1:2])
        completion.answer(parser, end)
    return answers.read_text().split("\n") if answers.read_text() else []


def test_every_command_is_offered(tmp_path, monkeypatch):
    found = offers("vs-tui ", tmp_path, monkeypatch)
    assert [name for name in found if not name.startswith("-")] == list(COMMANDS)
    assert "--no-auth" in found, "without a command they are the dashboard's"
    assert offers("/usr/bin/vs-tui sc", tmp_path, monkeypatch) == ["screenshot"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vs-tui --no", ["--no-auth", "--no-auth-public"]),
        ("vs-tui db ver", ["verify"]),
        ("vs-tui secret show ver", ["vercel"]),
        ("vs-tui secret rotate tok", ["token"]),
        ("vs-tui source show stat", ["statuspage"]),
        ("vs-tui record --source argor", ["argorollouts"]),
        ("vs-tui db verify --j", ["--json"]),
        ("vs-tui --db verify --no", ["--no-auth", "--no-auth-public"]),
        ("vs-tui completion b", ["bash"]),
        ("vs-tui demo --theme d", ["dark"]),
        ("vs-tui demo --theme=li", ["light"]),
        ("vs-tui demo --theme ", ["auto", "dark", "light", "ansi", "mono"]),
        ("vs-tui event --type test st", ["start"]),
        ("vs-tui event --type=test end --err", ["--error"]),
        ("vs-tui replay rec", ["recording.jsonl"]),
        ("vs-tui serve --config rec", ["recording.jsonl"]),
        ("vs-tui serve --port ", []),
        ("vs-tui run --env", ["--environment"]),
        ("vs-tui run cat rec", ["recording.jsonl"]),
        ("vs-tui run -- cat rec", ["recording.jsonl"]),
        ("vscli ev", ["event", "ev"]),
        ("vscli event -ty", ["-type"]),
        ("vscli event -type=build end -event-i", ["-event-id"]),
        ("vscli event -type build end -event-i", ["-event-id"]),
    ],
)
def test_it_completes(tmp_path, monkeypatch, line, expected):
    assert offers(line, tmp_path, monkeypatch) == expected


@pytest.mark.parametrize("line", ["vs-tui run prin", "vs-tui run --type test -- prin"])
def test_the_programs_of_the_machine_can_be_run(tmp_path, monkeypatch, line):
    found = offers(line, tmp_path, monkeypatch)
    assert {"printf", "printenv"} <= set(found)
    assert all(name.startswith("prin") for name in found)


def test_the_tab_key_of_a_real_bash(tmp_path):
    shell = Shell(tmp_path / "machine", "http://127.0.0.1:1")
    script = tmp_path / "bash"
    script.write_text(run(tmp_path, "completion", "bash").stdout)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={**shell.env, "TERM": "dumb", "PS1": "$ "},
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, f"source {script}\n".encode())
    os.write(ours, b"vs-tui completion ba\t> completed\nexit\n")
    seen = b""
    while True:
        try:
            chunk = os.read(ours, 4096)
        except OSError:  # the shell has gone
            break
        if not chunk:
            break
        seen += chunk
    os.close(ours)
    process.wait(PATIENCE)

    assert (tmp_path / "completed").read_text().startswith("#compdef vs-tui vscli"), seen


@pytest.mark.parametrize("name", completion.SHELLS)
def test_the_shell_reads_the_script(tmp_path, name):
    done = run(tmp_path, "completion", name)
    assert (done.returncode, done.stderr) == (0, "")
    for program in completion.PROGRAMS:
        assert re.search(rf"\b{program}\b", done.stdout)
    if not shutil.which(name):
        pytest.skip(f"needs {name}")
    script = tmp_path / "script"
    script.write_text(done.stdout)
    read = subprocess.run([name, "-n", str(script)], capture_output=True, text=True, check=False)
    assert (read.returncode, read.stderr) == (0, "")
