"""Reads the delivery metrics from the read models, and which deployments they leave out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from functools import cached_property
from typing import Final

import orjson

from vs_tui.metrics.counted import (
    GROUPS,
    NO_TEAM,
    PART,
    SERVICE,
    UNKNOWN,
    WHOLE,
    Counted,
    Group,
    Place,
    recoveries_of,
    teams_in,
)
from vs_tui.metrics.definitions import FIRST
from vs_tui.metrics.missing import Seen
from vs_tui.metrics.report import Before, Beside, IncidentFact, Scorecard, beside_of, measure
from vs_tui.metrics.windows import Window
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics.judged_rows import places

_IN: Final = "place IN (SELECT value FROM json_each(:places)) AND unit <> :unit"
OF_WINDOW: Final = f"{_IN} AND ended_at >= :since AND ended_at < :until"
_FINISHED: Final = "outcome IN ('ok', 'failed')"
_DEPLOYMENTS: Final = (
    "SELECT json_group_array(ended_at), "
    "json_group_array(ended_at) FILTER (WHERE outcome = 'ok'), "
    "json_group_array(ended_at) FILTER (WHERE failed_at <= :now), "
    "json_group_array(ended_at) FILTER (WHERE repair <> '') "
    "FROM dora_deployments INDEXED BY dora_deployments_counted "
    f"WHERE {OF_WINDOW} AND {_FINISHED}"
)
"""SQL: a JSON array of many rows takes SQLite half the time of the rows themselves."""
SHIPPED: Final = f"{_IN} AND at >= :since AND at < :until AND {FIRST}"
"""SQL: the rows `c` of dora_changes that a group shipped first in a window."""
_SHIPPED: Final = f"FROM dora_changes c INDEXED BY dora_changes_counted WHERE {SHIPPED}"
_CHANGES: Final = (
    f"SELECT json_group_array(at), json_group_array(COALESCE(lead, {UNKNOWN})) {_SHIPPED}"
)
_STARTS: Final = f"SELECT basis, COUNT(*) {_SHIPPED} GROUP BY basis"
_SIGNALS: Final = (
    "SELECT deployment, at, started_at, ended_at FROM dora_signals "
    f"INDEXED BY dora_signals_counted WHERE {_IN} AND at >= :since AND at < :until"
)
_OF_TEAM: Final = (
    f"instr(char(10) || COALESCE(NULLIF(team, ''), '{NO_TEAM}') || char(10), "
    "char(10) || :team || char(10))"
)
"""SQL: whether `:team` is one of the teams of a row."""
Bound = dict[str, int | str]


class Groups:
    """Reads the rows of groups. Places and first instants are read once for a whole answer."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self.db = db
        self._places = places(db)

    def places_of(self, group: Group) -> Iterator[tuple[int, Place]]:
        """(id, place) of each place whose deployments a group counts."""
        for number, place in self._places.items():
            of_team = not group.team or group.team in place.teams
            if of_team and group.name in place.names(group.level):
                yield number, place

    def names(self, level: str, team: str) -> list[str]:
        """The names of the groups of a level; of one team, unless it is empty."""
        own = (place for place in self._places.values() if not team or team in place.teams)
        return sorted({name for place in own for name in place.names(level)})

    def bound(self, window: Window, group: Group) -> Bound:
        """The parameters of a query for a group's rows in a window; `unit` is what it does not
        count: a service counts its part of a product deployment, other groups count the whole."""
        return {
            "places": rows.as_json(number for number, _ in self.places_of(group)),
            "unit": WHOLE if group.level == SERVICE else PART,
            "since": window.since,
            "until": window.until,
            "now": window.now,
        }

    def counted(self, window: Window, group: Group) -> Counted:
        """The data that a group counts in a window and in the period before."""
        bound = self.bound(window, group)
        longer = {**bound, "since": window.previous.since}
        found = self.db.execute(_DEPLOYMENTS, longer).fetchone()
        ended, ok, failed, rework = (sorted(orjson.loads(text)) for text in found)
        changes = [orjson.loads(text) for text in self.db.execute(_CHANGES, longer).fetchone()]
        return Counted(
            *(ended, ok, failed, rework),
            changes=sorted(zip(*changes, strict=True)),
            starts=dict(self.db.execute(_STARTS, bound).fetchall()),
            recoveries=recoveries_of(self.db.execute(_SIGNALS, longer)),
        )

    def first(
        self, group: Group, column: str = "ended_at", where: str = _FINISHED
    ) -> Instant | None:
        """The end of a group's first deployment, or the minimum of another column."""
        sql = (
            f"SELECT MIN(at) FROM (SELECT (SELECT MIN({column}) FROM dora_deployments d "
            f"WHERE d.place = p.value AND d.unit <> :unit AND {where}) AS at "
            "FROM json_each(:places) p)"
        )
        bound = self.bound(Window(0, 0, 0), group)
        found: Instant | None = self.db.execute(sql, bound).fetchone()[0]
        return found

    @cached_property
    def _since(self) -> dict[str, Instant]:
        """Project -> time of its first event."""
        sql = "SELECT project, MIN(at) FROM metric_since GROUP BY 1"
        return dict(self.db.execute(sql).fetchall())

    def since(self, group: Group) -> Instant | None:
        """Time of the first event in the projects of a group."""
        if group.level == "all":
            return min(self._since.values(), default=None)
        projects = {place.project for _, place in self.places_of(group)}
        return min((self._since[p] for p in projects if p in self._since), default=None)

    def before(self, window: Window, group: Group) -> Before:
        """The facts about a group before a window; the same wherever a number is shown."""
        own, since = self.first(group), self.since(group)
        before = window.previous
        late = before.since + (before.until - before.since) // 4
        return Before(
            known=own is not None and own < window.end,
            covered=own is not None and own < window.since and min(own, since or own) <= late,
            since=since,
        )


