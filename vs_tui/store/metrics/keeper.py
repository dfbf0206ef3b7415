"""Keeps the metrics up to date: after every fold it judges the affected deployments again, and
writes the rows that differ.

A changed span affects its target from a little before its own time on: the deployments whose
failure it may close, and all later ones. Only these are read and judged, and the result is the same
as judging everything (a test compares the two).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.assessment import (
    Assessed,
    assess,
    assess_parts,
    failed_with,
    product_deployments,
)
from vs_tui.metrics.counted import WHOLE, Place
from vs_tui.metrics.facts import DeployOutcome, Target
from vs_tui.metrics.failures import reverted_title
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.model.teams import Environments, Team, Teams
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.folding.linker import relink_counted
from vs_tui.store.folding.shipped_changes import place_deploys
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.vcs_history import write_history
from vs_tui.store.metrics.affected_targets import affected_targets
from vs_tui.store.metrics.counted_spans import CountedSpans, know_since_all
from vs_tui.store.metrics.shipments import MARK_AGAIN
from vs_tui.store.metrics.target_facts import TargetReader
from vs_tui.store.metrics.verdicts import (
    OF_TARGET,
    TOLD,
    TableRows,
    forget,
    parts_of,
    place_of,
    places,
    pruned,
    replace_rows,
    rows_of,
    unit_of,
)
from vs_tui.traces.correlation import LinkRules

_PLACES: Final = (
    "place IN (SELECT id FROM dora_places "
    "WHERE project = ?1 AND ?2 IN (service, product) AND environment = ?3)"
)
"""SQL: the places of a target, given by its first three parameters. An artifact of a product has a
place of its own."""

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
        low = self._before(target, moment)
        while True:
            since = self._before(target, self._success_before(target, low))
            facts = TargetReader(self._db, target, since, until, self._rules, self._teams).read()
            concerned = [d for d in facts.deployments if d.ended_at >= low]
            found = assess(facts, {d.key for d in concerned}, self._rules)
            reverted = self._reverted(target, found)
            if reverted is None or reverted >= low:
                break
            low = reverted
        judged = {v.deployment.key: v for v in found}
        verdicts = [judged.get(d.key, Assessed(d)) for d in concerned]
        parts: dict[str, list[Assessed]] = {}
        for part in assess_parts(facts, concerned, self._rules):
            assert part.deployment.whole is not None
            parts.setdefault(part.deployment.whole.key, []).append(part)
        verdicts = [failed_with(v, parts.get(v.deployment.key, ())) for v in verdicts]
        verdicts += [part for own in parts.values() for part in own]
        where = f"{OF_TARGET} AND {TOLD} AND ended_at >= ? AND ended_at < ?"
        self._replace(where, (*target, low, until), verdicts)

    def _before(self, target: Target, moment: Instant) -> Instant:
        """The instant from which verdicts depend on an event at `moment`: the success before it, an
        earlier failure that was still open or that a test closes, or the end of the deployment that
        had begun last, which an incident is about."""
        sql = (
            f"SELECT MIN(at) FROM dora_signals WHERE {_PLACES} AND (ended_at >= ? OR "
            "(ended_at IS NULL AND (kind <> 'incident' OR started_at >= ?)))"
        )
        (failed,) = self._db.execute(sql, (*target, moment, moment)).fetchone()
        # More than one, because attempts of a deployment begin at different times.
        sql = (
            f"SELECT MIN(ended_at) FROM (SELECT ended_at FROM metric_deploys WHERE {OF_TARGET} "
            "AND started_at <= ? AND status <> 'cancelled' ORDER BY started_at DESC LIMIT 5)"
        )
        (begun,) = self._db.execute(sql, (*target, moment)).fetchone()
        known = (self._success_before(target, moment), failed, begun)
        return min(at for at in known if at is not None)

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
        wanted: TableRows = {}
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
            self.blamed.update(row[3] for row in each["dora_signals"] if row[3])
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
                [p.deployment for p in parts if p.deployment.outcome is DeployOutcome.PENDING],
            )
            self._replace("product_group = ? AND unit = 2", (group,), whole, WHOLE)

    def mark_shipped_again(self) -> None:
        """Tell the later shipments of the changed changes from the first one."""
        self._db.execute(f"{MARK_AGAIN} WHERE change {rows.KEYS}", (rows.as_json(self._changes),))


log = logging.getLogger(__name__)

VERSION: Final = 5
"""Version of the rules for verdicts; a new version judges everything again."""
SPANS_AT_ONCE: Final = 2_000
DEPLOYS_AT_ONCE: Final = 100
"""Most deployments of a target that one transaction judges; the others wait in `judge_queue`."""
_DIRTY = "broken"
_NEXT_TARGET: Final = (
    "SELECT project, service, environment FROM (SELECT project, service, environment "
    "FROM metric_deploys UNION SELECT project, service, environment FROM dora_deployments "
    "WHERE unit < 2) WHERE (project, service, environment) > (?, ?, ?) "
    "ORDER BY project, service, environment LIMIT 1"
)


class MetricsKeeper:
    """The keeper of one writer; pass `after_fold` and `adopt_some` to the writer's settings."""

    def __init__(
        self,
        environments: Environments,
        teams: Sequence[Team] = (),
        rules: MetricRules = DEFAULT_RULES,
        links: LinkRules = LinkRules(),  # noqa: B008
    ) -> None:
        """`links` must be those of the writer, so that it links by the same rules."""
        self._rules = rules
        self._links = links
        self._teams = Teams(tuple(teams))
        self._counted = CountedSpans(rules, environments, self._teams)
        self._wanted = repr((VERSION, environments.globs, teams, rules))

    def after_fold(
        self, db: sqlite3.Connection, changes: Sequence[Change], gone: Sequence[str] = ()
    ) -> None:
        """Judge again what these changed and deleted spans may affect. Without any, judge the next
        deployments that wait for it.

        A bug here must not lose a delivery: the work is rolled back and logged, and the next start
        judges everything again.
        """
        db.execute("SAVEPOINT metrics")
        try:
            moved = self._counted.update(db, changes, gone)
            touched = affected_targets(db, changes, gone, moved, self._rules.incident_window)
            self._judge_first(db, touched) if touched else self._judge_next(db)
        except sqlite3.OperationalError:
            raise  # a storage error, which the writer handles
        except Exception:
            log.exception("the delivery metrics are out of date until the next start")
            db.execute("ROLLBACK TO metrics")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (_DIRTY,))
            db.execute("DELETE FROM judge_queue")
        db.execute("RELEASE metrics")

    def adopt_some(self, db: sqlite3.Connection, _: object = None) -> bool:
        """Judge some more by the current rules, teams and environments. Returns False once all is
        judged.

        Call it once the spans have their teams. The progress is stored in the database, for the
        next start. Runs in the caller's transaction.
        """
        sql = "SELECT name, value FROM meta WHERE name IN ('dora', 'dora_from')"
        names = dict(db.execute(sql).fetchall())
        stored = names.get("dora", "")
        if stored == self._wanted:
            return False
        wanted, *reached = orjson.loads(names.get("dora_from", '[""]'))
        if wanted != self._wanted or not stored.startswith(f"({VERSION}, "):
            reached = self._begin(db, stored)
        reached = self._step(db, *reached)
        db.execute("DELETE FROM meta WHERE name = 'dora_from'")
        if not reached:
            db.execute("UPDATE meta SET value = ? WHERE name = 'dora'", (self._wanted,))
            return False
        text = orjson.dumps([self._wanted, *reached]).decode()
        db.execute("INSERT INTO meta VALUES ('dora_from', ?)", (text,))
        return True

    def _begin(self, db: sqlite3.Connection, stored: str) -> list[Any]:
        """Start with the first step; returns it. Partial work of another configuration is invalid.
        Rows of an older version or after a bug are deleted, except those of pruned traces."""
        half = f"({VERSION}, half)"
        db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (half,))
        db.execute("DELETE FROM metric_deploys")
        db.execute("DELETE FROM metric_incidents WHERE key IN (SELECT key FROM spans)")
        db.execute("DELETE FROM judge_queue")
        know_since_all(db)
        if stored.startswith(f"({VERSION}, "):
            return ["facts", 0]
        # Incidents are linked again, too, by what is counted then.
        counted = "SELECT span FROM dora_signals WHERE span <> ''"
        db.execute(f"DELETE FROM links WHERE rule = 'proximity' AND child IN ({counted})")
        db.execute("DELETE FROM meta WHERE name = 'incidents'")
        forget(db)
        return ["history", 0]

    def _step(self, db: sqlite3.Connection, step: str, *after: Any) -> list[Any]:
        """Read the next spans, or judge the next deployments. Returns the next step, empty at the
        end.

        A database of an older version first gets the history of branches and the positions of
        deploys. Then come the facts, then one target after the other, each in small parts, because
        deliveries wait for a transaction.
        """
        if step == "targets":
            *target, since = after
            if since == NEVER:
                since, target = 0, db.execute(_NEXT_TARGET, target).fetchone()
                if target is None:
                    return []
            until = self._judge_some(db, Target(*target), since)
            return [step, *target, until]
        steps: Mapping[str, tuple[Collection[str], Callable[..., object]]] = {
            "history": (("deploy", "pull_request", "push"), write_history),
            "positions": (("deploy",), _place_deploys),
            "facts": (self._counted.operations, self._counted.write),
        }
        operations, write = steps[step]
        sql = (
            f"SELECT {rows.SELECT_SPAN}, rowid FROM spans WHERE derived = 0 AND rowid > ?1 "
            "AND (?2 = '[]' OR operation IN (SELECT value FROM json_each(?2))) "
            "ORDER BY rowid LIMIT ?3"
        )
        found = db.execute(
            sql, (*after, rows.as_json(sorted(operations)), SPANS_AT_ONCE)
        ).fetchall()
        write(db, [rows.span_of(row) for row in found])
        if len(found) == SPANS_AT_ONCE:
            return [step, found[-1][-1]]
        following = {"history": "positions", "positions": "facts"}.get(step)
        return [following, 0] if following else ["targets", "", "", "", NEVER]

    def _judge_first(self, db: sqlite3.Connection, touched: Mapping[Target, Instant]) -> None:
        """Judge the first deployments after each of these instants. The others wait, because a late
        event about an old deployment may affect all that came after it."""
        waiting = {Target(*t): since for *t, since in db.execute("SELECT * FROM judge_queue")}
        parts = {}
        for target, moment in touched.items():
            since = waiting.get(target, NEVER)
            if moment < since:
                parts[target] = (moment, min(self._end_of_part(db, target, moment), since))
        self._judge(db, parts)
        for target, (_, until) in parts.items():
            _wait(db, target, until)

    def _judge_next(self, db: sqlite3.Connection) -> None:
        """Judge the next deployments that wait."""
        row = db.execute("SELECT * FROM judge_queue LIMIT 1").fetchone()
        if row is not None:
            *target, since = row
            _wait(db, Target(*target), self._judge_some(db, Target(*target), since))

    def _judge_some(self, db: sqlite3.Connection, target: Target, since: Instant) -> Instant:
        """Judge the next deployments of a target, those that ended at `since` or later, as if they
        had just arrived. Returns the end of the next ones, NEVER if there are none."""
        until = self._end_of_part(db, target, since)
        begun = (
            f"SELECT MIN(started_at) FROM metric_deploys WHERE {OF_TARGET} "
            "AND ended_at >= ? AND ended_at < ?"
        )
        (first,) = db.execute(begun, (*target, since, until)).fetchone()
        self._judge(db, {target: (since if first is None else min(since, first), until)})
        return until

    def _end_of_part(self, db: sqlite3.Connection, target: Target, since: Instant) -> Instant:
        sql = (
            f"SELECT ended_at FROM metric_deploys WHERE {OF_TARGET} AND ended_at > ? "
            "ORDER BY ended_at LIMIT 1 OFFSET ?"
        )
        found = db.execute(sql, (*target, since, DEPLOYS_AT_ONCE)).fetchone()
        return found[0] if found else NEVER

    def _judge(
        self, db: sqlite3.Connection, parts: Mapping[Target, tuple[Instant, Instant]]
    ) -> None:
        judging = Judging(db, self._rules, self._teams)
        for target, (moment, until) in parts.items():
            judging.target(target, moment, until)
        judging.products()
        judging.mark_shipped_again()
        if judging.blamed:
            relink_counted(db, judging.blamed, self._links)


def _wait(db: sqlite3.Connection, target: Target, since: Instant) -> None:
    """Let the deployments of a target that ended at `since` or later wait to be judged."""
    if since == NEVER:
        sql = "DELETE FROM judge_queue WHERE (project, service, environment) = (?, ?, ?)"
        db.execute(sql, target)
    else:
        db.execute("REPLACE INTO judge_queue VALUES (?, ?, ?, ?)", (*target, since))


def _place_deploys(db: sqlite3.Connection, spans: Sequence[Span]) -> None:
    place_deploys(db, {span.key: span for span in spans})
