"""Bodies of the tools that page people, and of CircleCI and Buildkite."""

from __future__ import annotations

from typing import Any

from tests.sources.api_payloads import SHA, post, stamp
from vs_tui.sources.base import Inbound

# -- PagerDuty ---------------------------------------------------------------------------------


def pager(kind: str, clock: str, **changes: Any) -> dict[str, Any]:
    """A V3 webhook about one incident."""
    return {
        "event": {
            "id": f"01{kind}{clock}",
            "event_type": kind,
            "resource_type": "incident",
            "occurred_at": stamp(clock),
            "agent": {"type": "user_reference", "summary": "Ann"},
            "client": None,
            "data": {
                "id": "PGR0VU2",
                "type": "incident",
                "self": "https://api.pagerduty.com/incidents/PGR0VU2",
                "html_url": "https://acme.pagerduty.com/incidents/PGR0VU2",
                "number": 2,
                "status": "triggered",
                "incident_key": "d3640fbd41094207a1c11e58e46b1662",
                "created_at": stamp("10:00:00"),
                "title": "Checkout fails, see vstrace-customhttp-deploy-default-9",
                "service": {"id": "PF9KMXH", "summary": "cart", "type": "service_reference"},
                "assignees": [{"id": "PTUXL6G", "summary": "Bob Builder"}],
                "escalation_policy": {"id": "PUS0KTE", "summary": "Default"},
                "teams": [],
                "priority": {"id": "PSO75BM", "summary": "P1"},
                "urgency": "high",
                "conference_bridge": None,
                "resolve_reason": None,
                **changes,
            },
        }
    }


def pagerduty_story() -> list[Inbound]:
    """Triggered, acknowledged, resolved, reopened, escalated, resolved; another that is open."""
    bodies = [
        pager("incident.triggered", "10:00:00"),
        pager("incident.acknowledged", "10:05:00"),
        pager("incident.unacknowledged", "10:15:00"),
        pager("incident.acknowledged", "10:20:00"),
        pager("incident.resolved", "10:40:00"),
        pager("incident.reopened", "11:00:00"),
        pager("incident.escalated", "11:05:00", assignees=[{"summary": "Cid"}]),
        pager("incident.priority_updated", "11:06:00", priority=None),
        pager("incident.resolved", "11:30:00", title="Checkout failed"),
        pager("incident.triggered", "10:00:00", id="PXYZ"),
    ]
    return [post("/pagerduty", body, n) for n, body in enumerate(bodies)]


# -- Alertmanager and Grafana ------------------------------------------------------------------

FIRING = "0001-01-01T00:00:00Z"


def alert(status: str = "firing", start: str = "10:00:00", end: str = "", **labels: str) -> Any:
    return {
        "status": status,
        "labels": {
            "alertname": "HighErrorRate",
            "service": "cart",
            "environment": "production",
            "severity": "critical",
            **labels,
        },
        "annotations": {
            "summary": "5 % of the requests to cart fail",
            "runbook_url": "https://runbooks.example/cart",
        },
        "startsAt": stamp(start),
        "endsAt": stamp(end) if end else FIRING,
        "generatorURL": "https://prometheus.example/graph?g0.expr=x",
        "fingerprint": labels.get("fingerprint", "c8b5a5a0b1c2d3e4"),
    }


def alerts(*found: Any, version: str = "4", **changes: Any) -> dict[str, Any]:
    """A notification of Alertmanager (`version` 4) or Grafana (1)."""
    return {
        "version": version,
        "groupKey": '{}:{alertname="HighErrorRate"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "vs-tui",
        "groupLabels": {"alertname": "HighErrorRate"},
        "commonLabels": {"alertname": "HighErrorRate"},
        "commonAnnotations": {},
        "externalURL": "https://alerts.example",
        "alerts": list(found),
        **changes,
    }


