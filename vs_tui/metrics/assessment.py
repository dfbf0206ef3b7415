"""Judges every deployment of one target: whether it failed, when it recovered, whether it is a
repair and what it shipped. All that reports count is decided here, independent of any window."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from vs_tui.metrics.attempts import order
from vs_tui.metrics.facts import (
    Build,
    Change,
    Deployment,
    DeployOutcome,
    Incident,
    Kind,
    Test,
)
from vs_tui.metrics.failures import (
    ROLLBACK,
    Course,
    Signal,
    bare_title,
    blamed,
    repairs,
    rework_of,
    signals_of,
    undone,
)
from vs_tui.metrics.lead_time import Builds, Shipped, changes_of, ship, ship_parts
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules
from vs_tui.metrics.span_facts import mark_of_change
from vs_tui.model.artifacts import MOVING_VERSIONS
from vs_tui.model.time import Instant


class EarlierVersion(NamedTuple):
    """A version that was deployed before the judged stretch of the history."""

    artifact: str
    version: str
    at: Instant
    """When it was first deployed."""
    ok: bool
    """Whether a deployment of it succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFacts:
    """The input for judging the deployments of one target, or of a part of its history."""

    deployments: Sequence[Deployment]
    """Retries are merged; includes deployments in flight and cancelled ones."""
    tests: Sequence[Test] = ()
    incidents: Sequence[Incident] = ()
    shipped: Mapping[str, Sequence[Change]] = field(default_factory=dict)
    """Deployment key -> the pull requests it contains."""
    builds: Sequence[Build] = ()
    seen: Sequence[EarlierVersion] = ()


@dataclass(frozen=True, slots=True)
class Assessed:
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


def assess(
    facts: TargetFacts, only: Collection[str] | None = None, rules: MetricRules = DEFAULT_RULES
) -> list[Assessed]:
    """The verdicts on the deployments of one target, or only on those whose key is in `only`.

    The order of the facts and duplicates in it do not change the result.
    """
    course = Course(sorted({d.key: d for d in facts.deployments}.values(), key=order))
    tests = {test.key: test for test in facts.tests}.values()
    signals = signals_of(course, tests, _blames(course, facts, rules))
    first_seen = _first_seen(course, facts.seen)
    changes = {d.key: changes_of(d, facts.shipped.get(d.key, ())) for d in course.deployments}
    repaired = repairs(course, signals)
    rollbacks = _rollbacks(course, changes, first_seen)
    known = {seen.version for seen in facts.seen if seen.ok}
    builds = Builds(facts.builds)
    verdicts = []
    before: Deployment | None = None
    for deployment in course.deployments:
        if only is None or deployment.key in only:
            own_changes = changes[deployment.key]
            if deployment.key in facts.shipped and not facts.shipped[deployment.key]:
                own_changes = []  # all that is new belongs to other services
            if deployment.version in known and deployment.version not in MOVING_VERSIONS:
                # A version that is deployed again ships nothing new.
                own_changes = [c for c in own_changes if c.kind is not Kind.VERSION]
            own = tuple(
                sorted(
                    [*signals.get(deployment.key, ()), *rollbacks.get(deployment.key, ())],
                    key=_signal_order,
                )
            )
            marks = [mark_of_change(change) for change in own_changes]
            verdicts.append(
                Assessed(
                    deployment,
                    own,
                    rework_of(deployment, before, first_seen, repaired, marks),
                    _shipped(deployment, own_changes, course, builds),
                )
            )
        before = deployment
        if deployment.ok:
            known.add(deployment.version)
    return verdicts


def _rollbacks(
    course: Course, changes: Mapping[str, Sequence[Change]], first_seen: Mapping[str, Instant]
) -> dict[str, list[Signal]]:
    """Deployment key -> the rollbacks and reverts that took it back. Each is a failure from the
    start of the rollback to its success."""
    found: dict[str, list[Signal]] = {}
    shipped: dict[str, Deployment] = {}
    before: Deployment | None = None
    for deployment in course.deployments:
        titles = [change.title for change in changes[deployment.key]]
        taken_back = undone(deployment, before, first_seen, shipped, titles)
        if taken_back is not None:
            over = deployment if deployment.ok else course.success_after(deployment.ended_at)
            signal = Signal(
                ROLLBACK, deployment.key, deployment.started_at, over.ended_at if over else None
            )
            found.setdefault(taken_back.key, []).append(signal)
        if deployment.ok:
            for title in titles:
                shipped.setdefault(bare_title(title), deployment)
        before = deployment
    return found


def _shipped(
    deployment: Deployment, changes: Sequence[Change], course: Course, builds: Builds
) -> tuple[Shipped, ...]:
    if not deployment.ok:
        return ()
    previous = course.success_before(deployment.ended_at)
    if deployment.parts and not changes:
        return ship_parts(deployment, previous, builds)
    return ship(deployment, changes, previous, builds)


def _blames(
    course: Course, facts: TargetFacts, rules: MetricRules
) -> list[tuple[Incident, Deployment]]:
    incidents = {incident.key: incident for incident in facts.incidents}.values()
    ordered = sorted(incidents, key=lambda incident: (incident.started_at, incident.key))
    pending = [d for d in facts.deployments if d.outcome is DeployOutcome.PENDING]
    window = rules.incident_window
    return [(i, d) for i in ordered for d in blamed(i, course, window, pending) if d.finished]


def _signal_order(signal: Signal) -> tuple[Instant, str, str]:
    return (signal.started_at, signal.kind, signal.key)


def _first_seen(course: Course, before: Iterable[EarlierVersion]) -> dict[str, Instant]:
    found: dict[str, Instant] = {}
    for seen in before:
        found[seen.version] = min(found.get(seen.version, seen.at), seen.at)
    for deployment in course.deployments:
        name = deployment.version_of()
        if name:
            found[name] = min(found.get(name, deployment.ended_at), deployment.ended_at)
    return found
