"""Weeks of verdicts as columns: reading any window is reading a few blobs a week.

A page holds the finished deployments of one UTC week and one team, or of all teams; on the level
`service` the artifacts of a product count each, on the others the product counts once.
"""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from vs_tui.domain.instants import DAY, Instant
from vs_tui.domain.metrics.failures import Episode
from vs_tui.domain.metrics.ledger import Entry, Ledger, Place, Sample
from vs_tui.store import rows

WEEK: Final = 7 * DAY
ALL: Final = "all"
TEAM: Final = "team"
SERVICE: Final = "service"
SERVICES: Final = "services"
"""The level `service` of all teams together."""
SINGLE, PART, WHOLE = 0, 1, 2
"""A deployment of its own; one artifact of a product deployment; a product deployment."""
FIRST_OF_ALL: Final = 1
FIRST_OF_TARGET: Final = 2
_FLAGS: Final = ("ok", "failed", "rework", "basis")
_NUMBERS: Final = ("ended", "shipped_at", "lead", "broke_at", "began", "cleared")
PLACES: Final = ("place", "change_place", "episode_place")
STARTED: Final = ("started",)
STAGE_TIMES: Final = ("stages",)
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


def week_of(at: Instant) -> int:
    """Number of the UTC week, from the epoch."""
    return at // WEEK


def places(db: sqlite3.Connection) -> dict[int, Place]:
    """All places by id."""
    sql = "SELECT id, team, project, service, environment, product FROM dora_places"
    return {row[0]: Place(*row[1:]) for row in db.execute(sql)}


def place_id(db: sqlite3.Connection, place: Place) -> int:
    """The id of a place; new ones get one."""
    sql = (
        "INSERT INTO dora_places (team, project, service, environment, product) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET team = team RETURNING id"
    )
    return int(db.execute(sql, tuple(place)).fetchone()[0])


def write_weeks(db: sqlite3.Connection, dirty: Iterable[tuple[str, int]]) -> None:
    """Make the pages of these (team, week) pairs anew, and those of all teams."""
    teams: dict[int, set[str]] = {}
    for team, week in dirty:
        teams.setdefault(week, set()).add(team)
    known = places(db)
    ids = {place: number for number, place in known.items()}
    for week, named in teams.items():
        members = _members(db, week, known)
        _write_page(db, ALL, "", week, _entries(members, (SINGLE, WHOLE), FIRST_OF_ALL), ids)
        each = _entries(members, (SINGLE, PART), FIRST_OF_TARGET)
        _write_page(db, SERVICES, "", week, each, ids)
        for team in named:
            own = [member for member in members if member[1].place.team == team]
            counted = _entries(own, (SINGLE, WHOLE), FIRST_OF_ALL)
            _write_page(db, TEAM, team, week, counted, ids)
            counted = _entries(own, (SINGLE, PART), FIRST_OF_TARGET)
            _write_page(db, SERVICE, team, week, counted, ids)


_Member = tuple[int, Entry, Sequence[tuple[int, Sample]]]
"""(unit, entry without changes, (which of its flags are set, change))."""


def _members(db: sqlite3.Connection, week: int, known: Mapping[int, Place]) -> list[_Member]:
    found = db.execute(
        "SELECT key, unit, place, started_at, ended_at, outcome = 'ok', failed, rework "
        "FROM dora_deployments WHERE ended_at >= ? AND ended_at < ? "
        "AND outcome IN ('ok', 'failed')",
        (week * WEEK, (week + 1) * WEEK),
    ).fetchall()
    keys = [row[0] for row in found]
    changes: dict[str, list[tuple[int, Sample]]] = {}
    sql = (
        "SELECT deployment, first, at, lead, basis, stages FROM dora_changes "
        f"WHERE first > 0 AND deployment {_KEYS}"
    )
    for deployment, first, at, lead, basis, stages in rows.select_in(db, sql, keys):
        sample = Sample(at, lead, basis, array("q", stages))
        changes.setdefault(deployment, []).append((first, sample))
    episodes: dict[str, list[Episode]] = {}
    sql = f"SELECT deployment, started_at, ended_at FROM dora_episodes WHERE deployment {_KEYS}"
    for deployment, began, ended in rows.select_in(db, sql, keys):
        episodes.setdefault(deployment, []).append(Episode(began, ended))
    return [
        (
            unit,
            Entry(
                known[place],
                started,
                ended,
                bool(ok),
                bool(failed),
                bool(rework),
                (),
                episodes.get(key, ()),
            ),
            changes.get(key, ()),
        )
        for key, unit, place, started, ended, ok, failed, rework in found
    ]


