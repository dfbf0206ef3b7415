"""Incidents of several services: each of them failed, and the incident is one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import Jenkins, Plyzen
from tests.metrics.http.presets import datadog, newrelic, opsgenie, rootly, sentry_alert
from tests.metrics.http.story import WEEK, Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_operations import chosen, incident_io, statuspage

TEAMS = """
[teams.pair]
projects = ["acme/a1", "acme/b1"]
[teams.b]
projects = ["b1"]
"""


def both(story: Story, number: int) -> tuple[Jenkins, Jenkins]:
    """Jobs of Jenkins that deployed a service a and then a service b."""
    found = (Jenkins(story, f"acme/a{number}"), Jenkins(story, f"acme/b{number}"))
    for minute, jenkins in enumerate(found):
        jenkins.deploy(f"10:0{minute}", commit=f"{jenkins.name} 1")
    return found


def named(*names: str) -> dict[str, Any]:
    return {"services": [{"name": name} for name in names]}


def changed(story: Story, field: str, value: Any, within: str = "") -> None:
    """Set a field of the last two bodies."""
    for post in story.posts[-2:]:
        (post.body[within] if within else post.body)[field] = value


def of_rootly(story: Story) -> Wanted:
    both(story, 1)
    rootly(story, "o1", "10:10", ("created", "10:11"), ("resolved", "10:40"), **named("a1", "b1"))
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_statuspage(story: Story) -> Wanted:
    both(story, 2)
    told = (("investigating", "10:10"), ("resolved", "10:40"))
    statuspage(story, "o2", *told, components=("a2", "b2"))
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_incident_io(first: tuple[str, ...], then: tuple[str, ...], number: int) -> Any:
    def tell(story: Story) -> Wanted:
        both(story, number)
        for names, told in ((first, ("live", "10:10")), (then, ("closed", "10:40"))):
            fields = [chosen("Affected services", *names)]
            incident_io(story, f"o{number}", "10:10", told, custom_field_entries=fields)
        name = "public_incident.incident_created_v2"
        story.posts[-1].body["event_type"] = new = "public_incident.incident_updated_v2"
        story.posts[-1].body[new] = story.posts[-1].body.pop(name)
        return {"fail": (1, 1), "recovery": (30.0, 1)} if "b" in then[-1] else {"fail": (0, 1)}

    return tell


def of_datadog(story: Story) -> Wanted:
    both(story, 5)
    datadog(story, "a5", "k", ("Triggered", "10:10"), ("Recovered", "10:40"))
    changed(story, "tags", "env:production,service:a5,service:b5")
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_opsgenie(story: Story) -> Wanted:
    both(story, 6)
    opsgenie(story, "a6", "o", ("Create", "10:10"), ("Close", "10:40"))
    changed(story, "tags", ["service:a6", "service:b6", "env:production"], within="alert")
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_new_relic(story: Story) -> Wanted:
    both(story, 7)
    newrelic(story, "a7", "10:10", ("ACTIVATED", "10:10"), ("CLOSED", "10:40"))
    changed(story, "impactedEntities", ["a7", "b7"])
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_sentry(story: Story) -> Wanted:
    both(story, 8)
    sentry_alert(story, "a8", "10:10", ("critical", ""), ("resolved", "10:40"))
    for post in story.posts[-2:]:
        post.body["data"]["metric_alert"]["projects"] = ["a8", "b8"]
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def of_repositories(story: Story) -> Wanted:
    """Services that are named by the path of a repository."""
    both(story, 9)
    told = (("created", "10:11"), ("resolved", "10:40"))
    rootly(story, "o9", "10:10", *told, **named("acme/a9", "acme/b9"))
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def fixed_in_the_second(story: Story) -> Wanted:
    _, second = both(story, 10)
    told = (("created", "10:11"), ("resolved", "10:40"))
    rootly(story, "o10", "10:10", *told, **named("a10", "b10"))
    second.deploy("10:30", began="10:20", commit="b10 2")
    return {"fail": (1, 2), "recovery": (30.0, 1), "rework": (1, 2)}


def alarm_of_artifacts(*versions: str, number: int) -> Any:
    """plyzen's advanced schema: an alarm of auth and ui, with or without their versions. A version
    of auth that is no longer live is blamed all the same."""

    def tell(story: Story) -> Wanted:
        own = Plyzen(story, f"o-plyzen-{number}")
        for end, artifact, version in (
            *(("10:00", "auth", "1"), ("10:01", "ui", "2"), ("10:02", "db", "3")),
            *((("10:05", "auth", "2"),) if versions[0] == "1" else ()),
        ):
            own.service = artifact
            own.deploy(end, version=version)
        parts = [("auth", versions[0], ""), ("ui", versions[1], "")]
        own.advanced(f"alarm {number}", "alarm", "10:10", "10:30", artifacts=parts)
        deployments = 4 if versions[0] == "1" else 3
        return {"project": own.name, "fail": (2, deployments), "recovery": (20.0, 2)}

    return tell


HISTORIES = {
    "acme/b1": of_rootly,
    "acme/a1": lambda story: {"fail": (1, 1), "recovery": (30.0, 1)},
    "b1": lambda story: {"by": "service", "fail": (1, 1), "recovery": (30.0, 1)},
    "pair": lambda story: {"by": "team", "fail": (2, 2), "recovery": (30.0, 2)},
    "acme/b2": of_statuspage,
    "acme/b3": of_incident_io(("a3",), ("a3", "b3"), 3),
    "acme/b4": of_incident_io(("a4", "b4"), ("a4",), 4),
    "acme/b5": of_datadog,
    "acme/b6": of_opsgenie,
    "acme/b7": of_new_relic,
    "acme/b8": of_sentry,
    "acme/b9": of_repositories,
    "acme/b10": fixed_in_the_second,
    "with versions": alarm_of_artifacts("1", "2", number=1),
    "without versions": alarm_of_artifacts("", "", number=2),
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_incident_of_several_services_fails_each_of_them(configured, order) -> None:
    server = configured(TEAMS)
    assert told_in(order, server, HISTORIES) == {}
    window = ("--since", WEEK[0], "--until", WEEK[1])
    printed = json.loads(command(server, "report", "teams", "--json", *window))
    counted = {item["team"]: item["incidents"] for item in printed["items"]}
    assert (counted["pair"], counted["b"]) == (1, 1), "it is one incident, of both teams"
