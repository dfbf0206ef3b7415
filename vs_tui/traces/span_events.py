"""Which events belong to a span, which of them count, and in which order. All of it depends on the
set of them only.

An alert fires once at a time. Its start is part of its name, but the start may change while it
fires: two Prometheus servers feed one Alertmanager, or Grafana states another start when it
resolves. `incident_starts` finds the notifications that belong to the same incident.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from vs_tui.model.time import MINUTE, Duration, Instant
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
    """The events by the instant and rank of their states; what begins again in the second of an end
    comes after it. Events that others corrected or made void are reduced to notes."""
    told = _firm(_as_amended(list(events)))
    begins = [event.occurred_at for event in told if event.supersedes == "if later"]
    if len(begins) < 2:
        return _in_order(told, _moment, _canonical)
    first = min(begins)

    def moment(event: Event) -> tuple[Instant, bool, int]:
        is_again = event.supersedes == "if later" and event.occurred_at > first
        return event.occurred_at, is_again, event.state

    return _in_order(told, moment, _canonical)


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


NEARBY: Final[Duration] = 15 * MINUTE
"""How far the stated start of a firing alert may move."""


@dataclass(slots=True)
class _Episode:
    """All notifications that state the same start."""

    start: Instant
    fired: bool = False
    end: Instant | None = None

    @property
    def is_open(self) -> bool:
        return self.fired and self.end is None


def incident_starts(events: Iterable[Event]) -> dict[Instant, Instant]:
    """The start that an event states -> the start of its incident, the earliest that is stated.

    - An end whose start never fired ends the latest incident that is open then.
    - A start within another's incident is of that incident.
    - Starts within 15 minutes of each other are of one incident, unless it ended in between.
    """
    found: dict[Instant, _Episode] = {}
    for event in events:
        if event.started_at is None:
            continue
        told = found.setdefault(event.started_at, _Episode(event.started_at))
        if event.state.terminal:
            told.end = max(event.occurred_at, told.end or 0)
        else:
            told.fired = True
    ordered = [found[start] for start in sorted(found)]
    first: dict[Instant, Instant] = {start: start for start in found}

    def root(start: Instant) -> Instant:
        while first[start] != start:
            start = first[start]
        return start

    def join(one: _Episode, other: _Episode) -> None:
        low, high = sorted((root(one.start), root(other.start)))
        first[high] = low

    for place, told in enumerate(ordered):
        before = ordered[:place]
        if told.is_open:
            for other in before:
                if other.end is not None and told.start <= other.end:
                    join(told, other)
        if before and before[-1].is_open and told.start - before[-1].start <= NEARBY:
            join(told, before[-1])
    ended: set[Instant] = {root(told.start) for told in ordered if told.fired and told.end}
    for told in ordered:
        if told.end is None or told.fired:
            continue
        is_open = [
            other
            for other in ordered
            if other.is_open and other.start <= told.end and root(other.start) not in ended
        ]
        if is_open:
            join(told, is_open[-1])
            ended.add(root(told.start))
    return {start: root(start) for start in found}
