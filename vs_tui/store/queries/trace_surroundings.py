"""What other traces have to do with a trace of the board: deploys that shipped its change, runs
that replaced its runs, and what is linked to its incidents."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from vs_tui.model.vocabulary import Rule, Span, Status
from vs_tui.store import rows
from vs_tui.traces.correlation import NAMED
from vs_tui.traces.standing import Surroundings
from vs_tui.traces.trace_facts import MACHINES

_SHIPPED: Final = 50
"""Most deploys of other traces that are read for one change."""
_NAMING: Final = 50
"""Most traces that name open incidents, of those begun last."""
_CERTAIN: Final = NAMED | {Rule.VERSION, Rule.COMMIT, Rule.BUILT}
"""Rules by which an incident names a deploy; others go by time."""
LISTED: Final = "derived = 0 AND operation <> 'stage'"
"""SQL: neither a phase nor a step of a job."""


def spans_of(
    db: sqlite3.Connection, trace_ids: Iterable[str], team: str = ""
) -> dict[str, list[Span]]:
    """Trace id -> its spans sorted by start, without phases and steps of jobs; with a team its
    spans only."""
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE {LISTED} "
        f"AND trace_id {rows.KEYS} ORDER BY trace_id, started_at"
    )
    found: dict[str, list[Span]] = {}
    for row in rows.select_in(db, sql, trace_ids):
        span = rows.span_of(row)
        if team in ("", span.team):
            found.setdefault(span.trace_id, []).append(span)
    return found


def surroundings(db: sqlite3.Connection, incidents: Sequence[str]) -> dict[str, Surroundings]:
    """Incident -> the deploys it is linked to and the traces that name it; without those that have
    neither."""
    sql = (
        "SELECT l.child, l.parent, l.rule FROM links l JOIN spans d ON d.key = l.parent "
        f"WHERE d.operation = 'deploy' AND l.child {rows.KEYS}"
    )
    linked = list(rows.select_in(db, sql, incidents))
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE key {rows.KEYS}"
    deploys = {
        span.key: span
        for row in rows.select_in(db, sql, {parent for _, parent, _ in linked})
        if (span := rows.span_of(row))
    }
    sql = (
        "SELECT DISTINCT o.key, s.trace_id FROM offers o JOIN seeks k ON k.token = o.token "
        "AND k.scope = o.scope AND k.value = o.value JOIN spans s ON s.key = k.key "
        f"JOIN spans i ON i.key = o.key WHERE o.key {rows.KEYS} "
        "AND s.operation IN ('issue', 'pull_request') AND s.started_at > i.started_at "
        f"AND s.trace_id <> i.trace_id ORDER BY s.started_at DESC LIMIT {_NAMING}"
    )
    naming = list(rows.select_in(db, sql, incidents))
    traces = {
        trace_id: [span for span in spans if span.operation in ("issue", "pull_request")]
        for trace_id, spans in spans_of(db, {trace_id for _, trace_id in naming}).items()
    }
    return {
        key: Surroundings(
            tuple(
                (deploys[parent], Rule(rule) in _CERTAIN)
                for child, parent, rule in linked
                if child == key and parent in deploys
            ),
            tuple(traces[trace_id] for child, trace_id in naming if child == key),
        )
        for key in dict.fromkeys(row[0] for row in (*linked, *naming))
    }


def joined(found: Iterable[Surroundings]) -> Surroundings:
    parts = list(found)
    return Surroundings(
        [deploy for part in parts for deploy in part.deploys],
        [spans for part in parts for spans in part.fixes],
    )


def shipped(db: sqlite3.Connection, spans: Sequence[Span]) -> list[Span]:
    """Deploys of other traces that shipped a merged change of this trace."""
    merged = [s.key for s in spans if s.operation == "pull_request" and s.status is Status.OK]
    if not merged:
        return []
    sql = (
        f"SELECT {rows.SELECT_SPAN} FROM spans WHERE operation = 'deploy' AND key IN (SELECT child "
        f"FROM links WHERE rule = 'ships' AND parent {rows.KEYS}) "
        f"ORDER BY started_at LIMIT {_SHIPPED}"
    )
    own = {span.key for span in spans}
    found = [rows.span_of(row) for row in rows.select_in(db, sql, merged)]
    return [deploy for deploy in found if deploy.key not in own]


def replaceable(spans: Sequence[Span]) -> list[Span]:
    """Runs that failed or wait, which a success in another trace may replace, but not the run of a
    change: a success on `main` does not fix a branch."""
    has_change = any(span.operation == "pull_request" for span in spans)
    return [
        span
        for span in spans
        if span.operation in MACHINES
        and (span.status.failed or span.in_flight)
        and (span.operation == "deploy" or not has_change)
    ]


def superseded(db: sqlite3.Connection, spans: Sequence[Span]) -> frozenset[str]:
    """Keys of the runs that a later success in another trace has replaced."""
    sql = (
        f"SELECT s.key FROM spans s WHERE s.key {rows.KEYS} AND EXISTS ("
        "SELECT 1 FROM spans o WHERE o.series = s.series AND o.status = 'ok' "
        "AND o.ended_at > COALESCE(s.ended_at, s.started_at) AND o.started_at > s.started_at "
        "AND o.trace_id <> s.trace_id)"
    )
    found = rows.select_in(db, sql, [span.key for span in replaceable(spans)])
    return frozenset(row[0] for row in found)


def shipping(db: sqlite3.Connection, since: int) -> set[str]:
    """Traces whose changes the deploys that changed after `since` have shipped."""
    sql = (
        "SELECT p.trace_id FROM spans d INDEXED BY spans_changed JOIN links l ON l.child = d.key "
        "JOIN spans p ON p.key = l.parent "
        "WHERE d.changed > ? AND d.operation = 'deploy' AND l.rule = 'ships'"
    )
    return {row[0] for row in db.execute(sql, (since,))}


def succeeded(db: sqlite3.Connection, since: int) -> set[str]:
    """Series of the successful spans that changed after `since`."""
    sql = "SELECT series FROM spans INDEXED BY spans_changed WHERE changed > ? AND status = 'ok'"
    return {series for (series,) in db.execute(sql, (since,))}
