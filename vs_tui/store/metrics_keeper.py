"""Keeps the verdicts up to date: after every fold the deployments it may concern are judged anew.

What a span can change lies at its target from a little before its moment on: the deployments
whose failure it may close, and all that follow. So only that stretch is read and judged, and the
result is the same as judging everything (a test holds them together).
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.facts import Target
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.model.teams import Environments, Team, Teams
from vs_tui.store import rows
from vs_tui.store.metrics_concern import Touched, concerned
from vs_tui.store.metrics_counted import Counted, know_since
from vs_tui.store.metrics_judging import Judging
from vs_tui.store.metrics_rows import forget
from vs_tui.store.metrics_work import update_some, update_work
from vs_tui.store.shipped_changes import place_deploys
from vs_tui.store.vcs_history import write_history

log = logging.getLogger(__name__)

VERSION: Final = 5
"""Of the rules that verdicts are made by: a new one makes them all anew."""
SPANS_AT_ONCE: Final = 2_000
_DIRTY = "broken"
_NEXT_TARGET: Final = (
    "SELECT project, service, environment FROM (SELECT project, service, environment "
    "FROM metric_deploys UNION SELECT project, service, environment FROM dora_deployments "
    "WHERE unit < 2) WHERE (project, service, environment) > (?, ?, ?) "
    "ORDER BY project, service, environment LIMIT 1"
)


class MetricsKeeper:
    """One for a writer; give `after_fold` to its settings and call `adopt` once it is open."""

    def __init__(
        self,
        environments: Environments,
        teams: Sequence[object] = (),
        rules: MetricRules = DEFAULT_RULES,
    ) -> None:
        self._environments = environments
        self._rules = rules
        self._teams = Teams(tuple(team for team in teams if isinstance(team, Team)))
        self._counted = Counted(rules, environments)
        self._wanted = repr((VERSION, environments.globs, teams, rules))

    def adopt(self, db: sqlite3.Connection) -> None:
        """Judge everything anew if the rules, the teams or the environments changed, or if it
        went wrong before. In the caller's transaction."""
        row = db.execute("SELECT value FROM meta WHERE name = 'dora'").fetchone()
        if row is None or row[0] != self._wanted:
            self.rebuild(db)

    def adopt_some(self, db: sqlite3.Connection, _: object = None) -> bool:
        """The same a target at a time; whether there is more. Call it once the spans have their
        teams. In the caller's transaction."""
        sql = "SELECT name, value FROM meta WHERE name IN ('dora', 'dora_from')"
        names = dict(db.execute(sql).fetchall())
        stored = names.get("dora", "")
        if stored == self._wanted:
            return False
        same_rules = stored.startswith(f"({VERSION}, ")
        wanted, *after = orjson.loads(names.get("dora_from", '[""]'))
        db.execute("DELETE FROM meta WHERE name = 'dora_from'")
        if not same_rules:
            self._judge(db, {}, (), self._forget(db))
        if not same_rules or wanted != self._wanted:
            # What was begun for another configuration is no longer true of all targets.
            half = f"({VERSION}, half)"
            db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (half,))
            after = ["counted" if same_rules else "history", 0]
            db.execute("DELETE FROM metric_deploys")
            db.execute("DELETE FROM metric_incidents")
        reached = self._adopt_next(db, after)
        if not reached:
            incidents = db.execute("SELECT key FROM metric_incidents").fetchall()
            self._judge(db, {}, [key for (key,) in incidents])
            db.execute("UPDATE meta SET value = ? WHERE name = 'dora'", (self._wanted,))
            return False
        text = orjson.dumps([self._wanted, *reached]).decode()
        db.execute("INSERT INTO meta VALUES ('dora_from', ?)", (text,))
        return True

    def _adopt_next(self, db: sqlite3.Connection, after: Sequence[Any]) -> Sequence[Any]:
        """Judge the target after this one, then pull requests and tickets some at a time; where
        that came to: a target, later the row of a span, in the end nothing."""
        row = 0
        if len(after) == len(("counted", row)):
            return self._count_next(db, *after)
        if len(after) == len(Target._fields):
            target = db.execute(_NEXT_TARGET, after).fetchone()
            if target is not None:
                self._judge(db, {Target(*target): 0}, ())
                return tuple(target)
        else:
            (row,) = after
        row = update_some(db, row, self._rules)
        return (row,) if row else ()

    def _count_next(self, db: sqlite3.Connection, what: str, row: int) -> Sequence[Any]:
        """Read the next spans: first what each branch got, then where deploys stand in it, for a
        database of an older version; then what counts. Where that came to."""
        if what == "counted":
            if not row:
                know_since(db, "1")
            row = self._counted.update_some(db, row)
            return (what, row) if row else ("", "", "")
        operations = "('deploy')" if what == "positions" else "('pull_request', 'push', 'deploy')"
        sql = (
            f"SELECT {rows.SELECT_SPAN}, rowid FROM spans WHERE operation IN {operations} "
            "AND derived = 0 AND rowid > ? ORDER BY rowid LIMIT ?"
        )
        found = db.execute(sql, (row, SPANS_AT_ONCE)).fetchall()
        spans = [rows.span_of(each) for each in found]
        if what == "positions":
            place_deploys(db, {span.key: span for span in spans})
        else:
            write_history(db, spans)
        if len(found) == SPANS_AT_ONCE:
            return (what, found[-1][-1])
        return ("positions", 0) if what == "history" else ("counted", 0)

    def rebuild(self, db: sqlite3.Connection) -> None:
        """Judge every deployment there is; what was pruned stays as it was judged."""
        kept = self._forget(db)
        db.execute("DELETE FROM metric_deploys")
        db.execute("DELETE FROM metric_incidents")
        know_since(db, "1")
        reached = self._counted.update_some(db, 0)
        while reached:
            reached = self._counted.update_some(db, reached)
        targets = db.execute(
            "SELECT project, service, environment FROM metric_deploys UNION "
            "SELECT project, service, environment FROM dora_deployments WHERE unit < 2"
        ).fetchall()
        touched = {Target(*row): 0 for row in targets}
        incidents = db.execute("SELECT key FROM metric_incidents").fetchall()
        self._judge(db, touched, [row[0] for row in incidents], kept)
        reached = update_some(db, 0, self._rules)
        while reached:
            reached = update_some(db, reached, self._rules)
        db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (self._wanted,))

    def _forget(self, db: sqlite3.Connection) -> list[str]:
        """Tables of a version before, or after a fault, are rebuilt: all but what was pruned.
        The changes that this shipped: whose first shipment it was must be found again."""
        forget(db)
        return [row[0] for row in db.execute("SELECT change FROM dora_changes")]

    def after_fold(self, db: sqlite3.Connection, keys: Sequence[str]) -> None:
        """Judge anew what these changed spans may concern.

        A fault here must not cost a delivery: it is undone, logged, and all is judged anew at
        the next start.
        """
        db.execute("SAVEPOINT metrics")
        try:
            update_work(db, keys, self._rules)
            moved = self._counted.update(db, keys)
            touched, incidents = concerned(db, keys, moved)
            if touched or incidents:
                self._judge(db, touched, incidents)
        except sqlite3.OperationalError:
            raise  # the disk, not us: the writer knows what to do
        except Exception:
            log.exception("the delivery metrics are out of date until the next start")
            db.execute("ROLLBACK TO metrics")
            db.execute("INSERT OR REPLACE INTO meta VALUES ('dora', ?)", (_DIRTY,))
        db.execute("RELEASE metrics")

    def _judge(
        self,
        db: sqlite3.Connection,
        touched: Touched,
        incidents: Iterable[str],
        changes: Iterable[str] = (),
    ) -> None:
        update = Judging(db, self._rules, changes, self._teams)
        for target, moment in touched.items():
            update.target(target, moment)
        update.products()
        update.first_shipments()
        update.incidents(incidents, self._environments)
