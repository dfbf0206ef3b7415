"""The delivery metrics out of the read models: what view, API, commands and Prometheus ask."""

from __future__ import annotations

import sqlite3
from typing import Final, TypedDict

import orjson

from vs_tui.metrics.counted import NO_TEAM, UNKNOWN, Counted, Group, recoveries_of
from vs_tui.metrics.definitions import measure
from vs_tui.metrics.incidents import (
    IncidentFact,
    incident_figures,
    innovation_ratio,
    merged_per_engineer,
)
from vs_tui.metrics.missing import Seen
from vs_tui.metrics.report import GROUPS, Beside, Scorecard
from vs_tui.metrics.statistics import median, percentile
from vs_tui.metrics.windows import Window
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics.verdicts import places

_IN: Final = "place IN (SELECT value FROM json_each(:places)) AND unit <> :unit"
_OF_WINDOW: Final = f"{_IN} AND ended_at >= :since AND ended_at < :until"
_FINISHED: Final = "outcome IN ('ok', 'failed')"
_DEPLOYMENTS: Final = (
    "SELECT json_group_array(ended_at), "
    "json_group_array(ended_at) FILTER (WHERE outcome = 'ok'), "
    "json_group_array(ended_at) FILTER (WHERE failed_at <= :now), "
    "json_group_array(ended_at) FILTER (WHERE repair <> '') "
    "FROM dora_deployments INDEXED BY dora_deployments_counted "
    f"WHERE {_OF_WINDOW} AND {_FINISHED}"
)
"""Of many rows SQLite makes an array of JSON in half the time that rows take."""
_SHIPPED: Final = (
    "FROM dora_changes INDEXED BY dora_changes_counted WHERE first & :bit "
    "AND place IN (SELECT value FROM json_each(:places)) AND at >= :since AND at < :until"
)
_CHANGES: Final = (
    f"SELECT json_group_array(at), json_group_array(COALESCE(lead, {UNKNOWN})) {_SHIPPED}"
)
_STARTS: Final = f"SELECT basis, COUNT(*) {_SHIPPED} GROUP BY basis"
_SIGNALS: Final = (
    "SELECT deployment, at, started_at, ended_at FROM dora_signals "
    f"INDEXED BY dora_signals_counted WHERE {_IN} AND at >= :since AND at < :until"
)
Bound = dict[str, int | str]


def read_scorecards(
    db: sqlite3.Connection,
    window: Window,
    *,
    teams: Teams,
    team: str = "",
    by: str = "team",
    beside: bool = False,
) -> list[Scorecard]:
    """The five metrics of each group; of every team that is configured or deployed by default.

    Without teams `team` means everyone. ValueError says what can be grouped by.
    """
    if by not in GROUPS:
        raise ValueError(f"'{by}' cannot be grouped by; use one of {', '.join(GROUPS)}")
    if by not in ("team", "all"):
        known_since = data_since(db, by)
        groups = [Group(by, team, name) for name in sorted(_names(db, by, team))]
        return [
            _scorecard(window, group.name, by, counted, known_since.get(group.name))
            for group in groups
            if (counted := read_counted(db, window, group)).ended
        ]
    names = [team] if team else ([] if by == "all" else team_names(db, teams))
    cards = []
    for name in names or [""]:
        counted = read_counted(db, window, group_of(name))
        figures = measure(counted, window, **compared(db, window, name))
        cards.append(
            Scorecard(
                "team" if name else "all",
                name,
                window,
                figures,
                read_beside(db, window, name, counted, teams) if beside else None,
                figures["deploys"].since,
            )
        )
    return cards


def _scorecard(
    window: Window, name: str, by: str, counted: Counted, since: Instant | None
) -> Scorecard:
    covered = _is_covered(window.previous, since)
    figures = measure(counted, window, covered=covered, trend=False, since=since)
    return Scorecard(by, name, window, figures, None, figures["deploys"].since)


