"""Reads the changes that the deployments of one target shipped, and the builds that made them."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from vs_tui.metrics.facts import Build, Change, Deployment, Kind, Target
from vs_tui.metrics.failures import ROLLBACK, is_revert, reverted_title, undoes_a_revert
from vs_tui.metrics.lead_time import Builds, built_by, part_of
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules, name_of
from vs_tui.metrics.span_facts import build_of, change_of
from vs_tui.model import keys
from vs_tui.model.application_commits import bumped_commits
from vs_tui.model.artifacts import is_bump
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.folding.branch_stretches import Commit
from vs_tui.store.folding.containment import carried_by, promotions_among
from vs_tui.store.folding.pushed_requests import had_it, requests_of
from vs_tui.store.folding.shipped_changes import contained_in, known_positions, repeated
from vs_tui.store.folding.vcs_history import (
    PUSH,
    begins,
    default_branches,
    is_shared,
)
from vs_tui.store.metrics.application_changes import applied
from vs_tui.store.metrics.own_commits import Own, own_commits

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


_HEAD: Final = "COALESCE(r.source, json_extract(s.attributes, '$.\"vcs.ref.head.name\"'))"
_BASE: Final = "COALESCE(r.branch, json_extract(s.attributes, '$.\"vcs.ref.base.name\"'))"
# Deploys of a commit that the base had before the pull request, which only brought its branch up to
# date, or another branch before its own: another push than that of its merge brought it there.
_BEFORE_IT: Final = (
    rows.asked("deploy", "key")
    + "SELECT a.deploy, a.key FROM asked a CROSS JOIN vcs_deploys d ON d.key = a.deploy "
    "CROSS JOIN spans s ON s.key = a.key LEFT JOIN vcs_history r ON r.key = a.key "
    "CROSS JOIN vcs_commits x ON x.project = d.project AND length(d.version) >= 7 "
    f"AND {begins('d.version', 'x')} CROSS JOIN vcs_history p ON p.key = x.key AND p.kind = 1 "
    f"AND (p.branch = {_BASE} OR (p.branch <> {_HEAD} "
    f"AND NOT {had_it(_HEAD, 'x', or_at_once=True)})) "
    "AND p.at < COALESCE(r.at, p.at + 1) "
    "WHERE NOT EXISTS (SELECT 1 FROM vcs_commits m CROSS JOIN vcs_commits o ON o.key = x.key "
    f"AND {begins('m.commit_id', 'o')} WHERE m.key = a.key)"
)


def shipped_by(
    db: sqlite3.Connection, finished: Sequence[Deployment], rules: MetricRules, target: Target
) -> dict[str, list[Change]]:
    """Deployment -> changes that it shipped; absent if they are unknown.

    Of a deployment that failed in one region, the others have its changes already; they ship with
    the next success that has its commit or a later one."""
    spans: dict[str, tuple[str, ...]] = {}
    waiting: list[Deployment] = []
    for d in finished:
        if d.marked == ROLLBACK:
            continue
        own = [w for w in waiting if d.ok and d.has_all_of(w)]
        waiting = [w for w in waiting if w not in own]
        if d.ok:
            spans[d.key] = (*d.spans, *(span for w in own for span in w.spans))
        elif d.members:
            waiting.append(d)
    by_span = _shipped(db, {span for own in spans.values() for span in own}, rules, target)
    # What a span shipped is known of its last run.
    until = {d.key: d.ended_at for d in finished if d.run_of}
    return {
        key: [
            change
            for change in {c.key: c for span in own for c in by_span.get(span, ())}.values()
            if key not in until or (change.merged_at or change.first_commit_at or 0) <= until[key]
        ]
        for key, own in spans.items()
        if any(by_span.get(span) for span in own) or all(span in by_span for span in own)
    }


def _shipped(
    db: sqlite3.Connection, deploys: Collection[str], rules: MetricRules, target: Target
) -> dict[str, list[Change]]:
    """Deploy -> new changes in its commit, and the pull requests above it."""
    above = set(rows.select_in(db, _ABOVE, deploys))
    fresh: dict[str, list[str]] = grouped(above.difference(rows.select_in(db, _BEFORE_IT, above)))
    again = repeated(db, deploys)
    promotions = promotions_among(db, {request for _, request in above})
    requested = {d: set(own) - promotions for d, own in fresh.items() if d not in again}
    commits: dict[str, Collection[Commit]] = {}
    for deploy, contained in contained_in(db, deploys).items():
        keys = requested.setdefault(deploy, set())
        keys -= contained.promotions | contained.apart
        keys.update(contained.pull_requests)
        commits[deploy] = contained.commits.values()
    requests = own_commits(db, {key for keys in requested.values() for key in keys})
    changes = _changes(db, requests, rules)
    # A branch that was cut at a commit tells nothing of its message.
    each = sorted((c for own in commits.values() for c in own), key=lambda c: c.reverts)
    pushed = {c.commit_id: c for c in each}
    changes |= {c.key: c for c in (_commit_change(c, target.project) for c in pushed.values())}
    changes = reverting(db, target.project, changes)
    applications = _of_applications(db, deploys, rules, target)
    placed = known_positions(db, deploys)
    own_paths = (s for s in rules.services if s.name.lower() == target.service and s.paths)
    service = next(own_paths, None)

    def touches(files: Collection[str]) -> bool:
        return service is None or not files or any(map(service.holds, files))

    found: dict[str, list[Change]] = {deploy: [] for deploy in again}
    for deploy, keys in requested.items():
        own = [changes[k] for k in sorted(keys) if k in changes and touches(requests[k].paths)]
        own += [
            changes[_commit_key(commit.commit_id, target.project)]
            for commit in commits.get(deploy, ())
            if touches(commit.paths)
        ]
        own = _bumped(own, applications.get(deploy, {}), target)
        # Without a change for its service, or if the target had all that its commit has, a
        # deployment is known to ship nothing.
        if own or deploy in placed or (service and (keys or commits.get(deploy))):
            found[deploy] = own
    return found


def _of_applications(
    db: sqlite3.Connection, deploys: Collection[str], rules: MetricRules, target: Target
) -> dict[str, dict[str, list[Change]]]:
    """Deploy -> project -> the changes of an application that it ships from another repository, or
    those of people in the manifests (see `_bumped`)."""
    found: dict[str, dict[str, list[Change]]] = {}
    for deploy, brought in applied(db, deploys).items():
        names = {target.service, *(name_of(project) for project, *_ in brought)}
        for project, own, sets_versions in brought:
            changes = [*_changes(db, own_commits(db, own.pull_requests), rules).values()]
            changes += [_commit_change(commit, project) for commit in own.commits.values()]
            if sets_versions:
                changes = [c for c in changes if not is_bump(c.title, names - {name_of(project)})]
            elif target.service != name_of(project):
                changes = [_of_unknown_start(c) if bumped_commits(c.title) else c for c in changes]
            found.setdefault(deploy, {})[project] = sorted(changes, key=lambda change: change.key)
    return found


def _bumped(
    own: Sequence[Change], applications: Mapping[str, Sequence[Change]], target: Target
) -> list[Change]:
    """The changes of a deployment with those of its applications, instead of the changes that only
    set their versions. If the application's are unknown, the start of such a change is, too."""
    names = set(map(name_of, applications))
    others = {change.key: change for brought in applications.values() for change in brought}
    found = [change for change in own if change.key not in others]
    if applications:
        found = [c for c in found if not is_bump(c.title, {*names, target.service})]
    elif target.service != name_of(target.project):
        found = [_of_unknown_start(c) if is_bump(c.title, {target.service}) else c for c in found]
    return [*found, *others.values()]


