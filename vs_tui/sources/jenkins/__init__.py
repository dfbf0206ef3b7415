"""Jenkins: the Notification and the statistics-gatherer plugin. Neither sends headers or a proof,
so the body's fields show its kind.

The Notification plugin sends one body per phase of a build. `build.timestamp` is the time of the
phase: of queueing (0 without an executor), of the start, of the end at COMPLETED; FINALIZED comes
after the post-build actions. [plugin source]

The statistics-gatherer plugin sends builds, queue items, steps and checkouts. Times are
milliseconds (its README shows seconds), and 0 means unset. Steps and checkouts name their build by
URL; queue items by a context id that they get when they leave the queue.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import DAY, Duration, Instant, parse_instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Scalar, Seek, State
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unauthorized, parsed
from vs_tui.sources.fields import items, json_object, known, number, obj, text
from vs_tui.sources.jenkins.build import (
    Build,
    family_of,
    job_of_url,
    outcome,
    plain_job,
    server_of,
    unreadable,
    whole_of,
)


class Jenkins(Source):
    """Both plugins, at one path or at any path below it, because one plugin has a URL per kind of
    event."""

    name = "jenkins"
    title = "Jenkins"
    form = Form(
        "Manage Jenkins, System, Statistics Gatherer: the URL for builds and steps",
        "builds, queue, build steps, SCM checkouts; not projects",
        field="",
    )
    paths = ("/jenkins", "/jenkins/*")
    version = 3
    token_in_url = True

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:  # noqa: ARG002
        raise Unauthorized("Jenkins sends no signature; put ?token= into the URL")

    def parse(self, inbound: Inbound) -> Parsed:
        body, at = json_object(inbound), inbound.received_at
        if isinstance(body.get("build"), dict):
            kind = f"build.{text(body, 'build', 'phase', limit=40).lower() or 'unknown'}"
            reading = read_notification(body, at)
            if isinstance(reading, str):
                return parsed(kind, reading)
            return Parsed(kind, reading)
        if "jenkinsQueueId" in body:
            return Parsed(
                f"queue.{text(body, 'status', limit=40).lower() or 'state'}", read_queue(body, at)
            )
        if "buildStepId" in body or "buildStepType" in body:
            return Parsed("step", read_part(body, "step", at))
        if "number" in body:
            word = text(body, "result", limit=40).strip()
            started = word.upper() == RUNNING
            return Parsed("build.started" if started else "build.finished", read_build(body, at))
        if "buildUrl" in body:
            return Parsed("checkout", read_part(body, "checkout", at))
        if "configFile" in body or "createdDate" in body or "updatedDate" in body:
            reason = "a project was edited, which delivers nothing; untick project events"
            return parsed("project", reason)
        raise unreadable("this is no build, queue, step, checkout or project body")


PHASES: Final = {
    "QUEUED": (State.QUEUED, "queued"),
    "STARTED": (State.RUNNING, "running"),
    "COMPLETED": (State.OK, ""),
    "FINALIZED": (State.OK, ""),
}


def read_notification(body: dict[str, Any], received_at: Instant) -> tuple[Event, ...] | str:
    """Events for a build at one phase, or the reason why the phase is ignored."""
    found = obj(body, "build")
    phase = text(found, "phase", limit=40).upper()
    if phase not in PHASES:
        return f"the phase {phase or 'none'} is no step of a build's course"
    short = text(body, "name") or text(body, "display_name")
    job = job_of_url(text(body, "url")) or short
    ordinal = number(found, "number")
    if not job or ordinal is None:
        raise unreadable("url or build.number is missing")
    state, stage = PHASES[phase]
    error, attributes = "", _tests(found)
    verdict_word = text(found, "status", limit=40).upper()
    # `notifyEndpoints(phase: 'COMPLETED')` in a pipeline is sent before the result exists.
    is_verdict_missing = state is State.OK and verdict_word in ("", "UNKNOWN")
    at = parse_instant(found.get("timestamp"))
    started = at
    if state is State.OK:
        state, error, verdict = outcome(verdict_word)
        attributes |= verdict
        milliseconds = number(found, "duration")
        sane = milliseconds is not None and 0 < milliseconds * 1_000 < 3_650 * DAY
        started = at - milliseconds * 1_000 if at and milliseconds and sane else None
    elif state is State.QUEUED and at is None:
        state, stage = State.NOTE, ""  # it has started; its queueing time is unknown
    full, path = text(found, "full_url"), text(found, "url")
    return Build(
        server=server_of(full.removesuffix(path)) if path else server_of(full),
        job=job,
        short_job=short or job,
        number=ordinal,
        state=state,
        at=at or received_at,
        started_at=started,
        stage=stage,
        error=error,
        parameters=obj(found, "parameters"),
        scm=obj(found, "scm"),
        url=full,
        paths=(path, full),
        part_of=whole_of(text(body, "url")),
        is_verdict_missing=is_verdict_missing,
        attributes=attributes,
    ).events()


def _tests(build: dict[str, Any]) -> dict[str, Scalar]:
    summary = obj(build, "test_summary")
    return known(
        vs__test__total=number(summary, "total"),
        vs__test__failed=number(summary, "failed"),
        vs__test__skipped=number(summary, "skipped"),
    )


RUNNING = "INPROGRESS"


def read_build(body: dict[str, Any], received_at: Instant) -> tuple[Event, ...]:
    """Events for a build: INPROGRESS is its start; any other result, or none, is its end."""
    short = text(body, "jobName")
    job = plain_job(text(body, "fullJobName") or short)
    ordinal = number(body, "number")
    if not job or ordinal is None:
        raise unreadable("fullJobName or number is missing")
    word = text(body, "result", limit=40).strip().upper()
    queued = _milliseconds(body, "queueTime")
    duration = _milliseconds(body, "duration")
    started, ended = parse_instant(body.get("startTime")), parse_instant(body.get("endTime"))
    state, error = State.RUNNING, ""
    attributes = known(cicd__worker__name=text(body, "slaveInfo", "slaveName"))
    at = started or received_at
    if word != RUNNING:
        state, error, attributes = outcome(word)
        attributes |= _failure_causes(body)
        if ended is None and started is not None and duration is not None:
            ended = started + duration
        at = ended or received_at
        if started is None and ended is not None and duration is not None:
            started = ended - duration
    path = text(body, "buildUrl")
    build = Build(
        server=server_of(text(body, "ciUrl")),
        job=job,
        short_job=short or job,
        number=ordinal,
        state=state,
        at=at,
        started_at=started - (queued or 0) if started is not None else None,
        stage="running" if state is State.RUNNING else "",
        error=error,
        # The body of an end has no parameters, even if the build has some.
        parameters=obj(body, "parameters") if "parameters" in body or word == RUNNING else None,
        scm=obj(body, "scmInfo"),
        url=_absolute(text(body, "ciUrl"), path),
        paths=(path,),
        context=text(body, "contextId", limit=40),
        cause=text(body, "buildCause"),
        actor=text(body, "startedUserId") or text(body, "startedUsername"),
        attributes=attributes,
    )
    events = build.events()
    if state is State.RUNNING and started is not None and queued:
        waited = Event(
            key=build.key,
            source="jenkins",
            operation="",
            state=State.QUEUED,
            occurred_at=started - queued,
            stage="queued",
        )
        return (waited, *events)
    return events


def read_queue(body: dict[str, Any], received_at: Instant) -> tuple[Event, ...]:
    """Events for an item of the queue, a stage of its build; the reasons for waiting are its
    phases."""
    identifier = text(body, "jenkinsQueueId", limit=40)
    if not identifier:
        raise unreadable("jenkinsQueueId is missing")
    server = server_of(text(body, "ciUrl"))
    entered, left = parse_instant(body.get("entryTime")), parse_instant(body.get("exitTime"))
    ended = text(body, "status").upper() == "LEFT"
    duration = _milliseconds(body, "duration")
    if ended and left is None and entered is not None and duration is not None:
        left = entered + duration
    context = text(body, "contextId", limit=40)
    causes = items(body, "queueCauses")[:50]
    whole = Event(
        key=keys.reference("jenkins", "queue", server, identifier),
        source="jenkins",
        operation=Operation.STAGE,
        state=State.OK if ended else State.QUEUED,
        occurred_at=(left if ended else entered) or received_at,
        started_at=entered,
        name="queue",
        project=plain_job(text(body, "jobName")),
        actor=text(body, "startedBy"),
        attributes=known(
            vs__stage="queue",
            cicd__pipeline__name=plain_job(text(body, "jobName")),
            vs__queue__id=identifier,
            vs__queue__reason=next(
                (why for cause in causes if (why := text(cause, "reasonForWaiting"))), ""
            ),
        ),
        seeks=(Seek(Rule.STRUCTURE, Key("jenkins_context", context, server, "queue item")),)
        if context
        else (),
    )
    phases = [
        Event(
            key=whole.key,
            source="jenkins",
            operation=Operation.STAGE,
            state=State.QUEUED,
            occurred_at=at,
            stage=text(cause, "type", limit=40),
        )
        for cause in causes
        if (at := parse_instant(obj(cause).get("entryTime"))) and text(cause, "type")
    ]
    return (*phases, whole)


def read_part(body: dict[str, Any], kind: str, received_at: Instant) -> tuple[Event, ...]:
    """The event for a step or checkout: a stage of the build with the same URL."""
    path = text(body, "buildUrl")
    if not path:
        raise unreadable("buildUrl is missing")
    started, ended = parse_instant(body.get("startTime")), parse_instant(body.get("endTime"))
    name = text(body, "buildStepType").rpartition(".")[2] or kind
    step = text(body, "buildStepId") or kind
    job = family_of(job_of_url(path.rstrip("/").rpartition("/")[0]))
    return (
        Event(
            key=keys.reference("jenkins", kind, path, step),
            source="jenkins",
            operation=Operation.STAGE,
            state=State.OK if ended is not None else State.RUNNING,
            occurred_at=ended or started or received_at,
            started_at=started,
            # A build may have several checkouts with one name.
            supersedes=kind == "checkout",
            name=name,
            project=job,
            attributes=known(
                vs__stage=name, cicd__pipeline__name=job, cicd__pipeline__task__name=name
            ),
            seeks=(Seek(Rule.STRUCTURE, Key("jenkins_url", path, "", "build URL")),),
        ),
    )


def _milliseconds(body: dict[str, Any], name: str) -> Duration | None:
    """A field in milliseconds as a duration; None if it is missing, negative or over 3,650 days."""
    value = number(body, name)
    if value is None or not 0 <= value * 1_000 <= 3_650 * DAY:
        return None
    return value * 1_000


def _failure_causes(body: dict[str, Any]) -> dict[str, Scalar]:
    """Causes of failure found by the Build Failure Analyzer plugin."""
    causes = [text(cause, "description") for cause in items(body, "buildFailureCauses")[:3]]
    return known(vs__failure_reason="; ".join(cause for cause in causes if cause))


def _absolute(base: str, path: str) -> str:
    if "://" in path or not path:
        return path
    return f"{base.rstrip('/')}/{path.lstrip('/')}" if "/" in path else ""


SOURCE: Final = Jenkins()
