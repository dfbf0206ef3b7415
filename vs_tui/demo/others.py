"""The smaller senders: plyzen, em-metrics, custom HTTP, PagerDuty and Alertmanager."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.demo.cast import Person
from vs_tui.demo.world import World, zulu
from vs_tui.domain.instants import Instant, to_datetime

JSON: Final = {"content-type": "application/json"}
UNSET: Final = "0001-01-01T00:00:00Z"


class Plyzen:
    """Basic records for builds, tests and alarms; the advanced schema for product deploys."""

    def __init__(self, world: World) -> None:
        self.world = world

    def record(
        self,
        artifact: str,
        version: str,
        activity: str,
        event: str,
        environment: str,
        at: Instant,
        result: str = "",
        correlation: str = "",
    ) -> None:
        body: dict[str, Any] = {
            "namespace": "acme-edge",
            "artifact": artifact,
            "version": version,
            "environment": environment,
            "activity": activity,
            "event": event,
            "timestamp": exact(at),
        }
        if result:
            body["result"] = result
        if correlation:
            body["correlationId"] = correlation
        self._send(body, at)

    def deploy(
        self,
        correlation: str,
        versions: Mapping[str, str],
        results: Mapping[str, str],
        events: Sequence[tuple[str, Instant]],
        at: Instant,
        ticket: str = "",
    ) -> None:
        """A product deployment of several artifacts, under one correlationId."""
        activity: dict[str, Any] = {
            "correlationId": correlation,
            "name": "prod-deploy",
            "type": "deployment",
            "events": [{"type": kind, "timestamp": exact(when)} for kind, when in events],
            "product": {"name": "edge-platform"},
            "artifacts": [
                {"namespace": "acme-edge", "name": name, "version": version}
                | ({"result": results[name]} if name in results else {})
                for name, version in versions.items()
            ],
            "environment": {"name": "prod", "instance": {"name": "eu-central"}},
        }
        if ticket:
            activity["extensions"] = {"changeRequest": {"id": ticket, "type": "standard"}}
        self._send({"activities": [activity]}, at)

    def _send(self, body: dict[str, Any], at: Instant) -> None:
        self.world.send("/plyzen", body, JSON | {"user-agent": "plyzen-event.sh"}, at)


class EmMetrics:
    """Deployments and incidents of a project that has no webhooks of its own."""

    def __init__(self, world: World) -> None:
        self.world = world

    def deployment(self, ident: str, project: str, first_commit: Instant, at: Instant) -> None:
        body = {"id": ident, "project_id": project, "first_commit_at": zulu(first_commit)}
        self._send("/deployments", body | {"deploy_start_at": zulu(at)}, at)

    def deployed(self, ident: str, at: Instant) -> None:
        body = {"create_if_not_exists": False, "deployed_at": zulu(at)}
        self._send(f"/deployments/{ident}/deployed", body, at)

    def incident(self, ident: str, project: str, deployment: str, at: Instant) -> None:
        body = {"id": ident, "project_id": project, "deployment_id": deployment}
        self._send("/incidents", body | {"started_at": zulu(at)}, at)

    def incident_over(self, ident: str, verb: str, at: Instant) -> None:
        """`restored` or `finished`."""
        self._send(f"/incidents/{ident}/{verb}", {"date": zulu(at)}, at)

    def _send(self, path: str, body: dict[str, Any], at: Instant) -> None:
        self.world.send(path, body, JSON | {"user-agent": "em-metrics-action"}, at)


class Custom:
    """ValueStream's custom events, as `vscli` sends them from scripts."""

    def __init__(self, world: World) -> None:
        self.world = world

    def event(
        self,
        kind: str,
        ident: str,
        action: str,
        at: Instant,
        *,
        name: str = "",
        parent: str = "",
        error: bool = False,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        body: dict[str, Any] = {
            "id": ident,
            "type": kind,
            "action": action,
            "namespace": "platform",
            "timestamp": exact(at),
        }
        if name:
            body["name"] = name
        if parent:
            body["parentid"] = parent
        if error:
            body["error"] = True
        if tags:
            body["tags"] = dict(tags)
        self.world.send("/customhttp", body, JSON | {"user-agent": "vscli/1.2"}, at)


@dataclass(slots=True)
class Page:
    """A PagerDuty incident."""

    ident: str
    number: int
    title: str
    service: str
    created_at: Instant
    urgency: str = "high"
    key: str = ""
    environment: str = "production"


class PagerDuty:
    """Version 3 webhooks."""

    def __init__(self, world: World) -> None:
        self.world = world

    def trigger(self, title: str, service: str, at: Instant, urgency: str = "high") -> Page:
        number = self.world.number("pagerduty", 2_310)
        ident = f"Q{self.world.sha('page')[:13].upper()}"
        page = Page(ident, number, title, service, at, urgency, f"{service}/production/{number}")
        self.tell(page, "triggered", None, at)
        return page

    def tell(self, page: Page, word: str, by: Person | None, at: Instant) -> None:
        """`triggered`, `acknowledged` or `resolved`."""
        agent = (
            {"type": "user_reference", "summary": by.name, "id": f"P{by.number:06d}"}
            if by
            else None
        )
        event = {
            "id": f"01{self.world.sha('page event')[:24].upper()}",
            "event_type": f"incident.{word}",
            "resource_type": "incident",
            "occurred_at": exact(at),
            "agent": agent,
            "client": None,
            "data": {
                "id": page.ident,
                "type": "incident",
                "self": f"https://api.pagerduty.com/incidents/{page.ident}",
                "html_url": f"https://acme.pagerduty.com/incidents/{page.ident}",
                "number": page.number,
                "status": word,
                "incident_key": page.key,
                "created_at": zulu(page.created_at),
                "title": page.title,
                "service": {
                    "html_url": f"https://acme.pagerduty.com/services/{page.service}",
                    "id": f"S{len(page.service):05d}",
                    "self": f"https://api.pagerduty.com/services/{page.service}",
                    "summary": page.service,
                    "type": "service_reference",
                },
                "assignees": [agent] if agent else [],
                "escalation_policy": {"summary": "On call", "type": "escalation_policy_reference"},
                "teams": [],
                "priority": {"summary": "P1" if page.urgency == "high" else "P3"},
                "urgency": page.urgency,
                "conference_bridge": None,
                "resolve_reason": None,
            },
        }
        headers = JSON | {
            "user-agent": "PagerDuty-Webhook/V3.0",
            "x-webhook-id": self.world.uuid(),
            "x-webhook-subscription": "PSUB481",
        }
        self.world.send("/pagerduty", {"event": event}, headers, at)


class Alertmanager:
    """Prometheus Alertmanager's webhook receiver, version 4 bodies."""

    def __init__(self, world: World) -> None:
        self.world = world

    def notify(
        self,
        name: str,
        service: str,
        summary: str,
        began: Instant,
        ended: Instant | None,
        *,
        environment: str = "production",
        severity: str = "critical",
        version: str = "",
    ) -> None:
        """Firing, or resolved once `ended` is given."""
        status = "firing" if ended is None else "resolved"
        labels = {
            "alertname": name,
            "environment": environment,
            "service": service,
            "severity": severity,
        }
        if version:
            labels["version"] = version
        notes = {"summary": summary, "runbook_url": f"https://runbooks.acme.example/{name}"}
        fingerprint = f"{sum(map(ord, name + service + environment)) * 2_654_435_761:016x}"[-16:]
        group = {"alertname": name, "service": service}
        body = {
            "version": "4",
            "groupKey": f'{{}}:{{alertname="{name}", service="{service}"}}',
            "truncatedAlerts": 0,
            "status": status,
            "receiver": "vs-tui",
            "groupLabels": group,
            "commonLabels": labels,
            "commonAnnotations": notes,
            "externalURL": "https://alerts.acme.example",
            "alerts": [
                {
                    "status": status,
                    "labels": labels,
                    "annotations": notes,
                    "startsAt": exact(began),
                    "endsAt": exact(ended) if ended else UNSET,
                    "generatorURL": "https://prometheus.acme.example/graph?g0.expr=up",
                    "fingerprint": fingerprint,
                }
            ],
        }
        headers = JSON | {"user-agent": "Alertmanager/0.28.0"}
        self.world.send("/alertmanager", body, headers, ended or began)


def exact(at: Instant) -> str:
    """`2026-03-02T10:00:00.000Z`: with milliseconds, as most JavaScript and Go senders do."""
    return to_datetime(at).isoformat(timespec="milliseconds")[:23] + "Z"
