"""Spans that are linked because of when they began: what broke after a deploy.

Every question is asked for a whole batch in one statement. All of them are answered from the
spans as they stand, in both directions, so that the order of arrival changes nothing.
What a deploy shipped is in `shipped_changes`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from vs_tui.metrics.facts import spellings
from vs_tui.model.teams import Environments
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Rule, Span, Status
from vs_tui.store import rows
from vs_tui.store.span_folding import Change
from vs_tui.traces.correlation import PROXIMITY_WINDOW, Node

NODE_COLUMNS: Final = (
    "{0}.key, {0}.operation, COALESCE({0}.started_at, {0}.ended_at, {0}.last_event_at), "
    "{0}.ended_at, {0}.status"
)
"""Of the table with alias {0}; `node_of` reads them."""

_NODE: Final = NODE_COLUMNS.format("s")
MAX_SUSPECTS: Final = 50
"""Deploys that an incident without an environment is compared with, the newest ones."""
_PRODUCTION: Final = Environments()


def node_of(row: Sequence[Any]) -> Node:
    """The node of NODE_COLUMNS."""
    key, operation, at, ended_at, status = row
    return Node(key, operation, at, ended_at, Status(status))


def affected(connection: sqlite3.Connection, changes: Sequence[Change]) -> Iterator[str]:
    """Incidents that may follow another deploy after these changes."""
    deploys = {
        place
        for change in changes
        if _target(change.old) != _target(change.new)
        for place in (_target(change.old), _target(change.new))
        if place is not None
    }
    spelt = {(service, name, at) for service, env, at in deploys for name in spellings(env)}
    return _incidents(connection, spelt, deploys)


def _target(span: Span | None) -> tuple[str, str, Instant] | None:
    """What was deployed, where and when; None for what is no deploy, or a cancelled one."""
    if span is None or span.operation != "deploy" or span.started_at is None or not span.service:
        return None
    if span.status is Status.CANCELLED:
        return None
    return span.service, span.environment, span.started_at


def candidates(
    connection: sqlite3.Connection, spans: Mapping[str, Span]
) -> dict[str, list[tuple[Rule, Node]]]:
    """The deploy that each of the incidents among these spans may have followed."""
    incidents = {
        key: span
        for key, span in spans.items()
        if span.operation == "incident" and span.service and span.started_at is not None
    }
    return {child: [(Rule.PROXIMITY, node)] for child, node in _suspects(connection, incidents)}


# The incidents that a deploy may have caused end where the next one of its target begins.
_INCIDENTS: Final = (
    "SELECT s.key FROM (SELECT json_extract(value, '$[0]') AS service, "
    "json_extract(value, '$[1]') AS environment, json_extract(value, '$[2]') AS moment "
    "FROM json_each({0})) moved CROSS JOIN spans s ON s.operation = 'incident' "
    "AND s.service = moved.service AND s.environment = {1} AND s.started_at >= moved.moment "
    f"AND s.started_at <= moved.moment + {PROXIMITY_WINDOW} AND s.started_at < COALESCE(("
    "SELECT n.started_at FROM spans n WHERE n.operation = 'deploy' AND n.service = moved.service "
    "AND n.started_at > moved.moment AND n.status <> 'cancelled' {2} "
    "ORDER BY n.started_at LIMIT 1 OFFSET {3}), 9223372036854775807)"
)


def _incidents(
    connection: sqlite3.Connection,
    placed: Collection[tuple[str, str, Instant]],
    deploys: Collection[tuple[str, str, Instant]],
) -> Iterator[str]:
    """The incidents of a service within the window after its deploy; the first ones are of the
    same environment, the others name none."""
    if not deploys:
        return iter(())
    named = _INCIDENTS.format("?1", "moved.environment", "AND n.environment = moved.environment", 0)
    placeless = _INCIDENTS.format("?2", "''", "", MAX_SUSPECTS - 1)
    bound = (rows.as_json(placed), rows.as_json(deploys))
    found = connection.execute(f"{named} UNION {placeless}", bound).fetchall()
    return (key for (key,) in found)


def _suspects(
    connection: sqlite3.Connection, incidents: Mapping[str, Span]
) -> Iterator[tuple[str, Node]]:
    """(incident, deploy): the newest deploy of its service and environment in the window, whatever
    its result unless it was cancelled. The metrics blame the same one.

    Where the incident names no environment, the newest of production among the last MAX_SUSPECTS
    of the service, else the newest of these.
    """
    sql = (
        "WITH asked AS (SELECT json_extract(value, '$[0]') AS key, "
        "json_extract(value, '$[1]') AS environment FROM json_each(?)) "
        f"SELECT i.key, s.environment, s.started_at, {_NODE} FROM asked "
        "CROSS JOIN spans i ON i.key = asked.key CROSS JOIN spans s "
        "ON s.rowid IN (SELECT d.rowid FROM spans d WHERE d.operation = 'deploy' "
        "AND d.service = i.service {} AND d.status <> 'cancelled' "
        f"AND d.started_at BETWEEN i.started_at - {PROXIMITY_WINDOW} AND i.started_at "
        "ORDER BY d.started_at DESC, d.key DESC LIMIT {})"
    )
    placed = [
        (key, name)
        for key, span in incidents.items()
        if span.environment
        for name in spellings(span.environment)
    ]
    placeless = [(key, "") for key, span in incidents.items() if not span.environment]
    found = [
        *rows.select_in(connection, sql.format("AND d.environment = asked.environment", 1), placed),
        *rows.select_in(connection, sql.format("", MAX_SUSPECTS), placeless),
    ]
    best: dict[str, tuple[tuple[bool, Instant, str], Node]] = {}
    for child, environment, started_at, *row in found:
        node = node_of(row)
        rank = (_PRODUCTION.is_production(environment), started_at, node.key)
        if child not in best or rank > best[child][0]:
            best[child] = (rank, node)
    for child, (_, node) in best.items():
        yield child, node
