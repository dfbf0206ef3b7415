"""Which targets a changed span may concern, and from which moment on."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import orjson

from vs_tui.metrics.facts import Target, spellings
from vs_tui.metrics.reading import commit_of, version_of
from vs_tui.metrics.runs import runs_told
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.span_folding import load_spans

Touched = dict[Target, Instant]
"""Target -> the earliest moment at which something about it changed."""

_KEYS: Final = "IN (SELECT value FROM json_each(?))"
_OPERATIONS: Final = (
    "('deploy', 'test', 'incident', 'pull_request', 'review', 'push', 'build', 'pipeline', 'issue')"
)
_ABOUT_CHANGES: Final = frozenset({"pull_request", "review", "push", "build", "pipeline"})
MAX_BELOW: Final = 4
"""Links from a pull request down to the deploys that ship it."""


def concerned(
    db: sqlite3.Connection, keys: Sequence[str], moved: Mapping[Target, Instant]
) -> tuple[Touched, list[str]]:
    """The production targets that these changed spans may concern, and which are incidents.

    `moved`: targets whose counted deployments changed.
    """
    sql = (
        "SELECT key, operation, project, service, environment, started_at, ended_at, trace_id, "
        f"parent_key, attributes FROM spans WHERE operation IN {_OPERATIONS} AND key {_KEYS}"
    )
    changed = list(rows.select_in(db, sql, keys))
    if not changed and not moved:
        return {}, []
    found = _Concern(db)
    for target, moment in moved.items():
        found.touch(target, moment)
        found.of_unplaced(target, moment)
    sql = f"SELECT key FROM metric_deploys WHERE key {_KEYS}"
    counted = {key for (key,) in rows.select_in(db, sql, keys)}
    sql = f"SELECT key FROM metric_incidents WHERE key {_KEYS}"
    incidents = [key for (key,) in rows.select_in(db, sql, keys)]
    deploys = [row for row in changed if row[1] == "deploy" or row[0] in counted]
    found.deploys([row[0] for row in deploys])
    found.claims([row[0] for row in deploys], {(row[2], row[3]) for row in deploys})
    found.stored(keys)
    for row in changed:
        if row[1] == "test":
            found.test(Target(*row[2:5]), row[6])
        elif row[1] == "incident" or row[0] in incidents:
            found.incident(row)
    found.changes([row for row in changed if row[1] in _ABOUT_CHANGES])
    found.builds([row for row in changed if row[1] in ("build", "pipeline")])
    named = [row[0] for row in changed if row[1] in ("test", "incident")]
    found.above([*named, *(row[8] for row in changed if row[1] == "test")], named)
    found.below([row[0] for row in changed if row[1] in ("build", "pipeline")])
    incidents += [row[0] for row in changed if row[1] == "incident"]
    return found.touched, list(dict.fromkeys(incidents))


class _Concern:
    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.touched: Touched = {}

    def touch(self, target: Target, moment: Instant | None) -> None:
        if moment is not None:
            self.touched[target] = min(moment, self.touched.get(target, moment))

    def test(self, place: Target, moment: Instant | None) -> None:
        """The targets that a test of this place is about."""
        sql = (
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM metric_deploys "
            "WHERE project = ? AND service = ? AND environment = value)"
        )
        names = rows.as_json(spellings(place.environment))
        for (name,) in self._db.execute(sql, (names, *place[:2])).fetchall():
            self.touch(place._replace(environment=name), moment)

    def deploys(self, keys: Iterable[str]) -> None:
        """These deploys and the attempts around them."""
        wanted = set(keys)
        frontier = wanted
        while frontier:  # an attempt may be of a whole chain of them
            seen: set[str] = set()
            for column, other in (("child", "parent"), ("parent", "child")):
                sql = f"SELECT {other} FROM links WHERE rule = 'attempt' AND {column} {_KEYS}"
                seen |= {row[0] for row in rows.select_in(self._db, sql, frontier)}
            frontier = seen - wanted
            wanted |= frontier
        sql = f"SELECT key, project, service, environment FROM metric_deploys WHERE key {_KEYS}"
        targets = {key: Target(*place) for key, *place in rows.select_in(self._db, sql, wanted)}
        for key, span in load_spans(self._db, targets).items():
            self.touch(targets[key], _earliest(span))
        self.stored(wanted)

    def stored(self, keys: Iterable[str]) -> None:
        """Where these spans stood when they were judged last."""
        sql = (
            "SELECT project, service, environment, MIN(started_at, ended_at) "
            f"FROM dora_deployments WHERE unit < 2 AND span {_KEYS}"
        )
        for *target, moment in rows.select_in(self._db, sql, keys):
            self.touch(Target(*target), moment)

    def claims(self, keys: Sequence[str], services: Iterable[tuple[str, str]]) -> None:
        """Incidents of a project's service are other projects' as well until the first of these
        deploys says that it is deployed there."""
        sql = f"SELECT project, service FROM dora_deployments WHERE unit < 2 AND span {_KEYS}"
        before = rows.select_in(self._db, sql, keys)
        pairs = {tuple(pair) for pair in (*services, *before)}
        for project, service in sorted(pairs):
            if "/" in project or not service or self._has_others(project, service, keys):
                continue
            sql = (
                "SELECT environment, MIN(started_at) FROM metric_incidents "
                "WHERE service = ? AND project = ? GROUP BY environment"
            )
            for environment, moment in self._db.execute(sql, (service, project)).fetchall():
                self._everywhere(service, environment, moment)

    def _has_others(self, project: str, service: str, keys: Sequence[str]) -> bool:
        sql = (
            "SELECT 1 FROM metric_deploys WHERE project = ? AND service = ? "
            "AND key NOT IN (SELECT value FROM json_each(?)) LIMIT 1"
        )
        bound = (project, service, rows.as_json(keys))
        return self._db.execute(sql, bound).fetchone() is not None

    def _everywhere(
        self, service: str, environment: str, moment: Instant | None, project: str = ""
    ) -> set[Target]:
        """The targets of a service that an incident may be about."""
        sql = (
            "SELECT DISTINCT project, service, environment FROM metric_deploys "
            f"WHERE {'service' if service else 'project'} = ?"
        )
        found = {Target(*row) for row in self._db.execute(sql, (service or project,))}
        concerned = {
            target
            for target in found
            if environment in ("", *spellings(target.environment))
            and ("/" not in project or target.project == project)
        }
        for target in concerned:
            self.touch(target, moment)
        return concerned

    def incident(self, row: Sequence[Any]) -> None:
        """The targets of its service, what it was blamed on, and the versions it may name."""
        key, _, project, service, environment, started, ended, _, _, attributes = row
        moment = started if started is not None else ended
        targets = self._everywhere(service, environment, moment, project)
        sql = (
            "SELECT d.span FROM dora_signals s JOIN dora_deployments d ON d.key = s.deployment "
            f"WHERE s.span <> '' AND s.span {_KEYS}"
        )
        self.stored(row[0] for row in rows.select_in(self._db, sql, [key]))
        self._named(targets, attributes, moment)

    def _named(self, targets: Iterable[Target], attributes: str, moment: Instant | None) -> None:
        names = orjson.loads(attributes)
        version = version_of(names) or commit_of(names)
        if not version:
            return
        sql = (
            "SELECT MAX(ended_at) FROM dora_deployments WHERE project = ? AND service = ? "
            "AND environment = ? AND started_at <= ? AND unit < 2 "
            "AND (version = ? OR commit_id LIKE ? || '%' "
            "OR (length(commit_id) >= 7 AND ? LIKE commit_id || '%'))"
        )
        for target in targets:
            bound = (*target, moment, version, version.lower(), version.lower())
            self.touch(target, self._db.execute(sql, bound).fetchone()[0])

    def changes(self, changed: Sequence[Sequence[Any]]) -> None:
        """Deploys that ship them: below them by links, in their trace, or judged so before."""
        if not changed:
            return
        prs = {row[8] for row in changed if row[1] in ("review", "push") and row[8]}
        frontier = {row[0] for row in changed} | prs
        found: set[str] = set()
        sql = (
            "SELECT d.span FROM dora_changes c JOIN dora_deployments d ON d.key = c.deployment "
            f"WHERE c.change {_KEYS}"
        )
        self.stored(row[0] for row in rows.select_in(self._db, sql, frontier))
        for _ in range(MAX_BELOW):
            sql = (
                "SELECT l.child, s.operation = 'deploy' FROM links l JOIN spans s "
                "ON s.key = l.child WHERE s.operation NOT IN ('stage', 'review', 'push') "
                f"AND l.parent {_KEYS}"
            )
            below = list(rows.select_in(self._db, sql, frontier))
            found |= {child for child, is_deploy in below if is_deploy}
            frontier = {child for child, _ in below} - frontier
            if not frontier:
                break
        self._history({row[0] for row in changed if row[1] in ("pull_request", "push")})
        commits = [row for row in changed if row[1] == "push"]
        found |= self._of_commits(row[0] for row in commits)
        self.deploys(found)

    def _history(self, keys: Iterable[str]) -> None:
        """The targets of repositories that got something, from that moment on."""
        sql = f"SELECT project, MIN(at) FROM vcs_history WHERE key {_KEYS} GROUP BY project"
        for project, moment in list(rows.select_in(self._db, sql, keys)):
            sql = (
                "SELECT DISTINCT project, service, environment FROM metric_deploys "
                "WHERE project = ? AND COALESCE(ended_at, started_at) >= ?"
            )
            for found in self._db.execute(sql, (project, moment)).fetchall():
                self.touch(Target(*found), moment)

    def _of_commits(self, pushes: Iterable[str]) -> set[str]:
        """Deploys of the commits that a push brought."""
        sql = f"SELECT value, scope FROM offers WHERE token LIKE 'commit:%' AND key {_KEYS}"
        commits = [value for value, _ in rows.select_in(self._db, sql, pushes)]
        sql = f"SELECT span FROM dora_deployments WHERE commit_id <> '' AND commit_id {_KEYS}"
        return {row[0] for row in rows.select_in(self._db, sql, commits)}

    def of_unplaced(self, changed: Target, moment: Instant) -> None:
        """Targets that incidents may be about which say too little to be of one alone: they are
        of the one that had a deployment begun last, whichever that is."""
        for column, value, unplaced in (
            ("project", changed.project, "i.service = ''"),
            ("service", changed.service, "(i.environment = '' OR instr(i.project, '/') = 0)"),
        ):
            sql = (
                "SELECT DISTINCT d.project, d.service, d.environment FROM metric_deploys d "
                f"WHERE d.{column} = ?1 AND EXISTS (SELECT 1 FROM metric_incidents i "
                f"WHERE i.{column} = ?1 AND {unplaced} AND i.started_at >= ?2)"
            )
            for target in self._db.execute(sql, (value, moment)).fetchall() if value else ():
                self.touch(Target(*target), moment)

    def below(self, runs: Iterable[str]) -> None:
        """Deploys below these runs: which run deployed says which of them are one deployment."""
        sql = (
            "WITH RECURSIVE below(key) AS (SELECT value FROM json_each(?) UNION SELECT s.key "
            "FROM below CROSS JOIN spans s ON s.parent_key <> '' AND s.parent_key = below.key "
            "AND s.derived = 0) SELECT d.key FROM below JOIN metric_deploys d ON d.key = below.key"
        )
        self.deploys(key for (key,) in rows.select_in(self._db, sql, runs))

    def builds(self, changed: Sequence[Sequence[Any]]) -> None:
        """Targets of the project that were deployed to after a build began."""
        earliest: dict[str, Instant] = {}
        for row in changed:
            if row[5] is not None:
                earliest[row[2]] = min(row[5], earliest.get(row[2], row[5]))
        sql = (
            "SELECT DISTINCT project, service, environment FROM dora_deployments "
            f"WHERE ended_at >= ? AND project {_KEYS}"
        )
        if earliest:
            bound = (min(earliest.values()), rows.as_json(earliest))
            for found in self._db.execute(sql, bound).fetchall():
                self.touch(Target(*found), earliest[found[0]])

    def above(self, keys: Iterable[str], linked: Iterable[str]) -> None:
        """Deploys that these are below, and those that a link of theirs names."""
        sql = f"SELECT parent FROM links WHERE rule <> 'proximity' AND child {_KEYS}"
        named = {row[0] for row in rows.select_in(self._db, sql, linked)}
        self.deploys({*keys, *named} - {""})


def _earliest(span: Span) -> Instant:
    """From when on a deploy may matter: an incident after its begin may be about it."""
    ends = [run.ended_at for run in runs_told(span)[:-1] if run.ended_at is not None]
    if span.started_at is not None:
        ends.append(span.started_at)
    known = span.ended_at if span.ended_at is not None else max(span.at, span.last_event_at)
    return min([known, *ends])
