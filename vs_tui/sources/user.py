"""What people decide in vs-tui itself: a link pinned or cut.

It is a delivery like any other, so it survives a rebuild:

    POST /api/links {"action": "pin" | "cut" | "clear", "child": REF, "parent": REF}
"""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.domain.correlation import CUT_PREFIX, PIN_ATTRIBUTE
from vs_tui.domain.model import Event, Key, Rule, Scalar, Seek, State
from vs_tui.sources.base import BadBody, Inbound, Parsed, Unauthorized, json_object, text

_ACTIONS = ("pin", "cut", "clear")


class User:
    """Decisions about links."""

    name = "user"
    title = "vs-tui"
    paths: tuple[str, ...] = ("/api/links",)
    version = 1
    signature_headers: tuple[str, ...] = ()
    token_in_url = False
    stored_headers: tuple[str, ...] = ()

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        raise Unauthorized("links are changed with the token in the Authorization header")

    def dedupe_key(self, inbound: Inbound) -> str:
        # Pin, cut, pin again: the same body twice is meant twice.
        return f"{inbound.received_at}"

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        action, child, parent = (
            text(body, "action"),
            text(body, "child"),
            text(body, "parent"),
        )
        if action not in _ACTIONS:
            raise BadBody("action", f"must be one of {', '.join(_ACTIONS)}")
        if not child:
            raise BadBody("child", "is missing; name the key of the span to move")
        if not parent and action != "clear":
            raise BadBody("parent", "is missing; name the key of the other span")
        attributes: dict[str, Scalar] = {PIN_ATTRIBUTE: parent if action == "pin" else ""}
        if parent:
            attributes[f"{CUT_PREFIX}{parent}"] = action == "cut"
        event = Event(
            key=child,
            source="",
            operation="",
            state=State.NOTE,
            occurred_at=inbound.received_at,
            attributes=attributes,
            seeks=(Seek(Rule.PINNED, Key("ref", parent)),) if action == "pin" else (),
        )
        return Parsed(kind=f"link.{action}", events=(event,), requires=child)


SOURCE = User()
