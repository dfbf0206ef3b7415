"""Reads Bitbucket Server's (Data Center's) bodies: `pr:*` and `repo:refs_changed`; and what Cloud's
have in common with them: repositories, pushed commits, merge messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, number, obj, required, text, unreadable, web_url
from vs_tui.sources.repository import Change, Push, Repository, is_set_back, push_log, review

MAX_COMMITS: Final = 100
_OPEN: Final = (
    *("opened", "modified", "from_ref_updated", "reopened", "reviewer:updated"),
    *("reviewer:approved", "reviewer:unapproved", "reviewer:needs_work"),
    *("reviewer:changes_requested", "comment:added"),
)
_CHANGE_STATES: Final = {
    **{f"pr:{word}": State.RUNNING for word in _OPEN},
    "pr:merged": State.OK,
    **dict.fromkeys(("pr:declined", "pr:deleted"), State.CANCELLED),
}
_REVIEWS: Final = {
    "pr:reviewer:approved": "approved",
    "pr:reviewer:needs_work": "changes_requested",
    "pr:reviewer:changes_requested": "changes_requested",
    "pr:comment:added": "commented",
}
_ENDED: Final = {"MERGED": State.OK, "DECLINED": State.CANCELLED}


class Repo(Repository):
    """A repository: `workspace/slug` on Cloud, `PROJECT/slug` on Server. Its id is Cloud's UUID or
    Server's number."""

    __slots__ = ()

    def __init__(self, path: str, web: str, identifier: str) -> None:
        super().__init__("bitbucket", path, web, identifier)


def pushed(
    repo: Repository, ref: str, after: str, shas: Sequence[str], messages: Sequence[str]
) -> dict[str, Any]:
    """The fields of a Push to a branch that its commits give; both lists have the newest one
    first."""
    shas = list(dict.fromkeys((after, *shas)))[:MAX_COMMITS]
    messages = messages[:MAX_COMMITS]
    wishes = keys.seeks(
        keys.pushed(shas, ref, messages, repo.scope),
        *(merged_changes(message, repo.scope) for message in messages),
    )
    subject = messages[0].partition("\n")[0].strip() if messages else ""
    return {"shas": shas, "subject": subject, "seeks": wishes}


def merged_changes(message: str, scope: str) -> list[Seek]:
    """Seeks for the changes that a merge message names: `Merged in BRANCH (pull request #7)`
    (Cloud) or `Pull request #7: TITLE` (Server)."""
    wishes = keys.merge_messages(message, scope)
    first = message.partition("\n")[0].lower()
    before, found, after = first.partition("pull request #")
    if found and (not before or before.startswith("merge")):
        digits = after[: len(after) - len(after.lstrip("0123456789"))]
        if digits and (wish := keys.seek_change(digits[:9], scope, "commit message")):
            wishes.append(wish)
    return wishes


