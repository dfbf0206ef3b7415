"""Reads jobs, and `deployment`: one deploy to one environment, run by a job or by hand.

A job's own hook and the snapshots of its pipeline give the same key and the same times, so either
hook is enough. A job's span begins when it was queued for a runner (`started_at -
queued_duration`). Its creation is not used: jobs of later stages are created with the pipeline, so
their time would include earlier stages.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from vs_tui.model import artifacts, keys
from vs_tui.model.time import DAY, SECOND, Duration, Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading, moment
from vs_tui.sources.fields import lowered, number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, aliases, latest

STATES: Final = {
    **dict.fromkeys(("created", "preparing", "pending", "waiting_for_callback"), State.QUEUED),
    **dict.fromkeys(("waiting_for_resource", "manual", "scheduled"), State.WAITING),
    **dict.fromkeys(("running", "canceling"), State.RUNNING),
    "success": State.OK,
    "failed": State.ERROR,
    **dict.fromkeys(("canceled", "skipped"), State.CANCELLED),
}
"""Status of a pipeline or job -> state; both use the same words."""
UNQUEUED: Final = "created"
"""Status of a job in a later stage. It waits for earlier jobs, not for a runner, and never runs if
its pipeline is blocked or ends before."""
LEAVABLE: Final = frozenset({"manual", "scheduled", "waiting_for_resource"})
"""Statuses of jobs that may remain when their pipeline ends."""
RESULTS: Final = {
    "success": "success",
    "failed": "failure",
    "canceled": "cancellation",
    "skipped": "skip",
}
_TIMEOUTS: Final = frozenset({"stuck_or_timeout_failure", "job_execution_timeout"})
# Failures of the platform, not of the script.
_SYSTEM_FAILURES: Final = frozenset(
    (
        *("runner_system_failure", "scheduler_failure", "data_integrity_failure"),
        *("unknown_failure", "api_failure", "runner_unsupported", "stale_schedule"),
        *("unmet_prerequisites", "missing_dependency_failure", "no_matching_runner"),
        "ci_quota_exceeded",
    )
)
_MAX_ATTEMPT: Final = 10_000


class Job(NamedTuple):
    """The facts about a job that both forms have."""

    identifier: int
    pipeline: int | None
    name: str
    stage: str
    status: str
    created_at: Instant | None
    started_at: Instant | None
    finished_at: Instant | None
    duration: Duration | None
    queued: Duration | None
    """Time it waited for a runner."""
    allow_failure: bool
    failure_reason: str
    sha: str
    ref: str
    is_tag: bool
    environment: str
    runner: dict[str, Any]
    actor: str
    shown_project: str
    """`Group / Project`, as in ValueStream's refs."""
    attempt: int | None = None
    """Only job hooks have it."""
    left_at: Instant | None = None
    """When its pipeline ended without it; the optional manual job then no longer waits."""


def job_key(hook: Hook, identifier: int) -> str:
    """The key of a job. The kind is not `build`, which is ValueStream's word for pipelines, because
    both count from 1."""
    return hook.key("job", identifier)


def pipeline_key(hook: Hook, identifier: int) -> str:
    return hook.key("pipeline", identifier)


def seconds(container: object, name: str) -> Duration | None:
    """A number of seconds as a duration; None if it is missing, negative or over 365 days."""
    value = obj(container).get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * SECOND) if 0 <= value <= 365 * DAY / SECOND else None


