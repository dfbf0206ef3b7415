"""Bitbucket: Cloud and Server (Data Center): the same headers and signature, different bodies.

The name of an event tells which of the two sent it. Cloud sends `pullrequest:*`, `repo:push`,
`repo:commit_status_*` and `issue:*`, read here; `server` reads the bodies of Server.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, State
from vs_tui.sources.base import BadBody, Form, Inbound, Parsed, Reading, Source, parsed
from vs_tui.sources.bitbucket.server import Repo, merged_changes, pushed, read_server_event
from vs_tui.sources.fields import (
    items,
    json_object,
    meaning,
    number,
    obj,
    required,
    text,
    unreadable,
    web_url,
)
from vs_tui.sources.repository import DELETED_FORK, Change, Push, push_log, review
from vs_tui.sources.signatures import Scheme, sha256_hex

_OPEN: Final = (
    *("created", "updated", "approved", "unapproved"),
    *("changes_request_created", "changes_request_removed", "comment_created"),
)
_CHANGE_STATES: Final = {
    **{f"pullrequest:{word}": State.RUNNING for word in _OPEN},
    "pullrequest:fulfilled": State.OK,
    "pullrequest:rejected": State.CANCELLED,
}
_ENDED: Final = {
    "MERGED": State.OK,
    "DECLINED": State.CANCELLED,
    "SUPERSEDED": State.CANCELLED,
}
_REVIEWS: Final = {
    "pullrequest:approved": ("approval", "approved"),
    "pullrequest:changes_request_created": ("changes_request", "changes_requested"),
    "pullrequest:comment_created": ("comment", "commented"),
}
_STATUS: Final = {
    "INPROGRESS": (State.RUNNING, "", ""),
    "SUCCESSFUL": (State.OK, "", "success"),
    "FAILED": (State.ERROR, "failure", "failure"),
    "STOPPED": (State.CANCELLED, "", "cancellation"),
}
_ORDINAL: Final = re.compile(r"\s*#\d{1,9}\b")
_ISSUES: Final = {
    **dict.fromkeys(("submitted", "new", "open"), State.RUNNING),
    "on hold": State.WAITING,
    **dict.fromkeys(("resolved", "closed"), State.OK),
    **dict.fromkeys(("duplicate", "invalid", "wontfix"), State.CANCELLED),
}


def read_cloud_event(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading | None:
    """The events of a body; None for the events of Server."""
    if event in _CHANGE_STATES:
        return _change(event, body, received_at)
    if event == "repo:push":
        return _pushes(event, body, received_at)
    if event in ("repo:commit_status_created", "repo:commit_status_updated"):
        return (_status(event, body, received_at),)
    if event in ("issue:created", "issue:updated"):
        return (_issue(event, body, received_at),)
    if event == "repo:updated":
        former = text(body, "changes", "full_name", "old", limit=200)
        return _repo(event, body).was(former, received_at)
    return None


def person(container: object, *path: str) -> str:
    """An account's name; Cloud has `nickname` since it dropped `username`."""
    return (
        text(container, *path, "nickname")
        or text(container, *path, "username")
        or text(container, *path, "display_name")
    )


def _repo(event: str, body: Mapping[str, Any]) -> Repo:
    full = text(body, "repository", "full_name", limit=200).strip("/ ")
    if "/" not in full:
        raise unreadable(event, "repository.full_name is missing")
    web = web_url(text(body, "repository", "links", "html", "href"))
    return Repo(full, web, text(body, "repository", "uuid", limit=80).strip("{}"))


