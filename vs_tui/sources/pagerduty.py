"""PagerDuty: V3 webhook subscriptions. An incident is one span, from triggered to resolved.

Source: PagerDuty's developer documentation. The body is `{"event": {...}}`, the incident is
`event.data`. The phases are triggered, acknowledged and, after a reopen, triggered again.
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import RELATIONS, Event, Operation, State
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.fields import items, json_object, known, obj, text, web_url
from vs_tui.sources.signatures import Scheme

# event -> state, phase, whether it reopens an ended incident.
_STATES: Final = {
    "incident.triggered": (State.RUNNING, "triggered", False),
    "incident.acknowledged": (State.RUNNING, "acknowledged", False),
    "incident.unacknowledged": (State.RUNNING, "triggered", False),
    "incident.reopened": (State.RUNNING, "triggered", True),
    "incident.resolved": (State.OK, "", False),
    "incident.delegated": (State.NOTE, "", False),
    "incident.escalated": (State.NOTE, "", False),
    "incident.reassigned": (State.NOTE, "", False),
    "incident.priority_updated": (State.NOTE, "", False),
    "incident.service_updated": (State.NOTE, "", False),
}


class PagerDuty(Source):
    """PagerDuty's V3 webhooks."""

    name = "pagerduty"
    only_incidents = True
    title = "PagerDuty"
    form = Form(
        "Integrations, Generic Webhooks (v3), New Webhook",
        "incident events (all)",
    )
    makes_secret = True
    signature = Scheme("X-PagerDuty-Signature", part="v1")
    delivery_headers = ("x-webhook-id",)
    token_in_url = True
    stored_headers = ("x-webhook-id", "x-webhook-subscription", "user-agent")

    def parse(self, inbound: Inbound) -> Parsed:
        event = obj(json_object(inbound), "event")
        kind = text(event, "event_type", limit=100)
        if not kind:
            raise Unreadable("event.event_type is missing; subscribe with a V3 webhook")
        if kind == "pagey.ping":
            return parsed(kind, "connected")
        if kind not in _STATES:
            reason = f"{kind} says nothing about the course of an incident; unsubscribe from it"
            return parsed(kind, reason)
        if not text(event, "data", "id"):
            raise Unreadable(f"{kind} has no event.data.id; compare the body in Events")
        return Parsed(kind, (_incident(kind, event, inbound.received_at),))


def _incident(kind: str, event: dict[str, Any], received_at: Instant) -> Event:
    data = obj(event, "data")
    state, stage, supersedes = _STATES[kind]
    at = parse_instant(event.get("occurred_at")) or received_at
    identifier = text(data, "id", limit=100)
    title = text(data, "title")
    service = text(data, "service", "summary", limit=200)
    url = text(data, "html_url")
    merged = text(data, "resolve_reason", "incident", "id", limit=100)
    other = keys.reference("pagerduty", "incident", "", merged) if merged else ""
    return Event(
        key=keys.reference("pagerduty", "incident", "", identifier),
        source="pagerduty",
        operation=Operation.INCIDENT,
        state=state,
        occurred_at=at,
        started_at=parse_instant(data.get("created_at")),
        supersedes=supersedes,
        stage=stage,
        name=title,
        project=service,
        service=service,
        actor=next((name for a in items(data, "assignees") if (name := text(a, "summary"))), "")
        or (text(event, "agent", "summary") if stage == "acknowledged" else ""),
        url=web_url(url),
        attributes=known(
            service__name=service,
            vs__incident__id=identifier,
            vs__incident__number=text(data, "number") or None,
            vs__incident__severity=text(data, "priority", "summary"),
            vs__incident__urgency=text(data, "urgency"),
            vs__incident__key=text(data, "incident_key"),
            vs__incident__escalation_policy=text(data, "escalation_policy", "summary"),
            vs__incident__merged_into=other or None,
        ),
        # Later events of a merged incident may not say again into which one.
        restates="" if other else RELATIONS,
        seeks=keys.seeks(
            keys.seek_structure(other, "merged into") if other else None,
            keys.mentions(title, "title"),
        ),
    )


SOURCE: Final = PagerDuty()
