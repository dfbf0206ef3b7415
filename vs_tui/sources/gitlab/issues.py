"""Reads `issue` and `work_item`: issues, tasks, incidents, and epics of groups."""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, author, labels, logins
from vs_tui.sources.repository import is_incident

ACTIONS: Final = frozenset({"open", "close", "reopen", "update", ""})
"""The action may be empty in updates of older versions."""


def read_issue(hook: Hook) -> Reading:
    """The event for an item. Every action has the whole item, so each body is a snapshot.

    Its state and time decide, so an update of an open issue restarts nothing. An item of type
    Incident is an `incident`, as in GitLab's own DORA figures.
    """
    issue = obj(hook.body, "object_attributes")
    action = text(issue, "action", limit=60)
    if action not in ACTIONS:
        return f"the action {action!r} of {hook.kind} says nothing about a delivery"
    identifier = number(issue, "iid")
    if identifier is None:
        raise hook.unreadable("object_attributes.iid is missing or no number")
    state, at, stated = _state(hook, issue, action)
    word = text(issue, "type") or text(issue, "issue_type")
    listed = labels(hook, "vs.issue.labels")
    broken = is_incident(listed.get("vs.issue.labels", ""), word)
    kind = "issue" if "/" in hook.path else "epic"
    title = text(issue, "title")
    description = text(issue, "description", limit=keys.TEXT_LIMIT)
    return (
        Event(
            **hook.identity(kind, identifier),
            operation=Operation.INCIDENT if broken else Operation.ISSUE,
            state=state,
            occurred_at=at,
            as_of=time_of(issue, "updated_at") or at,
            started_at=time_of(issue, "created_at"),
            supersedes=stated,
            name=title or f"#{identifier}",
            service=hook.service if broken else "",
            actor=author(hook),
            url=web_url(text(issue, "url")),
            attributes=listed
            | hook.attributes(
                vs__issue__number=identifier,
                vs__issue__title=title,
                vs__issue__state=text(issue, "state"),
                vs__issue__type=word,
                vs__issue__severity=text(issue, "severity"),
                vs__issue__assignees=logins(hook.body, "assignees"),
                vs__issue__weight=number(issue, "weight"),
            ),
            restates=RELATIONS,
            offers=keys.offers(
                Key("issue", str(identifier), hook.scope), *hook.aliases(kind, identifier)
            ),
            seeks=keys.seeks(
                keys.mentions(title, "title"),
                keys.mentions(description, "description"),
                keys.root_causes(description, hook.service, hook.scope) if broken else None,
            ),
        ),
    )


def _state(hook: Hook, issue: dict[str, Any], action: str) -> tuple[State, Instant, bool]:
    """State, its time, and whether it supersedes an earlier end."""
    updated = time_of(issue, "updated_at") or hook.received_at
    state = text(issue, "state")
    if state == "closed" or action == "close":
        # Moved and duplicate issues are closed without work.
        gone = number(issue, "moved_to_id") or number(issue, "duplicated_to_id")
        ended = State.CANCELLED if gone else State.OK
        closed = time_of(issue, "closed_at")
        # Without closed_at only the closing itself sets the end; a later edit must not move it.
        return ended, closed or updated, closed is not None or action == "close"
    if action == "open":
        return State.RUNNING, time_of(issue, "created_at") or updated, True
    if state in ("opened", "reopened") or action == "reopen":
        return State.RUNNING, updated, True
    return State.NOTE, updated, False
