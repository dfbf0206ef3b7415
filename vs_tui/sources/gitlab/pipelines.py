"""Reads `pipeline` and `build` (the Job Hook).

A pipeline is one span with its waits as phases. Its body is a snapshot of all jobs, so one delivery
after an outage recovers them all. A retried pipeline keeps its id; it runs again after its end,
which reopens the span.

The hook of a job and the snapshots of its pipeline give the same key and the same times, so either
hook is enough. The span of a job begins when it was queued for a runner (`started_at -
queued_duration`). Its creation is not used: jobs of later stages are created with the pipeline, so
their time would include earlier stages.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from vs_tui.model import keys
from vs_tui.model.time import Duration, Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading, moment
from vs_tui.sources.fields import items, lowered, number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, aliases, latest, login, project_of_url, seconds

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


def job_events(hook: Hook, job: Job) -> tuple[Event, ...]:
    """Events for the job's state, and for the earlier states it implies."""
    state = hook.meaning(STATES, job.status, "job status")
    if job.left_at is not None:
        state = State.CANCELLED
    failed = state is State.ERROR
    tolerated = failed and job.allow_failure
    error, result = _verdict(job)
    queued_at = None if job.started_at is None else job.started_at - (job.queued or 0)
    url = f"{hook.web}/-/jobs/{job.identifier}" if hook.web else ""
    # A skipped job that runs later loses its result.
    unfinished = {"cicd.pipeline.task.run.result": ""} if state is State.RUNNING else {}
    whole = Event(
        # Not `build`, which is ValueStream's word for pipelines: both count from 1.
        **hook.identity("job", job.identifier),
        operation=Operation.BUILD,
        state=State.OK if tolerated else state,
        occurred_at=_job_at(hook, job, state),
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
        offers=_job_offers(hook, job),
        seeks=_job_seeks(hook, job),
    )
    return (*_job_before(job, whole, queued_at), whole)


def _job_before(job: Job, whole: Event, queued_at: Instant | None) -> list[Event]:
    if queued_at is None or job.started_at is None:
        return []
    found = []
    if queued_at < job.started_at:
        found.append(moment(whole, State.QUEUED, queued_at, "queued"))
    if whole.state.terminal and job.started_at <= whole.occurred_at:
        found.append(moment(whole, State.RUNNING, job.started_at, "running"))
    return found


def _job_at(hook: Hook, job: Job, state: State) -> Instant:
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


def _job_offers(hook: Hook, job: Job) -> tuple[Key, ...]:
    named = job.pipeline is not None and job.attempt is not None
    return keys.offers(
        keys.commit(job.sha, hook.scope, "job", "built"),
        *aliases("build", job.shown_project, job.identifier),
        Key("ref", _alias(hook, job, job.attempt or 1)) if named else None,
    )


def _job_seeks(hook: Hook, job: Job) -> tuple[Seek, ...]:
    parent = former = None
    if job.pipeline is not None:
        parent = keys.seek_structure(hook.key("pipeline", job.pipeline))
        if job.attempt is not None and job.attempt > 1:
            former = keys.seek_attempt(_alias(hook, job, job.attempt - 1))
    return keys.seeks(
        parent,
        former,
        # For hooks with job events only.
        keys.change_refs(job.ref, hook.scope),
        keys.seek_commit(Rule.COMMIT, job.sha, hook.scope, "head commit"),
        keys.seek_branch("" if job.is_tag else job.ref, hook.scope, hook.default_branch),
    )


def _job(entry: Mapping[str, Any], prefix: str = "", **known: Any) -> Job:
    """A job as the snapshot of its pipeline lists it, or as its own hook does, which prefixes names
    with `build_`. `known` has the facts that the two keep in different places."""
    return Job(
        name=text(entry, f"{prefix}name"),
        stage=text(entry, f"{prefix}stage"),
        status=lowered(entry, f"{prefix}status"),
        created_at=time_of(entry, f"{prefix}created_at"),
        started_at=time_of(entry, f"{prefix}started_at"),
        finished_at=time_of(entry, f"{prefix}finished_at"),
        duration=seconds(entry, f"{prefix}duration"),
        queued=seconds(entry, f"{prefix}queued_duration"),
        allow_failure=entry.get(f"{prefix}allow_failure") is True,
        failure_reason=text(entry, f"{prefix}failure_reason", limit=100),
        environment=text(entry, "environment", "name") or text(entry, "environment"),
        runner=obj(entry, "runner"),
        actor=login(entry, "user"),
        **known,
    )


