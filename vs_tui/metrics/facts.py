"""The facts that metrics are computed from, read from spans and links."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from operator import attrgetter
from typing import Final, NamedTuple

from vs_tui.model.time import Instant


class DeployOutcome(StrEnum):
    """How a deploy ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    """In flight; does not count as a deployment yet."""


_SPELT: Final = (("production", "prod", "prd"), ("staging", "stage", "stg"), ("development", "dev"))
_ALIKE: Final[Mapping[str, tuple[str, ...]]] = {word: words for words in _SPELT for word in words}


def spellings(environment: str) -> tuple[str, ...]:
    """All spellings of an environment: `production`, `prod` and `prd` are one, in any case."""
    lowered = environment.lower()
    words = _ALIKE.get(lowered, (lowered,))
    found = [spelt for word in words for spelt in (word, word.capitalize(), word.upper())]
    return tuple(dict.fromkeys(found)) if environment in found else (environment,)


def one_spelling(environment: str) -> str:
    """The first spelling of an environment that tools spell differently: `production` of `PROD`."""
    return _ALIKE.get(environment.lower(), (environment,))[0]


class Target(NamedTuple):
    """A sequence of deployments that replace each other."""

    project: str
    service: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deploy to one target, with its retries."""

    key: str
    run_of: str = ""
    """Key of the span if this is an earlier run of it; empty for the span's current run."""
    project: str
    service: str
    environment: str
    started_at: Instant
    ended_at: Instant
    """For a PENDING one, the time of its last event."""
    outcome: DeployOutcome
    is_diverse: bool = False
    """Whether only some artifacts of this product failed."""
    version: str = ""
    commit: str = ""
    branch: str = ""
    product: str = ""
    correlation: str = ""
    """The id that joins the artifacts of one product deployment."""
    artifact: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    """(artifact, version) of each artifact of its project, if one span deployed several."""
    part_results: tuple[tuple[str, str], ...] = ()
    """(artifact, `success` or `failure`) of those with a known result of their own."""
    whole: Deployment | None = None
    """The deployment of several artifacts that has this one."""
    team: str = ""
    first_commit_at: Instant | None = None
    """Time of the oldest commit it ships, if the sender reports it."""
    marked: str = ""
    """Why its sender marks it as a repair: `rollback`, `hotfix branch`, ..."""
    name: str = ""
    trace_id: str = ""
    is_plyzen: bool = False
    """Whether plyzen's rules decide when its change began."""
    run: str = ""
    """The pipeline run that deployed, the same for all its attempts."""
    run_attempt: int = 0
    """Number of the attempt; 0 if unknown."""
    leg: str = ""
    """The job of the run, if a run deploys several regions."""
    regions: tuple[str, ...] = ()
    """The clusters that it deployed to, if its tool tells them."""
    repeat: str = ""
    """What deploying what is live already means: `drift` was put right, or a `promotion` made live
    what was only built; empty: a deployment. A `reconciliation` is drift whose tool tells of a
    start only where it changes something."""
    has_start: bool = True
    """Whether its start was told."""
    is_lost: bool = False
    """Whether its end is its timeout."""
    is_promoted: bool = False
    """Whether its tool told that it made it live."""
    members: tuple[str, ...] = ()
    """Keys of all its spans; empty if it has only its own."""
    position: tuple[str, Instant] | None = None
    """The branch and when its commit reached it, if the push was received."""

    @property
    def span(self) -> str:
        """Key of its span."""
        return self.run_of or self.key

    @property
    def spans(self) -> tuple[str, ...]:
        """Keys of all its spans."""
        return self.members or (self.span,)

    @property
    def target(self) -> Target:
        return Target(self.project, self.service, self.environment)

    @property
    def seen_at(self) -> Instant:
        """When it was last seen."""
        return self.started_at if self.is_lost else self.ended_at

    @property
    def finished(self) -> bool:
        """Whether it counts: it ended and was not cancelled."""
        return self.outcome in (DeployOutcome.OK, DeployOutcome.FAILED)

    @property
    def ok(self) -> bool:
        return self.outcome is DeployOutcome.OK

    @property
    def artifacts(self) -> set[str]:
        """The names of its artifacts."""
        return {self.artifact, *(name for name, _ in self.parts)} - {""}

    def brought(self, *services: str) -> bool:
        """Whether it deployed one of these services; always True unless it deployed several
        artifacts."""
        own = {"", self.service, *(name for name, _ in self.parts)}
        return not self.parts or not own.isdisjoint(services)

    def part_of(self, *services: str) -> str:
        """The version of the first of these services that is one of its artifacts; or empty."""
        parts = dict(self.parts)
        return next((parts[name] for name in services if parts.get(name)), "")

    def has_all_of(self, other: Deployment) -> bool:
        """Whether it contains what another one does: it is of the same or a later commit."""
        if self.version_of() == other.version_of():
            return True
        mine, theirs = self.position, other.position
        return bool(mine and theirs and mine[0] == theirs[0] and mine[1] >= theirs[1])

    def version_of(self, *services: str) -> str:
        """The version of one of its artifacts, or else its own version or commit."""
        return self.part_of(*services) or self.version or self.commit


