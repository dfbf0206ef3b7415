"""The derived tables made anew: rows gathered in temporary tables, sorted into the real ones,
indexes last. To insert in the order of the key is several times as fast as in any other."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from vs_tui.store import rows
from vs_tui.store.rows import Row
from vs_tui.store.schema import DERIVED_TABLES

_COLUMNS: Final = {
    "events": "key, digest, data",
    "offers": "token, level, scope, value, key, via",
    "seeks": "token, key, rule, scope, value, via, link_only",
    "spans": rows.SELECT_WRITTEN,
    "told": "key",
}
# Spans lie in the order of time, because that is how they are asked for.
_ORDER: Final = {
    "events": "key, digest",
    "offers": "token, level, key, scope, value, via",
    "spans": "COALESCE(started_at, ended_at, last_event_at), key",
}
_PLACE: Final = ("trace_id", "parent_key", " ON links ", "CREATE TRIGGER")


class NewTables:
    """Empties the derived tables and drops their indexes and triggers; all within the caller's
    transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection
        marks = ", ".join("?" * len(DERIVED_TABLES))
        self._indexes: list[tuple[str, str]] = connection.execute(
            "SELECT type || ' ' || name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') "
            f"AND sql IS NOT NULL AND tbl_name IN ({marks})",
            DERIVED_TABLES,
        ).fetchall()
        for name, _ in self._indexes:
            connection.execute(f"DROP {name}")
        for table in DERIVED_TABLES:
            connection.execute(f"DELETE FROM {table}")
        for table, columns in _COLUMNS.items():
            connection.execute(f"CREATE TEMP TABLE new_{table} ({columns})")

    def gather(self, table: str, found: Sequence[Row]) -> None:
        """Keep rows for a table, in any order and more than once."""
        columns = _COLUMNS[table]
        marks = ", ".join("?" * (columns.count(",") + 1))
        self._db.executemany(f"INSERT INTO temp.new_{table} VALUES ({marks})", found)

    def fill(self, *tables: str) -> None:
        """Store what was gathered for these tables."""
        for table in tables:
            columns = _COLUMNS[table]
            # A phase may have the key of another span; the last one written has it, as always.
            self._db.execute(
                f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} "
                f"FROM temp.new_{table} ORDER BY {_ORDER.get(table, columns)}"
            )
            self.forget(table)

    def forget(self, table: str) -> None:
        """What was gathered for it is stored."""
        self._db.execute(f"DROP TABLE temp.new_{table}")

    def index(self, *, placed: bool) -> None:
        """Make the indexes again; those of links and places, and triggers, only once all are
        `placed`."""
        left = []
        for name, sql in self._indexes:
            if placed or not any(column in sql for column in _PLACE):
                self._db.execute(sql)
            else:
                left.append((name, sql))
        self._indexes = left
