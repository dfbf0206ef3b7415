"""The facts of the DORA metrics out of the store, and the dashboard's cards from them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, Final, Protocol, TypeVar
from zoneinfo import ZoneInfo

import orjson

from vs_tui.config import Config
from vs_tui.domain.cards import Card
from vs_tui.domain.dora import Change, Deployment, Facts, Signal, Window, cards
from vs_tui.domain.instants import DAY, Duration, Instant, parse_instant
from vs_tui.domain.teams import Environments
from vs_tui.store import rows

T = TypeVar("T")
DEFAULT_WINDOW: Final = 30 * DAY
LOOK_BACK: Final = 30 * DAY
"""How far before the windows deployments are read, to know what was shipped first."""


class Runs(Protocol):
    """A reader that runs functions on its connection."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


async def read_cards(
    reader: Runs, config: Config, team: str, window: Duration, now: Instant
) -> Sequence[Card]:
    """Cards of every team with deployments, or of one team; without teams, of all spans."""
    whole = window_of(config, window, now)
    facts = await reader.run(lambda db: read_facts(db, config.environments, whole))
    named = sorted({d.team for d in facts.deployments if d.team} | set(config.teams.names))
    wanted = [team] if team else (named or [""])
    found: list[Card] = []
    for name in wanted:
        own = facts if not name else _of_team(facts, name)
        found.extend(cards(name, own, whole, now))
    return found


def window_of(config: Config, window: Duration, now: Instant) -> Window:
    """The window that ends now; 30 days when no length is given."""
    return Window(now - (window or DEFAULT_WINDOW), now, zone_of(config))


def zone_of(config: Config) -> tzinfo | None:
    """The configured zone, else this machine's."""
    return ZoneInfo(config.zone) if config.zone else datetime.now().astimezone().tzinfo


def _of_team(facts: Facts, team: str) -> Facts:
    deployments = [d for d in facts.deployments if d.team == team]
    return Facts.of(deployments, facts.signals)


def read_facts(db: sqlite3.Connection, environments: Environments, window: Window) -> Facts:
    """Production deployments from a while before the window before, and what failed after them."""
    since = window.before().since - LOOK_BACK
    production = [
        name
        for (name,) in db.execute(
            "SELECT DISTINCT environment FROM spans WHERE operation = 'deploy'"
        )
        if environments.is_production(name)
    ]
    sql = (
        "SELECT key, service, project, environment, started_at, ended_at, status, team, "
        "attributes, trace_id, attempt FROM spans "
        "WHERE operation = 'deploy' AND ended_at >= ? AND ended_at < ? "
        "AND status IN ('ok', 'error', 'timed_out') "
        "AND environment IN (SELECT value FROM json_each(?))"
    )
    found = db.execute(sql, (since, window.until, rows.as_json(production))).fetchall()
    changes = _changes(db, [(row[0], row[9]) for row in found])
    deployments = [_deployment(row, changes.get(row[0], ())) for row in found]
    return Facts.of(deployments, _signals(db, since, window.until))


def _deployment(row: Sequence[Any], changes: Sequence[Change]) -> Deployment:
    key, service, project, environment, started, ended, status, team, attributes, _, _ = row
    known: Mapping[str, Any] = orjson.loads(attributes)
    return Deployment(
        key=key,
        service=service or project.rpartition("/")[2],
        environment=environment,
        started=started if started is not None else ended,
        ended=ended,
        ok=status == "ok",
        team=team,
        version=str(known.get("vs.version") or known.get("service.version") or ""),
        rework=known.get("vs.rework") in (True, 1, "true"),
        changes=tuple(changes),
    )


def _changes(db: sqlite3.Connection, deploys: Sequence[tuple[str, str]]) -> dict[str, list[Change]]:
    """Changes by deployment: those of its own trace, and those merged since the one before."""
    found: dict[str, dict[str, Change]] = {}
    by_trace: dict[str, list[str]] = {}
    for key, trace_id in deploys:
        by_trace.setdefault(trace_id, []).append(key)
    starts = _commit_starts(db, list(by_trace))
    sql = (
        "SELECT key, started_at, trace_id FROM spans WHERE operation = 'pull_request' "
        "AND started_at IS NOT NULL AND trace_id IN (SELECT value FROM json_each(?))"
    )
    for key, started, trace_id in rows.select_in(db, sql, by_trace):
        for deploy in by_trace[trace_id]:
            found.setdefault(deploy, {})[key] = _change(key, started, starts)
    sql = (
        "SELECT l.child, s.key, s.started_at FROM links l JOIN spans s ON s.key = l.parent "
        "WHERE l.rule = 'ships' AND s.started_at IS NOT NULL "
        "AND l.child IN (SELECT value FROM json_each(?))"
    )
    shipped = list(rows.select_in(db, sql, [key for key, _ in deploys]))
    starts.update(_starts_of(db, [key for _, key, _ in shipped]))
    for deploy, key, started in shipped:
        found.setdefault(deploy, {})[key] = _change(key, started, starts)
    return {deploy: list(changes.values()) for deploy, changes in found.items()}


def _change(key: str, started: Instant, starts: Mapping[str, Instant]) -> Change:
    commit = starts.get(key)
    if commit is not None and commit <= started:
        return Change(key, commit, "commit")
    return Change(key, started, "pull request opened")


def _commit_starts(db: sqlite3.Connection, traces: Sequence[str]) -> dict[str, Instant]:
    """The earliest commit of each change: pushes below it know their first commit's time."""
    sql = (
        "SELECT parent_key, json_extract(attributes, '$.\"vs.commit.first_at\"') FROM spans "
        "WHERE operation = 'push' AND parent_key <> '' "
        "AND trace_id IN (SELECT value FROM json_each(?))"
    )
    return _earliest(rows.select_in(db, sql, traces))


def _starts_of(db: sqlite3.Connection, changes: Sequence[str]) -> dict[str, Instant]:
    sql = (
        "SELECT parent_key, json_extract(attributes, '$.\"vs.commit.first_at\"') FROM spans "
        "WHERE operation = 'push' AND parent_key <> '' "
        "AND parent_key IN (SELECT value FROM json_each(?))"
    )
    return _earliest(rows.select_in(db, sql, changes))


def _earliest(found: Any) -> dict[str, Instant]:
    starts: dict[str, Instant] = {}
    for key, text in found:
        at = parse_instant(text)
        if at is not None:
            starts[key] = min(at, starts.get(key, at))
    return starts


def _signals(db: sqlite3.Connection, since: Instant, until: Instant) -> list[Signal]:
    """Incidents, and failed tests after a deployment."""
    sql = (
        "SELECT s.key, s.started_at, s.ended_at, s.service, s.environment, s.attributes, "
        "(SELECT l.parent FROM links l JOIN spans d ON d.key = l.parent "
        " WHERE l.child = s.key AND d.operation = 'deploy' AND l.rule <> 'proximity' LIMIT 1) "
        "FROM spans s WHERE s.operation IN ('incident', 'test') AND s.started_at >= ? "
        "AND s.started_at < ? AND (s.operation = 'incident' OR s.status IN ('error', 'timed_out'))"
    )
    found = []
    for key, began, ended, service, environment, attributes, deployment in db.execute(
        sql, (since, until)
    ):
        known = orjson.loads(attributes)
        found.append(
            Signal(
                key=key,
                began=began,
                ended=ended,
                service=service,
                environment=environment,
                version=str(known.get("vs.version") or known.get("service.version") or ""),
                deployment=deployment or "",
            )
        )
    return found
