"""Finds the span of events whose own key does not tell it: alerts whose start moves, which are
stored under the key of their incident, and ids of em-metrics that several projects use.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from vs_tui.model.keys import alert_group, of_project, shared_id
from vs_tui.model.vocabulary import Event, Key
from vs_tui.store import rows
from vs_tui.store.folding.stored_events import EventCache
from vs_tui.traces.shared_ids import owners
from vs_tui.traces.span_events import NEARBY, incident_starts

LOOKED_AT: Final = 64
"""Most incidents of an alert before a notification that are compared with it."""
LOOKED_AFTER: Final = 16
"""Most incidents after a notification that are compared with it, if it arrives late."""


def regrouped(
    connection: sqlite3.Connection, events: Sequence[Event], cache: EventCache
) -> tuple[Sequence[Event], Sequence[str]]:
    """(events, with those of alerts under the key of their incident, and those of an id that
    several projects use under the key of theirs; keys of deleted spans).

    A stored event that turns out to belong to another span moves: the rows of its key are deleted,
    and the event is part of the result.
    """
    groups: dict[str, list[Event]] = {}
    for event in events:
        if group := _group(event):
            groups.setdefault(group, []).append(event)
    if not groups:
        return events, ()
    gone: list[str] = []
    placed: dict[int, Event] = {}
    moved: list[Event] = []
    for group, fresh in groups.items():
        is_shared = bool(shared_id(group))
        about = (
            _keys_of_id(connection, group) if is_shared else _keys_about(connection, group, fresh)
        )
        stored = cache.load(connection, about)
        known = [event for found in stored.values() for event in found.values()]
        place = (_by_project if is_shared else _by_start)(group, [*known, *fresh])
        for event in fresh:
            placed[id(event)] = place(event)
        for key, found in stored.items():
            wanted = [place(event) for event in found.values()]
            if any(event.key != key for event in wanted):
                whole = all(event.key != key for event in wanted)
                _forget(connection, key, whole=whole)
                gone += [key] if whole else []
                cache.drop(key)
                moved += wanted
    return [*(placed.get(id(event), event) for event in events), *moved], gone


def _group(event: Event) -> str:
    """What the keys begin with under which an event may be stored; empty if it has one key."""
    if group := alert_group(event.key):
        return group if event.started_at is not None else ""
    return shared_id(event.key)


def _keys_about(connection: sqlite3.Connection, group: str, fresh: Sequence[Event]) -> list[str]:
    """The keys of the alert's incidents around the time of these events."""
    latest = max(max(event.occurred_at, event.started_at or 0) for event in fresh) + NEARBY
    before = "SELECT DISTINCT key FROM events WHERE key > ? AND key <= ? ORDER BY key DESC LIMIT ?"
    after = "SELECT DISTINCT key FROM events WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
    found = connection.execute(before, (f"{group}-", f"{group}-{latest}", LOOKED_AT)).fetchall()
    found += connection.execute(after, (f"{group}-{latest}", f"{group}.", LOOKED_AFTER)).fetchall()
    # The name of a group may be a prefix of another group's name.
    return [key for (key,) in found if alert_group(key) == group]


def _keys_of_id(connection: sqlite3.Connection, shared: str) -> list[str]:
    """The keys of an id that several projects may use."""
    sql = "SELECT DISTINCT key FROM events WHERE key = ?1 OR (key > ?1 || '=' AND key < ?1 || '>')"
    return [key for (key,) in connection.execute(sql, (shared,))]


def _by_start(group: str, events: Sequence[Event]) -> Callable[[Event], Event]:
    """A function that gives an alert's event the key of its incident; the key from its own start
    becomes an alias."""
    starts = incident_starts(events)

    def place(event: Event) -> Event:
        key = f"{group}-{starts[event.started_at or 0]}"
        return _with_key(event, key, f"{group}-{event.started_at}")

    return place


def _by_project(shared: str, events: Sequence[Event]) -> Callable[[Event], Event]:
    """A function that gives an event the key of its project. What shares the id has one short
    ref."""
    owner = owners(events)

    def place(event: Event) -> Event:
        key = of_project(shared, owner(event))
        ref = shared if key != shared else ""
        return _with_key(event, key, shared)._replace(ref=ref, full_ref=key if ref else "")

    return place


def _with_key(event: Event, key: str, own: str) -> Event:
    """The event with the key under which it is stored; its `own` key becomes an alias."""
    alias = Key("ref", own)
    offers = tuple(offer for offer in event.offers if offer != alias)
    return event._replace(key=key, offers=offers if key == own else (*offers, alias))


def _forget(connection: sqlite3.Connection, key: str, *, whole: bool) -> None:
    """Delete the stored events of a key; with `whole` also its span."""
    for table in ("events", "offers", "seeks"):
        connection.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    if whole:
        below = "SELECT key FROM spans WHERE key = ?1 OR (parent_key = ?1 AND derived = 1)"
        gone = rows.as_json([name for (name,) in connection.execute(below, (key,))])
        for table, column in (("links", "child"), ("links", "parent"), ("spans", "key")):
            connection.execute(f"DELETE FROM {table} WHERE {column} {rows.KEYS}", (gone,))
        connection.execute("UPDATE spans SET parent_key = '' WHERE parent_key = ?", (key,))
