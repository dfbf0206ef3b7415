"""Incidents of trackers and alerts: reopened, duplicate, labelled late, at the window's edge."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, told_in
from tests.metrics.http.others import Script, alertmanager
from tests.metrics.http.presets import (
    millis,
    pagerduty_incident,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def devlake(story: Story) -> Wanted:
    own = GitHub(story, "acme/dvl1")
    own.push(("dvl 1", "08:00"))
    own.push(("dvl 2", "09:00"))
    for n, (c, t, e, r, env) in enumerate(
        (
            ("dvl 1", "08:30", "08:40", "SUCCESS", ""),
            ("dvl 2", "09:20", "09:30", "FAILURE", "PRODUCTION"),
            ("dvl 2", "09:40", "09:50", "SUCCESS", "PRODUCTION"),
            ("dvl 2", "10:40", "10:50", "FAILURE", "STAGING"),
        )
    ):
        b = {
            "id": f"dvl-{n}",
            "startedDate": at(t),
            "finishedDate": at(e),
            "result": r,
            "deploymentCommits": [
                {
                    "repoUrl": "https://github.com/acme/dvl1",
                    "refName": "main",
                    "commitSha": sha(c),
                    "startedDate": at(t),
                    "finishedDate": at(e),
                }
            ],
        }
        story.add(
            "/api/rest/plugins/webhook/connections/7/deployments",
            b | ({"environment": env} if env else {}),
        )
    for st, up, res in (
        ("TODO", "10:00", ""),
        ("IN_PROGRESS", "10:05", ""),
        ("DONE", "10:20", "10:20"),
    ):
        b = {
            "issueKey": "DVL-1",
            "title": "down",
            "type": "INCIDENT",
            "status": st,
            "createdDate": at("10:00"),
            "updatedDate": at(up),
            "component": "dvl1",
        }
        story.add(
            "/api/rest/plugins/webhook/connections/7/incidents",
            b | ({"resolutionDate": at(res)} if res else {}),
        )
    return {"lead": (0.75, 2), "fail": (2, 3), "recovery": (20.0, 2), "project": "acme/dvl1"}


def jira(
    story: Story,
    key,
    event,
    clock,
    category,
    status,
    created,
    resolution="",
    labels=(),
    itype="Incident",
    resolved="",
    project="JRA",
    change=None,
):
    f = {
        "summary": "Down",
        "created": at(created),
        "updated": at(clock),
        "issuetype": {"name": itype},
        "project": {"key": project, "id": str(number(project))},
        "labels": list(labels),
        "status": {"name": status, "statusCategory": {"key": category}},
        "statuscategorychangedate": at(clock),
    }
    if resolution:
        f |= {"resolution": {"name": resolution}, "resolutiondate": at(clock)}
    b = {
        "webhookEvent": f"jira:issue_{event}",
        "timestamp": millis(clock),
        "issue": {
            "id": str(number(key)),
            "key": key,
            "self": f"https://acme.atlassian.net/rest/api/2/issue/{number(key)}",
            "fields": f,
        },
    }
    story.add("/jira", b)


def jira_incident(story: Story) -> Wanted:
    Script(story, "JRA").deploy("10:00", version="1")
    jira(story, "JRA-1", "created", "10:10", "new", "Open", "10:10")
    jira(story, "JRA-1", "updated", "10:15", "indeterminate", "Work", "10:10")
    jira(story, "JRA-1", "updated", "10:50", "done", "Done", "10:10", "Done")
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def jira_components(story: Story) -> Wanted:
    """The project of tickets deploys nothing; components name services, at last the right one."""
    for service in ("jcm1", "jcm2"):
        Script(story, "acme/jcm", service).deploy("10:00", version="1", key=service)
    for kind, clock, category, components in (
        ("created", "10:10", "new", ()),
        ("updated", "10:20", "indeterminate", ("Jcm2", "Printers")),
        ("updated", "10:40", "done", ("Jcm1", "Printers")),
    ):
        done = "Done" if category == "done" else ""
        jira(story, "OPS-9", kind, clock, category, clock, "10:10", done, project="OPS")
        named = [{"id": name, "name": name} for name in components]
        story.posts[-1].body["issue"]["fields"]["components"] = named
    return {"fail": (1, 2), "recovery": (30.0, 1), "by": "project", "project": "acme/jcm"}


def jira_reopened(story: Story) -> Wanted:
    Script(story, "JRB").deploy("10:00", version="1")
    jira(story, "JRB-1", "created", "10:10", "new", "Open", "10:10", project="JRB")
    jira(story, "JRB-1", "updated", "10:30", "done", "Done", "10:10", "Done", project="JRB")
    jira(story, "JRB-1", "updated", "10:40", "indeterminate", "Work", "10:10", project="JRB")
    jira(story, "JRB-1", "updated", "11:00", "done", "Done", "10:10", "Done", project="JRB")
    return {"fail": (1, 1), "recovery": (20.0, 2)}


def jira_duplicate(story: Story) -> Wanted:
    Script(story, "JRC").deploy("10:00", version="1")
    jira(story, "JRC-1", "created", "10:10", "new", "Open", "10:10", project="JRC")
    jira(story, "JRC-2", "created", "10:12", "new", "Open", "10:12", project="JRC")
    jira(story, "JRC-2", "updated", "10:20", "done", "Done", "10:12", "Duplicate", project="JRC")
    jira(story, "JRC-1", "updated", "10:50", "done", "Done", "10:10", "Fixed", project="JRC")
    return {"fail": (1, 1), "recovery": (40.0, 1)}


def jira_label_added(story: Story) -> Wanted:
    """A bug becomes an incident by a label 30 minutes later: it began when it was created."""
    Script(story, "JRD").deploy("10:00", version="1")
    jira(story, "JRD-1", "created", "10:10", "new", "Open", "10:10", itype="Bug", project="JRD")
    jira(
        story,
        "JRD-1",
        "updated",
        "10:40",
        "new",
        "Open",
        "10:10",
        itype="Bug",
        labels=("outage",),
        project="JRD",
    )
    jira(
        story,
        "JRD-1",
        "updated",
        "10:50",
        "done",
        "Done",
        "10:10",
        "Fixed",
        itype="Bug",
        labels=("outage",),
        project="JRD",
    )
    jira(story, "JRD-2", "created", "10:10", "new", "Open", "10:10", itype="Bug", project="JRD")
    return {"fail": (1, 1), "recovery": (40.0, 1), "open": 0}


def linear(story: Story) -> Wanted:
    Script(story, "LIN").deploy("10:00", version="1")
    for act, t, typ, more in (
        ("create", "10:10", "unstarted", {}),
        ("update", "10:15", "started", {"startedAt": at("10:15")}),
        ("update", "10:45", "completed", {"completedAt": at("10:45")}),
    ):
        d = {
            "id": "lin-1",
            "identifier": "LIN-1",
            "title": "Down",
            "createdAt": at("10:10"),
            "updatedAt": at(t),
            "labels": [{"id": "l", "name": "Incident"}],
            "state": {"id": typ, "name": typ, "type": typ},
            "team": {"id": "t", "key": "LIN", "name": "LIN"},
            "url": "https://linear.app/acme/issue/LIN-1",
            **more,
        }
        story.add(
            "/linear",
            {
                "action": act,
                "type": "Issue",
                "createdAt": at(t),
                "data": d,
                "webhookTimestamp": millis(t),
            },
        )
    return {"fail": (1, 1), "recovery": (35.0, 1)}


def grafana_alert(story: Story) -> Wanted:
    Script(story, "gra1").deploy("10:00", version="1")
    base = {
        "labels": {
            "alertname": "Slow",
            "service": "gra1",
            "environment": "production",
            "severity": "critical",
        },
        "annotations": {"summary": "slow"},
        "fingerprint": "gra1fp",
        "startsAt": at("10:10"),
    }
    for st, end in (("firing", "0001-01-01T00:00:00Z"), ("resolved", at("10:35"))):
        story.add(
            "/grafana",
            {
                "receiver": "r",
                "status": st,
                "version": "1",
                "alerts": [base | {"status": st, "endsAt": end}],
            },
        )
    return {"fail": (1, 1), "recovery": (25.0, 1)}


def am_batch(story: Story) -> Wanted:
    """One notification with two services, resolved together."""
    Script(story, "amb1").deploy("10:00", version="1")
    Script(story, "amb2").deploy("10:00", version="1")
    for st in ("firing", "resolved"):
        al = [
            {
                "status": st,
                "labels": {
                    "alertname": "Down",
                    "service": n,
                    "environment": "production",
                    "severity": "critical",
                },
                "annotations": {},
                "fingerprint": n,
                "startsAt": at("10:10"),
                "endsAt": at("10:20") if st == "resolved" else "0001-01-01T00:00:00Z",
            }
            for n in ("amb1", "amb2")
        ]
        story.add(
            "/alertmanager",
            {"version": "4", "status": st, "receiver": "r", "alerts": al, "truncatedAlerts": 0},
        )
    return {"fail": (1, 1), "recovery": (10.0, 1), "project": "amb1"}


def am_no_env(story: Story) -> Wanted:
    """An alert that knows no environment after a later staging deployment is production's."""
    sc = Script(story, "amn1")
    sc.deploy("10:00", version="1")
    sc.deploy("10:30", version="2", environment="staging")
    alertmanager(story, "amn1", "10:40", "10:50", environment="")
    return {"fail": (1, 1), "recovery": (10.0, 1)}


