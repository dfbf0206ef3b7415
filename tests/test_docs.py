"""What the docs say exists, and what exists is said."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vs_tui
from vs_tui.api.openapi import READS, TEXTS, parameters
from vs_tui.cli.commands import COMMANDS, register_command
from vs_tui.cli.main import all_parsers, main
from vs_tui.config import load, settings_names
from vs_tui.metrics.cards import FORMS, read_goals
from vs_tui.metrics.definitions import METRICS, Unit
from vs_tui.tui.actions import ACTIONS, display_key

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text("utf-8")
KEYS = README.partition("## Keys")[2].partition("\n## ")[0]
PAGES = [
    *(ROOT / f"{name}.md" for name in ("README", "CONTRIBUTING", "SECURITY")),
    *sorted((ROOT / "docs").rglob("*.md")),
]


def cells(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[1:]]


def test_the_readme_lists_the_commands_that_exist_each_with_its_line() -> None:
    table = README.partition("## Commands")[2].partition("\n## ")[0]
    listed = {row[0].strip(" `|"): row[1].strip(" |") for row in cells(table) if "`" in row[0]}
    wanted = {
        "vs-tui" if name == "dashboard" else f"vs-tui {name}": text
        for name, text in COMMANDS.items()
    }
    assert listed == wanted


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_that_is_listed_has_help(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "vs_tui", name, "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    words = "" if name == "dashboard" else f"{name} "  # the default is typed without its name
    assert done.stdout.startswith(f"usage: vs-tui {words}[")


def named_options(page: Path) -> Iterator[tuple[str, str]]:
    """Each option that a page names for a command, in code or in running text."""
    text = page.read_text("utf-8")
    for line in re.findall(r"(?<![\w/.-])vs-tui([^`\n|]*)", text):
        command = re.split(r" {2,}|\s#\s|[>&;)]|\s--(?:\s|$)", line)[0].split()
        if command and (command[0] in COMMANDS or command[0].startswith("--")):
            name = command[0] if command[0] in COMMANDS else "dashboard"
            yield from (
                (name, option) for option in re.findall(r"--[a-z][a-z-]*", " ".join(command))
            )


def test_every_option_that_a_page_names_for_a_command_is_one() -> None:
    subparsers = argparse.ArgumentParser(prog="vs-tui").add_subparsers()
    known: dict[str, set[str]] = {}
    for name in COMMANDS:
        parsers = all_parsers(register_command(subparsers, name))
        known[name] = {option for each in parsers for option in each._option_string_actions}
    named = {(page.name, *found) for page in PAGES for found in named_options(page)}
    assert len(named) > 40, "the pages name options"
    others = {("flux.md", "dashboard", "--from-literal")}  # kubectl's
    assert {(p, name, option) for p, name, option in named if option not in known[name]} <= others


def test_the_version_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """The package's metadata comes from vs_tui/__init__.py; the changelog's newest entry has it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    assert "version" not in project["project"] and project["project"]["dynamic"] == ["version"]
    assert (ROOT / project["tool"]["hatch"]["version"]["path"]).samefile(vs_tui.__file__)
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert newest is not None and newest[1] == vs_tui.__version__
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"vs-tui {vs_tui.__version__} (Python 3.")


def test_every_setting_is_in_the_configuration_page_and_none_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `([a-z_.]+)` \|", CONFIGURATION, re.MULTILINE)
    assert sorted(listed) == sorted(settings_names())


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    """A new metric is an entry of METRICS and its row of the page."""

    def example(unit: Unit) -> str:
        return FORMS[unit].kind.split('"')[1]

    units = {
        Unit.PER_DAY: "deployments a day",
        Unit.DURATION: "time",
        Unit.SHARE: "%",
        Unit.PER_DEPLOYMENT: "changes",
    }
    rows = [
        [
            metric.title,
            f"`{metric.key}`",
            units[metric.unit],
            "more" if metric.more_is_better else "less",
            "yes" if metric.level or metric.unit is Unit.PER_DAY else "no",
            f"`{example(metric.unit)}`",
            metric.meaning,
        ]
        for metric in METRICS.values()
    ]
    page = (ROOT / "docs" / "metrics.md").read_text("utf-8")
    assert cells(page.partition("\n- **A deployment**")[0]) == rows
    for metric in METRICS.values():
        read_goals({"team": {metric.key: example(metric.unit)}})
    assert f'[goals.core] change_lead_time = "{example(METRICS["lead"].unit)}"' in page


