"""GitHub: webhooks of repositories and organisations, one module per kind of work.

This module verifies the origin and chooses the reader of an event; `issues_and_changes`,
`pushes_and_deploys`, `actions` and `checks` each read one family of events; `hook` has their common
parts.
Gitea and Forgejo send bodies of the same shape and use the same readers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import parse_qs

from vs_tui.model.time import Instant
from vs_tui.sources.base import (
    BadBody,
    Form,
    Inbound,
    Parsed,
    Reading,
    Source,
    parsed,
)
from vs_tui.sources.fields import json_object, text
from vs_tui.sources.github.actions import read_deployment_review, read_job, read_run
from vs_tui.sources.github.checks import read_check_run, read_check_suite, read_status
from vs_tui.sources.github.hook import GITHUB, Dialect, Hook, hook_of
from vs_tui.sources.github.issues_and_changes import (
    read_change,
    read_issue,
    read_review,
    read_sub_issue,
)
from vs_tui.sources.github.pushes_and_deploys import (
    read_create,
    read_delete,
    read_deployment,
    read_deployment_status,
    read_push,
    read_release,
    read_repository,
)
from vs_tui.sources.signatures import require_sha256

READERS: Final[Mapping[str, Callable[[Hook], Reading]]] = {
    "issues": read_issue,
    "sub_issues": read_sub_issue,
    "pull_request": read_change,
    "pull_request_review": read_review,
    "push": read_push,
    "create": read_create,
    "delete": read_delete,
    "release": read_release,
    "repository": read_repository,
    "workflow_run": read_run,
    "workflow_job": read_job,
    "deployment_review": read_deployment_review,
    "check_run": read_check_run,
    "check_suite": read_check_suite,
    "status": read_status,
    "deployment": read_deployment,
    "deployment_status": read_deployment_status,
}

IGNORED: Final[Mapping[str, str]] = {
    "ping": "connected",
    "issue_comment": "a comment moves no work",
    "pull_request_review_comment": "a review's comments show by the review itself",
    "pull_request_review_thread": "a review's threads show by the review itself",
    "commit_comment": "a comment moves no work",
    "merge_group": "a merge queue shows by the pull request's stage and by its runs",
    "workflow_dispatch": "a request to run a workflow; the run shows by workflow_run",
    "repository_dispatch": "a request to run a workflow; the run shows by workflow_run",
    "deployment_protection_rule": "an approval shows by the job's waiting phase",
}


def read(dialect: Dialect, event: str, body: Mapping[str, Any], received_at: Instant) -> Parsed:
    """Parse an event of a GitHub-like host. Raises Unreadable if a required field is missing."""
    action = text(body, "action", limit=60)
    kind = f"{event}.{action}" if action else event
    if event in IGNORED:
        return parsed(kind, IGNORED[event])
    reader = READERS.get(event)
    if reader is None:
        reason = f"{event} events say nothing about a delivery; untick them to save traffic"
        return parsed(kind, reason)
    return parsed(kind, reader(hook_of(dialect, event, body, received_at)))


def webhook_body(inbound: Inbound) -> dict[str, Any]:
    """The JSON object of a webhook."""
    return json_object(inbound._replace(body=payload_of(inbound)))


def payload_of(inbound: Inbound) -> bytes:
    """The JSON text, also from a form's `payload` field: GitHub's default content type.

    A body that starts with a brace is read as JSON even if its content type is a form, as with
    `curl -d`.
    """
    is_form = inbound.header("content-type").partition(";")[0].strip() == FORM
    if not is_form or inbound.body.lstrip().startswith(b"{"):
        return inbound.body
    try:
        fields = parse_qs(inbound.body.decode(), max_num_fields=10)
    except ValueError:
        raise BadBody("body", "is not a form; set the webhook's content type to JSON") from None
    if "payload" not in fields:
        raise BadBody("payload", "is missing; set the webhook's content type to JSON")
    return fields["payload"][0].encode()


FORM: Final = "application/x-www-form-urlencoded"

HOOK_EVENTS: Final = (
    "issues", "pull_request", "pull_request_review", "push", "create", "release", "workflow_run",
    "workflow_job", "check_run", "check_suite", "status", "deployment", "deployment_status",
)  # fmt: skip
"""Events of a new webhook: https://docs.github.com/webhooks/webhook-events-and-payloads"""


class GitHub(Source):
    """Webhooks of github.com and of GitHub Enterprise Server."""

    name = "github"
    title = "GitHub"
    form = Form(
        "the repository or organization, Settings, Webhooks, Add webhook",
        "Issues, Sub issues, Pull requests, Pull request reviews, Pushes, Branch or tag "
        "creation, Releases, Workflow runs, Workflow jobs, Check runs, Check suites, "
        "Statuses, Deployments, Deployment statuses",
    )
    version = 2
    signature_headers = ("x-hub-signature-256",)
    # The same when a delivery is sent again by hand.
    delivery_headers = ("x-github-delivery",)
    stored_headers = (
        "x-github-event",
        "x-github-delivery",
        "x-github-hook-id",
        "x-github-hook-installation-target-type",
        "x-github-enterprise-host",
        "content-type",
        "user-agent",
    )

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the HMAC-SHA256 of the raw body; the older SHA-1 header alone is not accepted."""
        given = inbound.header("x-hub-signature-256")
        require_sha256(given, inbound.body, secrets, "X-Hub-Signature-256")

    def parse(self, inbound: Inbound) -> Parsed:
        return self.outline(inbound).finished()

    def outline(self, inbound: Inbound) -> Parsed:
        body = webhook_body(inbound)
        event = inbound.header("x-github-event").strip()[:60]
        if not event:
            raise BadBody("X-GitHub-Event", "is missing; it names the event, such as push")
        if inbound.header("x-gitea-event"):  # Gitea and Forgejo send GitHub's headers, too
            raise BadBody("X-Gitea-Event", "is there: the path of Gitea and Forgejo is /gitea")
        return read(GITHUB, event, body, inbound.received_at)


SOURCE: Final = GitHub()
