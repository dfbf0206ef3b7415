"""Change lead time: the changes that a deployment shipped, when they began and how long they took,
as a whole and by stage; the bottleneck, and stages that became slower."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Final, NamedTuple

from vs_tui.metrics.facts import (
    Build,
    Change,
    Deployment,
    DeployOutcome,
    Kind,
    plain_version,
    same_version,
)
from vs_tui.metrics.statistics import mean, median, percentile, ratio
from vs_tui.model.artifacts import MOVING_VERSIONS
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Duration, Instant

STAGES: Final = ("coding", "pickup", "review", "merge wait", "build", "deploy wait", "deploy")

REGRESSION_FACTOR: Final = 1.25
_START: Final = attrgetter("started_at")
MIN_HISTORY: Final = 5
"""Fewest values from which a stage's usual duration is computed."""


def stages_of(
    change: Change, started: Instant | None, build: Build | None, deployment: Deployment
) -> tuple[Duration | None, ...]:
    """The duration of each of STAGES; None if its start or end is unknown.

    coding: start to ready for review; pickup: to the first review; review: to the last approval, or
    else to the merge; merge wait: to the merge; build: to the end of the build, with its time in
    the queue; deploy wait: to the deploy's start; deploy: to its end.

    A build that began before the merge is not a stage: deploy wait then begins at the merge. A
    build that continues during the deploy counts only up to the deploy's start, so that no time
    counts twice.
    """
    merged, first_review, approved, ready_again = (
        None if moment is None or moment > deployment.ended_at else moment
        for moment in (change.merged_at, change.reviewed_at, change.approved_at, change.ready_at)
    )
    ready = change.opened_at
    if ready is not None and ready_again is not None:
        ready = max(ready, ready_again)
        if first_review is not None:
            ready = min(ready, first_review)
    reviewed = None if first_review is None else merged if approved is None else approved
    made = build if build and (merged is None or build.started_at >= merged) else None
    ended = made.ended_at if made else None
    built = None if ended is None else min(ended, deployment.started_at)
    queued = merged if merged is not None or made is None else made.started_at
    moments = (
        (started, ready),
        (ready, first_review),
        (first_review, reviewed),
        (reviewed, merged),
        (queued, built),
        (built if built is not None else merged, deployment.started_at),
        (deployment.started_at, deployment.ended_at),
    )
    return tuple(
        None if begin is None or end is None else max(end - begin, 0) for begin, end in moments
    )


class StageTime(NamedTuple):
    """Duration of one stage, over the changes for which it is known."""

    stage: str
    n: int
    median: float | None
    p90: float | None
    share: float | None
    """Share of the sum of all stages' mean durations. A stage that is mostly short but sometimes
    very long has a small median and a large share."""
    mean: float | None = None


def breakdown(values: Mapping[str, Sequence[Duration]]) -> list[StageTime]:
    """All stages in order, from sorted durations; stages without values have n = 0."""
    means = {name: mean(found) or 0.0 for name, found in values.items() if found}
    whole = sum(means.values())
    return [
        StageTime(name, len(found), median(found), percentile(found, 90), share, means.get(name))
        for name in STAGES
        for found in (values.get(name, ()),)
        for share in (ratio(means[name], whole) if name in means else None,)
    ]


def bottleneck(times: Sequence[StageTime]) -> str:
    """The stage with the largest share of the lead time; empty without values."""
    known = [time for time in times if time.share]
    return max(known, key=lambda time: time.share or 0).stage if known else ""


class Regression(NamedTuple):
    """A stage, or any series, that takes longer than before."""

    name: str
    median: float
    before: float
    n: int
    n_before: int

    @property
    def factor(self) -> float:
        return self.median / self.before


def regressions(
    recent: Mapping[str, Sequence[Duration]], history: Mapping[str, Sequence[Duration]]
) -> list[Regression]:
    """The stages whose recent median is at least 25 % above the history's median and above its 75th
    percentile, worst first. All lists are sorted; those with fewer than MIN_HISTORY values are left
    out."""
    found = []
    for name, values in recent.items():
        before = history.get(name, ())
        if min(len(values), len(before)) < MIN_HISTORY:
            continue
        now, usual, upper = median(values), median(before), percentile(before, 75)
        if now and usual and now >= usual * REGRESSION_FACTOR and now > (upper or 0):
            found.append(Regression(name, now, usual, len(values), len(before)))
    return sorted(found, key=lambda regression: -regression.factor)


class Shipped(NamedTuple):
    """A change in one successful deployment."""

    change: str
    """The change's key."""
    kind: str
    title: str
    lead: Duration | None
    """Deployment end minus the change's start, never negative; None if the start is unknown."""
    basis: str
    """The moment from which the lead time is counted: `first commit`, `pull request opened`, `first
    build` or `previous deployment`; empty if no start is known."""
    stages: tuple[Duration | None, ...]
    """The duration of each of STAGES; None if its start or end is unknown."""


def changes_of(deployment: Deployment, pull_requests: Sequence[Change] = ()) -> list[Change]:
    """The changes that a deployment ships: its pull requests, or else its commit, or else its
    version. If it names none of them, it is one change, with the sender's time of the oldest commit
    or an unknown start."""
    told = deployment.first_commit_at
    if pull_requests and told is None:
        return list(pull_requests)
    kind = Kind.COMMIT
    if deployment.commit:
        key = f"{deployment.project}@{deployment.commit}"
    elif deployment.version in MOVING_VERSIONS:
        kind, key = Kind.VERSION, f"{deployment.key}#{deployment.version}"
    elif deployment.version:
        name = deployment.artifact or deployment.service
        kind, key = Kind.VERSION, f"{deployment.project}/{name}@{deployment.version}"
    elif told is not None or not deployment.is_plyzen:
        key = f"{deployment.key}#commits"
    else:
        return []
    return [Change(key=key, kind=kind, first_commit_at=told)]


