"""Work items of Azure Boards: issues whose states are the span's phases.

A body has no category of the state. An item is done if it has a closing date, which Azure sets in
all states of the category Completed. Without that field the state's name decides, with the names of
Microsoft's process templates.
"""

from __future__ import annotations

import re
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.azure.hook import Hook, person, web_url
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import known, number, obj, text, time_of

_COMMON: Final = "Microsoft.VSTS.Common."
_CLOSED: Final = f"{_COMMON}ClosedDate"
_STATE_CHANGED: Final = f"{_COMMON}StateChangeDate"
_DONE: Final = frozenset({"done", "closed", "completed"})
_REMOVED: Final = frozenset({"removed"})


def read_work_item(hook: Hook) -> Reading:
    """The event for a work item, from the snapshot in its body."""
    item = obj(hook.resource, "revision") or hook.resource
    fields = obj(item, "fields")
    identifier = number(hook.resource, "workItemId") or number(item, "id")
    if not identifier:
        raise hook.unreadable("the work item's id is missing")
    if not fields:
        raise hook.unreadable("fields is missing; set `Resource details to send` to All")
    column = text(fields, "System.State", limit=100)
    state, at, supersedes = _state(hook, fields, column.lower())
    title = text(fields, "System.Title")
    project = text(fields, "System.TeamProject", limit=200)
    words = text(fields, "System.Description", limit=keys.TEXT_LIMIT)
    snapshot = Event(
        key=hook.key("issue", identifier),
        ref=keys.reference("azure", "issue", project, identifier),
        source="azure",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        as_of=hook.sent_at,
        started_at=time_of(fields, "System.CreatedDate"),
        supersedes=supersedes,
        stage=column if state is State.RUNNING else "",
        name=title or f"{text(fields, 'System.WorkItemType')} {identifier}".strip(),
        project=project,
        actor=person(fields, "System.AssignedTo") or person(fields, "System.CreatedBy"),
        url=web_url(text(obj(item, "_links"), "html", "href")),
        attributes=known(
            vs__issue__id=str(identifier),
            vs__issue__title=title,
            vs__issue__type=text(fields, "System.WorkItemType", limit=100),
            vs__issue__status=column,
            vs__issue__priority=text(fields, f"{_COMMON}Priority", limit=20),
            vs__issue__severity=text(fields, f"{_COMMON}Severity", limit=40),
            vs__issue__labels=",".join(re.split(r"\s*;\s*", text(fields, "System.Tags"))),
            vs__issue__assignees=person(fields, "System.AssignedTo"),
            vs__issue__sprint=text(fields, "System.IterationPath"),
            vs__issue__area=text(fields, "System.AreaPath"),
            vs__issue__reason=text(fields, "System.Reason"),
        ),
        # An update that only lists its changes has no title.
        restates=RELATIONS if title else "",
        offers=keys.offers(
            hook.work_item(identifier), Key("issue_key", f"AB#{identifier}", "", "work item")
        ),
        seeks=keys.seeks(_parent(hook, fields), keys.mentions(f"{title} {words}", "title")),
    )
    return (snapshot,)


def _state(hook: Hook, fields: dict[str, Any], column: str) -> tuple[State, Instant, bool]:
    """State, its start, and whether it supersedes an earlier end."""
    changed = time_of(fields, _STATE_CHANGED)
    if hook.kind == "workitem.deleted":
        return State.CANCELLED, hook.sent_at, True
    if hook.kind == "workitem.restored":
        return State.RUNNING, hook.sent_at, True
    closed = time_of(fields, _CLOSED)
    if column in _REMOVED:
        return State.CANCELLED, changed or closed or _edited(hook, fields), True
    if closed is not None or column in _DONE:
        return State.OK, closed or changed or _edited(hook, fields), True
    if changed is not None:
        return State.RUNNING, changed, True
    if hook.kind == "workitem.created":
        return State.RUNNING, time_of(fields, "System.CreatedDate") or hook.sent_at, False
    if "System.State" in obj(hook.resource, "fields") and hook.kind == "workitem.updated":
        return State.RUNNING, _edited(hook, fields), True
    return State.NOTE, hook.sent_at, False


def _edited(hook: Hook, fields: dict[str, Any]) -> Instant:
    return time_of(fields, "System.ChangedDate") or hook.sent_at


def _parent(hook: Hook, fields: dict[str, Any]) -> Seek | None:
    parent = number(fields, "System.Parent")
    return Seek(Rule.HIERARCHY, hook.work_item(parent, "parent")) if parent else None
