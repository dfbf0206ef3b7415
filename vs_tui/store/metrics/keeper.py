"""Keeps the metrics up to date: after every fold it judges the affected deployments again.

A changed span affects its target from a little before its own time on: the deployments whose
failure it may close, and all later ones. Only these are read and judged, and the result is the same
as judging everything (a test compares the two).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.model.teams import Environments, Team, Teams
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.folding.shipped_changes import place_deploys
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.folding.vcs_history import write_history
from vs_tui.store.metrics.affected_targets import affected_targets
from vs_tui.store.metrics.facts import Facts, know_since_all
from vs_tui.store.metrics.judging import Judging
from vs_tui.store.metrics.verdicts import forget

log = logging.getLogger(__name__)

VERSION: Final = 5
"""Version of the rules for verdicts; a new version judges everything again."""
SPANS_AT_ONCE: Final = 2_000
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
    ) -> None:
        self._rules = rules
        self._teams = Teams(tuple(teams))
        self._facts = Facts(rules, environments)
        self._wanted = repr((VERSION, environments.globs, teams, rules))

    def after_fold(
        self, db: sqlite3.Connection, changes: Sequence[Change], gone: Sequence[str] = ()
    ) -> None:
        """Judge again what these changed and deleted spans may affect.

        A bug here must not lose a delivery: the work is rolled back and logged, and the next start
        judges everything again.
        """
        db.execute("SAVEPOINT metrics")
        try:
            moved = self._facts.update(db, changes, gone)
            if touched := affected_targets(db, changes, gone, moved):
                self._judge(db, touched)
        except sqlite3.OperationalError:
            raise  # a storage error, which the writer handles
        except Exception:
            log.exception("the delivery metrics are out of date until the next start")
            db.execute("ROLLBACK TO metrics")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (_DIRTY,))
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
        Rows of an older version or after a bug are deleted, except those of pruned traces, whose
        first shipments must be found again."""
        half = f"({VERSION}, half)"
        db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (half,))
        db.execute("DELETE FROM metric_deploys")
        db.execute("DELETE FROM metric_incidents WHERE key IN (SELECT key FROM spans)")
        know_since_all(db)
        if stored.startswith(f"({VERSION}, "):
            return ["facts", 0]
        forget(db)
        self._judge(db, {}, [row[0] for row in db.execute("SELECT change FROM dora_changes")])
        return ["history", 0]

    def _step(self, db: sqlite3.Connection, step: str, *after: Any) -> list[Any]:
        """Read the next spans, or judge the next target. Returns the next step, empty at the end.

        A database of an older version first gets the history of branches and the positions of
        deploys. Then come the facts, then one target after the other.
        """
        if step == "targets":
            target = db.execute(_NEXT_TARGET, after).fetchone()
            if target is None:
                return []
            self._judge(db, {Target(*target): 0})
            return [step, *target]
        steps: Mapping[str, tuple[Collection[str], Callable[..., object]]] = {
            "history": (("deploy", "pull_request", "push"), write_history),
            "positions": (("deploy",), _place_deploys),
            "facts": (self._facts.operations, self._facts.write),
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
        return [following, 0] if following else ["targets", "", "", ""]

    def _judge(
        self,
        db: sqlite3.Connection,
        touched: Mapping[Target, Instant],
        changes: Sequence[str] = (),
    ) -> None:
        judging = Judging(db, self._rules, changes, self._teams)
        for target, moment in touched.items():
            judging.target(target, moment)
        judging.products()
        judging.first_shipments()


def _place_deploys(db: sqlite3.Connection, spans: Sequence[Span]) -> None:
    place_deploys(db, {span.key: span for span in spans})
