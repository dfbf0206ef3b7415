"""CDEvents over CloudEvents: binary, structured and batch mode, and CDEvents without an envelope.

Source: the CDEvents specification, its CloudEvents binding, its links proposal and its conformance
files. A span is a subject (`subject.source` + `subject.id`). A deploy is one event, because
`service.*` events are instants that repeat under one subject.

- `links`: a RELATION of kind TRIGGER names the parent, other relations are links only; a PATH names
  the event before, which is the parent if this event begins its span.
- `chainId` connects events without other links, below the chain's change, pipeline run or build.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final

import orjson

from vs_tui.model.time import parse_instant
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unreadable, parsed
from vs_tui.sources.cdevents.dialects import EXTENSIONS, FIRST, TEKTON, read_tekton, subject_of
from vs_tui.sources.cdevents.spans import SUBJECTS, CdEvent, events_of
from vs_tui.sources.fields import json_body, obj, text

PREFIX: Final = "dev.cdevents."
MAX_BATCH: Final = 1000


class CdEvents(Source):
    """CDEvents."""

    name = "cdevents"
    title = "CDEvents"
    token_in_url = True
    version = 2
    stored_headers = (
        "ce-type",
        "ce-id",
        "ce-source",
        "ce-subject",
        "ce-time",
        "ce-specversion",
        *(f"ce-{name}" for name in EXTENSIONS),
    )

    def dedupe_key(self, inbound: Inbound) -> str:
        """Source, id and type, which are unique together; empty in structured mode, where the
        body's hash identifies repeats."""
        names = [inbound.header(f"ce-{part}") for part in ("source", "id", "type")]
        return " ".join(names) if names[1] else ""

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_body(inbound)
        if isinstance(body, list):
            return _batch(body, inbound)
        if not isinstance(body, dict):
            raise BadBody("body", "must be a CloudEvent object, or a list of them in batch mode")
        return _read(_unwrapped(body, inbound), inbound)


def _batch(body: list[Any], inbound: Inbound) -> Parsed:
    """Parse each event of a batch by itself; unreadable events are left out."""
    if len(body) > MAX_BATCH:
        raise BadBody("body", f"holds {len(body)} events; send at most {MAX_BATCH} at once")
    read: list[Parsed] = []
    odd: list[str] = []
    for position, item in enumerate(body):
        if not isinstance(item, dict):
            raise BadBody(f"{position}", "must be a CloudEvent object")
        try:
            read.append(_read(_unwrapped(item, inbound), inbound))
        except (BadBody, Unreadable) as error:
            odd.append(f"{position}: {error}")
    if odd and not read:
        raise Unreadable("; ".join(odd)[:300])
    events = [event for parsed in read for event in parsed.events]
    left_out = "; ".join(odd)[:300]
    if events and odd:
        return Parsed("batch", events, reason=f"left out {left_out}")
    if not events:
        return parsed("batch", read[0].reason if read else "an empty batch")
    return Parsed("batch", events)


def _unwrapped(body: dict[str, Any], inbound: Inbound) -> dict[str, Any]:
    """The CDEvent: the body itself, the data of a CloudEvent, or composed from `ce-` headers and
    body."""
    if "context" in body:
        return body
    if "data" in body or "data_base64" in body:
        data = body.get("data")
        if data is None:
            data = _decoded(body.get("data_base64"))
        if isinstance(data, dict) and "context" in data:
            return data
        return _composed({name: text(body, name) for name in _ATTRIBUTES}, data)
    if inbound.header("ce-type"):
        return _composed({name: inbound.header(f"ce-{name}") for name in _ATTRIBUTES}, body)
    if text(body, "type").startswith(FIRST):
        return _composed({name: text(body, name) for name in _ATTRIBUTES}, None)
    raise BadBody("context", "is missing; send a CDEvent, or a CloudEvent with its ce- headers")


_ATTRIBUTES: Final = ("id", "source", "type", "subject", "time", *EXTENSIONS)


def _decoded(encoded: Any) -> Any:
    try:
        return orjson.loads(base64.b64decode(str(encoded), validate=True))
    except (binascii.Error, ValueError):
        raise BadBody("data_base64", "does not hold JSON in base64") from None


def _composed(attributes: Mapping[str, str], content: Any) -> dict[str, Any]:
    """A CDEvent made from a CloudEvent whose data is only the content of the subject."""
    return {
        "context": {
            "id": attributes["id"],
            "source": attributes["source"],
            "type": attributes["type"],
            "timestamp": attributes["time"],
        },
        "subject": {
            "id": attributes["subject"],
            "source": attributes["source"],
            "content": content,
        },
        "extensions": {name: found for name in EXTENSIONS if (found := attributes[name])},
    }


def _read(body: dict[str, Any], inbound: Inbound) -> Parsed:
    context, subject = obj(body, "context"), obj(body, "subject")
    kind = text(context, "type", limit=200)
    if not kind:
        raise BadBody("context.type", "is missing; it looks like dev.cdevents.build.started.0.3.0")
    if kind.startswith(TEKTON):
        return read_tekton(kind, context, subject, inbound.received_at)
    is_first = kind.startswith(FIRST)
    words = kind.removeprefix(FIRST if is_first else PREFIX).split(".")
    if not kind.startswith((FIRST, PREFIX)) or len(words) < 2:
        return parsed(kind, f"{kind} is not one of CDEvents' own types")
    family, predicate = words[0].lower(), words[1].lower()
    if predicate not in SUBJECTS.get(family, ("", {}))[1]:
        return parsed(kind, f"{family}.{predicate} says nothing about the course of a delivery")
    if is_first:
        identifier, content = subject_of(family, obj(body, "extensions"))
        subject = {"id": identifier, "content": content}
    if not text(subject, "id"):
        raise Unreadable(f"{kind} has no subject.id; compare the body in Events with the docs")
    event = CdEvent(
        subject=family,
        predicate=predicate,
        id=text(subject, "id"),
        source=text(subject, "source") or text(context, "source"),
        context=context,
        content=obj(subject, "content"),
        custom=obj(body, "customData"),
        at=parse_instant(context.get("timestamp")) or inbound.received_at,
    )
    return Parsed(kind, events_of(event))


SOURCE: Final = CdEvents()
