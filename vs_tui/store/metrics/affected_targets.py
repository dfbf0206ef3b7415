"""Finds the targets that must be judged again after spans changed, each from which instant on."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from vs_tui.metrics.facts import Target, spellings
from vs_tui.metrics.rules import broken_places
from vs_tui.metrics.span_facts import broken_version, deployment_of
from vs_tui.metrics.span_runs import runs_told
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.folding.span_folding import Change, load_spans
from vs_tui.store.metrics.counted_spans import Counted, Touched, attempts_around, merged_into

_RUNS: Final = frozenset({"build", "pipeline"})
_CHANGES: Final = frozenset({"pull_request", "review", "push"})
_LEAVES: Final = frozenset({"stage", "test", "incident", "deploy"})
"""Operations that are never between a change and its deploy."""
MAX_BELOW: Final = 6
"""Most links that are followed from a change or a run down to the deploys that ship it."""
_BELOW: Final = (
    "WITH RECURSIVE below(key, depth) AS (SELECT value, 0 FROM json_each(?) UNION "
    f"SELECT l.child, depth + 1 FROM below JOIN links l ON l.parent = below.key "
    "AND l.rule <> 'proximity' "
    f"JOIN spans s ON s.key = l.child WHERE depth < {MAX_BELOW} "
    "AND s.operation NOT IN ('stage', 'review', 'push')) "
    "SELECT d.key FROM below JOIN metric_deploys d ON d.key = below.key"
)

_SET_BY: Final = f"SELECT child FROM links WHERE rule = 'hierarchy' AND parent {rows.KEYS}"
"""Commits of manifests that set these commits of applications."""


def affected_targets(
    db: sqlite3.Connection,
    changes: Sequence[Change],
    gone: Sequence[str],
    counted: Counted,
    incident_window: Duration,
) -> Touched:
    """Production target -> earliest instant that these changed and deleted spans may affect.

    `counted` is what changed among the counted deployments and incidents.
    """
    moved, incidents_before = counted
    spans = {change.new.key: change.new for change in changes}
    incidents = rows.known(db, "metric_incidents", spans)
    deployed = rows.known(db, "metric_deploys", spans)

    def of(operations: Collection[str], also: Collection[str] = ()) -> list[str]:
        return [key for key, s in spans.items() if s.operation in operations or key in also]

    found = _Affected(db, incident_window)
    found.judged_before([*spans, *gone])
    found.deploys(of({"deploy"}, deployed))
    for target, moment in moved.items():
        found.touch(target, moment)
        found.sharing_incidents(target, moment)
    for change in changes:
        found.placed(change)
    # What was an incident or a test may be none any more, or another one.
    before_and_now = [s for change in changes for s in change[:2] if s is not None]
    counted_as = incidents | incidents_before.keys()
    about = [s for s in before_and_now if s.operation == "incident" or s.key in counted_as]
    tests = [s for s in before_and_now if s.operation == "test"]
    for span in (*about, *merged_into(db, spans.values())):
        found.incident(span, {*broken_places(span), *incidents_before.get(span.key, ())})
    for span in tests:
        found.test(span)
    found.deploys(span.parent_key for span in tests)
    found.above(of({"test", "incident"}, incidents))
    found.below(of(_RUNS | _CHANGES, _newly_linked(changes)))
    pushed = of(_CHANGES)
    found.history(of(_RUNS), [*pushed, *(key for (key,) in rows.select_in(db, _SET_BY, pushed))])
    return found.touched


def _newly_linked(changes: Iterable[Change]) -> set[str]:
    """Spans of other kinds, such as artifacts, whose links may have changed: deploys below them may
    ship what is above them."""
    return {
        change.new.key
        for change in changes
        if change.new.operation not in _LEAVES
        and (change.old is None or change.old is change.new or change.fresh)
    }


class _Affected:
    def __init__(self, db: sqlite3.Connection, incident_window: Duration) -> None:
        self._db = db
        self._window = incident_window
        self.touched: Touched = {}

    def touch(self, target: Target, moment: Instant | None) -> None:
        if moment is not None:
            self.touched[target] = min(moment, self.touched.get(target, moment))

    def _touch_each(self, sql: str, bound: Sequence[object]) -> None:
        """Add the targets with instants that `sql` returns."""
        for *target, moment in self._db.execute(sql, bound).fetchall():
            self.touch(Target(*target), moment)

    def judged_before(self, keys: Collection[str]) -> None:
        """Add the targets whose stored verdicts use these spans as deployment, change or sign of
        failure."""
        sql = (
            "WITH judged(key) AS (SELECT d.key FROM json_each(?1) k "
            "CROSS JOIN dora_deployments d ON d.span = k.value UNION SELECT c.deployment "
            "FROM json_each(?1) k CROSS JOIN dora_changes c ON c.change = k.value UNION "
            "SELECT s.deployment FROM json_each(?1) k CROSS JOIN dora_signals s "
            "ON s.span = k.value AND s.span <> '') SELECT d.project, d.service, d.environment, "
            "MIN(d.started_at, d.ended_at) FROM judged CROSS JOIN dora_deployments d "
            "ON d.key = judged.key WHERE d.unit < 2"
        )
        if keys:
            self._touch_each(sql, (rows.as_json(keys),))

    def deploys(self, keys: Iterable[str]) -> None:
        """Add the targets of these deploys and of their other attempts."""
        listed = set(keys) - {""}
        wanted = listed.union(*attempts_around(self._db, listed))
        sql = f"SELECT key, project, service, environment FROM metric_deploys WHERE key {rows.KEYS}"
        targets = {key: Target(*place) for key, *place in rows.select_in(self._db, sql, wanted)}
        for key, span in load_spans(self._db, targets).items():
            self.touch(targets[key], _earliest(span))
        self.judged_before(wanted)

    def _targets(self, condition: str, *bound: object) -> list[Target]:
        """The targets with deploys among the places that meet a condition. For an artifact that is
        deployed together with others, also the target of the whole."""
        sql = (
            "SELECT project, service, environment FROM (SELECT project, service, environment "
            f"FROM dora_places WHERE {condition} UNION SELECT project, lower(product), environment "
            f"FROM dora_places WHERE {condition}) t WHERE EXISTS (SELECT 1 FROM metric_deploys d "
            "WHERE d.project = t.project AND d.service = t.service "
            "AND d.environment = t.environment)"
        )
        return [Target(*row) for row in self._db.execute(sql, bound).fetchall()]

    def test(self, span: Span) -> None:
        """Add the targets that a test is about."""
        names = spellings(span.environment)
        # A late report may be about an earlier run of it.
        moment = span.ended_at if not span.reopens or span.ended_at is None else _earliest(span)
        for target in self._targets("project = ?1 AND service = ?2", span.project, span.service):
            if target.environment in names:
                self.touch(target, moment)

    def incident(self, span: Span, places: Iterable[tuple[str, str]]) -> None:
        """Add the targets of an incident's services, each (project, service), also from the
        deployment of the version that it names."""
        moment = span.started_at if span.started_at is not None else span.ended_at
        named = (
            "SELECT MAX(ended_at) FROM dora_deployments WHERE project = ? AND service = ? "
            "AND environment = ? AND started_at <= ? AND unit < 2 "
            "AND (ltrim(version, 'vV') = ? OR commit_id LIKE ? || '%' "
            "OR (length(commit_id) >= 7 AND ? LIKE commit_id || '%') "
            "OR (length(version) >= 7 AND ? LIKE version || '%'))"
        )
        sql = "SELECT MAX(is_production) FROM metric_incidents WHERE key = ?"
        (is_of_production,) = self._db.execute(sql, (span.key,)).fetchone()
        anywhere = "service = ?2 AND (project = ?1 OR instr(?1, '/') = 0)"
        whole = "project = ?1 AND ?2 = ''"
        concerned = {
            (target, service)
            for project, service in places
            for target in self._targets(anywhere if service else whole, project, service)
        }
        for target, service in concerned:
            named_it = span.environment in ("", *spellings(target.environment))
            if not named_it and not (target.service == service and is_of_production):
                continue
            self.touch(target, moment)
            if target.service != service and moment is not None:
                # Of deployments of several artifacts, the last one of this artifact may be older.
                self.touch(target, moment - self._window)
            if version := broken_version(span, service):
                names = (version.lstrip("vV"), *3 * (version.lower(),))
                bound = (*target, moment, *names)
                self.touch(target, self._db.execute(named, bound).fetchone()[0])

    def sharing_incidents(self, target: Target, moment: Instant) -> None:
        """Add targets that share incidents with this one: incidents that name too little to belong
        to one target alone belong to the target with the latest deployment before them."""
        for column, value, unplaced in (
            ("project", target.project, "service = ''"),
            ("service", target.service, "is_production = 1"),
        ):
            sql = (
                f"SELECT MIN(started_at) FROM metric_incidents WHERE {column} = ? "
                f"AND {column} <> '' AND {unplaced} AND started_at >= ?"
            )
            (first,) = self._db.execute(sql, (value, moment)).fetchone()
            for sharing in self._targets(f"{column} = ?1", value) if first is not None else ():
                self.touch(sharing, first)

    def placed(self, change: Change) -> None:
        """Add the targets that share incidents, if this is the first deploy of a service in a
        project, or if the last one left it. An incident that names a service and no repository is
        about that service anywhere, unless its project deploys it."""
        spans = [s for s in (change.old, change.new) if s is not None and s.operation == "deploy"]
        if not spans:
            return
        places = {(s.project, s.service) for s in spans}
        parts = [{(s.project, n) for n, _ in deployment_of(s).parts} for s in spans]
        for project, artifact in set[tuple[str, str]]().union(*parts):
            if len(parts) == 1 or parts[0] != parts[1]:
                self.sharing_incidents(Target(project, artifact, ""), 0)
        for project, artifact in places.union(*parts):
            # A success repairs what failed where the artifact was deployed in another way.
            for target in self._targets("project = ?1 AND service = ?2", project, artifact):
                if any(s.environment in spellings(target.environment) for s in spans):
                    self.touch(target, min(map(_earliest, spans)))
        sql = (
            "SELECT 1 FROM spans WHERE operation = 'deploy' AND project = ? AND service = ? "
            "AND key <> ? LIMIT 1"
        )
        for project, service in places:
            bound = (project, service, change.new.key)
            if "/" not in project and self._db.execute(sql, bound).fetchone() is None:
                self.sharing_incidents(Target(project, service, ""), 0)

    def above(self, keys: Sequence[str]) -> None:
        """Add the targets of the deploys above these spans, and of those that their links name."""
        sql = (
            f"SELECT parent FROM links WHERE rule <> 'proximity' AND child {rows.KEYS} "
            "UNION SELECT parent_key FROM spans WHERE key IN (SELECT value FROM json_each(?1))"
        )
        self.deploys(parent for (parent,) in rows.select_in(self._db, sql, keys))

    def below(self, keys: Sequence[str]) -> None:
        """Add the targets of the deploys that ship these changes or that these runs made. For
        reviews and pushes, the deploys of their pull request."""
        sql = (
            "SELECT parent_key FROM spans WHERE operation IN ('review', 'push') "
            f"AND parent_key <> '' AND key {rows.KEYS}"
        )
        above = {parent for (parent,) in rows.select_in(self._db, sql, keys)}
        self.judged_before(above)
        self.deploys(key for (key,) in rows.select_in(self._db, _BELOW, above.union(keys)))

    def history(self, runs: Collection[str], changes: Collection[str]) -> None:
        """Add the targets of a project with a deployment after the start of one of these runs, or
        after one of these changes came to its branch; also where it deploys a commit of that
        project from another one."""
        if not runs and not changes:
            return
        targets = (
            "SELECT d.project, d.service, d.environment, h.at FROM h {} "
            "AND COALESCE(d.ended_at, d.started_at) >= h.at"
        )
        of_project = "JOIN metric_deploys d ON d.project = h.project"
        of_application = (
            "CROSS JOIN vcs_applications a ON a.project = h.project "
            "CROSS JOIN metric_deploys d ON d.key = a.deploy"
        )
        sql = (
            "WITH h AS (SELECT project, MIN(at) AS at FROM (SELECT project, started_at AS at "
            f"FROM spans WHERE started_at IS NOT NULL AND key {rows.KEYS} UNION ALL "
            f"SELECT project, at FROM vcs_history WHERE key {rows.KEYS}) GROUP BY project) "
            f"{targets.format(of_project)} UNION {targets.format(of_application)}"
        )
        self._touch_each(sql, (rows.as_json(runs), rows.as_json(changes)))


def _earliest(span: Span) -> Instant:
    """The instant from which a deploy matters; an incident after its start may be about it."""
    ends = (run.ended_at for run in runs_told(span)[:-1])
    known = span.ended_at if span.ended_at is not None else max(span.at, span.last_event_at)
    return min(at for at in (span.started_at, known, *ends) if at is not None)
