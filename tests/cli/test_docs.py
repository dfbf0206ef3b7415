"""docs/instrument.md: what people copy works."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.cli.shell import deliveries, one, tree
from tests.ingest.server import SECRETS
from vs_tui.cli.import_ import register as register_import
from vs_tui.cli.main import all_parsers

TEXT = (Path(__file__).parents[2] / "docs" / "instrument.md").read_text()
STUBS = ("docker", "gcloud", "webpack", "jest", "firebase", "pip")


WHEEL = "https://files.acme.example/vs_tui-0.2.0-py3-none-any.whl"


def snippet(heading: str, language: str) -> str:
    """The code below a heading."""
    section = TEXT.split(f"\n## {heading}\n", 1)[1].partition("\n## ")[0]
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", section, re.MULTILINE | re.DOTALL)
    return code


@pytest.fixture
def machine(shell):
    """A machine on which every tool of the snippets notes how it was called."""
    for name in STUBS:
        shell.stub(
            name, f'echo {name} "$@" >> "$HOME/calls"; [ -z "$FAIL" ] || [ "$1" != "$FAIL" ]'
        )
    links = "".join(f'ln -s "{shell.bin}/{name}" "$3/bin/"; ' for name in ("pip", "vs-tui"))
    shell.stub("python3", f'echo python3 "$@" >> "$HOME/calls"; mkdir -p "$3/bin"; {links}')
    shell.calls = lambda: (shell.folder / "calls").read_text().splitlines()
    return shell


def outcome(server) -> dict[str, str]:
    return {span["name"]: span["status"] for span in server.spans()}


def test_the_bash_script_runs(server, machine):
    machine.script(snippet("bash", "bash"))

    assert machine.calls() == [
        "docker build -t shop .",
        "docker run --rm shop ./smoke.sh",
        "gcloud app deploy --quiet",
    ]
    root = "release of shop"
    assert tree(server) == {root: None, "image": root, "smoke": root, "gcloud app": root}
    assert set(outcome(server).values()) == {"ok"}
    deploy = one(server.spans(), operation="deploy")
    assert (deploy["service"], deploy["environment"]) == ("shop", "prod")


def test_the_bash_script_tells_its_failure(server, machine):
    (machine.work / "release").write_text(snippet("bash", "bash"))
    done = machine.run("bash", "release", FAIL="run")

    assert done.returncode == 1
    assert outcome(server) == {"release of shop": "error", "image": "ok", "smoke": "error"}


@pytest.mark.parametrize(("failing", "status"), [("", "ok"), ("build", "error")])
def test_the_vscli_script_runs(server, machine, failing, status):
    machine.script(snippet("Scripts written for ValueStream", "bash"), FAIL=failing)

    spans = server.spans()
    root = one(spans, operation="pipeline")
    build = one(spans, operation="build")
    assert (root["status"], build["status"]) == ("ok", status)
    assert build["parent_span_id"] == root["span_id"]


def test_the_makefile_runs(server, machine):
    (machine.work / "Makefile").write_text(snippet("Makefile", "make"))
    done = machine.run("make", "release")

    assert (done.returncode, done.stderr) == (0, "")
    assert tree(server) == {
        "release": None,
        "build": "release",
        "test": "release",
        "gcloud app": "release",
    }


def test_the_steps_of_github_actions_run(server, machine):
    workflow = snippet("GitHub Actions", "yaml")
    blocks = re.findall(r"run: \|\n((?:          .*\n)+)", workflow)
    assert len(blocks) == 3
    folder = str(machine.folder)
    names = {"RUNNER_TEMP": folder, "GITHUB_PATH": f"{folder}/path", "VS_WHEEL": WHEEL}
    machine.script("set -e\n" + "".join(blocks), **names)

    assert outcome(server) == {"image": "ok", "gcloud app": "ok"}
    assert machine.calls()[:2] == [f"python3 -m venv {folder}/vs", f"pip install --no-deps {WHEEL}"]
    assert (machine.folder / "path").read_text() == f"{folder}/vs/bin\n"


def test_the_script_of_gitlab_ci_runs(server, machine):
    lines = re.findall(r"^    - '?(.*?)'?$", snippet("GitLab CI", "yaml"), re.MULTILINE)
    assert len(lines) == 5
    folder = str(machine.folder)
    machine.script("set -e\n" + "\n".join(lines), CI_PROJECT_DIR=folder, VS_WHEEL=WHEEL)

    assert outcome(server) == {"image": "ok", "gcloud app": "ok"}
    assert machine.calls()[:2] == [
        f"python3 -m venv {folder}/.vs",
        f"pip install --no-deps {WHEEL}",
    ]


def test_the_steps_of_the_jenkinsfile_run(server, machine):
    code = snippet("Jenkinsfile", "groovy")
    assert code.count("{") == code.count("}")
    lines = re.findall(r"\bsh '([^']*)'", code)
    assert len(lines) == 3
    machine.script("set -e\n" + "\n".join(lines))

    assert outcome(server) == {"image": "ok", "gcloud app": "ok"}


@pytest.mark.parametrize(("code", "status"), [(0, "ok"), (2, "error")])
def test_the_git_hook_runs_and_decides_on_the_push(server, machine, code, status):
    (machine.work / "Makefile").write_text(f"test: ; @exit {1 if code else 0}\n")
    remote = machine.folder / "remote.git"
    machine.run("git", "init", "-q", "--bare", str(remote))
    sha = machine.checkout("main", remote=str(remote))
    hook = machine.work / ".git" / "hooks" / "pre-push"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(snippet("git hooks", "sh"))
    hook.chmod(0o755)
    done = machine.run("git", "push", "-q", "origin", "main")

    assert (done.returncode == 0) == (code == 0)
    span = one(server.spans(), name="pre-push")
    assert (span["status"], span["operation"]) == (status, "test")
    assert span["attributes"]["vcs.ref.head.revision"] == sha


def test_the_npm_scripts_run(server, machine):
    package = snippet("npm scripts", "json")
    scripts = json.loads(package)["scripts"]
    machine.script("set -e\n" + "\n".join(scripts.values()))

    assert outcome(server) == {"build": "ok", "test": "ok", "firebase deploy": "ok"}
    if shutil.which("npm"):
        (machine.work / "package.json").write_text(package)
        done = machine.run("npm", "run", "--silent", "test", npm_config_update_notifier="false")
        assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_the_curl_forms_are_accepted(server, machine):
    secret = SECRETS["customhttp"]
    machine.script("set -e\n" + snippet("curl", "sh"), VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET=secret)

    assert [d["verdict"] for d in deliveries(server)] == ["accepted"] * 4
    spans = server.spans()
    deploy = one(spans, operation="deploy")
    assert (deploy["status"], deploy["error"]) == ("error", "the health check failed")
    assert (deploy["service"], deploy["environment"]) == ("shop", "prod")
    smoke = one(spans, operation="test")
    assert (smoke["status"], smoke["parent_span_id"]) == ("ok", deploy["span_id"])


def test_every_field_of_the_table_is_read(server, shell):
    page = (Path(__file__).parents[2] / "docs" / "sources" / "customhttp.md").read_text()
    table = page.split("| field | meaning |", 1)[1].partition("\n\n")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    fields = re.findall(r"`(\w+)`", " ".join(cells))
    assert len(fields) > 10
    values = {
        "action": "end",
        "status": "error",
        "error": "broken",
        "timestamp": "2026-03-02T10:00:00Z",
        "tags": {"service": "shop"},
        "traceparent": f"00-{'a' * 32}-{'b' * 16}-01",
    }
    status, answer = server.call("/customhttp", {name: values.get(name, name) for name in fields})

    assert status == 200, answer
    (span,) = server.spans()
    assert set(span["attributes"]) == {"service"}  # unknown fields would be attributes


def test_the_imports_of_the_page_are_understood():
    page = (Path(__file__).parents[2] / "docs" / "import.md").read_text()
    subparsers = argparse.ArgumentParser().add_subparsers()
    register_import(subparsers)
    commands = re.findall(r"^    [A-Z]+_TOKEN=\.\.\. +vs-tui import (.*)$", page, re.MULTILINE)
    parsed = [subparsers.choices["import"].parse_args(shlex.split(line)) for line in commands]

    assert [args.tool for args in parsed] == ["github", "gitlab", "jira"]
    for name in re.findall(r"`(--[a-z-]+)`", page):
        known = all_parsers(subparsers.choices["import"])
        assert any(name in parser._option_string_actions for parser in known), name
