"""Reads `push`, `create`, `delete`, `release` and `repository`: changes of branches, tags and
names."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import quote

from vs_tui.model import artifacts, keys
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import items, number, obj, text, time_of, web_url
from vs_tui.sources.github.hook import Hook, login
from vs_tui.sources.repository import Push, push_log

RELEASE_ACTIONS: Final = frozenset({"published", "released", "prereleased", "edited", "created"})
MAX_COMMITS: Final = 100
"""Most commits of one push that are offered and read; the newest ones."""
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
    if not commits:
        return "a push without new commits brings nothing to deliver"
    return (_push(hook, branch, after.value, commits),)


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


def _push(hook: Hook, branch: str, after: str, commits: list[dict[str, Any]]) -> Event:
    messages = [text(entry, "message", limit=_MESSAGE) for entry in commits]
    shas = dict.fromkeys([after, *(text(entry, "id") for entry in commits)])
    total = number(hook.body, "total_commits")
    return Push(
        repo=hook,
        ref=branch,
        before=text(hook.body, "before"),
        after=after,
        at=_pushed_at(hook),
        actor=hook.sender or login(hook.body, "pusher") or text(hook.body, "pusher", "name"),
        url=web_url(text(hook.body, "compare") or text(hook.body, "compare_url")),
        shas=shas,
        subject=messages[-1].partition("\n")[0].strip(),
        written=[when for entry in commits if (when := time_of(entry, "timestamp"))],
        log=push_log(_listed(hook)[-MAX_COMMITS:]),
        default_branch=hook.default_branch,
        more={
            "vs__push__commits": total if total is not None else len(commits),
            "vs__push__forced": hook.body.get("forced") is True,
        },
        seeks=keys.pushed(shas, branch, messages, hook.scope, hook.default_branch),
    ).event()