MAX_JOBS: Final = 1_000
_STAGES: Final = {State.QUEUED: "queued", State.WAITING: "waiting", State.RUNNING: "running"}
_PARENT_VARIABLES: Final = frozenset({"VS_PARENT", "VSTRACE_TRACE_ID"})


def read_pipeline(hook: Hook) -> Reading:
    """Events for the current state of a pipeline and of each of its jobs."""
    pipeline = obj(hook.body, "object_attributes")
    identifier = hook.required("object_attributes", "id")
    status = lowered(pipeline, "status")
    state = hook.meaning(STATES, status, "status")
    created = time_of(pipeline, "created_at")
    # Jobs move a pipeline: this is the newest change of a job in the snapshot.
    activity = _newest(hook, "created_at", "started_at", "finished_at")
    at = _at(hook, pipeline, state, activity)
    label = text(pipeline, "name") or hook.name
    ordinal = number(pipeline, "iid") or identifier
    url = web_url(text(pipeline, "url"))
    if not url and hook.web:
        url = f"{hook.web}/-/pipelines/{identifier}"
    # A retry does not have the result of the run before it, only its end.
    is_retry = not state.terminal and time_of(pipeline, "finished_at") is not None
    result = "" if is_retry else RESULTS.get(status)
    attributes = hook.attributes(
        cicd__pipeline__name=hook.path,
        cicd__pipeline__run__id=str(identifier),
        cicd__pipeline__run__url__full=url,
        vcs__ref__head__name=text(pipeline, "ref"),
        vcs__ref__head__type="tag" if pipeline.get("tag") is True else "branch",
        vcs__ref__head__revision=text(pipeline, "sha"),
        merge_request__id=number(obj(hook.body, "merge_request"), "id"),
        merge_request__url=web_url(text(hook.body, "merge_request", "url")),
        vs__run__event=text(pipeline, "source"),
        vs__run__title=text(pipeline, "name"),
    )
    whole = Event(
        **hook.identity("pipeline", identifier),
        operation=Operation.PIPELINE,
        state=state,
        occurred_at=at,
        as_of=latest(at, activity) or at,
        started_at=created,
        supersedes=True,
        stage=_STAGES.get(state, ""),
        name=f"{label} #{ordinal}",
        actor=hook.user,
        url=url,
        error="failure" if state is State.ERROR else "",
        attributes=attributes if result is None else {**attributes, "cicd.pipeline.result": result},
        offers=keys.offers(
            keys.commit(text(pipeline, "sha"), hook.scope, "pipeline", "built"),
            Key("ref", hook.ref("build", identifier)),
            *hook.aliases("build", identifier),
        ),
        seeks=_seeks(hook, pipeline),
    )
    jobs = _snapshot_jobs(hook, pipeline, whole)
    return (*_earlier(whole, pipeline, created), whole, *jobs)


def _earlier(whole: Event, pipeline: dict[str, Any], created: Instant | None) -> list[Event]:
    """Events for its first queueing and start, which every later snapshot contains."""
    if created is None:
        return []
    found = [moment(whole, State.QUEUED, created, "queued")]
    queued = seconds(pipeline, "queued_duration")
    if queued is not None and created + queued <= whole.occurred_at:
        found.append(moment(whole, State.RUNNING, created + queued, "running"))
    return found


def _at(hook: Hook, pipeline: dict[str, Any], state: State, activity: Instant | None) -> Instant:
    """When the state began. Bodies have only the times of creation and end; for a state between
    them it is the newest `activity` of a job."""
    created, finished = time_of(pipeline, "created_at"), time_of(pipeline, "finished_at")
    if state.terminal:
        return finished or latest(created, activity) or hook.received_at
    if finished is not None:  # retried; GitLab keeps the former end until the next one
        return activity if activity and activity > finished else hook.received_at
    queued = seconds(pipeline, "queued_duration")
    begun = created + queued if created is not None and queued is not None else None
    if state is State.QUEUED:
        return latest(created, _newest(hook, "created_at")) or hook.received_at
    return latest(created, begun, activity) or hook.received_at


def _newest(hook: Hook, *fields: str) -> Instant | None:
    builds = items(hook.body, "builds")[:MAX_JOBS]
    return latest(*(time_of(entry, field) for entry in builds for field in fields))


