"""Azure DevOps' service hooks, sent by its Web Hooks consumer.

Source: Microsoft's reference of service hook events, and the sample that its Test button sends. The
hook signs nothing: the token is the password of its Basic authentication. Each body has the event's
name in `eventType`, its object in `resource` and its time in `createdDate`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from vs_tui.sources.azure.hook import Hook
from vs_tui.sources.azure.pipelines import (
    read_build,
    read_deployment,
    read_job,
    read_run,
    read_stage,
)
from vs_tui.sources.azure.repos_and_boards import (
    read_pull_request,
    read_push,
    read_renamed,
    read_work_item,
)
from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Reading, Source, parsed
from vs_tui.sources.fields import json_object, small_object, text

_READERS: Final[Mapping[str, Callable[[Hook], Reading]]] = {
    "git.push": read_push,
    "git.repo.renamed": read_renamed,
    "git.pullrequest.created": read_pull_request,
    "git.pullrequest.updated": read_pull_request,
    "git.pullrequest.merged": read_pull_request,
    "build.complete": read_build,
    "ms.vss-pipelines.run-state-changed-event": read_run,
    "ms.vss-pipelines.stage-state-changed-event": read_stage,
    "ms.vss-pipelines.job-state-changed-event": read_job,
    "ms.vss-release.deployment-started-event": read_deployment,
    "ms.vss-release.deployment-completed-event": read_deployment,
    "workitem.created": read_work_item,
    "workitem.updated": read_work_item,
    "workitem.restored": read_work_item,
    "workitem.deleted": read_work_item,
}


class Azure(Source):
    """Azure DevOps."""

    name = "azure"
    title = "Azure DevOps"
    form = Form(
        "Project settings, Service hooks, Web Hooks",
        "see docs/sources/azure.md: one a kind of event; Basic authentication with "
        "the token as password",
        field="",
    )
    token_in_url = True
    stored_headers = ("request-id", "x-vss-activityid")

    def dedupe_key(self, inbound: Inbound) -> str:
        """The event's own id, the same on a retry and for each subscription."""
        return text(small_object(inbound), "id", limit=100)

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "eventType", limit=100)
        if not kind:
            raise BadBody("eventType", "is missing; send it from a service hook of Azure DevOps")
        reader = _READERS.get(kind)
        if reader is None:
            reason = f"{kind} says nothing about the course of a delivery; delete its subscription"
            return parsed(kind, reason)
        return parsed(kind, reader(Hook(kind, body, inbound.received_at)))


SOURCE: Final = Azure()
