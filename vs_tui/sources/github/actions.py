"""Reads GitHub Actions: `workflow_run` and `workflow_job`.

Each attempt of a run is a span, linked to the attempt before. Its jobs are spans below it, and
their steps are below the jobs. Waiting for a runner is a phase of the job.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Outline, Reading, Unreadable, moment
from vs_tui.sources.fields import items, lowered, number, obj, text, texts, time_of, web_url
from vs_tui.sources.github.hook import Hook, change_scope, login
from vs_tui.sources.repository import DELETED_FORK

RUN_ACTIONS: Final = frozenset({"requested", "in_progress", "completed"})
JOB_ACTIONS: Final = frozenset({"queued", "waiting", "in_progress", "completed"})
MAX_STEPS: Final = 500

OUTCOMES: Final[Mapping[str, tuple[State, str, str]]] = {
    "success": (State.OK, "", "success"),
    "neutral": (State.OK, "", "success"),
    # Newer commits made the check obsolete: nothing failed, and there is no result.
    "stale": (State.OK, "", ""),
    "skipped": (State.CANCELLED, "", "skip"),
    "cancelled": (State.CANCELLED, "", "cancellation"),
    "failure": (State.ERROR, "failure", "failure"),
    "timed_out": (State.ERROR, "timeout", "timeout"),
    "startup_failure": (State.ERROR, "startup_failure", "error"),
    "action_required": (State.WAITING, "", ""),
    # Completed without a verdict: an end until a verdict arrives.
    "": (State.CANCELLED, "", ""),
}
"""A run's `conclusion` -> state, `error.type` and OpenTelemetry's result (may be empty)."""

PHASES: Final[Mapping[str, tuple[State, str]]] = {
    "requested": (State.QUEUED, "queued"),
    "queued": (State.QUEUED, "queued"),
    "pending": (State.QUEUED, "queued"),
    "waiting": (State.WAITING, "waiting"),
    "in_progress": (State.RUNNING, "running"),
}
"""A run's `status` before its completion -> state and phase."""


def read_run(hook: Hook) -> Reading:
    """Events for one attempt of a workflow, from the snapshot in the body."""
    if hook.action not in RUN_ACTIONS:
        return f"the action {hook.action or 'none'!r} of workflow_run is not known"
    run = obj(hook.body, "workflow_run")
    identifier = hook.required(run, "id")
    attempt = _attempt(run)
    # created_at is the first attempt's, run_started_at is this attempt's.
    began = time_of(run, "run_started_at") or (
        hook.time(run, "created_at") if attempt == 1 else hook.received_at
    )
    state, stage, error, result = _outcome(hook, run)
    updated = max(hook.time(run, "updated_at"), began)
    outline = Event(
        **hook.identity("pipeline", run_id(identifier, attempt)),
        operation=Operation.PIPELINE,
        state=state,
        occurred_at=began if state is State.QUEUED else updated,
        as_of=updated,
        started_at=began,
        supersedes=hook.dialect.reruns_in_place,
        provisional=state.terminal and not lowered(run, "conclusion"),
        stage=stage,
        attempt=attempt,
        error=error,
    )
    earlier = (moment(outline, State.QUEUED, began, "queued"),) * (state is State.RUNNING)
    return Outline((*earlier, outline), lambda: (*earlier, _run(hook, run, outline, result)))


def _run(hook: Hook, run: dict[str, Any], outline: Event, result: str) -> Event:
    """The whole event."""
    identifier, attempt = number(run, "id") or 0, outline.attempt
    label = pipeline_name(hook, run)
    ordinal = number(run, "run_number")
    url, sha = web_url(text(run, "html_url")), text(run, "head_sha")
    return outline._replace(
        name=f"{label} #{ordinal}" if ordinal is not None else label,
        actor=login(run, "triggering_actor") or login(run, "actor") or hook.sender,
        url=url,
        attributes=hook.attributes(
            cicd__pipeline__name=label,
            cicd__pipeline__run__id=str(identifier),
            cicd__pipeline__run__url__full=url,
            cicd__pipeline__result=result,
            vcs__ref__head__name=text(run, "head_branch"),
            vcs__ref__head__revision=sha,
            vs__run__event=text(run, "event"),
            vs__run__title=text(run, "display_title"),
            vs__run__attempt=attempt,
        ),
        offers=keys.offers(keys.commit(sha, hook.scope, "run", "built")),
        seeks=keys.seeks(
            _former_attempt(hook.key("pipeline", run_id(identifier, attempt - 1)), attempt),
            _run_seeks(hook, run),
        ),
    )


