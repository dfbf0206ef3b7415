"""What the metrics are made of, read from spans and links."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

from vs_tui.domain import keys
from vs_tui.domain.instants import Duration, Instant, parse_instant
from vs_tui.domain.model import Attributes, Span, Status

_NUMBERS: Final = re.compile(r"[\W\d_]+")
_RESTORED: Final = frozenset({"restored", "resolved", "mitigated"})


class Outcome(StrEnum):
    """How a deploy ended."""

    OK = "ok"
    FAILED = "failed"
    CANCELLED = "cancelled"
    PENDING = "pending"
    """In flight: not a deployment yet."""


_OUTCOMES: Final[Mapping[Status, Outcome]] = {
    Status.OK: Outcome.OK,
    Status.ERROR: Outcome.FAILED,
    Status.TIMED_OUT: Outcome.FAILED,
    Status.CANCELLED: Outcome.CANCELLED,
    Status.IN_FLIGHT: Outcome.PENDING,
}


class Target(NamedTuple):
    """Where deployments follow one another: what one replaces is the one before."""

    project: str
    service: str
    environment: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One deploy to one target, its retries included."""

    key: str
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
    team: str = ""
    first_commit_at: Instant | None = None
    """The oldest commit it ships, where its sender tells that itself."""
    marked: str = ""
    """Why the sender's own data says that it repairs: `rollback`, `hotfix branch`, ..."""
    name: str = ""
    trace_id: str = ""
    attempts: int = 1

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

    @property
    def duration(self) -> Duration:
        return max(self.ended_at - self.started_at, 0)


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
    linked: tuple[str, ...] = ()
    """Keys of the spans it names."""
    team: str = ""
    name: str = ""


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


def outcome_of(span: Span) -> Outcome:
    """The outcome by the span's status."""
    return _OUTCOMES[span.status]


def text(attributes: Attributes, *names: str) -> str:
    """The first of these attributes that is there, as text."""
    for name in names:
        value = attributes.get(name)
        if value not in (None, ""):
            return str(value)
    return ""


def instant(attributes: Attributes, *names: str) -> Instant | None:
    """The first of these attributes that is a time."""
    for name in names:
        found = parse_instant(attributes.get(name))
        if found is not None:
            return found
    return None


def is_true(attributes: Attributes, name: str) -> bool:
    """Whether a flag is set; senders of tags write it as text."""
    return str(attributes.get(name, "")).lower() in ("true", "1", "yes")


def version_of(attributes: Attributes) -> str:
    """The version that a span names."""
    return text(attributes, "vs.version", "service.version", "version")


def commit_of(attributes: Attributes) -> str:
    """The commit that a span names, in lower case."""
    return text(attributes, "vcs.ref.head.revision", "commit").lower()


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


def deployment_of(span: Span) -> Deployment:
    """A `deploy` span as a deployment."""
    names = span.attributes
    branch = keys.branch_name(text(names, "vcs.ref.head.name", "branch"))
    ended = span.ended_at if span.ended_at is not None else max(span.at, span.last_event_at)
    return Deployment(
        key=span.key,
        project=span.project,
        service=span.service,
        environment=span.environment,
        started_at=span.at,
        ended_at=ended,
        outcome=outcome_of(span),
        reason=("timeout" if span.status is Status.TIMED_OUT else span.error or "failure")
        if span.status.failed
        else "",
        version=version_of(names),
        commit=commit_of(names),
        branch=branch,
        product=text(names, "vs.product", "product"),
        correlation=text(names, "vs.correlation_id", "correlationId", "correlation_id"),
        artifact=text(names, "vs.artifact", "artifact"),
        team=span.team,
        first_commit_at=instant(names, "vs.change.first_commit_at", "vs.commit.first_at"),
        marked=_mark(span, branch),
        name=span.name,
        trace_id=span.trace_id,
    )


