"""Reads `deployment` and `deployment_status`: one deploy, from its creation to its first
verdict."""

from __future__ import annotations

from typing import Any, Final

import orjson

from vs_tui.model import artifacts, keys
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading, moment
from vs_tui.sources.fields import lowered, number, obj, text, time_of, web_url
from vs_tui.sources.github.actions import check_run_alias, deployment_alias, run_id
from vs_tui.sources.github.hook import Hook, login
from vs_tui.sources.github.refs import seek_tag

ACTIONS: Final = frozenset({"created", ""})
"""The action is empty in bodies of old GitHub Enterprise Servers."""

_CREATED: Final = (State.QUEUED, "pending", "")
_STATES: Final = {
    "pending": _CREATED,
    "queued": (State.QUEUED, "queued", ""),
    "waiting": (State.WAITING, "waiting", ""),
    "in_progress": (State.RUNNING, "running", ""),
    "success": (State.OK, "", ""),
    "failure": (State.ERROR, "", "failure"),
    "error": (State.ERROR, "", "error"),
    # A later deploy replaced this one. Its own verdict stands; a deploy without a received verdict,
    # such as one from before the webhook was made, is neither in flight nor failed.
    "inactive": (State.CANCELLED, "", ""),
}
_OTEL_STATUS: Final = {State.OK: "succeeded", State.ERROR: "failed"}
_FULL_SHA: Final = 40


def read_deployment(hook: Hook) -> Reading:
    """The event for a deployment's creation."""
    if hook.action not in ACTIONS:
        return f"the action {hook.action!r} of deployment says nothing about its course"
    return (_deploy(hook, *_CREATED),)


def read_deployment_status(hook: Hook) -> Reading:
    """Events for a status of a deployment. `success`, `failure` and `error` end it; the first of
    them stands."""
    if hook.action not in ACTIONS:
        return f"the action {hook.action!r} of deployment_status says nothing about its course"
    word = lowered(hook.body, "deployment_status", "state")
    if word not in _STATES:
        raise hook.unreadable(f"the state {word or 'none'!r} is not known")
    whole = _deploy(hook, *_STATES[word])
    if word == "inactive":
        # Two jobs may deploy to one environment in one second; the verdict is put first.
        whole = whole._replace(occurred_at=whole.occurred_at + 1)
    if whole.started_at is None:
        return (whole,)
    return (moment(whole, State.QUEUED, whole.started_at, "pending"), whole)


def _deploy(hook: Hook, state: State, stage: str, error: str) -> Event:
    deployment = obj(hook.body, "deployment")
    status = obj(hook.body, "deployment_status")
    identifier = hook.required(deployment, "id")
    created = time_of(deployment, "created_at")
    at = hook.time(status, "created_at", "updated_at") if status else created or hook.received_at
    payload = _payload(deployment)
    environment = text(status, "environment") or text(deployment, "environment")
    # Vercel deploys the parts of one repository to `Production – shop` and `Production – admin`.
    environment, _, part = environment.partition(" \u2013 ")
    service = text(payload, "service", limit=200) or part or hook.service
    task = text(deployment, "task")
    is_production = deployment.get("production_environment")
    return Event(
        **hook.identity("deploy", identifier),
        operation=Operation.DEPLOY,
        state=state,
        occurred_at=max(at, created or 0),
        as_of=max(at, time_of(deployment, "updated_at") or 0),
        started_at=created,
        stage=stage,
        name=f"{service} to {environment}" if environment else service,
        service=service,
        environment=environment,
        actor=login(deployment, "creator") or hook.sender,
        url=_url(hook, status),
        error=error,
        attributes=hook.attributes(
            deployment__id=str(identifier),
            deployment__name=task,
            deployment__status=_OTEL_STATUS.get(state),
            deployment__environment__name=environment,
            service__name=service,
            vcs__ref__head__name=text(deployment, "ref"),
            vcs__ref__head__revision=text(deployment, "sha"),
            vs__rework=True if task.startswith("rollback") else None,
            vs__deploy__description=text(status, "description") or text(deployment, "description"),
            vs__deploy__environment_url=web_url(text(status, "environment_url")),
            vs__deploy__superseded=True if lowered(status, "state") == "inactive" else None,
            vs__deploy__run=text(hook.body, "workflow_run", "id"),
            vs__deploy__run_attempt=number(hook.body, "workflow_run", "run_attempt"),
            vs__default_branch=hook.default_branch,
            vs__environment__production=is_production if is_production is True else None,
            vs__environment__transient=deployment.get("transient_environment") is True or None,
        ),
        offers=_offers(hook, deployment, service),
        seeks=_seeks(hook, deployment, payload, identifier),
    )


