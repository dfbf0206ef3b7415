"""Merged pull requests by author (engineers and bots apart) and finished tickets by type."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection
from typing import Final

from vs_tui.metrics.rules import MetricRules
from vs_tui.store import rows

AT_ONCE: Final = 2_000
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
_OPERATIONS: Final = "operation IN ('pull_request', 'issue')"
_SELECT: Final = (
    "SELECT key, operation, team, actor, ended_at, "
    "COALESCE(active, MAX(ended_at - started_at, 0), 0), "
    "lower(COALESCE(json_extract(attributes, '$.\"vs.issue.type\"'), "
    "json_extract(attributes, '$.type'), '')), "
    "COALESCE(json_extract(attributes, '$.\"vs.actor.type\"'), '') "
    f"FROM spans WHERE {_OPERATIONS} AND status = 'ok' AND ended_at IS NOT NULL AND key {_KEYS}"
)


def update_work(db: sqlite3.Connection, keys: Collection[str], rules: MetricRules) -> None:
    """Bring the rows to what these spans are now. Those that are gone were pruned: they count."""
    sql = f"SELECT key FROM spans WHERE {_OPERATIONS} AND key {_KEYS}"
    wanted = [row[0] for row in rows.select_in(db, sql, keys)]
    if not wanted:
        return
    db.execute(f"DELETE FROM dora_work WHERE key {_KEYS}", (rows.as_json(wanted),))
    found = []
    for key, operation, team, actor, ended, spent, kind, account in rows.select_in(
        db, _SELECT, wanted
    ):
        if operation == "issue":
            found.append((key, "ticket", team, kind, ended, spent))
        else:
            author = "bot" if rules.is_bot(actor, str(account)) else "merge"
            found.append((key, author, team, actor, ended, 0))
    db.executemany("INSERT INTO dora_work VALUES (?, ?, ?, ?, ?, ?)", found)


def update_some(db: sqlite3.Connection, after: int, rules: MetricRules) -> int:
    """The same for the next spans of the database; where to go on, 0 at the end."""
    sql = f"SELECT rowid, key FROM spans WHERE rowid > ? AND {_OPERATIONS} ORDER BY rowid LIMIT ?"
    found = db.execute(sql, (after, AT_ONCE)).fetchall()
    update_work(db, [key for _, key in found], rules)
    return int(found[-1][0]) if len(found) == AT_ONCE else 0
