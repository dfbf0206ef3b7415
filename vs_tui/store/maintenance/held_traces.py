"""Finds the old finished traces that a prune keeps."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson

from vs_tui.metrics.facts import Kind
from vs_tui.model.time import Instant
from vs_tui.store.maintenance.old_traces import DELIVERIES_AT_ONCE, OVER, TOLD

DEPLOYMENTS_AT_ONCE: Final = 200
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
"""SQL: pairs of traces, of which at least one may have ended before an instant: the one with a
deployment, and one by which it was judged."""


class Held:
    """Finds the old finished traces that a trace that stays needs in a rebuild."""

    def __init__(self, before: Instant) -> None:
        self._before = before
        self._after = 0
        self._until: int | None = None
        self._judged = 0
        self._together: set[frozenset[str]] = set()
        self.count = 0
        """Number of these that are old and finished."""

    def look(self, connection: sqlite3.Connection) -> bool:
        """Read the next 2,000 deliveries, after them the next deployments. Returns whether there
        may be more."""
        if self._until is None:
            self._until = connection.execute("SELECT MAX(id) FROM deliveries").fetchone()[0] or 0
        last = connection.execute(
            "SELECT MAX(id) FROM (SELECT id FROM deliveries WHERE id > ? AND id <= ? "
            "ORDER BY id LIMIT ?)",
            (self._after, self._until, DELIVERIES_AT_ONCE),
        ).fetchone()[0]
        if last is None:
            return self._look_at_deployments(connection)
        told = connection.execute(
            f"SELECT deliveries.id, s.trace_id FROM deliveries, {TOLD} WHERE deliveries.id > ? "
            "AND deliveries.id <= ? AND deliveries.keys LIKE '%\",\"%'",
            (self._after, last),
        )
        for _, rows in groupby(told.fetchall(), itemgetter(0)):
            traces = frozenset(trace for _, trace in rows)
            if len(traces) > 1:
                self._together.add(traces)
        self._after = last
        return True

    def _look_at_deployments(self, connection: sqlite3.Connection) -> bool:
        """Read the next deployments, with the traces by which they were judged. A rebuild judges a
        deployment again, so it needs all of them, or none."""
        sql = (
            "SELECT MAX(n) FROM (SELECT rowid AS n FROM dora_deployments WHERE rowid > ? "
            "ORDER BY rowid LIMIT ?)"
        )
        (until,) = connection.execute(sql, (self._judged, DEPLOYMENTS_AT_ONCE)).fetchone()
        if until is None:
            return False
        bound = {"before": self._before, "after": self._judged, "until": until}
        self._together.update(map(frozenset, connection.execute(_TOGETHER, bound)))
        self._judged = until
        return True

    def traces(self, connection: sqlite3.Connection) -> frozenset[str]:
        """The old finished traces that must not be deleted."""
        beside: dict[str, list[frozenset[str]]] = {}
        for traces in self._together:
            for trace in traces:
                beside.setdefault(trace, []).append(traces)
        over = {
            trace
            for (trace,) in connection.execute(
                f"{OVER} AND trace_id IN (SELECT value FROM json_each(:involved))",
                {"before": self._before, "involved": orjson.dumps(sorted(beside)).decode()},
            )
        }
        held: set[str] = set()
        staying = [trace for trace in beside if trace not in over]
        while staying:
            for traces in beside.pop(staying.pop(), ()):
                staying += traces & beside.keys()
                held |= traces
        found = frozenset(held & over)
        self.count = len(found)
        return found
