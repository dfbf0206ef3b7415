"""The deployments that spans tell of: the retries of a deploy are one, and so are its regions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from vs_tui.metrics.facts import (
    Deployment,
    DeployOutcome,
    begun,
    order,
    plain_version,
    same_version,
)
from vs_tui.metrics.failures import ROLLBACK
from vs_tui.model.artifacts import MOVING_VERSIONS
from vs_tui.model.grouping import grouped
from vs_tui.model.time import DAY, MINUTE, Duration, Instant


def merge_attempts(
    deployments: Iterable[Deployment], retry_of: Mapping[str, str]
) -> list[Deployment]:
    """Merge the attempts of each deploy into one deployment; `retry_of` maps a retry to the attempt
    it retries.

    A merged deployment starts with its first attempt and has the outcome of its last one. Cancelled
    retries are ignored: they say nothing about the service. An attempt after a success or a
    rollback is a new deployment, and so is one of another version: a later run may take one.
    """
    groups = grouped((_first(d.key, retry_of), d) for d in deployments)
    merged: list[Deployment] = []
    is_new = _unless_rolled_back(chain.from_iterable(groups.values()), _is_new_attempt)
    for attempts in groups.values():
        merged += map(_tried, _split(sorted(attempts, key=begun), is_new))
    return sorted(merged, key=order)


_IsNew = Callable[[Deployment, Sequence[Deployment]], bool]
"""Whether a deployment is new to those before it."""


def _unless_rolled_back(deployments: Iterable[Deployment], is_new: _IsNew) -> _IsNew:
    """`is_new`, and whether the region was rolled back since the last of those before it."""
    rolled_back = [d for d in deployments if d.ok and d.marked == ROLLBACK]

    def is_new_after_all(member: Deployment, current: Sequence[Deployment]) -> bool:
        return is_new(member, current) or any(
            d.regions == member.regions and current[-1].ended_at <= d.started_at < member.started_at
            for d in rolled_back
        )

    return is_new_after_all


def _split(deployments: Iterable[Deployment], is_new: _IsNew) -> list[list[Deployment]]:
    """Deployments in order, divided before each that is new to those since the last division."""
    found: list[list[Deployment]] = []
    for deployment in deployments:
        if found and not is_new(deployment, found[-1]):
            found[-1].append(deployment)
        else:
            found.append([deployment])
    return found


def _is_new_attempt(attempt: Deployment, current: Sequence[Deployment]) -> bool:
    last = current[-1]
    is_same = same_version(attempt.version, attempt.commit, last.version, last.commit)
    return not is_same or _tried(current).ok


def _tried(attempts: Sequence[Deployment]) -> Deployment:
    """Attempts, in the order of their starts, as one deployment."""
    counted = [d for d in attempts if d.outcome is not DeployOutcome.CANCELLED]
    first = min(d.started_at for d in attempts)
    spans = tuple(dict.fromkeys(d.span for d in attempts))
    members = spans if len(spans) > 1 else ()
    return replace((counted or attempts)[-1], started_at=first, members=members)


def merge_runs(deployments: Iterable[Deployment]) -> list[Deployment]:
    """Merge the deploys of one version in one pipeline run, with all attempts, into one deployment.

    The deploys of one attempt (a matrix of regions) fail together if any fails. A later attempt
    continues an unsuccessful one; after a success it is a new deployment. So is the rollback of a
    run, whose job names the version that it takes back. Deploys without a known run are merged if
    they deploy one version at the same time, with each other and with a run.
    """
    deployments = list(deployments)
    is_new = _unless_rolled_back(deployments, _is_new)
    told = list(_versions(deployments))
    groups = grouped(
        ((d.run, version, d.regions, d.marked == ROLLBACK), d) for d, version in told if d.run
    )
    others = [(d, version) for d, version in told if not d.run]
    unnamed = ("", *MOVING_VERSIONS)
    alone = grouped(
        ((d.correlation, version), d) for d, version in others if version not in unnamed
    )
    found = [d for d, version in others if version in unnamed]
    runs = grouped((version, (of, of.copy())) for (_, version, *_), of in groups.items())
    for (correlation, version), members in alone.items():
        left: list[Deployment] = []
        for member in sorted(members, key=begun):
            for run, own in [] if correlation else runs.get(version, []):
                if at_once := [d.run_attempt for d in own if _overlap(member, d)]:
                    run.append(replace(member, run_attempt=max(at_once)))
                    break
            else:
                left.append(member)
        found += map(_joined, _split(left, _is_later))
    for members in groups.values():
        members.sort(key=lambda d: (d.run_attempt, *begun(d)))
        found += map(_joined, _split(members, is_new))
    return sorted(found, key=order)


def _versions(deployments: Sequence[Deployment]) -> Iterator[tuple[Deployment, str]]:
    """Each with its version, or else its commit, as they are compared. A commit alone stands for
    the version that another tool deploys from it at the same time, and what names neither for what
    another tool deploys at the same time."""
    named: dict[str, list[tuple[str, Deployment]]] = {}
    for d in deployments:
        version, commit = plain_version(d.version), plain_version(d.commit)
        if commit and version not in ("", commit, *MOVING_VERSIONS):
            named.setdefault(commit, []).append((version, d))
    found = []
    for d in deployments:
        name = plain_version(d.version or d.commit)
        stands_for = [v for v, other in named.get(name, ()) if _overlap(d, other)]
        found.append((d, min(stands_for, default=name)))
    for d, name in found:
        yield d, name or min((n for other, n in found if n and _overlap(d, other)), default="")


def _overlap(one: Deployment, other: Deployment) -> bool:
    """Whether two deployments went on at the same time."""
    return one.started_at < _until(other) and other.started_at < _until(one)


def _until(deployment: Deployment) -> Instant:
    """When it ended; without an end, until when other regions of it begin."""
    lost = deployment.started_at + _TOGETHER
    return min(lost, deployment.ended_at) if deployment.is_lost else deployment.ended_at


def _is_later(member: Deployment, current: Sequence[Deployment]) -> bool:
    """Whether a deployment began after the current ones had ended."""
    return member.started_at >= max(map(_until, current))


_TOGETHER: Final = 10 * MINUTE
"""Deploys of one run without a known attempt or job are regions of one deployment if they start at
most this far apart."""


def _is_new(member: Deployment, current: Sequence[Deployment]) -> bool:
    """Whether a deploy of a run starts a new deployment instead of continuing the current one."""
    if _joined(current).outcome is not DeployOutcome.OK:
        return False
    same = [d for d in current if d.run_attempt == member.run_attempt]
    if not same:
        return True
    if member.run_attempt:
        return False
    if member.leg or any(d.span == member.span for d in same):
        # All regions may be run again at once, of which the failed one ended well first.
        is_again = any((d.leg or d.span) == (member.leg or member.span) for d in same)
        return is_again and _is_later(member, same)
    return member.started_at - max(d.started_at for d in same) > _TOGETHER


def _joined(members: Sequence[Deployment]) -> Deployment:
    if len(members) == 1:
        return members[0]
    done = [d for d in members if d.outcome is not DeployOutcome.CANCELLED] or members
    last = max(d.run_attempt for d in done)
    legs: dict[str, Deployment] = {}
    for member in done:
        # Without jobs a new attempt replaces the whole attempt before it. What one span did again
        # is an attempt of it, too.
        if member.leg or member.run_attempt == last:
            legs[member.leg or member.span] = member
    counted = [d for d in legs.values() if not _is_tried_again(d, legs.values())]
    listed = counted or list(legs.values())
    outcomes = {d.outcome for d in listed}
    outcome = next(
        o for o in (DeployOutcome.PENDING, DeployOutcome.FAILED, *DeployOutcome) if o in outcomes
    )
    return replace(
        max(listed, key=lambda d: (bool(d.version or d.commit), *order(d))),
        started_at=min(d.started_at for d in members),
        ended_at=max(d.ended_at for d in listed),
        outcome=outcome,
        members=tuple(span for d in members for span in d.spans),
        regions=tuple(sorted({region for d in members for region in d.regions})),
    )


def _is_tried_again(failed: Deployment, legs: Iterable[Deployment]) -> bool:
    """Whether a run deployed again after a failure, under the same name: another name is another
    region. It is told where attempts and jobs are."""
    return failed.outcome is DeployOutcome.FAILED and any(
        not (failed.leg or failed.run_attempt or later.leg)
        and later.name == failed.name
        and later.started_at >= _until(failed) > failed.started_at
        for later in legs
        if later.key != failed.key
    )


def merge_repeats(
    deployments: Iterable[Deployment], told: Collection[str] = ()
) -> list[Deployment]:
    """Leave out deployments of what is live already, if their tool says that these are none (see
    `Deployment.repeat`), and builds that it did not make live: what these brought ships with the
    next one that has it. A promotion moves the end of the deployment that it makes live.

    `deployments` are all of one target, sorted by `order`. What is live in another region is not
    live in this one. `told`: of which repeats before these it was told what took effect.
    """
    found: list[Deployment] = []
    live: dict[tuple[str, ...], int] = {}
    built: list[Deployment] = []
    for deployment in deployments:
        at = max((live[region] for region in _covering(deployment, live)), default=-1)
        is_promotion = deployment.repeat == PROMOTION
        is_new_there = not is_promotion and (at < 0 or not found[at].ok)
        is_bare = deployment.repeat in told and is_without_effect(deployment)
        if deployment.is_promoted or deployment.has_start:
            told = {*told, PROMOTION if deployment.is_promoted else _RECONCILIATION}
        if is_bare and not is_new_there:
            built += [deployment] if is_promotion else []
            continue
        if deployment.ok and (own := [d for d in built if deployment.has_all_of(d)]):
            built = [d for d in built if d not in own]
            spans = (*deployment.spans, *(d.span for d in own))
            deployment = replace(deployment, members=spans)  # noqa: PLW2901
        if deployment.repeat and at >= 0 and _is_repeat(deployment, found[at]):
            if is_promotion and deployment.ok:
                found[at] = replace(found[at], ended_at=deployment.ended_at)
            continue
        found.append(deployment)
        if deployment.finished:
            live[deployment.regions] = len(found) - 1
    return sorted(found, key=order)


def _covering(deployment: Deployment, live: Iterable[tuple[str, ...]]) -> Iterable[tuple[str, ...]]:
    """Those of these regions that hold one of a deployment's; no region stands for all."""
    own = deployment.regions
    return (each for each in live if not own or not each or not set(own).isdisjoint(each))


