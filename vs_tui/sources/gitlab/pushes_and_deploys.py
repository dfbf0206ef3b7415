"""Reads `push`, `tag_push` and `release`: pushed commits and versions; and `deployment`: one deploy
to one environment, run by a job or by hand.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from vs_tui.model import artifacts, keys
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, lowered, number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, latest
from vs_tui.sources.repository import Push, is_set_back, push_log

MAX_COMMITS: Final = 100
_MESSAGE: Final = 5_000


def read_push(hook: Hook) -> Reading:
    """The event for a push to a branch; its new commits link it to their change."""
    branch = keys.branch_name(text(hook.body, "ref"))
    after = keys.commit(text(hook.body, "after"))
    if not branch:
        raise hook.unreadable("ref is missing or no branch")
    if after is None:
        return "a deleted branch brings nothing to deliver"
    commits = _commits(hook)
    before, listed = text(hook.body, "before"), hook.body.get("commits")
    is_forced = is_set_back(branch, hook.default_branch, before, after.value, listed)
    if not commits and not is_forced:
        return "a push without new commits brings nothing to deliver"
    # GitLab does not send the push's time; the newest commit's is nearest. An import also has the
    # commit time, which is later than the time of writing.
    times = [when for entry in commits if (when := time_of(entry, "timestamp"))]
    at = latest(*times, *(time_of(e, "committed_date") for e in commits)) or hook.received_at
    messages = [text(entry, "message", limit=_MESSAGE) for entry in commits]
    shas = dict.fromkeys([after.value, *(text(entry, "id") for entry in commits)])
    total = number(hook.body, "total_commits_count") or len(commits)
    compare = f"{hook.web}/-/compare/{before[:40]}...{after.value}" if keys.commit(before) else ""
    push = Push(
        repo=hook,
        ref=branch,
        before=before,
        after=after.value,
        at=at,
        actor=hook.user or text(hook.body, "user_name"),
        url=compare if hook.web else "",
        shas=shas,
        subject=messages[-1].partition("\n")[0].strip() if messages else "",
        written=times,
        log=push_log(commits, hook.reverts, total if keys.commit(before) else 0),
        default_branch=hook.default_branch,
        is_forced=is_forced,
        is_timed=False,
        more={"vs__push__commits": total},
        seeks=keys.pushed(shas, branch, messages, hook.scope, hook.default_branch),
    )
    return (push.event(),)


def read_tag(hook: Hook) -> Reading:
    """The event for a new tag, which names a version of its commit."""
    tag = text(hook.body, "ref").removeprefix("refs/tags/")
    if not tag:
        raise hook.unreadable("ref is missing")
    # `after` of an annotated tag is the tag's own hash; checkout_sha is the commit.
    sha = keys.commit(text(hook.body, "checkout_sha"))
    if keys.commit(text(hook.body, "after")) is None:
        return "deleting a tag undoes nothing that was delivered"
    times = [time_of(entry, "timestamp") for entry in _commits(hook)]
    at = latest(*times) or hook.received_at
    push = Push(
        repo=hook,
        ref=tag,
        is_tag=True,
        after=sha.value if sha else "",
        at=at,
        actor=hook.user or text(hook.body, "user_name"),
        url=f"{hook.web}/-/tags/{quote(tag)}" if hook.web else "",
        offers=(Key("ref", hook.full_ref("tag", tag)),),
        seeks=keys.mentions(text(hook.body, "message", limit=_MESSAGE), "tag message"),
    )
    return (push.event(),)


def read_release(hook: Hook) -> Reading:
    """The event for a release: an instant at `released_at`."""
    action = text(hook.body, "action", limit=60)
    if action not in ("create", "update", ""):
        return f"the action {action!r} of a release changes nothing that was delivered"
    tag = text(hook.body, "tag")
    if not tag:
        raise hook.unreadable("tag is missing")
    at = time_of(hook.body, "released_at", "created_at") or hook.received_at
    sha = text(hook.body, "commit", "id")
    return (
        Event(
            # A project has one release per tag, and a tag can be typed.
            **hook.named_identity("release", tag),
            operation=Operation.RELEASE,
            state=State.OK,
            occurred_at=at,
            started_at=at,
            name=text(hook.body, "name") or tag,
            service=hook.service,
            actor=text(hook.body, "commit", "author", "name"),
            url=web_url(text(hook.body, "url")),
            attributes=hook.attributes(
                vcs__ref__head__name=tag,
                vcs__ref__head__type="tag",
                vcs__ref__head__revision=sha if keys.commit(sha) else None,
            ),
            offers=keys.offers(
                Key("tag", tag, hook.scope, "release"),
                Key("ref", hook.full_ref("release", tag)),
                artifacts.artifact(hook.name, tag, hook.scope, "release"),
            ),
            seeks=keys.seeks(
                Seek(Rule.VERSION, Key("tag", tag, hook.scope)),
                keys.seek_commit(Rule.COMMIT, sha, hook.scope),
                keys.mentions(
                    text(hook.body, "description", limit=keys.TEXT_LIMIT), "release notes"
                ),
            ),
        ),
    )


def _commits(hook: Hook) -> list[dict[str, Any]]:
    """The pushed commits, newest last; GitLab lists at most 20 of them."""
    return [entry for entry in items(hook.body, "commits") if obj(entry)][-MAX_COMMITS:]


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
    identifier = hook.required("deployment_id")
    word = lowered(hook.body, "status")
    state, stage = hook.meaning(_DEPLOY_STATES, word, "status")
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
                *artifacts.offer_ref(hook.name, tag, hook.scope),
                artifacts.artifact(hook.name, sha, hook.scope, "sha") if sha else None,
            ),
            seeks=keys.seeks(
                keys.seek_structure(hook.key("job", job)) if job is not None else None,
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
