"""Reads `issues`: an issue is in flight from `created_at` to `closed_at`."""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading, moment
from vs_tui.sources.fields import number, obj, text, time_of, web_url
from vs_tui.sources.github.hook import (
    Hook,
    change_scope,
    edited_at,
    hook_of,
    labels,
    login,
    logins,
    visible,
)
from vs_tui.sources.repository import is_incident

ACTIONS: Final = frozenset(
    (
        *("assigned", "closed", "deleted", "demilestoned", "edited", "labeled", "locked"),
        *("milestoned", "opened", "pinned", "reopened", "transferred", "typed", "unassigned"),
        *("unlabeled", "unlocked", "unpinned", "untyped"),
    )
)
SUB_ISSUE_ACTIONS: Final = frozenset(
    f"{part}_{verb}" for part in ("sub_issue", "parent_issue") for verb in ("added", "removed")
)
_GONE: Final = frozenset({"deleted", "transferred"})
_NOT_DONE: Final = frozenset({"not_planned", "duplicate"})


def read_issue(hook: Hook) -> Reading:
    """Events for an issue. Every action has the whole issue, so each body is a snapshot."""
    if hook.action not in ACTIONS:
        return f"the action {hook.action or 'none'!r} of issues says nothing about a delivery"
    issue = obj(hook.body, "issue")
    if obj(issue, "pull_request"):
        # GitHub numbers both together and reports milestones of pull requests as `issues` too.
        return "an issue event of a pull request, which shows by its own events"
    whole = _snapshot(hook, issue)
    if "parent_issue_url" not in issue:  # older servers have no parents
        return (whole,)
    return (whole, _below(whole, _parent(hook, text(issue, "parent_issue_url"))))


def read_sub_issue(hook: Hook) -> Reading:
    """Events for a sub-issue that got or lost a parent, from its snapshot."""
    if hook.action not in SUB_ISSUE_ACTIONS:
        return f"the action {hook.action or 'none'!r} of sub_issues is not known"
    if other := obj(hook.body, "sub_issue_repo"):
        body = {**hook.body, "repository": other}
        hook = hook_of(hook.dialect, hook.event, body, hook.received_at)
    whole = _snapshot(hook, obj(hook.body, "sub_issue"))
    parent = obj(hook.body, "parent_issue")
    gone = hook.action.endswith("removed")
    return (whole, _below(whole, None if gone else _parent(hook, text(parent, "url"))))


def _snapshot(hook: Hook, issue: dict[str, Any]) -> Event:
    identifier = hook.required(issue, "number")
    state, at = _state(hook, issue)
    listed = labels(issue, "vs.issue.labels")
    kind = text(issue, "type", "name")
    broken = is_incident(listed.get("vs.issue.labels", ""), kind)
    body = visible(text(issue, "body", limit=keys.TEXT_LIMIT))
    return Event(
        **hook.identity("issue", identifier),
        operation=Operation.INCIDENT if broken else Operation.ISSUE,
        service=hook.service if broken else "",
        state=state,
        occurred_at=at,
        as_of=edited_at(hook, issue),
        started_at=time_of(issue, "created_at"),
        # A body has the issue's current state, so it supersedes an earlier end.
        supersedes=state is not State.NOTE,
        name=text(issue, "title") or f"#{identifier}",
        actor=login(issue, "user"),
        url=web_url(text(issue, "html_url")),
        attributes=listed
        | hook.attributes(
            vs__issue__number=identifier,
            vs__issue__title=text(issue, "title"),
            vs__issue__state=text(issue, "state"),
            vs__issue__state_reason=text(issue, "state_reason"),
            vs__issue__type=kind,
            vs__issue__assignees=logins(issue, "assignees"),
            vs__issue__milestone=text(issue, "milestone", "title"),
            vs__issue__comments=number(issue, "comments"),
        ),
        restates=RELATIONS,
        offers=keys.offers(Key("issue", str(identifier), hook.scope), _former(hook)),
        seeks=keys.seeks(
            keys.mentions(text(issue, "title"), "title"),
            keys.mentions(body, "body"),
            keys.root_causes(body, hook.service, hook.scope) if broken else None,
        ),
    )


def _below(whole: Event, parent: Seek | None) -> Event:
    """A note with the issue's parent, according to the snapshot."""
    note = moment(whole, State.NOTE, whole.snapshot_at)
    return note._replace(restates="parent", seeks=keys.seeks(parent))


def _state(hook: Hook, issue: dict[str, Any]) -> tuple[State, Instant]:
    state = text(issue, "state")
    updated = hook.time(issue, "updated_at")
    if hook.action in _GONE:
        return State.CANCELLED, max(updated, time_of(issue, "closed_at") or 0)
    # A reopened issue may still have the closed_at of its former end: only `state` counts.
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
    """The key with a transferred issue's former number, so that old mentions still find it."""
    former = number(hook.body, "changes", "old_issue", "number")
    scope = keys.repository(text(hook.body, "changes", "old_repository", "full_name"))
    return Key("issue", str(former), scope, "transferred") if former and scope else None


def _parent(hook: Hook, url: str) -> Seek | None:
    """The seek for the parent of a sub-issue, which is named by API URL."""
    base, _, parent = url.rpartition("/issues/")
    if not parent.isdigit():
        return None
    scope = change_scope({"url": base}, hook.scope)
    return Seek(Rule.HIERARCHY, Key("issue", str(int(parent)), scope, "parent issue"))
