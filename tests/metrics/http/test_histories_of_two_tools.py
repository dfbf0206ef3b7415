"""One deployment of which two tools tell: a host and a CI server, a server and its script."""

from __future__ import annotations

import pytest

from tests.metrics.http.ci import Otlp
from tests.metrics.http.clock import number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import ORDERS, Tell, of_projects, told_in
from tests.metrics.http.others import Jenkins, Script
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def server_and_its_script(story: Story, name: str) -> Wanted:
    """The script shortens the commit."""
    GitLab(story, f"acme/{name}").push((f"{name} c", "08:00"))
    Jenkins(story, f"acme/{name}").deploy("10:05", began="10:00", commit=f"{name} c")
    script = Script(story, f"acme/{name}", name)
    script.deploy("10:04", began="10:03", version=sha(f"{name} c")[:8])
    return {"lead": (2.0833, 1), "fail": (0, 1)}


def workflow_and_spans(story: Story, name: str) -> Wanted:
    """A deployment of a run of GitHub Actions, and a span of what it did."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c", "08:00"))
    own.deploy("09:10", began="09:00", commit=f"{name} c", run=(number(name), 1))
    Otlp(story, own.name).deploy("09:10", began="09:01", commit=f"{name} c")
    return {"lead": (1.1667, 1), "fail": (0, 1)}


def both_fail_and_run_again(story: Story, name: str) -> Wanted:
    own, script = GitHub(story, f"acme/{name}"), Script(story, f"acme/{name}", name)
    own.push((f"{name} c", "08:00"))
    for attempt, end in ((1, "09:10"), (2, "09:30")):
        began, ok = f"{end[:-1]}2", attempt == 2
        told = {"commit": f"{name} c", "run": (number(name), attempt), "job": attempt}
        own.deploy(f"{end[:-1]}8", ok, began=end, key=str(attempt), **told)
        script.deploy(f"{end[:-1]}7", ok, began=began, version=sha(f"{name} c"), key=str(attempt))
    return {"lead": (1.6333, 1), "fail": (0, 1)}


def host_names_the_commit(story: Story, name: str) -> Wanted:
    """The server names the version, the host its commit alone."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c", "08:00"))
    own.deploy("09:10", began="09:05", commit=f"{name} c", ref="v1.2")
    Jenkins(story, own.name).deploy("09:12", began="09:00", commit=f"{name} c", version="1.2")
    return {"lead": (1.2, 1), "fail": (0, 1)}


HISTORIES: dict[str, Tell] = {
    "two-short": server_and_its_script,
    "two-spans": workflow_and_spans,
    "two-again": both_fail_and_run_again,
    "two-version": host_names_the_commit,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_deployment_of_two_tools_has_the_values_computed_by_hand(receiver, order) -> None:
    """One receiver has both orders, so the second one repeats what is known."""
    assert told_in(order, receiver, of_projects(HISTORIES)) == {}