def am_clusters(story: Story) -> Wanted:
    """Alerts without an environment: their clusters are of staging, of production, and unnamed."""
    for hour in (9, 11, 13):
        Script(story, "amc1").deploy(f"{hour:02}:00", version=str(hour))
    for began, end, cluster in (
        ("09:10", "09:20", "eu-staging-1"),
        ("11:10", "11:20", "prod-eu"),
        ("13:10", "13:30", "blue"),
    ):
        alertmanager(story, "amc1", began, end, "", cluster=cluster)
    return {"fail": (2, 3), "recovery": (15.0, 2)}


def two_incidents_one_version(story: Story) -> Wanted:
    """The version's incident comes a week later, after other versions."""
    sc = Script(story, "wk1")
    for v, t in (("1", "Mon 10:00"), ("2", "Tue 10:00"), ("3", "Wed 10:00")):
        sc.deploy(t, version=v)
    sc.span("incident", "Sat 10:30", "Sat 10:50", key="i1", version="2")
    return {"fail": (1, 3), "recovery": (20.0, 1)}


def incident_in_window_edge(story: Story) -> Wanted:
    """Exactly 24 h after: still within; one second later: not."""
    sc = Script(story, "ed1")
    sc.deploy("10:00", version="1")
    alertmanager(story, "ed1", "Tue 10:00", "Tue 10:10")
    sc = Script(story, "ed2")
    sc.deploy("10:00", version="1")
    alertmanager(story, "ed2", "Tue 10:00:01", "Tue 10:10")
    return {"fail": (1, 1)}