def read_server_event(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading | None:
    """The events of a body; None if this module does not know the event's name."""
    if event in _CHANGE_STATES:
        return _change(event, body, received_at)
    if event == "repo:refs_changed":
        return _pushes(event, body, received_at)
    if event == "repo:modified":
        former, now = (_repo(event, obj(body, name)) for name in ("old", "new"))
        return now.was(former.path, _date(body, received_at))
    return None


def _repo(event: str, repository: dict[str, Any]) -> Repo:
    slug, project = text(repository, "slug"), text(repository, "project", "key")
    if not slug or not project:
        raise unreadable(event, "the repository's slug or its project's key is missing")
    links = items(repository, "links", "self")
    web = web_url(text(links[0], "href") if links else "")
    return Repo(f"{project}/{slug}", web, text(repository, "id", limit=40))


def _date(body: Mapping[str, Any], received_at: Instant) -> Instant:
    """When the event happened; the format is `2019-03-01T10:12:35+0100`."""
    return parse_instant(body.get("date")) or received_at


def _change(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading:
    """Events for a pull request, which each body has as a whole, and for a verdict or a comment on
    it; a comment reviews if it is by another person (accounts of access tokens are of the type
    SERVICE). Source: Atlassian's "Event payload" of Bitbucket Data Center."""
    found = obj(body, "pullRequest")
    identifier = required(event, body, "pullRequest", "id")
    repo = _repo(event, obj(found, "toRef", "repository"))
    head = obj(found, "fromRef")
    links = items(found, "links", "self")
    created = parse_instant(found.get("createdDate"))
    happened = _date(body, received_at)
    updated = parse_instant(found.get("updatedDate")) or happened
    state = _CHANGE_STATES[event]
    if not state.terminal:
        state = _ENDED.get(text(found, "state").upper(), state)
    closed = parse_instant(found.get("closedDate"))
    steps = ("pr:reviewer:", "pr:comment:", "pr:reopened")
    at = happened if event.startswith(steps) else updated
    if state.terminal:
        at = closed or updated
    elif event == "pr:opened":
        at = created or updated
    draft = found.get("draft")
    change = Change(
        repo=repo,
        number=identifier,
        state=state,
        at=at,
        is_end_stated=closed is not None or _CHANGE_STATES[event].terminal,
        as_of=max(updated, happened),
        created_at=created,
        title=text(found, "title"),
        body=text(found, "description", limit=keys.TEXT_LIMIT),
        draft=draft if isinstance(draft, bool) else None,
        author=text(found, "author", "user", "name"),
        url=text(links[0], "href") if links else "",
        branch=keys.branch_name(text(head, "id")) or text(head, "displayId"),
        heads=[text(head, "latestCommit"), text(body, "previousFromHash")],
        base=keys.branch_name(text(found, "toRef", "id")) or text(found, "toRef", "displayId"),
        base_sha=text(found, "toRef", "latestCommit"),
        merge_sha=text(found, "properties", "mergeCommit", "id"),
        fork=_fork(head) or repo.scope,
        reviewers=[text(entry, "user", "name") for entry in items(found, "reviewers")[:100]],
        comments=number(found, "properties", "commentCount"),
    )
    whole = change.event()
    if event not in _REVIEWS:
        return (whole,)
    comment = obj(body, "comment")
    who = obj(body, "participant", "user") or obj(comment, "author") or obj(body, "actor")
    reviewer, verdict = text(who, "name"), _REVIEWS[event]
    is_own = bool(reviewer) and reviewer == change.author
    if verdict == "commented" and (is_own or text(who, "type") == "SERVICE"):
        return (whole,)
    given = parse_instant(comment.get("createdDate")) or happened
    own_id = f"{identifier}.{reviewer}.{given // 1_000_000}"
    return (review(repo, whole, own_id, reviewer, verdict, given), whole)


def _fork(head: dict[str, Any]) -> str:
    slug = text(head, "repository", "slug")
    project = text(head, "repository", "project", "key")
    return keys.repository(f"{project}/{slug}") if slug and project else ""


def _pushes(event: str, body: Mapping[str, Any], received_at: Instant) -> Reading:
    repo = _repo(event, obj(body, "repository"))
    commits = [entry for entry in items(body, "commits") if isinstance(entry, dict)]
    if not commits and (newest := obj(body, "toCommit")):
        commits = [newest]
    events = []
    for entry in items(body, "changes")[:100]:
        full_ref = text(entry, "ref", "id") or text(entry, "refId")
        after = keys.commit(text(entry, "toHash"))
        if after is None or not full_ref or text(entry, "type") == "DELETE":
            continue
        is_tag = full_ref.startswith("refs/tags/")
        ref = full_ref.removeprefix("refs/tags/") if is_tag else keys.branch_name(full_ref)
        # The body's commits belong to its only change; with several changes it lists none.
        brought = commits if len(items(body, "changes")) == 1 else []
        times = [parse_instant(commit.get("committerTimestamp")) for commit in brought]
        before = text(entry, "fromHash")
        shas = [text(commit, "id") for commit in brought]
        messages = [text(commit, "message", limit=5_000) for commit in brought]
        events.append(
            Push(
                repo=repo,
                ref=ref,
                is_tag=is_tag,
                before=before if keys.commit(before) else "",
                after=after.value,
                is_forced=not is_tag
                and len(items(body, "changes")) == 1
                and is_set_back(ref, "", before, after.value, body.get("commits")),
                at=_date(body, received_at),
                actor=text(body, "actor", "name"),
                url=f"{repo.web.removesuffix('/browse')}/commits/{after.value}" if repo.web else "",
                written=[when for when in times if when is not None],
                log=push_log(
                    (
                        {**commit, "timestamp": commit.get("authorTimestamp")}
                        for commit in reversed(brought)
                    ),
                    repo.reverts,
                ),
                **({} if is_tag else pushed(repo, ref, after.value, shas, messages)),
            ).event()
        )
    return tuple(events) or "a push that only deletes brings nothing to deliver"
