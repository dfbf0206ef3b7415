"""Histories of teams and services that share repositories, and of tools that tell of one thing."""

from __future__ import annotations

import pytest

from tests.metrics.http.ci import Circle, Notified, Otlp
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, Tell, of_projects, told_in
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_builds import circle_of, kite_of
from tests.metrics.http.test_histories_of_events import otel_of
from tests.metrics.http.test_histories_of_trackers import jira

CONFIG = (
    RULES
    + """
[teams.one]
projects = ["acme/t-both", "acme/t-mono"]
[teams.two]
projects = ["acme/t-both"]
[teams.kims]
users = ["kim"]
[teams.pay]
projects = ["t-pay", "t-pay-*"]
[services.t-mono-a]
paths = ["a/**"]
[services.t-mono-b]
paths = ["b/**"]
"""
)


def listed_by_two(story: Story, name: str) -> Wanted:
    """A project that two teams list counts for both."""
    ci = circle_of(story, "t-both", "08:00")
    ci.job(1, "08:20", "08:30", commit="t-both c1")
    ci.job(2, "09:20", "09:30", "failed", commit="t-both c2")
    alertmanager(story, "t-both", "08:40", "08:50")
    wanted: Wanted = {"fail": (2, 2), "lead": (0.5, 1), "recovery": (10.0, 1), "open": 1}
    return wanted | {"by": "team", "project": "two"}


def listed_with_another(story: Story, name: str) -> Wanted:
    """The same and the monorepo's two deployments."""
    wanted: Wanted = {"fail": (2, 4), "lead": (1.0, 3), "recovery": (10.0, 1), "open": 1}
    return wanted | {"by": "team", "project": "one"}


def kims(story: Story, name: str) -> Wanted:
    """Deploys of projects that nobody lists, by the user that deployed."""
    own = Script(story, "t-script")
    own.deploy("09:00", version="1", user="kim")
    own.deploy("10:00", False, version="2", user="kim")
    own.deploy("10:20", version="2", user="bob", key="again")
    alertmanager(story, "t-script", "10:30", "10:40")
    return {"by": "team", "project": "kims", "fail": (1, 2), "recovery": (20.0, 1), "successes": 1}


def pay(story: Story, name: str) -> Wanted:
    """A team that lists services: OTLP spans of one repository."""
    own = otel_of(story, "t-release", "08:00")
    for n, part in enumerate(("t-pay", "t-pay-ui", "t-other")):
        own.deploy(f"09:1{n}", n != 1, began="09:00", commit="t-release c1", trace="run",
                   name=f"deploy {part}", key=part, parent="ship", service__name=part,
                   cicd__pipeline__task__name=f"deploy {part}")  # fmt: skip
    own.span("run", "ship", "08:50", "09:20", cicd__pipeline__name="ship")
    return {
        "by": "team",
        "project": "pay",
        "fail": (1, 2),
        "lead": (1.1667, 1),
        "successes": 1,
        "open": 1,
    }


def monorepo(story: Story, name: str) -> Wanted:
    own = GitHub(story, "acme/t-mono")
    own.push(("tm 1", "08:00"), files=["a/x.py"])
    own.push(("tm 2", "08:30"), files=["b/y.py"])
    told = Otlp(story, own.name)
    told.deploy("09:00", began="08:50", commit="tm 2", trace="x", service__name="t-mono-a")
    told.deploy("10:00", began="09:50", commit="tm 2", trace="y", service__name="t-mono-b")
    return {"by": "service", "project": "t-mono-a", "lead": (1.0, 1), "fail": (0, 1)}


def of_service(service: str, **wanted: object) -> Tell:
    """What another history says of this service."""
    return lambda story, name: {"by": "service", "project": service, **wanted}


def environment_names(story: Story, name: str) -> Wanted:
    """prod of Jenkins and production of CircleCI are environments of one repository."""
    ci = circle_of(story, name, "08:00", "09:00")
    ci.job(1, "08:20", "08:30", commit=f"{name} c1")
    own = Notified(story, f"deploy-{name}-prod", f"acme/{name}")
    own.build(1, "09:20", "09:30", "FAILURE", commit=f"{name} c2")
    ci.job(2, "09:40", "09:50", commit=f"{name} c2")
    return {"fail": (1, 3), "successes": 2}


