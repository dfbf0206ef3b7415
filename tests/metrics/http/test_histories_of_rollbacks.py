"""Jobs, stages and tasks that roll back, by their names: the commit of their run is the one that
they take back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.metrics.http.ci import Buildkite, Circle, Notified, Otlp
from tests.metrics.http.clock import number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.orders import RULES, Tell, of_projects, told_in
from tests.metrics.http.others import Script
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.tools import Azure

Job = Callable[[int, str, str, str, bool], None]
"""A job of a run: (run, `deploy` or `rollback`, begin, end, whether it succeeds)."""


def circle(story: Story, name: str) -> Job:
    own = Circle(story, f"acme/{name}")

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        status = "success" if ok else "failed"
        own.job(run, began, end, status, commit=f"{name} {run}", name=f"{word}-production")

    return job


def buildkite(story: Story, name: str) -> Job:
    own = Buildkite(story, f"acme/{name}")

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        named = {"commit": f"{name} {run}", "name": f":arrow: {word.title()} production"}
        own.job(run, began, end, "passed" if ok else "failed", **named)

    return job


def azure(story: Story, name: str) -> Job:
    own = Azure(story, "acme", name)

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        stage = f"{word.title()}Prod"
        own.stage(number(f"{name} {run}"), stage, began, end, ok, commit=f"{name} {run}")

    return job


def github(story: Story, name: str) -> Job:
    own = GitHub(story, f"acme/{name}")

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        commit, key, first = f"{name} {run}", number(f"{name} {run} {word}"), len(story.posts)
        told: dict[str, Any] = {"run": (number(f"{name} {run}"), 1)}
        own.job(key, began, end, ok, name=word, commit=commit, **told)
        own.deploy(end, ok, began=began, commit=commit, job=key, **told)
        for post in story.posts[first:]:
            if "check_run" in post.body:
                post.body["check_run"]["name"] = word

    return job


def gitlab(story: Story, name: str) -> Job:
    """The name of the job is in the event of the job only."""
    own = GitLab(story, f"acme/{name}")

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        key = number(f"{name} {run} {word}")
        own.job(key, number(f"{name} {run}"), began, end, ok)
        story.posts[-1].body["build_name"] = word
        own.deploy(end, ok, began=began, commit=f"{name} {run}", job=key)

    return job


def jenkins(story: Story, name: str) -> Job:
    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        own = Notified(story, f"{word}-{name}", f"acme/{name}")
        status = "SUCCESS" if ok else "FAILURE"
        own.build(run, began, end, status, commit=f"{name} {run}", environment="production")

    return job


def otlp(story: Story, name: str) -> Job:
    own = Otlp(story, f"acme/{name}")

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        commit = f"{name} {run}"
        own.deploy(end, ok, began=began, commit=commit, name=word, trace=commit)

    return job


def script(story: Story, name: str) -> Job:
    own = Script(story, f"acme/{name}", name)

    def job(run: int, word: str, began: str, end: str, ok: bool) -> None:
        about = {"commit": sha(f"{name} {run}"), "repository": f"acme/{name}", "vs.task": word}
        own.span("deploy", began, end, ok, key=f"{run} {word}", **about)

    return job


TOOLS = (circle, buildkite, azure, github, gitlab, jenkins, otlp, script)


def taken_back(tool: Callable[[Story, str], Job], *, deployed: bool) -> Tell:
    """Run 1 deploys the commit of 08:00 and rolls back; run 2 deploys that of 10:30, too."""

    def tell(story: Story, name: str) -> Wanted:
        own = GitHub(story, f"acme/{name}") if tool is not gitlab else GitLab(story, f"acme/{name}")
        if tool is azure:
            own = Azure(story, "acme", name)
        own.push((f"{name} 1", "08:00"))
        own.push((f"{name} 2", "10:30"))
        job = tool(story, name)
        job(1, "deploy", "10:00", "10:05", deployed)
        job(1, "rollback", "10:11", "10:15", True)
        job(2, "deploy", "11:00", "11:05", True)
        where = {"project": f"acme/{name}"}
        wanted: Wanted = {"fail": (1, 3), "rework": (1, 3), "unknown": 0}
        if deployed:  # the first commit took 2:05, the second 0:35
            return where | wanted | {"lead": (1.3333, 2), "recovery": (4.0, 1), "successes": 3}
        return where | wanted | {"lead": (1.8333, 2), "recovery": (10.0, 1), "successes": 2}

    return tell


def no_rollback(story: Story, name: str) -> Wanted:
    """Names that speak of rollbacks, of a service and of what a deploy can do."""
    Script(story, "acme/rollback-api", "rollback-api").deploy("09:00", version="1")
    ci = Circle(story, f"acme/{name}")
    ci.job(1, "10:00", "10:05", commit="a", name="deploy-production-with-rollback")
    ci.job(2, "11:00", "11:05", commit="b", name="deploy-or-rollback-production")
    return {"project": f"acme/{name}", "fail": (0, 2), "rework": (0, 2), "successes": 2}


def service_of_rollbacks(story: Story, name: str) -> Wanted:
    own = Script(story, f"acme/{name}", "rollback-controller")
    for hour in (9, 10):
        own.deploy(f"{hour}:00", version=str(hour))
    return {"project": f"acme/{name}", "fail": (0, 2), "rework": (0, 2), "successes": 2}


def regions(story: Story, name: str) -> Wanted:
    """A matrix that is rolled back in both regions: a deployment and one rollback."""
    ci = Circle(story, f"acme/{name}")
    for word, began, end in (("deploy", "10:00", "10:05"), ("rollback", "10:20", "10:23")):
        for region in ("eu", "us"):
            ci.job(1, began, end, commit=name, name=f"{word}-production-{region}")
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (3.0, 1), "successes": 2}


def hotfixes(story: Story, name: str) -> Wanted:
    """Branches in the spellings of several teams; the last two are none."""
    own = Script(story, f"acme/{name}", name)
    branches = ("hotfix/a", "hotfix_b", "hot-fix/c", "Hotfixes/d", "hotfixture/e", "fix/hotfix")
    for hour, branch in enumerate(branches, 10):
        own.deploy(f"{hour}:00", version=str(hour), branch=branch)
    return {"fail": (0, 6), "rework": (4, 6)}


def overlapping(story: Story, name: str) -> Wanted:
    """The second version overtakes the first one and is newer all the same: to deploy it again
    takes nothing back, to deploy the first one again does."""
    own = Script(story, f"acme/{name}", name)
    told = (
        ("amber", "10:00", "10:09"),
        ("birch", "10:03", "10:06"),
        ("birch", "11:00", "11:05"),
        ("amber", "12:00", "12:07"),
    )
    for version, began, end in told:
        own.span("deploy", began, end, version=version)
    return {"fail": (1, 4), "rework": (1, 4), "recovery": (7.0, 1), "successes": 4}


HISTORIES: dict[str, Tell] = {
    "hotfixes": hotfixes,
    "overlapping": overlapping,
    "names-none": no_rollback,
    "names-service": service_of_rollbacks,
    "regions-back": regions,
}
HISTORIES |= {
    f"back-{tool.__name__}-{word}": taken_back(tool, deployed=word == "ok")
    for tool in TOOLS
    for word in ("ok", "failed")
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_rollback_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured(RULES)
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}
