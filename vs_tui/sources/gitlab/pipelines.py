"""Reads `pipeline` and `build` (the Job Hook).

A pipeline is one span with its waits as phases. Its body is a snapshot of all jobs, so one delivery
after an outage recovers them all. A retried pipeline keeps its id; it runs again after its end,
which reopens the span.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading, moment
from vs_tui.sources.fields import items, lowered, number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, latest, login, project_of_url
from vs_tui.sources.gitlab.jobs import (
    LEAVABLE,
    RESULTS,
    STATES,
    UNQUEUED,
    Job,
    bounded_attempt,
    job_events,
    job_times,
    pipeline_key,
    seconds,
)

MAX_JOBS: Final = 1_000
_STAGES: Final = {State.QUEUED: "queued", State.WAITING: "waiting", State.RUNNING: "running"}
_PARENT_VARIABLES: Final = frozenset({"VS_PARENT", "VSTRACE_TRACE_ID"})


def read_pipeline(hook: Hook) -> Reading:
    """Events for the current state of a pipeline and of each of its jobs."""
    pipeline = obj(hook.body, "object_attributes")
    identifier = number(pipeline, "id")
    if identifier is None:
        raise hook.unreadable("object_attributes.id is missing or no number")
    status = lowered(pipeline, "status")
    state = STATES.get(status)
    if state is None:
        raise hook.unreadable(f"the status {status or 'none'!r} is not known")
    created = time_of(pipeline, "created_at")
    # Jobs move a pipeline: this is the newest change of a job in the snapshot.
    activity = _newest(hook, "created_at", "started_at", "finished_at")
    at = _at(hook, pipeline, state, activity)
    label = text(pipeline, "name") or hook.name
    ordinal = number(pipeline, "iid") or identifier
    url = web_url(text(pipeline, "url"))
    if not url and hook.web:
        url = f"{hook.web}/-/pipelines/{identifier}"
    # A retry does not have the result of the run before it.
    result = "" if _is_rerun(pipeline, state) else RESULTS.get(status)
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


def _is_rerun(pipeline: dict[str, Any], state: State) -> bool:
    return not state.terminal and time_of(pipeline, "finished_at") is not None


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
        found.append(keys.seek_structure(pipeline_key(upstream, pipeline), "upstream pipeline"))
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
        job = Job(
            **common,
            **job_times(entry),
            identifier=job_id,
            name=text(entry, "name"),
            stage=text(entry, "stage"),
            status=status,
            allow_failure=entry.get("allow_failure") is True,
            failure_reason=text(entry, "failure_reason", limit=100),
            environment=text(entry, "environment", "name"),
            runner=obj(entry, "runner"),
            actor=login(entry, "user"),
            left_at=whole.occurred_at if whole.state.terminal and status in LEAVABLE else None,
        )
        yield from job_events(hook, job)


def read_job_hook(hook: Hook) -> Reading:
    """Events for the job of a Job Hook; `commit.id` is its pipeline's id."""
    body = hook.body
    job_id = number(body, "build_id")
    if job_id is None:
        raise hook.unreadable("build_id is missing or no number")
    status = lowered(body, "build_status")
    if status == UNQUEUED:
        return "a job that waits for those before it; it shows when it is queued"
    pipeline = number(body, "pipeline_id")
    job = Job(
        **job_times(body, "build_"),
        identifier=job_id,
        pipeline=number(body, "commit", "id") if pipeline is None else pipeline,
        name=text(body, "build_name"),
        stage=text(body, "build_stage"),
        status=status,
        allow_failure=body.get("build_allow_failure") is True,
        failure_reason=text(body, "build_failure_reason", limit=100),
        sha=text(body, "sha"),
        ref=text(body, "ref"),
        is_tag=body.get("tag") is True,
        environment=text(body, "environment", "name") or text(body, "environment"),
        runner=obj(body, "runner"),
        actor=login(body, "user"),
        shown_project=text(body, "project_name") or hook.path,
        attempt=bounded_attempt(number(body, "retries_count")),
    )
    return job_events(hook, job)
