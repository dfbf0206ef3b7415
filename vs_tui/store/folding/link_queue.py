"""The queue of keys that very many spans seek: their seekers are linked in slices, between
deliveries.

A row has such a key and the last of its seekers that was linked again. The transaction that folds
the offer writes it, so that the queue survives a crash. Each transaction links a bounded number of
spans.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from vs_tui.store import rows

CREATE_LINK_QUEUE: Final = """
CREATE TABLE link_queue (token TEXT PRIMARY KEY, after TEXT NOT NULL) WITHOUT ROWID;
"""
LINKED_AT_ONCE: Final = 100
"""Most seekers of one key that a transaction links; this costs about as much as a batch of
deliveries."""
_COMPARED: Final = 3 * LINKED_AT_ONCE
"""Most seekers of one key that are compared with a change; to compare a seeker costs about a tenth
of linking it again."""
_READ_AT_ONCE: Final = 2_000
"""Number of seekers that are read before keys with very many are looked for."""
Sought = tuple[str, str, str]
"""A token, the span that seeks it, and the rule."""


def seekers(
    db: sqlite3.Connection,
    tokens: Iterable[str],
    concerned: Callable[[set[Sought]], set[Sought]],
) -> set[str]:
    """The spans that seek one of these tokens. A token with too many seekers is queued instead.
    `concerned` keeps those that the changes may concern."""
    wanted = set(tokens)
    sql = f"SELECT DISTINCT token, key, rule FROM seeks WHERE token {rows.KEYS} LIMIT {{}}"
    found: set[Sought] = set(rows.select_in(db, sql.format(_READ_AT_ONCE), wanted))
    if len(found) < _READ_AT_ONCE:
        seeking = Counter(token for token, *_ in found)
        vast = {sought for sought in found if seeking[sought[0]] > _COMPARED}
        found = vast | concerned(found - vast)
        seeking = Counter(token for token, _ in {sought[:2] for sought in found})
        many = {token for token, n in seeking.items() if n > LINKED_AT_ONCE}
    else:
        more = (
            "SELECT t.value FROM json_each(?) t WHERE (SELECT COUNT(*) FROM (SELECT DISTINCT key "
            f"FROM seeks WHERE token = t.value LIMIT {LINKED_AT_ONCE + 1})) > {LINKED_AT_ONCE}"
        )
        many = {token for (token,) in rows.select_in(db, more, wanted)}
        found = set(rows.select_in(db, sql.format(-1), wanted - many))
    db.executemany("REPLACE INTO link_queue VALUES (?, '')", [(token,) for token in many])
    return {key for token, key, _ in found if token not in many}


def is_waiting(db: sqlite3.Connection) -> bool:
    """Whether any span waits to be linked, or any deployment to be judged."""
    return _holds_any(db, "link_queue", "judge_queue")


def is_settled(db: sqlite3.Connection) -> bool:
    """Whether what is folded is also linked and judged, and folded again where a repository was
    renamed: until then an answer may miss a part of what its deliveries say."""
    return not _holds_any(db, "renamed_spans", "link_queue", "judge_queue")


def _holds_any(db: sqlite3.Connection, *tables: str) -> bool:
    sql = " OR ".join(f"EXISTS (SELECT 1 FROM {table})" for table in tables)
    return bool(db.execute(f"SELECT {sql}").fetchone()[0])


def take(db: sqlite3.Connection) -> tuple[set[str], str]:
    """Take the next spans to link out of the queue. Returns them, and their token if they are its
    last seekers, else an empty string. The caller links them in the same transaction."""
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