def bound_of(db: sqlite3.Connection, window: Window, group: Group) -> Bound:
    """What a query of the rows of a group in a window is given."""
    own = [
        number
        for number, place in places(db).items()
        if group.name in place.names(group.level) and (not group.team or group.team in place.teams)
    ]
    return {
        "places": rows.as_json(own),
        "unit": group.other_unit,
        "bit": group.bit,
        "since": window.since,
        "until": window.until,
        "now": window.now,
    }


def read_counted(db: sqlite3.Connection, window: Window, group: Group) -> Counted:
    """What a group counts in a window and the period before."""
    bound = bound_of(db, window, group)
    longer = {**bound, "since": window.previous.since}
    found = db.execute(_DEPLOYMENTS, longer).fetchone()
    ended, ok, failed, rework = (sorted(orjson.loads(text)) for text in found)
    changes = [orjson.loads(text) for text in db.execute(_CHANGES, longer).fetchone()]
    return Counted(
        ended=ended,
        ok=ok,
        failed=failed,
        rework=rework,
        changes=sorted(zip(*changes, strict=True)),
        starts=dict(db.execute(_STARTS, bound).fetchall()),
        recoveries=recoveries_of(db.execute(_SIGNALS, longer)),
    )


def _names(db: sqlite3.Connection, by: str, team: str) -> set[str]:
    """The groups of a level, of one team unless that is empty."""
    return {
        name
        for place in places(db).values()
        if not team or team in place.teams
        for name in place.names(by)
    }


def data_since(db: sqlite3.Connection, by: str) -> dict[str, Instant]:
    """Name of a team, project, service ... -> when something was heard of it first. A team or
    product has that of its projects; everyone is the empty string."""
    projects: dict[str, Instant] = {}
    for project, at in db.execute("SELECT project, MIN(at) FROM metric_since GROUP BY 1"):
        projects[project] = at
    found: dict[str, Instant] = {}
    if by == "project":
        return projects
    if by == "all":
        return {"": min(projects.values())} if projects else {}
    for place in places(db).values():
        known = projects.get(place.project)
        if known is not None:
            for name in place.names(by):
                found[name] = min(known, found.get(name, known))
    return found


def first_deploy(db: sqlite3.Connection) -> Instant | None:
    """When the first deploy known of anyone began."""
    return _first(db, group_of(""), "started_at", "1")


def read_seen(
    db: sqlite3.Connection, window: Window, environments: Environments, team: str
) -> Seen:
    """Where deploys went in a window; of all time as long as none counts."""
    counted = first_end(db, team) is not None
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    in_window = "AND ended_at >= ? AND ended_at < ?" if counted else ""
    bounds = (window.since, window.until) if counted else ()
    sql = (
        "SELECT environment, COUNT(*) FROM spans INDEXED BY spans_deployed "
        f"WHERE operation = 'deploy' {in_window} {of_team} GROUP BY environment"
    )
    return Seen(team, environments, dict(db.execute(sql, (*bounds, *named))), counted)


def unowned_projects(db: sqlite3.Connection, window: Window) -> dict[str, int]:
    """Project that no team lists -> its deployments that count, the most first."""
    sql = (
        f"SELECT project, COUNT(*) FROM dora_deployments WHERE {_OF_WINDOW} AND {_FINISHED} "
        "GROUP BY project ORDER BY 2 DESC, 1"
    )
    return dict(db.execute(sql, bound_of(db, window, group_of(NO_TEAM))).fetchall())


def team_names(db: sqlite3.Connection, teams: Teams) -> list[str]:
    """The configured teams, and any other that has deployed."""
    sql = (
        "SELECT id FROM dora_places p WHERE EXISTS (SELECT 1 FROM dora_deployments d "
        f"WHERE d.place = p.id AND d.unit <> 1 AND d.{_FINISHED})"
    )
    deployed = {number for (number,) in db.execute(sql)}
    of = {team for n, place in places(db).items() if n in deployed for team in place.teams}
    found = dict.fromkeys([*teams.names, *sorted(of, key=lambda name: (name == NO_TEAM, name))])
    if not teams.names:
        found.pop(NO_TEAM, None)
    return list(found)


