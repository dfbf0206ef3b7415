"""Finds the old finished traces that a prune keeps."""

from __future__ import annotations

import sqlite3
from itertools import groupby
from operator import itemgetter
from typing import Final

import orjson

from vs_tui.model.time import Instant
from vs_tui.store.maintenance.old_traces import DELIVERIES_AT_ONCE, OVER, TOLD
from vs_tui.store.metrics.judged_together import judged_together

DEPLOYMENTS_AT_ONCE: Final = 200


class Held:
    """Finds the old finished traces that a trace that stays needs in a rebuild."""

    def __init__(self, before: Instant) -> None:
        self._before = before
        self._after = 0
        self._until: int | None = None
        self._judged: int | None = 0
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
        if self._judged is not None:
            pairs, self._judged = judged_together(
                connection, self._before, self._judged, DEPLOYMENTS_AT_ONCE
            )
            self._together.update(pairs)
        return self._judged is not None

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
