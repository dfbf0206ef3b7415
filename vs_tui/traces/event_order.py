"""Which of a span's events count, and in which order: it depends on the set of them only."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, State

_place = Event._fields.index
words_of: Final = itemgetter(
    *map(_place, ("actor", "url", "ref", "operation", "source")),
    *map(_place, ("project", "service", "environment", "trace_id", "name")),
)
"""What the latest snapshot that has one decides, beside the attributes."""
_moment: Final = itemgetter(_place("occurred_at"), _place("state"))
_provisional: Final = itemgetter(_place("provisional"))
_slot: Final = itemgetter(_place("slot"))
_name: Final = itemgetter(_place("name"))
_Order = Callable[[Event], Any]


def in_time_order(events: Iterable[Event]) -> list[Event]:
    """The events by the instant and rank of their states. Events that others corrected or made void
    are reduced to notes."""
    return _in_order(_firm(_as_amended(list(events))), _moment, _canonical)


def in_snapshot_order(events: list[Event]) -> list[Event]:
    """The events by their snapshots; names and attributes of the last one win."""
    return _in_order(events, _taken, _name, _by_snapshot)


def _as_amended(events: list[Event]) -> list[Event]:
    """The events, those that a later snapshot of their slot corrected reduced to notes."""
    if not any(map(_slot, events)):
        return events
    latest: dict[str, tuple[Instant, Instant, int, str, str]] = {}
    for event in events:
        latest[event.slot] = max(latest.get(event.slot, _by_amendment(event)), _by_amendment(event))
    return [
        event._replace(state=State.NOTE, started_at=None, stage="", error="")
        if event.slot and _by_amendment(event) < latest[event.slot]
        else event
        for event in events
    ]


def _firm(events: list[Event]) -> list[Event]:
    """The events, provisional ends that others made void reduced to notes."""
    if not any(map(_provisional, events)):
        return events
    told = [event for event in events if not event.provisional and event.state is not State.NOTE]
    ended = any(event.state.terminal for event in told)
    latest = max((event.occurred_at for event in told), default=0)
    return [
        event._replace(state=State.NOTE, error="")
        if event.provisional and (ended or latest > event.occurred_at)
        else event
        for event in events
    ]


def _by_amendment(event: Event) -> tuple[Instant, Instant, int, str, str]:
    return (event.snapshot_at, event.occurred_at, event.state, event.error, event.name)


def _in_order(events: list[Event], order: _Order, *finer: _Order) -> list[Event]:
    """The events sorted, those that are equal in the first order by the next one: few are, and the
    last ones cost much."""
    if len(events) == 1:
        return events
    ranked = sorted([(order(event), number) for number, event in enumerate(events)])
    if not finer or len({rank for rank, _ in ranked}) == len(ranked):
        return [events[number] for _, number in ranked]
    groups = groupby(ranked, itemgetter(0))
    return [
        event
        for _, group in groups
        for event in _in_order([events[number] for _, number in group], *finer)
    ]


def _canonical(event: Event) -> tuple[Instant, int, Instant, str, str, str]:
    # The tail only makes the order total for events that differ in nothing but words.
    return (
        event.occurred_at,
        event.state,
        event.snapshot_at,
        event.stage,
        event.error,
        event.name,
    )


def _taken(event: Event) -> tuple[Instant, Instant, int]:
    return (event.as_of or event.occurred_at, event.occurred_at, event.state)


def _by_snapshot(event: Event) -> tuple[Instant, Instant, int, str, str, tuple[str, ...]]:
    # The tail decides between two snapshots of one instant: without it, arrival would.
    return (
        event.snapshot_at,
        event.occurred_at,
        event.state,
        event.name,
        repr(sorted(event.attributes.items())),
        words_of(event),
    )
