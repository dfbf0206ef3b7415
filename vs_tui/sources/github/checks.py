"""Reads `check_run`, `check_suite` and `status`: other tools' results for a commit.

Checks of GitHub Actions repeat its workflow events and are ignored.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.vocabulary import Event, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, lowered, number, obj, text, time_of, web_url
from vs_tui.sources.github.actions import outcome
from vs_tui.sources.github.hook import Hook, change_scope, login

RUN_ACTIONS: Final = frozenset({"created", "completed", "rerequested", "requested_action"})
SUITE_ACTIONS: Final = frozenset({"completed", "requested", "rerequested"})
_ACTIONS_APP: Final = "github-actions"

_ACTIONS_JOB: Final = re.compile(r"/actions/runs/\d+/jobs/\d+/?$")
"""URL of a job of Gitea's or Forgejo's Actions, which also make a commit status for each job."""

_STATUS: Final = {
    "pending": (State.RUNNING, "", ""),
    "success": (State.OK, "", "success"),
    "failure": (State.ERROR, "failure", "failure"),
    "error": (State.ERROR, "error", "error"),
    # Only in Gitea: a warning passed, a skipped check did not run.
    "warning": (State.OK, "", "success"),
    "skipped": (State.CANCELLED, "", "skip"),
}


def read_check_run(hook: Hook) -> Reading:
    """The event for one check of another tool."""
    if hook.action not in RUN_ACTIONS:
        return f"the action {hook.action or 'none'!r} of check_run is not known"
    check = obj(hook.body, "check_run")
    if text(check, "app", "slug") == _ACTIONS_APP:
        return "a check run of GitHub Actions repeats its workflow_job; tick Workflow jobs"
    suite = number(check, "check_suite", "id")
    whole = _check(hook, check, "check_run", Operation.BUILD, "started_at", "completed_at")
    parent = [keys.seek_structure(hook.key("check_suite", suite))] if suite else []
    branch = text(check, "check_suite", "head_branch")
    return (_sought(hook, whole, check, branch, parent),)


def read_check_suite(hook: Hook) -> Reading:
    """The event for all checks of one tool on one commit."""
    if hook.action not in SUITE_ACTIONS:
        return f"the action {hook.action or 'none'!r} of check_suite is not known"
    suite = obj(hook.body, "check_suite")
    if text(suite, "app", "slug") == _ACTIONS_APP:
        return "a check suite of GitHub Actions repeats its workflow_run; tick Workflow runs"
    if hook.action != "completed" and not number(suite, "latest_check_runs_count"):
        return "a check suite is only asked for; it shows when its app begins a check"
    whole = _check(hook, suite, "check_suite", Operation.PIPELINE, "created_at", "updated_at")
    sha = text(suite, "head_sha")
    if hook.web and keys.commit(sha):
        # The body has no page of the suite, but there is one below its commit.
        url = f"{hook.web}/commit/{sha}/checks?check_suite_id={number(suite, 'id')}"
        whole = whole._replace(url=whole.url or url)
    return (_sought(hook, whole, suite, text(suite, "head_branch"), []),)


def read_status(hook: Hook) -> Reading:
    """The event for a commit status: one span per commit and context; a new `pending` reopens
    it."""
    sha, context = text(hook.body, "sha"), text(hook.body, "context") or "default"
    if keys.commit(sha) is None:
        raise hook.unreadable("sha is missing or no commit")
    if _ACTIONS_JOB.search(text(hook.body, "target_url")):
        return "a status of an Actions job repeats its workflow_job; tick Workflow jobs"
    word = lowered(hook.body, "state")
    state, error, result = hook.meaning(_STATUS, word)
    at = hook.time(hook.body, "updated_at", "created_at")
    digest = sha256(context.encode("utf-8", "replace")).hexdigest()[:8]
    whole = Event(
        # The context is free text: its digest keeps the key short and unambiguous.
        **hook.identity("status", f"{sha[:12]}-{digest}"),
        operation=Operation.BUILD,
        state=state,
        occurred_at=at,
        supersedes=True,
        name=context,
        actor=hook.sender,
        url=web_url(text(hook.body, "target_url"))
        or web_url(text(hook.body, "commit", "html_url")),
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__task__name=context,
            cicd__pipeline__task__run__result=result,
            vcs__ref__head__revision=sha,
            vs__description=text(hook.body, "description"),
        ),
        offers=keys.offers(keys.commit(sha, hook.scope, "status", "built")),
    )
    message = text(hook.body, "commit", "commit", "message", limit=5_000)
    return (_sought(hook, whole, obj(hook.body), "", keys.mentions(message, "commit message")),)


def _check(
    hook: Hook, check: dict[str, Any], kind: str, operation: Operation, start: str, end: str
) -> Event:
    identifier = hook.required(check, "id")
    began = time_of(check, start)
    status = lowered(check, "status") or "queued"
    conclusion = lowered(check, "conclusion")
    state, _, error, result = outcome(hook, status, conclusion)
    at = max(hook.time(check, end, start), began or 0) if status == "completed" else began
    label = text(check, "name") or text(check, "app", "name") or kind.replace("_", " ")
    url = web_url(text(check, "html_url")) or web_url(text(check, "details_url"))
    is_suite = operation is Operation.PIPELINE
    return Event(
        **hook.identity(kind, identifier),
        operation=operation,
        state=state,
        occurred_at=at or hook.received_at,
        started_at=began,
        # An app may run the same check again with the same id: the latest end counts.
        supersedes=state.terminal,
        provisional=state.terminal and not conclusion,
        name=label,
        actor=login(hook.body, "sender"),
        url=url,
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__name=label if is_suite else text(check, "app", "name"),
            cicd__pipeline__run__id=str(identifier) if is_suite else None,
            cicd__pipeline__result=result if is_suite else None,
            cicd__pipeline__task__name=None if is_suite else label,
            cicd__pipeline__task__run__id=None if is_suite else str(identifier),
            cicd__pipeline__task__run__result=None if is_suite else result,
            vcs__ref__head__revision=text(check, "head_sha"),
            vs__app=text(check, "app", "slug"),
        ),
        offers=keys.offers(
            None if is_suite else keys.commit(text(check, "head_sha"), hook.scope, kind, "built")
        ),
    )


def _sought(
    hook: Hook, whole: Event, check: dict[str, Any], branch: str, first: list[Seek]
) -> Event:
    sha = whole.attributes.get("vcs.ref.head.revision", "")
    seeks = keys.seeks(
        first,
        *(
            keys.seek_change(
                number(change, "number"), change_scope(obj(change, "base", "repo"), hook.scope), ""
            )
            for change in items(check, "pull_requests")[:50]
        ),
        keys.change_refs(branch, hook.scope),
        keys.seek_commit(Rule.COMMIT, sha, hook.scope, "head commit"),
        keys.seek_branch(branch, hook.scope, hook.default_branch) if branch else None,
    )
    return whole._replace(seeks=seeks)
