"""Release deployments: a classic release deployed to one environment."""

from __future__ import annotations

from typing import Any

from vs_tui.model import keys
from vs_tui.model.vocabulary import Event, Operation, Rule, Seek, State
from vs_tui.sources.azure.hook import RESULTS, Hook, person, web_url
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, known, number, obj, text, time_of
from vs_tui.sources.versions import offer_version

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
    pipeline = _pipeline(hook, environment, deployment)
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
    if word == "rejected":
        # A release has the same word for a failure and for a refused approval.
        return _FAILED
    if word not in RESULTS:
        raise hook.unreadable(f"the status {word[:40]!r} is not known")
    return RESULTS[word]


def _attempt(hook: Hook, environment: dict[str, Any], deployment: dict[str, Any]) -> int:
    steps = [number(step, "attempt") for step in items(environment, "deploySteps")]
    stated = [number(deployment, "attempt"), number(hook.resource, "attemptId"), *steps]
    return min(max((found for found in stated if found), default=1), 10_000)


def _pipeline(hook: Hook, environment: dict[str, Any], deployment: dict[str, Any]) -> str:
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
    key = keys.seek_structure(hook.key("deploy", earlier)).key
    return Seek(Rule.ATTEMPT, key, link_only=True)
