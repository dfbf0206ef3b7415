"""Which spans count as production deployments and as incidents: rows kept as spans change, made
anew when a rule of the configuration does."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Final

from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import MetricRules
from vs_tui.model import filters
from vs_tui.model.teams import Environments
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows

AT_ONCE: Final = 2_000
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


class Counted:
    """Keeps the rows by one configuration."""

    def __init__(self, rules: MetricRules, environments: Environments) -> None:
        self._rules = rules
        self._environments = environments
        self._operations = _operations(rules)

    def update(self, db: sqlite3.Connection, keys: Iterable[str]) -> dict[Target, Instant]:
        """Bring the rows of changed spans up to date.

        Returns the targets that lost or got a deployment, each with the earliest moment.
        """
        operations = f"AND operation {_KEYS}" if self._operations else ""
        sql = f"SELECT {rows.SELECT_SPAN} FROM spans WHERE derived = 0 AND key {_KEYS} {operations}"
        listed = list(keys)
        know_since(db, f"key {_KEYS}", rows.as_json(listed))
        bound = [rows.as_json(listed)]
        if self._operations:
            bound.append(rows.as_json(self._operations))
        return self._write(db, [rows.span_of(row) for row in db.execute(sql, bound).fetchall()])

    def update_some(self, db: sqlite3.Connection, after: int) -> int:
        """The same for the next spans of the database; where to go on, 0 at the end."""
        operations = f"AND operation {_KEYS}" if self._operations else ""
        bound = [rows.as_json(self._operations)] if self._operations else []
        sql = (
            f"SELECT {rows.SELECT_SPAN}, rowid FROM spans WHERE rowid > ? AND derived = 0 "
            f"{operations} ORDER BY rowid LIMIT ?"
        )
        found = db.execute(sql, (after, *bound, AT_ONCE)).fetchall()
        self._write(db, [rows.span_of(row) for row in found])
        return int(found[-1][-1]) if len(found) == AT_ONCE else 0

    def _write(self, db: sqlite3.Connection, spans: Sequence[Span]) -> dict[Target, Instant]:
        touched: dict[Target, Instant] = {}
        keys = [span.key for span in spans]
        sql = f"SELECT * FROM metric_deploys WHERE key {_KEYS}"
        before = {row[0]: row for row in rows.select_in(db, sql, keys)}
        sql = f"SELECT * FROM metric_incidents WHERE key {_KEYS}"
        incidents = {row[0]: row for row in rows.select_in(db, sql, keys)}
        for span in spans:
            place = self._rules.deployment_at(span, self._environments)
            old = before.get(span.key)
            new = None
            if place is not None:
                new = (span.key, *place, span.at, span.ended_at, span.status.value)
            if old != new:
                for row in (old, new):
                    if row is not None:
                        target = Target(*row[1:4])
                        at = min(row[4], row[5] if row[5] is not None else row[4])
                        touched[target] = min(at, touched.get(target, at))
                _replace(db, "metric_deploys", span.key, new)
            where = self._rules.incident_at(span)
            fresh = None if where is None else (span.key, *where, span.at)
            if incidents.get(span.key) != fresh:
                _replace(db, "metric_incidents", span.key, fresh)
        return touched


def know_since(db: sqlite3.Connection, where: str, *bound: object) -> None:
    """Keep when something was heard of each service of a project first. What people keep open for
    long is left out: it may have begun before anything was sent."""
    db.execute(
        "INSERT INTO metric_since SELECT project, service, "
        "MIN(COALESCE(started_at, ended_at, last_event_at)) FROM spans "
        "WHERE operation IN ('deploy', 'pipeline', 'build', 'push', 'test', 'release') "
        f"AND derived = 0 AND {where} GROUP BY 1, 2 "
        "ON CONFLICT (project, service) DO UPDATE SET at = MIN(at, excluded.at)",
        bound,
    )


def _replace(db: sqlite3.Connection, table: str, key: str, row: tuple[object, ...] | None) -> None:
    db.execute(f"DELETE FROM {table} WHERE key = ?", (key,))
    if row is not None:
        db.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)


def _operations(rules: MetricRules) -> list[str]:
    """The kinds of spans that any rule may be about; none: all kinds."""
    found = {"deploy", "incident", "issue"}
    for text in (*(rule.filter for rule in rules.deployments), *rules.incidents):
        kinds = [t for t in filters.parse(text).terms if t.key == "kind" and not t.negated]
        if not kinds or any("*" in value for value in kinds[0].values):
            return []
        found.update(kinds[0].values)
    return sorted(found)
