"""SQL views for other tools that read the database: documented in docs/sql.md and kept stable.

They use what every SQLite has, never our own functions. Times are text in UTC, such as
2026-03-02T09:12:00.000Z; what is missing is NULL.
"""

from __future__ import annotations

from typing import Final


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

CREATE_VIEWS: Final = _SPANS + _LINKS
