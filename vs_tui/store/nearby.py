"""Spans that are linked because of when they began: what a deploy shipped, what broke after it.

Every question is asked for a whole batch in one statement. All of them are answered from the
spans as they stand, in both directions, so that the order of arrival changes nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from vs_tui.domain.correlation import PROXIMITY_WINDOW, Node
from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Rule, Span, Status
from vs_tui.domain.teams import Environments
from vs_tui.store import rows
from vs_tui.store.folder import Change

MAX_SHIPPED: Final = 50
"""Changes that one deploy is said to ship; the newest ones."""
MOVING_VERSIONS: Final = ("latest", "stable", "edge", "nightly", "main", "master", "develop")
"""Versions that name something else tomorrow: to deploy one again is no rollback."""
NODE_COLUMNS: Final = (
    "{0}.key, {0}.operation, COALESCE({0}.started_at, {0}.ended_at, {0}.last_event_at), "
    "{0}.ended_at, {0}.status"
)
"""Of the table with alias {0}; `node_of` reads them."""

_NODE: Final = NODE_COLUMNS.format("s")
_TARGET: Final = (
    "{0}.project = {1}.project AND {0}.service = {1}.service AND {0}.environment = {1}.environment"
)
# A partial index serves a query only if the query repeats the index's own condition.
_INDEXED_TARGET: Final = "s.operation IN ('deploy', 'incident')"
_PRODUCTION: Final = Environments()


def node_of(row: Sequence[Any]) -> Node:
    """The node of NODE_COLUMNS."""
    key, operation, at, ended_at, status = row
    return Node(key, operation, at, ended_at, Status(status))


def affected(connection: sqlite3.Connection, changes: Sequence[Change]) -> Iterator[str]:
    """Keys of spans whose links by time may be others after these changes."""
    deploys: set[tuple[str, str, str, Instant]] = set()
    merged: set[tuple[str, Instant]] = set()
    versions: list[str] = []
    for change in changes:
        for span in (change.old, change.new):
            if span is None:
                continue
            if span.operation == "deploy" and span.started_at is not None:
                deploys.add((span.project, span.service, span.environment, span.started_at))
            elif span.operation == "pull_request" and span.ended_at is not None:
                merged.add((span.project, span.ended_at))
        if change.new.operation == "deploy":
            versions.append(change.new.key)
    yield from _next_deploys(connection, deploys)
    yield from _deploys_after_merges(connection, merged)
    yield from _incidents(connection, deploys)
    yield from _redeployed(connection, versions)


def candidates(
    connection: sqlite3.Connection, spans: Mapping[str, Span]
) -> dict[str, list[tuple[Rule, Node]]]:
    """What each of these spans is linked to by time."""
    found: dict[str, list[tuple[Rule, Node]]] = {}
    deploys = [key for key, span in spans.items() if span.operation == "deploy"]
    repeats = _repeats(connection, deploys)
    for child, node in _shipped(connection, [key for key in deploys if key not in repeats]):
        found.setdefault(child, []).append((Rule.SHIPS, node))
    incidents = {
        key: span
        for key, span in spans.items()
        if span.operation == "incident" and span.service and span.started_at is not None
    }
    for child, node in _suspects(connection, incidents):
        found.setdefault(child, []).append((Rule.PROXIMITY, node))
    return found


def _next_deploys(
    connection: sqlite3.Connection, deploys: Iterable[tuple[str, str, str, Instant]]
) -> Iterator[str]:
    """The deploys of the same target up to the next one that succeeded: what they shipped
    depends on the one before."""
    sql = (
        "WITH moved AS (SELECT json_extract(value, '$[0]') AS project, "
        "json_extract(value, '$[1]') AS service, json_extract(value, '$[2]') AS environment, "
        "json_extract(value, '$[3]') AS moment FROM json_each(?)) "
        "SELECT s.key FROM moved CROSS JOIN spans s ON s.operation = 'deploy' "
        f"AND {_TARGET.format('s', 'moved')} AND s.started_at > moved.moment "
        f"AND s.started_at <= {_first_success('moved', '>')}"
    )
    return _column(connection, sql, deploys)


def _deploys_after_merges(
    connection: sqlite3.Connection, merged: Iterable[tuple[str, Instant]]
) -> Iterator[str]:
    """For each target of the repository, the deploys from the merge to the first success."""
    # The targets are found by skipping from one to the next in the index of deploys.
    sql = (
        "WITH RECURSIVE merge AS (SELECT json_extract(value, '$[0]') AS project, "
        "json_extract(value, '$[1]') AS moment FROM json_each(?)), "
        "target(id) AS (SELECT (SELECT rowid FROM spans WHERE operation = 'deploy' "
        "AND project = repo.project ORDER BY service, environment LIMIT 1) "
        "FROM (SELECT DISTINCT project FROM merge) repo "
        "UNION ALL SELECT COALESCE("
        "(SELECT n.rowid FROM spans n WHERE n.operation = 'deploy' AND n.project = c.project "
        "AND n.service = c.service AND n.environment > c.environment "
        "ORDER BY n.environment LIMIT 1), "
        "(SELECT n.rowid FROM spans n WHERE n.operation = 'deploy' AND n.project = c.project "
        "AND n.service > c.service ORDER BY n.service, n.environment LIMIT 1)) "
        "FROM target CROSS JOIN spans c ON c.rowid = target.id) "
        "SELECT s.key FROM merge CROSS JOIN target CROSS JOIN spans c "
        "ON c.rowid = target.id AND c.project = merge.project "
        f"CROSS JOIN spans s ON s.operation = 'deploy' AND {_TARGET.format('s', 'c')} "
        f"AND s.started_at >= merge.moment AND s.started_at <= {_first_success('c', '>=')}"
    )
    return _column(connection, sql, merged)


def _first_success(of: str, after: str) -> str:
    """SQL: when the first deploy of a target succeeded from `moment` on."""
    return (
        "COALESCE((SELECT x.started_at FROM spans x WHERE x.operation = 'deploy' "
        f"AND {_TARGET.format('x', of)} AND x.started_at {after} moment "
        "AND x.status = 'ok' ORDER BY x.started_at LIMIT 1), 9223372036854775807)"
    )


def _incidents(
    connection: sqlite3.Connection, deploys: Iterable[tuple[str, str, str, Instant]]
) -> Iterator[str]:
    """The incidents of a service within the window after its deploy."""
    sql = (
        "WITH moved AS (SELECT json_extract(value, '$[1]') AS service, "
        "json_extract(value, '$[2]') AS environment, json_extract(value, '$[3]') AS moment "
        "FROM json_each(?)) "
        f"SELECT s.key FROM moved CROSS JOIN spans s ON {_INDEXED_TARGET} "
        "AND s.operation = 'incident' AND s.service = moved.service "
        "AND s.environment IN (moved.environment, '') "
        f"AND s.started_at BETWEEN moved.moment AND moved.moment + {PROXIMITY_WINDOW} "
        "WHERE moved.service <> ''"
    )
    return _column(connection, sql, deploys)


# `via` of the artifacts that a deploy offers; a moving version is no version.
_VERSIONS: Final = (
    "o.via IN ('sha', 'version') AND o.token LIKE 'artifact:%' "
    f"AND substr(o.value, instr(o.value, '@') + 1) NOT IN {MOVING_VERSIONS}"
)
_OFFERED_TOO: Final = (
    "EXISTS (SELECT 1 FROM offers o CROSS JOIN offers p ON p.token = o.token "
    f"AND p.scope = o.scope AND p.value = o.value AND p.key = e.key "
    f"WHERE o.key = d.key AND {_VERSIONS})"
)


def _redeployed(connection: sqlite3.Connection, deploys: Sequence[str]) -> Iterator[str]:
    """Later deploys of the same version to the same target: they may be its repeats."""
    sql = (
        "SELECT e.key FROM spans d CROSS JOIN spans e ON e.operation = 'deploy' "
        f"AND {_TARGET.format('e', 'd')} AND e.started_at > d.started_at "
        f"WHERE d.key IN (SELECT value FROM json_each(?)) AND {_OFFERED_TOO}"
    )
    return (key for (key,) in rows.select_in(connection, sql, deploys))


def _repeats(connection: sqlite3.Connection, deploys: Sequence[str]) -> set[str]:
    """The deploys of a version that the target had before: a rollback ships nothing new."""
    # Driven by the version: a version has few deploys, a target has many.
    sql = (
        "SELECT d.key FROM spans d WHERE d.key IN (SELECT value FROM json_each(?)) "
        "AND EXISTS (SELECT 1 FROM offers o CROSS JOIN offers p ON p.token = o.token "
        "AND p.scope = o.scope AND p.value = o.value "
        "CROSS JOIN spans e ON e.key = p.key AND e.operation = 'deploy' "
        f"AND {_TARGET.format('e', 'd')} AND e.started_at < d.started_at AND e.status = 'ok' "
        f"WHERE o.key = d.key AND {_VERSIONS})"
    )
    return {key for (key,) in rows.select_in(connection, sql, deploys)}


def _shipped(connection: sqlite3.Connection, deploys: Sequence[str]) -> Iterator[tuple[str, Node]]:
    """(deploy, change): changes of its repository merged since the last successful deploy."""
    sql = (
        "WITH d AS (SELECT d.key, d.project, d.started_at, (SELECT x.started_at FROM spans x "
        f"WHERE x.operation = 'deploy' AND {_TARGET.format('x', 'd')} "
        "AND x.started_at < d.started_at AND x.status = 'ok' "
        "ORDER BY x.started_at DESC LIMIT 1) AS previous "
        "FROM spans d WHERE d.key IN (SELECT value FROM json_each(?))) "
        f"SELECT d.key, {_NODE} FROM d CROSS JOIN spans s ON s.rowid IN ("
        "SELECT m.rowid FROM spans m WHERE m.operation = 'pull_request' AND m.status = 'ok' "
        "AND m.project = d.project AND m.ended_at > d.previous AND m.ended_at <= d.started_at "
        f"ORDER BY m.ended_at DESC, m.key LIMIT {MAX_SHIPPED})"
    )
    for child, *node in rows.select_in(connection, sql, deploys):
        yield child, node_of(node)


def _suspects(
    connection: sqlite3.Connection, incidents: Mapping[str, Span]
) -> Iterator[tuple[str, Node]]:
    """(incident, deploy): the newest deploy of its service and environment in the window.

    Where the incident names no environment, production is meant, else any.
    """
    sql = (
        f"SELECT i.key, s.environment, s.started_at, {_NODE} FROM spans i CROSS JOIN spans s "
        f"ON {_INDEXED_TARGET} AND s.operation = 'deploy' AND s.service = i.service "
        "AND s.environment {} "
        f"AND s.started_at BETWEEN i.started_at - {PROXIMITY_WINDOW} AND i.started_at "
        "WHERE i.key IN (SELECT value FROM json_each(?))"
    )
    placed = [key for key, span in incidents.items() if span.environment]
    found = [
        *rows.select_in(connection, sql.format("= i.environment"), placed),
        *rows.select_in(connection, sql.format(">= ''"), incidents.keys() - placed),
    ]
    best: dict[str, tuple[tuple[bool, Instant, str], Node]] = {}
    for child, environment, started_at, *row in found:
        node = node_of(row)
        rank = (_PRODUCTION.is_production(environment), started_at, node.key)
        if child not in best or rank > best[child][0]:
            best[child] = (rank, node)
    for child, (_, node) in best.items():
        yield child, node


def _column(
    connection: sqlite3.Connection, sql: str, parameters: Iterable[tuple[Any, ...]]
) -> Iterator[str]:
    return (key for (key,) in rows.select_in(connection, sql, parameters))