def _payload(deployment: dict[str, Any]) -> dict[str, Any]:
    """`deployment.payload`: an object, or a string that may contain one."""
    payload = deployment.get("payload")
    if isinstance(payload, str):
        try:
            payload = orjson.loads(payload)
        except orjson.JSONDecodeError:
            return {}
    return payload if isinstance(payload, dict) else {}


def _payload_words(deployment: dict[str, Any]) -> str:
    """The payload as text, in which references and trace contexts are searched."""
    payload = deployment.get("payload")
    if isinstance(payload, str):
        return payload[: keys.TEXT_LIMIT]
    try:
        return orjson.dumps(payload).decode()[: keys.TEXT_LIMIT]
    except (orjson.JSONEncodeError, RecursionError):
        return ""


def _url(hook: Hook, status: dict[str, Any]) -> str:
    candidates = (
        text(status, "log_url"),
        text(status, "target_url"),
        text(hook.body, "check_run", "html_url"),
        text(hook.body, "workflow_run", "html_url"),
        f"{hook.web}/deployments" if hook.web else "",
    )
    return next((url for candidate in candidates if (url := web_url(candidate))), "")


def _offers(hook: Hook, deployment: dict[str, Any], service: str) -> tuple[Key, ...]:
    """Keys of the version it shipped: by tag, if there is one, and by commit."""
    tag, sha = _version(hook, deployment), text(deployment, "sha")
    return keys.offers(
        artifacts.artifact(service, tag, hook.scope, "ref") if tag else None,
        artifacts.artifact(service, sha, hook.scope, "sha") if keys.commit(sha) else None,
    )


def _version(hook: Hook, deployment: dict[str, Any]) -> str:
    """The ref if it may be a tag; empty for commits and shared branches."""
    ref = text(deployment, "ref").removeprefix("refs/tags/")
    is_commit = len(ref) == _FULL_SHA and keys.commit(ref) is not None
    return "" if is_commit or keys.is_shared_branch(ref, hook.default_branch) else ref


def _seeks(
    hook: Hook, deployment: dict[str, Any], payload: dict[str, Any], identifier: int
) -> tuple[Seek, ...]:
    ref, sha = text(deployment, "ref"), text(deployment, "sha")
    description = text(deployment, "description")
    words = _payload_words(deployment)
    return keys.seeks(
        keys.traceparents(words, "deployment payload"),
        keys.mentions(ref, "ref"),
        keys.mentions(description, "description"),
        keys.references(words, "deployment payload"),
        _structure(hook, identifier),
        keys.seek_change(number(payload, "pull_request"), hook.scope, "deployment payload"),
        keys.change_refs(ref, hook.scope),
        keys.seek_commit(Rule.COMMIT, sha, hook.scope),
        keys.seek_commit(Rule.BUILT, sha, hook.scope),
        keys.seek_branch(_version(hook, deployment), hook.scope, hook.default_branch),
        seek_tag(_version(hook, deployment), hook.scope),
        artifacts.versions(description, hook.scope, "description"),
    )


def _structure(hook: Hook, identifier: int) -> list[Seek]:
    """Seeks for the Actions job and run that deployed."""
    check_run = number(hook.body, "check_run", "id")
    run = number(hook.body, "workflow_run", "id")
    attempt = min(max(number(hook.body, "workflow_run", "run_attempt") or 1, 1), 10_000)
    found = [keys.seek_structure(deployment_alias(hook, identifier))]
    if check_run is not None:
        found.append(keys.seek_structure(check_run_alias(hook, check_run)))
    if run is not None:
        found.append(keys.seek_structure(hook.key("pipeline", run_id(run, attempt))))
    return found
