"""Reads spans as facts: the parts of deploys, tests, incidents, pull requests and builds that
metrics use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from vs_tui.metrics.facts import Build, Change, Deployment, DeployOutcome, Incident, Kind, Test
from vs_tui.metrics.failures import ROLLBACK, reverted_title
from vs_tui.metrics.rules import DEFAULT_RULES, MetricRules, broken_places
from vs_tui.model import keys
from vs_tui.model.artifacts import bare_version
from vs_tui.model.job_names import is_rollback_name
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import ROLLOUT_AT, Attributes, Span, State, Status, cuts

_ROLLED_BACK: Final = re.compile(r"roll(ed)?[ -]?back (to|of)\b", re.IGNORECASE)
"""What a description of a rollback begins with, such as Heroku's `Rollback to v51`."""
_HOTFIX: Final = re.compile(r"hot-?fix(?:es)?[/_-]", re.IGNORECASE)
_NUMBERS: Final = re.compile(r"[\W\d_]+")
_RESTORED: Final = frozenset({"restored", "resolved", "mitigated"})
VERSION: Final = ("vs.version", "service.version", "version")
COMMIT: Final = ("vcs.ref.head.revision", "commit")
_JOB: Final = ("vs.deploy.job", "cicd.pipeline.task.name")
"""Attributes that hold a version or a commit; the first with a value counts."""
OUTCOMES: Final[Mapping[Status, DeployOutcome]] = {
    Status.OK: DeployOutcome.OK,
    Status.ERROR: DeployOutcome.FAILED,
    Status.TIMED_OUT: DeployOutcome.FAILED,
    Status.CANCELLED: DeployOutcome.CANCELLED,
    Status.IN_FLIGHT: DeployOutcome.PENDING,
}


def deploy_status(span: Span) -> Status:
    """The status of a span as a deployment. A job that may fail is ok for its pipeline, but it did
    not deploy."""
    tolerated = span.status is Status.OK and is_true(span.attributes, "vs.allow_failure")
    return Status.ERROR if tolerated else span.status


def text(attributes: Attributes, *names: str) -> str:
    """The first of these attributes with a value, as text."""
    values = map(attributes.get, names)
    return next((str(value) for value in values if value not in (None, "")), "")


def instant(attributes: Attributes, *names: str) -> Instant | None:
    """The first of these attributes that is a time."""
    found = (parse_instant(attributes.get(name)) for name in names)
    return next((at for at in found if at is not None), None)


def is_true(attributes: Attributes, name: str) -> bool:
    """Whether a flag is set. Accepts text too, because some senders send tags as text."""
    return str(attributes.get(name, "")).lower() in ("true", "1", "yes")


def first_commit(attributes: Attributes) -> Instant | None:
    """The time of the oldest commit, as its sender tells it."""
    return instant(attributes, "vs.change.first_commit_at", "vs.commit.first_at")


def version_of(attributes: Attributes, service: str = "") -> str:
    """The version that a span names, of this service."""
    return bare_version(text(attributes, *VERSION), service)


def commit_of(attributes: Attributes) -> str:
    """The commit that a span names, in lower case."""
    return text(attributes, *COMMIT).lower()


def broken_version(span: Span, service: str = "") -> str:
    """The version that an incident names, for one of its services, or else the commit."""
    names = span.attributes
    own = dict(_of_artifacts(span, "vs.artifact")).get(service, "")
    return version_of(names, service) or own or commit_of(names)


def deploy_began(span: Span) -> Instant | None:
    """When a deploy began to change its environment; None while it waits for a runner or an
    approval, if its timeout passed while it did, and if it failed because it was not approved."""
    waits = span.state in (State.QUEUED, State.WAITING) and not span.reopens
    if waits and span.status in (Status.IN_FLIGHT, Status.TIMED_OUT):
        return None
    if span.status.failed and span.stage == "waiting":
        return None
    return instant(span.attributes, ROLLOUT_AT) or span.at