def _first(db: sqlite3.Connection, group: Group, column: str, where: str) -> Instant | None:
    sql = (
        "SELECT MIN(at) FROM (SELECT (SELECT MIN(%s) FROM dora_deployments d "
        "WHERE d.place = p.value AND d.unit <> 1 AND %s) AS at FROM json_each(:places) p)"
    )
    bound = bound_of(db, Window(0, 0, 0), group)
    found: Instant | None = db.execute(sql % (column, where), bound).fetchone()[0]
    return found


def first_end(db: sqlite3.Connection, team: str) -> Instant | None:
    """When the first deployment of a team (empty is all) ended."""
    return _first(db, group_of(team), "ended_at", _FINISHED)


def group_of(team: str) -> Group:
    """A team, or everyone for empty."""
    return Group("team", "", team) if team else Group("all", "", "")


class Compared(TypedDict):
    """What `measure` must know of the time before the window."""

    known: bool
    covered: bool
    since: Instant | None


def compared(db: sqlite3.Connection, window: Window, team: str) -> Compared:
    """Whether a team deployed before the window, and whether the period before is covered by what
    is known of anyone: the same wherever the number is shown."""
    own = first_end(db, team)
    since = data_since(db, "team" if team else "all").get(team)
    first = min((at for at in (own, since) if at is not None), default=None)
    return Compared(
        known=own is not None and own < window.since,
        covered=_is_covered(window.previous, first),
        since=since,
    )


def _is_covered(period: Window, first: Instant | None) -> bool:
    """Whether enough of a period lies after the first deployment known to count its days."""
    return first is None or first <= period.since + (period.until - period.since) // 4


def read_beside(
    db: sqlite3.Connection, window: Window, team: str, counted: Counted, teams: Teams
) -> Beside:
    """Incidents, deploys, pull requests and tickets of a team (empty is all) in a window."""
    of_team, bound = ("AND team = :team" if team else ""), bound_of(db, window, group_of(team))
    bound |= {"team": team, "until": window.end}
    sql = (
        "SELECT started_at, restored_at, finished_at, deployed_at FROM dora_incidents "
        f"WHERE started_at >= :since AND started_at < :until {of_team}"
    )
    incidents = map(IncidentFact._make, db.execute(sql, bound))
    sql = (
        "SELECT json_group_array(MAX(ended_at - started_at, 0)) FROM dora_deployments "
        f"INDEXED BY dora_deployments_counted WHERE {_OF_WINDOW} AND {_FINISHED}"
    )
    whole = {**bound, "until": window.until}
    took = sorted(orjson.loads(db.execute(sql, whole).fetchone()[0]))
    begun = (
        f"SELECT COUNT(*) FROM dora_deployments INDEXED BY dora_deployments_begun WHERE {_IN} "
        "AND started_at >= :since AND started_at < :until"
    )
    work = "FROM dora_work WHERE kind = :kind AND at >= :since AND at < :until"
    sql = f"SELECT name, COUNT(*) {work} {of_team} GROUP BY name"
    merges = dict(db.execute(sql, {**bound, "kind": "merge"}).fetchall())
    sql = f"SELECT name, SUM(spent) {work} {of_team} GROUP BY name"
    spent = dict(db.execute(sql, {**bound, "kind": "ticket"}).fetchall())
    users = next((t.users for t in teams.teams if t.name == team), ())
    engineers = set(users) or {author for author in merges if author}
    merged = sum(merges.values())
    return Beside(
        incidents=incident_figures(incidents, window),
        started=db.execute(begun, bound).fetchone()[0],
        deployed=sum(at in window for at in counted.ok),
        duration_median=median(took),
        duration_p90=percentile(took, 90),
        merged=merged,
        engineers=len(engineers),
        merged_per_engineer_week=merged_per_engineer(merged, len(engineers), window),
        innovation_ratio=innovation_ratio(spent),
    )