def _seeks(hook: Hook, pipeline: dict[str, Any]) -> tuple[Seek, ...]:
    is_tag = pipeline.get("tag") is True
    ref = text(pipeline, "ref")
    branch = "" if is_tag else ref
    message = text(hook.body, "commit", "message", limit=5_000)
    change = obj(hook.body, "merge_request")
    target = project_of_url(text(change, "url"), hook.scope)
    # On a shared branch the commit names the merged change. On a change's own branch the newest
    # commit may belong to another change that was merged into it.
    is_shared = is_tag or keys.is_shared_branch(keys.branch_name(branch), hook.default_branch)
    merged = keys.merge_messages(message, hook.scope) if is_shared and not change else None
    return keys.seeks(
        _variable_seeks(pipeline),
        _upstream(hook),
        keys.seek_change(number(change, "iid"), target, "merge request"),
        keys.change_refs(ref, target),
        keys.seek_commit(Rule.COMMIT, text(pipeline, "sha"), hook.scope, "head commit"),
        keys.seek_branch(branch, hook.scope, hook.default_branch),
        Seek(Rule.VERSION, Key("tag", ref, hook.scope)) if is_tag and ref else None,
        merged,
        keys.mentions(ref, "ref"),
        keys.mentions(message, "commit message"),
        keys.issue_keys(branch, "branch", any_case=True),
        keys.issue_keys(message, "commit message"),
    )


def _upstream(hook: Hook) -> list[Seek]:
    """Seeks for the pipeline and the job that triggered a child or downstream pipeline."""
    source = obj(hook.body, "source_pipeline")
    if not source:
        return []
    path = text(source, "project", "path_with_namespace", limit=200).strip("/ ") or hook.path
    project = obj(source, "project") | {"path_with_namespace": path}
    upstream = Hook(hook.kind, {"project": project}, path, hook.received_at)
    pipeline, job = number(source, "pipeline_id"), number(source, "job_id")
    found = []
    if pipeline is not None:
        found.append(keys.seek_structure(upstream.key("pipeline", pipeline), "upstream pipeline"))
    if job is not None:
        # Usually a trigger job, which has no events; the pipeline is the parent.
        found.append(keys.seek_structure(upstream.key("job", job), "upstream job", link_only=True))
    return found


def _variable_seeks(pipeline: dict[str, Any]) -> list[Seek]:
    """Seeks from the variables of a run: a parent, a trace context, any reference."""
    found: list[Seek | None] = []
    for variable in items(pipeline, "variables")[:100]:
        name, value = text(variable, "key"), text(variable, "value", limit=2_000)
        if name.upper() in _PARENT_VARIABLES:
            found.append(keys.seek_parent(value, f"variable {name}"))
        found += keys.mentions(value, f"variable {name}")
    return [wish for wish in found if wish is not None]


def _snapshot_jobs(hook: Hook, pipeline: dict[str, Any], whole: Event) -> Iterator[Event]:
    """Events for the jobs in the pipeline's body."""
    namespace, shown = text(hook.body, "project", "namespace"), text(hook.body, "project", "name")
    common: dict[str, Any] = {
        "pipeline": number(pipeline, "id"),
        "sha": text(pipeline, "sha"),
        "ref": text(pipeline, "ref"),
        "is_tag": pipeline.get("tag") is True,
        "shown_project": f"{namespace} / {shown}" if namespace and shown else hook.path,
    }
    for entry in items(hook.body, "builds")[:MAX_JOBS]:
        job_id = number(entry, "id")
        status = lowered(entry, "status")
        if job_id is None or status not in STATES or status == UNQUEUED:
            continue  # skip one odd entry, keep the others
        left = whole.occurred_at if whole.state.terminal and status in LEAVABLE else None
        yield from job_events(hook, _job(entry, identifier=job_id, left_at=left, **common))


def read_job_hook(hook: Hook) -> Reading:
    """Events for the job of a Job Hook; `commit.id` is its pipeline's id."""
    body = hook.body
    job_id = hook.required("build_id")
    if lowered(body, "build_status") == UNQUEUED:
        return "a job that waits for those before it; it shows when it is queued"
    pipeline = number(body, "pipeline_id")
    retries = number(body, "retries_count")
    job = _job(
        body,
        "build_",
        identifier=job_id,
        pipeline=number(body, "commit", "id") if pipeline is None else pipeline,
        sha=text(body, "sha"),
        ref=text(body, "ref"),
        is_tag=body.get("tag") is True,
        shown_project=text(body, "project_name") or hook.path,
        attempt=None if retries is None else min(max(retries, 0), 10_000) + 1,
    )
    return job_events(hook, job)
