"""Judges the deployments of some targets anew and writes what differs: verdicts, what they shipped,
failures, blames, and the records of the groups they count in."""

from __future__ import annotations

import sqlite3
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from vs_tui.metrics.assessment import Assessed, assess
from vs_tui.metrics.columns import UNKNOWN
from vs_tui.metrics.facts import Deployment, Outcome, Target
from vs_tui.metrics.failures import name_of
from vs_tui.metrics.ledger import (
    BASES,
    Place,
    Shipment,
    bit_of,
    first_of_each,
    place_of,
    stage_times,
)
from vs_tui.metrics.products import group_of, product_deployments
from vs_tui.metrics.reading import incident_of
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics_facts import stretch_of
from vs_tui.store.metrics_members import (
    PART,
    SINGLE,
    WHOLE,
    Members,
    counted_in,
    place_id,
    places,
    pruned,
)
from vs_tui.store.metrics_rows import verdict_of, verdict_text
from vs_tui.store.span_folding import load_spans

_OF_TARGET: Final = "project = ? AND service = ? AND environment = ?"
_KEYS: Final = "IN (SELECT value FROM json_each(?))"


class Judging:
    """One pass over some targets: rows written, and whose records it touched."""

    def __init__(
        self, db: sqlite3.Connection, rules: MetricRules, changes: Iterable[str], teams: Teams
    ) -> None:
        """`changes`: those whose first shipments are to be found again in any case."""
        self._db = db
        self._rules = rules
        self._teams = teams
        self.members = Members(db)
        self._groups: set[str] = set()
        self._changes = set(changes)
        self._blamed: set[str] = set()
        self._places: dict[Place, int] = {p: n for n, p in places(db).items()}

    def target(self, target: Target, moment: Instant) -> None:
        """Judge the deployments of a target that something at `moment` may concern."""
        low = self._low(target, moment)
        context = self._context(target, low)
        stretch = stretch_of(self._db, target, context, self._rules, self._teams)
        concerned = [d for d in stretch.deployments if d.ended_at >= low]
        found = assess(stretch.facts, {d.key for d in concerned}, self._rules)
        judged = {v.deployment.key: v for v in found}
        verdicts = [judged.get(d.key, Assessed(d)) for d in concerned]
        where = f"{_OF_TARGET} AND unit < 2 AND ended_at >= ?"
        self._replace(where, (*target, low), {v.deployment.key: v for v in verdicts})

    def _low(self, target: Target, moment: Instant) -> Instant:
        """From where on verdicts may change."""
        before = self._success_before(target, moment)
        lasting = self._episodes_since(target, moment)
        return before if lasting is None else min(before, lasting)

    def _context(self, target: Target, low: Instant) -> Instant:
        """From where on facts are needed to judge what ended at `low` and later."""
        before = self._success_before(target, self._success_before(target, low))
        lasting = self._episodes_since(target, low)
        return before if lasting is None else min(before, lasting)

    def _success_before(self, target: Target, moment: Instant) -> Instant:
        # A few more than one: attempts and regions of one run end apart.
        sql = (
            f"SELECT MIN(ended_at) FROM (SELECT ended_at FROM metric_deploys WHERE {_OF_TARGET} "
            "AND ended_at < ? AND status = 'ok' ORDER BY ended_at DESC LIMIT 5) "
            "HAVING COUNT(*) > 0"
        )
        row = self._db.execute(sql, (*target, moment)).fetchone()
        if row is None:  # it may have been pruned
            sql = (
                f"SELECT ended_at FROM dora_deployments WHERE {_OF_TARGET} AND ended_at < ? "
                "AND unit < 2 AND outcome = 'ok' AND span NOT IN (SELECT key FROM spans "
                "WHERE key = dora_deployments.span) ORDER BY ended_at DESC LIMIT 1"
            )
            row = self._db.execute(sql, (*target, moment)).fetchone()
        return row[0] if row else 0

    def _episodes_since(self, target: Target, moment: Instant) -> Instant | None:
        sql = (
            f"SELECT MIN(at) FROM dora_episodes WHERE {_OF_TARGET} "
            "AND (ended_at IS NULL OR ended_at >= ?)"
        )
        found: Instant | None = self._db.execute(sql, (*target, moment)).fetchone()[0]
        return found

    def _replace(
        self, where: str, bound: Sequence[Any], verdicts: Mapping[str, Assessed], unit: int = 0
    ) -> None:
        """Make the rows that match be those of these verdicts; unchanged ones are left alone."""
        sql = (
            "SELECT key, verdict, id, product_group, span FROM dora_deployments "
            f"WHERE {where} UNION SELECT key, verdict, id, product_group, span "
            f"FROM dora_deployments WHERE key {_KEYS}"
        )
        stored = {
            row[0]: row[1:] for row in self._db.execute(sql, (*bound, rows.as_json(verdicts)))
        }
        if unit != WHOLE:
            missing = {key: stored[key][3] for key in stored.keys() - verdicts.keys()}
            gone_spans = pruned(self._db, missing.values())
            for key, span in missing.items():
                if span in gone_spans:
                    del stored[key]  # history does not change because its traces were deleted
        texts = {key: verdict_text(verdict) for key, verdict in verdicts.items()}
        changed = [key for key, text in texts.items() if stored.get(key, ("",))[0] != text]
        gone = [key for key in stored if key not in verdicts or key in changed]
        self.members.touch([*gone, *changed])
        self._groups.update(stored[key][2] for key in gone)
        self._delete(gone)
        # Those that keep their id come first: it must not be given to another meanwhile.
        for key in sorted(changed, key=lambda key: key not in stored):
            id_ = stored[key][1] if key in stored else None
            self._insert(id_, verdicts[key], texts[key], unit)

    def _delete(self, keys: Sequence[str]) -> None:
        if not keys:
            return
        listed = rows.as_json(keys)
        sql = f"SELECT change FROM dora_changes WHERE deployment {_KEYS}"
        self._changes.update(row[0] for row in self._db.execute(sql, (listed,)))
        sql = f"SELECT incident FROM dora_blames WHERE deployment {_KEYS}"
        self._blamed.update(row[0] for row in self._db.execute(sql, (listed,)))
        self._db.execute(f"DELETE FROM dora_deployments WHERE key {_KEYS}", (listed,))
        for table in ("dora_changes", "dora_episodes", "dora_blames"):
            self._db.execute(f"DELETE FROM {table} WHERE deployment {_KEYS}", (listed,))

    def _insert(self, id_: int | None, verdict: Assessed, text: str, unit: int) -> None:
        found = verdict.deployment
        group = _group_text(found)
        if unit == SINGLE and group:
            unit = PART
        place = self._place(place_of(verdict))
        self._db.execute(
            "INSERT INTO dora_deployments "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                id_,
                found.key,
                found.span,
                unit,
                place,
                *found.target,
                found.started_at,
                found.ended_at,
                found.outcome.value,
                int(verdict.failed),
                int(bool(verdict.rework)),
                name_of(found),
                found.commit,
                group,
                ",".join(verdict.reasons),
                verdict.rework,
                text,
            ),
        )
        self._groups.add(group if unit == PART else "")
        self._insert_parts(verdict, unit)

    def _insert_parts(self, verdict: Assessed, unit: int) -> None:
        found = verdict.deployment
        self._changes.update(shipped.change.key for shipped in verdict.shipped)
        self._db.executemany(
            "INSERT INTO dora_changes VALUES (?, ?, ?, ?, ?, ?, ?, 0)",
            [
                (
                    found.key,
                    shipped.change.key,
                    unit,
                    found.ended_at,
                    UNKNOWN if shipped.lead is None else shipped.lead,
                    BASES.index(shipped.basis),
                    array("q", stage_times(shipped.stages)).tobytes(),
                )
                for shipped in verdict.shipped
            ],
        )
        self._db.executemany(
            "INSERT INTO dora_episodes VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                (found.key, episode.started_at, episode.ended_at, *found.target, found.ended_at)
                for episode in verdict.episodes
            ],
        )
        blamed = {incident.span or incident.key for incident in verdict.blames}
        self._blamed.update(blamed)
        self._db.executemany(
            "INSERT INTO dora_blames VALUES (?, ?, ?)",
            [(incident, found.key, found.ended_at) for incident in sorted(blamed)],
        )

    def _place(self, place: Place) -> int:
        if place not in self._places:
            self._places[place] = place_id(self._db, place)
        return self._places[place]

    def products(self) -> None:
        """Put the product deployments together again whose parts changed."""
        for group in sorted(self._groups - {""}):
            sql = "SELECT verdict FROM dora_deployments WHERE product_group = ? AND unit = ?"
            parts = [verdict_of(row[0]) for row in self._db.execute(sql, (group, PART))]
            whole = product_deployments(
                [part for part in parts if part.deployment.finished],
                [p.deployment for p in parts if p.deployment.outcome is Outcome.PENDING],
            )
            self._replace(
                "product_group = ? AND unit = 2",
                (group,),
                {product.whole.deployment.key: product.whole for product in whole},
                WHOLE,
            )

    def first_shipments(self) -> None:
        """Mark in which deployment of each group a change counts."""
        sql = (
            "SELECT c.change, c.at, c.deployment, c.unit, c.first, d.place FROM dora_changes c "
            f"JOIN dora_deployments d ON d.key = c.deployment WHERE c.change {_KEYS}"
        )
        found = list(rows.select_in(self._db, sql, self._changes))
        named = {number: place for place, number in self._places.items()}
        groups = {(place, unit): counted_in(named[place], unit) for *_, unit, _, place in found}
        first = first_of_each(
            Shipment(change, at, deployment, group)
            for change, at, deployment, unit, _, place in found
            for group in groups[place, unit]
        )
        moved = []
        for change, _, deployment, unit, before, place in found:
            bits = 0
            for group in groups[place, unit]:
                if first[change, group] == deployment:
                    bits |= bit_of(group)
            if bits != before:
                moved.append((bits, deployment, change))
        self.members.touch([deployment for _, deployment, _ in moved])
        self._db.executemany(
            "UPDATE dora_changes SET first = ? WHERE deployment = ? AND change = ?", moved
        )

    def incidents(self, changed: Iterable[str], environments: Environments) -> None:
        """Keep what is counted of incidents: their times and the deployment they follow. One of
        another environment than production counts only where it names a production deployment."""
        wanted = self._blamed | set(changed)
        sql = f"DELETE FROM dora_incidents WHERE key IN (SELECT key FROM spans WHERE key {_KEYS})"
        self._db.execute(sql, (rows.as_json(wanted),))
        sql = (
            "SELECT b.incident, MAX(b.at), p.team FROM dora_blames b "
            "JOIN dora_deployments d ON d.key = b.deployment JOIN dora_places p ON p.id = d.place "
            f"WHERE d.unit < 2 AND b.incident {_KEYS} GROUP BY b.incident"
        )
        blamed = {row[0]: row[1:] for row in rows.select_in(self._db, sql, wanted)}
        sql = f"SELECT key FROM metric_incidents WHERE key {_KEYS}"
        known = {row[0] for row in rows.select_in(self._db, sql, wanted)}
        found = [
            (incident, *blamed.get(incident.key, (None, "")))
            for span in load_spans(self._db, wanted).values()
            if span.key in known
            and (incident := incident_of(span)) is not None
            and (
                not incident.environment
                or incident.key in blamed
                or environments.is_production(incident.environment)
            )
        ]
        self._db.executemany(
            "INSERT INTO dora_incidents VALUES (?, ?, ?, ?, ?, ?)",
            [
                (i.key, i.team or team, i.started_at, i.restored_at, i.finished_at, deployed_at)
                for i, deployed_at, team in found
            ],
        )


def _group_text(deployment: Deployment) -> str:
    group = group_of(deployment)
    return "\n".join(group) if group else ""
