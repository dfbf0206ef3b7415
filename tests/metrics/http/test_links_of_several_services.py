"""Links of one incident of several services to deploys that no number counts: those that still go
on, and those of other environments than production."""

from __future__ import annotations

from typing import Any

import pytest

from tests.ingest.server import Server
from tests.metrics.http.others import Script
from tests.metrics.http.presets import datadog, rootly
from tests.metrics.http.story import Story, command, send
from tests.metrics.http.test_whose_incident import only

ORDERS = ("as sent", "reverse", "incident first", "incident between")


def ordered(deploys: list[Any], incident: list[Any], order: str) -> list[Any]:
    half = len(deploys) // 2
    return {
        "as sent": [*deploys, *incident],
        "reverse": [*incident[::-1], *deploys[::-1]],
        "incident first": [*incident, *deploys],
        "incident between": [*deploys[:half], *incident, *deploys[half:]],
    }[order]


def linked(server: Server, service: str) -> set[str]:
    """The ids of the deploys that an incident is linked to."""
    links = only(server, "incident", service)["links"]
    return {link["parent"].rpartition("-")[2] for link in links}


def told(order: str, deploys: Story, incident: Story) -> list[Any]:
    return ordered(deploys.posts, incident.posts, order)


@pytest.mark.parametrize("order", ORDERS)
def test_an_incident_is_linked_to_the_rollouts_of_each_of_its_services(configured, order) -> None:
    deploys, incident = Story(), Story()
    for service in ("pair.a", "pair.b", "pair.c"):
        own = Script(deploys, service)
        own.deploy("08:00", version="1", key=f"{service}.old")
        own.deploy("10:30", began="10:00", version="2", key=f"{service}.new", state="-")
    names = [{"name": name} for name in ("pair.a", "pair.b")]
    rootly(incident, "o1", "10:10", ("created", "10:11"), services=names)
    server = configured("")
    send(server, told(order, deploys, incident))
    for _ in range(2):
        assert linked(server, "pair.a") == {"pair.a.new", "pair.b.new"}
        command(server, "db", "rebuild")


@pytest.mark.parametrize("order", ORDERS)
def test_an_incident_of_staging_is_linked_to_the_deploys_of_each_of_its_services(
    configured, order
) -> None:
    deploys, incident = Story(), Story()
    for service in ("stage.a", "stage.b"):
        own = Script(deploys, service)
        own.deploy("09:00", version="1", key=f"{service}.staging", environment="staging")
        own.deploy("09:30", version="1", key=f"{service}.live")
    datadog(incident, "stage.a", "k", ("Triggered", "10:10"))
    incident.posts[-1].body["tags"] = "env:staging,service:stage.a,service:stage.b"
    server = configured("")
    send(server, told(order, deploys, incident))
    for _ in range(2):
        assert linked(server, "stage.a") == {"stage.a.staging", "stage.b.staging"}
        command(server, "db", "rebuild")


@pytest.mark.parametrize("order", ORDERS)
def test_one_service_is_counted_and_the_other_goes_on(configured, order) -> None:
    """The ended deploy of the first failed; the second has only a rollout that goes on."""
    deploys, incident = Story(), Story()
    Script(deploys, "mixed.a").deploy("09:00", version="1", key="mixed.a.done")
    rollout = Script(deploys, "mixed.b")
    rollout.deploy("10:30", began="10:00", version="2", key="mixed.b.new", state="-")
    names = [{"name": name} for name in ("mixed.a", "mixed.b")]
    rootly(incident, "o2", "10:10", ("created", "10:11"), services=names)
    server = configured("")
    send(server, told(order, deploys, incident))
    for _ in range(2):
        assert linked(server, "mixed.a") == {"mixed.a.done", "mixed.b.new"}
        command(server, "db", "rebuild")