def alerts_story(path: str) -> list[Inbound]:
    """Two alerts that overlap, one that fires again, one whose end alone arrives."""
    other = {"alertname": "Latency", "fingerprint": "ffff000011112222"}
    bodies = [
        alerts(alert()),
        alerts(alert(), alert(start="10:02:00", **other)),
        alerts(alert("resolved", end="10:30:00"), alert(start="10:02:00", **other)),
        alerts(alert("resolved", start="10:02:00", end="10:31:00", **other), status="resolved"),
        alerts(alert(start="12:00:00")),
        alerts(alert("resolved", start="08:00:00", end="08:10:00", fingerprint="abcd")),
    ]
    return [post(path, body, n) for n, body in enumerate(bodies)]


# -- CircleCI ----------------------------------------------------------------------------------

WORKFLOW = "fda08377-fe7e-46b1-8992-3a7aaecac9c3"


def circle(
    kind: str = "workflow-completed", status: str = "success", **changes: Any
) -> dict[str, Any]:
    """A webhook about a workflow, or about a job of it."""
    body: dict[str, Any] = {
        "id": f"3888f21b-eaa7-38e3-8f3d-75a63bba8895-{kind}-{status}",
        "type": kind,
        "happened_at": stamp("10:20:00"),
        "webhook": {"id": "cf8c4fdd-0587-4da1-b4ca-4846e9640af9", "name": "vs-tui"},
        "project": {"id": "84996744", "name": "cart", "slug": "github/Acme/cart"},
        "organization": {"id": "f22b6566", "name": "Acme"},
        "workflow": {
            "id": WORKFLOW,
            "name": "ship",
            "created_at": stamp("10:00:00"),
            "stopped_at": stamp("10:20:00"),
            "url": f"https://app.circleci.com/pipelines/github/Acme/cart/130/workflows/{WORKFLOW}",
            "status": status,
        },
        "pipeline": {
            "id": "1285fe1d-d3a6-44fc-8886-8979558254c4",
            "number": 130,
            "created_at": stamp("09:59:00"),
            "trigger": {"type": "webhook"},
            "vcs": {
                "provider_name": "github",
                "origin_repository_url": "https://github.com/Acme/cart",
                "target_repository_url": "https://github.com/Acme/cart",
                "revision": SHA,
                "commit": {
                    "subject": "Cache carts (#34)",
                    "body": "",
                    "author": {"name": "Ann", "email": "ann@acme.example"},
                },
                "branch": "feature/cache",
            },
        },
    }
    if kind == "job-completed":
        body["job"] = {
            "id": "8b91f9a8-7975-4e60-916c-f0152ccae937",
            "name": "unit",
            "started_at": stamp("10:01:00"),
            "stopped_at": stamp("10:05:00"),
            "status": status,
            "number": 136,
        }
        for name in ("status", "stopped_at", "created_at"):
            body["workflow"].pop(name)
    for name, change in changes.items():
        body[name] = {**body[name], **change} if isinstance(change, dict) else change
    return body


def circleci_story() -> list[Inbound]:
    deploy = {
        "id": "d-1",
        "name": "deploy-production",
        "started_at": stamp("10:06:00"),
        "stopped_at": stamp("10:19:00"),
    }
    bodies = [
        circle("job-completed", "failed"),
        circle("job-completed", job={"id": "r-1", "started_at": stamp("10:07:00")}),
        circle("job-completed", job=deploy),
        circle(),
        circle(status="canceled", workflow={"id": "w-2"}),
    ]
    return [post("/circleci", body, n) for n, body in enumerate(bodies)]


# -- Buildkite ---------------------------------------------------------------------------------

BUILD = "0190046e-e199-453b-a302-a21a4d649d31"