def _of_unknown_start(change: Change) -> Change:
    return replace(change, first_commit_at=None, opened_at=None)


def _commit_key(commit_id: str, project: str) -> str:
    return f"{project}@{commit_id}"


def _commit_change(commit: Commit, project: str) -> Change:
    return Change(
        key=_commit_key(commit.commit_id, project),
        kind=Kind.COMMIT,
        title=commit.title,
        # The clock of its author may be ahead, but it was not written after its push.
        first_commit_at=None if commit.authored is None else min(commit.authored, commit.at),
        reverts=tuple(commit.reverts.split()),
    )


_SAID: Final = (
    "SELECT k.value, c.commit_id, c.key, h.kind, h.branch, c.title, c.reverts FROM json_each(?2) k "
    "CROSS JOIN vcs_commits c ON length(k.value) >= 7 AND c.project = ?1 "
    f"AND {begins('k.value', 'c')} "
    "JOIN vcs_history h ON h.key = c.key ORDER BY c.at, c.key"
)


def reverting(
    db: sqlite3.Connection, project: str, changes: Mapping[str, Change]
) -> dict[str, Change]:
    """The changes with the keys of those that they take back. Descriptions and messages name
    commits and pull requests; a commit stands for the pull request that brought it, too."""
    spoken = {sha for change in changes.values() for sha in change.commits}
    said = {sha: reverts for sha, *_, reverts in _said(db, project, spoken) if reverts}
    named = {
        key: [*change.reverts, *(n for sha in change.commits for n in said.get(sha, "").split())]
        for key, change in changes.items()
    }
    for key, change in changes.items():
        if not named[key] and (title := reverted_title(change.title)):
            named[key] = _promotion(db, project, title)
    listed = {name for names in named.values() for name in names}
    if not listed:
        return dict(changes)
    former = _former(db, project, {name for name in listed if name.startswith(keys.FORMER)})
    named = {
        key: [now for name in names if (now := former.get(name, name))[0] != keys.FORMER]
        for key, names in named.items()
    }
    meant, again = _meant(db, project, {name for names in named.values() for name in names})
    found = dict(changes)
    for key, names in named.items():
        reverted = dict.fromkeys(each for name in names for each in meant[name] if each != key)
        back = undoes_a_revert(changes[key].title) or not again.isdisjoint(reverted)
        found[key] = replace(changes[key], reverts=tuple(reverted), restores=back)
    return found


