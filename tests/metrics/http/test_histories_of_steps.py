"""Jenkins' OpenTelemetry plugin as it sends in reality: each step in a request of its own, before
the root, which alone names the job."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.ci import _typed, seconds
from tests.metrics.http.clock import sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, of_projects, told_in
from tests.metrics.http.others import alertmanager
from tests.metrics.http.story import Story, command, send
from tests.metrics.http.test_histories import Wanted

TEAMS = """
[teams.shop]
projects = ["acme/st*", "ship-*"]
"""


class JenkinsTraces:
    """A job; `branch` for one of a multibranch project."""

    def __init__(self, story: Story, job: str, branch: str = "main") -> None:
        self.story = story
        self.job = job
        self.kind = {"ci.pipeline.multibranch.type": "branch"} if branch else {}
        self.path = f"{job}/{branch}" if branch else job

    def span(
        self, run: int, key: str, began: str, end: str, ok: bool, parent: str, **attributes: Any
    ) -> None:
        """A span in a request of its own, below `parent`."""
        told = {name.replace("__", "."): value for name, value in attributes.items()}
        found = {
            "traceId": sha(f"{self.path} {run}")[:32],
            "spanId": sha(f"{self.path} {run} {key}")[:16],
            "name": key,
            "startTimeUnixNano": str(seconds(began) * 10**9),
            "endTimeUnixNano": str(seconds(end) * 10**9),
            "attributes": _typed(told),
            "status": {"code": 1} if ok else {"code": 2, "message": "script returned exit code 1"},
        }
        if parent:
            found["parentSpanId"] = sha(f"{self.path} {run} {parent}")[:16]
        server = {"service.name": "jenkins", "service.version": "2.479", "jenkins.version": "2.479"}
        group = {
            "resource": {"attributes": _typed(server)},
            "scopeSpans": [{"scope": {"name": "io.jenkins.opentelemetry"}, "spans": [found]}],
        }
        self.story.add("/v1/traces", {"resourceSpans": [group]})

    def run(self, number: int, began: str, end: str, ok: bool = True, **deploy: Any) -> None:
        """A run: a step that deploys in a node in a stage, then these, then the root."""
        step = {"jenkins__pipeline__step__name": "Shell Script", "jenkins__pipeline__step__id": "9"}
        told = {"cicd__pipeline__task__type": "deploy"} | deploy
        told |= {"deployment__environment__name": "production"}
        self.span(number, "sh", began, end, ok, "node", **step, **told)
        for key, parent in (("node", "stage"), ("stage", "root")):
            self.span(number, key, began, end, ok, parent, jenkins__pipeline__step__name=key)
        root = {
            "ci__pipeline__id": self.path,
            "ci__pipeline__run__number": number,
            "ci__pipeline__run__result": "SUCCESS" if ok else "FAILURE",
        }
        self.span(number, "root", began, end, ok, "", **root, **self.kind)


def of_a_repository(story: Story, name: str) -> Wanted:
    """Two commits, the second fails and is deployed again: 1 h and 2 h."""
    own = GitHub(story, f"acme/{name}")
    jenkins = JenkinsTraces(story, own.name)
    own.push((f"{name} 1", "08:00"))
    jenkins.run(1, "08:50", "09:00")
    own.push((f"{name} 2", "09:10"))
    jenkins.run(2, "10:00", "10:10", False)
    jenkins.run(3, "11:00", "11:10")
    return {"lead": (1.5, 2), "fail": (1, 3), "recovery": (60.0, 1), "unknown": 0, "successes": 2}


def of_a_job(story: Story, name: str) -> Wanted:
    """A job of its own without a repository; an alert about the service that a step names."""
    jenkins = JenkinsTraces(story, f"ship-{name}", "")
    jenkins.run(1, "08:50", "09:00", service__name=f"{name}-api")
    jenkins.run(2, "09:50", "10:00", service__name=f"{name}-api")
    alertmanager(story, f"{name}-api", "10:10", "10:30")
    return {"project": f"ship-{name}", "fail": (1, 2), "recovery": (20.0, 1)}


def of_a_branch(story: Story, name: str) -> Wanted:
    """A release branch is deployed: it ships its own commit, and not the one of main."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} base", "07:00"))
    JenkinsTraces(story, own.name).run(1, "07:20", "07:30")
    own.push((f"{name} fix", "08:00"), ref="release/1.x")
    own.push((f"{name} other", "08:30"))
    JenkinsTraces(story, own.name, "release%2F1.x").run(1, "09:50", "10:00")
    return {"lead": (1.25, 2), "fail": (0, 2), "unknown": 0}


HISTORIES = of_projects({"st1": of_a_repository, "st2": of_a_job, "st5": of_a_branch})


@pytest.mark.parametrize("order", (*ORDERS, "reverse"))
def test_every_history_of_steps_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, HISTORIES) == {}
    command(server, "db", "rebuild")
    assert told_in("none", server, HISTORIES) == {}


@pytest.mark.parametrize("reverse", [False, True])
def test_steps_have_the_project_and_team_of_their_run(configured, reverse) -> None:
    story = Story()
    JenkinsTraces(story, "acme/st3").run(1, "08:50", "09:00")
    server = configured(TEAMS)
    send(server, story.posts[::-1] if reverse else story.posts)
    for _ in range(2):
        _, answer = server.call("/api/spans?filter=project:acme/st3+team:shop")
        assert {item["name"] for item in answer["items"]} == {"root", "stage", "node", "sh"}
        command(server, "db", "rebuild")


def test_a_step_without_a_root_has_no_project(configured) -> None:
    story = Story()
    JenkinsTraces(story, "acme/st4").run(1, "08:50", "09:00")
    server = configured(TEAMS)
    send(server, story.posts[:-1])
    _, answer = server.call("/api/spans?filter=source:otlp")
    assert {item["project"] for item in answer["items"]} == {None}
