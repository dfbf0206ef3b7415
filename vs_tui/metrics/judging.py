"""Judges every deployment of one target: whether it failed, when it recovered, whether it is a
repair and what it shipped. All that reports count is decided here, independent of any window.

Artifacts that are deployed under one correlation id are one product deployment."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import NamedTuple

from vs_tui.metrics.facts import (
    Build,
    Change,
    Deployment,
    DeployOutcome,
    Incident,
    Kind,
    Test,
    plain_version,
)
from vs_tui.metrics.failures import (
    DEPLOY,
    ROLLBACK,
    Course,
    Signal,
    bare_title,
    blamed,
    in_order,
    older,
    repairs,
    reverts_among,
    signals_of,
    taken_back,
)
from vs_tui.metrics.lead_time import Builds, Shipped, as_one, changes_of, part_of, ship
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.metrics.span_facts import is_hotfix
from vs_tui.model.artifacts import MOVING_VERSIONS
from vs_tui.model.time import Instant


class EarlierVersion(NamedTuple):
    """A version that was deployed before the judged stretch of the history."""

    artifact: str
    version: str
    at: Instant
    """When its first deployment began."""
    ok: bool
    """Whether a deployment of it succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The input for judging the deployments of one target, or of a part of its history."""

    deployments: Sequence[Deployment]
    """Retries are merged; includes deployments in flight and cancelled ones."""
    pruned: Sequence[Deployment] = ()
    """Those that were judged before their traces were deleted, or are judged in another target:
    others are judged by them."""
    tests: Sequence[Test] = ()
    incidents: Sequence[Incident] = ()
    shipped: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    """Deployment key -> the pull requests it contains."""
    builds: Sequence[Build] = ()
    elsewhere: Sequence[Deployment] = ()
    """Deployments of the same artifacts in other targets, each of one artifact: alone, or together
    with others."""
    seen: Sequence[EarlierVersion] = ()
    shipped_before: frozenset[str] = frozenset()
    """Keys of the reverts and hotfixes among the changes that deployments before these shipped."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A deployment and the verdict on it."""

    deployment: Deployment
    signals: tuple[Signal, ...] = ()
    rework: str = ""
    """Why it is a repair; empty if it is not one."""
    shipped: tuple[Shipped, ...] = ()

    @property
    def failed_at(self) -> Instant | None:
        """Start of the first signal of failure; None if it did not fail."""
        return min((signal.started_at for signal in self.signals), default=None)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Each kind of signal once: `deploy`, `test`, `incident`, `rollback`."""
        return tuple(dict.fromkeys(signal.kind for signal in self.signals))


def judge(
    facts: TargetFacts, only: Collection[str] | None = None, rules: MetricRules = DEFAULT_RULES
) -> list[Judged]:
    """The verdicts on the deployments of one target, or only on those whose key is in `only`.

    The order of the facts and duplicates in it do not change the result.
    """
    deployments = {d.key: d for d in (*facts.pruned, *facts.deployments)}
    course = Course(deployments.values())
    tests = {test.key: test for test in facts.tests}.values()
    blames = _blames(course, facts, rules)
    causes = [(incident, d) for incident, found in blames for d in found if d.finished]
    signals = signals_of(course, tests, causes)
    others = (incident for incident, found in blames if not found and _is_of_target(incident))
    repaired = repairs(course, signals, others if rules.incident_window else ())
    first_seen = _first_seen(course, facts.seen)
    builds = Builds(facts.builds)
    versions = {plain_version(seen.version) for seen in facts.seen if seen.ok}
    known = set(facts.shipped_before)
    shipped: dict[str, Deployment] = {}
    found: list[Judged] = []
    before: Deployment | None = None
    live: Deployment | None = None
    for deployment in course.deployments:
        requests = facts.shipped.get(deployment.key)
        # Without requests of its own all that is new belongs to other services.
        is_bare = requests is not None and not requests
        changes = [] if is_bare else changes_of(deployment, requests or ())
        # A branch that is deployed for the first time has older changes, too; they can neither
        # revert nor repair anything.
        fresh = [change for change in changes if change.key not in known]
        newer = [d for d in (before, live) if d and older(deployment, d, first_seen)]
        marked = [before] if before and deployment.marked == ROLLBACK else []
        undone = [*newer, *marked] or taken_back(fresh, shipped)
        if undone:  # a failure from the start of the rollback to its success
            over = deployment if deployment.ok else course.success_after(deployment.seen_at)
            end = over.ended_at if over else None
            signal = Signal(ROLLBACK, deployment.key, "", deployment.started_at, end)
            for key in {each.key for each in undone}:
                signals.setdefault(key, []).append(signal)
        version = plain_version(deployment.version)
        is_bringing = deployment.marked != ROLLBACK
        if only is None or deployment.key in only:
            own = changes if is_bringing else []
            if version in versions and version not in MOVING_VERSIONS:
                # A version that is deployed again ships nothing new.
                own = [change for change in own if change.kind is not Kind.VERSION]
            mark = deployment.marked or _mark(deployment, [c for c in fresh if c in own])
            rework = "closed a failure" if deployment.key in repaired else mark
            found.append(
                Judged(
                    deployment,
                    rework=rework or ("older version" if newer else ""),
                    shipped=_shipped(deployment, own, course, builds),
                )
            )
        if deployment.ok and is_bringing:
            versions.add(version)
            known.update(change.key for change in changes)
            for change in fresh:  # of changes with one title a revert means the last
                shipped[change.key] = shipped[bare_title(change.title)] = deployment
        before = deployment
        live = deployment if deployment.ok else live
    return [replace(v, signals=in_order(signals.get(v.deployment.key, ()))) for v in found]


def _mark(deployment: Deployment, changes: Sequence[Change]) -> str:
    """Why the changes of a deployment make it a repair; empty if they do not."""
    if reverts_among(changes):
        return "revert"
    # A hotfix is merged into develop, too, and ships once more with the next release.
    branch = deployment.position[0] if deployment.position else ""
    is_repair = any(
        is_hotfix(change.branch) and (not branch or change.base in ("", branch))
        for change in changes
    )
    return "hotfix branch" if is_repair else ""


def _shipped(
    deployment: Deployment, changes: Sequence[Change], course: Course, builds: Builds
) -> tuple[Shipped, ...]:
    if not deployment.ok:
        return ()
    previous = course.success_before(deployment.ended_at)
    if deployment.parts and not changes:
        return ()  # its artifacts do
    return ship(deployment, changes, previous, builds)


def _blames(
    course: Course, facts: TargetFacts, rules: MetricRules
) -> list[tuple[Incident, Sequence[Deployment]]]:
    """Each incident with the deployments that it is about."""
    incidents = {incident.key: incident for incident in facts.incidents}.values()
    ordered = sorted(incidents, key=lambda incident: (incident.started_at, incident.key))
    known = (*facts.pruned, *facts.deployments)
    pending = [d for d in known if d.outcome is DeployOutcome.PENDING]
    return [(i, blamed(i, course, rules.incident_window, pending)) for i in ordered]


def _is_of_target(incident: Incident) -> bool:
    """Whether an incident that no deployment caused is about the target all the same: it names no
    other deployment, and nobody has said otherwise."""
    elsewhere = incident.only_named or incident.names_deployment or incident.linked
    return not (elsewhere or incident.alike or incident.cut)


def _first_seen(course: Course, before: Iterable[EarlierVersion]) -> dict[str, Instant]:
    known = [(plain_version(seen.version), seen.at) for seen in before]
    known += [(plain_version(d.version_of()), d.started_at) for d in course.deployments]
    return dict(sorted(known, key=itemgetter(1), reverse=True))  # of one name the earliest stays


def group_of(deployment: Deployment) -> tuple[str, str, str, str] | None:
    """The key shared by the artifacts of one product deployment; None for a single deployment."""
    is_part = deployment.correlation and (deployment.product or deployment.artifact)
    if not is_part or deployment.parts or deployment.whole:  # one span reports all artifacts
        return None
    return (deployment.project, deployment.product, deployment.correlation, deployment.environment)


def product_of(judged: Iterable[Judged]) -> Judged | None:
    """The artifacts of one product deployment, merged into one deployment; None while one goes on,
    or if all were cancelled. If only some artifacts fail, it fails and is diverse."""
    found = list(judged)
    parts = [part for part in found if part.deployment.finished]
    if not parts or any(p.deployment.outcome is DeployOutcome.PENDING for p in found):
        return None
    parts.sort(key=lambda part: (part.deployment.ended_at, part.deployment.key))
    last = parts[-1].deployment
    product = last.product
    own = [p for p in parts if product and p.deployment.artifact in ("", product)]
    results = {part.deployment.ok for part in own[-1:] or parts}
    is_success = results == {True}
    signals = dict.fromkeys(signal for part in parts for signal in part.signals)
    # A part that is deployed again closes a failure of this same product deployment.
    first = {part.deployment.service: part for part in reversed(parts)}.values()
    whole = replace(
        last,
        key=f"{last.project}/{product}@{last.correlation}/{last.environment}",
        run_of=last.span,
        service=product or last.service,
        artifact="" if product else last.artifact,
        started_at=min(part.deployment.started_at for part in parts),
        outcome=DeployOutcome.OK if is_success else DeployOutcome.FAILED,
        is_diverse=len(results) > 1,
        name=product or last.name,
    )
    return Judged(
        whole,
        # If the product itself succeeded, the failed deploys of its parts do not count.
        tuple(s for s in signals if not (is_success and s.kind == DEPLOY)),
        next((part.rework for part in first if part.rework), ""),
        _shipped_by_parts(parts, whole),
    )


def _shipped_by_parts(parts: Sequence[Judged], whole: Deployment) -> tuple[Shipped, ...]:
    """Pull requests and commits one by one; all artifact versions as one change, whose lead time is
    the mean of theirs."""
    plain = [s for part in parts for s in part.shipped if s.kind != Kind.VERSION]
    versions = [s for part in parts for s in part.shipped if s.kind == Kind.VERSION]
    return (*plain, as_one(versions, whole)) if versions else tuple(plain)


def judge_with_parts(
    facts: TargetFacts, concerned: Sequence[Deployment], rules: MetricRules = DEFAULT_RULES
) -> list[Judged]:
    """The verdicts on these deployments, and on each artifact of those by which one span reports
    several. Deployments in flight or cancelled get no verdict but are listed.

    Each artifact has its own history, judged by its own results. Tests and incidents of another
    artifact are left out; all others apply to every artifact.
    """
    artifacts = {name for d in facts.deployments for name, _ in d.parts}
    if not artifacts:
        facts = replace(facts, pruned=(*facts.pruned, *facts.elsewhere))
    parts: list[Judged] = []
    for artifact in sorted({name for d in concerned for name, _ in d.parts}):
        own = {d.key: part_of(d, artifact) for d in facts.deployments if artifact in dict(d.parts)}
        others = artifacts - {artifact}
        of_artifact = replace(
            facts,
            deployments=[*own.values()],
            pruned=[d for d in facts.elsewhere if d.service == artifact],
            tests=[test for test in facts.tests if test.service not in others],
            incidents=[i for i in facts.incidents if not others.issuperset(i.services)],
            shipped={d.key: facts.shipped[key] for key, d in own.items() if key in facts.shipped},
            seen=[seen for seen in facts.seen if seen.artifact == artifact],
        )
        parts += _listed(of_artifact, [own[d.key] for d in concerned if d.key in own], rules)
    whole = replace(
        facts,
        tests=[test for test in facts.tests if test.service not in artifacts],
        incidents=[i for i in facts.incidents if not artifacts.issuperset(i.services)],
    )
    return [*(_with_parts(v, parts) for v in _listed(whole, concerned, rules)), *parts]


def _listed(
    facts: TargetFacts, concerned: Sequence[Deployment], rules: MetricRules
) -> list[Judged]:
    judged = {v.deployment.key: v for v in judge(facts, {d.key for d in concerned}, rules)}
    return [judged.get(d.key, Judged(d)) for d in concerned]


def _with_parts(whole: Judged, parts: Iterable[Judged]) -> Judged:
    """The verdict on a deployment of several artifacts: it ships what these ship, fails and repairs
    as they do, and recovers when they do. Its own result may be better than theirs."""
    key = whole.deployment.key
    own = [p for p in parts if p.deployment.whole and p.deployment.whole.key == key]
    failed = [s for part in own for s in part.signals]
    signals = [s for s in (*whole.signals, *failed) if s.kind != DEPLOY]
    if not whole.deployment.ok:
        signals += [s for s in failed if s.kind == DEPLOY] or whole.signals
    return replace(
        whole,
        signals=in_order(dict.fromkeys(signals)),
        rework=whole.rework or next((part.rework for part in own if part.rework), ""),
        shipped=whole.shipped or _shipped_by_parts(own, whole.deployment),
    )