def test_the_readme_configuration_is_accepted(tmp_path: Path) -> None:
    block = README.partition("```toml\n")[2].partition("```")[0]
    file = tmp_path / "config.toml"
    file.write_text(block)
    config = load(file, env={})
    assert config.teams.names == ["core"]
    assert config.public_url == "https://hooks.example.org"
    assert tomllib.loads(block).keys() == {"server", "teams", "environments", "spans"}


def test_the_keys_in_the_readme_exist_and_the_footer_is_explained() -> None:
    named = set(re.findall(r"`(\S{1,5})`", KEYS)) - {"…"}
    existing = {display_key(key) for action in ACTIONS for key in action.keys.split(",")}
    assert named <= existing, named - existing
    missing = [a.id for a in ACTIONS if a.shown and a.key not in named]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8"))
    for target in targets:
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (page.parent / target).exists(), target


def test_the_two_commands_are_there_once() -> None:
    commands = [line for line in README.splitlines() if line.startswith("python3 -m venv")]
    assert len(commands) == 2
    assert commands[0].endswith("vs-tui demo")
    assert commands[1].endswith("pytest -n auto")


def test_every_path_that_can_be_read_is_in_the_api_page(tmp_path: Path) -> None:
    from vs_tui.api.compatibility import EmMetricsApi
    from vs_tui.api.handlers import Api, Reporting

    page = (ROOT / "docs" / "api.md").read_text("utf-8")
    unused: Any = None
    paths = {
        *Api(unused, unused).paths(),
        *Reporting(unused).paths(),
        *(path.removeprefix("/api/v1") for path in EmMetricsApi(unused).paths()),
        *("/metrics", "/healthz", "/readyz"),
    }
    for path in paths:
        shown = re.sub(r"\{(\w+):.*\}$", r"{\1}", path)
        assert re.search(rf"`{re.escape(shown)}[`?]", page), shown


def test_the_api_page_lists_what_can_be_read_and_by_which_parameters() -> None:
    """All but those that only screens send."""
    lines = (ROOT / "docs" / "api.md").read_text("utf-8").splitlines()
    page = "\n".join(line for line in lines if line.startswith("| `/"))
    listed = {
        path: {name.partition("=")[0] for name in query.split("&")} - {""}
        for path, _, query in (word.partition("?") for word in re.findall(r"`(/[^`\s]*)`", page))
    }
    for path in [*READS, *TEXTS]:
        known = parameters(path)
        assert path in listed, path
        assert known is None or listed[path] == set(known) - {"quick"}, path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    named = re.findall(r"`((?:vs_tui|tests|docs)/[\w./*-]*)(?:::[^`]*)?`", page.read_text("utf-8"))
    assert [p for p in named if "NAME" not in p and not list(ROOT.glob(p.rstrip("/")))] == []


def test_the_layers_of_the_architecture_page_are_the_contract() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    layers = [re.findall(r"`(\w+)`", row[1]) for row in cells(page) if row[0].isdigit()]
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]
    contract = tools["importlinter"]["contracts"][0]["layers"]
    assert layers == [
        [name.strip().removeprefix("vs_tui.") for name in layer.split("|")] for layer in contract
    ]
    packages = {path.parent.name for path in (ROOT / "vs_tui").glob("*/__init__.py")}
    assert packages == {name for layer in layers for name in layer}


def test_names_that_the_contributing_page_gives_are_there() -> None:
    """A backticked name next to the file that is said to hold it."""
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    pairs = re.findall(r"`([A-Z]\w+)` (?:in|of) `(vs_tui/\S+\.py)`", page)
    assert len(pairs) >= 2
    for name, path in pairs:
        assert re.search(rf"\b{name}\b", (ROOT / path).read_text("utf-8")), (name, path)


def test_the_commands_of_the_gate_are_those_of_the_contributing_page() -> None:
    gate = (ROOT / ".ci" / "run").read_text("utf-8")
    page = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    for tool in ("ruff check", "ruff format --check", "mypy", "lint-imports"):
        assert tool in gate and tool in page
