"""Deliveries of Jira (tickets and sprints of one project) and of the smaller tools: custom HTTP
events, incidents of PagerDuty and Alertmanager, records of plyzen, builds of Jenkins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from vs_tui.demo.world import NAMES, Bodies, Body, World
from vs_tui.model.time import Duration, Instant, iso, to_datetime

COLUMNS = {
    "To Do": ("new", "10000"),
    "In Progress": ("indeterminate", "3"),
    "In Review": ("indeterminate", "10002"),
    "Ready to Deploy": ("indeterminate", "10003"),
    "Done": ("done", "10001"),
}
UNSET = "0001-01-01T00:00:00Z"


def stamp(at: Instant | None) -> str | None:
    """A time as `2026-03-02T10:00:00.000+0000`."""
    return None if at is None else to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def person(login: str) -> Body:
    return {"displayName": NAMES[login], "accountType": "atlassian", "active": True}


BODIES: Final = Bodies("other_tools", stamp=stamp, person=person)


def _send_jira(world: World, at: Instant, kind: str, **fields: Any) -> None:
    headers = {
        "x-atlassian-webhook-identifier": world.uuid(),
        "user-agent": "Atlassian Webhook HTTP Client",
    }
    world.send(at, "/jira", headers, {"timestamp": at // 1_000, "webhookEvent": kind, **fields})


@dataclass(slots=True)
class Sprint:
    """A sprint of two weeks."""

    identifier: int
    name: str
    goal: str
    starts_at: Instant
    ends_at: Instant

    def body(self, state: str, completed_at: Instant | None = None) -> Body:
        begun = None if state == "future" else self.starts_at
        return BODIES("sprint", sprint=self, state=state, begun=begun, completed_at=completed_at)

    def send(self, world: World, at: Instant, kind: str, state: str) -> None:
        body = self.body(state, at if state == "closed" else None)
        _send_jira(world, at, f"sprint_{kind}", sprint=body)


@dataclass(slots=True)
class Issue:
    """The current state of a ticket."""

    number: int
    summary: str
    kind: str
    reporter: str
    assignee: str
    created_at: Instant
    sprint: Sprint | None = None
    points: int = 2
    column: str = "To Do"
    resolution: str = ""
    moved_at: Instant = 0

    @property
    def key(self) -> str:
        return f"CORE-{self.number}"

    def body(self, at: Instant) -> Body:
        category, status = COLUMNS[self.column]
        return BODIES(
            "issue", issue=self, identifier=str(20_000 + self.number), category=category,
            status=status, moved_at=self.moved_at or self.created_at,
            resolution={"name": self.resolution} if self.resolution else None,
            resolved_at=at if self.resolution else None,
            priority="High" if self.kind == "Bug" else "Medium", at=at,
            sprints=[self.sprint.body("active")] if self.sprint else None,
        )  # fmt: skip

    def send(self, world: World, at: Instant, kind: str, changelog: Body | None = None) -> None:
        fields = {"user": person(self.assignee), "issue": self.body(at)}
        more = {} if changelog is None else {"changelog": changelog}
        _send_jira(world, at, f"jira:issue_{kind}", **fields, **more)

    def move(self, world: World, at: Instant, column: str, resolution: str = "") -> None:
        """Move the ticket to another column of the board."""
        (before, status), (after, now) = COLUMNS[self.column], COLUMNS[column]
        item = BODIES("move", issue=self, before=status, after=now, column=column)
        if after != before:
            self.moved_at = at
        self.column, self.resolution = column, resolution
        self.send(world, at, "updated", {"items": [item]})


def custom(
    world: World, at: Instant, kind: str, identifier: str, action: str, *, name: str = "",
    parent: str = "", error: bool = False, namespace: str = "acme-data", **tags: Any,
) -> None:  # fmt: skip
    """Send an event in ValueStream's custom HTTP format."""
    body: Body = {
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
        service_id = "P" + self.service[:6].upper()
        told = {"event_id": world.uuid(), "event": event, "at": at, "service_id": service_id}
        body = BODIES("pagerduty", incident=self, **told)
        world.send(at, "/pagerduty", {"x-webhook-id": world.uuid()}, body)


def alertmanager(
    world: World, at: Instant, name: str, summary: str, service: str, version: str,
    starts_at: Instant, ends_at: Instant | None = None,
) -> None:  # fmt: skip
    """Send a group of one alert: firing, or resolved if `ends_at` is given."""
    body = BODIES(
        "alertmanager", name=name, status="firing" if ends_at is None else "resolved",
        labels=BODIES("alert_labels", name=name, service=service, version=version),
        summary=summary, starts_at=starts_at, ends=iso(ends_at) or UNSET,
        fingerprint=f"{len(name) * 7919 + starts_at // 1_000_000:016x}",
    )  # fmt: skip
    world.send(at, "/alertmanager", {"user-agent": "Alertmanager/0.28.1"}, body)


def plyzen(
    world: World, at: Instant, version: str, stage: str, activity: str, event: str,
    result: str = "", artifact: str = "search-index",
) -> None:  # fmt: skip
    """Send a record of plyzen's basic schema."""
    body = BODIES(
        "plyzen", artifact=artifact, version=version, stage=stage, activity=activity, event=event,
        at=at,
    )  # fmt: skip
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
        headers, ended = {"user-agent": "Java/17"}, self.started_at + took
        body = {**self._common(), "result": "INPROGRESS", "parameters": self.parameters}
        body |= {"endTime": 0, "duration": 0}
        world.send(self.started_at, "/jenkins/build", headers, body)
        body = {
            **self._common(),
            "result": "FAILURE" if failure else "SUCCESS",
            "endTime": ended // 1_000,
            "duration": took // 1_000,
            "buildFailureCauses": [{"name": "log", "description": failure}] if failure else [],
        }
        world.send(ended, "/jenkins/build", headers, body)
        return ended

    def _common(self) -> Body:
        return BODIES(
            "jenkins", build=self, name=self.job.rpartition("/")[2],
            path=f"job/{self.job.replace('/', '/job/')}/{self.number}/",
            context=self.number * 131 + len(self.job), agent=self.number % 3 + 1,
        )  # fmt: skip
