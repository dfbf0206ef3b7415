"""Change failures, recovery episodes and rework.

A deployment fails once, however many signals there are: its own result, a failed test of it, an
incident or alarm linked to it, a rollback or revert of it.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from operator import attrgetter
from typing import Final, NamedTuple

from vs_tui.metrics.facts import (
    Change,
    Deployment,
    Incident,
    Test,
    begun,
    is_version,
    order,
    plain_version,
    same_version,
)
from vs_tui.model import keys
from vs_tui.model.grouping import grouped
from vs_tui.model.time import Duration, Instant

DEPLOY: Final = "deploy"
ROLLBACK: Final = "rollback"
_NUMBER: Final = re.compile(r" \((?:#|!|pull request #)\d+\)\Z")
"""The number that GitHub, GitLab and Bitbucket append to the title of a squashed pull request."""
_PREFIX: Final = re.compile(r"\AMerged PR \d+: ")
"""What Azure puts before that title."""
_REVERT: Final = re.compile(r'(?:Revert "(.+)"|revert(?:\([^()]*\))?!?: (.+))\Z')
"""What git and the hosts write, and Conventional Commits."""
_COMMIT: Final = re.compile(r"(?=\d*[a-fA-F])[0-9a-fA-F]{7,64}\Z")
"""A commit; digits alone are the version of a day."""
_START: Final = attrgetter("started_at")
_END: Final = attrgetter("ended_at")
_VERSION: Final = re.compile(r"(.*[-_/@](?=[vV]?\d+\.))?[vV]?(\d{1,9}(?:\.\d{1,9}){0,3})\Z")
"""A number, also one with dots after a name, such as `cart/v1.9.0` and `cart-1.9.0`."""


class Signal(NamedTuple):
    """One signal that a deployment failed."""

    kind: str
    """`deploy`, `test`, `incident` or `rollback`."""
    key: str
    """Key of the span that gives the signal."""
    span: str
    """For an incident: key of the span of which this is one run; else empty."""
    started_at: Instant
    ended_at: Instant | None
    """None while it is open. Before the start if that is unknown."""


def in_order(signals: Iterable[Signal]) -> tuple[Signal, ...]:
    """Signals in the order of their starts."""
    return tuple(sorted(signals, key=attrgetter("started_at", "kind", "key")))


def episodes(
    signals: Iterable[tuple[Instant, Instant | None]],
) -> list[tuple[Instant, Instant | None]]:
    """Merge signals of one deployment, each (start, end), into failures. Signals that overlap or
    touch are one failure, from the first start to the last end; the end is None while the failure
    is open."""
    found: list[tuple[Instant, Instant | None]] = []
    for began, ended in sorted(signals, key=lambda signal: signal[0]):
        last = found[-1] if found else None
        if last and (last[1] is None or began <= last[1]):
            until = None if last[1] is None or ended is None else max(last[1], ended)
            found[-1] = (last[0], until)
        else:
            found.append((began, ended))
    return found


def bare_title(title: str) -> str:
    """The title of a change without the number of its pull request."""
    return _PREFIX.sub("", _NUMBER.sub("", title))


def is_revert(change: Change) -> bool:
    """Whether a change takes another one back, by its description, its commit or its title. The
    revert of a revert brings a change back, so it is none."""
    if change.restores or undoes_a_revert(change.title):
        return False
    named = any(name[:1] not in ("", keys.FORMER) for name in change.reverts)
    return named or bool(reverted_title(change.title))


def reverts_among(changes: Sequence[Change]) -> list[Change]:
    """The reverts among the changes of a deployment, without those of changes that it ships itself,
    and those that it takes back itself: these were never in production."""

    def names(change: Change) -> set[str]:
        return {change.key, bare_title(change.title)} - {""}

    def taken(change: Change) -> set[str]:
        return {*change.reverts, _taken_title(change.title)}

    own = set[str]().union(*map(names, changes))
    back = set[str]().union(*(taken(c) for c in changes if not is_revert(c)))
    reverts = (c for c in changes if is_revert(c))
    return [c for c in reverts if taken(c).isdisjoint(own) and names(c).isdisjoint(back)]


def undoes_a_revert(title: str) -> bool:
    """Whether a title is that of the revert of a revert."""
    return bool(_taken_title(title)) and not reverted_title(title)


def reverted_title(title: str) -> str:
    """The bare title of the change that a change with this title reverts; empty if it reverts
    none. The revert of a revert brings a change back, so it reverts none."""
    taken = _taken_title(title)
    return "" if taken and reverted_title(taken) else taken


def _taken_title(title: str) -> str:
    """The bare title of what a change with this title takes back, be it a revert or not."""
    match = _REVERT.match(bare_title(title))
    return bare_title(match[1] or match[2]) if match else ""


class Course:
    """The finished deployments of one target, ordered by their end."""

    def __init__(self, deployments: Iterable[Deployment]) -> None:
        self.deployments = sorted((d for d in deployments if d.finished), key=order)
        self.begun = sorted(self.deployments, key=begun)
        self._successes = [d for d in self.deployments if d.ok]
        self._runs = grouped((span, d) for d in self.deployments for span in d.spans)

    def runs_of(self, span: str) -> Sequence[Deployment]:
        """The deployments of a span: one for each time that it ran."""
        return self._runs.get(span, ())

    def last(self, moment: Instant, *services: str, ended: bool) -> Deployment | None:
        """The last deployment of a service, whatever its result, that had begun at this moment, or
        that had `ended`."""
        ordered, key = (self.deployments, _END) if ended else (self.begun, _START)
        before = ordered[: bisect_right(ordered, moment, key=key)]
        return next((d for d in reversed(before) if d.brought(*services)), None)

    def success_before(self, moment: Instant) -> Deployment | None:
        """The last successful deployment that ended before this moment."""
        index = bisect_left(self._successes, moment, key=_END) - 1
        return self._successes[index] if index >= 0 else None

    def success_after(self, moment: Instant) -> Deployment | None:
        """The first successful deployment that ended after this moment."""
        index = bisect_right(self._successes, moment, key=_END)
        return self._successes[index] if index < len(self._successes) else None


def tested(course: Course, tests: Iterable[Test]) -> dict[str, list[Test]]:
    """Deployment key -> its tests, in time order.

    A test belongs to its parent deployment. Without one it belongs to the last deployment of its
    target that ended before the test did, if both may be the same version.
    """
    found: dict[str, list[Test]] = {}
    for test in sorted(tests, key=lambda t: (t.ended_at, t.key)):
        if runs := course.runs_of(test.deployment):
            # The deploy's own result already includes the tests that ended before it did.
            live = _last_until(runs, test.ended_at)
        else:
            live = course.last(test.ended_at, test.service, ended=True)
            version = live and (live.part_of(test.service) or live.version)
            if live and not same_version(test.version, test.commit, version or "", live.commit):
                live = None
        if live is not None and not set(live.spans).intersection(test.cut):
            found.setdefault(live.key, []).append(test)
    return found


def _last_until(deployments: Sequence[Deployment], moment: Instant) -> Deployment | None:
    ended = [deployment for deployment in deployments if deployment.ended_at <= moment]
    return ended[-1] if ended else None


def blamed(
    incident: Incident, course: Course, window: Duration, pending: Sequence[Deployment] = ()
) -> list[Deployment]:
    """The deployments of one target that an incident is about. Both the link in the trace and the
    count of failures use this function.

    The first rule that applies decides: the deployments it names; the last deployment of its
    version or commit that began before it; if the incident or the deployment names no version, or
    one a version and the other a commit, the last deployment that had begun, whatever its result,
    unless it ended more than `window` before the incident (0: never).

    If that last deployment is still in `pending`, it is no failure yet, and the deployment before
    it is not blamed instead. Deployments that a user unlinked from the incident are left out.
    """
    found = _blamed(incident, course, window, pending)
    return [deployment for deployment in found if not set(deployment.spans) & set(incident.cut)]


def _blamed(
    incident: Incident, course: Course, window: Duration, pending: Sequence[Deployment]
) -> list[Deployment]:
    at = incident.started_at
    if named := _live_of(course, incident.linked, at):
        return named
    if incident.names_deployment:
        return []
    before = (d for d in reversed(course.begun) if incident.version and d.started_at <= at)
    if (found := next((d for d in before if _is_of(d, incident)), None)) is not None:
        return [found]
    if alike := _live_of(course, incident.alike, at):
        earlier = [d for d in alike if d.started_at <= at]
        return [max(earlier or alike, key=lambda d: (d.started_at, d.key))]
    if incident.only_named:
        return []
    begun_last = course.last(at, *incident.services, ended=False)
    going_on = [d for d in pending if d.started_at <= at and d.brought(*incident.services)]
    last = max([begun_last, *going_on] if begun_last else going_on, key=_START, default=None)
    if last is None or not window or at - last.ended_at > window:
        return []
    return [] if _may_compare(incident, last) else [last]


def _live_of(course: Course, spans: Iterable[str], at: Instant) -> list[Deployment]:
    """The deployment of each span; of several runs the one that was live, or else the first."""
    each = map(course.runs_of, dict.fromkeys(spans))
    return [_last_until(runs, at) or runs[0] for runs in each if runs]


def _may_compare(incident: Incident, deployment: Deployment) -> bool:
    """Whether both name a version, or both a commit."""
    named = deployment.part_of(*incident.services) or deployment.version
    if _COMMIT.match(incident.version):
        return bool(deployment.commit or _COMMIT.match(named))
    return bool(incident.version and named) and not _COMMIT.match(named)


def _is_of(deployment: Deployment, incident: Incident) -> bool:
    """Whether it deployed the version that an incident names; that version may be a commit."""
    version = incident.version
    own = (deployment.version, deployment.commit, deployment.version_of(*incident.services))
    if any(is_version(version, each) for each in own):
        return True
    return bool(deployment.commit) and same_version("", version, "", deployment.commit)


def signals_of(
    course: Course,
    tests: Iterable[Test],
    blames: Iterable[tuple[Incident, Deployment]],
) -> dict[str, list[Signal]]:
    """Deployment key -> all signals of its failure, except rollbacks."""
    found: dict[str, list[Signal]] = {}
    for deployment in course.deployments:
        if not deployment.ok:
            repair = course.success_after(deployment.seen_at)
            end = repair.ended_at if repair else None
            signal = Signal(DEPLOY, deployment.key, "", deployment.ended_at, end)
            found.setdefault(deployment.key, []).append(signal)
    by_deployment = tested(course, tests)
    closings = _closings(course, by_deployment)
    for key, of_key in by_deployment.items():
        for test in of_key:
            if not test.passed:
                ends = closings[test.suite]
                later = ends[bisect_right(ends, test.ended_at) :]
                signal = Signal("test", test.key, "", test.ended_at, later[0] if later else None)
                found.setdefault(key, []).append(signal)
    for incident, deployment in blames:
        began, ended = incident.started_at, incident.restored_at
        if ended is not None and not incident.start_known:
            ended -= 1
        signal = Signal("incident", incident.key, incident.span or incident.key, began, ended)
        found.setdefault(deployment.key, []).append(signal)
    return found


def _closings(
    course: Course, by_deployment: Mapping[str, Sequence[Test]]
) -> dict[str, list[Instant]]:
    """Suite -> when failures of it end, in order: with a later passing run of it in the target, or
    with a later successful deployment whose suites all pass in their last run."""
    clear: list[Instant] = []
    for deployment in course.deployments:
        last = {test.suite: test for test in by_deployment.get(deployment.key, ())}
        if last and deployment.ok and all(test.passed for test in last.values()):
            clear.append(max(test.ended_at for test in last.values()))
    runs = grouped((test.suite, test) for test in chain.from_iterable(by_deployment.values()))
    return {
        suite: sorted([*clear, *(test.ended_at for test in tests if test.passed)])
        for suite, tests in runs.items()
    }


def taken_back(changes: Sequence[Change], shipped: Mapping[str, Deployment]) -> list[Deployment]:
    """The deployments that shipped what these changes of a deployment revert.

    `shipped`: key of a change -> the deployment that shipped it first, and bare title of a change
    -> the deployment that shipped the last one of that title.
    """
    found = []
    for change in reverts_among(changes):
        named = [shipped[key] for key in change.reverts if key in shipped]
        title = reverted_title(change.title)
        found += named or ([shipped[title]] if title and title in shipped else [])
    return list({each.key: each for each in found}.values())


def repairs(
    course: Course, signals: Mapping[str, Sequence[Signal]], others: Iterable[Incident] = ()
) -> frozenset[str]:
    """Keys of the deployments that closed a failure of another one: they began during its incident
    or after its failed test, and ended no later than the failure. A rerun of a failed deploy is a
    retry and not a repair. `others` are incidents that no deployment caused."""
    found: set[str] = set()
    failures = [
        (key, signal.started_at, signal.ended_at)
        for key, of_key in signals.items()
        for signal in of_key
        if signal.kind in ("incident", "test")
    ]
    failures += [("", incident.started_at, incident.restored_at) for incident in others]
    for key, began, ended in failures:
        if ended is None:
            continue
        first = bisect_left(course.begun, began, key=_START)
        found.update(
            deployment.key
            for deployment in course.begun[first : bisect_right(course.begun, ended, key=_START)]
            if deployment.ended_at <= ended and deployment.key != key
        )
    return frozenset(found)


def older(deployment: Deployment, before: Deployment, first_seen: Mapping[str, Instant]) -> bool:
    """Whether it replaced a newer version with an older one; `first_seen` is when the first
    deployment of each version began. A rollout that began earlier and ended later is slow and
    takes nothing back."""
    if deployment.started_at < before.started_at:
        return False
    mine, theirs = plain_version(deployment.version_of()), plain_version(before.version_of())
    if not mine or not theirs or mine == theirs:
        return False
    numbers = (_VERSION.match(mine), _VERSION.match(theirs))
    is_commit = deployment.commit.startswith(mine)  # which may begin with seven digits
    if numbers[0] and numbers[1] and numbers[0][1] == numbers[1][1] and not is_commit:
        return _parts(numbers[0][2]) < _parts(numbers[1][2])
    if deployment.position and before.position and deployment.position[0] == before.position[0]:
        return deployment.position[1] < before.position[1]
    return first_seen.get(mine, deployment.started_at) < first_seen.get(theirs, before.started_at)


def _parts(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]