def _promotion(db: sqlite3.Connection, project: str, title: str) -> list[str]:
    """The last pull request with a title, if it took a shared branch further: it is no change, so
    its title leads to none."""
    sql = (
        "SELECT key FROM spans WHERE project = ?1 AND operation = 'pull_request' "
        "AND status = 'ok' AND (name = ?2 OR name LIKE replace(?2, '%', '_') || ' (%)') "
        "ORDER BY ended_at DESC, key LIMIT 1"
    )
    return list(promotions_among(db, [key for (key,) in db.execute(sql, (project, title))]))


def _former(db: sqlite3.Connection, project: str, names: Collection[str]) -> dict[str, str]:
    """Reference of a pull request under a former name of the repository -> its key."""
    sql = (
        "SELECT a.value, s.key FROM json_each(?1) a CROSS JOIN offers o "
        "ON o.token = 'ref:' || substr(a.value, 2) CROSS JOIN spans s ON s.key = o.key "
        "AND s.operation = 'pull_request' AND s.project = ?2"
    )
    return dict(db.execute(sql, (rows.as_json(names), project))) if names else {}


def _said(db: sqlite3.Connection, project: str, shas: Collection[str]) -> list[tuple[Any, ...]]:
    return db.execute(_SAID, (project, rows.as_json(shas))).fetchall() if shas else []


def _meant(
    db: sqlite3.Connection, project: str, names: Collection[str]
) -> tuple[dict[str, list[str]], set[str]]:
    """Name of a commit or key of a pull request -> keys of the changes that it means; and those of
    them that are reverts."""
    known = _said(db, project, names)
    brought = _brought(db, project, known)
    meant: dict[str, list[str]] = {name: [name] for name in names}
    again = set()
    for name, sha, key, kind, _, title, reverts in known:
        commit = _commit_key(sha, project)
        meant[name] += [*(brought[sha] if kind == PUSH else {key}), commit]
        if is_revert(Change(key=commit, kind=Kind.COMMIT, title=title, reverts=(reverts,))):
            again.add(commit)
    found = {key for keys in meant.values() for key in keys}
    carried = carried_by(db, found)
    for own_keys in meant.values():  # who takes a promotion back takes all back that it carried
        own_keys += [
            each
            for key in own_keys
            if (own := carried.get(key)) is not None
            for each in (*own.pull_requests, *(_commit_key(sha, project) for sha in own.commits))
        ]
    changes = _changes(db, own_commits(db, found), DEFAULT_RULES).values()
    spoken = {sha for change in changes for sha in change.commits}
    said = {sha for sha, *_, reverts in _said(db, project, spoken) if reverts}
    again.update(c.key for c in changes if is_revert(c) or not said.isdisjoint(c.commits))
    return meant, again


