"""Alerts whose start moves: stores their events under the key of their incident."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from vs_tui.model.keys import alert_group
from vs_tui.model.vocabulary import Event, Key
from vs_tui.store import rows
from vs_tui.traces.alert_episodes import NEARBY, incident_starts

LOOKED_AT: Final = 64
"""Most incidents of an alert before a notification that are compared with it."""
LOOKED_AFTER: Final = 16
"""Most incidents after a notification that are compared with it, if it arrives late."""


class Cache(Protocol):
    """The stored events; see `span_folding.EventCache`."""

    def load(
        self, connection: sqlite3.Connection, keys: Iterable[str]
    ) -> dict[str, dict[bytes, Event]]: ...

    def drop(self, key: str) -> None: ...


def regrouped(
    connection: sqlite3.Connection, events: Sequence[Event], cache: Cache
) -> tuple[Sequence[Event], Sequence[str]]:
    """(events, with those of alerts under the key of their incident; keys of deleted spans).

    A stored event that turns out to belong to another incident moves: the rows of its key are
    deleted, and the event is part of the result.
    """
    groups: dict[str, list[Event]] = {}
    for event in events:
        if (group := alert_group(event.key)) and event.started_at is not None:
            groups.setdefault(group, []).append(event)
    if not groups:
        return events, ()
    gone: list[str] = []
    placed: dict[int, Event] = {}
    moved: list[Event] = []
    for group, fresh in groups.items():
        stored = cache.load(connection, _keys_about(connection, group, fresh))
        known = [event for found in stored.values() for event in found.values()]
        starts = incident_starts([*known, *fresh])
        for event in fresh:
            placed[id(event)] = _placed(event, group, starts[event.started_at or 0])
        for key, found in stored.items():
            wanted = [_placed(e, group, starts[e.started_at or 0]) for e in found.values()]
            if any(event.key != key for event in wanted):
                whole = all(event.key != key for event in wanted)
                _forget(connection, key, whole=whole)
                gone += [key] if whole else []
                cache.drop(key)
                moved += wanted
    return [*(placed.get(id(event), event) for event in events), *moved], gone


def _keys_about(connection: sqlite3.Connection, group: str, fresh: Sequence[Event]) -> list[str]:
    """The keys of the alert's incidents around the time of these events."""
    latest = max(max(event.occurred_at, event.started_at or 0) for event in fresh) + NEARBY
    before = "SELECT DISTINCT key FROM events WHERE key > ? AND key <= ? ORDER BY key DESC LIMIT ?"
    after = "SELECT DISTINCT key FROM events WHERE key > ? AND key < ? ORDER BY key LIMIT ?"
    rows = connection.execute(before, (f"{group}-", f"{group}-{latest}", LOOKED_AT)).fetchall()
    rows += connection.execute(after, (f"{group}-{latest}", f"{group}.", LOOKED_AFTER)).fetchall()
    # The name of a group may be a prefix of another group's name.
    return [key for (key,) in rows if alert_group(key) == group]


def _placed(event: Event, group: str, start: int) -> Event:
    """The event with the key of its incident; the key from its own start becomes an alias."""
    own, key = f"{group}-{event.started_at}", f"{group}-{start}"
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
