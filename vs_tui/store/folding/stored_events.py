"""The stored events of spans: a cache of the recent ones, and the names of their repositories.

After a late report of a rename, all spans with the former name are folded again. This uses small
transactions, so that deliveries are stored in between.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from typing import Final

from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event
from vs_tui.store import rows
from vs_tui.traces.repository_renames import Name, Renames, names_in

CACHED_SPANS: Final = 2_000
CACHED_BYTES: Final = 4 * MIB
"""Most bytes of cached events, as stored; in memory they take about twice as much. With twice as
many of both the process took 8 MB more after 10,000 GitHub bodies or 12,000 custom events. GitHub
bodies took 2 % less CPU time then, custom events and 300 busy spans of 18 KB as much (medians of at
least three pairs)."""
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
        """Key -> its events by digest; the keys used last are at the end."""
        self._bytes: Counter[str] = Counter()
        """Key -> bytes of its events, as stored."""
        self.bytes = 0
        """The sum of these."""
        self.names = Names()

    def clear(self) -> None:
        self.names = Names()
        self._events.clear()
        self._bytes.clear()
        self.bytes = 0

    def drop(self, key: str) -> None:
        del self._events[key]
        self.bytes -= self._bytes.pop(key, 0)

    def add(self, event: Event, data: bytes) -> bool:
        """Add an event, which is stored as `data`, to those of its key, which were loaded. Returns
        whether it is new."""
        known, digest = self._events[event.key], rows.digest_of(data)
        if digest in known:
            return False
        known[digest] = event
        self._bytes[event.key] += len(data)
        self.bytes += len(data)
        return True

    def load(
        self, connection: sqlite3.Connection, keys: Iterable[str]
    ) -> dict[str, Mapping[bytes, Event]]:
        """Key -> its events by digest, which grow with `add`. All stay in memory until `trim`."""
        found: dict[str, Mapping[bytes, Event]] = {}
        missing = []
        for key in keys:
            if key in self._events:
                self._events.move_to_end(key)
            else:
                self._events[key] = {}
                missing.append(key)
            found[key] = self._events[key]
        sql = f"SELECT data FROM events WHERE key {rows.KEYS}"
        for (data,) in rows.select_in(connection, sql, missing):
            self.add(rows.event_of(data), data)
        return found

    def trim(self) -> None:
        """Forget the keys used longest ago, beyond the bounds. Call it at the end of folding."""
        while len(self._events) > CACHED_SPANS or self.bytes > self._most_bytes:
            self.drop(next(iter(self._events)))


def renamed_spans(connection: sqlite3.Connection) -> list[str]:
    """The next spans that must be folded with another name."""
    found = connection.execute("SELECT key FROM renamed_spans LIMIT ?", (RENAMED_AT_ONCE,))
    return [key for (key,) in found]


def folded_again(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Remove spans that were folded again."""
    sql = f"DELETE FROM renamed_spans WHERE key {rows.KEYS}"
    connection.execute(sql, (rows.as_json(list(keys)),))
