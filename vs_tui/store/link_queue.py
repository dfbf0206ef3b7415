"""Seekers of a key that very many spans seek: they are linked in slices, between deliveries.

A row is such a key, with the last of its seekers that was linked again. It is written by the
transaction that folds the offer, so that what waits survives a crash, and no transaction links more
than a bounded number of spans.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Final

from vs_tui.store import rows

CREATE_LINK_QUEUE: Final = """
CREATE TABLE link_queue (token TEXT PRIMARY KEY, after TEXT NOT NULL) WITHOUT ROWID;
"""
LINKED_AT_ONCE: Final = 100
"""Seekers of one key that a transaction links: about what a batch of deliveries costs."""


def seekers(db: sqlite3.Connection, tokens: Iterable[str]) -> set[str]:
    """The spans that seek one of these; those of a key that too many seek are queued instead."""
    wanted = list(tokens)
    sql = "SELECT DISTINCT key FROM seeks WHERE token IN (SELECT value FROM json_each(?)) LIMIT {}"
    found = list(rows.select_in(db, sql.format(LINKED_AT_ONCE + 1), wanted))
    if len(found) > LINKED_AT_ONCE:
        many = (
            "SELECT t.value FROM json_each(?) t WHERE (SELECT COUNT(*) FROM (SELECT DISTINCT key "
            f"FROM seeks WHERE token = t.value LIMIT {LINKED_AT_ONCE + 1})) > {LINKED_AT_ONCE}"
        )
        queued = list(rows.select_in(db, many, wanted))
        db.executemany("REPLACE INTO link_queue VALUES (?, '')", queued)
        few = set(wanted).difference(token for (token,) in queued)
        found = list(rows.select_in(db, sql.format(-1), few))
    return {key for (key,) in found}


def is_waiting(db: sqlite3.Connection) -> bool:
    """Whether any span waits to be linked."""
    return db.execute("SELECT 1 FROM link_queue LIMIT 1").fetchone() is not None


def take(db: sqlite3.Connection) -> tuple[set[str], str]:
    """Take the next spans to link out of the queue; with the last seekers of a key, that key, else
    an empty string. The caller's transaction links them."""
    row = db.execute("SELECT token, after FROM link_queue LIMIT 1").fetchone()
    if row is None:
        return set(), ""
    sql = "SELECT DISTINCT key FROM seeks WHERE token = ? AND key > ? ORDER BY key LIMIT ?"
    found = [key for (key,) in db.execute(sql, (*row, LINKED_AT_ONCE))]
    if len(found) == LINKED_AT_ONCE:
        db.execute("UPDATE link_queue SET after = ? WHERE token = ?", (found[-1], row[0]))
        return set(found), ""
    db.execute("DELETE FROM link_queue WHERE token = ?", row[:1])
    return set(found), row[0]
