"""Reads `build.complete`, the run, stage and job events of YAML pipelines, and deployments of
classic releases.

A run and a build with one number are the same span. The pipeline events have few times of their
own, so the time of the event is used instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.artifacts import environment_in, offer_version
from vs_tui.model.job_names import is_deploy_name
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Operation, Rule, Seek, State
from vs_tui.sources.azure.hook import RESULTS, Hook, Repo, person, web_url
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, known, number, obj, text, time_of

_STATES: Final = {
    **dict.fromkeys(("notstarted", "postponed", "unknown", "pending"), State.QUEUED),
    "waiting": State.WAITING,
    **dict.fromkeys(("running", "inprogress", "canceling", "cancelling"), State.RUNNING),
}
_STAGES: Final = {State.QUEUED: "queued", State.WAITING: "waiting", State.RUNNING: "running"}
_PLACES: Final = frozenset({"production", "prod", "live", "staging", "preprod", "pre-prod", "uat"})
"""Names of stages that deploy to a place of that name. A stage called Test or QA may only test."""
_BUILD_API: Final = re.compile(
    r"(?P<project>.+)/_apis/build(?:-release)?/builds/(?P<id>\d{1,12})\Z", re.IGNORECASE
)
_SOURCE_VERSION: Final = re.compile(r"[A-Z]+:(?P<ref>refs/[^:]+):(?P<sha>[0-9a-fA-F]{7,64})\Z")


@dataclass(frozen=True, slots=True)
class _Commit:
    """The commit of a run."""

    repo: Repo
    sha: str
    ref: str
    message: str = ""

    def seeks(self) -> tuple[Seek, ...]:
        branch = keys.branch_name(self.ref)
        return keys.seeks(
            keys.change_refs(self.ref, self.repo.scope) if self.repo.scope else None,
            keys.seek_commit(Rule.COMMIT, self.sha, self.repo.scope),
            keys.seek_branch(branch, self.repo.scope) if branch and self.repo.scope else None,
            keys.mentions(f"{self.message} {branch}", "commit message"),
            keys.issue_keys(f"{self.message} {branch}", "commit message"),
        )

    def attributes(self, **more: object) -> dict[str, Any]:
        tag = self.ref.removeprefix("refs/tags/") if self.ref.startswith("refs/tags/") else ""
        return known(
            vcs__repository__name=self.repo.service,
            vcs__repository__url__full=self.repo.web,
            vcs__ref__head__name=tag or keys.branch_name(self.ref),
            vcs__ref__head__type="tag" if tag else None,
            vcs__ref__head__revision=self.sha,
            **more,
        )

    @property
    def version(self) -> str:
        is_tag = self.ref.startswith("refs/tags/")
        return self.ref.removeprefix("refs/tags/") if is_tag else self.sha


def read_build(hook: Hook) -> Reading:
    """Events for a finished build: a classic one, or a run of a YAML pipeline."""
    build = hook.resource
    number = hook.required(build, "id")
    state, error, result = _result(hook, build)
    finished = time_of(build, "finishTime") or hook.sent_at
    project = text(build, "project", "name", limit=200) or text(
        build, "definition", "project", "name", limit=200
    )
    requested = obj(build, "requestedFor") or obj(next(iter(items(build, "requests")), None))
    actor = person(requested) or person(requested, "requestedFor")
    page = web_url(text(obj(build, "_links"), "web", "href")) or _page_of(text(build, "url"))
    names = text(build, "definition", "name"), text(build, "buildNumber")
    whole = _run(hook, number, _build_commit(build), *names, result, page, project)
    whole = whole._replace(actor=actor or person(build, "lastChangedBy"))
    return (
        whole._replace(
            state=state,
            error=error,
            occurred_at=finished,
            supersedes=True,
            provisional=_is_untold(build),
        ),
        *_begun(whole, time_of(build, "queueTime"), State.QUEUED),
        *_begun(whole, time_of(build, "startTime"), State.RUNNING),
    )


def _page_of(api_url: str) -> str:
    """The page of a build's results, from its API URL; version 1.0 of the event has no other
    URL."""
    match = _BUILD_API.match(web_url(api_url))
    return f"{match['project']}/_build/results?buildId={match['id']}" if match else ""


def _result(hook: Hook, subject: dict[str, Any]) -> tuple[State, str, str]:
    word = (text(subject, "result") or text(subject, "status")).lower()
    if word not in RESULTS:
        raise hook.unreadable(f"the result {word[:40]!r} is not known")
    return RESULTS[word]


def _is_untold(subject: dict[str, Any]) -> bool:
    """Whether the verdict is missing."""
    return text(subject, "result").lower() in ("", "none")


def _build_commit(build: dict[str, Any]) -> _Commit:
    match = _SOURCE_VERSION.match(text(build, "sourceGetVersion"))
    ref = text(build, "sourceBranch") or (match["ref"] if match else "")
    sha = text(build, "sourceVersion") or (match["sha"] if match else "")
    return _Commit(Repo.of(obj(build, "repository")), sha, ref)


def read_run(hook: Hook) -> Reading:
    """Events for a run of a YAML pipeline that began or ended."""
    run = obj(hook.resource, "run")
    number = hook.required(run, "id")
    result = ""
    state, error = _state_of(hook, run), ""
    if state is None:
        state, error, result = _result(hook, run)
    created = time_of(run, "createdDate")
    ended = time_of(run, "finishedDate") or hook.sent_at
    page = web_url(text(obj(run, "_links"), "web", "href"))
    names = _pipeline(hook), text(run, "name")
    whole = _run(hook, number, _run_commit(hook), *names, result, page)
    whole = whole._replace(
        state=state,
        error=error,
        occurred_at=ended if state.terminal else hook.sent_at,
        started_at=created,
        # When a stage is run again, its run ends again.
        supersedes=state.terminal,
        provisional=state.terminal and _is_untold(run),
        stage=_STAGES.get(state, ""),
    )
    # The body of an ended run does not show how long it was queued.
    return (whole, *(_begun(whole, created, State.QUEUED) if state is State.RUNNING else ()))


def _begun(whole: Event, at: Instant | None, state: State) -> list[Event]:
    """The event for a phase if the body states its time; else empty."""
    if at is None:
        return []
    return [whole._replace(state=state, occurred_at=at, stage=_STAGES[state])]


def _run_commit(hook: Hook) -> _Commit:
    """The commit of the run's own repository, or else of the first one listed."""
    own = obj(hook.resource, "run", "resources", "repositories", "self")
    listed = obj(next(iter(items(hook.resource, "repositories")), None))
    change = obj(listed, "change")
    repo = Repo.of({"url": listed.get("url"), **obj(own, "repository")})
    sha = text(own, "version") or text(change, "version")
    ref = text(own, "refName")
    return _Commit(repo, sha, ref, text(change, "message", limit=2000))


