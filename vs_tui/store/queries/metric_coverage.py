"""Reads what the rules of the metrics match in a database, for `vs-tui doctor`."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vs_tui.model.teams import Teams
from vs_tui.model.time import Instant
from vs_tui.store.queries.filter_sql import span_where
from vs_tui.store.schema import open_reader


@dataclass(frozen=True, slots=True)
class Coverage:
    """The data in a database that the metrics can use."""

    deploys: Mapping[str, int]
    """Environment, empty if none is named -> finished deploys."""
    matched: Mapping[str, int]
    """Filter of a rule -> number of matching spans."""
    without_team: Mapping[str, int]
    """Project without a team -> finished deploys."""
    shared: Mapping[str, Sequence[str]]
    """Project with deploys -> the teams that list it, if there are several."""


def read_coverage(path: Path, filters: Sequence[str], teams: Teams, now: Instant) -> Coverage:
    """The coverage of a database file. Raises the same errors as `open_reader`."""
    db = open_reader(path)
    try:
        finished = "operation = 'deploy' AND status NOT IN ('in_flight', 'cancelled')"
        by_environment = dict(
            db.execute(f"SELECT environment, COUNT(*) FROM spans WHERE {finished} GROUP BY 1")
        )
        by_project = db.execute(
            "SELECT project, service, team, COUNT(*) FROM spans "
            f"WHERE {finished} GROUP BY 1, 2, 3 ORDER BY 1"
        ).fetchall()
        matched = {text: _matching(db, text, now) for text in filters}
    finally:
        db.close()
    without: dict[str, int] = {}
    shared: dict[str, Sequence[str]] = {}
    for project, service, team, count in by_project if teams.teams else ():
        listing = teams.all_of(project, service, "")
        if not team and not listing:
            without[project] = without.get(project, 0) + count
        elif len(listing) > 1:
            shared[project] = listing
    return Coverage(by_environment, matched, without, shared)


def _matching(db: sqlite3.Connection, text: str, now: Instant) -> int:
    condition, bound = span_where(text, now)
    sql = f"SELECT COUNT(*) FROM spans WHERE derived = 0 AND {condition}"
    return int(db.execute(sql, bound).fetchone()[0])