def _change(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading:
    """Events for a pull request, which each body has as a whole, and for a verdict or a comment on
    it. Source: Atlassian's "Event payloads" of Bitbucket Cloud; a comment has `user`, `created_on`.
    """
    found = obj(body, "pullrequest")
    identifier = required(event, body, "pullrequest", "id")
    repo = _repo(event, body)
    created = parse_instant(found.get("created_on"))
    updated = parse_instant(found.get("updated_on")) or received_at
    # A delayed `updated` body may already show the end.
    state = _ENDED.get(text(found, "state").upper(), _CHANGE_STATES[event])
    home = DELETED_FORK if "repository" in obj(found, "source") else repo.scope
    fork = keys.repository(text(found, "source", "repository", "full_name")) or home
    draft = found.get("draft")
    change = Change(
        repo=repo,
        number=identifier,
        state=state,
        is_end_stated=_CHANGE_STATES[event].terminal,
        at=created
        if event == "pullrequest:created" and created and not state.terminal
        else updated,
        as_of=updated,
        created_at=created,
        title=text(found, "title"),
        body=text(found, "description", limit=keys.TEXT_LIMIT)
        or text(found, "summary", "raw", limit=keys.TEXT_LIMIT),
        draft=draft if isinstance(draft, bool) else None,
        author=person(found, "author"),
        url=text(found, "links", "html", "href"),
        branch=text(found, "source", "branch", "name"),
        heads=[text(found, "source", "commit", "hash")],
        base=text(found, "destination", "branch", "name"),
        base_sha=text(found, "destination", "commit", "hash"),
        merge_sha=text(found, "merge_commit", "hash"),
        fork=fork,
        reviewers=[person(entry) for entry in items(found, "reviewers")[:100]],
        comments=number(found, "comment_count"),
    )
    whole = change.event()
    if event not in _REVIEWS:
        return (whole,)
    field, verdict = _REVIEWS[event]
    given = obj(body, field)
    at = parse_instant(given.get("date")) or parse_instant(given.get("created_on")) or updated
    who = obj(given, "user") or obj(body, "actor")
    reviewer = person(who)
    # Only a comment by another person reviews; apps and access tokens are of the type app_user.
    is_own = bool(reviewer) and reviewer == change.author
    if verdict == "commented" and (is_own or text(who, "type") == "app_user"):
        return (whole,)
    own_id = f"{identifier}.{reviewer}.{at // 1_000_000}"
    return (review(repo, whole, own_id, reviewer, verdict, at), whole)


def _pushes(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading:
    repo = _repo(event, body)
    events = []
    for entry in items(body, "push", "changes")[:100]:
        new = obj(entry, "new")
        after = keys.commit(text(new, "target", "hash"))
        ref = text(new, "name")
        if after is None or not ref:
            continue
        commits = [obj(commit) for commit in items(entry, "commits")]
        times = [parse_instant(commit.get("date")) for commit in commits]
        is_tag = text(new, "type") in ("tag", "annotated_tag")
        messages = [
            text(new, "target", "message", limit=5_000),
            *(text(commit, "message", limit=5_000) for commit in commits),
        ]
        shas = [text(commit, "hash") for commit in commits]
        is_whole = bool(commits) and entry.get("truncated") is not True
        parents = items(commits[-1], "parents") if is_whole else []
        events.append(
            Push(
                repo=repo,
                ref=ref,
                is_tag=is_tag,
                is_forced=entry.get("forced") is True and not is_tag,
                onto=text(parents[0], "hash") if entry.get("forced") is True and parents else "",
                is_timed=False,
                before=text(entry, "old", "target", "hash"),
                after=after.value,
                # The body has no time of the push; that of the tag or commit is nearest.
                at=parse_instant(new.get("date"))
                or parse_instant(obj(new, "target").get("date"))
                or received_at,
                actor=person(body, "actor"),
                url=web_url(text(entry, "links", "html", "href")),
                written=[when for when in times if when is not None],
                log=push_log(
                    commits[::-1], repo.reverts, len(commits) + (entry.get("truncated") is True)
                ),
                **({} if is_tag else pushed(repo, ref, after.value, shas, messages)),
            ).event()
        )
    return tuple(events) or "a push that only deletes brings nothing to deliver"


def _status(event: str, body: Mapping[str, Any], received_at: Instant) -> Event:
    status = obj(body, "commit_status")
    repo = _repo(event, body)
    sha = (
        text(status, "commit", "hash") or text(status, "links", "commit", "href").rpartition("/")[2]
    )
    key = text(status, "key", limit=200)
    if keys.commit(sha) is None or not key:
        raise unreadable(event, "commit_status names no commit or no key")
    word = text(status, "state").upper()
    state, error, result = meaning(event, _STATUS, word)
    digest = sha256(key.encode("utf-8", "replace")).hexdigest()[:8]
    branch = text(status, "refname")
    message = text(status, "commit", "message", limit=5_000)
    return Event(
        **repo.identity("build", f"{sha[:12]}-{digest}"),
        operation=Operation.BUILD,
        state=state,
        occurred_at=parse_instant(status.get("updated_on")) or received_at,
        started_at=parse_instant(status.get("created_on")),
        # A second build of the commit has the same key: the latest one counts.
        supersedes=True,
        name=text(status, "name") or key,
        actor=person(body, "actor"),
        url=web_url(text(status, "url")),
        error=error,
        attributes=repo.attributes(
            cicd__pipeline__task__name=_label(key, text(status, "name"), branch),
            cicd__pipeline__task__run__url__full=web_url(text(status, "url")),
            cicd__pipeline__task__run__result=result,
            vcs__ref__head__name=branch,
            vcs__ref__head__revision=sha,
            vs__description=text(status, "description"),
        ),
        offers=keys.offers(keys.commit(sha, repo.scope, "commit status", "built")),
        seeks=keys.seeks(
            keys.seek_commit(Rule.COMMIT, sha, repo.scope, "head commit"),
            keys.seek_branch(branch, repo.scope) if branch else None,
            merged_changes(message, repo.scope) if keys.is_shared_branch(branch) else None,
            keys.mentions(message, "commit message"),
        ),
    )


def _label(key: str, name: str, branch: str) -> str:
    """A name shared by all builds of a kind, so that their durations can be compared: the key, or,
    if that is a number as in Bitbucket Pipelines, the name without its number (`Pipeline #42 for
    main`)."""
    if keys.whole_number(key.removeprefix("-")) is None:
        return key
    plain = _ORDINAL.sub("", name).strip()
    return plain.removesuffix(f" for {branch}") or key


def _issue(event: str, body: Mapping[str, Any], received_at: Instant) -> Event:
    issue = obj(body, "issue")
    repo = _repo(event, body)
    identifier = required(event, body, "issue", "id")
    word = text(issue, "state").lower()
    state = _ISSUES.get(word, State.NOTE)
    created = parse_instant(issue.get("created_on"))
    updated = parse_instant(issue.get("updated_on")) or received_at
    open_stage = word if state in (State.RUNNING, State.WAITING) else ""
    return Event(
        **repo.identity("issue", identifier),
        operation=Operation.ISSUE,
        state=state,
        occurred_at=created if event == "issue:created" and created else updated,
        as_of=updated,
        started_at=created,
        supersedes=True,
        stage=open_stage,
        name=text(issue, "title") or f"#{identifier}",
        actor=person(issue, "reporter") or person(body, "actor"),
        url=web_url(text(issue, "links", "html", "href")),
        attributes=repo.attributes(
            vs__issue__number=identifier,
            vs__issue__title=text(issue, "title"),
            vs__issue__state=word,
            vs__issue__type=text(issue, "kind") or text(issue, "type"),
            vs__issue__priority=text(issue, "priority"),
            vs__issue__milestone=text(issue, "milestone", "name"),
            vs__issue__assignees=person(issue, "assignee"),
        ),
        offers=keys.offers(Key("issue", str(identifier), repo.scope)),
        seeks=keys.seeks(
            keys.mentions(text(issue, "title"), "title"),
            keys.mentions(text(issue, "content", "raw", limit=keys.TEXT_LIMIT), "body"),
        ),
    )


IGNORED: Final[Mapping[str, str]] = {"diagnostics:ping": "connected"}


class Bitbucket(Source):
    """Webhooks of Bitbucket Cloud and of Bitbucket Server / Data Center."""

    name = "bitbucket"
    title = "Bitbucket"
    form = Form(
        "Repository settings, Webhooks, Add webhook",
        "push, build status created and updated, pull request (all), issue created and updated",
    )
    version = 2
    signature = Scheme("X-Hub-Signature", "sha256")
    token_in_url = True
    stored_headers = (
        "x-event-key",
        "x-request-uuid",
        "x-request-id",
        "x-attempt-number",
        "x-hook-uuid",
        "user-agent",
    )

    def dedupe_key(self, inbound: Inbound) -> str:
        """Cloud's X-Request-UUID, the same on a retry, or Server's X-Request-Id. Without them it is
        the event's name and the body's hash, because a body does not contain the event's name."""
        identifier = inbound.header("x-request-uuid") or inbound.header("x-request-id")
        return identifier or f"{inbound.header('x-event-key')}:{sha256_hex(inbound.body)}"

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        event = inbound.header("x-event-key").strip()[:60]
        if not event:
            raise BadBody("X-Event-Key", "is missing; it names the event, such as repo:push")
        if event in IGNORED:
            return parsed(event, IGNORED[event])
        reading = read_cloud_event(event, body, inbound.received_at)
        if reading is None:
            reading = read_server_event(event, body, inbound.received_at)
        if reading is None:
            reading = f"{event} says nothing about a delivery; untick it to save traffic"
        return parsed(event, reading)


SOURCE: Final = Bitbucket()
