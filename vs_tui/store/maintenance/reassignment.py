"""Applies a changed configuration to stored spans: assigns them to teams and links incidents to
deploys again. It uses small transactions, so that receivers and dashboards do not wait for it."""

from __future__ import annotations

import sqlite3
from typing import Final

import orjson

from vs_tui.store.folding import batch

SPANS_AT_ONCE: Final = 2_000
INCIDENTS_AT_ONCE: Final = 500


def adopt_teams(connection: sqlite3.Connection, folding: batch.Folding) -> bool:
    """Assign the next 2,000 spans to the configured teams. Returns False once all are assigned.
    Spans that are not reached yet keep their old team.

    The progress is stored in the database, for the next start. Runs in the caller's transaction.
    """
    teams = folding.context.teams
    wanted = repr(teams.teams)
    names = dict(
        connection.execute("SELECT name, value FROM meta WHERE name IN ('teams', 'teams_from')")
    )
    if names.get("teams") == wanted:
        return False
    for_teams, after = orjson.loads(names.get("teams_from", '["", 0]'))
    if for_teams != wanted:
        after = 0
    found = connection.execute(
        "SELECT rowid, project, service, actor, team FROM spans WHERE rowid > ? "
        "ORDER BY rowid LIMIT ?",
        (after, SPANS_AT_ONCE),
    ).fetchall()
    changed = [
        (team, rowid)
        for rowid, project, service, actor, before in found
        if (team := teams.of(project, service, actor)) != before
    ]
    if changed:
        folding.context.seq = batch.next_seq(connection)
        connection.executemany(
            "UPDATE spans SET team = ?, changed = ? WHERE rowid = ?",
            [(team, folding.context.seq, rowid) for team, rowid in changed],
        )
    # Progress for other teams is invalid from now on, even if these teams come back.
    connection.execute("DELETE FROM meta WHERE name IN ('teams', 'teams_from')")
    if len(found) < SPANS_AT_ONCE:
        connection.execute("INSERT INTO meta VALUES ('teams', ?)", (wanted,))
        return False
    reached = orjson.dumps([wanted, found[-1][0]]).decode()
    connection.execute("INSERT INTO meta VALUES ('teams_from', ?)", (reached,))
    return True


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether there are no spans yet, so that none can have an old team."""
    return connection.execute("SELECT 1 FROM spans LIMIT 1").fetchone() is None


def adopt_incidents(connection: sqlite3.Connection, folding: batch.Folding) -> bool:
    """Link the next incidents by the current window and environments. Returns False once all are
    linked.

    The progress is stored in the database, for the next start. Runs in the caller's transaction.
    """
    rules = folding.links
    globs = rules.environments.globs
    production = [sorted(globs.get(name, ())) for name in ("production", "not_production")]
    counted = repr(rules.metrics.deployments) if rules.metrics else ""
    wanted = [rules.incident_window, *production, counted]
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
        from vs_tui.store.folding.linker import (
            relink,  # imported with the first span, after the first rows
        )

        folding.context.seq = batch.next_seq(connection)
        relink(connection, (), folding.context.seq, rules, also=[key for _, key in found])
    reached = found[-1][0] if len(found) == INCIDENTS_AT_ONCE else None
    stored = orjson.dumps([reached, *wanted]).decode()
    connection.execute("REPLACE INTO meta VALUES ('incidents', ?)", (stored,))
    return reached is not None
