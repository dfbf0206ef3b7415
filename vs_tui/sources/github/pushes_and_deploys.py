"""Reads `push`, `create`, `delete`, `release` and `repository`: changes of refs and names;
`deployment` and `deployment_status`: one deploy, from its creation to its first verdict.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

import orjson

from vs_tui.model import artifacts, keys
from vs_tui.model.job_names import is_rollback_name
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Outline, Reading, moment
from vs_tui.sources.fields import items, lowered, number, obj, text, time_of, web_url
from vs_tui.sources.github.actions import check_run_alias, deployment_alias, run_id
from vs_tui.sources.github.hook import Hook, login
from vs_tui.sources.repository import Push, is_set_back, push_log

RELEASE_ACTIONS: Final = frozenset({"published", "released", "prereleased", "edited", "created"})
MAX_COMMITS: Final = 100
"""Most commits of one push that are offered and whose messages are searched; the newest ones."""
MAX_LISTED: Final = 2048
"""Most commits that GitHub lists of a push."""
_MESSAGE: Final = 5_000
_QUEUE: Final = "gh-readonly-queue/"


def read_push(hook: Hook) -> Reading:
    """The event for a push of commits to a branch, or of a tag: an instant."""
    full_ref = text(hook.body, "ref")
    if not full_ref:
        raise hook.unreadable("ref is missing")
    after = keys.commit(text(hook.body, "after"))
    if hook.body.get("deleted") is True or after is None:
        return "a deleted ref brings nothing to deliver"
    if full_ref.startswith("refs/tags/"):
        # `after` of an annotated tag is the tag object, which nothing else names.
        tagged = keys.commit(text(hook.body, "head_commit", "id")) or after
        return (_tag(hook, full_ref.removeprefix("refs/tags/"), tagged.value),)
    branch = keys.branch_name(full_ref)
    if branch.startswith(_QUEUE):
        return "a merge queue's own branch: its runs find the pull request by the branch's name"
    commits = _new_commits(hook)
    if not commits and keys.is_shared_branch(branch, hook.default_branch):
        # A fast-forward pushes commits of another branch; they are delivered from this one.
        commits = _listed(hook)
    before = text(hook.body, "before")
    listed = hook.body.get("commits")
    back = is_set_back(branch, hook.default_branch, before, after.value, listed)
    if not commits and not back:
        return "a push without new commits brings nothing to deliver"
    if back or hook.body.get("forced") is True:
        return (_push(hook, branch, after.value, commits, is_forced=True),)
    outline = Event(
        **hook.identity("push", f"{branch}@{after.value[:12]}"),
        operation=Operation.PUSH,
        state=State.OK,
        occurred_at=_pushed_at(hook),
    )
    return Outline((outline,), lambda: (_push(hook, branch, after.value, commits),))


def read_create(hook: Hook) -> Reading:
    """The event for a new tag. A new branch is ignored until it has commits."""
    name = text(hook.body, "ref").removeprefix("refs/tags/")
    if text(hook.body, "ref_type") != "tag":
        return "a new branch shows by its pushes"
    if not name:
        raise hook.unreadable("ref is missing")
    return (_tag(hook, name, text(hook.body, "sha")),)


def read_delete(hook: Hook) -> Reading:
    """Always ignored: work delivered from a ref stays delivered."""
    return f"deleting a {text(hook.body, 'ref_type') or 'ref'} undoes nothing that was delivered"


def read_repository(hook: Hook) -> Reading:
    """Events that record a repository's new name or owner, so that both names are one
    repository."""
    owner, _, name = hook.path.rpartition("/")
    before = obj(hook.body, "changes", "owner", "from")
    if hook.action == "transferred":
        owner = login(before, "user") or login(before, "organization")
    elif hook.action == "renamed":
        name = text(hook.body, "changes", "repository", "name", "from")
    else:
        return f"the action {hook.action or 'none'!r} of a repository moves no work"
    at = hook.time(obj(hook.body, "repository"), "updated_at")
    return hook.was(f"{owner}/{name}" if owner and name else "", at)


def read_release(hook: Hook) -> Reading:
    """The event for a published release: an instant."""
    if hook.action not in RELEASE_ACTIONS:
        return (
            f"the action {hook.action or 'none'!r} of a release changes nothing that was delivered"
        )
    release = obj(hook.body, "release")
    published = time_of(release, "published_at")
    if release.get("draft") is True or (published is None and hook.action == "created"):
        return "a draft release; it shows when it is published"
    identifier = hook.required(release, "id")
    tag = text(release, "tag_name")
    # created_at is the time of the tagged commit; only published_at is the release's own time.
    at = published or hook.received_at
    return (
        Event(
            **hook.identity("release", identifier),
            operation=Operation.RELEASE,
            state=State.OK,
            occurred_at=at,
            as_of=hook.time(release, "updated_at", "published_at"),
            started_at=at,
            name=text(release, "name") or tag or f"release {identifier}",
            service=hook.service,
            actor=login(release, "author"),
            url=web_url(text(release, "html_url")),
            attributes=hook.attributes(
                vcs__ref__head__name=tag,
                vcs__ref__head__type="tag" if tag else None,
                vs__release__prerelease=release.get("prerelease") is True,
                vs__release__target=text(release, "target_commitish"),
            ),
            offers=keys.offers(
                Key("tag", tag, hook.scope, "release") if tag else None,
                artifacts.artifact(hook.name, tag, hook.scope, "release") if tag else None,
            ),
            seeks=keys.seeks(
                seek_tag(tag, hook.scope),
                keys.seek_commit(Rule.COMMIT, text(release, "target_commitish"), hook.scope),
                keys.mentions(text(release, "body", limit=keys.TEXT_LIMIT), "release notes"),
            ),
        ),
    )


def seek_tag(tag: str, scope: str) -> Seek | None:
    """A seek for the push or release of a tag."""
    return Seek(Rule.VERSION, Key("tag", tag, scope)) if tag else None


def _pushed_at(hook: Hook) -> Instant:
    # head_commit.timestamp is when the commit was written, which may be days before the push.
    pushed = time_of(obj(hook.body, "repository"), "pushed_at")
    return pushed or hook.time(obj(hook.body, "head_commit"), "timestamp")


def _tag(hook: Hook, tag: str, sha: str) -> Event:
    """The event for a tag; `create` and the push of a tag make the same span."""
    return Push(
        repo=hook,
        ref=tag,
        is_tag=True,
        after=sha if keys.commit(sha) else "",
        at=_pushed_at(hook),
        actor=hook.sender or login(hook.body, "pusher") or text(hook.body, "pusher", "name"),
        url=f"{hook.web}/tree/{quote(tag)}" if hook.web else "",
    ).event()


def _new_commits(hook: Hook) -> list[dict[str, Any]]:
    """The commits that were on no other branch before, newest last."""
    commits = [entry for entry in _listed(hook) if entry.get("distinct") is not False]
    return commits[-MAX_COMMITS:]


def _listed(hook: Hook) -> list[dict[str, Any]]:
    """The commits of a push, newest last; Gitea lists them newest first."""
    commits = [entry for entry in items(hook.body, "commits") if isinstance(entry, dict)]
    newest = text(hook.body, "after")
    is_newest_first = len(commits) > 1 and newest == text(commits[0], "id")
    return commits[::-1] if is_newest_first else commits


def _push(
    hook: Hook, branch: str, after: str, commits: list[dict[str, Any]], *, is_forced: bool = False
) -> Event:
    messages = [text(entry, "message", limit=_MESSAGE) for entry in commits]
    shas = dict.fromkeys([after, *(text(entry, "id") for entry in commits)])
    listed = _listed(hook)[-MAX_LISTED:]
    # Gitea tells the number. GitHub does not; a full list was probably cut.
    total = number(hook.body, "total_commits") or len(listed) // MAX_LISTED + len(listed)
    before = text(hook.body, "before")
    return Push(
        repo=hook,
        ref=branch,
        before=before,
        after=after,
        at=_pushed_at(hook),
        actor=hook.sender or login(hook.body, "pusher") or text(hook.body, "pusher", "name"),
        url=web_url(text(hook.body, "compare") or text(hook.body, "compare_url")),
        shas=shas,
        subject=messages[-1].partition("\n")[0].strip() if messages else "",
        written=[when for entry in commits if (when := time_of(entry, "timestamp"))],
        log=push_log(listed, hook.reverts, total if keys.commit(before) else 0),
        default_branch=hook.default_branch,
        is_forced=is_forced,
        is_timed=time_of(obj(hook.body, "repository"), "pushed_at") is not None,
        more={"vs__push__commits": number(hook.body, "total_commits") or len(commits)},
        seeks=keys.pushed(shas, branch, messages, hook.scope, hook.default_branch),
    ).event()


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
    outline = _outline(hook, *_CREATED)
    return Outline((outline,), lambda: (_deploy(hook, outline),))


def read_deployment_status(hook: Hook) -> Reading:
    """Events for a status of a deployment. `success`, `failure` and `error` end it. As on GitHub,
    the last verdict stands; the same one again does not move the end."""
    if hook.action not in ACTIONS:
        return f"the action {hook.action!r} of deployment_status says nothing about its course"
    word = lowered(hook.body, "deployment_status", "state")
    outline = _outline(hook, *hook.meaning(_STATES, word))
    if outline.state in (State.OK, State.ERROR):
        outline = outline._replace(supersedes="if other")
    if word == "inactive":
        # Two jobs may deploy to one environment in one second; the verdict is put first.
        outline = outline._replace(occurred_at=outline.occurred_at + 1)
    created = outline.started_at
    earlier = () if created is None else (moment(outline, State.QUEUED, created, "pending"),)
    return Outline((*earlier, outline), lambda: (*earlier, _deploy(hook, outline)))


def _outline(hook: Hook, state: State, stage: str, error: str) -> Event:
    deployment = obj(hook.body, "deployment")
    status = obj(hook.body, "deployment_status")
    created = time_of(deployment, "created_at")
    at = hook.time(status, "created_at", "updated_at") if status else created or hook.received_at
    return Event(
        **hook.identity("deploy", hook.required(deployment, "id")),
        operation=Operation.DEPLOY,
        state=state,
        occurred_at=max(at, created or 0),
        as_of=max(at, time_of(deployment, "updated_at") or 0),
        started_at=created,
        stage=stage,
        error=error,
    )


def _deploy(hook: Hook, outline: Event) -> Event:
    """The whole event."""
    deployment = obj(hook.body, "deployment")
    status = obj(hook.body, "deployment_status")
    identifier = hook.required(deployment, "id")
    payload = _payload(deployment)
    environment = text(status, "environment") or text(deployment, "environment")
    # Vercel deploys the parts of one repository to `Production – shop` and `Production – admin`.
    environment, _, part = environment.partition(" \u2013 ")
    service = (text(payload, "service", limit=200) or part).lower() or hook.service
    task = text(deployment, "task")
    job = text(hook.body, "check_run", "name")
    is_production = deployment.get("production_environment")
    return outline._replace(
        name=f"{service} to {environment}" if environment else service,
        service=service,
        environment=environment,
        actor=login(deployment, "creator") or hook.sender,
        url=_url(hook, status),
        attributes=hook.attributes(
            deployment__id=str(identifier),
            deployment__name=task,
            deployment__status=_OTEL_STATUS.get(outline.state),
            deployment__environment__name=environment,
            service__name=service,
            vcs__ref__head__name=text(deployment, "ref"),
            vcs__ref__head__revision=text(deployment, "sha"),
            vs__task=job if is_rollback_name(job) else None,
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
        *artifacts.offer_ref(service, tag, hook.scope),
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
