"""Merged pull requests by author (engineers and bots apart) and finished tickets by type, kept as
pages of the read models."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.ledger import Group
from vs_tui.metrics.rules import MetricRules
from vs_tui.store import rows
from vs_tui.store.metrics_pages import Records, apply

AT_ONCE: Final = 2_000
_KEYS: Final = "IN (SELECT value FROM json_each(?))"
_OPERATIONS: Final = "operation IN ('pull_request', 'issue')"
_SELECT: Final = (
    "SELECT key, operation, team, actor, ended_at, "
    "COALESCE(active, MAX(ended_at - started_at, 0), 0), "
    "lower(COALESCE(json_extract(attributes, '$.\"vs.issue.type\"'), "
    "json_extract(attributes, '$.type'), '')), "
    "COALESCE(json_extract(attributes, '$.\"vs.actor.type\"'), '') "
    f"FROM spans WHERE {_OPERATIONS} AND status = 'ok' AND ended_at IS NOT NULL"
)


def update_work(db: sqlite3.Connection, keys: Collection[str], rules: MetricRules) -> None:
    """Bring the pages to what these spans are now. Those that are gone were pruned: they count."""
    sql = f"SELECT key FROM spans WHERE {_OPERATIONS} AND key {_KEYS}"
    wanted = [row[0] for row in rows.select_in(db, sql, keys)]
    if not wanted:
        return
    sql = f"SELECT key, id, records FROM dora_members WHERE key {_KEYS}"
    stored = {key: (id_, text) for key, id_, text in rows.select_in(db, sql, wanted)}
    found = {
        row[0]: orjson.dumps(_memberships(row, rules)).decode()
        for row in rows.select_in(db, f"{_SELECT} AND key {_KEYS}", wanted)
    }
    before: Records = {}
    after: Records = {}
    for key in wanted:
        id_, old = stored.get(key, (None, "[]"))
        new = found.get(key, "[]")
        if old == new:
            continue
        if id_ is None:
            sql = "INSERT INTO dora_members (key, records) VALUES (?, ?) RETURNING id"
            id_ = int(db.execute(sql, (key, new)).fetchone()[0])
        else:
            db.execute("UPDATE dora_members SET records = ? WHERE id = ?", (new, id_))
        _collect(before, id_, old)
        _collect(after, id_, new)
    apply(db, before, after)


def _memberships(
    row: Sequence[Any], rules: MetricRules
) -> list[tuple[str, str, str, str, list[int]]]:
    """(level, team, name, kind, values from `at` on) for all and for its team."""
    _, operation, team, actor, ended, spent, kind, account = row
    teams = dict.fromkeys(("", team))
    if operation == "pull_request":
        level = "bot" if rules.is_bot(actor, str(account)) else "author"
        return [(level, name, actor, "merges", [ended]) for name in teams]
    return [("ticket", name, kind, "tickets", [ended, spent]) for name in teams]


def _collect(records: Records, id_: int, text: str) -> None:
    for level, team, name, kind, values in orjson.loads(text):
        own = records.setdefault((Group(level, team, name), kind), {})
        own[id_] = ((id_, *values),)


def update_some(db: sqlite3.Connection, after: int, rules: MetricRules) -> int:
    """The same for the next spans of the database; where to go on, 0 at the end."""
    sql = f"SELECT rowid, key FROM spans WHERE rowid > ? AND {_OPERATIONS} ORDER BY rowid LIMIT ?"
    found = db.execute(sql, (after, AT_ONCE)).fetchall()
    update_work(db, [key for _, key in found], rules)
    return int(found[-1][0]) if len(found) == AT_ONCE else 0


def remember(db: sqlite3.Connection) -> None:
    """Write the pages of what was pruned again; the rest is told anew (`update_some`)."""
    db.execute("DELETE FROM dora_members WHERE key IN (SELECT key FROM spans)")
    kept: Records = {}
    for id_, text in _all(db):
        _collect(kept, id_, text)
    apply(db, {}, kept)


def _all(db: sqlite3.Connection) -> Iterable[tuple[int, str]]:
    return db.execute("SELECT id, records FROM dora_members").fetchall()