def _mark(span: Span, branch: str) -> str:
    names = span.attributes
    if text(names, "deployment.name", "vs.task").lower().startswith("rollback"):
        return "rollback"
    if _is_hotfix(branch):
        return "hotfix branch"
    titles = (span.name, text(names, "vs.deploy.description", "vcs.change.title"))
    if any(title.startswith('Revert "') for title in titles):
        return "revert"
    return "marked as rework" if is_true(names, "vs.rework") else ""


def mark_of_change(change: Change) -> str:
    """Why a change says that it repairs: its title or its branch."""
    if change.title.startswith('Revert "'):
        return "revert"
    return "hotfix branch" if _is_hotfix(change.branch) else ""


def _is_hotfix(branch: str) -> bool:
    return branch.lower().startswith(("hotfix/", "hotfix-"))


def test_of(span: Span) -> Test | None:
    """A finished `test` span as a test; None while it runs or when it was cancelled."""
    if span.ended_at is None or span.status is Status.CANCELLED:
        return None
    suite = text(span.attributes, "cicd.pipeline.task.name", "vs.suite") or span.name
    return Test(
        key=span.key,
        project=span.project,
        service=span.service,
        environment=span.environment,
        ended_at=span.ended_at,
        passed=span.status is Status.OK,
        suite=_NUMBERS.sub(" ", suite).strip().lower(),
        version=version_of(span.attributes),
        commit=commit_of(span.attributes),
        deployment=span.parent_key,
    )


def incident_of(span: Span, linked: Sequence[str] = ()) -> Incident | None:
    """An `incident` span; None for one that was cancelled, a false alarm.

    `linked`: keys of the spans it names (not those it is merely near to).
    """
    if span.status is Status.CANCELLED:
        return None
    restored = instant(span.attributes, "vs.incident.restored_at", "restored_at")
    if restored is None and span.stage.lower() in _RESTORED:
        restored = span.stage_at
    known = [moment for moment in (restored, span.ended_at) if moment is not None]
    return Incident(
        key=span.key,
        project=span.project,
        service=span.service,
        environment=span.environment,
        started_at=span.at,
        restored_at=max(min(known), span.at) if known else None,
        finished_at=span.ended_at,
        version=version_of(span.attributes),
        linked=tuple(dict.fromkeys((*linked, *([span.parent_key] if span.parent_key else [])))),
        team=span.team,
        name=span.name,
    )


def change_of(span: Span, below: Iterable[Span] = ()) -> Change:
    """A `pull_request` span as a change; `below` are its reviews and pushes."""
    names = span.attributes
    below = list(below)
    merged = span.ended_at if span.status is Status.OK else None
    reviews = sorted((s for s in below if s.operation == "review"), key=lambda s: (s.at, s.key))
    approvals = [
        s.at
        for s in reviews
        if text(s.attributes, "vs.review.state") == "approved"
        and (merged is None or s.at <= merged)
    ]
    commits = [instant(names, "vs.change.first_commit_at", "vs.commit.first_at")]
    commits += [instant(s.attributes, "vs.commit.first_at") for s in below]
    written = [at for at in commits if at is not None]
    shas = (commit_of(names), text(names, "vs.pr.merge_commit").lower())
    return Change(
        key=span.key,
        kind=Kind.PULL_REQUEST,
        title=text(names, "vcs.change.title") or span.name,
        project=span.project,
        author=span.actor,
        first_commit_at=min(written) if written else None,
        opened_at=span.started_at,
        reviewed_at=reviews[0].at if reviews else None,
        approved_at=approvals[-1] if approvals else None,
        merged_at=merged,
        commits=tuple(sha for sha in dict.fromkeys(shas) if sha),
        branch=keys.branch_name(text(names, "vcs.ref.head.name")),
    )


def build_of(span: Span) -> Build | None:
    """A `build` or `pipeline` span as a build; None without a start."""
    if span.started_at is None:
        return None
    return Build(
        key=span.key,
        project=span.project,
        started_at=span.started_at,
        ended_at=span.ended_at,
        service=text(span.attributes, "vs.artifact", "artifact") or span.service,
        version=version_of(span.attributes),
        commit=commit_of(span.attributes),
    )