def kite_build(state: str = "scheduled", **changes: Any) -> dict[str, Any]:
    return {
        "id": BUILD,
        "url": f"https://api.buildkite.com/v2/organizations/acme/pipelines/cart/builds/{BUILD}",
        "web_url": "https://buildkite.com/acme/cart/builds/23",
        "number": 23,
        "state": state,
        "blocked": False,
        "message": "Cache carts (#34)",
        "commit": SHA,
        "branch": "feature/cache",
        "tag": None,
        "env": {},
        "source": "webhook",
        "creator": {"id": "u", "name": "Ann", "email": "ann@acme.example"},
        "created_at": stamp("10:00:00"),
        "scheduled_at": stamp("10:00:00"),
        "started_at": None,
        "finished_at": None,
        "meta_data": {},
        "pull_request": {
            "id": "34",
            "base": "main",
            "repository": "git://github.com/acme/cart.git",
        },
        "rebuilt_from": None,
        **changes,
    }


def kite_job(state: str = "scheduled", **changes: Any) -> dict[str, Any]:
    return {
        "id": "b63254c0-3271-4a98-8270-7cfbd6c2f14e",
        "type": "script",
        "name": "unit",
        "step_key": "unit",
        "state": state,
        "web_url": "https://buildkite.com/acme/cart/builds/23#b63254c0",
        "command": "make test",
        "soft_failed": False,
        "exit_status": None,
        "agent": None,
        "created_at": stamp("10:00:00"),
        "scheduled_at": stamp("10:00:01"),
        "runnable_at": stamp("10:00:02"),
        "started_at": None,
        "finished_at": None,
        "retried": False,
        "retries_count": None,
        **changes,
    }


def kite(event: str, build: dict[str, Any], job: dict[str, Any] | None = None) -> dict[str, Any]:
    return {
        "event": event,
        "build": build,
        **({"job": job} if job else {}),
        "pipeline": {
            "id": "849411f9",
            "slug": "cart",
            "name": "Cart",
            "repository": "git@github.com:Acme/cart.git",
            "default_branch": "main",
        },
        "sender": {"id": "u", "name": "Ann"},
    }


def buildkite_story() -> list[Inbound]:
    """A build that runs, waits at a block, goes on and passes; a failed job and its retry."""
    begun = {"started_at": stamp("10:00:30")}
    blocked = kite_build("passed", **begun, blocked=True, finished_at=stamp("10:04:00"))
    passed = kite_build("passed", **begun, finished_at=stamp("10:30:00"))
    ran = {"started_at": stamp("10:00:40"), "finished_at": stamp("10:03:00")}
    again = {
        "id": "retry",
        "started_at": stamp("10:03:10"),
        "retries_count": 1,
        "retry_source": {"job_id": "b63254c0-3271-4a98-8270-7cfbd6c2f14e"},
    }
    deploy = kite_job(
        "running",
        id="ship",
        name="Deploy to production",
        step_key="deploy",
        created_at=stamp("10:00:00"),
        scheduled_at=stamp("10:20:00"),
        runnable_at=stamp("10:20:00"),
        started_at=stamp("10:20:10"),
    )
    bodies = [
        kite("build.scheduled", kite_build()),
        kite("build.running", kite_build("running", **begun)),
        kite("job.scheduled", kite_build("running", **begun), kite_job()),
        kite("job.started", kite_build("running", **begun), kite_job("running", **_start(ran))),
        kite(
            "job.finished",
            kite_build("running", **begun),
            kite_job("finished", **ran, exit_status=1),
        ),
        kite(
            "job.finished",
            kite_build("running", **begun),
            kite_job("finished", **again, exit_status=0, finished_at=stamp("10:03:50")),
        ),
        kite("build.finished", blocked),
        kite("job.started", kite_build("running", **begun), deploy),
        kite(
            "job.finished",
            kite_build("running", **begun),
            {**deploy, "state": "finished", "exit_status": 0, "finished_at": stamp("10:29:00")},
        ),
        kite("build.finished", passed),
    ]
    return [post("/buildkite", body, n) for n, body in enumerate(bodies)]


def _start(times: dict[str, str]) -> dict[str, str]:
    return {"started_at": times["started_at"]}
