"""Gives an incident that belongs to no team by itself the team of the deployment that it failed, or
else of the deploy that it is linked to: an alert names no user, and a deployment may belong to its
user's team.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from typing import Final

from vs_tui.model.teams import Teams
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.transaction import next_seq

_LINKED: Final = f"SELECT child FROM links WHERE parent {rows.KEYS}"
_OF_ALL: Final = (
    "SELECT key FROM metric_incidents UNION SELECT key FROM spans WHERE operation = 'incident'"
)
_TEAMS: Final = (
    "SELECT s.key, s.project, s.service, s.actor, s.team, "
    "COALESCE(NULLIF((SELECT i.team FROM dora_incidents i WHERE i.key = s.key), ''), "
    "(SELECT d.team FROM links l JOIN spans d ON d.key = l.parent WHERE l.child = s.key "
    "AND d.operation = 'deploy' AND d.team <> '' ORDER BY d.started_at DESC, d.key LIMIT 1), '') "
    "FROM spans s WHERE s.derived = 0 AND (s.operation = 'incident' OR EXISTS "
    f"(SELECT 1 FROM metric_incidents i WHERE i.key = s.key)) AND s.key {rows.KEYS}"
)


def write_teams(
    db: sqlite3.Connection, teams: Teams, changes: Sequence[Change], blamed: Collection[str]
) -> None:
    """Write the teams of the incidents that changed, that are linked to changed deploys, or that
    are counted otherwise than before (`blamed`)."""
    if teams.teams:
        deploys = [c.new.key for c in changes if c.new.operation == "deploy"]
        linked = {key for (key,) in rows.select_in(db, _LINKED, deploys)} if deploys else set()
        bare = {c.new.key for c in changes if c.new.operation in ("incident", "issue")}
        _write(db, teams, bare | linked | set(blamed))


def write_all_teams(db: sqlite3.Connection, teams: Teams) -> None:
    """Write the teams of all incidents, after a change of the teams."""
    next_seq(db)
    _write(db, teams, {key for (key,) in db.execute(_OF_ALL)})


def _write(db: sqlite3.Connection, teams: Teams, keys: Collection[str]) -> None:
    found = [
        (key, team)
        for key, project, service, actor, before, told in rows.select_in(db, _TEAMS, keys)
        if (team := teams.of(project, service, actor) or told.partition("\n")[0]) != before
    ]
    db.executemany(
        "UPDATE spans SET team = ?2, changed = (SELECT value FROM meta WHERE name = 'seq') "
        "WHERE key = ?1 OR (parent_key = ?1 AND derived = 1)",
        found,
    )
