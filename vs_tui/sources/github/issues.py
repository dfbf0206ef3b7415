"""`issues`: an issue is in flight from `created_at` to `closed_at`."""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import number, obj, text, time_of, web_url
from vs_tui.sources.github.hook import Hook, Reading, change_scope, labels, login, logins, visible

ACTIONS: Final = frozenset(
    (
        *("assigned", "closed", "deleted", "demilestoned", "edited", "labeled", "locked"),
        *("milestoned", "opened", "pinned", "reopened", "transferred", "typed", "unassigned"),
        *("unlabeled", "unlocked", "unpinned", "untyped"),
    )
)
_GONE: Final = frozenset({"deleted", "transferred"})
_NOT_DONE: Final = frozenset({"not_planned", "duplicate"})


def read_issue(hook: Hook) -> Reading:
    """Any action carries the whole issue, so each one is a snapshot of it."""
    if hook.action not in ACTIONS:
        return f"the action {hook.action or 'none'!r} of issues says nothing about a delivery"
    issue = obj(hook.body, "issue")
    if obj(issue, "pull_request"):
        # GitHub numbers both alike and tells of a change's milestones by `issues`, too.
        return "an issue event of a pull request, which shows by its own events"
    identifier = hook.required(issue, "number")
    state, at = _state(hook, issue)
    return (
        Event(
            **hook.identity("issue", identifier),
            operation=Operation.ISSUE,
            state=state,
            occurred_at=at,
            as_of=hook.time(issue, "updated_at", "created_at"),
            started_at=time_of(issue, "created_at"),
            # A body tells the issue's state as of now, so it outranks an earlier end.
            supersedes=state is not State.NOTE,
            name=text(issue, "title") or f"#{identifier}",
            actor=login(issue, "user"),
            url=web_url(text(issue, "html_url")),
            attributes=labels(issue, "vs.issue.labels")
            | hook.attributes(
                vs__issue__number=identifier,
                vs__issue__title=text(issue, "title"),
                vs__issue__state=text(issue, "state"),
                vs__issue__state_reason=text(issue, "state_reason"),
                vs__issue__type=text(issue, "type", "name"),
                vs__issue__assignees=logins(issue, "assignees"),
                vs__issue__milestone=text(issue, "milestone", "title"),
                vs__issue__comments=number(issue, "comments"),
            ),
            offers=keys.offers(Key("issue", str(identifier), hook.scope), _former(hook)),
            seeks=keys.seeks(
                keys.mentions(text(issue, "title"), "title"),
                keys.mentions(visible(text(issue, "body", limit=keys.TEXT_LIMIT)), "body"),
                _parent(hook, issue),
            ),
        ),
    )


def _state(hook: Hook, issue: dict[str, Any]) -> tuple[State, Instant]:
    state = text(issue, "state")
    updated = hook.time(issue, "updated_at")
    if hook.action in _GONE:
        return State.CANCELLED, max(updated, time_of(issue, "closed_at") or 0)
    # A reopened issue may still carry the closed_at of its former end: only `state` counts.
    if state == "closed" or hook.action == "closed":
        reason = text(issue, "state_reason")
        ended = State.CANCELLED if reason in _NOT_DONE else State.OK
        return ended, hook.time(issue, "closed_at", "updated_at")
    if hook.action == "opened":
        return State.RUNNING, hook.time(issue, "created_at", "updated_at")
    if state == "open" or hook.action == "reopened":
        return State.RUNNING, updated
    return State.NOTE, updated


def _former(hook: Hook) -> Key | None:
    """The number a transferred issue had before, so that old mentions still find it."""
    former = number(hook.body, "changes", "old_issue", "number")
    scope = keys.repository(text(hook.body, "changes", "old_repository", "full_name"))
    return Key("issue", str(former), scope, "transferred") if former and scope else None


def _parent(hook: Hook, issue: dict[str, Any]) -> Seek | None:
    """A sub-issue names its parent by API URL."""
    base, _, parent = text(issue, "parent_issue_url").rpartition("/issues/")
    if not parent.isdigit():
        return None
    scope = change_scope({"url": base}, hook.scope)
    return Seek(Rule.HIERARCHY, Key("issue", str(int(parent)), scope, "parent issue"))
