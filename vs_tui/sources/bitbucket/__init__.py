"""Bitbucket: Cloud and Server (Data Center), with the same headers and signature but different
bodies. The event's name tells which of the two sent it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Source, parsed
from vs_tui.sources.bitbucket import cloud, server
from vs_tui.sources.fields import json_object
from vs_tui.sources.signatures import Scheme, sha256_hex

IGNORED: Final[Mapping[str, str]] = {"diagnostics:ping": "connected"}


class Bitbucket(Source):
    """Webhooks of Bitbucket Cloud and of Bitbucket Server / Data Center."""

    name = "bitbucket"
    title = "Bitbucket"
    form = Form(
        "Repository settings, Webhooks, Add webhook",
        "push, build status created and updated, pull request (all), issue created and updated",
    )
    version = 2
    signature = Scheme("X-Hub-Signature", "sha256")
    token_in_url = True
    stored_headers = (
        "x-event-key",
        "x-request-uuid",
        "x-request-id",
        "x-attempt-number",
        "x-hook-uuid",
        "user-agent",
    )

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
            return parsed(event, IGNORED[event])
        reading = cloud.read(event, body, inbound.received_at)
        if reading is None:
            reading = server.read(event, body, inbound.received_at)
        if reading is None:
            reading = f"{event} says nothing about a delivery; untick it to save traffic"
        return parsed(event, reading)


SOURCE: Final = Bitbucket()