def deployment_of(span: Span) -> Deployment:
    """A `deploy` span as a deployment."""
    names = span.attributes
    branch = keys.branch_name(text(names, "vcs.ref.head.name", "branch"))
    ended = span.ended_at if span.ended_at is not None else max(span.at, span.last_event_at)
    attempt = names.get("vs.deploy.run_attempt")
    return Deployment(
        key=span.key,
        project=span.project,
        service=span.service,
        environment=span.environment,
        started_at=deploy_began(span) or span.at,
        ended_at=ended,
        outcome=OUTCOMES[deploy_status(span)],
        version=version_of(names, span.service),
        commit=commit_of(names),
        branch=branch,
        product=text(names, "vs.product", "product"),
        correlation=text(names, "vs.correlation_id", "correlationId", "correlation_id"),
        artifact=text(names, "vs.artifact", "artifact").lower(),
        parts=tuple(sorted(_of_artifacts(span, "vs.artifact"))),
        part_results=tuple(sorted(_of_artifacts(span, "vs.result"))),
        team=span.team,
        # A push that counts as a deployment tells of its own commits, not of all that it ships.
        first_commit_at=None if span.operation == "push" else first_commit(names),
        marked=_mark(span, branch),
        name=span.name,
        trace_id=span.trace_id,
        is_plyzen=span.source == "plyzen",
        regions=(region,) if (region := text(names, "vs.deploy.region")) else (),
        run=f"{span.project}#{run}" if (run := text(names, "vs.deploy.run")) else "",
        repeat=text(names, "vs.deploy.repeat"),
        has_start=span.started_at is not None,
        is_lost=span.status is Status.TIMED_OUT and not span.state.terminal,
        is_promoted=is_true(names, "vs.deploy.promoted"),
        run_attempt=attempt if isinstance(attempt, int) else 0,
        leg=text(names, *_JOB, "vs.deploy.region"),
    )


def _of_artifacts(span: Span, what: str) -> Iterator[tuple[str, str]]:
    """The versions or results of a plyzen activity with several artifacts of its project:
    `vs.artifact.NAMESPACE/NAME` = version and `vs.result.NAMESPACE/NAME` = result; `-` is an empty
    value."""
    own = f"{what}.{span.project}/".lower()
    if "vs.artifact" not in span.attributes:
        for name, value in span.attributes.items():
            if name.lower().startswith(own):
                part = name[len(own) :].lower()
                yield part, "" if value == "-" else bare_version(str(value), part)


def _mark(span: Span, branch: str) -> str:
    names = span.attributes
    tasks = [text(names, name) for name in ("deployment.name", "vs.task", *_JOB)]
    if not span.name.lower().startswith(span.service):  # which may be called `rollback-controller`
        tasks.append(span.name)
    description = text(names, "vs.deploy.description", "vs.deploy.message")
    if any(map(is_rollback_name, tasks)) or _ROLLED_BACK.match(description):
        return ROLLBACK
    if is_hotfix(branch):
        return "hotfix branch"
    titles = (span.name, description or text(names, "vcs.change.title"))
    if any(map(reverted_title, titles)):
        return "revert"
    return "marked as rework" if is_true(names, "vs.rework") else ""


def is_hotfix(branch: str) -> bool:
    """Whether a branch is named as one that repairs production."""
    return _HOTFIX.match(branch) is not None


def test_of(span: Span) -> Test | None:
    """A finished `test` span as a test; None if it is in progress or was cancelled."""
    if span.ended_at is None or span.status is Status.CANCELLED:
        return None
    suite = text(span.attributes, "cicd.pipeline.task.name", "vs.suite") or span.name
    return Test(
        key=span.key,
        service=span.service,
        environment=span.environment,
        ended_at=span.ended_at,
        passed=span.status is Status.OK,
        suite=_NUMBERS.sub(" ", suite).strip().lower(),
        version=version_of(span.attributes, span.service),
        commit=commit_of(span.attributes),
        deployment=span.parent_key,
        cut=tuple(cuts(span.attributes)),
    )


