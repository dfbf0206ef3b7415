"""Judges the deployments of some targets again and writes the rows that differ: verdicts, shipped
changes, and signs of failure."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, Final

from vs_tui.metrics.assessment import Assessed, assess
from vs_tui.metrics.counted import WHOLE, Group, Place, groups_of
from vs_tui.metrics.facts import Outcome, Target
from vs_tui.metrics.failures import reverted_title
from vs_tui.metrics.products import assess_parts, failed_with, product_deployments
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.teams import Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics.evidence import evidence_of
from vs_tui.store.metrics.verdicts import (
    TOLD,
    Rows,
    parts_of,
    place_of,
    places,
    pruned,
    replace_rows,
    rows_of,
    unit_of,
)

OF_TARGET: Final = "project = ? AND service = ? AND environment = ?"
_PLACES: Final = (
    "place IN (SELECT id FROM dora_places "
    "WHERE project = ?1 AND ?2 IN (service, product) AND environment = ?3)"
)
"""SQL: the places of a target, given by its first three parameters. An artifact of a product has a
place of its own."""


class Judging:
    """One pass over some targets."""

    def __init__(
        self, db: sqlite3.Connection, rules: MetricRules, changes: Iterable[str], teams: Teams
    ) -> None:
        """`changes` are changes whose first shipment must be found again in any case."""
        self._db = db
        self._rules = rules
        self._teams = teams
        self._groups: set[str] = set()
        self._changes = set(changes)
        self._places = {place: number for number, place in places(db).items()}

    def target(self, target: Target, moment: Instant) -> None:
        """Judge the deployments of a target that an event at `moment` may affect."""
        low = self._before(target, moment)
        while True:
            since = self._before(target, self._success_before(target, low))
            evidence = evidence_of(self._db, target, since, self._rules, self._teams)
            concerned = [d for d in evidence.deployments if d.ended_at >= low]
            found = assess(evidence, {d.key for d in concerned}, self._rules)
            reverted = self._reverted(target, found)
            if reverted is None or reverted >= low:
                break
            low = reverted
        judged = {v.deployment.key: v for v in found}
        verdicts = [judged.get(d.key, Assessed(d)) for d in concerned]
        parts: dict[str, list[Assessed]] = {}
        for part in assess_parts(evidence, concerned, self._rules):
            assert part.deployment.whole is not None
            parts.setdefault(part.deployment.whole.key, []).append(part)
        verdicts = [failed_with(v, parts.get(v.deployment.key, ())) for v in verdicts]
        verdicts += [part for own in parts.values() for part in own]
        where = f"{OF_TARGET} AND {TOLD} AND ended_at >= ?"
        self._replace(where, (*target, low), verdicts)

    def _before(self, target: Target, moment: Instant) -> Instant:
        """The instant from which verdicts depend on an event at `moment`: the success before it, or
        an earlier failure that was still open or that a test closes."""
        sql = (
            f"SELECT MIN(at) FROM dora_signals WHERE {_PLACES} AND (ended_at >= ? OR "
            "(ended_at IS NULL AND (kind <> 'incident' OR started_at >= ?)))"
        )
        failed = self._db.execute(sql, (*target, moment, moment)).fetchone()[0]
        before = self._success_before(target, moment)
        return before if failed is None else min(before, failed)

    def _success_before(self, target: Target, moment: Instant) -> Instant:
        # More than one, because attempts and regions of a run end at different times.
        sql = (
            f"SELECT MIN(ended_at) FROM (SELECT ended_at FROM metric_deploys WHERE {OF_TARGET} "
            "AND ended_at < ? AND status = 'ok' ORDER BY ended_at DESC LIMIT 5) "
            "HAVING COUNT(*) > 0"
        )
        row = self._db.execute(sql, (*target, moment)).fetchone()
        if row is None:  # it may have been pruned
            sql = (
                f"SELECT ended_at FROM dora_deployments WHERE {OF_TARGET} AND ended_at < ? "
                "AND unit < 2 AND outcome = 'ok' AND span NOT IN (SELECT key FROM spans "
                "WHERE key = dora_deployments.span) ORDER BY ended_at DESC LIMIT 1"
            )
            row = self._db.execute(sql, (*target, moment)).fetchone()
        return row[0] if row else 0

    def _reverted(self, target: Target, found: Iterable[Assessed]) -> Instant | None:
        """The first shipment of a change that these deployments revert; None without a revert."""
        titles = {reverted_title(s.change.title) for verdict in found for s in verdict.shipped}
        titles.discard("")
        if not titles:
            return None
        sql = (
            "SELECT MIN(c.at) FROM json_each(?4) t CROSS JOIN dora_changes c "
            # with or without the number of its pull request, such as ` (#7)`
            "ON c.title >= t.value AND c.title < t.value || ' )' AND c.title <> '' "
            f"WHERE (c.title = t.value OR c.title LIKE '% (%)') AND c.{_PLACES}"
        )
        at: Instant | None = self._db.execute(sql, (*target, rows.as_json(titles))).fetchone()[0]
        return at

    def _replace(
        self,
        where: str,
        bound: Sequence[Any],
        verdicts: Iterable[Assessed],
        unit: int | None = None,
    ) -> None:
        """Replace the stored deployments that meet a condition by these verdicts."""
        wanted: Rows = {}
        for verdict in verdicts:
            place = self._place(place_of(verdict))
            own = unit_of(verdict) if unit is None else unit
            for table, found in rows_of(verdict, own, place).items():
                wanted.setdefault(table, set()).update(found)
        keys = {row[0] for row in wanted.get("dora_deployments", ())}
        sql = f"SELECT key, span FROM dora_deployments WHERE {where}"
        stored = dict(self._db.execute(sql, bound).fetchall())
        if unit != WHOLE:
            # Verdicts stay when their traces are deleted.
            gone = pruned(self._db, (span for key, span in stored.items() if key not in keys))
            stored = {key: span for key, span in stored.items() if span not in gone}
        for each in replace_rows(self._db, keys | stored.keys(), wanted):
            self._changes.update(row[1] for row in each["dora_changes"])
            if unit != WHOLE:
                self._groups.update(row[15] for row in each["dora_deployments"] if row[15])

    def _place(self, place: Place) -> int:
        if place not in self._places:
            self._places[place] = rows.id_of(self._db, "dora_places", Place._fields, place)
        return self._places[place]

    def products(self) -> None:
        """Build the product deployments again whose parts changed."""
        for group in sorted(self._groups):
            parts = parts_of(self._db, group)
            whole = product_deployments(
                [part for part in parts if part.deployment.finished],
                [p.deployment for p in parts if p.deployment.outcome is Outcome.PENDING],
            )
            self._replace("product_group = ? AND unit = 2", (group,), whole, WHOLE)

    def first_shipments(self) -> None:
        """Mark the deployment of each group in which a change counts: the first that shipped it."""
        sql = (
            "SELECT change, deployment, unit, place, first FROM dora_changes "
            f"WHERE change {rows.KEYS} ORDER BY at, deployment"
        )
        named = {number: place for place, number in self._places.items()}
        groups_at = cache(lambda place, unit: groups_of(named[place], unit))
        shipped: set[tuple[str, Group]] = set()
        moved = []
        for change, deployment, unit, place, before in rows.select_in(self._db, sql, self._changes):
            fresh = {(change, group) for group in groups_at(place, unit)} - shipped
            shipped |= fresh
            bits = sum(group.bit for _, group in fresh)
            if bits != before:
                moved.append((bits, deployment, change))
        self._db.executemany(
            "UPDATE dora_changes SET first = ? WHERE deployment = ? AND change = ?", moved
        )
