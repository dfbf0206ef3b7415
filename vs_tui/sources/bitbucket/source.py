"""The Bitbucket source: verifies the origin, and chooses Cloud or Server by the event's name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, json_object, parsed
from vs_tui.sources.bitbucket import cloud, server
from vs_tui.sources.signatures import require_sha256, sha256_hex

IGNORED: Final[Mapping[str, str]] = {"diagnostics:ping": "connected"}


class Bitbucket:
    """Webhooks of Bitbucket Cloud and of Bitbucket Server / Data Center."""

    name = "bitbucket"
    title = "Bitbucket"
    paths: tuple[str, ...] = ("/bitbucket",)
    version = 2
    signature_headers: tuple[str, ...] = ("x-hub-signature",)
    token_in_url = True
    stored_headers: tuple[str, ...] = (
        "x-event-key",
        "x-request-uuid",
        "x-request-id",
        "x-attempt-number",
        "x-hook-uuid",
        "user-agent",
    )

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require `X-Hub-Signature: sha256=` with the hex HMAC-SHA256 of the raw body."""
        given = inbound.header("x-hub-signature")
        require_sha256(given, inbound.body, secrets, "X-Hub-Signature")

    def dedupe_key(self, inbound: Inbound) -> str:
        """Cloud's X-Request-UUID, the same on a retry, or Server's X-Request-Id. Without them it is
        the event's name and the body's hash, because a body does not contain the event's name."""
        identifier = inbound.header("x-request-uuid") or inbound.header("x-request-id")
        return identifier or f"{inbound.header('x-event-key')}:{sha256_hex(inbound.body)}"

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        event = inbound.header("x-event-key").strip()[:60]
        if not event:
            raise BadBody("X-Event-Key", "is missing; it names the event, such as repo:push")
        if event in IGNORED:
            return Parsed(event, verdict=Verdict.IGNORED, reason=IGNORED[event])
        reading = cloud.read(event, body, inbound.received_at)
        if reading is None:
            reading = server.read(event, body, inbound.received_at)
        if reading is None:
            reading = f"{event} says nothing about a delivery; untick it to save traffic"
        return parsed(event, reading)


SOURCE: Final = Bitbucket()