WAVE: Final[Duration] = DAY
"""A version that reaches another region at most this long after the last one is still the same
deployment."""


def merge_regions(deployments: Iterable[Deployment]) -> list[Deployment]:
    """Merge the deployments of one version in one region after another, of one target, into one: a
    tool that knows clusters has no run that joins them. The whole failed if it failed in any.

    A region only goes forward: a version that comes back to it is a new deployment. Without a
    version only those that overlap in time are one.
    """
    deployments = list(deployments)
    if not any(d.regions for d in deployments):
        return deployments
    waves: list[list[Deployment]] = []
    last_in: dict[str, int] = {}
    last_of: dict[tuple[str, str], int] = {}
    for deployment in sorted(deployments, key=begun):
        version = (deployment.version, deployment.commit)
        is_named = bool(deployment.commit) or version[0] not in ("", *MOVING_VERSIONS)
        longest = WAVE if is_named else 0
        wave = last_of.get(version, -1) if deployment.regions else -1
        before = max((last_in.get(region, -1) for region in deployment.regions), default=-1)
        if wave > before and deployment.started_at <= longest + max(
            d.ended_at for d in waves[wave]
        ):
            waves[wave].append(deployment)
        else:
            wave = len(waves)
            waves.append([deployment])
        if deployment.regions:
            last_of[version] = wave
            last_in.update(dict.fromkeys(deployment.regions, wave))
    return sorted(map(_joined, waves), key=order)


