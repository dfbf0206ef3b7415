"""What a database shows, without the numbers that differ from file to file."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

PROJECTION = {
    "spans": "SELECT * FROM spans ORDER BY key",
    "links": "SELECT * FROM links ORDER BY child, parent",
    "events": "SELECT * FROM events ORDER BY key, data",
    "deliveries": "SELECT * FROM deliveries ORDER BY log_id",
    "counts": "SELECT * FROM counts WHERE verdict <> 'rejected' ORDER BY source, verdict",
}
LOCAL = {"changed", "id"}
"""Columns that number a node's own transactions and rows."""


KEPT = [name for name in PROJECTION if name != "counts"]
"""Where deliveries were pruned, a node counts those that it has read."""


def projection(db: Path, tables: Sequence[str] = tuple(PROJECTION)) -> dict[str, list[dict]]:
    with contextlib.closing(sqlite3.connect(db)) as database:
        assert database.execute("PRAGMA quick_check").fetchone() == ("ok",)
        database.row_factory = sqlite3.Row
        return {
            name: [
                {column: row[column] for column in row.keys() if column not in LOCAL}  # noqa: SIM118
                for row in database.execute(sql)
            ]
            for name, sql in PROJECTION.items()
            if name in tables
        }
