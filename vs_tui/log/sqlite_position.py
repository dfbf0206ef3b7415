"""How far the delivery log in SQLite is appended and folded, and lists of values in its statements.

A position is the id of the last delivery that was read. Ids only grow, even after the newest
deliveries were deleted.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

import orjson

KEYS: Final = "IN (SELECT value FROM json_each(?))"
"""SQL condition: equals one of the values bound by `as_json`."""


def as_json(values: Iterable[object]) -> str:
    """A JSON array to bind to KEYS."""
    return orjson.dumps(list(values)).decode()


def head(db: sqlite3.Connection) -> int:
    """The position of the newest delivery."""
    return max(db.execute("SELECT MAX(id) FROM deliveries").fetchone()[0] or 0, position(db))


def position(db: sqlite3.Connection) -> int:
    """The position up to which deliveries are folded."""
    return _number(db, "position")


def set_position(db: sqlite3.Connection, reached: int) -> None:
    db.execute("REPLACE INTO meta VALUES ('position', ?)", (reached,))


def generation(db: sqlite3.Connection) -> int:
    """The change number at which everything was last begun again from the start; 0 for never."""
    return _number(db, "generation")


def _number(db: sqlite3.Connection, name: str) -> int:
    """A number of `meta`; 0 if it was never stored."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (name,)).fetchone()
    return 0 if row is None else int(row[0])


def set_generation(db: sqlite3.Connection, number: int) -> None:
    db.execute("REPLACE INTO meta VALUES ('generation', ?)", (number,))
