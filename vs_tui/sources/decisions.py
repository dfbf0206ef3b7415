"""What people decide in vs-tui itself: links pinned and cut, names forgotten, traces pruned.

A decision is stored like any delivery, so it survives a rebuild. Commands write the entries of
`forget` and `prune` into the log (`log.delivery.DECISIONS`); those about links are requests:

    POST /api/links {"action": "pin" | "cut" | "clear", "child": KEY, "parent": KEY}

- pin: `parent` becomes the parent, whatever the rules say, and is no longer cut.
- cut: the two are never linked, neither by the rules nor by a pin.
- clear: the rules decide again; with a `parent`, only its cut is undone.

The receiver accepts refs too and replaces them by keys (see `ingest/link_decisions.py`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from vs_tui.log.delivery import DECISION_SOURCE, DECISIONS
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import (
    CLEARED_ATTRIBUTE,
    CUT_PREFIX,
    PIN_ATTRIBUTE,
    Event,
    Key,
    Rule,
    Scalar,
    Seek,
    State,
)
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unauthorized, parsed
from vs_tui.sources.fields import json_object, text
from vs_tui.sources.signatures import require_fresh, require_hmac_hex, sha256_hex

_ACTIONS = ("pin", "cut", "clear")
_PROOF = re.compile(r"t=(\d{16,17}),v1=([0-9a-f]{64})")
"""Microseconds, and the HMAC of `MICROSECONDS.BODY`; see `model.request_signing`."""


class Decisions(Source):
    """Decisions of people: about links as requests, and the log's own entries of the others."""

    name = DECISION_SOURCE
    title = "vs-tui"
    paths = ("/api/links",)
    signature_headers = ("x-vs-signature",)

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require a signature with the token over time and body, as vs-tui's own commands send it,
        so that a recorded decision cannot be sent again."""
        proof = _PROOF.fullmatch(inbound.header("x-vs-signature"))
        if proof is None:
            raise Unauthorized("X-VS-Signature signs no time; upgrade the vs-tui that sent it")
        require_fresh(proof[1], inbound.received_at, "the time that X-VS-Signature signs")
        message = proof[1].encode() + b"." + inbound.body
        require_hmac_hex([proof[2]], message, secrets, "X-VS-Signature")

    def dedupe_key(self, inbound: Inbound) -> str:
        # Pin, cut, pin again: an equal body is a new decision, unless the request is the same.
        signed = inbound.header("x-vs-signature")
        return signed or f"{inbound.received_at}:{sha256_hex(inbound.body)[:16]}"

    def parse(self, inbound: Inbound) -> Parsed:
        if inbound.path in DECISIONS:
            return parsed(*DECISIONS[inbound.path])
        body = json_object(inbound)
        action, child, parent = (text(body, name) for name in ("action", "child", "parent"))
        if action not in _ACTIONS:
            raise BadBody("action", f"must be one of {', '.join(_ACTIONS)}")
        if not child:
            raise BadBody("child", "is missing; name the key of the span to move")
        if not parent and action != "clear":
            raise BadBody("parent", "is missing; name the key of the other span")
        if child == parent:
            raise BadBody("parent", "is the child itself; name the key of another span")
        event = Event(
            key=child,
            source="",
            operation="",
            state=State.NOTE,
            occurred_at=inbound.received_at,
            attributes=_attributes(action, parent, inbound.received_at),
            seeks=(Seek(Rule.PINNED, Key("ref", parent)),) if action == "pin" else (),
        )
        return Parsed(kind=f"link.{action}", events=(event,), requires=child)


def _attributes(action: str, parent: str, at: Instant) -> dict[str, Scalar]:
    """The attributes of a decision. A cut is stored with its time, so that a later `clear` ends all
    cuts before it."""
    if action == "clear" and not parent:
        return {PIN_ATTRIBUTE: "", CLEARED_ATTRIBUTE: at}
    found: dict[str, Scalar] = {f"{CUT_PREFIX}{parent}": at if action == "cut" else 0}
    return found | {PIN_ATTRIBUTE: parent} if action == "pin" else found


SOURCE = Decisions()
