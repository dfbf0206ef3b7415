"""Reads the facts by which the deployments of one target are judged, from spans and links."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vs_tui.metrics.attempts import (
    PROMOTION,
    is_without_effect,
    merge_attempts,
    merge_regions,
    merge_repeats,
    merge_runs,
)
from vs_tui.metrics.facts import (
    Change,
    Deployment,
    DeployOutcome,
    Incident,
    Target,
    Test,
    plain_version,
    spellings,
)
from vs_tui.metrics.failures import is_revert
from vs_tui.metrics.judging import EarlierVersion, TargetFacts
from vs_tui.metrics.lead_time import part_of
from vs_tui.metrics.rules import MetricRules
from vs_tui.metrics.span_facts import broken_version, deployment_of, incident_of, is_hotfix, test_of
from vs_tui.metrics.span_runs import SpanRun, each_run, named, runs_seen, runs_told
from vs_tui.model.grouping import grouped
from vs_tui.model.teams import Teams
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.folding.incident_links import PLACELESS
from vs_tui.store.folding.shipped_changes import known_positions
from vs_tui.store.metrics.counted_spans import attempts_around, lasting, team_text
from vs_tui.store.metrics.deployment_runs import with_runs
from vs_tui.store.metrics.judged_rows import (
    OF_ARTIFACTS,
    OF_TARGET,
    PLACES,
    TOLD,
    stored_deployments,
)
from vs_tui.store.metrics.target_changes import builds_of, shipped_by
from vs_tui.traces.span_events import in_time_order

_PROMOTED: Final = (
    "(SELECT attributes ->> '$.\"vs.deploy.promoted\"' FROM spans WHERE key = m.key) = 'true'"
)
_STATED: Final = "IN ('pinned', 'explicit', 'traceparent', 'reference', 'structure')"
"""SQL: rules of links that a sender or a person stated. Others come from keys of two spans."""
_NOT_DEPLOYED_THERE: Final = (
    "i.is_production = 1 AND i.environment <> '' AND NOT EXISTS (SELECT 1 FROM metric_deploys e "
    "WHERE e.project = {0} AND e.service = i.service AND e.environment = CASE "
    "WHEN lower(i.environment) IN ('prod', 'prd', 'production') THEN 'production' "
    "ELSE i.environment END AND e.started_at <= i.started_at)"
)
"""SQL: whether incident `i` names an environment of production to which its service was not
deployed in a project: tools call one environment by several names (`live`, `prod-eu`)."""
_LAST: Final = (
    "(SELECT d.project || char(10) || d.service || char(10) || d.environment "
    "FROM metric_deploys d WHERE {} AND (i.environment = '' OR d.environment IN "
    "(SELECT value FROM json_each(?2)) OR "
    + _NOT_DEPLOYED_THERE.format("d.project")
    + ") AND d.started_at <= i.started_at "
    "AND d.status <> 'cancelled' ORDER BY d.started_at DESC, d.key DESC LIMIT 1)"
)
_OF_PROJECT: Final = _LAST.format("d.project = i.project")
_OF_SERVICE: Final = _LAST.format(
    f"d.service = i.service AND (d.project = i.project OR {PLACELESS.format('i')})"
)

_ELSEWHERE: Final = (
    "SELECT d.key FROM json_each(?1) n CROSS JOIN metric_deploys d ON d.project = ?2 "
    "AND d.service = n.value WHERE n.value <> ?3 AND {0} "
    "UNION SELECT d.key FROM json_each(?1) n CROSS JOIN offers o "
    "ON o.token = 'part:' || n.value || '@' || lower(?2) "
    "CROSS JOIN metric_deploys d ON d.key = o.key AND d.project = ?2 WHERE d.service <> ?3 AND {0}"
).format("d.environment = ?4 AND (d.ended_at >= ?5 OR d.ended_at IS NULL)")
"""SQL: deploys of artifacts in other targets of a project and environment."""


@dataclass(frozen=True, slots=True)
class TargetReader:
    """Reads the facts about the deployments of a target that ended within `[since, until)`, or that
    go on."""

    db: sqlite3.Connection
    target: Target
    since: Instant
    until: Instant
    rules: MetricRules
    teams: Teams

    def read(self) -> TargetFacts:
        """All facts."""
        deployments = self._deployments()
        finished = [d for d in deployments if d.finished]
        keys = list(dict.fromkeys(span for d in finished for span in d.spans))
        # Tests and incidents may name an artifact that is deployed together with others.
        artifacts = {name for d in deployments for name, _ in d.parts}
        services = sorted({self.target.service, *artifacts} - {""})
        elsewhere = self._elsewhere(services)
        shipped = shipped_by(self.db, finished, self.rules, self.target)
        pruned = self._pruned()
        bare = [d for d in finished if (d.ok or d.parts) and d.key not in shipped]
        # A version may cause an incident while it is still being deployed.
        begun = min([self.since, *(d.started_at for d in finished)])
        return TargetFacts(
            deployments=deployments,
            pruned=pruned,
            tests=self._tests(services, keys),
            incidents=self._incidents(begun, services, keys),
            shipped=shipped,
            builds=builds_of(self.db, self.target, [*finished, *pruned, *elsewhere], bare),
            elsewhere=elsewhere,
            seen=self._seen(finished),
            shipped_before=self._shipped_before(shipped),
        )

    def _deployments(self) -> list[Deployment]:
        """The deployments, including those in flight and cancelled ones. Attempts, and regions of
        one run, are merged into one."""
        sql = (
            f"SELECT key FROM metric_deploys WHERE {OF_TARGET} AND ended_at >= ? AND ended_at < ? "
            f"UNION SELECT key FROM metric_deploys WHERE {OF_TARGET} AND ended_at IS NULL"
        )
        bound = (*self.target, self.since, self.until, *self.target)
        keys = {key for (key,) in self.db.execute(sql, bound)}
        attempts = attempts_around(self.db, keys)
        where = f"key {rows.KEYS} AND key IN (SELECT key FROM metric_deploys WHERE {OF_TARGET})"
        spans = rows.spans(self.db, where, rows.as_json(keys.union(*attempts)), *self.target)
        known = {span.key for span in spans}
        retries = {child: parent for child, parent in attempts if {child, parent} <= known}
        placed = known_positions(self.db, known)
        told = _runs(self.db, spans)
        runs = [
            run
            for span in spans
            for run in each_run(self._deployment(span, placed.get(span.key)), told[span.key])
        ]
        merged = merge_runs(with_runs(self.db, merge_attempts(runs, retries)))
        bare = {d.repeat for d in merged if is_without_effect(d)}
        merged = merge_regions(merge_repeats(merged, set(filter(self._is_told, bare))))
        if self.rules.failed_deploys == "ignore":
            cancelled = DeployOutcome.CANCELLED
            return [d if d.ok or not d.finished else replace(d, outcome=cancelled) for d in merged]
        return merged

    def _is_told(self, repeat: str) -> bool:
        """Whether a deploy of the target before these had a start, or was promoted."""
        told = _PROMOTED if repeat == PROMOTION else "started_at < ended_at"
        sql = (
            f"SELECT 1 FROM metric_deploys m WHERE {OF_TARGET} AND ended_at < ? AND {told} LIMIT 1"
        )
        return bool(self.db.execute(sql, (*self.target, self.since)).fetchone())

    def _pruned(self) -> list[Deployment]:
        """The finished deployments whose traces were pruned, as far as their rows tell."""
        where = (
            f"{OF_TARGET} AND unit < 2 AND artifact IN ('', service) "
            "AND outcome IN ('ok', 'failed') AND ended_at >= ? AND ended_at < ? "
            "AND NOT EXISTS (SELECT 1 FROM spans WHERE spans.key = dora_deployments.span)"
        )
        bound = (*self.target, self.since, self.until)
        return [deployment for deployment, _ in stored_deployments(self.db, where, *bound)]

    def _deployment(self, span: Span, position: tuple[str, Instant] | None) -> Deployment:
        # The rule that counts it may name another service or environment.
        span = span._replace(service=self.target.service, environment=self.target.environment)
        return replace(deployment_of(span), team=team_text(span, self.teams), position=position)

    def _elsewhere(self, names: Sequence[str]) -> list[Deployment]:
        """The deployments of artifacts in other targets, each of one: alone, or together with
        others (plyzen). The artifact is one: what a deployment of it brings, takes back or repairs
        depends on those in other targets, too."""
        bound = (rows.as_json(names), *self.target, self.since)
        spans = rows.spans(self.db, f"key IN ({_ELSEWHERE})", *bound)
        told = _runs(self.db, spans)
        return [
            part_of(run, name) if run.parts else run
            for span in spans
            for run in each_run(deployment_of(span), told[span.key])
            for name in {n for n, _ in run.parts or ((run.service, ""),)}.intersection(names)
        ]

    def _tests(self, services: Sequence[str], keys: Sequence[str]) -> list[Test]:
        """The tests of the target, and those with a stated parent among its deploys."""
        project, service, environment = self.target
        names = spellings(environment)
        where = (
            f"operation = 'test' AND environment <> '' AND project = ? AND service {rows.KEYS} "
            f"AND environment {rows.KEYS} AND ended_at >= ? AND ended_at < ?"
        )
        of_place = (project, rows.as_json([service, *services]), rows.as_json(names))
        found = rows.spans(self.db, where, *of_place, self.since, self.until)
        where = f"operation = 'test' AND parent_key <> '' AND parent_key {rows.KEYS}"
        below = rows.spans(self.db, where, rows.as_json(keys))
        listed = {span.key for span in (*found, *below)}
        sql = (
            f"SELECT child FROM links WHERE is_primary = 1 AND rule {_STATED} AND child {rows.KEYS}"
        )
        stated = {row[0] for row in rows.select_in(self.db, sql, listed)}
        # A parent found by its version may fit other tests too, so the time decides.
        found = [span if span.key in stated else span._replace(parent_key="") for span in found]
        found += [s for s in below if s.key in stated and s.environment in ("", *names)]
        runs = _runs(self.db, found)
        tests: list[Test] = []
        for test in filter(None, map(test_of, found)):
            tests += [
                replace(
                    named(test, run), key=key, ended_at=at, passed=run.outcome is DeployOutcome.OK
                )
                for key, run in _by_key(test.key, runs[test.key])
                if (at := run.ended_at) is not None
            ] or [test]
        return tests

    def _incidents(
        self, begun: Instant, services: Sequence[str], keys: Sequence[str]
    ) -> list[Incident]:
        """The incidents of the target's services or project that began or were restored since, and
        those linked to its deploys; one for each time that it was open."""
        names = ("", *spellings(self.target.environment))
        of_place = (
            "SELECT key FROM metric_incidents i WHERE environment IN (SELECT value FROM "
            "json_each(?1)) AND {} >= ?2 AND {} "
            f"AND (project = ?3 OR {PLACELESS.format('i')})"
        )
        places = ("service IN (SELECT value FROM json_each(?4))", "service = '' AND project = ?3")
        of_places = " UNION ".join(
            of_place.format(clock, place)
            for clock in ("started_at", "restored_at")
            for place in places
        )
        here = self._named_otherwise(begun, names)
        linked = (
            "SELECT i.key FROM links l JOIN metric_incidents i ON i.key = l.child "
            "WHERE l.rule <> 'proximity' AND l.parent IN (SELECT value FROM json_each(?5))"
        )
        found = rows.spans(
            self.db,
            f"key IN ({of_places} UNION {linked} UNION SELECT value FROM json_each(?6))",
            *(rows.as_json(names), begun, self.target.project),
            *(rows.as_json(services), rows.as_json(keys), rows.as_json(here)),
        )
        found = lasting(self.db, found)
        named, alike = self._deploys_of([span.key for span in found])
        later = self._later_elsewhere([span.key for span in found])
        runs = _runs(self.db, found)
        own, incidents = set(keys), list[Incident]()
        for span in found:
            about = [key for key in named.get(span.key, ()) if key in own]
            like = [key for key in alike.get(span.key, ()) if key in own]
            incident = incident_of(span, about, like)
            # An incident that names another deployment is not about this target.
            is_here = span.environment in names or span.key in here
            elsewhere = not about and (span.key in named or not is_here)
            if incident is None or elsewhere:
                continue
            of_target = [name for name in incident.services if name in services]
            own_services = tuple(of_target) or incident.services
            version = next(filter(None, (broken_version(span, n) for n in own_services)), "")
            # Its version may be known by a link alone, which leads to another target.
            other = span.key in alike and not (like or version or len(incident.services) > 1)
            only_named = other or span.key in later
            incident = replace(
                incident, services=own_services, version=version, only_named=only_named
            )
            incidents += [
                replace(
                    incident,
                    key=key,
                    span=span.key,
                    started_at=run.started_at,
                    start_known=run.started_at != run.ended_at,
                    restored_at=run.ended_at,
                    version=run.told.get("version") or run.told.get("commit") or version,
                )
                for key, run in _by_key(span.key, runs[span.key])
            ] or [incident]
        return incidents

    def _named_otherwise(self, begun: Instant, names: Sequence[str]) -> set[str]:
        """The incidents of the service that began or were restored since, in an environment of
        production to which it was not deployed by then."""
        sql = " UNION ".join(
            f"SELECT i.key FROM metric_incidents i WHERE i.service = ?1 AND i.{clock} >= ?2 "
            "AND i.environment NOT IN (SELECT value FROM json_each(?3)) "
            f"AND {_NOT_DEPLOYED_THERE.format('?4')} "
            f"AND (i.project = ?4 OR {PLACELESS.format('i')})"
            for clock in ("started_at", "restored_at")
        )
        bound = (self.target.service, begun, rows.as_json(names), self.target.project)
        return {key for (key,) in self.db.execute(sql, bound)}

    def _deploys_of(
        self, incidents: Iterable[str]
    ) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Incident -> the deploys that it names, and -> others that share a key with it."""
        sql = (
            f"SELECT l.child, l.parent, l.rule {_STATED} FROM links l "
            "JOIN spans d ON d.key = l.parent WHERE l.rule <> 'proximity' "
            "AND (d.operation = 'deploy' "
            "OR EXISTS (SELECT 1 FROM metric_deploys m WHERE m.key = d.key)) "
            f"AND l.child {rows.KEYS}"
        )
        found = list(rows.select_in(self.db, sql, incidents))
        named = grouped((child, parent) for child, parent, stated in found if stated)
        return named, grouped((child, parent) for child, parent, stated in found if not stated)

    def _later_elsewhere(self, keys: Sequence[str]) -> set[str]:
        """The incidents that name too little to belong to one target alone (no environment, or a
        ticket of a repository), if another target had the latest deployment before them."""
        sql = (
            f"SELECT i.key, CASE WHEN i.service = '' THEN {_OF_PROJECT} ELSE {_OF_SERVICE} END "
            "FROM metric_incidents i WHERE i.key IN (SELECT value FROM json_each(?1)) "
            "AND (i.service = ?3 OR (i.service = '' AND i.project = ?4))"
        )
        names = rows.as_json(spellings(self.target.environment))
        bound = (rows.as_json(keys), names, self.target.service, self.target.project)
        own = "\n".join(self.target)
        return {key for key, last in self.db.execute(sql, bound) if last not in (None, own)}

    def _shipped_before(self, shipped: Mapping[str, Sequence[Change]]) -> frozenset[str]:
        """The reverts and hotfixes among these changes that an earlier deployment shipped."""
        keys = {
            change.key
            for own in shipped.values()
            for change in own
            if is_revert(change) or is_hotfix(change.branch)
        }
        sql = (
            "SELECT c.change FROM json_each(?4) k CROSS JOIN dora_changes c ON c.change = k.value "
            f"WHERE c.at < ?5 AND c.{PLACES}"
        )
        bound = (*self.target, rows.as_json(keys), self.since)
        return frozenset(key for (key,) in self.db.execute(sql, bound)) if keys else frozenset()

    def _seen(self, finished: Sequence[Deployment]) -> list[EarlierVersion]:
        """The versions of these deployments that were deployed before."""
        names = {deployment.version_of() for deployment in finished}
        names |= {version for deployment in finished for _, version in deployment.parts}
        names |= {other for name in names for other in (f"v{name}", plain_version(name))}
        sql = (
            "SELECT artifact, version, MIN(started_at), MAX(outcome = 'ok') FROM dora_deployments "
            f"WHERE {OF_ARTIFACTS} AND {TOLD} AND outcome IN ('ok', 'failed') AND ended_at < ?5 "
            "AND version IN (SELECT value FROM json_each(?6)) GROUP BY artifact, version"
        )
        artifacts = rows.as_json({name for d in finished for name in d.artifacts})
        bound = (*self.target, artifacts, self.since, rows.as_json(names - {""}))
        found = self.db.execute(sql, bound)
        return [EarlierVersion(name, version, at, bool(ok)) for name, version, at, ok in found]


def _by_key(key: str, runs: Sequence[SpanRun]) -> list[tuple[str, SpanRun]]:
    """(key, run) of each run of a span; the latest one has the key of the span. Empty unless there
    were several."""
    if len(runs) < 2:
        return []
    return [(f"{key}#{n}" if n else key, run) for n, run in enumerate(reversed(runs))]


def _runs(db: sqlite3.Connection, spans: Collection[Span]) -> dict[str, list[SpanRun]]:
    """Span -> the runs it went through, if there were several."""
    told = {span.key: runs_told(span) for span in spans}
    reopened = [span.key for span in spans if span.reopens and not told[span.key]]
    sql = f"SELECT key, data FROM events WHERE key {rows.KEYS}"
    events = ((key, rows.event_of(data)) for key, data in rows.select_in(db, sql, reopened))
    told.update((key, runs_seen(in_time_order(own))) for key, own in grouped(events).items())
    return told
