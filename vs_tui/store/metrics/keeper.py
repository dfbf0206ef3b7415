"""Keeps the metrics up to date: after every fold it has the affected deployments judged again, in
small parts, and all of them after a change of the rules."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.model.teams import Environments, Team, Teams
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.folding.linker import relink_counted
from vs_tui.store.folding.shipped_changes import place_deploys
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.vcs_history import write_history
from vs_tui.store.metrics.affected_targets import affected_targets
from vs_tui.store.metrics.counted_spans import CountedSpans, know_since_all
from vs_tui.store.metrics.incident_teams import write_all_teams, write_teams
from vs_tui.store.metrics.judge_targets import NEVER, Judging
from vs_tui.store.metrics.judged_rows import OF_TARGET, forget, forget_moved
from vs_tui.traces.correlation import LinkRules

log = logging.getLogger(__name__)

VERSION: Final = 5
"""Version of the rules for verdicts; a new version judges everything again."""
SPANS_AT_ONCE: Final = 2_000
DEPLOYS_AT_ONCE: Final = 50
"""Most deployments of a target that one transaction judges; the others wait in `judge_queue`."""
_OF_HISTORY: Final = frozenset({"deploy", "pull_request", "push"})
_WAIT: Final = (
    "INSERT INTO judge_queue VALUES (?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET since = MIN(since, excluded.since)"
)
"""SQL: lets the deployments of a target that ended at an instant or later wait to be judged."""
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
        self._blamed: set[str] = set()
        """Incidents that this transaction counts otherwise than before."""
        self._counted = CountedSpans(rules, environments, self._teams)
        self._wanted = repr((VERSION, environments.globs, teams, rules))

    def after_fold(
        self,
        db: sqlite3.Connection,
        changes: Sequence[Change],
        gone: Sequence[str] = (),
        more: bool = False,
    ) -> None:
        """Judge again what these changed and deleted spans may affect. Without any, judge the next
        deployments that wait for it. With `more` deliveries wait: all is judged later, once for
        many of them.

        A bug here must not lose a delivery: the work is rolled back and logged, and the next start
        judges everything again.
        """
        db.execute("SAVEPOINT metrics")
        try:
            counted = self._counted.update(db, changes, gone)
            touched = affected_targets(db, changes, gone, counted, self._rules.incident_window)
            if gone:
                forget_moved(db, gone)
            db.executemany(_WAIT, [(*target, moment) for target, moment in touched.items()])
            if not more:
                self._judge_waiting(db, touched)
            write_teams(db, self._teams, changes, self._blamed)
            self._blamed.clear()
        except sqlite3.OperationalError:
            raise  # a storage error, which the writer handles
        except Exception:
            log.exception("the delivery metrics are out of date until the next start")
            db.execute("ROLLBACK TO metrics")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', 'broken')")
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
            write_all_teams(db, self._teams)
            db.execute("UPDATE meta SET value = ? WHERE name = 'dora'", (self._wanted,))
            return False
        text = orjson.dumps([self._wanted, *reached]).decode()
        db.execute("INSERT INTO meta VALUES ('dora_from', ?)", (text,))
        return True

    def _begin(self, db: sqlite3.Connection, stored: str) -> list[Any]:
        """Start with the first step; returns it. Partial work of another configuration is invalid.
        Rows of an older version or after a bug are deleted, except those of pruned traces."""
        db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (f"({VERSION}, half)",))
        db.execute(
            "DELETE FROM vcs_deploys WHERE key IN (SELECT m.key FROM metric_deploys m "
            "JOIN spans s ON s.key = m.key WHERE s.operation <> 'deploy')"
        )
        db.execute("DELETE FROM metric_deploys")
        db.execute("DELETE FROM metric_incidents WHERE key IN (SELECT key FROM spans)")
        db.execute("DELETE FROM judge_queue")
        know_since_all(db)
        if stored.startswith(f"({VERSION}, "):
            return ["facts", ""]
        # Incidents are linked again, too, by what is counted then.
        counted = "SELECT span FROM dora_signals WHERE span <> ''"
        db.execute(f"DELETE FROM links WHERE rule = 'proximity' AND child IN ({counted})")
        db.execute("DELETE FROM meta WHERE name = 'incidents'")
        forget(db)
        return ["history", ""]

    def _step(self, db: sqlite3.Connection, step: str, *after: Any) -> list[Any]:
        """Read the next spans, or judge the next deployments. Returns the next step, empty at the
        end.

        A database of an older version first gets the history of branches. Then come the facts, with
        the positions of deploys, then one target after the other, each in small parts, because
        deliveries wait for a transaction.
        """
        if step == "targets":
            *target, since = after
            if since == NEVER:
                since, target = 0, db.execute(_NEXT_TARGET, target).fetchone()
                if target is None:
                    return []
            return [step, *target, self._judge(db, {Target(*target): since})[Target(*target)]]
        is_history = step == "history"
        operations = _OF_HISTORY if is_history else self._counted.operations
        where = (
            "derived = 0 AND key > ?1 AND (?2 = '[]' OR operation IN "
            f"(SELECT value FROM json_each(?2))) ORDER BY key LIMIT {SPANS_AT_ONCE}"
        )
        spans = rows.spans(db, where, *after, rows.as_json(sorted(operations)))
        if is_history:
            write_history(db, spans)
        else:
            place_deploys(db, {span.key: span for span in spans if span.operation == "deploy"})
            self._counted.write(db, spans)
        if len(spans) == SPANS_AT_ONCE:
            return [step, spans[-1].key]
        return ["facts", ""] if is_history else ["targets", "", "", "", NEVER]

    def _judge_waiting(self, db: sqlite3.Connection, touched: Mapping[Target, Instant]) -> None:
        """Judge the next deployments of these targets, or of the one with the oldest that wait. A
        target with older ones is judged later, because a late event about an old deployment may
        affect all that came after it."""
        sql = "SELECT since FROM judge_queue WHERE (project, service, environment) = (?, ?, ?)"
        waiting = {target: db.execute(sql, target).fetchone()[0] for target in touched}
        due = {target: since for target, since in waiting.items() if since == touched[target]}
        if not touched:
            sql = "SELECT * FROM judge_queue ORDER BY since LIMIT 1"
            due = {Target(*target): since for *target, since in db.execute(sql).fetchall()}
        for target, until in self._judge(db, due).items():
            sql = "DELETE FROM judge_queue WHERE (project, service, environment) = (?, ?, ?)"
            db.execute(sql, target)
            if until != NEVER:
                db.execute(_WAIT, (*target, until))

    def _judge(
        self, db: sqlite3.Connection, since: Mapping[Target, Instant]
    ) -> dict[Target, Instant]:
        """Judge the next deployments of each target, those that ended at an instant or later, as if
        they had just arrived. Returns the end of the next ones, NEVER if there are none."""
        judging = Judging(db, self._rules, self._teams)
        ends = {}
        for target, moment in since.items():
            sql = (
                f"SELECT ended_at FROM metric_deploys WHERE {OF_TARGET} AND ended_at > ? "
                "ORDER BY ended_at LIMIT 1 OFFSET ?"
            )
            found = db.execute(sql, (*target, moment, DEPLOYS_AT_ONCE)).fetchone()
            until = ends[target] = found[0] if found else NEVER
            sql = (
                f"SELECT MIN(started_at) FROM metric_deploys WHERE {OF_TARGET} "
                "AND ended_at >= ? AND ended_at < ?"
            )
            (first,) = db.execute(sql, (*target, moment, until)).fetchone()
            judging.target(target, moment if first is None else min(moment, first), until)
        judging.finish()
        if judging.blamed:
            relink_counted(db, judging.blamed, self._links)
            self._blamed |= judging.blamed
        return ends