def job_events(hook: Hook, job: Job) -> tuple[Event, ...]:
    """Events for the job's state, and for the earlier states it implies."""
    state = STATES.get(job.status)
    if state is None:
        raise hook.unreadable(f"the job status {job.status or 'none'!r} is not known")
    if job.left_at is not None:
        state = State.CANCELLED
    failed = state is State.ERROR
    tolerated = failed and job.allow_failure
    error, result = _verdict(job)
    queued_at = _queued_at(job)
    url = f"{hook.web}/-/jobs/{job.identifier}" if hook.web else ""
    # A skipped job that runs later loses its result.
    unfinished = {"cicd.pipeline.task.run.result": ""} if state is State.RUNNING else {}
    whole = Event(
        **hook.identity("job", job.identifier),
        operation=Operation.BUILD,
        state=State.OK if tolerated else state,
        occurred_at=_at(hook, job, state),
        started_at=queued_at,
        # A retry of the pipeline may run a skipped job. A stated end replaces an earlier one.
        supersedes=state is State.RUNNING or (state.terminal and job.finished_at is not None),
        stage="running" if state is State.RUNNING and job.started_at is not None else "",
        name=job.name or f"job {job.identifier}",
        actor=job.actor,
        url=url,
        attempt=job.attempt or 1,
        error="" if tolerated else error,
        attributes=unfinished
        | hook.attributes(
            cicd__pipeline__name=hook.path,
            cicd__pipeline__run__id=None if job.pipeline is None else str(job.pipeline),
            cicd__pipeline__task__name=job.name,
            cicd__pipeline__task__run__id=str(job.identifier),
            cicd__pipeline__task__run__url__full=url,
            cicd__pipeline__task__run__result=result,
            cicd__worker__id=text(job.runner, "id"),
            cicd__worker__name=text(job.runner, "description"),
            vcs__ref__head__name=job.ref,
            vcs__ref__head__type="tag" if job.is_tag else None,
            vcs__ref__head__revision=job.sha,
            deployment__environment__name=job.environment,
            vs__stage=job.stage,
            vs__failure_reason=job.failure_reason if failed else None,
            vs__allow_failure=True if tolerated else None,
        ),
        offers=_offers(hook, job),
        seeks=_seeks(hook, job),
    )
    return (*_earlier(job, whole, queued_at), whole)


def _earlier(job: Job, whole: Event, queued_at: Instant | None) -> list[Event]:
    if queued_at is None or job.started_at is None:
        return []
    found = []
    if queued_at < job.started_at:
        found.append(moment(whole, State.QUEUED, queued_at, "queued"))
    if whole.state.terminal and job.started_at <= whole.occurred_at:
        found.append(moment(whole, State.RUNNING, job.started_at, "running"))
    return found


def _queued_at(job: Job) -> Instant | None:
    if job.started_at is None:
        return None
    return job.started_at - (job.queued or 0)


def _at(hook: Hook, job: Job, state: State) -> Instant:
    if state is State.RUNNING:
        return job.started_at or job.created_at or hook.received_at
    if not state.terminal:
        # Bodies do not contain when a job became pending or manual, only its creation.
        return job.created_at or hook.received_at
    end = job.finished_at or job.left_at
    if end is None and job.started_at is not None and job.duration is not None:
        end = job.started_at + job.duration
    floor = latest(job.started_at, job.created_at)
    return latest(end, floor if end is None else job.started_at) or hook.received_at


def _verdict(job: Job) -> tuple[str, str]:
    """`error.type` and OpenTelemetry's result."""
    if job.left_at is not None:
        return "", "skip"
    if job.status != "failed":
        return "", RESULTS.get(job.status, "")
    if job.failure_reason in _TIMEOUTS:
        return "timeout", "timeout"
    if job.failure_reason in _SYSTEM_FAILURES:
        return job.failure_reason, "error"
    return "failure", "failure"


def _alias(hook: Hook, job: Job, attempt: int) -> str:
    """A ref of a job that its retry can compute; a retry has another id."""
    return hook.key("job_attempt", f"{job.pipeline}/{job.name}/{attempt}")


def _offers(hook: Hook, job: Job) -> tuple[Key, ...]:
    named = job.pipeline is not None and job.attempt is not None
    return keys.offers(
        keys.commit(job.sha, hook.scope, "job", "built"),
        *aliases("build", job.shown_project, job.identifier),
        Key("ref", _alias(hook, job, job.attempt or 1)) if named else None,
    )


def _seeks(hook: Hook, job: Job) -> tuple[Seek, ...]:
    former = None
    if job.pipeline is not None and job.attempt is not None and job.attempt > 1:
        key = Key("ref", _alias(hook, job, job.attempt - 1))
        former = Seek(Rule.ATTEMPT, key, link_only=True)
    branch = "" if job.is_tag else job.ref
    return keys.seeks(
        keys.seek_structure(pipeline_key(hook, job.pipeline)) if job.pipeline is not None else None,
        former,
        # For hooks with job events only.
        keys.change_refs(job.ref, hook.scope),
        keys.seek_commit(Rule.COMMIT, job.sha, hook.scope, "head commit"),
        keys.seek_branch(branch, hook.scope, hook.default_branch),
    )


