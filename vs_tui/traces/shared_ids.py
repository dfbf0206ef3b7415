"""Which project an event of em-metrics is about, if projects gave the same id to different things.

A deployment, an incident or a pull request is created with its project (or team); em-metrics' later
calls, such as `POST /incidents/{id}/restored`, may name the id alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, State

_Call = tuple[Instant, State, tuple[str, ...]]
"""When a call without a project happened, and what kind of call it was."""


def owners(events: Sequence[Event]) -> Callable[[Event], str]:
    """A function from an event of one id to its project, in lower case; always the empty string if
    fewer than two projects use the id.

    A call without a project is about the first that began before it and had no such call yet, else
    about the last that began before it.
    """
    begun: dict[str, Instant] = {}
    ended: set[str] = set()
    for event in events:
        if project := event.project.lower():
            at = event.occurred_at if event.started_at is None else event.started_at
            begun[project] = min(at, begun.get(project, at))
            ended |= {project} if event.state.terminal else set()
    if len(begun) < 2:
        return lambda _: ""
    in_order = sorted(begun, key=lambda project: (begun[project], project))
    found: dict[_Call, str] = {}
    had: dict[tuple[object, ...], set[str]] = {}
    for call in sorted({_call(event) for event in events if not event.project}):
        at, *kind = call
        taken = had.setdefault(tuple(kind), set(ended))
        before = [project for project in in_order if begun[project] <= at] or in_order[:1]
        found[call] = next((project for project in before if project not in taken), before[-1])
        taken.add(found[call])
    return lambda event: event.project.lower() or found[_call(event)]


def _call(event: Event) -> _Call:
    return (event.occurred_at, event.state, tuple(sorted(event.attributes)))
