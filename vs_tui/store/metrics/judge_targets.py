"""Judges deployments from the stored spans and writes the rows that differ.

A changed span affects its target from a little before its own time on: the deployments whose
failure it may close, and all later ones. Only these are read and judged, and the result is the same
as judging everything (a test compares the two).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final

from vs_tui.metrics.attempts import WAVE
from vs_tui.metrics.counted import WHOLE, Place
from vs_tui.metrics.facts import Deployment, Target
from vs_tui.metrics.failures import is_revert, reverted_title
from vs_tui.metrics.judging import Judged, TargetFacts, judge_with_parts, product_of
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.teams import Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.metrics.first_shipment import MARK_AGAIN
from vs_tui.store.metrics.judged_rows import (
    OF_ARTIFACTS,
    OF_TARGET,
    PLACES,
    TOLD,
    VERDICTS,
    WHOLE_SPANS,
    parts_of,
    place_of,
    places,
    pruned,
    replace_rows,
    rows_of,
    run_text,
    unit_of,
)
from vs_tui.store.metrics.target_facts import TargetReader

_PASSED: Final = (
    "SELECT 1 FROM spans INDEXED BY spans_ended WHERE derived = 0 AND ended_at >= ? "
    "AND operation = 'test' AND (status = 'ok' OR reopens > 0) LIMIT 1"
)
_BEGUN: Final = (
    f"SELECT MIN(MIN(started_at, ended_at)) FROM dora_deployments d WHERE {OF_TARGET} AND"
)
"""SQL: the first begin of a target's deployments that meet a condition."""
NEVER: Final[Instant] = 1 << 62


