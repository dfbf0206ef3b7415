"""`[ui] people = false`: shows roles instead of names, for a screen in public view.

It wraps the reader, so every view gets roles. Filters still match names, and bodies of deliveries
are shown as sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from vs_tui.model.vocabulary import Span
from vs_tui.traces.board import Board
from vs_tui.traces.next_action import NextAction

if TYPE_CHECKING:
    from vs_tui.store.queries.reader_protocol import Reader, SpanPage, Trace, TracePage

ROLES: Final[Mapping[str, str]] = {
    "issue": "assignee",
    "pull_request": "author",
    "push": "author",
    "review": "reviewer",
    "incident": "responder",
}
"""Operation -> role of its actor; for other operations it is `starter`."""
_STARTED: Final = "starter"
_NAMES: Final[Mapping[str, str]] = {
    "vs.pr.reviewers": "reviewer",
    "vs.pr.merged_by": "merger",
    "vs.issue.assignees": "assignee",
    "vs.deploy.reviewers": "approver",
    "vs.incident.assignees": "responder",
}
"""Attribute with names -> role of these people."""
_ACTS: Final[Mapping[str, str]] = {
    "review": "reviewer",
    "approve": "approver",
    "start": "approver",
    "restore": "responder",
    "check": _STARTED,
}


def role_of(span: Span) -> str:
    """The role of a span's actor; empty if the actor is unknown."""
    return ROLES.get(span.operation, _STARTED) if span.actor else ""


def without_names(span: Span) -> Span:
    """The span with roles instead of names."""
    attributes = {
        name: _counted(str(value), _NAMES[name]) if name in _NAMES else value
        for name, value in span.attributes.items()
    }
    name = span.name
    if span.actor and span.operation == "review":
        name = name.replace(span.actor, role_of(span))
    return span._replace(actor=role_of(span), name=name, attributes=attributes)


def _counted(names: str, role: str) -> str:
    """The role for one name, `reviewer 1, reviewer 2` for several."""
    count = len([name for name in names.split(",") if name.strip()])
    return role if count < 2 else ", ".join(f"{role} {n}" for n in range(1, count + 1))


def action_without_names(action: NextAction) -> NextAction:
    """The next action with roles instead of names."""
    role = _ACTS.get(action.verb, "author")
    who = tuple(_counted(",".join(action.who), role).split(", ")) if action.who else ()
    step = without_names(action.step) if action.step is not None else None
    why = action.why
    for name in (*action.who, action.step.actor if action.step is not None else ""):
        why = why.replace(name, role) if name else why
    return replace(action, who=who, step=step, why=why)


class Roles:
    """A reader whose spans contain roles instead of names; other data is unchanged."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)

    async def spans(self, *args: Any, **options: Any) -> SpanPage:
        page = await self._reader.spans(*args, **options)
        return replace(page, items=_all(page.items))

    async def span(self, ref: str) -> Span | None:
        found = await self._reader.span(ref)
        return without_names(found) if found is not None else None

    async def trace(self, trace_id: str) -> Trace | None:
        found = await self._reader.trace(trace_id)
        if found is None:
            return None
        return replace(found, root=without_names(found.root), spans=_all(found.spans),
                       linked=_all(found.linked))  # fmt: skip

    async def traces(self, *args: Any, **options: Any) -> TracePage:
        page = await self._reader.traces(*args, **options)
        rows = [replace(row, root=without_names(row.root)) for row in page.items]
        return replace(page, items=rows)

    async def board(self, *args: Any, **options: Any) -> Board:
        found = await self._reader.board(*args, **options)
        rows = [
            replace(row, root=without_names(row.root), action=action_without_names(row.action))
            for row in found.rows
        ]
        return replace(found, rows=rows)


def _all(spans: Iterable[Span]) -> Sequence[Span]:
    return [without_names(span) for span in spans]
