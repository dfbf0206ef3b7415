"""Incidents that tools tell of: merged, reopened, flapping, never begun, over before the fix."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at
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
    sentry_alert,
    servicenow,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def shipped(story: Story, name: str) -> Jenkins:
    """A job of Jenkins that deployed at 10:00."""
    jenkins = Jenkins(story, f"acme/{name}")
    jenkins.deploy("10:00", commit=f"{name} 1")
    return jenkins


def two_alerts_of_one_outage(story: Story) -> Wanted:
    own = GitHub(story, "acme/ops1")
    own.pull(1, "08:00", "09:00", pushed=True)
    Jenkins(story, own.name).deploy("10:00", commit=own.merge_of(1))
    opsgenie(story, "ops1", "a", ("Create", "10:10"), ("Acknowledge", "10:12"), ("Close", "10:40"))
    opsgenie(story, "ops1", "b", ("Create", "10:20"), ("Close", "11:00"))
    return {"lead": (2.0, 1), "fail": (1, 1), "recovery": (50.0, 1), "rework": (0, 1)}


def acknowledged_only(story: Story) -> Wanted:
    shipped(story, "ops2")
    opsgenie(story, "ops2", "a", ("Create", "10:10"), ("Acknowledge", "10:15"))
    return {"fail": (1, 1), "recovery": (None, 0), "open": 1}


def deleted_as_a_false_alarm(story: Story) -> Wanted:
    shipped(story, "ops3")
    opsgenie(story, "ops3", "a", ("Create", "10:10"), ("Delete", "10:12"))
    return {"fail": (0, 1), "recovery": (None, 0), "open": 0}


def closed_and_deleted_a_day_later(story: Story) -> Wanted:
    shipped(story, "ops4")
    opsgenie(story, "ops4", "a", ("Create", "10:10"), ("Close", "10:40"), ("Delete", "Tue 09:00"))
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def alert_of_staging(story: Story) -> Wanted:
    shipped(story, "ops5")
    opsgenie(story, "ops5", "a", ("Create", "10:10"), ("Close", "10:40"), env="staging")
    return {"fail": (0, 1)}


def noted_after_its_close(story: Story) -> Wanted:
    shipped(story, "ops6")
    opsgenie(
        story,
        "ops6",
        "a",
        ("Create", "10:10"),
        ("AddNote", "10:15"),
        ("Close", "10:40"),
        ("AddNote", "12:00"),
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def merged_into_another(story: Story) -> Wanted:
    shipped(story, "pd1")
    pagerduty_incident(story, "pd1", "A", ("triggered", "10:10"))
    pagerduty_incident(story, "pd1", "B", ("triggered", "10:12"), ("resolved", "11:00"))
    pagerduty_incident(
        story,
        "pd1",
        "A",
        ("resolved", "10:20"),
        created_at=at("10:10"),
        resolve_reason={"type": "merge_resolve_reason", "incident": {"id": "pd1-B"}},
    )
    return {"fail": (1, 1), "recovery": (50.0, 1)}


def reopened(story: Story) -> Wanted:
    shipped(story, "pd2")
    pagerduty_incident(
        story,
        "pd2",
        "A",
        ("triggered", "10:10"),
        ("acknowledged", "10:11"),
        ("resolved", "10:30"),
        ("reopened", "10:40"),
        ("resolved", "11:10"),
    )
    return {"fail": (1, 1), "recovery": (25.0, 2)}


def spans_two_deployments(story: Story) -> Wanted:
    jenkins = shipped(story, "pd3")
    pagerduty_incident(story, "pd3", "A", ("triggered", "10:10"), ("resolved", "11:05"))
    jenkins.deploy("10:30", commit="x2")
    jenkins.deploy("11:00", commit="x3")
    jenkins.deploy("12:00", commit="x4")
    return {"fail": (1, 4), "rework": (2, 4), "recovery": (55.0, 1)}


def begins_before_the_rollout_ends(story: Story) -> Wanted:
    jenkins = shipped(story, "pd4")
    jenkins.deploy("11:10", began="10:50", commit="x2")
    pagerduty_incident(story, "pd4", "A", ("triggered", "11:00"), ("resolved", "11:30"))
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (30.0, 1)}


def over_before_the_fix_ships(story: Story) -> Wanted:
    jenkins = shipped(story, "pd5")
    pagerduty_incident(story, "pd5", "A", ("triggered", "10:10"), ("resolved", "10:30"))
    jenkins.deploy("11:00", commit="x2")
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def over_while_the_fix_rolls_out(story: Story) -> Wanted:
    jenkins = shipped(story, "pd6")
    pagerduty_incident(story, "pd6", "A", ("triggered", "10:10"), ("resolved", "10:30"))
    jenkins.deploy("10:35", began="10:25", commit="x2")
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (20.0, 1)}


def flapping(story: Story) -> Wanted:
    shipped(story, "am1")
    for a, b in (("10:10", "10:12"), ("10:14", "10:16"), ("10:18", "10:24")):
        alertmanager(story, "am1", a, b)
    return {"fail": (1, 1), "recovery": (2.0, 3)}


def two_services_of_a_repository(story: Story) -> Wanted:
    own = GitHub(story, "acme/am2")
    own.deploy("10:00", commit="a", service="am2-api")
    own.deploy("10:05", commit="a", service="am2-web")
    alertmanager(story, "am2-api", "10:10", "10:30")
    alertmanager(story, "am2-web", "10:12", "10:20", alertname="Slow")
    return {"fail": (2, 2), "recovery": (14.0, 2)}


def names_no_service(story: Story) -> Wanted:
    """Rootly names no service, so no deployment failed."""
    shipped(story, "ro1")
    rootly(
        story, "ro1", "10:10", ("created", "10:11"), ("mitigated", "10:20"), ("resolved", "11:00")
    )
    return {"fail": (0, 1)}


def alert_group_with_a_late_note(story: Story) -> Wanted:
    shipped(story, "irm1")
    grafana_irm(
        story,
        "irm1",
        "10:10",
        ("alert group created", "10:10", ""),
        ("acknowledge", "10:12", ""),
        ("resolve", "10:30", "10:30"),
        ("status change", "12:30", "10:30"),
    )
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def alert_group_unresolved(story: Story) -> Wanted:
    shipped(story, "irm2")
    grafana_irm(
        story,
        "irm2",
        "10:10",
        ("alert group created", "10:10", ""),
        ("resolve", "10:30", "10:30"),
        ("unresolve", "10:40", ""),
        ("resolve", "11:00", "11:00"),
    )
    return {"fail": (1, 1), "recovery": (20.0, 2)}


def resolved_and_closed_later(story: Story) -> Wanted:
    shipped(story, "snow1")
    servicenow(
        story,
        "snow1",
        "INC0010001",
        "10:10",
        ("1", "10:10", "", ""),
        ("2", "10:15", "", ""),
        ("6", "10:50", "10:50", ""),
        ("7", "Wed 10:00", "10:50", "Wed 10:00"),
    )
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def ticket_reopened(story: Story) -> Wanted:
    shipped(story, "snow2")
    servicenow(
        story,
        "snow2",
        "INC0010002",
        "10:10",
        ("1", "10:10", "", ""),
        ("6", "10:50", "10:50", ""),
        ("2", "11:00", "", ""),
        ("6", "11:30", "11:30", ""),
    )
    return {"fail": (1, 1), "recovery": (35.0, 2)}


def ticket_cancelled(story: Story) -> Wanted:
    shipped(story, "snow3")
    servicenow(
        story, "snow3", "INC0010003", "10:10", ("1", "10:10", "", ""), ("8", "10:20", "", "")
    )
    return {"fail": (0, 1)}


def issue_of_new_relic(story: Story) -> Wanted:
    shipped(story, "nr1")
    newrelic(
        story,
        "nr1",
        "10:10",
        ("CREATED", "10:10"),
        ("ACTIVATED", "10:11"),
        ("ACKNOWLEDGED", "10:13"),
        ("CLOSED", "10:40"),
    )
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def monitor_alerts_twice(story: Story) -> Wanted:
    shipped(story, "dd1")
    datadog(
        story,
        "dd1",
        "c1",
        ("Triggered", "10:10"),
        ("Re-Triggered", "10:20"),
        ("Recovered", "10:40"),
    )
    datadog(story, "dd1", "c2", ("Triggered", "11:10"), ("Recovered", "11:20"))
    return {"fail": (1, 1), "recovery": (20.0, 2)}


def monitor_only_warns(story: Story) -> Wanted:
    shipped(story, "dd2")
    datadog(story, "dd2", "c1", ("Warn", "10:10"), ("Warn Recovered", "10:40"))
    return {"fail": (0, 1), "recovery": (None, 0), "open": 0}


def monitor_warns_and_then_alerts(story: Story) -> Wanted:
    shipped(story, "dd3")
    datadog(story, "dd3", "c1", ("Warn", "10:10"), ("Triggered", "10:20"), ("Recovered", "10:40"))
    return {"fail": (1, 1), "recovery": (20.0, 1)}


def metric_alert_gets_milder(story: Story) -> Wanted:
    shipped(story, "sen1")
    sentry_alert(story, "sen1", "10:10", ("critical", ""), ("warning", ""), ("resolved", "10:45"))
    return {"fail": (1, 1), "recovery": (35.0, 1)}


HISTORIES = {
    "acme/ops1": two_alerts_of_one_outage,
    "acme/ops2": acknowledged_only,
    "acme/ops3": deleted_as_a_false_alarm,
    "acme/ops4": closed_and_deleted_a_day_later,
    "acme/ops5": alert_of_staging,
    "acme/ops6": noted_after_its_close,
    "acme/pd1": merged_into_another,
    "acme/pd2": reopened,
    "acme/pd3": spans_two_deployments,
    "acme/pd4": begins_before_the_rollout_ends,
    "acme/pd5": over_before_the_fix_ships,
    "acme/pd6": over_while_the_fix_rolls_out,
    "acme/am1": flapping,
    "acme/am2": two_services_of_a_repository,
    "acme/ro1": names_no_service,
    "acme/irm1": alert_group_with_a_late_note,
    "acme/irm2": alert_group_unresolved,
    "acme/snow1": resolved_and_closed_later,
    "acme/snow2": ticket_reopened,
    "acme/snow3": ticket_cancelled,
    "acme/nr1": issue_of_new_relic,
    "acme/dd1": monitor_alerts_twice,
    "acme/dd2": monitor_only_warns,
    "acme/dd3": monitor_warns_and_then_alerts,
    "acme/sen1": metric_alert_gets_milder,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_incident_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
