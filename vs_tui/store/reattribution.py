"""Links stored incidents to deploys again after the configuration changed. It uses small
transactions, so that receivers and dashboards do not wait for it."""

from __future__ import annotations

import sqlite3
from typing import Final

import orjson

from vs_tui.store import batch

INCIDENTS_AT_ONCE: Final = 500


def adopt_incidents(connection: sqlite3.Connection, folding: batch.Folding) -> bool:
    """Link the next incidents by the current window and environments. Returns False once all are
    linked.

    The progress is stored in the database, for the next start. Runs in the caller's transaction.
    """
    rules = folding.links
    globs = rules.environments.globs
    production = [sorted(globs.get(name, ())) for name in ("production", "not_production")]
    wanted = [rules.incident_window, *production]
    row = connection.execute("SELECT value FROM meta WHERE name = 'incidents'").fetchone()
    reached, *linked_by = orjson.loads(row[0]) if row else (0,)
    if linked_by != wanted:
        reached = 0
    elif reached is None:
        return False
    found = connection.execute(
        "SELECT rowid, key FROM spans WHERE operation = 'incident' AND rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (reached, INCIDENTS_AT_ONCE),
    ).fetchall()
    if found:
        from vs_tui.store.linker import relink  # imported with the first span, after the first rows

        folding.context.seq = batch.next_seq(connection)
        relink(connection, (), folding.context.seq, rules, also=[key for _, key in found])
    reached = found[-1][0] if len(found) == INCIDENTS_AT_ONCE else None
    stored = orjson.dumps([reached, *wanted]).decode()
    connection.execute("REPLACE INTO meta VALUES ('incidents', ?)", (stored,))
    return reached is not None