PROMOTION: Final = "promotion"
_RECONCILIATION: Final = "reconciliation"


def is_without_effect(deployment: Deployment) -> bool:
    """Whether a reconciliation changed nothing, or a build was not made live, if its tool's starts
    or promotions are sent at all."""
    untold = {_RECONCILIATION: not deployment.has_start, PROMOTION: not deployment.is_promoted}
    return deployment.ok and untold.get(deployment.repeat, False)


def _is_repeat(deployment: Deployment, live: Deployment) -> bool:
    """Whether it deploys what the one before it deployed successfully. A promotion is of the very
    build; the same commit built again is a deployment."""
    if not live.ok:
        return False
    mine = (deployment.version, deployment.commit)
    is_same = bool(deployment.commit) and mine == (live.version, live.commit)
    return deployment.span in live.spans or (is_same and deployment.repeat != PROMOTION)


def path_from(key: str, next_of: Mapping[str, str]) -> list[str]:
    """A key, the next one of it, the next one of that, and so on; each once."""
    found = [key]
    while (following := next_of.get(found[-1], "")) and following not in found:
        found.append(following)
    return found


def _first(key: str, retry_of: Mapping[str, str]) -> str:
    found = path_from(key, retry_of)
    return min(found) if found[-1] in retry_of else found[-1]  # in a circle none is the first
