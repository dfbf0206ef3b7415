"""Alerts that call an environment of production by another name than the deployments do, or have it
in the name of the service."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.metrics.http.orders import Tell, told_in
from tests.metrics.http.others import Script, alertmanager, pagerduty
from tests.metrics.http.presets import datadog, heroku, newrelic, opsgenie
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted

CONFIG = """
[environments]
production = ["prod", "production", "live", "prod-*"]
"""


def alerted(deployed: str, alert: str, *, failed: int = 1) -> Tell:
    """An alert of 10 minutes after a deployment to another name of production, or to staging."""

    def tell(story: Story, name: str) -> Wanted:
        Script(story, name).deploy("10:00", version="1", environment=deployed)
        alertmanager(story, name, "10:10", "10:20", environment=alert)
        return {"fail": (failed, 1), "recovery": (10.0, 1) if failed else (None, 0)}

    return tell


def of_its_own(story: Story, name: str) -> Wanted:
    """Where the service is deployed to that environment, the alert is about that."""
    own = Script(story, name)
    for minute, place in ((0, "prod-eu"), (5, "prod-us")):
        own.deploy(f"10:{minute:02}", version="1", environment=place)
    alertmanager(story, name, "10:10", "10:20", environment="prod-eu")
    own.deploy("11:00", version="2", environment="prod-us")
    alertmanager(story, name, "11:10", "11:40", environment="prod-eu")
    return {"fail": (1, 3), "recovery": (20.0, 2)}


def of_the_latest(story: Story, name: str) -> Wanted:
    """It was deployed to two others: the alert is about the latest."""
    own = Script(story, name)
    for minute, place, ok in ((0, "prod-eu", True), (5, "prod-us", True), (20, "prod-eu", False)):
        own.deploy(f"10:{minute:02}", ok, version=f"1.{minute}", environment=place)
    alertmanager(story, name, "10:10", "10:15", environment="live")
    return {"fail": (2, 3), "recovery": (5.0, 1), "open": 1}


def deployed_there_later(story: Story, name: str) -> Wanted:
    own = Script(story, name)
    own.deploy("10:00", version="1")
    opsgenie(story, name, "a", ("Create", "10:10"), ("Close", "10:20"), env="prod-eu")
    own.deploy("11:00", version="2", environment="prod-eu")
    opsgenie(story, name, "b", ("Create", "11:10"), ("Close", "11:40"), env="prod-eu")
    return {"fail": (2, 2), "recovery": (20.0, 2)}


def repaired(story: Story, name: str) -> Wanted:
    """The alert names the version before; the deployment in its time repairs."""
    own = Script(story, name)
    own.deploy("10:00", version="1")
    own.deploy("10:30", version="2")
    datadog(story, name, "c", ("Triggered", "10:40"), ("Recovered", "11:10"))
    for post in story.posts[-2:]:
        post.body["tags"] = f"env:live,service:{name},version:1"
    own.deploy("11:05", began="11:00", version="3")
    return {"fail": (1, 3), "recovery": (30.0, 1), "rework": (1, 3)}


def two_services(story: Story, name: str) -> Wanted:
    """The other service is deployed to the environment that the alert names."""
    Script(story, name).deploy("10:00", version="1")
    Script(story, name, f"{name}-b").deploy("10:05", version="1", environment="live", key="b")
    alertmanager(story, name, "10:10", "10:20", environment="live")
    return {"by": "service", "fail": (1, 1), "recovery": (10.0, 1)}


def in_the_service(service: str, *, failed: int = 1) -> Tell:
    """An incident of PagerDuty, whose services know no environment."""

    def tell(story: Story, name: str) -> Wanted:
        own = Script(story, f"acme/{name}", name)
        own.deploy("10:00", version="1")
        pagerduty(story, service.format(name), "10:10", "10:50")
        own.deploy("10:40", began="10:30", version="2")
        wanted: Wanted = {"fail": (failed, 2), "rework": (failed, 2), "by": "service"}
        return wanted | {"recovery": (40.0, 1) if failed else (None, 0)}

    return tell


def named_so(story: Story, name: str) -> Wanted:
    """An app that is deployed by that name, beside another service."""
    heroku(story, f"{name}-production", (1, "10:00", "10:01", "succeeded", "Deploy abc"))
    newrelic(story, f"{name}-production", "10:10", ("CREATED", "10:10"), ("CLOSED", "10:40"))
    project = f"{name}-production"
    return {"project": project, "fail": (1, 1), "recovery": (30.0, 1)}


HISTORIES: dict[str, Tell] = {
    "suffix": in_the_service("{}-production"),
    "prefix": in_the_service("PROD {}"),
    "other": in_the_service("{}-staging", failed=0),
    "before": in_the_service("{} Pre-Prod", failed=0),
    "app": named_so,
    "region": alerted("production", "prod-eu"),
    "live": alerted("PROD", "Live"),
    "cased": alerted("live", "Production"),
    "staging": alerted("production", "staging", failed=0),
    "own": of_its_own,
    "latest": of_the_latest,
    "later": deployed_there_later,
    "repaired": repaired,
    "services": two_services,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_alerted_environment_has_the_values_computed_by_hand(configured, order) -> None:
    def named(name: str, tell: Tell) -> Callable[[Story], Wanted]:
        return lambda story: tell(story, name)

    histories = {name: named(name, tell) for name, tell in HISTORIES.items()}
    server = configured(CONFIG)
    assert told_in(order, server, histories) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, histories) == {}