def run_id(identifier: int, attempt: int) -> str:
    """A run's id in span keys, followed by the attempt if it is not the first."""
    return f"{identifier}.{attempt}" if attempt > 1 else str(identifier)


def pipeline_name(hook: Hook, run: dict[str, Any]) -> str:
    """The workflow's name, the same for all its runs.

    workflow_run.name may differ: with `run-name` it is the title of one run.
    """
    return (
        text(hook.body, "workflow", "name")
        or text(run, "path").partition("@")[0]
        or text(run, "name")
        or "workflow"
    )


def read_job(hook: Hook) -> Reading:
    """Events for one job of a run's attempt, and for its steps."""
    if hook.action not in JOB_ACTIONS:
        return f"the action {hook.action or 'none'!r} of workflow_job is not known"
    job = obj(hook.body, "workflow_job")
    identifier = hook.required(job, "id")
    hook.required(job, "run_id")
    state, stage, error, result = _outcome(hook, job)
    queued = time_of(job, "created_at", "started_at") or hook.received_at
    started = time_of(job, "started_at")
    # A job behind an approval is queued, waiting and queued at one created_at.
    gated = time_of(obj(hook.body, "deployment"), "updated_at")
    conclusion = lowered(job, "conclusion")
    at = queued if gated is None else max(queued, gated)
    if state.terminal:
        # A skipped job can be completed before it was started.
        at = max(hook.time(job, "completed_at", "started_at"), queued)
    elif state is State.RUNNING:
        at = max(started or hook.received_at, queued)
    outline = Event(
        **hook.identity("build", identifier),
        operation=Operation.BUILD,
        state=state,
        occurred_at=at,
        started_at=queued,
        supersedes=hook.dialect.reruns_in_place,
        provisional=state.terminal and not conclusion,
        stage=stage,
        attempt=_attempt(job),
        error=error,
    )
    earlier = []
    if state is not State.QUEUED or at != queued:
        earlier.append(moment(outline, State.QUEUED, queued, "queued"))
    if (
        state.terminal
        and started is not None
        and conclusion != "skipped"
        and queued <= started <= at
    ):
        earlier.append(moment(outline, State.RUNNING, started, "running"))
    steps = _steps(job, outline)

    def finish() -> tuple[Event, ...]:
        whole = _job(hook, job, outline, result)
        below = (_step(hook, obj(step), ordinal, begun, whole) for step, ordinal, begun in steps)
        return (*earlier, whole, *below)

    return Outline((*earlier, outline, *(begun for _, _, begun in steps)), finish)


def _job(hook: Hook, job: dict[str, Any], outline: Event, result: str) -> Event:
    """The whole event."""
    identifier, run = number(job, "id") or 0, number(job, "run_id") or 0
    attempt = outline.attempt
    label = text(job, "name") or "job"
    url, sha = web_url(text(job, "html_url")), text(job, "head_sha")
    return outline._replace(
        name=label,
        actor=hook.sender,
        url=url,
        attributes=hook.attributes(
            cicd__pipeline__name=text(job, "workflow_name"),
            cicd__pipeline__run__id=str(run),
            cicd__pipeline__task__name=label,
            cicd__pipeline__task__run__id=str(identifier),
            cicd__pipeline__task__run__url__full=url,
            cicd__pipeline__task__run__result=result,
            cicd__worker__id=_text_id(job, "runner_id"),
            cicd__worker__name=text(job, "runner_name"),
            vcs__ref__head__name=text(job, "head_branch"),
            vcs__ref__head__revision=sha,
            vs__runner__labels=",".join(texts(job, "labels", most=20, limit=500))[:500],
        ),
        offers=_job_offers(hook, job, identifier, run, attempt, label),
        seeks=keys.seeks(
            keys.seek_structure(hook.key("pipeline", run_id(run, attempt))),
            # Without a hook for the run, the commit links the job.
            keys.seek_commit(Rule.COMMIT, sha, hook.scope, "head commit"),
            _former_attempt(_job_alias(hook, run, attempt - 1, label), attempt),
        ),
    )


