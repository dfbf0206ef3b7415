"""Reads the changes that the deployments of one target shipped, and the builds that made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from vs_tui.metrics.facts import Build, Change, Deployment, Kind, Target
from vs_tui.metrics.lead_time import Builds, built_by, part_of
from vs_tui.metrics.rules import MetricRules
from vs_tui.metrics.span_facts import build_of, change_of
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.store.folding.containment import Commit, paths_of
from vs_tui.store.folding.shipped_changes import contained_in

MAX_CLIMB: Final = 6
"""Most levels above a deploy that are searched for the pull requests it ships."""
MAX_BUILDS: Final = 200
"""Most builds that are searched for the one with which development resumed."""
_ABOVE: Final = (
    "WITH RECURSIVE up(deploy, key, depth) AS (SELECT child, parent, 1 FROM links "
    f"WHERE rule NOT IN ('proximity', 'attempt') AND child {rows.KEYS} "
    "UNION SELECT up.deploy, s.parent_key, depth + 1 FROM up JOIN spans s ON s.key = up.key "
    f"WHERE s.operation <> 'pull_request' AND s.parent_key <> '' AND depth < {MAX_CLIMB}) "
    "SELECT DISTINCT up.deploy, up.key FROM up JOIN spans s ON s.key = up.key "
    "WHERE s.operation = 'pull_request'"
)


def shipped_by(
    db: sqlite3.Connection, finished: Sequence[Deployment], rules: MetricRules, target: Target
) -> dict[str, list[Change]]:
    """Deployment -> changes that it shipped; absent if they are unknown."""
    spans = {d.key: d.spans for d in finished if d.ok}
    by_span = _shipped(db, {span for own in spans.values() for span in own}, rules, target)
    return {
        key: list({change.key: change for span in own for change in by_span.get(span, ())}.values())
        for key, own in spans.items()
        if any(span in by_span for span in own)
    }


def _shipped(
    db: sqlite3.Connection, deploys: Collection[str], rules: MetricRules, target: Target
) -> dict[str, list[Change]]:
    """Deploy -> new changes in its commit, and the pull requests above it."""
    requested: dict[str, set[str]] = {}
    for deploy, key in rows.select_in(db, _ABOVE, deploys):
        requested.setdefault(deploy, set()).add(key)
    commits: dict[str, Collection[Commit]] = {}
    for deploy, contained in contained_in(db, deploys).items():
        keys = requested.setdefault(deploy, set())
        keys -= contained.promotions
        keys |= contained.pull_requests.keys()
        commits[deploy] = contained.commits.values()
    changes = _changes(db, {key for keys in requested.values() for key in keys}, rules)
    service = rules.paths_of(target.service)
    paths = paths_of(db, changes) if service else {}

    def touches(files: Collection[str]) -> bool:
        return service is None or not files or any(map(service.holds, files))

    found = {}
    for deploy, keys in requested.items():
        own = [changes[k] for k in sorted(keys) if k in changes and touches(paths.get(k, ()))]
        own += [
            _commit_change(commit, target.project)
            for commit in commits.get(deploy, ())
            if touches(commit.paths)
        ]
        # Without a change for its service a deployment is known to ship nothing.
        if own or (service and (keys or commits.get(deploy))):
            found[deploy] = own
    return found


def _commit_change(commit: Commit, project: str) -> Change:
    return Change(
        key=f"{project}@{commit.commit_id}",
        kind=Kind.COMMIT,
        title=commit.title,
        first_commit_at=commit.authored,
    )


def _changes(
    db: sqlite3.Connection, keys: Collection[str], rules: MetricRules
) -> dict[str, Change]:
    listed = rows.as_json(keys)
    below: dict[str, list[Span]] = {}
    where = f"operation IN ('review', 'push') AND parent_key <> '' AND parent_key {rows.KEYS}"
    for span in rows.spans(db, where, listed):
        below.setdefault(span.parent_key, []).append(span)
    return {
        span.key: change_of(span, below.get(span.key, ()), rules)
        for span in rows.spans(db, f"key {rows.KEYS}", listed)
    }


def builds_of(
    db: sqlite3.Connection,
    target: Target,
    finished: Sequence[Deployment],
    bare: Iterable[Deployment],
) -> list[Build]:
    """The builds that made the deployed versions. If plyzen's rules decide when a change began,
    also the build with which development resumed."""
    own = _own_builds(db, finished)
    found = {build.key: build for build in own}
    indexed = Builds(own)
    wanting = {d.key for d in bare if d.is_plyzen and d.first_commit_at is None}
    previous: Deployment | None = None
    for deployment in sorted(finished, key=lambda d: d.ended_at):
        if deployment.key in wanting and previous is not None:
            for artifact in [name for name, _ in deployment.parts] or [""]:
                now, last = deployment, previous
                if artifact:
                    now, last = part_of(now, artifact), part_of(last, artifact)
                made = built_by(last, indexed)
                after = made.started_at if made else last.started_at
                if (resumed := _first_build(db, target, after, now)) is not None:
                    found[resumed.key] = resumed
        if deployment.ok:
            previous = deployment
    return list(found.values())


def _own_builds(db: sqlite3.Connection, deployments: Iterable[Deployment]) -> list[Build]:
    tokens = set()
    for d in deployments:
        versions = [*d.parts, (d.artifact, d.version), (d.service, d.version)]
        tokens |= {f"artifact:{name}@{version}" for name, version in versions if name and version}
        if d.commit:
            tokens.add(f"built:{d.commit[:7]}")
    where = (
        "operation IN ('build', 'pipeline') "
        f"AND key IN (SELECT key FROM offers WHERE token {rows.KEYS})"
    )
    return _as_builds(rows.spans(db, where, rows.as_json(tokens)))


def _first_build(
    db: sqlite3.Connection, target: Target, after: Instant, deployment: Deployment
) -> Build | None:
    """The first build of the artifact that started after an instant and before the deployment."""
    names = ("", deployment.artifact, deployment.service)
    where = (
        "operation IN ('build', 'pipeline') AND project = ? AND started_at > ? "
        f"AND started_at <= ? ORDER BY started_at LIMIT {MAX_BUILDS}"
    )
    found = _as_builds(rows.spans(db, where, target.project, after, deployment.ended_at))
    return next((build for build in found if build.service in names), None)


def _as_builds(spans: Iterable[Span]) -> list[Build]:
    return [build for span in spans if (build := build_of(span)) is not None]