def bounded_attempt(retries: int | None) -> int | None:
    """The number of the attempt after this number of retries."""
    return None if retries is None else min(max(retries, 0), _MAX_ATTEMPT) + 1


def job_times(container: object, prefix: str = "") -> dict[str, Any]:
    """The time fields of a Job; job hooks prefix them with `build_`."""
    return {
        "created_at": time_of(container, f"{prefix}created_at"),
        "started_at": time_of(container, f"{prefix}started_at"),
        "finished_at": time_of(container, f"{prefix}finished_at"),
        "duration": seconds(container, f"{prefix}duration"),
        "queued": seconds(container, f"{prefix}queued_duration"),
    }


_DEPLOY_STATES: Final = {
    "created": (State.QUEUED, "queued"),
    # Waits for an approval.
    "blocked": (State.WAITING, "waiting"),
    "running": (State.RUNNING, "running"),
    "success": (State.OK, ""),
    "failed": (State.ERROR, ""),
    "canceled": (State.CANCELLED, ""),
    "skipped": (State.CANCELLED, ""),
}
_OTEL_STATUS: Final = {State.OK: "succeeded", State.ERROR: "failed"}


def read_deployment(hook: Hook) -> Reading:
    """The event for a status of a deployment. A retried deploy job makes a new deployment."""
    identifier = number(hook.body, "deployment_id")
    if identifier is None:
        raise hook.unreadable("deployment_id is missing or no number")
    word = lowered(hook.body, "status")
    if word not in _DEPLOY_STATES:
        raise hook.unreadable(f"the status {word or 'none'!r} is not known")
    state, stage = _DEPLOY_STATES[word]
    at = time_of(hook.body, "status_changed_at") or hook.received_at
    environment, tier = text(hook.body, "environment"), text(hook.body, "environment_tier")
    job, sha, tag = number(hook.body, "deployable_id"), _sha(hook), _version(hook)
    url = web_url(text(hook.body, "deployable_url")) or web_url(text(hook.body, "commit_url"))
    return (
        Event(
            **hook.identity("deploy", identifier),
            operation=Operation.DEPLOY,
            state=state,
            occurred_at=at,
            stage=stage,
            name=f"{hook.service} to {environment}" if environment else hook.service,
            service=hook.service,
            environment=environment,
            actor=hook.user,
            url=url,
            error="failure" if state is State.ERROR else "",
            attributes=hook.attributes(
                deployment__id=str(identifier),
                deployment__status=_OTEL_STATUS.get(state),
                deployment__environment__name=environment,
                service__name=hook.service,
                vcs__ref__head__name=text(hook.body, "ref"),
                vcs__ref__head__revision=sha,
                vs__deploy__description=text(hook.body, "commit_title"),
                vs__deploy__environment_url=web_url(text(hook.body, "environment_external_url")),
                vs__environment__tier=tier,
                vs__environment__production=True if tier == "production" else None,
            ),
            offers=keys.offers(
                artifacts.artifact(hook.name, tag, hook.scope, "ref") if tag else None,
                artifacts.artifact(hook.name, sha, hook.scope, "sha") if sha else None,
            ),
            seeks=keys.seeks(
                keys.seek_structure(job_key(hook, job)) if job is not None else None,
                keys.seek_commit(Rule.COMMIT, sha, hook.scope),
                keys.seek_commit(Rule.BUILT, sha, hook.scope),
                keys.seek_branch(tag, hook.scope, hook.default_branch),
                Seek(Rule.VERSION, Key("tag", tag, hook.scope)) if tag else None,
                keys.commit_messages([text(hook.body, "commit_title")], hook.scope, "commit title"),
                artifacts.versions(text(hook.body, "commit_title"), hook.scope, "commit title"),
            ),
        ),
    )


def _sha(hook: Hook) -> str:
    """The whole commit from the commit's URL, or else `short_sha`, which has eight digits."""
    whole = text(hook.body, "commit_url").rstrip("/").rpartition("/")[2]
    for candidate in (whole, text(hook.body, "short_sha")):
        if key := keys.commit(candidate):
            return key.value
    return ""


def _version(hook: Hook) -> str:
    """The ref if it may be a tag; empty for shared branches."""
    ref = text(hook.body, "ref").removeprefix("refs/tags/")
    return "" if keys.is_shared_branch(ref, hook.default_branch) else ref
