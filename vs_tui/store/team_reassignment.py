"""Assigns stored spans to teams again after the teams changed. It uses small transactions, so that
receivers and dashboards do not wait for it; spans that are not reached yet keep their old team."""

from __future__ import annotations

import sqlite3
from typing import Final

import orjson

from vs_tui.store import batch

SPANS_AT_ONCE: Final = 2_000


def adopt_teams(connection: sqlite3.Connection, folding: batch.Folding) -> bool:
    """Assign the next 2,000 spans to the configured teams. Returns False once all are assigned.

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
