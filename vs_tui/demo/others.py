"""Bodies of the smaller tools: custom HTTP events, PagerDuty's and Alertmanager's incidents."""

from __future__ import annotations

from typing import Any

from vs_tui.demo.world import World
from vs_tui.model.time import Instant, iso

UNSET = "0001-01-01T00:00:00Z"


def custom(
    world: World,
    at: Instant,
    kind: str,
    identifier: str,
    action: str,
    *,
    name: str = "",
    parent: str = "",
    error: bool = False,
    namespace: str = "acme-data",
    **tags: Any,
) -> None:
    """Send an event in ValueStream's custom HTTP format."""
    body: dict[str, Any] = {
        "type": kind,
        "id": identifier,
        "action": action,
        "namespace": namespace,
        "timestamp": iso(at),
    }
    if name:
        body["name"] = name
    if parent:
        body["parentid"] = f"vstrace-customhttp-{parent}"
    if error:
        body["error"] = True
    if tags:
        body["tags"] = tags
    world.send(at, "/customhttp", {"idempotency-key": world.uuid()}, body)


def pagerduty(
    world: World,
    at: Instant,
    event: str,
    identifier: str,
    number: int,
    title: str,
    service: str,
    created_at: Instant,
    agent: str,
) -> None:
    """Send a v3 webhook of an incident: `triggered`, `acknowledged` or `resolved`."""
    home = "https://acme.pagerduty.example"
    data = {
        "id": identifier,
        "type": "incident",
        "html_url": f"{home}/incidents/{identifier}",
        "number": number,
        "status": event,
        "incident_key": f"{service}/{number}",
        "created_at": iso(created_at),
        "title": title,
        "service": {
            "id": "P" + service[:6].upper(),
            "type": "service_reference",
            "summary": service,
            "html_url": f"{home}/services/{service}",
        },
        "urgency": "high",
        "assignees": [{"type": "user_reference", "summary": agent}],
    }
    body = {
        "event": {
            "id": world.uuid(),
            "event_type": f"incident.{event}",
            "resource_type": "incident",
            "occurred_at": iso(at),
            "agent": {"type": "user_reference", "summary": agent},
            "data": data,
        }
    }
    world.send(at, "/pagerduty", {"x-webhook-id": world.uuid()}, body)


def alertmanager(
    world: World,
    at: Instant,
    name: str,
    summary: str,
    service: str,
    version: str,
    starts_at: Instant,
    ends_at: Instant | None = None,
) -> None:
    """Send a group of one alert: firing, or resolved if `ends_at` is given."""
    labels = {
        "alertname": name,
        "severity": "critical",
        "service": service,
        "environment": "production",
        "version": version,
    }
    status = "firing" if ends_at is None else "resolved"
    alert = {
        "status": status,
        "labels": labels,
        "annotations": {"summary": summary},
        "startsAt": iso(starts_at),
        "endsAt": iso(ends_at) or UNSET,
        "generatorURL": "https://prometheus.acme.example/graph",
        "fingerprint": f"{len(name) * 7919 + starts_at // 1_000_000:016x}",
    }
    body = {
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "vs-tui",
        "groupLabels": {"alertname": name},
        "commonLabels": labels,
        "commonAnnotations": {"summary": summary},
        "externalURL": "https://alertmanager.acme.example",
        "alerts": [alert],
    }
    world.send(at, "/alertmanager", {"user-agent": "Alertmanager/0.28.1"}, body)


def plyzen(
    world: World,
    at: Instant,
    version: str,
    stage: str,
    activity: str,
    event: str,
    result: str = "",
    artifact: str = "search-index",
) -> None:
    """Send a record of plyzen's basic schema."""
    body = {
        "namespace": "acme",
        "artifact": artifact,
        "version": version,
        "environment": stage,
        "instance": "1",
        "activity": activity,
        "event": event,
        "timestamp": iso(at),
    }
    if result:
        body["result"] = result
    world.send(at, "/plyzen", {"user-agent": "curl/8.9.1"}, body)
