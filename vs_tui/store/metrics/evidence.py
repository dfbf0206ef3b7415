"""The facts of one target out of spans and links: what its deployments are judged by."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from vs_tui.metrics.assessment import Facts
from vs_tui.metrics.attempts import merge_attempts, merge_runs
from vs_tui.metrics.facts import (
    Build,
    Change,
    Deployment,
    Incident,
    Kind,
    Outcome,
    Target,
    Test,
    spellings,
)
from vs_tui.metrics.failures import name_of
from vs_tui.metrics.lead_time import built_by, part_of
from vs_tui.metrics.reading import (
    build_of,
    change_of,
    deployment_of,
    incident_of,
    test_of,
)
from vs_tui.metrics.rules import MetricRules
from vs_tui.metrics.runs import Run, each_run, runs_seen, runs_told
from vs_tui.model.teams import Teams
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Span
from vs_tui.store import rows
from vs_tui.store.containment import Commit, paths_of
from vs_tui.store.metrics.verdicts import TOLD
from vs_tui.store.shipped_changes import contained_in

_SELECT: Final = f"SELECT {rows.SELECT_SPAN} FROM spans"
_OF_TARGET: Final = "project = ? AND service = ? AND environment = ?"
_PLACELESS: Final = (
    "(instr(project, '/') = 0 AND NOT EXISTS (SELECT 1 FROM metric_deploys d "
    "WHERE d.project = spans.project AND d.service = spans.service))"
)
"""Alerts know services, not repositories: where nothing of that name is deployed in the project
that an incident states, it is of that service wherever it is deployed."""
_STATED: Final = "IN ('pinned', 'explicit', 'traceparent', 'reference', 'structure')"
"""Rules of links that somebody stated; all others are found by what two spans have in common."""
MAX_CLIMB: Final = 6
"""Levels above a deploy that are searched for the pull requests it ships."""
MAX_BUILDS: Final = 200
"""Builds that are looked at to find where development resumed."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One target from some moment on."""

    facts: Facts
    deployments: Sequence[Deployment]
    """Retries merged; in flight and cancelled ones too."""


def stretch_of(
    db: sqlite3.Connection,
    target: Target,
    since: Instant,
    rules: MetricRules,
    teams: Teams = Teams(),  # noqa: B008
) -> Stretch:
    """All that happened at a target since a moment."""
    spans = _deploys(db, target, since)
    retries = _retries(db, target, spans)
    actors = {key: span.actor for key, span in spans.items()}
    runs = [_of_team(run, teams, actors[run.span]) for run in _each_run(db, spans.values())]
    deployments = merge_runs(_with_runs(db, merge_attempts(runs, retries)))
    if rules.failed_deploys == "ignore":
        deployments = [
            replace(d, outcome=Outcome.CANCELLED) if d.outcome is Outcome.FAILED else d
            for d in deployments
        ]
    finished = [d for d in deployments if d.finished]
    keys = list(dict.fromkeys(span for d in finished for span in d.spans))
    by_span = _shipped(db, {span for d in finished if d.ok for span in d.spans}, rules, target)
    shipped = {}
    for d in finished:
        changes = {c.key: c for span in d.spans if d.ok for c in by_span.get(span, ())}
        if any(span in by_span for span in d.spans if d.ok):
            shipped[d.key] = list(changes.values())
    bare = [d for d in finished if d.ok and d.key not in shipped]
    commits = _commit_times(db, [d.commit for d in bare if d.commit])
    # A version may raise an incident while it still goes out.
    begun = min([since, *(d.started_at for d in finished)])
    seen = _first_seen(db, target, since, finished)
    facts = Facts(
        deployments=finished,
        tests=_tests(db, target, since, keys),
        incidents=_incidents(db, target, begun, keys),
        shipped=shipped,
        pending=[d for d in deployments if d.outcome is Outcome.PENDING],
        builds=_builds(db, target, finished, bare),
        commit_times=commits,
        first_seen={name: at for (_, name), (at, _) in reversed(seen)},
        first_shipped={name for (_, name), (_, shipped) in seen if shipped},
        seen_parts=dict(seen),
    )
    return Stretch(facts, deployments)


def _spans(db: sqlite3.Connection, where: str, *parameters: Any) -> list[Span]:
    return [rows.span_of(row) for row in db.execute(f"{_SELECT} WHERE {where}", parameters)]


def _spans_in(db: sqlite3.Connection, where: str, keys: Iterable[str]) -> list[Span]:
    return [rows.span_of(row) for row in rows.select_in(db, f"{_SELECT} WHERE {where}", keys)]


