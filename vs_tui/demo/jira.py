"""Jira Cloud's webhook bodies: the issues and sprints of one project."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vs_tui.demo.world import NAMES, World
from vs_tui.model.time import Instant, iso, to_datetime

Body = dict[str, Any]
HOST = "https://acme.atlassian.example"
COLUMNS = {
    "To Do": ("new", "10000"),
    "In Progress": ("indeterminate", "3"),
    "In Review": ("indeterminate", "10002"),
    "Ready to Deploy": ("indeterminate", "10003"),
    "Done": ("done", "10001"),
}
BOARD = 4


def stamp(at: Instant | None) -> str | None:
    """A time as `2026-03-02T10:00:00.000+0000`."""
    return None if at is None else to_datetime(at).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def person(login: str) -> Body:
    return {"displayName": NAMES[login], "accountType": "atlassian", "active": True}


@dataclass(slots=True)
class Sprint:
    """A sprint of two weeks."""

    identifier: int
    name: str
    goal: str
    starts_at: Instant
    ends_at: Instant

    def body(self, state: str, completed_at: Instant | None = None) -> Body:
        return {
            "id": self.identifier,
            "name": self.name,
            "goal": self.goal,
            "state": state,
            "boardId": BOARD,
            "originBoardId": BOARD,
            "startDate": iso(self.starts_at),
            "endDate": iso(self.ends_at),
            "activatedDate": None if state == "future" else iso(self.starts_at),
            "completeDate": iso(completed_at),
        }

    def send(self, world: World, at: Instant, kind: str, state: str) -> None:
        closed = at if state == "closed" else None
        body = {
            "timestamp": at // 1_000,
            "webhookEvent": f"sprint_{kind}",
            "sprint": self.body(state, closed),
        }
        world.send(at, "/jira", headers(world), body)


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

    def fields(self, at: Instant) -> Body:
        category, identifier = COLUMNS[self.column]
        return {
            "summary": self.summary,
            "description": None,
            "issuetype": {"name": self.kind},
            "project": {"key": "CORE", "name": "Core"},
            "status": {
                "name": self.column,
                "id": identifier,
                "statusCategory": {"key": category},
            },
            "statuscategorychangedate": stamp(self.moved_at or self.created_at),
            "resolution": {"name": self.resolution} if self.resolution else None,
            "resolutiondate": stamp(at) if self.resolution else None,
            "priority": {"name": "High" if self.kind == "Bug" else "Medium"},
            "labels": [],
            "assignee": person(self.assignee),
            "reporter": person(self.reporter),
            "created": stamp(self.created_at),
            "updated": stamp(at),
            "customfield_10016": self.points,
            "customfield_10020": [self.sprint.body("active")] if self.sprint else None,
        }

    def send(self, world: World, at: Instant, kind: str, changelog: Body | None = None) -> None:
        body = {
            "timestamp": at // 1_000,
            "webhookEvent": f"jira:issue_{kind}",
            "user": person(self.assignee),
            "issue": {
                "id": str(20_000 + self.number),
                "self": f"{HOST}/rest/api/2/issue/{20_000 + self.number}",
                "key": self.key,
                "fields": self.fields(at),
            },
        }
        if changelog is not None:
            body["changelog"] = changelog
        world.send(at, "/jira", headers(world), body)

    def move(self, world: World, at: Instant, column: str, resolution: str = "") -> None:
        """Move the ticket to another column of the board."""
        item = {
            "field": "status",
            "fieldtype": "jira",
            "from": COLUMNS[self.column][1],
            "fromString": self.column,
            "to": COLUMNS[column][1],
            "toString": column,
        }
        if COLUMNS[column][0] != COLUMNS[self.column][0]:
            self.moved_at = at
        self.column, self.resolution = column, resolution
        self.send(world, at, "updated", {"items": [item]})


def headers(world: World) -> dict[str, str]:
    return {
        "x-atlassian-webhook-identifier": world.uuid(),
        "user-agent": "Atlassian Webhook HTTP Client",
    }