def _pipeline(hook: Hook) -> str:
    return text(hook.resource, "pipeline", "name") or text(hook.resource, "run", "pipeline", "name")


def _run(
    hook: Hook,
    number: str,
    commit: _Commit,
    pipeline: str,
    label: str,
    result: str,
    url: str,
    project: str = "",
) -> Event:
    return Event(
        key=_run_key(hook, number),
        ref=keys.reference("azure", "pipeline", pipeline, number),
        source="azure",
        operation=Operation.PIPELINE,
        state=State.NOTE,
        occurred_at=hook.sent_at,
        as_of=hook.sent_at,
        name=f"{pipeline} #{label}".strip(" #") if label else pipeline or number,
        project=commit.repo.name or project or pipeline,
        url=url,
        attributes=commit.attributes(
            cicd__pipeline__name=pipeline,
            cicd__pipeline__run__id=number,
            cicd__pipeline__run__url__full=url,
            cicd__pipeline__result=result,
        ),
        offers=keys.offers(keys.commit(commit.sha, commit.repo.scope, "commit", "built")),
        seeks=commit.seeks(),
    )


def _run_key(hook: Hook, number: str) -> str:
    return hook.key("pipeline", number)


def read_stage(hook: Hook) -> Reading:
    """Events for a stage of a run. It is a deploy if its name says so or is the name of an
    environment in _PLACES."""
    return _part(hook, "stage", _run_key(hook, hook.required(obj(hook.resource, "run"), "id")))