def _deploys(db: sqlite3.Connection, target: Target, since: Instant) -> dict[str, Span]:
    sql = (
        f"SELECT key FROM metric_deploys WHERE {_OF_TARGET} AND ended_at >= ? "
        f"UNION SELECT key FROM metric_deploys WHERE {_OF_TARGET} AND ended_at IS NULL"
    )
    keys = [key for (key,) in db.execute(sql, (*target, since, *target))]
    return {span.key: _at(span, target) for span in _spans_in(db, f"key {rows.KEYS}", keys)}


def _at(span: Span, target: Target) -> Span:
    """A span as a deployment to the target that it counts for."""
    return span._replace(service=target.service, environment=target.environment)


def _of_team(deployment: Deployment, teams: Teams, actor: str) -> Deployment:
    """With every team that lists its project."""
    if not teams.teams:
        return deployment
    named = teams.all_of(deployment.project, deployment.service, actor)
    return replace(deployment, team="\n".join(named))


_RUN_ABOVE: Final = (
    "WITH RECURSIVE up(start, key, parent, operation, attributes, depth) AS ("
    "SELECT key, key, parent_key, operation, '{}', 0 FROM spans WHERE key {} "
    "UNION ALL SELECT up.start, u.key, u.parent_key, u.operation, u.attributes, up.depth + 1 "
    "FROM up JOIN spans u ON u.key = up.parent WHERE up.depth < 6 "
    "AND u.operation IN ('build', 'pipeline', 'stage', 'deploy')) "
    "SELECT start, key, operation, json_extract(attributes, '$.\"cicd.pipeline.task.name\"'), "
    "json_extract(attributes, '$.\"cicd.pipeline.name\"'), "
    "json_extract(attributes, '$.\"cicd.pipeline.run.id\"') "
    "FROM up WHERE depth > 0 ORDER BY start, depth"
)


def _with_runs(db: sqlite3.Connection, deployments: Sequence[Deployment]) -> list[Deployment]:
    """With the run and the job that each is below, where its sender does not say them itself.

    A job names its run, also where nobody sends the run itself (only GitLab's job events ticked).
    """
    jobs: dict[str, str] = {}
    runs: dict[str, str] = {}
    named: dict[str, str] = {}
    sql = _RUN_ABOVE.replace("key {}", f"key {rows.KEYS}")
    found_above = rows.select_in(db, sql, {d.span for d in deployments})
    for start, key, operation, task, pipeline, run in found_above:
        if operation == "build" and task:
            jobs.setdefault(start, str(task))
            if pipeline and run:
                named.setdefault(start, f"{pipeline} {run}")
        elif operation == "pipeline":
            runs.setdefault(start, key)
    found = []
    for d in deployments:
        run = d.run or runs.get(d.span) or named.get(d.span, "")
        found.append(replace(d, run=run, leg=jobs.get(d.span, "")) if run else d)
    return found


def _each_run(db: sqlite3.Connection, spans: Collection[Span]) -> list[Deployment]:
    told = _runs(db, spans)
    return [run for span in spans for run in each_run(deployment_of(span), told[span.key])]


def _retries(db: sqlite3.Connection, target: Target, spans: dict[str, Span]) -> dict[str, str]:
    """Retry -> what it retries; loads the attempts that lie before the stretch into `spans`."""
    found: dict[str, str] = {}
    frontier = set(spans)
    while frontier:
        seen: set[str] = set()
        for column in ("child", "parent"):
            sql = f"SELECT child, parent FROM links WHERE rule = 'attempt' AND {column} {rows.KEYS}"
            for child, parent in rows.select_in(db, sql, frontier):
                found[child] = parent
                seen |= {child, parent}
        missing = seen - set(spans)
        fresh = [
            span
            for span in _spans_in(db, f"operation = 'deploy' AND key {rows.KEYS}", missing)
            if (span.project, span.service, span.environment) == target
        ]
        spans.update((span.key, span) for span in fresh)
        frontier = {span.key for span in fresh}
    return {child: parent for child, parent in found.items() if child in spans and parent in spans}


