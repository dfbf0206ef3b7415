"""Gitea and Forgejo: own headers and signature, bodies like GitHub's.

A body that differs is converted to GitHub's shape and read by GitHub's readers. Differences: names
of actions, reviews without an id, runs with `started_at`, Forgejo's `action_run_*`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

from vs_tui.model.limits import MIB
from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Source, Unauthorized
from vs_tui.sources.fields import number, obj, text, time_of
from vs_tui.sources.github import payload_of, read, webhook_body
from vs_tui.sources.github.hook import Dialect, login
from vs_tui.sources.signatures import require_hmac_hex

_DIALECT: Final = Dialect("gitea", global_ids=False, reruns_in_place=True)

_ACTIONS: Final[Mapping[str, str]] = {
    "synchronized": "synchronize",
    "label_updated": "labeled",
    "label_cleared": "unlabeled",
    "updated": "edited",
}
_REVIEWS: Final[Mapping[str, str]] = {
    "pull_request_approved": "approved",
    "pull_request_rejected": "changes_requested",
    "pull_request_comment": "commented",
}
_RUN_EVENTS: Final[Mapping[str, str]] = {
    "action_run_success": "success",
    "action_run_recover": "success",
    "action_run_failure": "failure",
}
"""Forgejo reports only the end of a run; `recover` is a success after a failure."""

_LARGEST_FORM: Final = MIB
"""Most bytes of a form that is decoded before it is proven; a larger one must come as JSON."""


class Gitea(Source):
    """Webhooks of Gitea and Forgejo (and of hosts built on them, such as Codeberg)."""

    name = "gitea"
    title = "Gitea / Forgejo"
    form = Form(
        "the repository or organization, Settings, Webhooks, Add webhook, Gitea",
        "Push, Create, Release, Issues, Pull request (all), reviews, Workflow run and job, status",
    )
    paths = ("/gitea", "/forgejo")
    signature_headers = ("x-gitea-signature", "x-forgejo-signature")
    delivery_headers = ("x-gitea-delivery", "x-forgejo-delivery")
    stored_headers = (
        "x-gitea-event",
        "x-gitea-event-type",
        "x-gitea-delivery",
        "x-forgejo-event",
        "x-forgejo-event-type",
        "x-forgejo-delivery",
        "content-type",
        "user-agent",
    )

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the HMAC-SHA256 of the JSON text in plain hex digits, of a form's field as well;
        Forgejo sends it in both headers. Seen with Gitea 1.25 (its services/webhook/deliver.go)."""
        given = [value for name in self.signature_headers if (value := inbound.header(name))]
        if not given:
            raise Unauthorized("X-Gitea-Signature is missing; set a secret in the webhook")
        signed = inbound.body
        if len(signed) <= _LARGEST_FORM:
            with suppress(BadBody):
                signed = payload_of(inbound)
        require_hmac_hex(given, signed, secrets, "X-Gitea-Signature")

    def parse(self, inbound: Inbound) -> Parsed:
        return self.outline(inbound).finished()

    def outline(self, inbound: Inbound) -> Parsed:
        body = webhook_body(inbound)
        event = inbound.header("x-gitea-event") or inbound.header("x-forgejo-event")
        event = event.strip()[:60]
        if not event:
            raise BadBody("X-Gitea-Event", "is missing; it names the event, such as push")
        event, body = _like_github(event, body)
        return read(_DIALECT, event, body, inbound.received_at)


def _like_github(event: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    if event in _REVIEWS and not obj(body, "pull_request"):
        return "issue_comment", body
    if event in _REVIEWS:
        return "pull_request_review", _review(body, _REVIEWS[event])
    if event in _RUN_EVENTS:
        return "workflow_run", _forgejo_run(body, _RUN_EVENTS[event])
    if event == "workflow_run":
        return event, body | {"workflow_run": _run(obj(body, "workflow_run"))}
    return event, body | {"action": _action(event, body)}


def _action(event: str, body: dict[str, Any]) -> str:
    """GitHub's name of the action. Here a title makes a draft, and only its change tells the end of
    one (seen with Gitea 1.25)."""
    action = text(body, "action", limit=60)
    before = text(body, "changes", "title", "from")
    if event == "pull_request" and action == "edited" and before:
        was, now = _is_draft(before), obj(body, "pull_request").get("draft")
        if was and now is False:
            return "ready_for_review"
        if not was and now is True:
            return "converted_to_draft"
    return _ACTIONS.get(action, action)


def _is_draft(title: str) -> bool:
    """Whether a title makes a draft, by the default prefixes of Gitea and Forgejo."""
    return title.upper().startswith(("WIP:", "[WIP]"))


def _review(body: dict[str, Any], state: str) -> dict[str, Any]:
    """A review in GitHub's shape. Here it has only a type and a text; its author and time are next
    to it."""
    change = obj(body, "pull_request")
    reviewer = login(body, "sender")
    at = time_of(change, "updated_at") or 0
    review = {
        "id": f"{text(change, 'number')}.{reviewer}.{at // 1_000_000}",
        "state": state,
        "user": obj(body, "sender"),
        "submitted_at": change.get("updated_at"),
        "html_url": change.get("html_url"),
    }
    return body | {"action": "submitted", "review": review}


def _run(run: dict[str, Any]) -> dict[str, Any]:
    """A run in GitHub's shape, from its `started_at` and `completed_at`; unset times are Go's zero
    time."""
    began = "started_at" if time_of(run, "started_at") else "created_at"
    ended = "completed_at" if time_of(run, "completed_at") else began
    return run | {
        "run_started_at": run.get("run_started_at") or run.get(began),
        "updated_at": run.get("updated_at") or run.get(ended),
    }


def _forgejo_run(body: dict[str, Any], conclusion: str) -> dict[str, Any]:
    run = obj(body, "run")
    ref = text(run, "prettyref")
    change = number({"number": ref[1:]}, "number") if ref.startswith("#") else None
    like_github = {
        "id": run.get("id"),
        "run_number": run.get("index_in_repo"),
        "path": run.get("workflow_id"),
        "display_title": run.get("title"),
        "head_sha": run.get("commit_sha"),
        "head_branch": "" if change is not None else ref,
        "event": run.get("event"),
        "status": "completed",
        "conclusion": conclusion,
        "created_at": run.get("created"),
        "run_started_at": run.get("started") or run.get("created"),
        "updated_at": run.get("stopped") or run.get("updated"),
        "html_url": run.get("html_url"),
        "triggering_actor": run.get("trigger_user"),
        "pull_requests": [] if change is None else [{"number": change}],
    }
    repository = obj(body, "repository") or obj(run, "repository")
    return {
        "action": "completed",
        "workflow_run": like_github,
        "repository": repository,
        "sender": run.get("trigger_user"),
    }


SOURCE: Final = Gitea()