def read_job(hook: Hook) -> Reading:
    """Events for a job of a stage."""
    run = hook.required(obj(hook.resource, "run"), "id")
    stage = text(hook.resource, "stage", "name")
    return _part(hook, "job", _stage_key(hook, run, stage) if stage else _run_key(hook, run))


def _part(hook: Hook, kind: str, above: str) -> Reading:
    part = obj(hook.resource, kind)
    native = hook.required(part, "name")
    run = hook.required(obj(hook.resource, "run"), "id")
    state, error, result = _state_of(hook, part), "", ""
    if state is None:
        state, error, result = _result(hook, part)
    name = text(part, "displayName") or (_pipeline(hook) if native == "__default" else native)
    deploys = kind == "stage" and (is_deploy_name(name) or name.strip().lower() in _PLACES)
    staged = Operation.DEPLOY if deploys else Operation.STAGE
    commit = _run_commit(hook)
    pipeline = _pipeline(hook)
    service = (commit.repo.service or pipeline) if deploys else ""
    environment = environment_in(name) if deploys else ""
    url = web_url(text(obj(part, "_links"), "web", "href"))
    stage = text(hook.resource, "stage", "name")
    own = _stage_key(hook, run, native) if kind == "stage" else f"{above}/{native}"
    ended = time_of(part, "finishTime") or hook.sent_at
    whole = Event(
        key=own,
        source="azure",
        operation=Operation.BUILD if kind == "job" else staged,
        state=state,
        error=error,
        occurred_at=ended if state.terminal else hook.sent_at,
        as_of=hook.sent_at,
        supersedes=state.terminal,
        provisional=state.terminal and _is_untold(part),
        stage=_STAGES.get(state, ""),
        name=f"{service} to {environment}" if deploys and environment else name,
        project=commit.repo.name or pipeline,
        service=service,
        environment=environment,
        url=url,
        attributes=commit.attributes(
            cicd__pipeline__name=pipeline,
            cicd__pipeline__task__name=f"{stage} / {name}" if kind == "job" else name,
            cicd__pipeline__task__run__id=f"{run}/{native}",
            cicd__pipeline__task__run__url__full=url,
            cicd__pipeline__task__run__result=result,
            cicd__pipeline__task__type="deploy" if deploys else None,
            deployment__environment__name=environment,
            vs__deploy__run=run if deploys else None,
            vs__version=commit.version if deploys else None,
        ),
        offers=keys.offers(*offer_version(service, commit.version, commit.repo.scope))
        if deploys
        else (),
        seeks=keys.seeks(keys.seek_structure(above), commit.seeks() if deploys else None),
    )
    plain = whole._replace(error="", supersedes=False, provisional=False)
    return (whole, *_begun(plain, time_of(part, "startTime"), State.RUNNING))


def _stage_key(hook: Hook, run: str, stage: str) -> str:
    return keys.reference("azure", "stage", hook.organization, f"{run}/{stage}")


def _state_of(hook: Hook, subject: dict[str, Any]) -> State | None:
    """The state while in flight; None if completed."""
    word = text(subject, "state").lower()
    if word == "completed":
        return None
    if word not in _STATES:
        raise hook.unreadable(f"the state {word[:40]!r} is not known")
    return _STATES[word]


_FAILED = (State.ERROR, "failure", "failure")


