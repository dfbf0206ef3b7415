"""Writing spans: a new one is inserted, of a known one only what changed.

A column that is set costs the delete and the insert of an entry in every index it is in, also
where its value stays; so indexed columns are set only where they differ.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from vs_tui.store import rows
from vs_tui.store.rows import Row

_INDEXED: Final = tuple(
    position
    for position, name in enumerate(rows.WRITTEN)
    if name
    in {
        *("operation", "status", "started_at", "ended_at", "project", "team", "service"),
        *("environment", "actor", "last_event_at", "trace_id", "parent_key"),
        *("short_ref", "full_ref", "own_trace_id", "series", "derived"),
        *("job", "commit_id"),
    }
)
_PLAIN: Final = tuple(
    position
    for position, name in enumerate(rows.WRITTEN)
    if position not in _INDEXED and name != "key"
)
_UNNUMBERED: Final = -1
"""A row without its last column, the number of the transaction that wrote it."""


def phases_below(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Row]:
    """The rows of the phases that these spans went through, by key."""
    sql = (
        f"SELECT {rows.SELECT_WRITTEN} FROM spans WHERE derived = 1 AND parent_key <> '' "
        "AND parent_key IN (SELECT value FROM json_each(?))"
    )
    return {row[0]: row for row in rows.select_in(connection, sql, keys)}


def write_spans(
    connection: sqlite3.Connection, before: Mapping[str, Row], after: Iterable[Row]
) -> None:
    """Make the stored rows `after`; `before` are those that are stored of them."""
    new: list[Row] = []
    changed: dict[tuple[int, ...], list[Row]] = {}
    for row in after:
        old = before.get(row[0])
        if old is None:
            new.append(row)
        elif old[:_UNNUMBERED] != row[:_UNNUMBERED]:
            differing = tuple(p for p in _INDEXED if old[p] != row[p])
            values = tuple(row[position] for position in (*_PLAIN, *differing, 0))
            changed.setdefault(differing, []).append(values)
    if new:
        connection.executemany(rows.UPSERT_SPAN, new)
    for differing, updates in changed.items():
        connection.executemany(_update(differing), updates)


def delete_spans(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    if keys:
        sql = "DELETE FROM spans WHERE key IN (SELECT value FROM json_each(?))"
        connection.execute(sql, (rows.as_json(keys),))


@lru_cache(maxsize=256)
def _update(differing: tuple[int, ...]) -> str:
    names = (rows.WRITTEN[position] for position in (*_PLAIN, *differing))
    return f"UPDATE spans SET {', '.join(f'{name} = ?' for name in names)} WHERE key = ?"