def read_scorecards(
    db: sqlite3.Connection,
    window: Window,
    *,
    teams: Teams,
    team: str = "",
    by: str = "team",
    beside: bool = False,
) -> list[Scorecard]:
    """The metrics of each group; by default of every team that is configured or has deployed.

    If there is no team, the one card is about everyone. The ValueError lists the groupings.
    """
    if by not in GROUPS:
        raise ValueError(f"'{by}' cannot be grouped by; use one of {', '.join(GROUPS)}")
    found = Groups(db)
    of_teams = by in ("team", "all")
    if of_teams:
        named = [team] if team else team_names(db, teams) if by == "team" else []
        groups = [group_of(name) for name in named or [""]]
    else:
        groups = [Group(by, team, name) for name in found.names(by, team)]
    cards = []
    for group in groups:
        counted = found.counted(window, group)
        if not of_teams and not counted.ended:
            continue
        figures = measure(counted, window, found.before(window, group), trend=of_teams)
        besides = read_beside(found, window, group, counted, teams) if beside and of_teams else None
        cards.append(Scorecard(group.level, group.name, window, figures, besides))
    return cards


def group_of(team: str) -> Group:
    """The group of a team, or of everyone for an empty name."""
    return Group("team", "", team) if team else Group("all", "", "")


def first_deploy(db: sqlite3.Connection) -> Instant | None:
    """The start of the first known deploy."""
    return Groups(db).first(group_of(""), "started_at", "1")


def read_seen(
    db: sqlite3.Connection, window: Window, environments: Environments, team: str
) -> Seen:
    """The environments of deploys in a window; of all time while no deploy counts."""
    counted = Groups(db).first(group_of(team)) is not None
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    in_window = "AND ended_at >= ? AND ended_at < ?" if counted else ""
    bounds = (window.since, window.until) if counted else ()
    sql = (
        "SELECT environment, COUNT(*) FROM spans INDEXED BY spans_deployed "
        f"WHERE operation = 'deploy' {in_window} {of_team} GROUP BY environment"
    )
    return Seen(team, environments, dict(db.execute(sql, (*bounds, *named))), counted)


def unowned_projects(db: sqlite3.Connection, window: Window) -> dict[str, int]:
    """Project that no team lists -> its counted deployments, most first."""
    sql = (
        f"SELECT project, COUNT(*) FROM dora_deployments WHERE {OF_WINDOW} AND {_FINISHED} "
        "GROUP BY project ORDER BY 2 DESC, 1"
    )
    bound = Groups(db).bound(window, group_of(NO_TEAM))
    return dict(db.execute(sql, bound).fetchall())


def team_names(db: sqlite3.Connection, teams: Teams) -> list[str]:
    """The configured teams, and any others with deployments."""
    sql = (
        "SELECT team FROM dora_places p WHERE EXISTS (SELECT 1 FROM dora_deployments d "
        f"WHERE d.place = p.id AND d.unit <> 1 AND d.{_FINISHED})"
    )
    deployed = {name for (text,) in db.execute(sql) for name in teams_in(text)}
    last = sorted(deployed, key=lambda name: (name == NO_TEAM, name))
    found = dict.fromkeys([*teams.names, *last])
    if not teams.names:
        found.pop(NO_TEAM, None)
    return list(found)


def read_beside(
    found: Groups, window: Window, group: Group, counted: Counted, teams: Teams
) -> Beside:
    """Figures about incidents, deploys, pull requests and tickets of a team (empty for all) in a
    window."""
    db, team = found.db, group.name
    of_team, bound = (f"AND {_OF_TEAM}" if team else ""), found.bound(window, group)
    bound |= {"team": team, "until": window.end}
    sql = (
        "SELECT started_at, restored_at, finished_at, deployed_at FROM dora_incidents "
        f"WHERE started_at >= :since AND started_at < :until {of_team}"
    )
    incidents = [IncidentFact(*row) for row in db.execute(sql, bound)]
    sql = (
        "SELECT json_group_array(ended_at - started_at) FROM dora_deployments "
        f"INDEXED BY dora_deployments_counted WHERE {OF_WINDOW} AND {_FINISHED} "
        "AND ended_at > started_at"
    )
    took = orjson.loads(db.execute(sql, {**bound, "until": window.until}).fetchone()[0])
    begun = (
        f"SELECT COUNT(*) FROM dora_deployments INDEXED BY dora_deployments_begun WHERE {_IN} "
        "AND started_at >= :since AND started_at < :until"
    )
    work = "FROM dora_work WHERE kind = :kind AND at >= :since AND at < :until"
    sql = f"SELECT name, COUNT(*) {work} {of_team} GROUP BY name"
    merges = dict(db.execute(sql, {**bound, "kind": "merge"}).fetchall())
    sql = f"SELECT name, SUM(spent) {work} {of_team} GROUP BY name"
    spent = dict(db.execute(sql, {**bound, "kind": "ticket"}).fetchall())
    return beside_of(
        window,
        incidents=incidents,
        started=db.execute(begun, bound).fetchone()[0],
        deployed=sum(at in window for at in counted.ok),
        took=took,
        merges=merges,
        users=next((t.users for t in teams.teams if t.name == team), ()),
        spent=spent,
    )