def read_deployment(hook: Hook) -> Reading:
    """The event for a started or completed deployment. Deploying the same release there again is
    another attempt. If the body does not count attempts, it is another episode of the same span."""
    environment = obj(hook.resource, "environment")
    native = hook.required(environment, "id")
    release = obj(environment, "release") or obj(hook.resource, "release")
    where = hook.required(environment, "name")
    state, error, result = _state(hook, environment)
    deployment = obj(hook.resource, "deployment")
    attempt = _attempt(hook, environment, deployment)
    pipeline = _definition(hook, environment, deployment)
    artifact = _primary(hook, deployment)
    version = text(artifact, "version", "name", limit=200) or text(release, "name", limit=200)
    project = text(hook.resource, "project", "name", limit=200)
    identifier = f"{text(release, 'id')}/{native}" + (f".{attempt}" if attempt > 1 else "")
    build = text(artifact, "version", "id", limit=60)
    sha = text(artifact, "sourceVersion", "id")
    status = {"success": "succeeded", "failure": "failed"}.get(result)
    return (
        Event(
            key=hook.key("deploy", identifier),
            source="azure",
            operation=Operation.DEPLOY,
            state=state,
            error=error,
            occurred_at=time_of(deployment, "completedOn") or hook.sent_at
            if state.terminal
            else hook.sent_at,
            as_of=hook.sent_at,
            supersedes=True,
            name=f"{pipeline} to {where}" if pipeline else f"{text(release, 'name')} to {where}",
            project=project or pipeline,
            service=pipeline,
            environment=where,
            actor=person(deployment, "requestedFor") or person(environment, "owner"),
            url=web_url(text(obj(release, "_links"), "web", "href")),
            attempt=attempt,
            attributes=known(
                vcs__provider__name="azure",
                vcs__ref__head__revision=sha,
                deployment__id=identifier,
                deployment__name=text(release, "name"),
                deployment__environment__name=where,
                deployment__status=status,
                service__name=pipeline,
                service__version=version,
                vs__version=version,
                vs__release__id=text(release, "id"),
            ),
            offers=keys.offers(*offer_version(pipeline, version)),
            seeks=keys.seeks(
                keys.seek_structure(hook.key("pipeline", build), "artifact") if build else None,
                keys.seek_commit(Rule.COMMIT, sha),
                keys.seek_commit(Rule.BUILT, sha),
                _before(hook, identifier, attempt),
            ),
        ),
    )


def _state(hook: Hook, environment: dict[str, Any]) -> tuple[State, str, str]:
    if hook.kind.endswith("started-event"):
        return State.RUNNING, "", ""
    word = text(environment, "status").lower()
    if word == "rejected" and not _is_refused(hook, environment):
        # A release has the same word for a failure and for a refused approval.
        return _FAILED
    if word == "canceled" and _deployment_status(hook) == "succeeded":
        # It was stopped after it had deployed: while a gate or an approval was missing.
        word = "succeeded"
    if word not in RESULTS:
        raise hook.unreadable(f"the status {word[:40]!r} is not known")
    return RESULTS[word]


def _is_refused(hook: Hook, environment: dict[str, Any]) -> bool:
    """Whether nothing was deployed, because somebody or a gate refused it before."""
    if status := _deployment_status(hook):
        return status == "notdeployed"
    attempt = _attempt(hook, environment, obj(hook.resource, "deployment"))
    return any(
        text(approval, "status").lower() == "rejected"
        and (number(approval, "attempt") or attempt) == attempt
        for approval in items(environment, "preDeployApprovals")
    )


def _deployment_status(hook: Hook) -> str:
    """What became of the deployment itself, apart from its approvals and gates."""
    return text(obj(hook.resource, "deployment"), "deploymentStatus").lower()


def _attempt(hook: Hook, environment: dict[str, Any], deployment: dict[str, Any]) -> int:
    steps = [number(step, "attempt") for step in items(environment, "deploySteps")]
    stated = [number(deployment, "attempt"), number(hook.resource, "attemptId"), *steps]
    return min(max((found for found in stated if found), default=1), 10_000)


def _definition(hook: Hook, environment: dict[str, Any], deployment: dict[str, Any]) -> str:
    places = (environment, deployment, obj(hook.resource, "release"))
    names = (text(obj(place, "releaseDefinition"), "name", limit=200) for place in places)
    return next((name for name in names if name), "")


def _primary(hook: Hook, deployment: dict[str, Any]) -> dict[str, Any]:
    """The reference of the release's primary artifact, or else of its first one."""
    listed = [
        *items(obj(deployment, "release"), "artifacts"),
        *items(obj(hook.resource, "release"), "artifacts"),
    ]
    artifacts = [artifact for artifact in listed if isinstance(artifact, dict)]
    chosen = next((a for a in artifacts if a.get("isPrimary") is True), None)
    return obj(chosen or next(iter(artifacts), None), "definitionReference")


def _before(hook: Hook, identifier: str, attempt: int) -> Seek | None:
    if attempt < 2:
        return None
    base = identifier.rpartition(".")[0]
    earlier = base if attempt == 2 else f"{base}.{attempt - 1}"
    return keys.seek_attempt(hook.key("deploy", earlier))
