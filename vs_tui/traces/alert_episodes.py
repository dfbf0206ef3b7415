"""Decide which notifications of one alert belong to the same incident.

An alert fires once at a time. Its start is part of its name, but the start may change while it
fires: two Prometheus servers feed one Alertmanager, or Grafana states another start when it
resolves. The result depends only on the set of events.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import MINUTE, Duration, Instant
from vs_tui.model.vocabulary import Event

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