def _shipped(
    db: sqlite3.Connection, deploys: Iterable[str], rules: MetricRules, target: Target
) -> dict[str, list[Change]]:
    """Deployment -> what its commit contains that is new, and the pull requests above it."""
    listed = set(deploys)
    found = pull_requests_above(db, listed)
    commits: dict[str, dict[str, Commit]] = {}
    for deploy, contained in contained_in(db, listed).items():
        found.setdefault(deploy, set()).update(contained.pull_requests)
        commits[deploy] = contained.commits
    changes = _changes(db, {pr for prs in found.values() for pr in prs}, rules)
    service = rules.paths_of(target.service)
    paths = paths_of(db, changes) if service else {}

    def touches(files: Collection[str]) -> bool:
        return service is None or not files or any(map(service.holds, files))

    shipped = {
        deploy: [
            *(changes[pr] for pr in sorted(prs) if pr in changes and touches(paths.get(pr, ()))),
            *(
                _commit_change(commit, target.project)
                for commit in commits.get(deploy, {}).values()
                if touches(commit.paths)
            ),
        ]
        for deploy, prs in found.items()
    }
    # A deployment without a change for its service ships nothing, which is known.
    return {
        deploy: each
        for deploy, each in shipped.items()
        if each or (service and (found[deploy] or commits.get(deploy)))
    }


def _commit_change(commit: Commit, project: str) -> Change:
    return Change(
        key=f"{project}@{commit.commit_id}",
        kind=Kind.COMMIT,
        title=commit.title,
        project=project,
        first_commit_at=commit.authored,
        merged_at=None,
    )


def pull_requests_above(db: sqlite3.Connection, deploys: Iterable[str]) -> dict[str, set[str]]:
    """Deployment -> keys of pull requests."""
    sql = (
        "SELECT child, parent FROM links WHERE rule NOT IN ('proximity', 'attempt') "
        f"AND child {rows.KEYS}"
    )
    below: dict[str, set[str]] = {}
    for child, parent in rows.select_in(db, sql, deploys):
        below.setdefault(parent, set()).add(child)
    found: dict[str, set[str]] = {}
    sql = f"SELECT key, operation, parent_key FROM spans WHERE key {rows.KEYS}"
    seen: set[str] = set()
    for _ in range(MAX_CLIMB):
        seen |= set(below)
        above: dict[str, set[str]] = {}
        for key, operation, parent in rows.select_in(db, sql, below):
            if operation == "pull_request":
                for deploy in below[key]:
                    found.setdefault(deploy, set()).add(key)
            elif parent and parent not in seen:
                above.setdefault(parent, set()).update(below[key])
        if not above:
            break
        below = above
    return found


def _changes(db: sqlite3.Connection, keys: Iterable[str], rules: MetricRules) -> dict[str, Change]:
    listed = list(keys)
    below: dict[str, list[Span]] = {}
    where = f"operation IN ('review', 'push') AND parent_key <> '' AND parent_key {rows.KEYS}"
    for span in _spans_in(db, where, listed):
        below.setdefault(span.parent_key, []).append(span)
    return {
        span.key: change_of(span, below.get(span.key, ()), rules)
        for span in _spans_in(db, f"key {rows.KEYS}", listed)
    }


def _commit_times(db: sqlite3.Connection, commits: Iterable[str]) -> dict[str, Instant]:
    """When commits were written, by the pushes that brought them."""
    by_token: dict[str, list[str]] = {}
    for commit in commits:
        by_token.setdefault(f"commit:{commit[:7]}", []).append(commit)
    sql = (
        "SELECT o.token, o.value, json_extract(s.attributes, '$.\"vs.commit.first_at\"') "
        "FROM offers o JOIN spans s ON s.key = o.key "
        f"WHERE s.operation = 'push' AND o.token {rows.KEYS}"
    )
    found: dict[str, Instant] = {}
    for token, value, written in rows.select_in(db, sql, by_token):
        at = parse_instant(written)
        for commit in by_token[token]:
            if at is not None and (commit.startswith(value) or value.startswith(commit)):
                found[commit] = min(at, found.get(commit, at))
    return found


def _tests(
    db: sqlite3.Connection, target: Target, since: Instant, keys: Sequence[str]
) -> list[Test]:
    """Those of the target, and those that say that they are below its deploys."""
    names = spellings(target.environment)
    where = (
        "operation = 'test' AND environment <> '' AND project = ? AND service = ? "
        f"AND environment {rows.KEYS} AND ended_at >= ?"
    )
    found = _spans(db, where, *target[:2], rows.as_json(names), since)
    where = f"operation = 'test' AND parent_key <> '' AND parent_key {rows.KEYS}"
    below = [span for span in _spans_in(db, where, keys) if span.environment in ("", *names)]
    stated = _stated(db, [*found, *below])
    # A parent that was found by the version is another one's as well: time decides.
    found = [span if span.key in stated else span._replace(parent_key="") for span in found]
    found += [span for span in below if span.key in stated]
    runs = _runs(db, found)
    return [
        replace(test, key=f"{span.key}#{n}" if n else span.key, ended_at=ended, passed=passed)
        for span in found
        if (test := test_of(span)) is not None
        for n, (ended, passed) in enumerate(_results(test, runs.get(span.key, [])))
    ]