def read_deployment_review(hook: Hook) -> Reading:
    """Events for the jobs that wait for an environment's reviewers, with the reviewers' names."""
    if hook.action != "requested":
        return "an answer of a reviewer shows by the job that goes on"
    run = obj(hook.body, "workflow_run")
    jobs = [obj(hook.body, "workflow_job_run"), *items(hook.body, "workflow_job_runs")[:100]]
    environment = text(hook.body, "environment")
    asked = [obj(each, "reviewer") for each in items(hook.body, "reviewers")[:100]]
    names = [text(each, "login") or text(each, "slug") or text(each, "name") for each in asked]
    found = {}
    for job in jobs:
        identifier = number(job, "id")
        if identifier is None:
            continue
        at = time_of(job, "updated_at", "created_at") or hook.time(hook.body, "since")
        found[identifier] = Event(
            **hook.identity("build", identifier),
            operation=Operation.BUILD,
            state=State.WAITING,
            occurred_at=at,
            started_at=time_of(job, "created_at"),
            stage="waiting",
            name=text(job, "name") or "job",
            url=web_url(text(job, "html_url")),
            attempt=_attempt(run),
            attributes=hook.attributes(
                vs__deploy__reviewers=",".join(name for name in names if name),
                vs__gate__environment=text(job, "environment") or environment,
            ),
            seeks=keys.seeks(
                keys.seek_structure(
                    hook.key("pipeline", run_id(hook.required(run, "id"), _attempt(run)))
                )
            ),
        )
    return tuple(found.values()) or "it names no job that waits"


def _attempt(run: dict[str, Any]) -> int:
    # Limited, so that an absurd count does not make an unreadable key.
    return min(max(number(run, "run_attempt") or 1, 1), 10_000)


def _outcome(hook: Hook, run: dict[str, Any]) -> tuple[State, str, str, str]:
    return outcome(hook, lowered(run, "status"), lowered(run, "conclusion"))


def outcome(hook: Hook, status: str, conclusion: str) -> tuple[State, str, str, str]:
    """State, phase, error type and result of a run, job, step or check."""
    if status == "completed":
        state, error, result = hook.meaning(OUTCOMES, conclusion, "conclusion")
        return state, "waiting" if state is State.WAITING else "", error, result
    return (*hook.meaning(PHASES, status, "status"), "", "")


def _former_attempt(key: str, attempt: int) -> Seek | None:
    return None if attempt == 1 else keys.seek_attempt(key)


def _run_seeks(hook: Hook, run: dict[str, Any]) -> list[Seek]:
    branch = text(run, "head_branch")
    title = text(run, "display_title")
    message = text(run, "head_commit", "message", limit=5_000)
    listed = items(run, "pull_requests")[:50]
    home = DELETED_FORK if "head_repository" in run else hook.scope
    head = keys.repository(text(run, "head_repository", "full_name")) or home
    wishes: list[Seek | None] = [
        keys.seek_change(
            number(change, "number"), change_scope(obj(change, "base", "repo"), hook.scope), ""
        )
        for change in listed
    ]
    wishes += keys.change_refs(branch, hook.scope)
    wishes += [
        keys.seek_commit(Rule.COMMIT, text(run, "head_sha"), hook.scope, "head commit"),
        keys.seek_branch(branch, head, hook.default_branch if head == hook.scope else "")
        if head != DELETED_FORK
        else None,
    ]
    # On a shared branch the commit names the merged change. On a change's own branch the newest
    # commit may belong to another change that was merged into it.
    if not listed and keys.is_shared_branch(branch, hook.default_branch):
        wishes += keys.merge_messages(title, hook.scope)
        wishes += keys.merge_messages(message, hook.scope)
    for words, via in ((branch, "branch"), (title, "title"), (message, "commit message")):
        wishes += keys.mentions(words, via)
        wishes += keys.issue_keys(words, via, any_case=via == "branch")
    return [wish for wish in wishes if wish is not None]


