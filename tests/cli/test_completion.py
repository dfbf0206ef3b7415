"""Completion scripts, run by the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import sys

import pytest

from vs_tui.cli.main import COMMANDS

# Calls the completion function as readline does and prints what it offers.
ASK = """
source "$SCRIPT"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE}
_vs_tui 2>/dev/null
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completion")
    for name in ("bash", "zsh", "fish"):
        done = subprocess.run(
            [sys.executable, "-m", "vs_tui", "completion", name], capture_output=True, text=True
        )
        assert (done.returncode, done.stderr) == (0, "")
        (folder / name).write_text(done.stdout)
    return folder


def offers(scripts, folder, *words: str) -> list[str]:
    """What bash offers for the last word."""
    done = subprocess.run(
        ["bash", "--norc", "-c", ASK, "bash", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "SCRIPT": str(scripts / "bash")},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split()


def test_bash_offers_every_command(scripts, tmp_path):
    assert offers(scripts, tmp_path, "vs-tui", "") == list(COMMANDS)
    assert offers(scripts, tmp_path, "/usr/bin/vs-tui", "sc") == ["screenshot"]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["vs-tui", "--no"], ["--no-auth", "--no-auth-public"]),
        (["vs-tui", "db", "ver"], ["verify"]),
        (["vs-tui", "secret", "show", "ver"], ["vercel"]),
        (["vs-tui", "secret", "rotate", "tok"], ["token"]),
        (["vs-tui", "source", "show", "stat"], ["statuspage"]),
        (["vs-tui", "record", "--source", "argor"], ["argorollouts"]),
        (["vs-tui", "db", "verify", "--j"], ["--json"]),
        (["vs-tui", "--db", "verify", "--no"], ["--no-auth", "--no-auth-public"]),
        (["vs-tui", "completion", ""], ["bash", "zsh", "fish"]),
        (["vs-tui", "demo", "--theme", "d"], ["dark"]),
        (["vs-tui", "demo", "--theme", "=", "li"], ["light"]),
        (["vs-tui", "demo", "--theme", "="], ["auto", "dark", "light", "ansi", "mono"]),
        (["vs-tui", "event", "--type", "test", "st"], ["start"]),
        (["vs-tui", "event", "--type", "=", "test", "end", "--err"], ["--error"]),
        (["vs-tui", "replay", "rec"], ["recording.jsonl"]),
        (["vs-tui", "serve", "--config", "rec"], ["recording.jsonl"]),
        (["vs-tui", "serve", "--port", ""], []),
        (["vs-tui", "run", "--env"], ["--environment"]),
        (["vs-tui", "run", "--", "print"], ["printf", "printenv"]),
        (["vs-tui", "run", "--type", "test", "prin"], ["print", "printf", "printenv"]),
        (["vs-tui", "run", "--", "cat", "rec"], ["recording.jsonl"]),
        (["vscli", "ev"], ["event"]),
        (["vscli", "event", "-ty"], ["-type"]),
        (["vscli", "event", "-type", "=", "build", "end", "-event-i"], ["-event-id"]),
    ],
)
def test_bash_completes(scripts, tmp_path, words, expected):
    (tmp_path / "recording.jsonl").touch()

    found = offers(scripts, tmp_path, *words)

    if expected[:1] in (["print"], ["printf"]):  # commands of this machine
        assert {"printf", "printenv"} <= set(found)
        assert all(name.startswith("prin") for name in found)
    else:
        assert found == expected


def test_every_offered_option_is_understood(scripts, tmp_path):
    """Options come out of the parsers; this asks the commands' own help."""
    for name in ("replay", "run", "db prune", "event start"):
        words = name.split()
        shown = subprocess.run(
            [sys.executable, "-m", "vs_tui", *words, "--help"], capture_output=True, text=True
        ).stdout
        offered = offers(scripts, tmp_path, "vs-tui", *words, "--")
        assert len(offered) > 2
        assert [option for option in offered if option not in shown] == []


def test_the_tab_key_of_a_real_bash(scripts, tmp_path):
    ours, theirs = pty.openpty()
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "TERM": "dumb", "PS1": "$ ", "HOME": str(tmp_path)},
        start_new_session=True,
    )
    os.close(theirs)
    os.write(ours, f"source {scripts / 'bash'}\n".encode())
    os.write(ours, b'vs-tui() { echo got: "$@"; }\n')
    os.write(ours, b"vs-tui db veri\t--js\t\nvs-tui demo --theme=mo\t\nexit\n")
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
    shell.wait(10)

    answers = re.findall(r"^got: (.*?)\s*$", seen.decode("utf-8", "replace"), re.MULTILINE)
    assert answers == ["db verify --json", "demo --theme=mono"], seen


@pytest.mark.skipif(not shutil.which("fish"), reason="needs fish")
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("vs-tui scre", ["screenshot"]),
        ("vs-tui db ver", ["verify"]),
        ("vs-tui db verify --js", ["--json"]),
        ("vs-tui demo --theme m", ["mono"]),
        ("vscli event start -parent", ["-parent-event-id"]),
        ("vs-tui run --type test -- vs-tui db verif", ["verify"]),
    ],
)
def test_fish_completes(scripts, line, expected):
    done = subprocess.run(
        ["fish", "--no-config", "-c", f"source {scripts / 'fish'}; complete -C '{line}'"],
        capture_output=True,
        text=True,
    )

    assert done.stderr == ""
    assert [answer.split("\t")[0] for answer in done.stdout.splitlines()] == expected


@pytest.mark.skipif(not shutil.which("zsh"), reason="needs zsh")
def test_zsh_reads_the_script(scripts):
    load = (
        f"autoload -U compinit; compinit -D -u; source {scripts / 'zsh'}; print ${{_comps[vs-tui]}}"
    )
    done = subprocess.run(["zsh", "-f", "-c", load], capture_output=True, text=True)

    assert (done.stdout.strip(), done.stderr) == ("_vs_tui", "")