class Judging:
    """One pass over some targets."""

    def __init__(self, db: sqlite3.Connection, rules: MetricRules, teams: Teams) -> None:
        self._db = db
        self._rules = rules
        self._teams = teams
        self._groups: set[str] = set()
        self._changes: set[str] = set()
        self.blamed: set[str] = set()
        """Incidents that are now counted as failures of other deployments than before."""
        self._places = {place: number for number, place in places(db).items()}

    def target(self, target: Target, moment: Instant, until: Instant = NEVER) -> None:
        """Judge the deployments of a target that an event at `moment` may affect, as if those that
        ended since `until` were not known yet."""
        low, reach = self._before(target, moment), NEVER
        while True:
            since = self._since(target, low, reach, until)
            facts = TargetReader(self._db, target, since, until, self._rules, self._teams).read()
            if low > moment - WAVE and any(d.regions for d in facts.deployments):
                # It may continue a deployment that ended before the last ones.
                low = moment - WAVE
                continue
            concerned = [d for d in facts.deployments if d.ended_at >= low]
            moment = min(
                moment,
                self._moved(target, [*facts.pruned, *concerned], low, until),
                self._begun(target, concerned, low),
            )
            changed = [d for d in concerned if d.ended_at >= moment]
            earlier = min(
                self._before(target, moment),
                self._reverted(target, facts, concerned),
                self._last_of_artifacts(target, changed, moment),
            )
            is_all = earlier >= low
            low = min(low, earlier)
            reach = min(
                self._last_of_artifacts(target, concerned, low),
                self._not_shipped(target, concerned, low),
            )
            if is_all and reach >= since:
                break
        verdicts = judge_with_parts(facts, concerned, self._rules)
        where = f"{OF_TARGET} AND {TOLD} AND ended_at >= ? AND ended_at < ?"
        self._replace(where, (*target, low, until), verdicts)

    def _before(self, target: Target, moment: Instant) -> Instant:
        """The instant from which verdicts depend on an event at `moment`: the begin of the success
        before it, or an earlier failure that was still open. Only a test that passes later closes
        the failure of a test."""
        sql = (
            "SELECT MIN(at), MIN(CASE WHEN ended_at IS NOT NULL OR kind <> 'test' THEN at END) "
            f"FROM dora_signals WHERE {PLACES} AND (ended_at >= ?4 OR "
            "(ended_at IS NULL AND (kind <> 'incident' OR started_at >= ?4)))"
        )
        failed, but_open_tests = self._db.execute(sql, (*target, moment)).fetchone()
        if failed != but_open_tests and self._db.execute(_PASSED, (moment,)).fetchone() is None:
            failed = but_open_tests
        success = self._success_before(target, moment)
        return success if failed is None else min(success, failed)

    def _success_before(self, target: Target, moment: Instant) -> Instant:
        """The begin of the last successful deployment that ended before an instant, with all of its
        attempts and regions; 0 without one."""
        sql = (
            f"SELECT MIN(started_at, ended_at) FROM dora_deployments WHERE {OF_TARGET} "
            f"AND ended_at < ? AND outcome = 'ok' AND {WHOLE_SPANS} ORDER BY ended_at DESC LIMIT 1"
        )
        row = self._db.execute(sql, (*target, moment)).fetchone()
        return row[0] if row else 0

    def _since(self, target: Target, low: Instant, reach: Instant, until: Instant) -> Instant:
        """The instant since which facts are read to judge what ended since `low`: no deployment
        that ended after the success before it is read in part."""
        since = min(self._before(target, self._success_before(target, low)), reach)
        sql = f"{_BEGUN} ended_at >= ? AND ended_at < ?"
        return min(since, self._first(sql, *target, since, until))

    def _moved(
        self, target: Target, deployments: Iterable[Deployment], low: Instant, until: Instant
    ) -> Instant:
        """The earliest begin of those that ended since `low` and are not what they were judged as:
        another attempt or region, or a promotion, moved their end or changed their result. NEVER
        without any."""
        sql = (
            "SELECT key, started_at, ended_at, outcome FROM dora_deployments "
            f"WHERE {OF_TARGET} AND ended_at >= ? AND ended_at < ? AND {WHOLE_SPANS}"
        )
        judged = set(self._db.execute(sql, (*target, low, until)))
        told = {
            (d.key, d.started_at, d.ended_at, d.outcome.value)
            for d in deployments
            if d.ended_at >= low
        }
        return min((min(row[1:3]) for row in judged ^ told), default=NEVER)

    def _begun(self, target: Target, concerned: Iterable[Deployment], low: Instant) -> Instant:
        """The begin of what ended before `low` in the same runs as these deployments: it may be the
        same deployment. NEVER if there is nothing."""
        sql = f"{_BEGUN} ended_at < ? AND run {rows.KEYS}"
        return self._named(sql, target, low, {run_text(d) for d in concerned if d.run})

    def _last_of_artifacts(
        self, target: Target, concerned: Iterable[Deployment], low: Instant
    ) -> Instant:
        """The instant since which each artifact of these deployments was deployed once before `low`
        successfully, if it ever was. NEVER without artifacts."""
        sql = (
            "SELECT MIN(at) FROM (SELECT MAX(MIN(started_at, ended_at)) AS at "
            f"FROM dora_deployments WHERE {OF_ARTIFACTS} AND ended_at < ?5 AND unit <> {WHOLE} "
            "AND outcome = 'ok' AND artifact IN (SELECT value FROM json_each(?4)) "
            "GROUP BY artifact)"
        )
        names = rows.as_json({name for d in concerned for name in d.artifacts})
        return self._first(sql, *target, names, low)

    def _not_shipped(
        self, target: Target, concerned: Iterable[Deployment], low: Instant
    ) -> Instant:
        """The begin of the first failed deployment before `low` of which one of these has the
        version, without a success of that version in between: what it brought ships with these.
        NEVER without any."""
        sql = (
            f"{_BEGUN} ended_at < ?4 AND outcome = 'failed' AND version {rows.KEYS} "
            "AND NOT EXISTS (SELECT 1 FROM dora_deployments o WHERE o.project = d.project "
            "AND o.service = d.service AND o.environment = d.environment AND o.outcome = 'ok' "
            "AND o.version = d.version AND o.ended_at > d.ended_at AND o.ended_at < ?4)"
        )
        versions = {d.version_of() for d in concerned if d.ok and not d.parts} - {""}
        return self._named(sql, target, low, versions)

    def _first(self, sql: str, *bound: object) -> Instant:
        (at,) = self._db.execute(sql, bound).fetchone()
        return NEVER if at is None else int(at)

    def _named(self, sql: str, target: Target, low: Instant, names: Collection[str]) -> Instant:
        return self._first(sql, *target, low, rows.as_json(names)) if names else NEVER

    def _reverted(
        self, target: Target, facts: TargetFacts, concerned: Iterable[Deployment]
    ) -> Instant:
        """The first shipment of a change that these deployments revert; NEVER without a revert."""
        changes = [c for d in concerned for c in facts.shipped.get(d.key, ()) if is_revert(c)]
        if not changes:
            return NEVER
        titles = {reverted_title(change.title) for change in changes} - {""}
        keys = {key for change in changes for key in change.reverts}
        sql = (
            "SELECT MIN(at) FROM (SELECT c.at FROM json_each(?4) t CROSS JOIN dora_changes c "
            # with or without the number of its pull request, such as ` (#7)`
            "ON c.title >= t.value AND c.title < t.value || ' )' AND c.title <> '' "
            f"WHERE (c.title = t.value OR c.title LIKE '% (%)') AND c.{PLACES} UNION ALL "
            "SELECT c.at FROM json_each(?5) k CROSS JOIN dora_changes c ON c.change = k.value "
            f"WHERE c.{PLACES})"
        )
        return self._first(sql, *target, rows.as_json(titles), rows.as_json(keys))

    def _replace(
        self, where: str, bound: Sequence[Any], verdicts: Iterable[Judged], unit: int | None = None
    ) -> None:
        """Replace the stored deployments that meet a condition by these verdicts."""
        wanted: dict[str, set[tuple[Any, ...]]] = {table: set() for table in VERDICTS}
        for verdict in verdicts:
            place = self._place(place_of(verdict))
            own = unit_of(verdict) if unit is None else unit
            for table, found in rows_of(verdict, own, place).items():
                wanted[table] |= found
        keys = {row[0] for row in wanted["dora_deployments"]}
        sql = f"SELECT key, span FROM dora_deployments WHERE {where}"
        stored = dict(self._db.execute(sql, bound).fetchall())
        if unit != WHOLE:
            # Verdicts stay when their traces are deleted.
            gone = pruned(self._db, (span for key, span in stored.items() if key not in keys))
            stored = {key: span for key, span in stored.items() if span not in gone}
        for each in replace_rows(self._db, keys | stored.keys(), wanted):
            self._changes.update(row[1] for row in each["dora_changes"])
            self.blamed.update(row[3] for row in each["dora_signals"] if row[3])
            if unit != WHOLE:
                self._groups.update(row[15] for row in each["dora_deployments"] if row[15])

    def _place(self, place: Place) -> int:
        if place not in self._places:
            self._places[place] = rows.id_of(self._db, "dora_places", Place._fields, place)
        return self._places[place]

    def finish(self) -> None:
        """Build the product deployments again whose parts changed, and tell the later shipments of
        the changes that changed from the first one."""
        for group in sorted(self._groups):
            whole = product_of(parts_of(self._db, group))
            verdicts = [whole] if whole else []
            self._replace("product_group = ? AND unit = 2", (group,), verdicts, WHOLE)
        self._db.execute(f"{MARK_AGAIN} WHERE change {rows.KEYS}", (rows.as_json(self._changes),))