def _job_alias(hook: Hook, run: int, attempt: int, label: str) -> str:
    """A ref of a job that its next attempt can compute; the job's id is new in every attempt."""
    return hook.key("job", f"{run_id(run, attempt)}/{label}")


def _job_offers(
    hook: Hook, job: dict[str, Any], identifier: int, run: int, attempt: int, label: str
) -> tuple[Key, ...]:
    check_run = keys.whole_number(text(job, "check_run_url").rpartition("/check-runs/")[2])
    gated = number(hook.body, "deployment", "id")
    return keys.offers(
        keys.commit(text(job, "head_sha"), hook.scope, "job", "built"),
        Key("ref", _job_alias(hook, run, attempt, label)),
        Key("ref", check_run_alias(hook, check_run or identifier)),
        Key("ref", deployment_alias(hook, gated)) if gated is not None else None,
    )


def check_run_alias(hook: Hook, identifier: int) -> str:
    """The ref of the check run that Actions makes for a job; deployments name it."""
    return hook.key("check_run", identifier)


def deployment_alias(hook: Hook, identifier: int) -> str:
    """The ref of the job that runs a deployment; a gated job names the deployment."""
    return hook.key("deployment_job", identifier)


def _steps(job: dict[str, Any], outline: Event) -> list[tuple[Any, int, Event]]:
    """The steps that have begun, each with its number and the outline of its event; steps of a
    cancelled job may have no times."""
    begun = []
    for position, step in enumerate(items(job, "steps")[:MAX_STEPS], start=1):
        began = time_of(step, "started_at")
        if began is None or lowered(step, "status") not in ("in_progress", "completed"):
            continue
        ordinal = _ordinal(step, position)
        begun.append((step, ordinal, _step_outline(outline, ordinal, began)))
    return begun


def _ordinal(step: Any, position: int) -> int:
    """The step's number, or else its position; Gitea counts from 0, GitHub from 1."""
    found = number(step, "number")
    return position if found is None else found


def _step_outline(job: Event, ordinal: int, began: Instant) -> Event:
    return Event(
        # Steps may share a name; their number is unique in the job.
        key=f"{job.key}/{ordinal}",
        ref=f"{job.ref}/{ordinal}",
        full_ref=f"{job.full_ref}/{ordinal}",
        source=job.source,
        operation=Operation.STAGE,
        state=State.RUNNING,
        occurred_at=began,
        started_at=began,
        project=job.project,
    )


def _step(hook: Hook, step: dict[str, Any], ordinal: int, outline: Event, whole: Event) -> Event:
    began = outline.occurred_at
    try:
        state, _, error, result = _outcome(hook, step)
    except Unreadable:
        state, error, result = State.RUNNING, "", ""
    if state.terminal and not lowered(step, "conclusion"):
        # Its runner was lost: completed, but without a conclusion. It ends with its job.
        state = State.RUNNING
    ended = max(time_of(step, "completed_at") or began, began)
    if whole.state.terminal and not state.terminal:
        # Its runner was lost or stopped: no event for the step's end will come.
        state, error, ended = whole.state, whole.error, max(whole.occurred_at, began)
        result = str(whole.attributes.get("cicd.pipeline.task.run.result", ""))
    label = text(step, "name") or f"step {ordinal}"
    return outline._replace(
        state=state,
        occurred_at=ended if state.terminal else began,
        name=label,
        url=f"{whole.url}#step:{ordinal}:1" if whole.url else "",
        error=error,
        attributes=hook.attributes(
            cicd__pipeline__name=whole.attributes.get("cicd.pipeline.name"),
            cicd__pipeline__task__name=f"{whole.name} / {label}",
            cicd__pipeline__task__run__result=result,
            vs__stage=label,
            vs__step__number=ordinal,
        ),
        seeks=(keys.seek_structure(whole.key),),
    )


def _text_id(job: dict[str, Any], field: str) -> str | None:
    value = number(job, field)
    return None if value is None else str(value)
