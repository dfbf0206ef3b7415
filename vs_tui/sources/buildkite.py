"""Buildkite: pipeline webhooks. A build is a pipeline span, a job a build span below it.

Source: Buildkite's webhook documentation, and build and job of its REST API. A body may show a
later state than the event that caused it, so the state is read from the body, never from the
event's name. A build that waits at a block step is reported as finished and `blocked`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.artifacts import environment_in, offer_version
from vs_tui.model.job_names import is_deploy_name
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Operation, Rule, Seek, State
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unauthorized, Unreadable, parsed
from vs_tui.sources.fields import json_object, known, number, obj, text, time_of, web_url
from vs_tui.sources.repository import repository_names
from vs_tui.sources.signatures import require_fresh, require_hmac_hex, require_token

_FAILED: Final = (State.ERROR, "failure", "failure")
_STATES: Final = {
    **dict.fromkeys(
        (
            *("creating", "scheduled", "pending", "limited", "limiting", "assigned", "accepted"),
            *("unblocked", "platform_limited", "platform_limiting"),
        ),
        (State.QUEUED, "", ""),
    ),
    **dict.fromkeys(("waiting", "blocked"), (State.WAITING, "", "")),
    **dict.fromkeys(("running", "failing", "canceling", "timing_out"), (State.RUNNING, "", "")),
    **dict.fromkeys(("passed", "finished"), (State.OK, "", "success")),
    "failed": _FAILED,
    **dict.fromkeys(("timed_out", "expired"), (State.ERROR, "timeout", "timeout")),
    "canceled": (State.CANCELLED, "", "cancellation"),
    **dict.fromkeys(
        (
            *("waiting_failed", "blocked_failed", "unblocked_failed"),
            *("broken", "skipped", "not_run"),
        ),
        (State.CANCELLED, "", "skip"),
    ),
}
_STAGES: Final = {State.QUEUED: "queued", State.WAITING: "blocked", State.RUNNING: "running"}


class Buildkite(Source):
    """Buildkite's webhook notification service."""

    name = "buildkite"
    title = "Buildkite"
    form = Form(
        "Settings, Notification Services, Add Webhook",
        "build.scheduled, running, finished; job.scheduled, started, finished",
        field="token",
    )
    signature_headers = ("x-buildkite-token", "x-buildkite-signature")
    token_in_url = True
    stored_headers = ("x-buildkite-event", "x-buildkite-request", "user-agent")

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the plain token, or `timestamp=T,signature=` with the hex HMAC-SHA256 of
        `T.body`."""
        signature = inbound.header("x-buildkite-signature")
        if not signature:
            require_token(inbound.header("x-buildkite-token"), secrets, "X-Buildkite-Token")
            return
        given = [part.strip().partition("=")[::2] for part in signature.split(",")]
        parts = dict(given)
        if len(parts) < len(given) or "timestamp" not in parts or "signature" not in parts:
            raise Unauthorized("X-Buildkite-Signature is not timestamp=...,signature=...")
        require_fresh(parts["timestamp"], inbound.received_at, "X-Buildkite-Signature's timestamp")
        message = parts["timestamp"].encode() + b"." + inbound.body
        require_hmac_hex([parts["signature"]], message, secrets, "X-Buildkite-Signature")

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "event", limit=60) or inbound.header("x-buildkite-event")[:60]
        if kind == "ping":
            return parsed(kind, "connected")
        family = kind.partition(".")[0]
        if family not in ("build", "job"):
            reason = f"{kind or 'an unnamed event'} says nothing about a delivery; untick it"
            return parsed(kind or "unknown", reason)
        hook = _Hook(body, inbound.received_at)
        if not text(hook.build, "id"):
            raise Unreadable(f"{kind} has no build.id; compare the body in Events")
        if family == "build":
            return Parsed(kind, _phases(_build(hook), hook.build))
        if text(hook.job, "type") in ("waiter", "manual"):
            return parsed(kind, "a wait or block step; it shows by the build's phase")
        if not text(hook.job, "id"):
            raise Unreadable(f"{kind} has no job.id; compare the body in Events")
        return Parsed(kind, [*_phases(_job(hook), hook.job), *_goes_on(hook)])


class _Hook:
    """A body, with the commit facts of its build."""

    def __init__(self, body: dict[str, Any], received_at: Instant) -> None:
        self.body = body
        self.received_at = received_at
        self.build, self.job = obj(body, "build"), obj(body, "job")
        self.pipeline = text(body, "pipeline", "slug") or text(body, "pipeline", "name")
        self.path = keys.repository_path(text(body, "pipeline", "repository"))
        """`owner/name`, in the original case."""
        self.repo = keys.repository(self.path)
        """The scope of its keys."""
        self.project = self.path or self.pipeline
        sha = text(self.build, "commit")
        # `HEAD` until an agent has resolved it.
        self.sha = sha if keys.commit(sha) else ""

    def seeks(self) -> tuple[Seek, ...]:
        branch, message = text(self.build, "branch"), text(self.build, "message", limit=5000)
        pull = text(self.build, "pull_request", "id")
        default = text(self.body, "pipeline", "default_branch")
        # Builds of forks name the branch `owner:branch`.
        fork, _, plain = branch.rpartition(":")
        return keys.seeks(
            keys.traceparents(text(self.build, "meta_data", "traceparent"), "meta-data"),
            keys.seek_parent(text(self.build, "meta_data", "vstrace-trace-id"), "meta-data"),
            keys.mentions(f"{message} {branch}", "commit message"),
            keys.seek_change(pull, self.repo, "pull request"),
            keys.change_refs(branch, self.repo),
            keys.merge_messages(message, self.repo),
            keys.seek_commit(Rule.COMMIT, self.sha, self.repo),
            keys.seek_branch(plain, self.repo, default) if not fork else None,
        )

    def attributes(self, **more: object) -> dict[str, Any]:
        tag = text(self.build, "tag")
        return repository_names(self.path) | known(
            vcs__ref__head__name=text(self.build, "branch") or tag,
            vcs__ref__head__revision=self.sha,
            vcs__change__id=text(self.build, "pull_request", "id"),
            cicd__pipeline__name=self.pipeline,
            vs__run__event=text(self.build, "source"),
            **more,
        )


def _build(hook: _Hook) -> Event:
    build = hook.build
    word = text(build, "state").lower()
    state, error, result = _known_state(word)
    if build.get("blocked") is True and state is State.OK:
        state, error, result = State.WAITING, "", ""
    number_ = number(build, "number")
    identifier = text(build, "id")
    triggered = text(build, "triggered_from", "build_id")
    rebuilt = text(build, "rebuilt_from", "id")
    return Event(
        key=_build_key(identifier),
        ref=keys.reference("buildkite", "pipeline", hook.pipeline, number_ or identifier),
        source="buildkite",
        operation=Operation.PIPELINE,
        state=state,
        occurred_at=_at(build, state, hook.received_at),
        as_of=_as_of(build),
        stage=_STAGES.get(state, ""),
        name=f"{hook.pipeline} #{number_}" if number_ else hook.pipeline,
        project=hook.project,
        actor=text(build, "creator", "name", limit=200)
        or text(build, "author", "name", limit=200)
        or text(hook.body, "sender", "name", limit=200),
        url=web_url(text(build, "web_url")),
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__run__id=identifier,
            cicd__pipeline__run__url__full=web_url(text(build, "web_url")),
            cicd__pipeline__result=result,
            vs__run__title=text(build, "message").partition("\n")[0],
        ),
        offers=keys.offers(keys.commit(hook.sha, hook.repo, "commit", "built")),
        seeks=keys.seeks(
            keys.seek_structure(_build_key(triggered), "triggered_from") if triggered else None,
            keys.seek_attempt(_build_key(rebuilt)) if rebuilt else None,
            hook.seeks(),
        ),
    )


def _job(hook: _Hook) -> Event:
    job = hook.job
    state, error, result = _known_state(text(job, "state").lower())
    # In a webhook a job is `finished`; its exit status says whether it passed.
    exit_status = number(job, "exit_status")
    if state is State.OK and exit_status not in (None, 0):
        state, error, result = _FAILED
    soft = job.get("soft_failed") is True and state is State.ERROR
    if soft:
        state, error = State.OK, ""
    identifier, name = text(job, "id"), _job_name(job)
    deploys = is_deploy_name(name) or is_deploy_name(text(job, "step_key"))
    service = (hook.repo or hook.pipeline).rpartition("/")[2] if deploys else ""
    environment = environment_in(name) or environment_in(text(job, "step_key"))
    version = (text(hook.build, "tag") or hook.sha) if deploys else ""
    attempt = min(max((number(job, "retries_count") or 0) + 1, 1), 10_000)
    retried = text(job, "retry_source", "job_id")
    # Parallel jobs of a step have its name.
    part = number(job, "parallel_group_index")
    return Event(
        key=_job_key(identifier),
        source="buildkite",
        operation=Operation.DEPLOY if deploys else Operation.BUILD,
        state=state,
        occurred_at=_at(job, state, hook.received_at),
        as_of=_as_of(job),
        stage=_STAGES.get(state, ""),
        name=name,
        project=hook.project,
        service=service,
        environment=environment if deploys else "",
        actor=text(hook.build, "creator", "name", limit=200),
        url=web_url(text(job, "web_url")) or web_url(text(hook.build, "web_url")),
        attempt=attempt,
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__task__name=name,
            cicd__pipeline__task__run__id=identifier,
            cicd__pipeline__task__run__url__full=web_url(text(job, "web_url")),
            cicd__pipeline__task__run__result=result,
            cicd__pipeline__task__type="deploy" if deploys else None,
            cicd__worker__name=text(job, "agent", "name"),
            deployment__environment__name=environment if deploys else None,
            vs__version=version,
            vs__deploy__job=f"{name} {part}" if deploys and part is not None else None,
            vs__exit_status=exit_status,
            vs__allow_failure=True if soft else None,
        ),
        offers=keys.offers(*offer_version(service, version, hook.repo)),
        seeks=keys.seeks(
            keys.seek_structure(_build_key(text(hook.build, "id"))),
            keys.seek_attempt(_job_key(retried)) if retried else None,
            hook.seeks() if deploys else None,
        ),
    )


def _job_name(job: dict[str, Any]) -> str:
    name = text(job, "name") or text(job, "label") or text(job, "step_key")
    return name or text(job, "command").partition("\n")[0] or "job"


def _known_state(word: str) -> tuple[State, str, str]:
    if word not in _STATES:
        raise Unreadable(f"the state {word[:60] or 'none'!r} is not known; is the adapter too old?")
    return _STATES[word]


def _phases(whole: Event, subject: dict[str, Any]) -> list[Event]:
    """The event, and the earlier phases whose times the body contains."""
    events = [whole]
    queued = time_of(subject, "runnable_at", "scheduled_at", "created_at")
    running = time_of(subject, "started_at")
    for at, state in ((queued, State.QUEUED), (running, State.RUNNING)):
        if at is not None and state is not whole.state:
            events.append(
                whole._replace(state=state, occurred_at=at, stage=_STAGES[state], error="")
            )
    return events


def _goes_on(hook: _Hook) -> list[Event]:
    """An event that the build is running again, when one of its jobs starts: after a block step
    nothing else reports it."""
    started = time_of(hook.job, "started_at")
    if started is None:
        return []
    again = Event(
        key=_build_key(text(hook.build, "id")),
        source="buildkite",
        operation=Operation.PIPELINE,
        state=State.RUNNING,
        occurred_at=started,
        # The body of a job has fewer facts about the build than the build's own.
        as_of=1,
        stage=_STAGES[State.RUNNING],
        name=hook.pipeline,
        project=hook.project,
    )
    return [again]


def _at(subject: dict[str, Any], state: State, received_at: Instant) -> Instant:
    """When the state began, according to the body."""
    if state is State.QUEUED:
        found = time_of(subject, "runnable_at", "scheduled_at", "created_at")
    elif state is State.RUNNING:
        found = time_of(subject, "started_at", "scheduled_at", "created_at")
    elif state is State.WAITING:
        found = time_of(subject, "finished_at", "scheduled_at", "created_at")
    else:
        found = time_of(subject, "finished_at", "canceled_at")
    return received_at if found is None else found


def _as_of(subject: dict[str, Any]) -> Instant:
    """The latest time in the body, which orders bodies of one subject."""
    names = ("created_at", "scheduled_at", "runnable_at", "started_at", "finished_at")
    return max((parse_instant(subject.get(name)) or 0 for name in names), default=0)


def _build_key(identifier: str) -> str:
    return keys.reference("buildkite", "pipeline", "", identifier)


def _job_key(identifier: str) -> str:
    return keys.reference("buildkite", "build", "", identifier)


SOURCE: Final = Buildkite()
