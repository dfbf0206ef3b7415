"""Change lead time: which changes a deployment shipped, when they began, and how long it took."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from vs_tui.domain import keys
from vs_tui.domain.instants import Duration, Instant
from vs_tui.domain.metrics.facts import Build, Change, Deployment, Kind, same_version
from vs_tui.domain.metrics.stages import Stages, stages_of


class Basis(StrEnum):
    """Which moment a lead time was counted from; the first of these that is known."""

    COMMIT = "first commit"
    OPENED = "pull request opened"
    BUILD = "first build"
    DEPLOYMENT = "previous deployment"
    NONE = ""
    """Nothing is known of it: the change was shipped, but has no lead time."""


@dataclass(frozen=True, slots=True)
class Shipped:
    """A change in one successful deployment."""

    change: Change
    deployed_at: Instant
    started_at: Instant | None
    basis: Basis
    stages: Stages

    @property
    def lead(self) -> Duration | None:
        """Deployment end minus the change's start, never negative; None when that is unknown."""
        if self.started_at is None:
            return None
        return max(self.deployed_at - self.started_at, 0)


def shipped_changes(
    deployments: Sequence[Deployment], pull_requests: Iterable[Change]
) -> dict[str, list[Change]]:
    """Which merged pull requests each successful deployment of one target contains.

    Those merged after the previous successful deployment began, up to this one's begin, when the
    deploy is of a shared branch or tells none; and those whose head or merge commit it names.
    Every deployment lists what it contains; `first_shipped` finds where a change came first.
    """
    merged = sorted(
        (pr for pr in pull_requests if pr.merged_at is not None),
        key=lambda pr: (pr.merged_at or 0, pr.key),
    )
    moments = [pr.merged_at or 0 for pr in merged]
    by_commit: dict[str, list[Change]] = {}
    for pr in merged:
        for sha in pr.commits:
            by_commit.setdefault(sha[:7], []).append(pr)
    found: dict[str, list[Change]] = {}
    previous: Deployment | None = None
    for deployment in sorted(deployments, key=lambda d: (d.started_at, d.ended_at, d.key)):
        if not deployment.ok:
            continue
        contained: dict[str, Change] = {}
        if previous is not None and _follows_default_branch(deployment):
            low = bisect_right(moments, previous.started_at)
            high = bisect_right(moments, deployment.started_at)
            contained.update((pr.key, pr) for pr in merged[low:high])
        for pr in by_commit.get(deployment.commit[:7], ()) if deployment.commit else ():
            if any(same_version("", sha, "", deployment.commit) for sha in pr.commits):
                contained[pr.key] = pr
        found[deployment.key] = list(contained.values())
        previous = deployment
    return found


def _follows_default_branch(deployment: Deployment) -> bool:
    return not deployment.branch or keys.is_shared_branch(deployment.branch)


def changes_of(
    deployment: Deployment, pull_requests: Sequence[Change], commit_times: Mapping[str, Instant]
) -> list[Change]:
    """What a deployment ships: its pull requests, else its commit, else its version."""
    if pull_requests:
        return list(pull_requests)
    if deployment.commit:
        written = commit_times.get(deployment.commit)
        key = f"{deployment.project}@{deployment.commit}"
        return [
            Change(key=key, kind=Kind.COMMIT, project=deployment.project, first_commit_at=written)
        ]
    if deployment.version:
        name = deployment.artifact or deployment.service
        key = f"{deployment.project}/{name}@{deployment.version}"
        return [Change(key=key, kind=Kind.VERSION, project=deployment.project)]
    return []


def built_by(deployment: Deployment, builds: Sequence[Build]) -> Build | None:
    """The latest build of this very version that began before the deployment ended."""
    named = deployment.version or deployment.commit
    fitting = [
        build
        for build in builds
        if named
        and (build.version or build.commit)
        and _of_artifact(build, deployment)
        and build.started_at <= deployment.ended_at
        and same_version(build.version, build.commit, deployment.version, deployment.commit)
    ]
    return max(fitting, key=lambda build: (build.started_at, build.key), default=None)


def _of_artifact(build: Build, deployment: Deployment) -> bool:
    names = (deployment.artifact, deployment.service)
    return build.project == deployment.project and (not build.service or build.service in names)


def development_resumed(
    deployment: Deployment, previous: Deployment | None, builds: Sequence[Build]
) -> Instant | None:
    """plyzen's rule: the earliest build of the artifact after the build that the last successful
    deployment was made of. For a first deployment it is the build of its own version."""
    if previous is None:
        own = built_by(deployment, builds)
        return own.started_at if own else None
    last = built_by(previous, builds)
    after = last.started_at if last else previous.started_at
    return min(
        (
            build.started_at
            for build in builds
            if _of_artifact(build, deployment) and after < build.started_at <= deployment.ended_at
        ),
        default=None,
    )


def start_of(
    change: Change,
    deployment: Deployment,
    previous: Deployment | None,
    builds: Sequence[Build],
) -> tuple[Instant | None, Basis]:
    """When a change began, by the first moment that is known of it, and which one that is."""
    if change.first_commit_at is not None:
        return change.first_commit_at, Basis.COMMIT
    if change.opened_at is not None:
        return change.opened_at, Basis.OPENED
    resumed = development_resumed(deployment, previous, builds)
    if resumed is not None:
        return resumed, Basis.BUILD
    if previous is not None:
        return previous.ended_at, Basis.DEPLOYMENT
    return None, Basis.NONE


def ship(
    deployment: Deployment,
    changes: Iterable[Change],
    previous: Deployment | None,
    builds: Sequence[Build],
) -> tuple[Shipped, ...]:
    """The changes of a successful deployment with their lead times, each once."""
    own = built_by(deployment, builds)
    found: dict[str, Shipped] = {}
    for change in sorted(changes, key=lambda change: change.key):
        started, basis = start_of(change, deployment, previous, builds)
        found[change.key] = Shipped(
            change, deployment.ended_at, started, basis, stages_of(change, started, own, deployment)
        )
    return tuple(found.values())


_FAR: Final = 1 << 62


def first_shipped(shipped: Iterable[Shipped]) -> list[Shipped]:
    """Each change once, in its first successful deployment of those given, in time order."""
    first: dict[str, Shipped] = {}
    for entry in shipped:
        known = first.get(entry.change.key)
        if known is None or _earlier(entry, known):
            first[entry.change.key] = entry
    return sorted(first.values(), key=lambda s: (s.deployed_at, s.change.key))


def _earlier(entry: Shipped, known: Shipped) -> bool:
    mine = (entry.deployed_at, entry.started_at if entry.started_at is not None else _FAR)
    return mine < (known.deployed_at, known.started_at if known.started_at is not None else _FAR)


def previous_success(
    deployment: Deployment, successes: Sequence[Deployment], ends: Sequence[Instant]
) -> Deployment | None:
    """The last of the sorted successes that ended before this one did."""
    index = bisect_left(ends, deployment.ended_at) - 1
    return successes[index] if index >= 0 else None
