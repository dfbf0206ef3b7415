"""Every command explains itself, and those that stand in scripts start fast."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from tests.ingest.server import run
from tests.patience import PATIENCE
from vs_tui.cli.commands import COMMANDS, register_command
from vs_tui.cli.main import all_parsers, main
from vs_tui.cli.vscli import vscli_parser
from vs_tui.log.recording import Delivery, format_line

HEAVY = (
    *("textual", "aiohttp", "pydantic", "orjson", "platformdirs"),
    *("asyncio", "dataclasses", "email", "http", "logging", "ssl", "tomllib"),
)


def parser_of(name):
    import argparse

    subparsers = argparse.ArgumentParser(prog="vs-tui").add_subparsers()
    return register_command(subparsers, name)


def ours(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", *arguments], capture_output=True, text=True, timeout=PATIENCE
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_help_reads_like_a_manual_page(name, tmp_path):
    done = run(tmp_path, name, "--help")

    assert (done.returncode, done.stderr) == (0, "")
    words = "" if name == "dashboard" else f"{name} "  # the default is typed without its name
    assert done.stdout.startswith(f"usage: vs-tui {words}")
    assert max(map(len, done.stdout.splitlines())) <= 100
    _, found, examples = done.stdout.partition("\nexamples:\n")
    assert found
    assert len(re.findall(r"^  (?:[A-Z_]+=\S+ +)*(?:source <\()?vs-tui\b", examples, re.M)) >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_are_understood(name):
    """By the very parser that they explain."""
    parser = parser_of(name)
    checked = 0
    for line in parser.epilog.split("examples:\n", 1)[1].split("\n\n", 1)[0].splitlines():
        command = re.split(r" {2,}|\s[|>]\s|\s2?>>", line.strip())[0]
        command = re.sub(r"^(?:[A-Z_]+=\S+ +)+", "", command)
        command = re.sub(r"^(?:source <\(|[A-Z]+=\$\()(.*)\)$", r"\1", command)
        words = shlex.split(command)
        if words[:2] != ["vs-tui", name]:
            assert name == "dashboard" or words[0] != "vs-tui"
            words = [*words[:1], name, *words[1:]]
        if words[0] == "vs-tui":
            parser.parse_args(words[2:])
            checked += 1
    assert checked >= 2


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_explained(name):
    for parser in all_parsers(parser_of(name)):
        actions = [action for action in parser._actions if action.option_strings]
        assert [action.option_strings for action in actions if not action.help] == []


@pytest.mark.parametrize("arguments", [("--help",), ("event", "--help"), ("event", "end", "-help")])
def test_vscli_explains_itself(arguments):
    done = ours("vs_tui.cli.vscli", *arguments)

    assert (done.returncode, done.stderr) == (0, "")
    assert "usage: vscli" in done.stdout
    assert vscli_parser().epilog.startswith("examples:")


@pytest.mark.parametrize(
    "name", ["ls", "link", "report", "doctor", "replay", "flush", "import", "db"]
)
def test_lists_can_be_json(name):
    leaves = [each for each in all_parsers(parser_of(name)) if not each._subparsers]
    for parser in leaves:
        assert {"--json", "--format"} & set(parser._option_string_actions), parser.prog


def test_the_overview_lists_every_command():
    done = ours("vs_tui", "--help")

    assert done.returncode == 0
    for name, text in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(text)}$", done.stdout, re.M)


def test_an_unknown_command_is_a_usage_error():
    done = ours("vs_tui", "deploi")

    assert (done.returncode, done.stdout) == (2, "")
    assert "'deploi' is not a command" in done.stderr
    assert "\n  serve " in done.stderr


@pytest.mark.parametrize(("missing", "said"), [("orjson", True), ("vs_tui.cli.ls", False)])
def test_a_package_that_is_not_installed_is_named(monkeypatch, capsys, missing, said):
    def importing(_, name):
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("vs_tui.cli.main.register_command", importing)
    if not said:
        with pytest.raises(ModuleNotFoundError):
            main(["ls"])
        return
    assert main(["ls"]) == 1
    told = "orjson is not installed, and `vs-tui ls` needs it; install vs-tui with its dependencies"
    assert told in capsys.readouterr().err


def test_a_value_that_means_nothing_is_a_usage_error(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("VS_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    recording = tmp_path / "day.jsonl"
    recording.write_bytes(format_line(Delivery(1, "/customhttp", b"{}", {})))
    for words, told in (
        (["record", "--since", "soon"], "--since 'soon': write"),
        (["replay", str(recording), "--speed", "fast"], "--speed 'fast': write"),
        (["secret", "show", "githup"], "there is no secret for 'githup'; there are token"),
        (["db", "prune", "--older-than", "soon"], "--older-than: 'soon' is not a duration"),
        (["db", "prune"], "say how old: --older-than 90d"),
    ):
        assert main(words) == 2, words
        assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "usage", "hint"),
    [
        (["serv"], "", "'serv' is not a command; did you mean `serve`?"),
        (["replay", "x", "--shift-now"], "vs-tui replay", "did you mean `--shift-to-now`?"),
        (["db", "stats", "--jsn=1"], "vs-tui db", "--jsn=1; did you mean `--json`?"),
        (["record", "--quux"], "vs-tui record", "unrecognized arguments: --quux\n"),
        (["ls", "kind:deploy", "-is:draft"], "vs-tui ls", "; put `--` before a filter's term"),
        (["ls", "-n", "0"], "vs-tui ls", "'0' is not a number; give 1 or more"),
        (["ls", "--limit=-5"], "vs-tui ls", "'-5' is not a number; give 1 or more"),
        (["ls", "-n", "²"], "vs-tui ls", "'²' is not a number; give 1 or more"),
    ],
)
def test_what_is_mistyped_is_told_by_its_own_command(capsys, arguments, usage, hint):
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = ended.code

    assert code == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"usage: {usage} " if usage else "vs-tui: ")
    assert hint in told.err


@pytest.mark.parametrize(
    "module", [f"vs_tui.cli.{name}" for name in ("vscli", "event", "run", "main")]
)
def test_what_stands_in_scripts_imports_little(module):
    """An event is sent by what is imported here; the figure is tests/benchmarks' business."""
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            f"import sys, {module}; print(*sorted({{n.split('.')[0] for n in sys.modules}}))",
        ],
        capture_output=True,
        text=True,
    )

    assert done.stderr == ""
    assert [name for name in HEAVY if name in done.stdout.split()] == []
