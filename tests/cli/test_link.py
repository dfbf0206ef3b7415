"""`vs-tui link`: what was decided about links is listed as long as it stands."""

from __future__ import annotations

import json

import pytest


@pytest.fixture
def refs(shell) -> list[str]:
    """A pipeline, a build and a deploy that nothing links."""
    kinds = ("pipeline", "build", "deploy")
    return [shell.here("event", "--type", k, "start").stdout.strip() for k in kinds]


def listed(shell, *words: str) -> list[tuple[str, str, str]]:
    done = shell.here("link", *words, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [(e["action"], e["child"], e["parent"]) for e in json.loads(done.stdout)["items"]]


def test_decisions_are_listed_until_they_are_taken_back(shell, refs):
    pipeline, build, deploy = refs
    assert listed(shell) == []
    for words in (
        ("pin", build, pipeline),
        ("cut", deploy, pipeline),
        ("pin", deploy, build),
    ):
        assert shell.here("link", *words).returncode == 0

    standing = [("cut", deploy, pipeline), ("pin", deploy, build), ("pin", build, pipeline)]
    assert listed(shell) == listed(shell, "list") == standing
    shown = shell.here("link").stdout.splitlines()
    assert shown[1] == f"pin  {deploy}  below  {build}"

    shell.here("link", "clear", deploy)
    shell.here("link", "cut", build, pipeline)
    assert listed(shell) == [("cut", build, pipeline)], "a pin that was cut stands no longer"


def test_nothing_decided_says_so_and_a_decision_about_nothing_fails(shell, server):
    nothing = shell.here("link")
    assert (nothing.returncode, nothing.stdout) == (0, "")
    assert "nothing is pinned or cut" in nothing.stderr

    unknown = shell.here("link", "cut", "no-such", "span")
    assert unknown.returncode == 1
    assert "there is no span no-such" in unknown.stderr

    server.stop()
    down = shell.here("link")
    assert down.returncode == 1
    assert "start it with `vs-tui serve`" in down.stderr
