"""Linear: issues with the columns they pass.

An issue is one span; its workflow states are the span's stages. The meaning of a state comes from
its `type` (`unstarted`, `started`, `completed`, `canceled`), never from its name. The key is
Linear's UUID, because an issue that moves to another team gets a new identifier; people see the
identifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.fields import (
    items,
    json_object,
    known,
    lowered,
    number,
    obj,
    small_object,
    text,
    texts,
    web_url,
)
from vs_tui.sources.signatures import Scheme, require_fresh

ACTIONS: Final = frozenset({"create", "update", "remove", "restore"})
STATES: Final = {
    "triage": State.QUEUED,
    "backlog": State.QUEUED,
    "unstarted": State.QUEUED,
    "started": State.RUNNING,
    "completed": State.OK,
    "canceled": State.CANCELLED,
    "duplicate": State.CANCELLED,
}
"""Types of workflow states, the same in every language and team."""
TYPE_LABELS: Final = frozenset(
    {"bug", "feature", "improvement", "chore", "task", "spike", "debt", "tech debt", "incident"}
)
"""Labels that are used as the issue's type, because Linear has no issue types. A new workspace has
the first three."""


class Linear(Source):
    """Webhooks of a Linear workspace."""

    name = "linear"
    title = "Linear"
    form = Form(
        "Settings, API, Webhooks, New webhook",
        "Data change events: Issues",
        field="signing secret",
    )
    makes_secret = True
    signature = Scheme("Linear-Signature")
    delivery_headers = ("linear-delivery",)
    stored_headers = ("linear-event", "linear-delivery")

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the hex HMAC-SHA256 of the raw body, and a current `webhookTimestamp` in the
        body."""
        super().verify(inbound, secrets)
        body = small_object(inbound)  # Linear sends no long bodies
        require_fresh(text(body, "webhookTimestamp"), inbound.received_at, "webhookTimestamp")

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        what, action = text(body, "type", limit=60), text(body, "action", limit=60)
        if not what:
            raise Unreadable("type is missing; compare the body in Events with Linear's docs")
        kind = f"{what}.{action}" if action else what
        reason = ""
        if what != "Issue":
            reason = f"{what} events move no issue; untick them to save traffic"
        elif action not in ACTIONS:
            reason = f"the action {action or 'none'!r} of an issue says nothing about its course"
        if reason:
            return parsed(kind, reason)
        return Parsed(kind, (_issue(body, action, inbound.received_at),))


def _issue(body: dict[str, Any], action: str, received_at: Instant) -> Event:
    data = obj(body, "data")
    identifier = text(data, "identifier", limit=80)
    if not identifier and (team := text(data, "team", "key")) and text(data, "number"):
        identifier = f"{team}-{text(data, 'number')}"
    unique = text(data, "id", limit=80) or identifier
    if not unique or not identifier:
        raise Unreadable("data.identifier is missing; compare the body in Events with the docs")
    created = parse_instant(data.get("createdAt"))
    updated = parse_instant(data.get("updatedAt")) or parse_instant(body.get("createdAt"))
    updated = updated or received_at
    state, at, stated = _state(data, action, updated, created)
    title = text(data, "title")
    return Event(
        key=keys.reference("linear", "issue", "", unique),
        ref=keys.reference("linear", "issue", "", identifier),
        source="linear",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        as_of=max(at, updated) if action != "remove" else at,
        started_at=created,
        supersedes=stated,
        stage="" if action == "remove" else text(data, "state", "name", limit=80),
        name=f"{identifier} {title}".strip(),
        project=text(data, "team", "key") or identifier.rpartition("-")[0],
        actor=_person(data, "assignee") or _person(data, "creator"),
        url=web_url(text(data, "url") or text(body, "url")),
        attributes=_attributes(data, identifier, title),
        restates=RELATIONS,
        offers=keys.offers(
            Key("issue_key", identifier, "", "ticket"),
            *(
                Key("issue_key", former, "", "former ticket")
                for former in texts(data, "previousIdentifiers", most=20, limit=80)
            ),
        ),
        seeks=_seeks(data, title),
    )


def _state(
    data: dict[str, Any], action: str, updated: Instant, created: Instant | None
) -> tuple[State, Instant, bool]:
    """State, its time, and whether it supersedes an earlier end."""
    if action == "remove":
        # A completed issue that is deleted stays completed.
        return State.CANCELLED, parse_instant(data.get("trashedAt")) or updated, False
    state = STATES.get(lowered(data, "state", "type"), State.NOTE)
    if state.terminal:
        field = "completedAt" if state is State.OK else "canceledAt"
        ended = parse_instant(data.get(field))
        return state, ended or updated, ended is not None
    # The body has the state at its update; a new issue has it since its creation.
    at = created if action == "create" and created is not None else updated
    return state, at, state is not State.NOTE


def _attributes(data: dict[str, Any], identifier: str, title: str) -> dict[str, Scalar]:
    labels = [text(label, "name", limit=80) for label in items(data, "labels")[:50]]
    kinds = [label for label in labels if label.lower() in TYPE_LABELS]
    # An empty list removes former labels, and the type that was one of them.
    told = {"vs.issue.labels": ",".join(filter(None, labels)), "vs.issue.type": (*kinds, "")[0]}
    return known(
        vs__issue__key=identifier,
        vs__issue__title=title,
        vs__issue__status=text(data, "state", "name", limit=80),
        vs__issue__category=text(data, "state", "type", limit=40),
        vs__issue__priority=text(data, "priorityLabel", limit=40),
        vs__issue__points=number(data, "estimate"),
        vs__issue__assignees=_person(data, "assignee"),
        vs__issue__sprint=text(data, "cycle", "name") or text(data, "cycle", "number"),
        vs__issue__milestone=text(data, "project", "name"),
    ) | (told if "labels" in data else {})


def _seeks(data: dict[str, Any], title: str) -> tuple[Seek, ...]:
    parent = text(data, "parentId", limit=80) or text(data, "parent", "id", limit=80)
    key = Key("ref", keys.reference("linear", "issue", "", parent), "", "parent issue")
    description = text(data, "description", limit=keys.TEXT_LIMIT)
    return keys.seeks(
        Seek(Rule.HIERARCHY, key) if parent else None,
        keys.mentions(title, "title"),
        keys.mentions(description, "description"),
    )


def _person(container: dict[str, Any], name: str) -> str:
    return text(container, name, "displayName", limit=100) or text(container, name, "name")


SOURCE: Final = Linear()