def _results(test: Test, runs: Sequence[Run]) -> list[tuple[Instant, bool]]:
    """(end, passed) of each run of a test, the span as it stands last."""
    told = [(r.ended_at, r.outcome is Outcome.OK) for r in runs if r.ended_at is not None]
    return told[::-1] if len(told) > 1 else [(test.ended_at, test.passed)]


def _runs(db: sqlite3.Connection, spans: Iterable[Span]) -> dict[str, list[Run]]:
    """Span -> the runs it went through, where there were several."""
    listed = list(spans)
    told = {span.key: runs_told(span) for span in listed}
    reopened = [span.key for span in listed if span.reopens and not told[span.key]]
    events: dict[str, list[Event]] = {}
    sql = f"SELECT key, data FROM events WHERE key {rows.KEYS}"
    for key, data in rows.select_in(db, sql, reopened):
        events.setdefault(key, []).append(rows.event_of(data))
    told.update((key, runs_seen(found)) for key, found in events.items())
    return told


def _stated(db: sqlite3.Connection, spans: Iterable[Span]) -> set[str]:
    """Those of these spans whose tools say what they are below."""
    sql = f"SELECT child FROM links WHERE is_primary = 1 AND rule {_STATED} AND child {rows.KEYS}"
    return {row[0] for row in rows.select_in(db, sql, {span.key for span in spans})}


def _incidents(
    db: sqlite3.Connection, target: Target, since: Instant, keys: Sequence[str]
) -> list[Incident]:
    names = ("", *spellings(target.environment))
    where = (
        "key IN (SELECT key FROM metric_incidents WHERE service = ?1 AND ?1 <> '' "
        f"AND environment IN (SELECT value FROM json_each(?2)) AND started_at >= ?3) "
        f"AND (project = ?4 OR {_PLACELESS}) OR key IN (SELECT key FROM metric_incidents "
        "WHERE project = ?4 AND service = '' AND started_at >= ?3 "
        "AND environment IN (SELECT value FROM json_each(?2)))"
    )
    bound = (target.service, rows.as_json(names), since, target.project)
    found = {span.key: span for span in _spans(db, where, *bound)}
    linked: dict[str, list[str]] = {}
    alike: dict[str, list[str]] = {}
    sql = (
        f"SELECT l.child, l.parent, l.rule {_STATED}, s.environment FROM links l "
        "JOIN spans s ON s.key = l.child "
        "JOIN metric_incidents m ON m.key = l.child "
        f"WHERE l.rule <> 'proximity' AND l.parent {rows.KEYS}"
    )
    for child, parent, stated, environment in rows.select_in(db, sql, keys):
        if stated:
            linked.setdefault(child, []).append(parent)
        elif environment in names:
            alike.setdefault(child, []).append(parent)
    for span in _spans_in(db, f"key {rows.KEYS}", (linked.keys() | alike.keys()) - found.keys()):
        found[span.key] = span
    elsewhere = _linked_elsewhere(db, found.keys() - linked.keys())
    later = _later_elsewhere(db, target, found)
    runs = _runs(db, found.values())
    return [
        replace(each, only_named=key in later)
        for key, span in found.items()
        # One that names another deployment says nothing about this target.
        if key not in elsewhere
        and (incident := incident_of(span, linked.get(key, ()), alike.get(key, ()))) is not None
        for each in _episodes(incident, runs.get(key, []))
    ]


_LAST: Final = (
    "(SELECT d.project || char(10) || d.service || char(10) || d.environment "
    "FROM metric_deploys d WHERE {} AND (i.environment = '' OR d.environment IN "
    "(SELECT value FROM json_each(?2))) AND d.started_at <= i.started_at "
    "AND d.status <> 'cancelled' ORDER BY d.started_at DESC, d.key DESC LIMIT 1)"
)


def _later_elsewhere(db: sqlite3.Connection, target: Target, keys: Iterable[str]) -> set[str]:
    """The incidents that say too little to be of one target alone, and before which a deployment
    of another one had begun last: one without an environment, a ticket of a repository."""
    of_project = _LAST.format("d.project = i.project")
    of_service = _LAST.format(
        "d.service = i.service AND (d.project = i.project OR (instr(i.project, '/') = 0 "
        "AND NOT EXISTS (SELECT 1 FROM metric_deploys o WHERE o.project = i.project "
        "AND o.service = i.service)))"
    )
    sql = (
        f"SELECT i.key, CASE WHEN i.service = '' THEN {of_project} ELSE {of_service} END "
        "FROM metric_incidents i WHERE i.key IN (SELECT value FROM json_each(?1))"
    )
    bound = (rows.as_json(keys), rows.as_json(spellings(target.environment)))
    own = "\n".join(target)
    return {key for key, last in db.execute(sql, bound) if last not in (None, own)}


