"""The Notification plugin: one body per phase of a build.

`build.timestamp` is the time of the phase: of queueing (0 without an executor), of the start, of
the end at COMPLETED; FINALIZED comes after the post-build actions. [plugin source]
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model.time import DAY, Instant, parse_instant
from vs_tui.model.vocabulary import Event, Scalar, State
from vs_tui.sources.fields import known, number, obj, text
from vs_tui.sources.jenkins.build import Build, job_of_url, outcome, server_of, unreadable, whole_of

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
