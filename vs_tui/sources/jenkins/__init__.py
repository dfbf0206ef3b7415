"""The Jenkins source. Neither plugin sends headers or a proof, so the body's fields show its
kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vs_tui.model.webhook_forms import Form
from vs_tui.sources.base import Inbound, Parsed, Source, Unauthorized, parsed
from vs_tui.sources.fields import json_object, text
from vs_tui.sources.jenkins.build import unreadable
from vs_tui.sources.jenkins.plugins import (
    RUNNING,
    read_build,
    read_notification,
    read_part,
    read_queue,
)


class Jenkins(Source):
    """Both plugins, at one path or at any path below it, because one plugin has a URL per kind of
    event."""

    name = "jenkins"
    title = "Jenkins"
    form = Form(
        "Manage Jenkins, System, Statistics Gatherer: the URL for builds and steps",
        "builds, build steps",
        field="",
    )
    paths = ("/jenkins", "/jenkins/*")
    version = 3
    token_in_url = True

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        raise Unauthorized("Jenkins sends no signature; put ?token= into the URL")

    def parse(self, inbound: Inbound) -> Parsed:
        body, at = json_object(inbound), inbound.received_at
        if isinstance(body.get("build"), dict):
            kind = f"build.{text(body, 'build', 'phase', limit=40).lower() or 'unknown'}"
            reading = read_notification(body, at)
            if isinstance(reading, str):
                return parsed(kind, reading)
            return Parsed(kind, reading)
        if "jenkinsQueueId" in body:
            return Parsed(
                f"queue.{text(body, 'status', limit=40).lower() or 'state'}", read_queue(body, at)
            )
        if "buildStepId" in body or "buildStepType" in body:
            return Parsed("step", read_part(body, "step", at))
        if "number" in body:
            word = text(body, "result", limit=40).strip()
            started = word.upper() == RUNNING
            return Parsed("build.started" if started else "build.finished", read_build(body, at))
        if "buildUrl" in body:
            return Parsed("checkout", read_part(body, "checkout", at))
        if "configFile" in body or "createdDate" in body or "updatedDate" in body:
            reason = "a project was edited, which delivers nothing; untick project events"
            return parsed("project", reason)
        raise unreadable("this is no build, queue, step, checkout or project body")


SOURCE: Final = Jenkins()