def _brought(
    db: sqlite3.Connection, project: str, known: Sequence[tuple[Any, ...]]
) -> dict[str, set[str]]:
    """Commit -> the pull request with which it came to a shared branch, else to its first one. A
    branch that is brought up to date has what came without its pull request."""
    defaults = default_branches(db, {project})
    by_push = requests_of(db, {key for _, _, key, kind, *_ in known if kind == PUSH})
    shared: dict[str, list[set[str]]] = {}
    others: dict[str, list[set[str]]] = {}
    for _, sha, key, kind, branch, *_ in known:
        if kind == PUSH:
            found = shared if is_shared(branch, project, defaults) else others
            found.setdefault(sha, []).append({request.key for request in by_push.get(key, ())})
    brought = {sha: own[0] for sha, own in others.items()}
    for sha, own in shared.items():
        several = set.intersection(*own)
        brought[sha] = several & brought.get(sha, several) if len(several) > 1 else several
    return {sha: own if len(own) == 1 else set() for sha, own in brought.items()}


def _changes(
    db: sqlite3.Connection, commits: Mapping[str, Own], rules: MetricRules
) -> dict[str, Change]:
    listed = rows.as_json(commits)
    where = f"operation = 'review' AND parent_key <> '' AND parent_key {rows.KEYS}"
    below = grouped((span.parent_key, span) for span in rows.spans(db, where, listed))
    found = {}
    for span in rows.spans(db, f"key {rows.KEYS}", listed):
        own = commits[span.key]
        change = change_of(span, below.get(span.key, ()), rules, own.first)
        only = [sha for sha in own.shas if not sha.startswith(change.commits)]
        if len(only) == 1:  # its message speaks for the pull request, too
            change = replace(change, commits=(*change.commits, *only))
        found[span.key] = change
    return found


def builds_of(
    db: sqlite3.Connection,
    target: Target,
    deployments: Sequence[Deployment],
    bare: Iterable[Deployment],
) -> list[Build]:
    """The builds that made the deployed versions. If plyzen's rules decide when a change began,
    also the build with which development resumed."""
    own = _own_builds(db, deployments)
    found = {build.key: build for build in own}
    indexed = Builds(own)
    wanting = {d.key for d in bare if d.is_plyzen and d.first_commit_at is None}
    previous: dict[str, Deployment] = {}
    for deployment in sorted((d for d in deployments if d.finished), key=lambda d: d.ended_at):
        for now in [part_of(deployment, name) for name, _ in deployment.parts] or [deployment]:
            if deployment.key in wanting and (last := previous.get(now.service)) is not None:
                made = built_by(last, indexed)
                after = made.started_at if made else last.started_at
                if (resumed := _first_build(db, target, after, now)) is not None:
                    found[resumed.key] = resumed
            if now.ok:
                previous[now.service] = now
    return list(found.values())


def _own_builds(db: sqlite3.Connection, deployments: Sequence[Deployment]) -> list[Build]:
    tokens = {f"built:{d.commit[:7]}" for d in deployments if d.commit}
    for d in deployments:
        versions = [*d.parts, (d.artifact, d.version), (d.service, d.version)]
        tokens |= {f"artifact:{name}@{version}" for name, version in versions if name and version}
    where = (
        "operation IN ('build', 'pipeline') "
        f"AND key IN (SELECT key FROM offers WHERE token {rows.KEYS})"
    )
    return list(filter(None, map(build_of, rows.spans(db, where, rows.as_json(tokens)))))


def _first_build(
    db: sqlite3.Connection, target: Target, after: Instant, deployment: Deployment
) -> Build | None:
    """The first build of the artifact that started after an instant and before the deployment."""
    names = ("", deployment.artifact, deployment.service)
    where = (
        "operation IN ('build', 'pipeline') AND project = ? AND started_at > ? "
        f"AND started_at <= ? ORDER BY started_at LIMIT {MAX_BUILDS}"
    )
    spans = rows.spans(db, where, target.project, after, deployment.ended_at)
    return next((b for b in map(build_of, spans) if b and b.service in names), None)