def edge2(story: Story) -> Wanted:
    return {"fail": (0, 1)}


def same_alert_two_tools(story: Story) -> Wanted:
    sc = Script(story, "sat1")
    sc.deploy("09:00", version="1")
    alertmanager(story, "sat1", "09:10", "09:40")
    pagerduty_incident(
        story, "sat1", "A", ("triggered", "09:11"), ("acknowledged", "09:12"), ("resolved", "09:41")
    )
    return {"fail": (1, 1), "recovery": (31.0, 1)}


def failed_test_then_incident(story: Story) -> Wanted:
    """A failed test and an incident on one deployment, apart in time: two failures."""
    sc = Script(story, "tti1")
    sc.deploy("09:00", version="1")
    sc.span("test", "09:01", "09:05", False, version="1", name="smoke")
    sc.span("test", "09:10", "09:15", True, version="1", name="smoke")
    alertmanager(story, "tti1", "10:00", "10:30")
    return {"fail": (1, 1), "recovery": (20.0, 2)}


HISTORIES = {
    "acme/jcm": jira_components,
    "amc1": am_clusters,
    "dvl": devlake,
    "JRA": jira_incident,
    "JRB": jira_reopened,
    "JRC": jira_duplicate,
    "JRD": jira_label_added,
    "LIN": linear,
    "gra1": grafana_alert,
    "amb": am_batch,
    "amn1": am_no_env,
    "wk1": two_incidents_one_version,
    "ed1": incident_in_window_edge,
    "ed2": edge2,
    "sat1": same_alert_two_tools,
    "tti1": failed_test_then_incident,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_history_of_a_tracker_has_the_values_computed_by_hand(configured, order):
    assert told_in(order, configured(RULES), HISTORIES) == {}
