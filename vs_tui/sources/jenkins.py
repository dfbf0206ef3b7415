"""Jenkins: the statistics-gatherer plugin's builds, queue, steps and checkouts, and the
Notification plugin's builds.

Neither plugin sends a header or a proof, so the token goes into the URL; bodies are told apart
by their fields. A build's key is its server, full job name and number: whether it is a deploy
is an attribute of the start (an end carries no parameters) and must not change the key.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.domain import keys
from vs_tui.domain.instants import Instant, parse_instant
from vs_tui.domain.model import Event, Key, Operation, Rule, Scalar, Seek, State, Verdict
from vs_tui.sources.base import (
    Inbound,
    Parsed,
    Unauthorized,
    Unreadable,
    items,
    json_object,
    known,
    number,
    obj,
    text,
)

RESULTS: Final = {
    "SUCCESS": (State.OK, "", "success"),
    # ValueStream counts it as an error, OpenTelemetry's conventions as a failure.
    "UNSTABLE": (State.ERROR, "unstable", "failure"),
    "FAILURE": (State.ERROR, "failure", "failure"),
    "ABORTED": (State.CANCELLED, "", "cancellation"),
    "NOT_BUILT": (State.CANCELLED, "", "skip"),
}
"""A build's result as state, `error.type` and OpenTelemetry's result."""
_RUNNING: Final = frozenset({"INPROGRESS", "IN_PROGRESS", "STARTED", "RUNNING"})
_UPSTREAM: Final = re.compile(r"upstream project[: ]+\"?([^\"]{1,300}?)\"? build number[: ]+(\d+)")
_CHANGE_JOB: Final = re.compile(r"(?:^|/)(?:PR|MR)-(\d{1,9})(?:-\w+)?$")
_SHELL: Final = re.compile(r"[\w.]*\.(\w+)(?:@.*)?$")


class Jenkins:
    """Both plugins at one path."""

    name = "jenkins"
    title = "Jenkins"
    paths: tuple[str, ...] = ("/jenkins", "/jenkins/*")
    version = 1
    signature_headers: tuple[str, ...] = ()
    token_in_url = True
    stored_headers: tuple[str, ...] = ()

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        raise Unauthorized("Jenkins sends no signature; put ?token= into the URL")

    def dedupe_key(self, inbound: Inbound) -> str:  # noqa: ARG002
        return ""

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        at = inbound.received_at
        if isinstance(body.get("build"), dict):
            return _notification(body, at)
        if "jenkinsQueueId" in body:
            return _queue(body, at)
        if "buildStepId" in body:
            return _part(body, "step", at)
        if "buildUrl" in body and "number" not in body:
            return _part(body, "checkout", at)
        if "number" in body:
            return _build(body, at)
        if "configFile" in body or "createdDate" in body:
            reason = "a project was edited; untick project events"
            return Parsed("project", verdict=Verdict.IGNORED, reason=reason)
        raise Unreadable("no build, queue, step, checkout or project body; is this Jenkins?")


def _build(body: dict[str, Any], received_at: Instant) -> Parsed:
    """statistics-gatherer: INPROGRESS at the start, any other result at the end."""
    job = text(body, "fullJobName") or text(body, "jobName")
    ordinal = number(body, "number")
    if not job or ordinal is None:
        raise Unreadable("jobName or number is missing; compare the body in Events with the docs")
    result = text(body, "result").upper()
    queued_ms = number(body, "queueTime") or 0
    started = parse_instant(body.get("startTime"))
    ended = parse_instant(body.get("endTime"))
    duration_ms = number(body, "duration")
    if ended is None and started is not None and duration_ms is not None:
        ended = started + duration_ms * 1_000
    if result in _RUNNING:
        state, error, outcome = State.RUNNING, "", ""
        at = started or received_at
    else:
        # An unknown word or none at all still means that it ended.
        state, error, outcome = RESULTS.get(result, (State.ERROR, "failure", "failure"))
        at = ended or received_at
        if started is None and ended is not None and duration_ms is not None:
            started = ended - duration_ms * 1_000
    parameters = obj(body, "parameters")
    whole = _span(
        body,
        job=job,
        ordinal=ordinal,
        parameters=parameters,
        url=_build_url(body),
        state=state,
        at=at,
        as_of=at if state.terminal else (started or received_at),
        started=started - queued_ms * 1_000 if started is not None else None,
        error=error,
        result=outcome,
        scm=obj(body, "scmInfo"),
        cause=text(body, "buildCause"),
        actor=text(body, "startedUsername") or text(body, "startedUserId"),
    )
    events = [whole]
    if state is State.RUNNING and queued_ms > 0 and started is not None:
        events += [
            _phase(whole, started - queued_ms * 1_000, State.QUEUED, "queued"),
            _phase(whole, started, State.RUNNING, "running"),
        ]
    return Parsed(f"build.{result.lower() or 'ended'}", events)


def _notification(body: dict[str, Any], received_at: Instant) -> Parsed:
    """The Notification plugin: phase QUEUED, STARTED, COMPLETED, FINALIZED."""
    build = obj(body, "build")
    phase = text(build, "phase").upper()
    ordinal = number(build, "number")
    url = text(build, "full_url")
    job = _job_of_url(text(body, "url")) or text(body, "display_name") or text(body, "name")
    kind = f"build.{phase.lower() or 'unknown'}"
    if phase == "NONE" or not phase:
        return Parsed(kind, verdict=Verdict.IGNORED, reason="a log line, no state of the build")
    if not job or ordinal is None:
        raise Unreadable("url or build.number is missing; compare the body in Events with the docs")
    at = parse_instant(build.get("timestamp")) or received_at
    state, error, outcome, started = State.RUNNING, "", "", at
    if phase == "QUEUED":
        state = State.QUEUED
    elif phase in ("COMPLETED", "FINALIZED"):
        result = text(build, "status").upper()
        state, error, outcome = RESULTS.get(result, (State.ERROR, "failure", "failure"))
        # `timestamp` is the start's in every phase; the duration leads to the end.
        duration_ms = number(build, "duration")
        at = received_at if duration_ms is None else at + duration_ms * 1_000
    whole = _span(
        body,
        job=job,
        ordinal=ordinal,
        parameters=obj(build, "parameters"),
        url=url,
        state=state,
        at=at,
        as_of=at,
        started=started if state is not State.QUEUED else None,
        error=error,
        result=outcome,
        scm=obj(build, "scm"),
        cause="",
        actor="",
    )
    return Parsed(kind, (whole,))


def _span(
    body: dict[str, Any],
    *,
    job: str,
    ordinal: int,
    parameters: dict[str, Any],
    url: str,
    state: State,
    at: Instant,
    as_of: Instant,
    started: Instant | None,
    error: str,
    result: str,
    scm: dict[str, Any],
    cause: str,
    actor: str,
) -> Event:
    job = _plain_job(job)
    is_deploy = (
        text(body, "jobName").startswith("deploy:")
        or job.startswith("deploy:")
        or text(parameters, "type").lower() == "deploy"
    )
    known_kind = is_deploy or bool(parameters) or bool(scm)
    repo = keys.repository(text(scm, "url"))
    sha, branch = text(scm, "commit"), text(scm, "branch")
    short_job = text(body, "jobName") or job
    return Event(
        key=_key(body, job, ordinal),
        ref=keys.reference("jenkins", "deploy" if is_deploy else "build", job, ordinal)
        if known_kind
        else "",
        source="jenkins",
        # An end knows nothing of the parameters that made it a deploy.
        operation=(Operation.DEPLOY if is_deploy else Operation.BUILD) if known_kind else "",
        state=state,
        occurred_at=at,
        as_of=as_of,
        started_at=started,
        name=f"{job} #{ordinal}",
        project=repo or job,
        service=_text(parameters, "service", "SERVICE", "app")
        or (repo or job).rpartition("/")[2].removeprefix("deploy:")
        if is_deploy
        else "",
        environment=_text(parameters, "environment", "ENVIRONMENT", "env", "ENV", "target")
        or ("production" if is_deploy else ""),
        actor=actor,
        url=url if url.startswith(("http://", "https://")) else "",
        error=error,
        attributes=_attributes(body, job, ordinal, parameters, repo, sha, branch, result, cause),
        offers=keys.offers(
            Key("ref", keys.reference("jenkins", "build", short_job, ordinal)),
            Key("ref", keys.reference("jenkins", "deploy", short_job, ordinal)),
            Key("jenkins_build", f"{job}#{ordinal}"),
            Key("jenkins_url", url) if url else None,
            Key("jenkins_context", text(body, "contextId")) if text(body, "contextId") else None,
            None if is_deploy else keys.commit(sha, repo, "build", "built"),
        ),
        seeks=_seeks(parameters, repo, sha, branch, job, cause, is_deploy),
    )


def _attributes(
    body: dict[str, Any],
    job: str,
    ordinal: int,
    parameters: dict[str, Any],
    repo: str,
    sha: str,
    branch: str,
    result: str,
    cause: str,
) -> dict[str, Scalar]:
    failures = [text(entry, "description") for entry in items(body, "buildFailureCauses")[:3]]
    return known(
        cicd__pipeline__name=job,
        cicd__pipeline__run__id=str(ordinal),
        cicd__pipeline__result=result,
        cicd__worker__name=text(body, "slaveInfo", "slaveName"),
        vcs__repository__name=repo.rpartition("/")[2],
        vcs__ref__head__revision=sha,
        vcs__ref__head__name=keys.branch_name(branch),
        vs__build__cause=cause,
        vs__build__failure_cause="; ".join(f for f in failures if f),
        vs__warn=True if result == "failure" and text(body, "result") == "UNSTABLE" else None,
        vs__version=_text(parameters, "version", "VERSION", "tag", "TAG"),
        vs__trace__parameter=text(parameters, "vstrace-trace-id"),
    )


def _seeks(
    parameters: dict[str, Any],
    repo: str,
    sha: str,
    branch: str,
    job: str,
    cause: str,
    is_deploy: bool,
) -> tuple[Seek, ...]:
    texts = "\n".join(str(value)[:500] for value in list(parameters.values())[:50])
    upstream = _UPSTREAM.search(cause)
    change = _CHANGE_JOB.search(job)
    return keys.seeks(
        keys.seek_parent(text(parameters, "vstrace-trace-id"), "a parameter"),
        keys.traceparents(text(parameters, "traceparent"), "a parameter"),
        keys.mentions(f"{texts}\n{branch}", "a parameter or the branch"),
        _upstream(upstream[1], upstream[2]) if upstream else None,
        keys.seek_change(change[1], repo, "job name") if change and repo else None,
        keys.change_refs(branch, repo),
        keys.seek_commit(Rule.COMMIT, sha, repo),
        keys.seek_commit(Rule.BUILT, sha, repo) if is_deploy else None,
        keys.seek_branch(branch, repo) if repo else None,
        keys.issue_keys(branch, "branch", any_case=True),
    )


def _upstream(job: str, ordinal: str) -> Seek:
    key = Key("jenkins_build", f"{_plain_job(job.strip())}#{ordinal}", "", "upstream project")
    return Seek(Rule.STRUCTURE, key)


def _phase(whole: Event, at: Instant, state: State, stage: str) -> Event:
    return Event(
        key=whole.key, source="jenkins", operation="", state=state, occurred_at=at, stage=stage
    )


def _queue(body: dict[str, Any], received_at: Instant) -> Parsed:
    """A queue item: a stage that its build adopts by context id once it left the queue."""
    queue_id, context = text(body, "jenkinsQueueId"), text(body, "contextId")
    status = text(body, "status").upper()
    entered = parse_instant(body.get("entryTime"))
    left = parse_instant(body.get("exitTime"))
    ended = status == "LEFT"
    if not status:
        reason = "a state inside the queue; the item's entry and exit are enough"
        return Parsed("queue.state", verdict=Verdict.IGNORED, reason=reason)
    duration_ms = number(body, "duration")
    if ended and left is not None and left == entered and duration_ms:
        left = left + duration_ms * 1_000
    event = Event(
        key=keys.reference("jenkins", "queue", _host(body), queue_id),
        source="jenkins",
        operation=Operation.STAGE,
        state=State.OK if ended else State.QUEUED,
        occurred_at=(left or received_at) if ended else (entered or received_at),
        started_at=entered,
        name="queued",
        project=_plain_job(text(body, "jobName")),
        actor=text(body, "startedBy"),
        attributes=known(vs__stage="queued", vs__queue__id=queue_id),
        seeks=(Seek(Rule.STRUCTURE, Key("jenkins_context", context, "", "queue item")),)
        if context
        else (),
    )
    return Parsed(f"queue.{status.lower()}", (event,))


def _part(body: dict[str, Any], kind: str, received_at: Instant) -> Parsed:
    """A step or a checkout: a stage of the build with the same URL. 0 means unset."""
    url = text(body, "buildUrl")
    if not url:
        raise Unreadable("buildUrl is missing; compare the body in Events with the docs")
    started, ended = parse_instant(body.get("startTime")), parse_instant(body.get("endTime"))
    step = text(body, "buildStepId") or kind
    match = _SHELL.match(text(body, "buildStepType"))
    name = match[1].lower() if match else kind
    event = Event(
        key=keys.reference("jenkins", kind, url, step),
        source="jenkins",
        operation=Operation.STAGE,
        state=State.OK if ended is not None else State.RUNNING,
        occurred_at=ended or started or received_at,
        started_at=started,
        name=name,
        attributes={"vs.stage": name},
        seeks=(Seek(Rule.STRUCTURE, Key("jenkins_url", url, "", "build URL")),),
    )
    return Parsed(f"{kind}.{'finished' if ended is not None else 'started'}", (event,))


def _key(body: dict[str, Any], job: str, ordinal: int) -> str:
    return keys.reference("jenkins", "build", f"{_host(body)}/{job}", ordinal)


def _host(body: dict[str, Any]) -> str:
    """The server's host, from its own URL, or from the build's (Notification plugin)."""
    for url in (text(body, "ciUrl"), text(body, "build", "full_url"), text(body, "url")):
        try:
            host = urlsplit(url).netloc
        except ValueError:
            continue
        if host:
            return host.rpartition("@")[2]
    return "jenkins"


def _build_url(body: dict[str, Any]) -> str:
    url = text(body, "buildUrl")
    if url and "://" not in url and url != "aUrl":
        return f"{text(body, 'ciUrl').rstrip('/')}/{url.lstrip('/')}"
    return url


def _job_of_url(url: str) -> str:
    """`job/folder/job/name/` as `folder/name`."""
    parts = [part for part in url.split("/") if part]
    return "/".join(
        part for before, part in zip(["", *parts], parts, strict=False) if before == "job"
    )


def _plain_job(job: str) -> str:
    """`Projects » App » Build` (a display name) as `Projects/App/Build`."""
    return "/".join(part.strip() for part in job.split("»")) if "»" in job else job


def _text(parameters: dict[str, Any], *names: str) -> str:
    return next((found for name in names if (found := text(parameters, name))), "")


SOURCE: Final = Jenkins()
