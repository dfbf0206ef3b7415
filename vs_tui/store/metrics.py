"""The delivery metrics out of the read models: what view, API, commands and Prometheus ask."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import sub
from typing import Final

from vs_tui.domain.instants import Instant
from vs_tui.domain.metrics.dora import measure
from vs_tui.domain.metrics.facts import Ticket
from vs_tui.domain.metrics.incidents import (
    IncidentFact,
    incident_figures,
    innovation_ratio,
    merged_per_engineer,
)
from vs_tui.domain.metrics.ledger import Ledger
from vs_tui.domain.metrics.report import GROUPS, Beside, Scorecard
from vs_tui.domain.metrics.statistics import median, percentile
from vs_tui.domain.metrics.windows import Window
from vs_tui.domain.teams import Teams
from vs_tui.store import metrics_pages as pages

_KEYS: Final = "IN (SELECT value FROM json_each(?))"


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
        return _grouped(db, window, team, by)
    names = [team] if team else ([] if by == "all" else team_names(db, teams))
    first = _first_deployment(db)
    covered = _is_covered(window.previous, first)
    since = first if first is not None and first > window.since else None
    begun = _begun(db, window) if beside else {}
    cards = []
    for name in names or [""]:
        ledger = team_ledger(db, window, name, pages.STARTED if beside else ())
        known = pages.first_week(db, *_level(name))
        figures = measure(
            ledger,
            window,
            known=known is not None and known * pages.WEEK < window.since,
            covered=covered,
        )
        cards.append(
            Scorecard(
                "team" if name else "all",
                name,
                window,
                figures,
                read_beside(db, window, name, ledger, teams, begun) if beside else None,
                since,
            )
        )
    return cards


def team_names(db: sqlite3.Connection, teams: Teams) -> list[str]:
    """The configured teams, and any other that has deployed."""
    used = [name for name in pages.page_teams(db) if name]
    return list(dict.fromkeys([*teams.names, *used]))


def team_ledger(
    db: sqlite3.Connection, window: Window, team: str, more: Sequence[str] = ()
) -> Ledger:
    """What a team (or all, for ``) deployed in a window and the period before."""
    level, name = _level(team)
    since = window.previous.since
    return pages.read_ledger(db, level, name, since, window.end, more)


def _level(team: str) -> tuple[str, str]:
    return (pages.TEAM, team) if team else (pages.ALL, "")


def _grouped(db: sqlite3.Connection, window: Window, team: str, by: str) -> list[Scorecard]:
    if by == "service":
        level, name = (pages.SERVICE, team) if team else (pages.SERVICES, "")
    else:
        level, name = _level(team)
    ledger = pages.read_ledger(
        db, level, name, window.previous.since, window.end, (*pages.PLACES, *pages.STARTED)
    )
    groups = {
        number: group
        for number, place in pages.places(db).items()
        if (group := str(getattr(place, by)))
    }
    first = _first_deployment(db)
    covered = _is_covered(window.previous, first)
    since = first if first is not None and first > window.since else None
    return [
        Scorecard(
            by, group, window, measure(own, window, covered=covered, trend=False), None, since
        )
        for group, own in sorted(ledger.split(groups).items())
    ]


def _first_deployment(db: sqlite3.Connection) -> Instant | None:
    sql = (
        "SELECT MIN((SELECT MIN(started_at) FROM dora_deployments WHERE unit <> 1 "
        "AND place = id)) FROM dora_places"
    )
    found: Instant | None = db.execute(sql).fetchone()[0]
    return found


def _is_covered(period: Window, first: Instant | None) -> bool:
    """Whether enough of a period lies after the first deployment known to count its days."""
    return first is None or first <= period.since + (period.until - period.since) // 4


def read_beside(
    db: sqlite3.Connection,
    window: Window,
    team: str,
    ledger: Ledger,
    teams: Teams,
    begun: Mapping[str, int],
) -> Beside:
    """Incidents, deploys, pull requests and tickets of a team (`` is all) in a window; `begun`
    are the deploys that began in it by team."""
    start, stop = window.contained(ledger.ended)
    took = map(sub, ledger.ended[start:stop], ledger.started[start:stop])
    durations = [max(value, 0) for value in sorted(took)]
    bounds = (window.since, window.end)
    of_team, named = ("AND team = ?", (team,)) if team else ("", ())
    sql = (
        "SELECT started_at, restored_at, finished_at, deployed_at FROM dora_incidents "
        f"WHERE started_at >= ? AND started_at < ? {of_team}"
    )
    incidents = [IncidentFact(*row) for row in db.execute(sql, (*bounds, *named))]
    merges = _merges(db, window, [team] if team else [*teams.names, ""])
    users = next((t.users for t in teams.teams if t.name == team), ())
    engineers = set(users) or {author for author in merges if author}
    merged = sum(merges.values())
    return Beside(
        incidents=incident_figures(incidents, window),
        started=begun.get(team, 0) if team else sum(begun.values()),
        deployed=ledger.ok.count(1, start, stop),
        duration_median=median(durations),
        duration_p90=percentile(durations, 90),
        merged=merged,
        engineers=len(engineers),
        merged_per_engineer_week=merged_per_engineer(merged, len(engineers), window),
        innovation_ratio=_innovation(db, window, of_team, named),
    )


def _merges(db: sqlite3.Connection, window: Window, teams: Sequence[str]) -> Counter[str]:
    """Author -> merged pull requests. Finds the authors by leaps through the index, and counts
    each one's stretch of it: grouping all merges would sort them."""
    merged = "FROM spans WHERE operation = 'pull_request' AND status = 'ok' AND team = :team"
    sql = (
        f"WITH RECURSIVE authors (author) AS (SELECT MIN(actor) {merged} UNION ALL "
        f"SELECT (SELECT MIN(actor) {merged} AND actor > author) FROM authors "
        "WHERE author IS NOT NULL) "
        f"SELECT author, (SELECT COUNT(*) {merged} AND actor = author "
        "AND ended_at >= :since AND ended_at < :until) FROM authors WHERE author IS NOT NULL"
    )
    found: Counter[str] = Counter()
    for team in teams:
        bound = {"team": team, "since": window.since, "until": window.end}
        found.update({author: n for author, n in db.execute(sql, bound) if n})
    return found


def _begun(db: sqlite3.Connection, window: Window) -> Counter[str]:
    """Team -> deploys that began in a window, whatever became of them."""
    sql = (
        "SELECT team, SUM((SELECT COUNT(*) FROM dora_deployments WHERE unit <> 1 "
        "AND place = id AND started_at >= ? AND started_at < ?)) FROM dora_places GROUP BY team"
    )
    return Counter(dict(db.execute(sql, (window.since, window.end)).fetchall()))


def _innovation(
    db: sqlite3.Connection, window: Window, of_team: str, named: Sequence[str]
) -> float | None:
    sql = (
        "SELECT lower(COALESCE(json_extract(attributes, '$.\"vs.issue.type\"'), "
        "json_extract(attributes, '$.type'), '')), "
        "SUM(COALESCE(active, MAX(ended_at - started_at, 0), 0)) FROM spans "
        "WHERE operation = 'issue' AND status = 'ok' AND ended_at >= ? AND ended_at < ? "
        f"{of_team} GROUP BY 1"
    )
    bound = (window.since, window.end, *named)
    tickets = [Ticket(kind, "", window.since, spent) for kind, spent in db.execute(sql, bound)]
    return innovation_ratio(tickets, window)
