"""What the metrics are made of, read from spans and links."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from vs_tui.model.time import Instant


class Outcome(StrEnum):
    """How a deploy ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    """In flight: not a deployment yet."""


_PRODUCTION: Final = ("prod", "production", "prd")


def spellings(environment: str) -> tuple[str, ...]:
    """The names that mean the same environment: `prod`, `production` and `prd` are one, and so is
    a name in other case. One tool's deploys are another's `Production`."""
    lowered = environment.lower()
    words = _PRODUCTION if lowered in _PRODUCTION else (lowered,)
    found = [spelt for word in words for spelt in (word, word.capitalize(), word.upper())]
    return tuple(dict.fromkeys(found)) if environment in found else (environment,)


class Target(NamedTuple):
    """Where deployments follow one another: what one replaces is the one before."""

    project: str
    service: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deploy to one target, its retries included."""

    key: str
    run_of: str = ""
    """The span of which this is an earlier run; empty for the span as it stands."""
    project: str
    service: str
    environment: str
    started_at: Instant
    ended_at: Instant
    """For a PENDING one, the last that is known of it."""
    outcome: Outcome
    reason: str = ""
    """Why it failed by its own result: `failure`, `timeout`, ..."""
    version: str = ""
    commit: str = ""
    branch: str = ""
    product: str = ""
    correlation: str = ""
    """The id that joins the artifacts of one product deployment."""
    artifact: str = ""
    parts: tuple[tuple[str, str], ...] = ()
    """(artifact, version) of each artifact of its project, where one span deployed several."""
    part_results: tuple[tuple[str, str], ...] = ()
    """(artifact, `success` or `failure`) of those whose own result is known."""
    whole: Deployment | None = None
    """The deployment of several artifacts that this is one artifact of."""
    team: str = ""
    first_commit_at: Instant | None = None
    """The oldest commit it ships, where its sender tells that itself."""
    marked: str = ""
    """Why the sender's own data says that it repairs: `rollback`, `hotfix branch`, ..."""
    name: str = ""
    trace_id: str = ""
    attempts: int = 1
    is_plyzen: bool = False
    """Whether plyzen's own rules say when its change began."""
    run: str = ""
    """The pipeline run that deployed, all its attempts together."""
    run_attempt: int = 0
    """0 where it is not told."""
    leg: str = ""
    """The job of the run, where a run deploys several regions."""
    members: tuple[str, ...] = ()
    """Keys of all spans that are this one deployment; none: its own."""

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
    def finished(self) -> bool:
        """Whether it is a deployment: it ended, and nobody cancelled it."""
        return self.outcome in (Outcome.OK, Outcome.FAILED)

    @property
    def ok(self) -> bool:
        return self.outcome is Outcome.OK

    def brought(self, service: str) -> bool:
        """Whether it is about a service, which of several artifacts it may not be."""
        return not self.parts or service in ("", self.service) or service in dict(self.parts)

    def version_of(self, service: str = "") -> str:
        """What tells its version from another: that of an artifact, else its own or its commit."""
        return dict(self.parts).get(service) or self.version or self.commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """A finished test of what is deployed."""

    key: str
    project: str
    service: str
    environment: str
    ended_at: Instant
    passed: bool
    suite: str = ""
    """What is tested, without numbers: a passing run of the same suite is a retest."""
    version: str = ""
    commit: str = ""
    deployment: str = ""
    """Key of the span it is below, which may be a deploy."""
    cut: tuple[str, ...] = ()
    """Keys of the spans that a person said it is not about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """An incident or alarm."""

    key: str
    project: str
    service: str
    environment: str
    started_at: Instant
    restored_at: Instant | None = None
    """When it was restored, or else finished; None while it lasts."""
    finished_at: Instant | None = None
    version: str = ""
    """The version that it names, else the commit."""
    linked: tuple[str, ...] = ()
    """Keys of the spans it names."""
    cut: tuple[str, ...] = ()
    """Keys of the spans that a person said it is not about."""
    alike: tuple[str, ...] = ()
    """Keys of the deploys of the version it names, where their services are called otherwise."""
    team: str = ""
    name: str = ""
    span: str = ""
    """The span of which this is one run; empty for the span as it stands."""
    names_deployment: bool = False
    """Whether it names a deployment by its id."""
    only_named: bool = False
    """Whether it is about a deployment of this target only if it names it or its version: another
    target that it may be about had one begun later."""


class Kind(StrEnum):
    """What a change is known by."""

    PULL_REQUEST = "pull_request"
    COMMIT = "commit"
    VERSION = "version"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that is shipped, and what is known of its way."""

    key: str
    kind: Kind
    title: str = ""
    project: str = ""
    author: str = ""
    first_commit_at: Instant | None = None
    opened_at: Instant | None = None
    reviewed_at: Instant | None = None
    """The first review."""
    approved_at: Instant | None = None
    """The last approval before the merge."""
    merged_at: Instant | None = None
    commits: tuple[str, ...] = ()
    """Its head and merge commit."""
    branch: str = ""
    ready_at: Instant | None = None
    """When it stopped being a draft."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A build or pipeline run that made an artifact."""

    key: str
    project: str
    started_at: Instant
    ended_at: Instant | None = None
    service: str = ""
    version: str = ""
    commit: str = ""


def same_version(version: str, commit: str, other: str, other_commit: str) -> bool:
    """Whether two spans may be about the same version: nothing that both name differs."""
    if version and other:
        return version == other
    names = [name.lower() for name in (version, commit) if name]
    others = [name.lower() for name in (other, other_commit) if name]
    if not names or not others:
        return True
    return any(_same(name, found) for name in names for found in others)


def _same(name: str, other: str) -> bool:
    """Equal, or one commit written shorter than the other."""
    short, long = sorted((name, other), key=len)
    return short == long or (len(short) >= 7 and long.startswith(short))