def incident_of(
    span: Span, linked: Sequence[str] = (), alike: Sequence[str] = ()
) -> Incident | None:
    """An `incident` span as an incident; None if it was cancelled (a false alarm) or if it never
    began, such as a warning that came to nothing.

    `linked`: keys of the spans it names, without those that are only near in time; `alike`: keys of
    deploys of the same version.
    """
    if span.status is Status.CANCELLED or span.state is State.NOTE:
        return None
    restored = instant(span.attributes, "vs.incident.restored_at", "restored_at")
    if restored is None and span.stage.lower() in _RESTORED:
        restored = span.stage_at
    known = [moment for moment in (restored, span.ended_at) if moment is not None]
    finished = instant(span.attributes, "vs.incident.finished_at", "finished_at")
    if finished is None and span.ended_at != restored:
        finished = span.ended_at  # else the tool reports both and has reported only the restoration
    return Incident(
        key=span.key,
        services=tuple(dict.fromkeys(service for _, service in broken_places(span))),
        environment=span.environment,
        started_at=span.at,
        start_known=span.started_at is not None,
        restored_at=max(min(known), span.at) if known else None,
        finished_at=finished,
        version=broken_version(span),
        linked=tuple(linked),
        alike=tuple(alike),
        cut=tuple(cuts(span.attributes)),
        names_deployment=bool(span.attributes.get("deployment.id")),
    )


def change_of(
    span: Span,
    below: Iterable[Span] = (),
    rules: MetricRules = DEFAULT_RULES,
    first_pushed: Instant | None = None,
) -> Change:
    """A `pull_request` span as a change; `below` are its reviews, `first_pushed` the time of the
    oldest of its pushed commits. Reviews by its author or a bot do not count, nor those after the
    merge."""
    names = span.attributes
    below = list(below)
    merged = span.ended_at if span.status is Status.OK else None
    reviews = [
        s
        for s in sorted(below, key=lambda s: (s.at, s.key))
        if s.operation == "review"
        and (merged is None or s.at <= merged)
        and not (s.actor and (s.actor == span.actor or rules.is_bot(s.actor)))
    ]
    approvals = [s.at for s in reviews if text(s.attributes, "vs.review.state") == "approved"]
    written = [at for at in (first_commit(names), first_pushed) if at is not None]
    return Change(
        key=span.key,
        kind=Kind.PULL_REQUEST,
        title=text(names, "vcs.change.title") or span.name,
        first_commit_at=min(written) if written else None,
        opened_at=span.started_at,
        ready_at=instant(names, "vs.pr.ready_at"),
        reviewed_at=reviews[0].at if reviews else None,
        approved_at=approvals[-1] if approvals else None,
        merged_at=merged,
        branch=keys.branch_name(text(names, "vcs.ref.head.name")),
        base=keys.branch_name(text(names, "vcs.ref.base.name")),
        commits=_speaking(names),
        reverts=tuple(text(names, "vs.change.reverts").split()),
    )


def _speaking(names: Attributes) -> tuple[str, ...]:
    """The merge commit of a pull request, and its only commit."""
    found = [text(names, "vs.pr.merge_commit")]
    if names.get("vs.pr.commits") == 1:
        found.append(text(names, "vcs.ref.head.revision"))
    return tuple(sha.lower() for sha in found if sha)


def build_of(span: Span) -> Build | None:
    """A `build` or `pipeline` span as a build; None without a start."""
    if span.started_at is None:
        return None
    service = text(span.attributes, "vs.artifact", "artifact").lower() or span.service
    return Build(
        key=span.key,
        project=span.project,
        started_at=span.started_at,
        ended_at=span.ended_at,
        service=service,
        version=version_of(span.attributes, service),
        commit=commit_of(span.attributes),
    )