order: Final = attrgetter("ended_at", "started_at", "key")
"""Sort key: deployments are ordered by their end."""
begun: Final = attrgetter("started_at", "ended_at", "key")
"""Sort key: deployments by their begin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A finished test of deployed software."""

    key: str
    service: str
    environment: str
    ended_at: Instant
    passed: bool
    suite: str = ""
    """Name of the suite without numbers; a passing run of the same suite is a retest."""
    version: str = ""
    commit: str = ""
    deployment: str = ""
    """Key of the parent span, which may be a deploy."""
    cut: tuple[str, ...] = ()
    """Keys of spans that a user unlinked from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident or alarm."""

    key: str
    services: tuple[str, ...]
    """The services that it names; an empty one stands for all of its project."""
    environment: str
    started_at: Instant
    restored_at: Instant | None = None
    """When it was restored, or else finished; None while it is open."""
    finished_at: Instant | None = None
    version: str = ""
    """The version it names, or else the commit."""
    linked: tuple[str, ...] = ()
    """Keys of the spans it names."""
    cut: tuple[str, ...] = ()
    """Keys of spans that a user unlinked from it."""
    alike: tuple[str, ...] = ()
    """Keys of deploys of the version it names, for services with other names."""
    span: str = ""
    """Key of the span if this is one run of it; empty for the span's current run."""
    start_known: bool = True
    """False if only its end was received, which `started_at` then is."""
    names_deployment: bool = False
    """Whether it names a deployment by its id."""
    only_named: bool = False
    """Whether only what it names may be blamed in this target, because another possible one has a
    deployment that began later."""


class Kind(StrEnum):
    """The kind of thing that identifies a change."""

    PULL_REQUEST = "pull_request"
    COMMIT = "commit"
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A shipped change and the known moments of its way to production."""

    key: str
    kind: Kind
    title: str = ""
    first_commit_at: Instant | None = None
    opened_at: Instant | None = None
    reviewed_at: Instant | None = None
    """Time of the first review."""
    approved_at: Instant | None = None
    """Time of the last approval before the merge."""
    merged_at: Instant | None = None
    branch: str = ""
    base: str = ""
    """The branch that it was merged into."""
    ready_at: Instant | None = None
    """When it stopped being a draft."""
    commits: tuple[str, ...] = ()
    """The commits whose messages speak for all of a pull request."""
    reverts: tuple[str, ...] = ()
    """Keys of the changes that its description or commit takes back."""
    restores: bool = False
    """Whether it takes back a revert, and so brings a change back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build or pipeline run that produced an artifact."""

    key: str
    project: str
    started_at: Instant
    ended_at: Instant | None = None
    service: str = ""
    version: str = ""
    commit: str = ""


_COMMIT: Final = re.compile(r"(?=.*[a-f])(?=.*\d)[0-9a-f]{7,64}\Z")


@lru_cache(maxsize=4096)
def plain_version(version: str) -> str:
    """A version as it is compared: without the `v` before its number, and of a commit the first
    seven digits, because only some tools write these."""
    if version[:1] in ("v", "V") and version[1:2].isdigit():
        return version[1:]
    return version[:7].lower() if _COMMIT.match(version.lower()) else version


def is_version(version: str, other: str) -> bool:
    """Whether two versions are one; what a build adds after `+` counts where both have it."""
    mine, theirs = plain_version(version), plain_version(other)
    is_build_of_it = ("+" in mine) != ("+" in theirs)
    return mine == theirs or (is_build_of_it and mine.split("+")[0] == theirs.split("+")[0])


def same_version(version: str, commit: str, other: str, other_commit: str) -> bool:
    """Whether two spans may be about the same version: nothing that both name differs."""
    if version and other:
        return is_version(version, other)
    names = [name.lower() for name in (version, commit) if name]
    others = [name.lower() for name in (other, other_commit) if name]
    if not names or not others:
        return True
    return any(_same(name, found) for name in names for found in others)


def _same(name: str, other: str) -> bool:
    """Whether two names are equal, or one is an abbreviated commit of the other."""
    short, long = sorted((name, other), key=len)
    return short == long or (len(short) >= 7 and long.startswith(short))
