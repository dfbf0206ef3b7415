"""Webhook bodies in Jira's documented shapes."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED, at
from vs_tui.sources.base import Inbound

TODO, DOING = ("Zu erledigen", "new"), ("In Arbeit", "indeterminate")
REVIEW, DONE = ("Review", "indeterminate"), ("Fertig", "done")


def inbound(body: Any, **headers: str) -> Inbound:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Inbound("/jira", names, json.dumps(body).encode(), RECEIVED)


def stamp(clock: str) -> str:
    """As Jira writes it: milliseconds and an offset without a colon."""
    return f"2026-03-02T{clock}.000+0000"


def millis(clock: str) -> int:
    return at(clock) // 1_000


def item(field: str, before: str, after: str, **more: Any) -> dict[str, Any]:
    return {
        "field": field,
        "fieldId": field.lower(),
        "fieldtype": "jira",
        "from": None,
        "fromString": before,
        "to": None,
        "toString": after,
    } | more


def issue(
    event: str = "updated",
    clock: str = "09:00:00",
    status: tuple[str, str] = TODO,
    changes: list[dict[str, Any]] | None = None,
    key: str = "TP-3",
    **fields: Any,
) -> dict[str, Any]:
    name, category = status
    unique = fields.pop("id", str(10_000 + int("0" + "".join(filter(str.isdigit, key)))))
    found = {
        "summary": "Invoices are slow",
        "description": "see vstrace-github-issue-web-4",
        "status": {"name": name, "statusCategory": {"id": 1, "key": category, "name": "?"}},
        "issuetype": {"name": "Story", "subtask": False},
        "priority": {"name": "High"},
        "resolution": None,
        "resolutiondate": None,
        "created": stamp("09:00:00"),
        "updated": stamp(clock),
        "project": {"key": key.partition("-")[0], "name": "Team"},
        "assignee": {"displayName": "Bob Builder", "accountId": "1"},
        "reporter": {"displayName": "Ann"},
        "labels": ["perf", "api"],
        **fields,
    }
    body = {
        "timestamp": millis(clock),
        "webhookEvent": f"jira:issue_{event}",
        "user": {"displayName": "Cid", "accountId": "2"},
        "issue": {
            "id": unique,
            "self": f"https://acme.atlassian.net/rest/api/2/issue/{unique}",
            "key": key,
            "fields": found,
        },
    }
    return body if changes is None else body | {"changelog": {"id": "1", "items": changes}}


def moved(
    clock: str, before: tuple[str, str], after: tuple[str, str], **fields: Any
) -> dict[str, Any]:
    """A transition, with the dates that it sets."""
    done = after[1] == "done"
    dates = {"resolutiondate": stamp(clock) if done else None}
    if done:
        dates["resolution"] = {"name": "Done"}
    if before[1] != after[1]:
        dates["statuscategorychangedate"] = stamp(clock)
    return issue(
        "updated", clock, after, [item("status", before[0], after[0])], **{**dates, **fields}
    )


def sprint(event: str, clock: str, state: str, **changes: Any) -> dict[str, Any]:
    return {
        "timestamp": millis(clock),
        "webhookEvent": f"sprint_{event}",
        "sprint": {
            "id": 12,
            "state": state,
            "name": "Sprint 4",
            "goal": "Fast invoices",
            "originBoardId": 5,
            "createdDate": stamp("08:00:00"),
            "startDate": stamp("09:00:00") if state != "future" else None,
            "endDate": stamp("17:00:00"),
            "completeDate": stamp(clock) if state == "closed" else None,
            **changes,
        },
    }
