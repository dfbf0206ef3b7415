"""The GitLab source: verifies the origin and chooses the reader of each event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Final

from vs_tui.model import keys
from vs_tui.sources.base import (
    BadBody,
    Form,
    Inbound,
    Parsed,
    Reading,
    Source,
    Unauthorized,
    parsed,
)
from vs_tui.sources.fields import json_object, number, text, time_of
from vs_tui.sources.gitlab.hook import Hook, hook_of
from vs_tui.sources.gitlab.issues_and_changes import read_issue, read_merge_request, read_note
from vs_tui.sources.gitlab.pipelines import read_job_hook, read_pipeline
from vs_tui.sources.gitlab.pushes_and_deploys import (
    read_deployment,
    read_push,
    read_release,
    read_tag,
)
from vs_tui.sources.repository import renamed
from vs_tui.sources.signatures import require_standard_webhook, require_token

READERS: Final[Mapping[str, Callable[[Hook], Reading]]] = {
    "issue": read_issue,
    "work_item": read_issue,
    "merge_request": read_merge_request,
    "note": read_note,
    "pipeline": read_pipeline,
    "build": read_job_hook,
    "deployment": read_deployment,
    "push": read_push,
    "tag_push": read_tag,
    "release": read_release,
}


_RENAMES: Final = frozenset({"project_rename", "project_transfer"})

HOOK_EVENTS: Final = (
    "push_events", "tag_push_events", "issues_events", "merge_requests_events", "job_events",
    "pipeline_events", "deployment_events", "releases_events", "note_events",
)  # fmt: skip
"""Events of a new webhook: https://docs.gitlab.com/api/project_webhooks/"""


class GitLab(Source):
    """Webhooks of gitlab.com and self-managed GitLab, from a project, a group or the system.

    A failed job that is allowed to fail is OK, with `vs.allow_failure` set and result `failure`:
    GitLab continues, so its pipeline and change did not fail.
    """

    name = "gitlab"
    title = "GitLab"
    form = Form(
        "the project or group, Settings, Webhooks, Add new webhook",
        "Push, Tag push, Comments, Issues, Merge request, Job, Pipeline, Deployment, Releases "
        "events",
        field="secret token",
    )
    version = 2
    signature_headers = ("x-gitlab-token", "webhook-signature")
    stored_headers = (
        "x-gitlab-event",
        "x-gitlab-event-uuid",
        "x-gitlab-instance",
        "x-gitlab-webhook-uuid",
        "idempotency-key",
        "webhook-id",
    )

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the secret in X-Gitlab-Token, or a Standard Webhooks signature, which newer
        versions send.

        One valid proof is enough: the receiver may know the token of a hook but not its signing
        key, and a sender could leave out either header anyway.
        """
        if inbound.header("webhook-signature"):
            try:
                require_standard_webhook(
                    dict(inbound.headers), inbound.body, secrets, inbound.received_at
                )
            except Unauthorized:
                if not inbound.header("x-gitlab-token"):
                    raise
            else:
                return
        require_token(inbound.header("x-gitlab-token"), secrets, "X-Gitlab-Token")

    def dedupe_key(self, inbound: Inbound) -> str:
        """Idempotency-Key (17.4 on), the same on a retry; or else X-Gitlab-Event-UUID with the
        body's hash.

        X-Gitlab-Event-UUID is the same on a retry too, but hooks triggered by other hooks share it,
        so different bodies with one UUID are different deliveries.
        """
        if key := inbound.header("idempotency-key") or inbound.header("webhook-id"):
            return key
        uuid = inbound.header("x-gitlab-event-uuid")
        return f"{uuid}:{sha256(inbound.body).hexdigest()[:16]}" if uuid else ""

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        # System hooks have `event_name` instead of `object_kind`.
        kind = text(body, "object_kind", limit=60) or text(body, "event_name", limit=60)
        header = inbound.header("x-gitlab-event").strip()[:60]
        if not kind:
            if not header:
                raise BadBody("object_kind", "is missing; it names the event, such as pipeline")
            return parsed(header, f"a '{header}' without object_kind says nothing about a delivery")
        if kind in _RENAMES:
            return _renamed(kind, body, inbound)
        reader = READERS.get(kind)
        if reader is None:
            return parsed(kind, f"{kind} says nothing about a delivery; untick it to save traffic")
        named = _named(kind, body)
        return parsed(named, reader(hook_of(kind, body, inbound.received_at)))


def _renamed(kind: str, body: Mapping[str, object], inbound: Inbound) -> Parsed:
    """Events that record a project's new path. System hooks have both paths in the body, and the
    instance in a header."""
    space = keys.stable(inbound.header("x-gitlab-instance"), number(body, "project_id"))
    former, now = text(body, "old_path_with_namespace"), text(body, "path_with_namespace")
    if not space or "/" not in former or "/" not in now:
        reason = "a renamed or transferred project keeps its spans, which know it by its id"
        return parsed(kind, reason)
    at = time_of(body, "updated_at") or inbound.received_at
    return Parsed(kind, renamed("gitlab", space, former, now, at))


def _named(kind: str, body: Mapping[str, object]) -> str:
    """The name that the Events view lists, such as `merge_request.merge` or `pipeline.success`."""
    detail = (
        text(body, "object_attributes", "action", limit=40)
        or text(body, "object_attributes", "status", limit=40)
        or text(body, "build_status", limit=40)
        or text(body, "action", limit=40)
        or text(body, "status", limit=40)
    )
    return f"{kind}.{detail}" if detail else kind


SOURCE: Final = GitLab()