def two_tools(story: Story, name: str) -> Wanted:
    """GitHub's deployment and the job that made it tell of one deployment."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} c1", "08:00"))
    own.deploy("09:00", commit=f"{name} c1", began="08:50")
    Circle(story, own.name).job(1, "08:50", "09:00", commit=f"{name} c1")
    return {"fail": (0, 1), "lead": (1.0, 1), "successes": 1}


def tag_and_sha(story: Story, name: str) -> Wanted:
    """A tag build deploys what a commit build deployed before: rollback by tag."""
    ci = circle_of(story, name, "08:00", "09:00", "10:00")
    ci.job(1, "08:20", "08:30", commit=f"{name} c1", tag="v1.0.0")
    ci.job(2, "09:20", "09:30", commit=f"{name} c2", tag="v1.1.0")
    ci.job(3, "10:20", "10:30", commit=f"{name} c3", tag="v1.2.0")
    ci.job(4, "11:00", "11:05", commit=f"{name} c2", tag="v1.1.0")
    ci.job(5, "11:20", "11:30", commit=f"{name} c3", tag="v1.2.0")
    return {"fail": (1, 5), "rework": (1, 5), "recovery": (5.0, 1), "lead": (0.5, 3)}


def skipped_jobs(story: Story, name: str) -> Wanted:
    ci = kite_of(story, name, "08:00")
    ci.job(1, "08:20", "08:20", "skipped", commit=f"{name} c1", name="Deploy production us")
    ci.job(1, "08:20", "08:20", "broken", commit=f"{name} c1", name="Deploy production ap")
    ci.job(1, "08:20", "08:30", commit=f"{name} c1", name="Deploy production eu")
    return {"fail": (0, 1), "lead": (0.5, 1), "successes": 1}


def matrix_cancelled(story: Story, name: str) -> Wanted:
    """One region fails, fail-fast cancels the others."""
    ci = kite_of(story, name, "08:00", "08:50")
    ci.job(1, "08:20", "08:25", "failed", commit=f"{name} c1", name="Deploy production us")
    ci.job(1, "08:20", "08:26", "canceled", commit=f"{name} c1", name="Deploy production ap")
    ci.job(1, "08:20", "08:26", "canceled", commit=f"{name} c1", name="Deploy production eu")
    for n, r in enumerate(("us", "ap", "eu")):
        ci.job(2, "09:00", f"09:0{5 + n}", commit=f"{name} c2", name=f"Deploy production {r}")
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (42.0, 1), "lead": (0.7, 2)}


def otel_old_env(story: Story, name: str) -> Wanted:
    """The environment under its older name, on the resource."""
    own = otel_of(story, name, "08:00", deployment__environment="prod")
    own.deploy("09:00", began="08:50", commit=f"{name} c1", environment="")
    (span,) = story.posts[-1].body["resourceSpans"][0]["scopeSpans"][0]["spans"]
    named = "deployment.environment.name"
    span["attributes"] = [pair for pair in span["attributes"] if pair["key"] != named]
    return {"fail": (0, 1), "lead": (1.0, 1)}


def otel_hotfix(story: Story, name: str) -> Wanted:
    own = otel_of(story, name, "08:00")
    own.deploy("09:00", began="08:50", commit=f"{name} c1", vcs__ref__head__name="main")
    own.deploy("10:00", began="09:50", commit=f"{name} h1", trace="h",
               vcs__ref__head__name="hotfix/login")  # fmt: skip
    return {"fail": (0, 2), "rework": (1, 2)}


def otel_names_a_version(story: Story, name: str) -> Wanted:
    """An alert names the version that OTLP stated."""
    own = Otlp(story, f"acme/{name}")
    own.deploy("09:00", began="08:50", version="1.0")
    own.deploy("10:00", began="09:50", version="1.1")
    alertmanager(story, name, "10:10", "10:30", version="1.0")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def story_to_production(story: Story, name: str) -> Wanted:
    """Ticket to production: a story, its pull request, its build, its deploy; a bug is none."""
    own = GitHub(story, f"acme/{name}")
    jira(story, "TSTY-1", "created", "06:00", "new", "Open", "06:00", itype="Story",
         project="TSTY")  # fmt: skip
    own.push((f"{name} base", "05:00"))
    own.deploy("05:30", commit=f"{name} base")
    own.pull(1, "08:00", "09:00", head="TSTY-1-cart", commits=[("tsty p", "07:30")], pushed=True)
    own.deploy("10:00", commit=own.merge_of(1))
    jira(story, "TSTY-1", "updated", "10:05", "done", "Done", "06:00", "Done", itype="Story",
         project="TSTY")  # fmt: skip
    jira(story, "TSTY-2", "created", "10:10", "new", "Open", "10:10", itype="Bug", project="TSTY")
    return {"fail": (0, 2), "rework": (0, 2), "lead": (1.5, 2)}


HISTORIES: dict[str, Tell] = {
    "t-two": listed_by_two,
    "t-one": listed_with_another,
    "t-kims": kims,
    "t-pay": pay,
    "t-mono-a": monorepo,
    "t-mono-b": of_service("t-mono-b", lead=(1.5, 1), fail=(0, 1)),
    "t-pay-ok": of_service("t-pay", fail=(0, 1), successes=1),
    "t-pay-ui": of_service("t-pay-ui", fail=(1, 1), open=1),
    "t-env": environment_names,
    "t-tools": two_tools,
    "t-tag": tag_and_sha,
    "t-skip": skipped_jobs,
    "t-fast": matrix_cancelled,
    "t-oldenv": otel_old_env,
    "t-hotfix": otel_hotfix,
    "t-links": otel_names_a_version,
    "t-story": story_to_production,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_a_team_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(CONFIG), of_projects(HISTORIES)) == {}
