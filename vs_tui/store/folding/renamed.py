"""Stores the names of repositories, and the spans that a rename affects.

After a late report of a rename, all spans with the former name are folded again. This uses small
transactions, so that deliveries are stored in between.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event
from vs_tui.store import rows
from vs_tui.traces.repository_renames import Name, Renames, names_in

AT_ONCE: Final = 100

CREATE_NAMES: Final = """
CREATE TABLE repository_names (
    repository TEXT NOT NULL,
    name TEXT NOT NULL,
    heard_at INTEGER NOT NULL,
    PRIMARY KEY (repository, name)
) WITHOUT ROWID;
CREATE TABLE renamed_spans (key TEXT PRIMARY KEY) WITHOUT ROWID;
"""
"""The names of repositories, and the spans that must be folded with another name."""

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
        self._renames = Renames()
        self.waiting = False
        """Whether spans wait in `renamed_spans`."""

    def renames(self, connection: sqlite3.Connection) -> Renames:
        self._load(connection)
        return self._renames

    def learn(self, connection: sqlite3.Connection, events: Iterable[Event]) -> None:
        """Store the names in new events, and the spans that a rename affects."""
        told = names_in(events)
        if not told:
            return
        heard = self._load(connection)
        news = {name: at for name, at in told.items() if at > heard.get(name, -1)}
        if not news:
            return
        is_known = all(name in heard for name in news)
        heard.update(news)
        connection.executemany(
            "INSERT INTO repository_names VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET "
            "heard_at = excluded.heard_at",
            [(*name, at) for name, at in news.items()],
        )
        if is_known and self._several.isdisjoint(repository for repository, _ in news):
            return
        before = self._renames
        self._read(heard)
        if before != self._renames:
            self.waiting = True
            connection.execute(_REACHED, (rows.as_json(sorted(before.changed(self._renames))),))

    def _load(self, connection: sqlite3.Connection) -> dict[tuple[str, str], Instant]:
        if self._heard is None:
            found = connection.execute("SELECT repository, name, heard_at FROM repository_names")
            self._heard = {(repository, name): at for repository, name, at in found}
            self._read(self._heard)
        return self._heard

    def _read(self, heard: dict[tuple[str, str], Instant]) -> None:
        counts = Counter(repository for repository, _ in heard)
        self._several = {repository for repository, n in counts.items() if n > 1}
        self._renames = Renames.by(Name(*name, at) for name, at in heard.items())


def waiting(connection: sqlite3.Connection) -> list[str]:
    """The next spans that must be folded with another name."""
    found = connection.execute("SELECT key FROM renamed_spans LIMIT ?", (AT_ONCE,))
    return [key for (key,) in found]


def done(connection: sqlite3.Connection, keys: Iterable[str]) -> None:
    """Remove spans that were folded again."""
    sql = f"DELETE FROM renamed_spans WHERE key {rows.KEYS}"
    connection.execute(sql, (rows.as_json(list(keys)),))
