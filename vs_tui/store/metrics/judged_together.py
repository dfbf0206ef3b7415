"""Finds the traces by which deployments were judged. A rebuild judges a deployment again, so it
needs all of them, or none."""

from __future__ import annotations

import sqlite3
from typing import Final

from vs_tui.metrics.facts import Kind
from vs_tui.model.time import Instant

_CLOSED: Final = "d.repair = 'closed a failure' AND d.ended_at < :before"
_AT_ONCE: Final = "i.started_at <= d.started_at AND i.restored_at >= d.ended_at"
# Of each deployment the keys of the spans by which it was judged, and of those that it concerns.
_USED: Final = " UNION ALL ".join(
    f"SELECT d.own, d.last, {used}"
    for used in (
        # what failed it: incidents, tests (also one of several runs), rollbacks
        "g.span FROM d CROSS JOIN dora_signals g ON g.deployment = d.key",
        "g.key FROM d CROSS JOIN dora_signals g ON g.deployment = d.key",
        "rtrim(rtrim(g.key, '0123456789'), '#') FROM d CROSS JOIN dora_signals g "
        "ON g.deployment = d.key AND g.kind = 'test'",
        "r.span FROM d CROSS JOIN dora_signals g ON g.deployment = d.key "
        "CROSS JOIN dora_deployments r ON r.key = g.key",
        # what ended these failures
        "c.key FROM d CROSS JOIN dora_signals g ON g.deployment = d.key "
        "CROSS JOIN metric_deploys c ON c.project = d.project AND c.service = d.service "
        "AND c.environment = d.environment AND c.ended_at = g.ended_at",
        "t.key FROM d CROSS JOIN dora_signals g ON g.deployment = d.key AND g.kind = 'test' "
        "CROSS JOIN spans t INDEXED BY spans_ended ON t.derived = 0 AND t.ended_at = g.ended_at "
        "AND t.operation = 'test' AND t.project = d.project",
        # the failures that it ended
        f"o.span FROM d CROSS JOIN dora_signals g ON {_CLOSED} AND g.place = d.place "
        "AND g.at < d.ended_at AND g.started_at <= d.started_at AND g.ended_at >= d.ended_at "
        "CROSS JOIN dora_deployments o ON o.key = g.deployment",
        f"i.key FROM d CROSS JOIN metric_incidents i ON {_CLOSED} AND i.service = d.service "
        f"AND {_AT_ONCE}",
        f"i.key FROM d CROSS JOIN metric_incidents i ON {_CLOSED} AND i.project = d.project "
        f"AND i.service = '' AND {_AT_ONCE}",
        # what it shipped
        "c.change FROM d CROSS JOIN dora_changes c ON c.deployment = d.key",
        "x.key FROM d CROSS JOIN dora_changes c ON c.deployment = d.key "
        f"AND c.kind = '{Kind.COMMIT}' CROSS JOIN vcs_commits x ON x.project = d.project "
        "AND x.commit_id = substr(c.change, length(d.project) + 2)",
        "x.key FROM d CROSS JOIN vcs_commits x ON length(d.commit_id) >= 7 "
        "AND x.project = d.project AND x.commit_id >= d.commit_id "
        "AND x.commit_id < d.commit_id || 'g'",
        # the other parts of a product deployment
        "o.span FROM d CROSS JOIN dora_deployments o ON d.product_group <> '' "
        "AND o.product_group = d.product_group",
    )
)
_TOGETHER: Final = (
    "WITH d AS MATERIALIZED (SELECT d.*, s.trace_id AS own, s.last_event_at AS last "
    "FROM dora_deployments d CROSS JOIN spans s ON s.key = d.span "
    f"WHERE d.rowid > :after AND d.rowid <= :until), used(own, last, key) AS ({_USED}) "
    "SELECT DISTINCT u.own, s.trace_id FROM used u CROSS JOIN spans s ON s.key = u.key "
    "WHERE s.trace_id <> u.own AND (s.last_event_at < :before OR u.last < :before)"
)


def judged_together(
    db: sqlite3.Connection, before: Instant, after: int, count: int
) -> tuple[list[frozenset[str]], int | None]:
    """Pairs of traces, of which at least one may have ended before an instant: the one with a
    deployment, and one by which it was judged. Reads the next `count` deployments after a row id;
    returns also the id to continue from, None at the end."""
    sql = (
        "SELECT MAX(n) FROM (SELECT rowid AS n FROM dora_deployments WHERE rowid > ? "
        "ORDER BY rowid LIMIT ?)"
    )
    until: int | None = db.execute(sql, (after, count)).fetchone()[0]
    if until is None:
        return [], None
    bound = {"before": before, "after": after, "until": until}
    return [frozenset(pair) for pair in db.execute(_TOGETHER, bound)], until
