"""The views of the database for other tools. They use only functions that every SQLite has;
docs/sql.md documents them, and they stay stable. Their times are text in UTC, such as
2026-03-02T09:12:00.000Z; missing values are NULL."""

from __future__ import annotations

from typing import Final

from vs_tui.store.metrics.first_shipment import FIRST_OF_PROJECT


def _time(column: str, name: str) -> str:
    return f"strftime('%Y-%m-%dT%H:%M:%fZ', {column} / 1000000.0, 'unixepoch') AS {name}"


def _texts(*columns: str) -> str:
    return ", ".join(f"NULLIF({column}, '') AS {column.rpartition('.')[2]}" for column in columns)


_SPANS: Final = f"""
CREATE VIEW v_spans AS SELECT
    ref, key, trace_id, {_texts("parent_key")}, source, operation, name, status,
    {_time("started_at", "started_at")},
    {_time("ended_at", "ended_at")},
    MAX(ended_at - started_at, 0) / 1000000.0 AS duration_s,
    active / 1000000.0 AS active_s,
    {_texts("project", "team", "service", "environment", "actor", "url")},
    attempt, reopens, {_texts("stage", "error")},
    derived AS is_phase, attributes,
    started_at AS started_us, ended_at AS ended_us
FROM spans;
"""

_LINKS: Final = """
CREATE VIEW v_links AS SELECT
    l.child, l.parent, c.ref AS child_ref, p.ref AS parent_ref,
    c.trace_id AS child_trace_id, p.trace_id AS parent_trace_id,
    l.rule, l.why, l.is_primary AS is_parent
FROM links l LEFT JOIN spans c ON c.key = l.child LEFT JOIN spans p ON p.key = l.parent;
"""

_TEAMS: Final = "NULLIF(REPLACE(p.team, CHAR(10), ', '), '') AS team"

DEPLOYMENTS: Final = f"""
CREATE VIEW v_deployments AS SELECT
    d.key, d.span AS span_key, d.trace_id, {_texts("d.name")},
    d.project, {_TEAMS}, {_texts("d.service", "d.environment", "p.product")},
    {_time("d.started_at", "started_at")},
    {_time("d.ended_at", "ended_at")},
    NULLIF(MAX(d.ended_at - d.started_at, 0), 0) / 1000000.0 AS duration_s,
    d.outcome, d.failed_at IS NOT NULL AS failed,
    {_time("d.failed_at", "failed_at")},
    NULLIF(d.reasons, '') AS failure_signs, NULLIF(d.repair, '') AS rework,
    {_texts("d.version")}, NULLIF(d.commit_id, '') AS commit_sha,
    d.unit = 1 AS is_part, d.started_at AS started_us, d.ended_at AS ended_us
FROM dora_deployments d JOIN dora_places p ON p.id = d.place WHERE d.outcome IN ('ok', 'failed');
"""

_STAGES: Final = ", ".join(
    f"c.{stage} / 1000000.0 AS {stage}_s"
    for stage in ("coding", "pickup", "review", "merge_wait", "build", "deploy_wait", "deploy")
)

_CHANGES: Final = f"""
CREATE VIEW v_changes AS SELECT
    c.change, c.deployment, c.kind, {_texts("c.title")},
    p.project, {_TEAMS}, {_texts("p.service", "p.environment")},
    {_time("c.at", "shipped_at")},
    c.lead / 1000000.0 AS lead_s, NULLIF(c.basis, '') AS lead_from,
    {_STAGES},
    {FIRST_OF_PROJECT} AS is_first, c.at AS shipped_us
FROM dora_changes c JOIN dora_places p ON p.id = c.place;
"""

INCIDENTS: Final = f"""
CREATE VIEW v_incidents AS SELECT
    i.key, s.ref, s.name, {_TEAMS.replace("p.", "i.")},
    {_texts("s.project", "s.service", "s.environment")},
    {_time("i.started_at", "started_at")},
    {_time("i.restored_at", "restored_at")},
    {_time("i.finished_at", "finished_at")},
    NULLIF(MAX(i.restored_at - i.started_at, 0), 0) / 1000000.0 AS time_to_restore_s,
    {_time("i.deployed_at", "deployed_at")},
    CASE WHEN i.started_at >= i.deployed_at AND i.started_at IS NOT i.finished_at
        THEN (i.started_at - i.deployed_at) / 1000000.0 END AS time_to_detect_s,
    i.started_at AS started_us
FROM dora_incidents i LEFT JOIN spans s ON s.key = i.key;
"""

CREATE_VIEWS: Final = _SPANS + _LINKS + DEPLOYMENTS + _CHANGES + INCIDENTS