class Builds:
    """The builds of a target, indexed by the names of what they built."""

    def __init__(self, builds: Iterable[Build]) -> None:
        self.begun = sorted(builds, key=_START)
        self._named = grouped((name, build) for build in self.begun for name in _names(build))

    def of(self, deployment: Deployment) -> list[Build]:
        """The builds of the deployed version that began before the deployment ended."""
        return [
            build
            for name in _names(deployment)
            for build in self._named.get(name, ())
            if build.started_at <= deployment.ended_at
            and _of_artifact(build, deployment)
            and same_version(build.version, build.commit, deployment.version, deployment.commit)
        ]


def _names(of: Build | Deployment) -> set[str]:
    """One of these is the same for all that is of one version (`same_version`): equal versions, or
    a commit and its abbreviations."""
    names = (of.version, plain_version(of.version), of.commit)
    return {name[:7].lower() for name in names if name}


def built_by(deployment: Deployment, builds: Builds) -> Build | None:
    """The latest build of the deployed version that began before the deployment ended."""
    fitting = builds.of(deployment)
    return max(fitting, key=lambda build: (build.started_at, build.key), default=None)


def _built_before(deployment: Deployment, builds: Builds) -> Build | None:
    """The build of the deployed version that ended last before the deployment began. Without one it
    is the latest build, which probably contains the deployment."""
    over = [
        (build.ended_at, build.key, build)
        for build in builds.of(deployment)
        if build.ended_at is not None and build.ended_at <= deployment.started_at
    ]
    return max(over)[2] if over else built_by(deployment, builds)


def _of_artifact(build: Build, deployment: Deployment) -> bool:
    names = (deployment.artifact, deployment.service)
    return build.project == deployment.project and (not build.service or build.service in names)


def development_resumed(
    deployment: Deployment, previous: Deployment | None, builds: Builds
) -> Instant | None:
    """When development resumed, by plyzen's rule: the earliest build of the artifact after the
    build of the last successful deployment. For a first deployment it is the build of its own
    version."""
    if previous is None:
        own = built_by(deployment, builds)
        return own.started_at if own else None
    last = built_by(previous, builds)
    after = last.started_at if last else previous.started_at
    later = (build for build in builds.begun if build.started_at > after)
    first = next((build for build in later if _of_artifact(build, deployment)), None)
    return first.started_at if first and first.started_at <= deployment.ended_at else None


def start_of(
    change: Change, deployment: Deployment, previous: Deployment | None, builds: Builds
) -> tuple[Instant | None, str]:
    """When a change began, and the basis: its first commit or its opening, whichever is earlier.

    plyzen reports builds only, so its changes begin with the build that resumed development, or
    else with the end of the deployment before. For other sources the start is then unknown.
    """
    committed, opened = change.first_commit_at, change.opened_at
    if committed is not None and (opened is None or committed <= opened):
        return committed, "first commit"
    if opened is not None:
        return opened, "pull request opened"
    if not deployment.is_plyzen:
        return None, ""
    resumed = development_resumed(deployment, previous, builds)
    if resumed is not None:
        return resumed, "first build"
    if previous is not None:
        return previous.ended_at, "previous deployment"
    return None, ""


def ship(
    deployment: Deployment, changes: Iterable[Change], previous: Deployment | None, builds: Builds
) -> tuple[Shipped, ...]:
    """The changes of a successful deployment with their lead times; each change once."""
    own = _built_before(deployment, builds)
    found: dict[str, Shipped] = {}
    for change in sorted(changes, key=lambda change: change.key):
        started, basis = start_of(change, deployment, previous, builds)
        lead = None if started is None else max(deployment.ended_at - started, 0)
        stages = stages_of(change, started, own, deployment)
        found[change.key] = Shipped(
            *(change.key, change.kind.value, change.title, lead, basis), stages
        )
    return tuple(found.values())


def part_of(deployment: Deployment, artifact: str) -> Deployment:
    """One artifact of a deployment as a deployment of its own, with the artifact's own result if it
    is known."""
    outcome = deployment.outcome
    result = dict(deployment.part_results).get(artifact)
    if result and deployment.finished:
        outcome = DeployOutcome.OK if result == "success" else DeployOutcome.FAILED
    return replace(
        deployment,
        key=f"{deployment.key}#{artifact}",
        run_of=deployment.span,
        service=artifact,
        artifact=artifact,
        version=dict(deployment.parts).get(artifact, ""),
        outcome=outcome,
        parts=(),
        part_results=(),
        whole=deployment,
    )


def as_one(versions: Sequence[Shipped], whole: Deployment) -> Shipped:
    """Merge the versions of a product deployment into one change; its lead time is the mean of
    theirs."""
    known = [shipped for shipped in versions if shipped.lead is not None]
    lead = round(sum(s.lead or 0 for s in known) / len(known)) if known else None
    key = f"{whole.key}#versions"
    return (known or versions)[0]._replace(
        change=key, title=whole.name, lead=lead, stages=(None,) * len(STAGES)
    )
