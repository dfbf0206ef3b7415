"""The stored events of spans: a cache of the recent ones, the names of their repositories, and
which key events have whose own key does not tell their span: alerts whose start moves, and ids that
several projects use.

After a late report of a rename, all spans with the former name are folded again. This uses small
transactions, so that deliveries are stored in between.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from vs_tui.model.keys import alert_group, of_project, shared_id
from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key
from vs_tui.store import rows
from vs_tui.traces.repository_renames import Name, Renames, names_in
from vs_tui.traces.shared_ids import owners
from vs_tui.traces.span_events import NEARBY, incident_starts

CACHED_SPANS: Final = 4_000
CACHED_BYTES: Final = 8 * MIB
"""Most bytes of cached events, as stored; in memory they take about twice as much."""
LOOKED_AT: Final = 64
"""Most incidents of an alert before a notification that are compared with it."""
LOOKED_AFTER: Final = 16
"""Most incidents after a notification that are compared with it, if it arrives late."""


RENAMED_AT_ONCE: Final = 100
_PROJECT: Final = "project"
"""In `repository_names`, instead of a repository, for each spelling of a project."""
_REACHED: Final = """
INSERT OR IGNORE INTO renamed_spans
SELECT key FROM offers WHERE scope IN (SELECT value FROM json_each(?1))
UNION SELECT key FROM seeks WHERE scope IN (SELECT value FROM json_each(?1))
UNION SELECT key FROM spans WHERE derived = 0 AND lower(project)
    IN (SELECT value FROM json_each(?1))
"""


class Names:
    """The names of all repositories, in memory; loaded on first use."""

    def __init__(self) -> None:
        self._heard: dict[tuple[str, str], Instant] | None = None
        self._several: set[str] = set()
        """Repositories with more than one name."""
        self._spellings: dict[str, set[str]] = {}
        """Project, in lower case -> its spellings."""
        self._written: set[str] = set()
        """All spellings of projects."""
        self._renames = Renames()
        self.waiting = False
        """Whether spans wait in `renamed_spans`."""

    def renames(self, connection: sqlite3.Connection) -> Renames:
        self._load(connection)
        return self._renames

    def learn(self, connection: sqlite3.Connection, events: Iterable[Event]) -> None:
        """Store the names in new events, and the spans that a rename affects."""
        events = list(events)
        heard = self._load(connection)
        news = {name: at for name, at in names_in(events).items() if at > heard.get(name, -1)}
        is_known = all(name in heard for name in news)
        is_settled = is_known and self._several.isdisjoint(repository for repository, _ in news)
        written = {event.project for event in events} - self._written - {""}
        is_settled &= not [name for name in map(self._spell, written) if len(name) > 1]
        heard.update(news)
        connection.executemany(
            "INSERT INTO repository_names VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "heard_at = excluded.heard_at",
            [*((*name, at) for name, at in news.items()), *((_PROJECT, n, 0) for n in written)],
        )
        if is_settled:
            return
        before = self._renames
        self._read(heard)
        if before != self._renames:
            self.waiting = True
            connection.execute(_REACHED, (rows.as_json(sorted(before.changed(self._renames))),))

    def _spell(self, project: str) -> set[str]:
        """All spellings of a project, with this one."""
        self._written.add(project)
        found = self._spellings.setdefault(project.lower(), set())
        found.add(project)
        return found

    def _load(self, connection: sqlite3.Connection) -> dict[tuple[str, str], Instant]:
        if self._heard is None:
            found = connection.execute("SELECT repository, name, heard_at FROM repository_names")
            self._heard = {}
            for repository, name, at in found:
                if repository == _PROJECT:
                    self._spell(name)
                else:
                    self._heard[repository, name] = at
            self._read(self._heard)
        return self._heard

    def _read(self, heard: dict[tuple[str, str], Instant]) -> None:
        counts = Counter(repository for repository, _ in heard)
        self._several = {repository for repository, n in counts.items() if n > 1}
        names = (Name(*name, at) for name, at in heard.items())
        self._renames = Renames.by(names, self._spellings)


class EventCache:
    """Caches the events of recently changed spans, so that a busy span is not read back each time.
    Without it 400 events of one span, each in a transaction of its own, cost 1.6 times the CPU time
    (paired runs); spans with few events gain nothing.

    It is cleared when a transaction fails, so that it holds no events that were rolled back.
    """

    def __init__(self, most_bytes: int = CACHED_BYTES) -> None:
        self._most_bytes = most_bytes
        self._events: OrderedDict[str, dict[bytes, Event]] = OrderedDict()
        self._bytes: dict[str, int] = {}
        self.bytes = 0
        """Bytes of the cached events as they are stored."""
        self.names = Names()

    def clear(self) -> None:
        self.names = Names()
        self._events.clear()
        self._bytes.clear()
        self.bytes = 0

    def drop(self, key: str) -> None:
        self._events.pop(key, None)
        self.bytes -= self._bytes.pop(key, 0)

    def add(self, key: str, size: int) -> None:
        """Count the bytes of an event that was stored for a key."""
        self._bytes[key] = self._bytes.get(key, 0) + size
        self.bytes += size

    def load(
        self, connection: sqlite3.Connection, keys: Iterable[str]
    ) -> dict[str, dict[bytes, Event]]:
        """Key -> stored events, each by its digest."""
        found: dict[str, dict[bytes, Event]] = {}
        missing = []
        for key in keys:
            cached = self._events.get(key)
            if cached is None:
                missing.append(key)
                cached = {}
            else:
                self._events.move_to_end(key)
            found[key] = cached
        sql = f"SELECT key, data FROM events WHERE key {rows.KEYS}"
        for key, data in rows.select_in(connection, sql, missing):
            found[key][rows.digest_of(data)] = rows.event_of(data)
            self.add(key, len(data))
        return found

    def keep(self, events: Mapping[str, dict[bytes, Event]]) -> None:
        self._events.update(events)
        while self._events and (len(self._events) > CACHED_SPANS or self.bytes > self._most_bytes):
            self.drop(next(iter(self._events)))


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


def renamed_spans(connection: sqlite3.Connection) -> list[str]:
    """The next spans that must be folded with another name."""
    found = connection.execute("SELECT key FROM renamed_spans LIMIT ?", (RENAMED_AT_ONCE,))
    return [key for (key,) in found]


def folded_again(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Remove spans that were folded again."""
    sql = f"DELETE FROM renamed_spans WHERE key {rows.KEYS}"
    connection.execute(sql, (rows.as_json(list(keys)),))