def _episodes(incident: Incident, runs: Sequence[Run]) -> list[Incident]:
    """An incident for each time that it was open."""
    if len(runs) < 2:
        return [incident]
    return [
        replace(
            incident,
            key=f"{incident.key}#{n}" if n else incident.key,
            span=incident.key,
            started_at=run.started_at,
            restored_at=run.ended_at,
            finished_at=run.ended_at,
        )
        for n, run in enumerate(reversed(runs))
    ]


def _linked_elsewhere(db: sqlite3.Connection, incidents: Iterable[str]) -> set[str]:
    sql = (
        "SELECT DISTINCT l.child FROM links l JOIN spans d ON d.key = l.parent "
        f"WHERE d.operation = 'deploy' AND l.rule {_STATED} AND l.child {rows.KEYS}"
    )
    return {row[0] for row in rows.select_in(db, sql, incidents)}


def _builds(
    db: sqlite3.Connection,
    target: Target,
    finished: Sequence[Deployment],
    bare: Sequence[Deployment],
) -> list[Build]:
    """The builds that made the deployed versions; for deployments without a known change also
    the one with which development resumed."""
    own = _own_builds(db, finished)
    found = {build.key: build for build in own}
    wanting = {d.key for d in bare if d.first_commit_at is None}
    previous: Deployment | None = None
    for deployment in sorted(finished, key=lambda d: d.ended_at):
        if deployment.key in wanting and previous is not None:
            for artifact in [name for name, _ in deployment.parts] or [""]:
                now, last = deployment, previous
                if artifact:
                    now, last = part_of(now, artifact), part_of(last, artifact)
                made = built_by(last, own)
                after = made.started_at if made else last.started_at
                resumed = _first_build(db, target, after, now)
                if resumed is not None:
                    found[resumed.key] = resumed
        if deployment.ok:
            previous = deployment
    return list(found.values())


def _own_builds(db: sqlite3.Connection, deployments: Sequence[Deployment]) -> list[Build]:
    tokens: dict[str, None] = {}
    for deployment in deployments:
        if deployment.commit:
            tokens[f"built:{deployment.commit[:7]}"] = None
        if deployment.version:
            for name in {deployment.artifact, deployment.service} - {""}:
                tokens[f"artifact:{name}@{deployment.version}"] = None
        for name, version in deployment.parts:
            if version:
                tokens[f"artifact:{name}@{version}"] = None
    where = (
        "operation IN ('build', 'pipeline') "
        f"AND key IN (SELECT key FROM offers WHERE token {rows.KEYS})"
    )
    return _as_builds(_spans_in(db, where, tokens))


def _first_build(
    db: sqlite3.Connection, target: Target, after: Instant, deployment: Deployment
) -> Build | None:
    """The earliest build of the artifact that began after a moment and before the deployment."""
    names = ("", deployment.artifact, deployment.service)
    where = (
        "operation IN ('build', 'pipeline') AND project = ? AND started_at > ? "
        f"AND started_at <= ? ORDER BY started_at LIMIT {MAX_BUILDS}"
    )
    found = _as_builds(_spans(db, where, target.project, after, deployment.ended_at))
    return next((build for build in found if build.service in names), None)


def _as_builds(spans: Iterable[Span]) -> list[Build]:
    return [build for span in spans if (build := build_of(span)) is not None]


def _first_seen(
    db: sqlite3.Connection, target: Target, since: Instant, finished: Sequence[Deployment]
) -> list[tuple[tuple[str, str], tuple[Instant, bool]]]:
    """((artifact, version), (when it was deployed first, whether any of it succeeded)) before the
    stretch, in time order."""
    names = {name_of(deployment) for deployment in finished}
    names |= {version for deployment in finished for _, version in deployment.parts}
    sql = (
        "SELECT artifact, version, MIN(ended_at) AS at, MAX(outcome = 'ok') FROM dora_deployments "
        f"WHERE {_OF_TARGET} AND {TOLD} AND outcome IN ('ok', 'failed') AND ended_at < ? "
        f"AND version {rows.KEYS} GROUP BY artifact, version ORDER BY at"
    )
    found = db.execute(sql, (*target, since, rows.as_json(sorted(names - {""}))))
    return [((artifact, version), (at, bool(ok))) for artifact, version, at, ok in found]
