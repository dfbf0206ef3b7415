"""Places in traces for all spans at once: what `linker` does for those that changed.

Works on row numbers in arrays, so that a million spans fit in a few dozen megabytes.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterator

from vs_tui.store import rows
from vs_tui.store.linker import parents, primary_links_above


def place_all(connection: sqlite3.Connection) -> None:
    """Give every span the parent of its primary link and the trace of the root above it.

    Expects spans without parents (but for phases, which know theirs), each in its own trace.
    """
    size = (connection.execute("SELECT MAX(rowid) FROM spans").fetchone()[0] or 0) + 1
    above = array("q", bytes(8 * size))
    for child, parent in _edges(connection):
        above[child] = parent
    _break_rings(connection, above)
    roots = _roots(above)
    connection.execute(
        "CREATE TEMP TABLE places (id INTEGER PRIMARY KEY, parent INTEGER, root INTEGER)"
    )
    connection.executemany(
        "INSERT INTO temp.places VALUES (?, ?, ?)",
        ((child, parent, roots[child]) for child, parent in enumerate(above) if parent),
    )
    connection.execute(
        "UPDATE spans SET parent_key = p.key, trace_id = r.own_trace_id FROM temp.places l "
        "CROSS JOIN spans p ON p.rowid = l.parent CROSS JOIN spans r ON r.rowid = l.root "
        "WHERE spans.rowid = l.id"
    )
    connection.execute("DROP TABLE temp.places")


def _edges(connection: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    yield from connection.execute(
        "SELECT c.rowid, p.rowid FROM links l CROSS JOIN spans c ON c.key = l.child "
        "CROSS JOIN spans p ON p.key = l.parent WHERE l.is_primary = 1"
    )
    yield from connection.execute(
        "SELECT c.rowid, p.rowid FROM spans c CROSS JOIN spans p ON p.key = c.parent_key "
        "WHERE c.derived = 1"
    )


def _break_rings(connection: sqlite3.Connection, above: array[int]) -> None:
    """Take the parent from the one span of every ring that becomes its root."""
    members = list(_in_rings(above))
    if not members:
        return
    sql = "SELECT key, rowid FROM spans WHERE rowid IN (SELECT value FROM json_each(?))"
    numbers: dict[str, int] = dict(rows.select_in(connection, sql, members))
    links = primary_links_above(connection, numbers)
    for key, parent in parents(connection, numbers, links).items():
        if not parent:
            above[numbers[key]] = 0


def _in_rings(above: array[int]) -> Iterator[int]:
    seen = array("q", bytes(8 * len(above)))  # in which walk a span was met first
    for start in range(1, len(above)):
        at = start
        while at and not seen[at]:
            seen[at] = start
            at = above[at]
        if at and seen[at] == start:  # the walk ran into itself: a ring from here on
            member = at
            while True:
                yield member
                member = above[member]
                if member == at:
                    break


def _roots(above: array[int]) -> array[int]:
    """The root above every span: itself where nothing is."""
    found = array("q", bytes(8 * len(above)))
    for start in range(1, len(above)):
        path, at = [], start
        while above[at] and not found[at]:
            path.append(at)
            at = above[at]
        root = found[at] or at
        found[at] = root
        for member in path:
            found[member] = root
    return found
