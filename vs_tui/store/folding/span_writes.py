"""Writes spans: inserts new rows, and updates only the changed columns of known ones.

Setting a column costs a delete and an insert in each of its indexes, even if the value is the same.
So indexed columns are set only if they differ.
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
"""Slice end that cuts the last column, the number of the writing transaction."""


def phases_below(connection: sqlite3.Connection, keys: Iterable[str]) -> dict[str, Row]:
    """Key -> row, for the phases of these spans."""
    sql = (
        f"SELECT {rows.SELECT_WRITTEN} FROM spans WHERE derived = 1 AND parent_key <> '' "
        f"AND parent_key {rows.KEYS}"
    )
    return {row[0]: row for row in rows.select_in(connection, sql, keys)}


def write_spans(
    connection: sqlite3.Connection, before: Mapping[str, Row], after: Iterable[Row]
) -> None:
    """Write the rows in `after`; `before` has the stored rows of these spans."""
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
        sql = f"DELETE FROM spans WHERE key {rows.KEYS}"
        connection.execute(sql, (rows.as_json(keys),))


@lru_cache(maxsize=256)
def _update(differing: tuple[int, ...]) -> str:
    names = (rows.WRITTEN[position] for position in (*_PLAIN, *differing))
    return f"UPDATE spans SET {', '.join(f'{name} = ?' for name in names)} WHERE key = ?"
