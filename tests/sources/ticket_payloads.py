"""Webhook bodies in the documented shapes of Linear and Trello."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED, at
from vs_tui.sources.base import Inbound

UUID = "2174add1-f7c8-44e3-bbf3-2d60b5ea8bc9"
CARD = f"{at('09:00:00') // 1_000_000:08x}b1c2d3e4f5a6b7c8"
CALLBACK = "https://vs.example.com/trello"


def inbound(path: str, body: Any, **headers: str) -> Inbound:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Inbound(path, names, json.dumps(body).encode(), RECEIVED, url=CALLBACK)


def stamp(clock: str) -> str:
    return f"2026-03-02T{clock}.500Z"


def linear(
    action: str = "update",
    clock: str = "09:00:00",
    state: tuple[str, str] = ("Todo", "unstarted"),
    **changes: Any,
) -> dict[str, Any]:
    name, kind = state
    data = {
        "id": UUID,
        "identifier": "ENG-12",
        "number": 12,
        "title": "Invoices are slow",
        "description": "see vstrace-github-issue-web-4",
        "priorityLabel": "High",
        "estimate": 3,
        "createdAt": stamp("09:00:00"),
        "updatedAt": stamp(clock),
        "completedAt": stamp(clock) if kind == "completed" else None,
        "canceledAt": stamp(clock) if kind == "canceled" else None,
        "state": {"id": "s", "name": name, "type": kind, "color": "#fff"},
        "team": {"id": "t", "key": "ENG", "name": "Engineering"},
        "assignee": {"id": "u", "name": "Bob Builder", "displayName": "bob"},
        "labels": [{"id": "l", "name": "backend"}, {"id": "m", "name": "Bug"}],
        "url": "https://linear.app/acme/issue/ENG-12/invoices-are-slow",
        **changes,
    }
    return {
        "action": action,
        "type": "Issue",
        "createdAt": stamp(clock),
        "data": data,
        "webhookTimestamp": RECEIVED // 1_000,
        "organizationId": "o",
    }


def trello(kind: str, clock: str = "09:00:00", **data: Any) -> dict[str, Any]:
    card = {"id": CARD, "idShort": 8, "shortLink": "aBc123", "name": "Invoices are slow"}
    card |= data.pop("card", {})
    return {
        "model": {"id": "b", "name": "Team board"},
        "action": {
            "id": f"a-{kind}-{clock}",
            "type": kind,
            "date": stamp(clock),
            "memberCreator": {"id": "u", "username": "bob"},
            "data": {"board": {"id": "b", "name": "Team board"}, "card": card, **data},
        },
    }


def moved(clock: str, before: str, after: str) -> dict[str, Any]:
    return trello(
        "updateCard",
        clock,
        old={"idList": "l1"},
        listBefore={"id": "l1", "name": before},
        listAfter={"id": "l2", "name": after},
    )
