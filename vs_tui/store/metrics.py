"""The delivery metrics out of the read models: what view, API, commands and Prometheus ask."""

from __future__ import annotations

import sqlite3
from typing import Final, TypedDict

from vs_tui.metrics.columns import Strand
from vs_tui.metrics.dora import measure
from vs_tui.metrics.incidents import (
    IncidentFact,
    incident_figures,
    innovation_ratio,
    merged_per_engineer,
)
from vs_tui.metrics.ledger import CHANGES, EPISODES, EVERYONE, NO_TEAM, TEAM, Group, Ledger
from vs_tui.metrics.missing import Seen
from vs_tui.metrics.report import GROUPS, Beside, Scorecard
from vs_tui.metrics.windows import Window
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.time import Instant
from vs_tui.store import metrics_pages as pages

_KINDS: Final = ("deployments", "changes", "episodes")


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
        return [
            _scorecard(by, name, window, own, known_since.get(name))
            for name, own in sorted(_ledgers(db, by, team, window).items())
        ]
    names = [team] if team else ([] if by == "all" else team_names(db, teams))
    cards = []
    for name in names or [""]:
        ledger = team_ledger(db, window, name)
        asked = compared(db, window, name)
        figures = measure(ledger, window, **asked)
        cards.append(
            Scorecard(
                "team" if name else "all",
                name,
                window,
                figures,
                read_beside(db, window, name, ledger, teams) if beside else None,
                figures["deploys"].since,
            )
        )
    return cards


def _scorecard(
    by: str, name: str, window: Window, ledger: Ledger, since: Instant | None
) -> Scorecard:
    covered = _is_covered(window.previous, since)
    figures = measure(ledger, window, covered=covered, trend=False, since=since)
    return Scorecard(by, name, window, figures, None, figures["deploys"].since)


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
    sql = "SELECT team, project, service, environment, product FROM dora_places"
    for team, project, service, environment, product in db.execute(sql):
        known = projects.get(project)
        names = {
            "team": team.split("\n") if team else [NO_TEAM],
            "service": [service],
            "environment": [environment],
            "product": [product],
        }[by]
        if known is not None:
            for name in names:
                found[name] = min(known, found.get(name, known))
    return found


def first_deploy(db: sqlite3.Connection) -> Instant | None:
    """When the first deploy known of anyone began."""
    return pages.first_of(db, EVERYONE, "begun")


def read_seen(
    db: sqlite3.Connection, window: Window, environments: Environments, team: str
) -> Seen:
    """Where deploys went in a window; of all time as long as none counts."""
    counted = pages.first_of(db, group_of(team), "deployments") is not None
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    in_window = "AND ended_at >= ? AND ended_at < ?" if counted else ""
    bounds = (window.since, window.until) if counted else ()
    sql = (
        "SELECT environment, COUNT(*) FROM spans INDEXED BY spans_deployed "
        f"WHERE operation = 'deploy' {in_window} {of_team} GROUP BY environment"
    )
    return Seen(team, environments, dict(db.execute(sql, (*bounds, *named))), counted)


def team_names(db: sqlite3.Connection, teams: Teams) -> list[str]:
    """The configured teams, and any other that has deployed."""
    found = dict.fromkeys([*teams.names, *pages.teams_of(db)])
    if not teams.names:
        found.pop(NO_TEAM, None)
    return list(found)


def group_of(team: str) -> Group:
    """A team, or everyone for ``."""
    return Group(TEAM, team, "") if team else EVERYONE


def team_ledger(
    db: sqlite3.Connection, window: Window, team: str, *, stages: bool = False
) -> Ledger:
    """What a team (or all, for ``) deployed in a window and the period before."""
    group, since, until = group_of(team), window.previous.since, window.until
    kinds = (*_KINDS, "stages") if stages else _KINDS
    return Ledger(*(pages.read_strand(db, group, kind, since, until) for kind in kinds))


class Compared(TypedDict):
    """What `measure` must know of the time before the window."""

    known: bool
    covered: bool
    since: Instant | None


def compared(db: sqlite3.Connection, window: Window, team: str) -> Compared:
    """Whether a team deployed before the window, and whether the period before is covered by what
    is known of anyone: the same wherever the number is shown."""
    own = pages.first_of(db, group_of(team))
    since = data_since(db, "team" if team else "all").get(team)
    first = min((at for at in (own, since) if at is not None), default=None)
    return Compared(
        known=own is not None and own < window.since,
        covered=_is_covered(window.previous, first),
        since=since,
    )


def _ledgers(db: sqlite3.Connection, level: str, team: str, window: Window) -> dict[str, Ledger]:
    """The same for each group of a level that deployed."""
    since, until = window.previous.since, window.until
    strands = [pages.read_strands(db, level, team, kind, since, until) for kind in _KINDS]
    deployments, changes, episodes = strands
    return {
        name: Ledger(
            own,
            changes.get(name) or Strand(CHANGES),
            episodes.get(name) or Strand(EPISODES),
        )
        for name, own in deployments.items()
    }


def _is_covered(period: Window, first: Instant | None) -> bool:
    """Whether enough of a period lies after the first deployment known to count its days."""
    return first is None or first <= period.since + (period.until - period.since) // 4


def read_beside(
    db: sqlite3.Connection, window: Window, team: str, ledger: Ledger, teams: Teams
) -> Beside:
    """Incidents, deploys, pull requests and tickets of a team (`` is all) in a window."""
    bounds = (window.since, window.end)
    start, stop = window.contained(ledger.deployments.column("at"))
    took = ledger.deployments.spread("took", window.since, window.until)
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    sql = (
        "SELECT started_at, restored_at, finished_at, deployed_at FROM dora_incidents "
        f"WHERE started_at >= ? AND started_at < ? {of_team}"
    )
    incidents = map(IncidentFact._make, db.execute(sql, (*bounds, *named)))
    merges = pages.count_each(db, "author", team, "merges", *bounds)
    users = next((t.users for t in teams.teams if t.name == team), ())
    engineers = set(users) or {author for author in merges if author}
    merged = sum(merges.values())
    return Beside(
        incidents=incident_figures(incidents, window),
        started=sum(pages.count_each(db, *group_of(team)[:2], "begun", *bounds).values()),
        deployed=ledger.deployments.column("ok").count(1, start, stop),
        duration_median=took.median(),
        duration_p90=took.percentile(90),
        merged=merged,
        engineers=len(engineers),
        merged_per_engineer_week=merged_per_engineer(merged, len(engineers), window),
        innovation_ratio=_innovation(db, window, team),
    )


def _innovation(db: sqlite3.Connection, window: Window, team: str) -> float | None:
    bounds = (window.since, window.end)
    spent = {}
    for kind, strand in pages.read_strands(db, "ticket", team, "tickets", *bounds).items():
        start, stop = strand.between(*bounds)
        if stop > start:
            spent[kind] = sum(strand.column("spent")[start:stop])
    return innovation_ratio(spent)