def _entries(members: Iterable[_Member], units: Sequence[int], flag: int) -> list[Entry]:
    return [
        entry._replace(changes=[sample for first, sample in changes if first & flag])
        for unit, entry, changes in members
        if unit in units
    ]


def _write_page(
    db: sqlite3.Connection,
    level: str,
    team: str,
    week: int,
    entries: Sequence[Entry],
    ids: Mapping[Place, int],
) -> None:
    if not entries:
        sql = "DELETE FROM dora_pages WHERE level = ? AND team = ? AND week = ?"
        db.execute(sql, (level, team, week))
        return
    ledger = Ledger.of(entries, ids.__getitem__)
    columns = (*_NUMBERS, *_FLAGS, *PLACES, *STARTED, *STAGE_TIMES)
    values = [bytes(getattr(ledger, name)) for name in columns]
    sql = (
        f"INSERT OR REPLACE INTO dora_pages (level, team, week, {', '.join(columns)}) "
        f"VALUES (?, ?, ?{', ?' * len(columns)})"
    )
    db.execute(sql, (level, team, week, *values))


def pruned(db: sqlite3.Connection, keys: Iterable[str]) -> set[str]:
    """Those of these deployments whose spans were deleted; what was judged of them stays."""
    wanted = set(keys)
    sql = f"SELECT key FROM spans WHERE key {_KEYS}"
    return wanted - {row[0] for row in rows.select_in(db, sql, wanted)}


def forget(db: sqlite3.Connection) -> int:
    """Delete what can be judged anew; how many deployments stay because their spans are gone."""
    db.execute("DELETE FROM dora_deployments WHERE unit < 2 AND key IN (SELECT key FROM spans)")
    db.execute(
        "DELETE FROM dora_deployments WHERE unit = 2 AND product_group NOT IN "
        "(SELECT product_group FROM dora_deployments WHERE unit = 1)"
    )
    for table in ("dora_changes", "dora_episodes", "dora_blames"):
        db.execute(
            f"DELETE FROM {table} WHERE deployment NOT IN (SELECT key FROM dora_deployments)"
        )
    db.execute("DELETE FROM dora_incidents WHERE key IN (SELECT key FROM spans)")
    db.execute("DELETE FROM dora_places WHERE id NOT IN (SELECT place FROM dora_deployments)")
    db.execute("DELETE FROM dora_pages")
    sql = (
        "SELECT DISTINCT p.team, d.ended_at / ? FROM dora_deployments d "
        "JOIN dora_places p ON p.id = d.place"
    )
    write_weeks(db, db.execute(sql, (WEEK,)).fetchall())
    sql = "SELECT COUNT(*) FROM dora_deployments WHERE unit <> 1 AND outcome IN ('ok', 'failed')"
    return int(db.execute(sql).fetchone()[0])


def read_ledger(
    db: sqlite3.Connection,
    level: str,
    team: str,
    since: Instant,
    until: Instant,
    more: Sequence[str] = (),
) -> Ledger:
    """The columns of a window and a little more at both ends. PLACES, STARTED and STAGE_TIMES are
    read only when they are asked for: a long window is mostly reading."""
    columns = (*_NUMBERS, *_FLAGS, *more)
    sql = (
        f"SELECT {', '.join(columns)} FROM dora_pages "
        "WHERE level = ? AND team = ? AND week >= ? AND week <= ? ORDER BY week"
    )
    found = db.execute(sql, (level, team, week_of(since), week_of(until))).fetchall()
    joined: dict[str, Any] = {}
    for name, blobs in zip(columns, zip(*found, strict=True), strict=False):
        together = b"".join(blobs)
        if name in _FLAGS:
            joined[name] = together
        else:
            column: array[Any] = array("d" if name == "lead" else "q")
            column.frombytes(together)
            joined[name] = column
    return Ledger(**joined)


def page_teams(db: sqlite3.Connection) -> list[str]:
    """Teams that have deployed; `` is nobody's."""
    sql = "SELECT DISTINCT team FROM dora_pages WHERE level = ? ORDER BY team"
    return [row[0] for row in db.execute(sql, (TEAM,))]


def first_week(db: sqlite3.Connection, level: str, team: str) -> int | None:
    """The week of the first deployment; None when there is none."""
    sql = "SELECT MIN(week) FROM dora_pages WHERE level = ? AND team = ?"
    found: int | None = db.execute(sql, (level, team)).fetchone()[0]
    return found
