"""Bodies of the smaller tools: custom HTTP events, incidents of PagerDuty and Alertmanager, records
of plyzen, builds of Jenkins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vs_tui.demo.world import World
from vs_tui.model.time import Duration, Instant, iso

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


@dataclass(frozen=True, slots=True)
class Incident:
    """An incident of PagerDuty."""

    identifier: str
    number: int
    title: str
    service: str
    created_at: Instant
    agent: str

    def send(self, world: World, at: Instant, event: str) -> None:
        """Send a v3 webhook: `triggered`, `acknowledged` or `resolved`."""
        home = "https://acme.pagerduty.example"
        data = {
            "id": self.identifier,
            "type": "incident",
            "html_url": f"{home}/incidents/{self.identifier}",
            "number": self.number,
            "status": event,
            "incident_key": f"{self.service}/{self.number}",
            "created_at": iso(self.created_at),
            "title": self.title,
            "service": {
                "id": "P" + self.service[:6].upper(),
                "type": "service_reference",
                "summary": self.service,
                "html_url": f"{home}/services/{self.service}",
            },
            "urgency": "high",
            "assignees": [{"type": "user_reference", "summary": self.agent}],
        }
        event_body = {
            "id": world.uuid(),
            "event_type": f"incident.{event}",
            "resource_type": "incident",
            "occurred_at": iso(at),
            "agent": {"type": "user_reference", "summary": self.agent},
            "data": data,
        }
        world.send(at, "/pagerduty", {"x-webhook-id": world.uuid()}, {"event": event_body})


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


@dataclass(frozen=True, slots=True)
class Build:
    """A build as Jenkins' statistics-gatherer plugin sends it. Only the body of its start has the
    parameters."""

    job: str
    number: int
    repo: str
    branch: str
    sha: str
    user: str
    queued: Duration
    started_at: Instant
    cause: str = "Started by GitHub push"
    parameters: dict[str, str] = field(default_factory=dict)

    def send(self, world: World, took: Duration, failure: str = "") -> Instant:
        """Send the start and the end of the build, which fails if there is a failure. Returns when
        it ended."""
        headers = {"user-agent": "Java/17"}
        body = {**self._common(), "result": "INPROGRESS", "parameters": self.parameters}
        body |= {"endTime": 0, "duration": 0}
        world.send(self.started_at, "/jenkins/build", headers, body)
        ended = self.started_at + took
        body = {
            **self._common(),
            "result": "FAILURE" if failure else "SUCCESS",
            "endTime": ended // 1_000,
            "duration": took // 1_000,
            "buildFailureCauses": [{"name": "log", "description": failure}] if failure else [],
        }
        world.send(ended, "/jenkins/build", headers, body)
        return ended

    def _common(self) -> dict[str, Any]:
        return {
            "ciUrl": "https://ci.acme.example/",
            "jobName": self.job.rpartition("/")[2],
            "fullJobName": self.job,
            "number": self.number,
            "buildUrl": f"job/{self.job.replace('/', '/job/')}/{self.number}/",
            "buildCause": self.cause,
            "startedUserId": self.user,
            "startedUsername": self.user,
            "startTime": self.started_at // 1_000,
            "queueTime": self.queued // 1_000,
            "contextId": self.number * 131 + len(self.job),
            "scmInfo": {
                "url": f"git@github.com:{self.repo}.git",
                "commit": self.sha,
                "branch": f"origin/{self.branch}",
            },
            "slaveInfo": {"slaveName": f"agent-{self.number % 3 + 1}"},
        }
