"""Incidents as operators handle them: merged, moved, reopened, resolved late, named by a path."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.clock import at, moment, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import Jenkins, alertmanager
from tests.metrics.http.presets import (
    datadog,
    grafana_irm,
    newrelic,
    opsgenie,
    pagerduty_incident,
    rootly,
    servicenow,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def shipped(story: Story, name: str, clock: str = "10:00") -> Jenkins:
    """A job of Jenkins that deployed a repository."""
    jenkins = Jenkins(story, f"acme/{name}")
    jenkins.deploy(clock, commit=f"{name} 1")
    return jenkins


def merge_reason(identifier: str) -> dict[str, Any]:
    incident = {"id": identifier, "type": "incident_reference"}
    return {"resolve_reason": {"type": "merge_resolve_reason", "incident": incident}}


def incident_io(
    story: Story, identifier: str, began: str, *told: tuple[str, str], **more: Any
) -> None:
    """An incident, told by (category of its status, time)."""
    for n, (category, clock) in enumerate(told):
        incident = {
            "id": identifier,
            "reference": "INC-7",
            "name": "Checkout is slow",
            "visibility": "public",
            "mode": "standard",
            "incident_status": {"id": category, "name": category.title(), "category": category},
            "severity": {"id": "s", "name": "Major", "rank": 2},
            "created_at": at(began),
            "updated_at": at(clock),
        } | more
        name = "public_incident.incident_status_updated_v2"
        body: dict[str, Any] = {"event_type": name, name: {"incident": incident}}
        if not n:
            name = "public_incident.incident_created_v2"
            body = {"event_type": name, name: incident}
        story.add("/incidentio", body)


def chosen(field: str, *names: str) -> dict[str, Any]:
    """A custom field of incident.io with entries of the catalog."""
    values = [{"value_catalog_entry": {"id": name, "name": name}} for name in names]
    about = {"id": field, "name": field, "field_type": "multi_select", "options": []}
    return {"custom_field": about, "values": values}


def statuspage(
    story: Story, identifier: str, *told: tuple[str, str], components: tuple[str, ...], **more: Any
) -> None:
    resolved = next((clock for word, clock in told if word == "resolved"), "")
    for word, clock in told:
        incident = {
            "id": identifier,
            "name": "Elevated errors",
            "status": word,
            "impact": "major",
            "created_at": at(told[0][1]),
            "updated_at": at(clock),
            "resolved_at": at(resolved) if word in ("resolved", "postmortem") else None,
            "components": [
                {"id": name, "name": name, "status": "major_outage"} for name in components
            ],
            "incident_updates": [],
        } | more
        page = {"id": "j2mfxwj97wnj", "status_indicator": "major"}
        story.add("/statuspage", {"page": page, "incident": incident})


def merged_into_the_incident_of_another_service(story: Story) -> Wanted:
    """The outage lasts until the incident that it was merged into is resolved."""
    shipped(story, "mrg1")
    shipped(story, "mrg2", "09:00")
    pagerduty_incident(story, "mrg1", "A", ("triggered", "10:10"))
    pagerduty_incident(story, "mrg2", "B", ("triggered", "10:12"))
    pagerduty_incident(
        story, "mrg1", "A", ("resolved", "10:20"), created_at=at("10:10"), **merge_reason("mrg2-B")
    )
    pagerduty_incident(story, "mrg1", "A", ("priority_updated", "10:25"), created_at=at("10:10"))
    pagerduty_incident(story, "mrg2", "B", ("resolved", "11:00"), created_at=at("10:12"))
    return {"fail": (1, 1), "recovery": (50.0, 1)}


def merged_into_an_open_incident(story: Story) -> Wanted:
    shipped(story, "mrg3")
    shipped(story, "mrg4", "09:00")
    pagerduty_incident(story, "mrg4", "B", ("triggered", "10:05"))
    pagerduty_incident(story, "mrg3", "A", ("triggered", "10:10"))
    pagerduty_incident(
        story, "mrg3", "A", ("resolved", "10:20"), created_at=at("10:10"), **merge_reason("mrg4-B")
    )
    return {"fail": (1, 1), "recovery": (None, 0), "open": 1}


def merged_twice(story: Story) -> Wanted:
    """A into B into C, whose end counts."""
    for name in "abc":
        shipped(story, f"mtw-{name}")
        pagerduty_incident(story, f"mtw-{name}", "I", ("triggered", "10:10"))
    for name, clock, other in (("a", "10:20", "mtw-b-I"), ("b", "10:30", "mtw-c-I")):
        told: dict[str, Any] = {"created_at": at("10:10")} | merge_reason(other)
        pagerduty_incident(story, f"mtw-{name}", "I", ("resolved", clock), **told)
    pagerduty_incident(story, "mtw-c", "I", ("resolved", "11:10"), created_at=at("10:10"))
    return {"fail": (1, 1), "recovery": (60.0, 1)}


def fixed_after_the_merge(story: Story) -> Wanted:
    """The fix is deployed before the incident that it was merged into ends."""
    jenkins = shipped(story, "mfx1")
    shipped(story, "mfx2", "09:00")
    pagerduty_incident(story, "mfx1", "A", ("triggered", "10:10"))
    pagerduty_incident(story, "mfx2", "B", ("triggered", "10:12"))
    told: dict[str, Any] = {"created_at": at("10:10")} | merge_reason("mfx2-B")
    pagerduty_incident(story, "mfx1", "A", ("resolved", "10:20"), **told)
    jenkins.deploy("10:50", began="10:40", commit="mfx1 fix")
    pagerduty_incident(story, "mfx2", "B", ("resolved", "11:00"), created_at=at("10:12"))
    return {"fail": (1, 2), "recovery": (50.0, 1), "rework": (1, 2)}


def moved_to_another_service(story: Story) -> Wanted:
    shipped(story, "mov1")
    shipped(story, "mov2")
    pagerduty_incident(story, "mov1", "A", ("triggered", "10:10"))
    for kind, clock in (("service_updated", "10:15"), ("resolved", "10:30")):
        pagerduty_incident(story, "mov2", "A", (kind, clock), created_at=at("10:10"), id="mov1-A")
    return {"fail": (1, 1), "recovery": (20.0, 1), "project": "acme/mov2"}


def moved_away(story: Story) -> Wanted:
    shipped(story, "mov3")
    pagerduty_incident(story, "mov3", "A", ("triggered", "10:10"))
    moved = ("service_updated", "10:15")
    pagerduty_incident(story, "elsewhere", "A", moved, created_at=at("10:10"), id="mov3-A")
    return {"fail": (0, 1), "open": 0}


def snoozed_and_escalated(story: Story) -> Wanted:
    shipped(story, "pdl1")
    pagerduty_incident(
        story,
        "pdl1",
        "A",
        ("triggered", "10:10"),
        ("acknowledged", "10:12"),
        ("unacknowledged", "10:42"),
        ("escalated", "10:43"),
        ("priority_updated", "10:50"),
        ("resolved", "11:10"),
    )
    return {"fail": (1, 1), "recovery": (60.0, 1), "rework": (0, 1)}


def times_with_offsets(story: Story) -> Wanted:
    shipped(story, "pdl2")
    pagerduty_incident(story, "pdl2", "A", ("triggered", "10:10"), ("resolved", "10:40"))
    for post, clock in zip(
        story.posts[-2:],
        ("2026-03-02T11:10:00.123+01:00", "2026-03-02T05:40:00.123-05:00"),
        strict=True,
    ):
        post.body["event"]["occurred_at"] = clock
        post.body["event"]["data"]["created_at"] = "2026-03-02T12:10:00.123+02:00"
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def alert_of_a_repository_path(story: Story) -> Wanted:
    shipped(story, "path1")
    alertmanager(story, "acme/path1", "10:10", "10:30")
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def opsgenie_tag_with_a_repository_path(story: Story) -> Wanted:
    shipped(story, "path2")
    opsgenie(story, "acme/path2", "a", ("Create", "10:10"), ("Close", "10:30"))
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def pagerduty_service_with_a_repository_path(story: Story) -> Wanted:
    """The repository deploys two services; the alert is about the last deployment of it."""
    own = GitHub(story, "acme/path3")
    own.deploy("10:00", commit="a", service="path3-api")
    own.deploy("10:05", commit="a", service="path3-web")
    pagerduty_incident(story, "acme/path3", "A", ("triggered", "10:10"), ("resolved", "10:30"))
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def rootly_names_its_service(story: Story) -> Wanted:
    shipped(story, "roo1")
    more = {
        "services": [{"id": "1", "name": "roo1", "slug": "roo1"}],
        "environments": [{"name": "Production"}],
    }
    rootly(story, "roo1", "10:10", ("created", "10:11"), ("resolved", "10:40"), **more)
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def rootly_of_staging(story: Story) -> Wanted:
    shipped(story, "roo2")
    more = {"services": [{"name": "roo2"}], "environments": [{"name": "Staging"}]}
    rootly(story, "roo2", "10:10", ("created", "10:11"), ("resolved", "10:40"), **more)
    return {"fail": (0, 1)}


def rootly_reopened(story: Story) -> Wanted:
    shipped(story, "roo3")
    more = {"services": [{"name": "roo3"}]}
    rootly(story, "roo3", "10:10", ("created", "10:11"), status="started", **more)
    rootly(story, "roo3", "10:10", ("updated", "10:15"), status="started", **more)
    rootly(story, "roo3", "10:10", ("resolved", "10:30"), status="resolved", **more)
    rootly(story, "roo3", "10:10", ("updated", "10:35"), status="resolved", **more)
    rootly(story, "roo3", "10:10", ("updated", "11:00"), status="started", **more)
    rootly(story, "roo3", "10:10", ("resolved", "11:30"), status="resolved", **more)
    return {"fail": (1, 1), "recovery": (25.0, 2)}


def rootly_service_named_later(story: Story) -> Wanted:
    shipped(story, "roo4")
    rootly(story, "roo4", "10:10", ("in_triage", "10:11"), status="in_triage", services=[])
    rootly(
        story, "roo4", "10:10", ("updated", "10:15"), status="started", services=[{"name": "roo4"}]
    )
    rootly(
        story,
        "roo4",
        "10:10",
        ("resolved", "10:40"),
        status="resolved",
        services=[{"name": "roo4"}],
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def incident_io_names_its_service(story: Story) -> Wanted:
    shipped(story, "iio1")
    more = {
        "custom_field_entries": [
            chosen("Affected services", "iio1"),
            chosen("Environment", "Production"),
        ]
    }
    incident_io(
        story, "iio1", "10:10", ("triage", "10:10"), ("live", "10:15"), ("closed", "10:40"), **more
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def incident_io_learns_and_closes(story: Story) -> Wanted:
    shipped(story, "iio3")
    more = {"custom_field_entries": [chosen("Service", "iio3")]}
    incident_io(
        story,
        "iio3",
        "10:10",
        ("live", "10:10"),
        ("learning", "10:40"),
        ("closed", "Wed 10:00"),
        **more,
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def incident_io_declined(story: Story) -> Wanted:
    shipped(story, "iio4")
    more = {"custom_field_entries": [chosen("Service", "iio4")]}
    incident_io(story, "iio4", "10:10", ("triage", "10:10"), ("declined", "10:12"), **more)
    return {"fail": (0, 1)}


def statuspage_component(story: Story) -> Wanted:
    shipped(story, "stp1")
    told = (
        ("investigating", "10:10"),
        ("identified", "10:15"),
        ("monitoring", "10:30"),
        ("resolved", "10:50"),
    )
    statuspage(story, "stp1", *told, ("postmortem", "Tue 10:00"), components=("stp1",))
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def datadog_incident_with_fields(story: Story) -> Wanted:
    shipped(story, "ddi1")
    for status, clock in (("active", "10:10"), ("stable", "10:30"), ("resolved", "10:50")):
        body = {"incident_uuid": "ddi1", "incident_public_id": "7", "incident_title": "Down"}
        body |= {"incident_severity": "SEV-1", "incident_status": status}
        body |= {"date": str(int(moment(clock).timestamp() * 1000))}
        body |= {"incident_fields": {"services": ["ddi1"], "env": ["production"], "state": status}}
        story.add("/datadog", body)
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def one_alert_in_two_environments(story: Story) -> Wanted:
    shipped(story, "env1")
    alertmanager(story, "env1", "10:10", "10:30", environment="staging")
    alertmanager(story, "env1", "10:12", "10:20")
    firing, resolved = story.posts[-4:-2], story.posts[-2:]
    story.posts[-4:] = firing[:1]
    story.posts[-1].body["alerts"] += resolved[0].body["alerts"]
    both = firing[1].body | {"alerts": firing[1].body["alerts"] + resolved[1].body["alerts"]}
    story.add("/alertmanager", both)
    for post in story.posts[-2:]:
        for alert in post.body["alerts"]:
            alert["fingerprint"] = alert["labels"]["environment"]
    return {"fail": (1, 1), "recovery": (8.0, 1)}


def alert_that_is_resolved_by_hand_days_later(story: Story) -> Wanted:
    jenkins = shipped(story, "day1")
    alertmanager(story, "day1", "10:10", "Wed 10:10")
    jenkins.deploy("Tue 09:00", commit="day1 2")
    jenkins.deploy("Thu 09:00", commit="day1 3")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (2880.0, 1)}


def severity_rises_and_falls(story: Story) -> Wanted:
    shipped(story, "sev1")
    alertmanager(story, "sev1", "10:10", "10:40", severity="warning")
    alertmanager(story, "sev1", "10:20", "10:30", severity="critical")
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def alert_of_kubernetes(story: Story) -> Wanted:
    shipped(story, "kub1")
    alertmanager(story, "", "10:10", "10:25", environment="", namespace="shop", deployment="kub1")
    return {"fail": (1, 1), "recovery": (15.0, 1)}


def alert_names_a_short_commit(story: Story) -> Wanted:
    jenkins = shipped(story, "cmt1")
    jenkins.deploy("11:00", commit="cmt1 2")
    alertmanager(story, "cmt1", "11:10", "11:30", commit=sha("cmt1 1")[:8])
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def alert_names_a_tag_with_a_v(story: Story) -> Wanted:
    jenkins = Jenkins(story, "acme/tag1")
    jenkins.deploy("10:00", version="1.4.0")
    jenkins.deploy("11:00", version="1.5.0")
    alertmanager(story, "tag1", "11:10", "11:30", image_tag="v1.4.0")
    return {"fail": (1, 2), "rework": (0, 2)}


def opened_by_hand_before_the_alert(story: Story) -> Wanted:
    shipped(story, "hnd1")
    pagerduty_incident(story, "hnd1", "A", ("triggered", "10:05"), ("resolved", "10:50"))
    alertmanager(story, "hnd1", "10:10", "10:30")
    return {"fail": (1, 1), "recovery": (45.0, 1)}


def fixes_what_no_deployment_caused(story: Story) -> Wanted:
    jenkins = shipped(story, "own1")
    opsgenie(story, "own1", "a", ("Create", "Thu 10:00"), ("Close", "Thu 10:35"))
    jenkins.deploy("Thu 10:30", commit="own1 2")
    return {"fail": (0, 2), "rework": (1, 2)}


def service_tag_added_later(story: Story) -> Wanted:
    shipped(story, "tga1")
    opsgenie(
        story,
        "tga1",
        "a",
        ("Create", "10:10"),
        ("AddTags", "10:12"),
        ("Escalate", "10:20"),
        ("Close", "10:40"),
    )
    story.posts[-4].body["alert"]["tags"] = []
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def two_groups_of_one_monitor(story: Story) -> Wanted:
    shipped(story, "ddg1")
    datadog(story, "ddg1", "host-a", ("Triggered", "10:10"), ("Recovered", "10:30"))
    datadog(
        story,
        "ddg1",
        "host-b",
        ("Triggered", "10:12"),
        ("No Data", "10:20"),
        ("Recovered", "10:50"),
    )
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def alert_group_silenced(story: Story) -> Wanted:
    shipped(story, "irm9")
    told = (
        ("alert group created", "10:10", ""),
        ("silence", "10:12", ""),
        ("unsilence", "10:40", ""),
    )
    grafana_irm(story, "irm9", "10:10", *told, ("resolve", "10:55", "10:55"))
    return {"fail": (1, 1), "recovery": (45.0, 1)}


def ticket_on_hold(story: Story) -> Wanted:
    shipped(story, "snw1")
    told = (("1", "10:10", "", ""), ("3", "10:20", "", ""), ("2", "10:40", "", ""))
    servicenow(story, "snw1", "INC0020001", "10:10", *told, ("6", "11:10", "11:10", ""))
    return {"fail": (1, 1), "recovery": (60.0, 1)}


def issue_of_two_entities(story: Story) -> Wanted:
    shipped(story, "nrl1")
    newrelic(story, "nrl1", "10:10", ("ACTIVATED", "10:10"), ("CLOSED", "10:40"))
    for post in story.posts[-2:]:
        post.body["impactedEntities"] = ["nrl1", "nrl1-db"]
    return {"fail": (1, 1), "recovery": (30.0, 1)}


HISTORIES = {
    "acme/mrg1": merged_into_the_incident_of_another_service,
    "acme/mrg3": merged_into_an_open_incident,
    "acme/mtw-a": merged_twice,
    "acme/mfx1": fixed_after_the_merge,
    "acme/mov1": moved_to_another_service,
    "acme/mov3": moved_away,
    "acme/pdl1": snoozed_and_escalated,
    "acme/pdl2": times_with_offsets,
    "acme/path1": alert_of_a_repository_path,
    "acme/path2": opsgenie_tag_with_a_repository_path,
    "acme/path3": pagerduty_service_with_a_repository_path,
    "acme/roo1": rootly_names_its_service,
    "acme/roo2": rootly_of_staging,
    "acme/roo3": rootly_reopened,
    "acme/roo4": rootly_service_named_later,
    "acme/iio1": incident_io_names_its_service,
    "acme/iio3": incident_io_learns_and_closes,
    "acme/iio4": incident_io_declined,
    "acme/stp1": statuspage_component,
    "acme/ddi1": datadog_incident_with_fields,
    "acme/env1": one_alert_in_two_environments,
    "acme/day1": alert_that_is_resolved_by_hand_days_later,
    "acme/sev1": severity_rises_and_falls,
    "acme/kub1": alert_of_kubernetes,
    "acme/cmt1": alert_names_a_short_commit,
    "acme/tag1": alert_names_a_tag_with_a_v,
    "acme/hnd1": opened_by_hand_before_the_alert,
    "acme/own1": fixes_what_no_deployment_caused,
    "acme/tga1": service_tag_added_later,
    "acme/ddg1": two_groups_of_one_monitor,
    "acme/irm9": alert_group_silenced,
    "acme/snw1": ticket_on_hold,
    "acme/nrl1": issue_of_two_entities,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_incident_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
