"""Reads `deployment`: one deploy to one environment, run by a job or by hand."""

from __future__ import annotations

from typing import Final

from vs_tui.model import keys
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import number, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook
from vs_tui.sources.gitlab.jobs import job_key

_STATES: Final = {
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
    word = text(hook.body, "status", limit=60)
    if word not in _STATES:
        raise hook.unreadable(f"the status {word or 'none'!r} is not known")
    state, stage = _STATES[word]
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
                keys.artifact(hook.name, tag, hook.scope, "ref") if tag else None,
                keys.artifact(hook.name, sha, hook.scope, "sha") if sha else None,
            ),
            seeks=keys.seeks(
                keys.seek_structure(job_key(hook, job)) if job is not None else None,
                keys.seek_commit(Rule.COMMIT, sha, hook.scope),
                keys.seek_commit(Rule.BUILT, sha, hook.scope),
                keys.seek_branch(tag, hook.scope, hook.default_branch),
                Seek(Rule.VERSION, Key("tag", tag, hook.scope)) if tag else None,
                keys.commit_messages([text(hook.body, "commit_title")], hook.scope, "commit title"),
                keys.versions(text(hook.body, "commit_title"), hook.scope, "commit title"),
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
