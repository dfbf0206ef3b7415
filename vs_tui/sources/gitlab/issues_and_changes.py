"""Reads `issue`, `work_item`, `merge_request` and `note`: issues, tasks, incidents, epics of
groups; merge requests from their creation to their merge, their approvals and comments.
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import artifacts, keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import RELATIONS, Event, Key, Operation, Seek, State
from vs_tui.sources.base import Reading
from vs_tui.sources.fields import lowered, number, obj, text, time_of, web_url
from vs_tui.sources.gitlab.hook import Hook, author, hook_of, labels, logins
from vs_tui.sources.repository import DELETED_FORK, is_incident, review
from vs_tui.sources.reverts import REVERTS

ISSUE_ACTIONS: Final = frozenset({"open", "close", "reopen", "update", ""})
"""The action may be empty in updates of older versions."""


def read_issue(hook: Hook) -> Reading:
    """The event for an item. Every action has the whole item, so each body is a snapshot.

    Its state and time decide, so an update of an open issue restarts nothing. An item of type
    Incident is an `incident`, as in GitLab's own DORA figures.
    """
    issue = obj(hook.body, "object_attributes")
    action = lowered(issue, "action")
    if action not in ISSUE_ACTIONS:
        return f"the action {action!r} of {hook.kind} says nothing about a delivery"
    identifier = hook.required("object_attributes", "iid")
    state, at, stated = _issue_state(hook, issue, action)
    word = text(issue, "type") or text(issue, "issue_type")
    listed = labels(hook, "vs.issue.labels")
    broken = is_incident(listed.get("vs.issue.labels", ""), word)
    kind = "issue" if "/" in hook.path else "epic"
    title = text(issue, "title")
    description = text(issue, "description", limit=keys.TEXT_LIMIT)
    return (
        Event(
            **hook.identity(kind, identifier),
            operation=Operation.INCIDENT if broken else Operation.ISSUE,
            state=state,
            occurred_at=at,
            as_of=time_of(issue, "updated_at") or at,
            started_at=time_of(issue, "created_at"),
            supersedes=stated,
            name=title or f"#{identifier}",
            service=hook.service if broken else "",
            actor=author(hook),
            url=web_url(text(issue, "url")),
            attributes=listed
            | hook.attributes(
                vs__issue__number=identifier,
                vs__issue__title=title,
                vs__issue__state=text(issue, "state"),
                vs__issue__type=word,
                vs__issue__severity=text(issue, "severity"),
                vs__issue__assignees=logins(hook.body, "assignees"),
                vs__issue__weight=number(issue, "weight"),
            ),
            restates=RELATIONS,
            offers=keys.offers(
                Key("issue", str(identifier), hook.scope), *hook.aliases(kind, identifier)
            ),
            seeks=keys.seeks(
                keys.mentions(title, "title"),
                keys.mentions(description, "description"),
                artifacts.root_causes(description, hook.service, hook.scope) if broken else None,
            ),
        ),
    )


def _issue_state(hook: Hook, issue: dict[str, Any], action: str) -> tuple[State, Instant, bool]:
    """State, its time, and whether it supersedes an earlier end."""
    updated = time_of(issue, "updated_at") or hook.received_at
    state = lowered(issue, "state")
    if state == "closed" or action == "close":
        # Moved and duplicate issues are closed without work.
        gone = number(issue, "moved_to_id") or number(issue, "duplicated_to_id")
        ended = State.CANCELLED if gone else State.OK
        closed = time_of(issue, "closed_at")
        # Without closed_at only the closing itself sets the end; a later edit must not move it.
        return ended, closed or updated, closed is not None or action == "close"
    if action == "open":
        return State.RUNNING, time_of(issue, "created_at") or updated, True
    if state in ("opened", "reopened") or action == "reopen":
        return State.RUNNING, updated, True
    return State.NOTE, updated, False


REVIEWS: Final = {
    "approved": "approved",
    "approval": "approved",
    "unapproved": "dismissed",
    "unapproval": "dismissed",
}
"""`approval` is one of several required approvals, `approved` is the last of them."""
_STAGES: Final = {"approved": "approved", "unapproved": "ready"}
"""Only these actions change whether all required approvals are given."""
_APPROVALS: Final = {"approval": True, "approved": False, "unapproval": True, "unapproved": True}
"""Action -> whether approvals are missing after it."""
CHANGE_ACTIONS: Final = frozenset({"open", "close", "reopen", "update", "merge", "", *REVIEWS})
_BY_STATE: Final = {
    "opened": State.RUNNING,
    "reopened": State.RUNNING,
    # Locked while GitLab merges it.
    "locked": State.RUNNING,
    "merged": State.OK,
    "closed": State.CANCELLED,
}
_BY_ACTION: Final = {
    "open": State.RUNNING,
    "reopen": State.RUNNING,
    "merge": State.OK,
    "close": State.CANCELLED,
}
_WORDS: Final = {State.OK: "merged", State.CANCELLED: "closed"}


def read_merge_request(hook: Hook) -> Reading:
    """Events for a merge request. Every action has the whole merge request, so each body is a
    snapshot."""
    change = obj(hook.body, "object_attributes")
    action = lowered(change, "action")
    if action not in CHANGE_ACTIONS:
        return f"the action {action!r} of merge_request says nothing about a delivery"
    identifier = hook.required("object_attributes", "iid")
    whole = _change(hook, change, identifier, action)
    if action not in REVIEWS:
        return (whole,)
    at, reviewer = whole.snapshot_at, hook.user
    own_id = f"{identifier}.{reviewer}.{at // 1_000_000}"
    return (review(hook, whole, own_id, reviewer, REVIEWS[action], at), whole)


def read_note(hook: Hook) -> Reading:
    """Events for a comment on a merge request: the merge request, and a review if the comment is by
    another person. An edit (`action` is `update`) is none, and may be by somebody else. Source:
    GitLab's "Webhook events", comment on a merge request, whose `merge_request` has the fields of
    its own event."""
    note, change = obj(hook.body, "object_attributes"), obj(hook.body, "merge_request")
    if lowered(note, "noteable_type") != "mergerequest" or note.get("system") is True:
        return "a comment moves no work, unless a person makes it on a merge request"
    whole_body = {**hook.body, "object_attributes": {**change, "action": ""}}
    of_change = hook_of(hook.kind, whole_body, hook.received_at)
    identifier = of_change.required("object_attributes", "iid")
    whole = _change(of_change, change, identifier, "")
    by = number(note, "author_id")
    is_own = by is not None and by == number(change, "author_id")
    if is_own or lowered(note, "action") == "update":
        return (whole,)
    at, reviewer = time_of(note, "created_at") or whole.snapshot_at, hook.user
    own_id = f"{identifier}.{reviewer}.{at // 1_000_000}"
    return (review(hook, whole, own_id, reviewer, "commented", at), whole)


def _change(hook: Hook, change: dict[str, Any], identifier: int, action: str) -> Event:
    state, at, stated = _change_state(hook, change, action)
    title = text(change, "title")
    return Event(
        **hook.identity("pull_request", identifier),
        operation=Operation.PULL_REQUEST,
        state=state,
        occurred_at=at,
        as_of=time_of(change, "updated_at") or at,
        started_at=time_of(change, "created_at"),
        supersedes=stated,
        stage=_stage(hook, change, action) if not state.terminal else "",
        name=title or f"!{identifier}",
        actor=author(hook),
        url=web_url(text(change, "url")),
        attributes=_attributes(hook, change, identifier, state, at if stated else None),
        restates=RELATIONS,
        offers=_offers(hook, change, identifier, state),
        seeks=_seeks(hook, change, title),
    )


def _change_state(hook: Hook, change: dict[str, Any], action: str) -> tuple[State, Instant, bool]:
    """State, its time, and whether it supersedes an earlier end."""
    updated = time_of(change, "updated_at") or hook.received_at
    # The action has priority over a `locked` or outdated state in the same body.
    state = _BY_ACTION.get(action) or _BY_STATE.get(lowered(change, "state"), State.NOTE)
    if not state.terminal:
        created = time_of(change, "created_at") if action == "open" else None
        return state, created or updated, state is not State.NOTE
    stated = time_of(change, "merged_at" if state is State.OK else "closed_at")
    # Without a stated time only the merge itself sets the end; a later edit must not move it.
    return state, stated or updated, stated is not None or action in ("merge", "close")


def _draft(change: dict[str, Any]) -> bool | None:
    # Named work_in_progress before GitLab 14.
    draft = change.get("draft", change.get("work_in_progress"))
    return draft if isinstance(draft, bool) else None


def _stage(hook: Hook, change: dict[str, Any], action: str) -> str:
    if action in _STAGES:
        return _STAGES[action]
    if action == "open":
        return "draft" if _draft(change) else ""
    now = obj(hook.body, "changes", "draft").get("current")
    if not isinstance(now, bool):
        return ""
    return "draft" if now else "ready"


def _flag(change: dict[str, Any], *names: str) -> bool | None:
    return next((change[name] for name in names if isinstance(change.get(name), bool)), None)


def _conflicts(change: dict[str, Any]) -> bool | None:
    """Whether it conflicts with its target; None while GitLab checks."""
    if detailed := lowered(change, "detailed_merge_status"):
        looking = detailed in ("checking", "preparing", "unchecked")
        return None if looking else detailed == "conflict"
    return {"cannot_be_merged": True, "can_be_merged": False}.get(lowered(change, "merge_status"))


def _threads_open(change: dict[str, Any]) -> bool | None:
    resolved = _flag(change, "blocking_discussions_resolved")
    return None if resolved is None else not resolved


def _ready_at(hook: Hook, change: dict[str, Any]) -> str | None:
    """When it stopped being a draft; only the body of that update contains it."""
    if obj(hook.body, "changes", "draft").get("current") is not False:
        return None
    return iso(time_of(change, "updated_at"))


def _attributes(
    hook: Hook, change: dict[str, Any], identifier: int, state: State, at: Instant | None
) -> dict[str, Any]:
    draft = _draft(change)
    merged = state is State.OK
    merging = lowered(change, "action") == "merge"
    return (
        labels(hook, "vs.pr.labels")
        | hook.attributes(
            merge_request__id=number(change, "id"),
            merge_request__url=web_url(text(change, "url")),
            vcs__change__id=str(identifier),
            vcs__change__title=text(change, "title"),
            vcs__change__state=_WORDS.get(state, "wip" if draft else "open"),
            vcs__ref__head__name=text(change, "source_branch"),
            vcs__ref__head__revision=text(change, "last_commit", "id"),
            vcs__ref__base__name=text(change, "target_branch"),
            vs__pr__fork=_head_scope(hook, change) != hook.scope or None,
            vs__pr__draft=draft,
            vs__pr__ready_at=_ready_at(hook, change),
            vs__pr__auto_merge=_flag(change, "auto_merge_enabled", "merge_when_pipeline_succeeds"),
            vs__pr__conflict=_conflicts(change),
            vs__pr__threads_open=_threads_open(change),
            vs__pr__approvals_missing=_APPROVALS.get(lowered(change, "action")),
            vs__default_branch=hook.default_branch,
            # Not in GitLab's documented bodies; some versions or proxies add them.
            vs__pr__comments=number(change, "user_notes_count"),
            vs__pr__additions=number(change, "additions"),
            vs__pr__deletions=number(change, "deletions"),
            vs__pr__changed_files=number(change, "changes_count"),
            vs__pr__reviewers=logins(hook.body, "reviewers"),
            vs__pr__assignees=logins(hook.body, "assignees"),
            vs__pr__merged_at=iso(at) if merged else None,
            vs__pr__merged_by=hook.user if merging else None,
            # Without a merge commit, the squashed one is what came to the branch.
            vs__pr__merge_commit=text(change, "merge_commit_sha")
            or text(change, "squash_commit_sha")
            if merged
            else None,
        )
        | {
            REVERTS: hook.reverts(
                f"{text(change, 'title')}\n{text(change, 'description', limit=keys.TEXT_LIMIT)}"
            )
        }
    )


def _head_scope(hook: Hook, change: dict[str, Any]) -> str:
    """The scope of the source branch's repository, which may be a fork."""
    source = obj(change, "source")
    ids = number(change, "source_project_id"), number(change, "target_project_id")
    home = DELETED_FORK if not source and ids[0] != ids[1] else hook.scope
    return keys.repository(text(source, "path_with_namespace")) or home


def _offers(hook: Hook, change: dict[str, Any], identifier: int, state: State) -> tuple[Key, ...]:
    source = obj(change, "source")
    fork = _head_scope(hook, change)
    scopes = dict.fromkeys((hook.scope, fork))
    heads = [text(change, "last_commit", "id"), text(change, "oldrev")]
    merge = ("merge_commit_sha", "squash_commit_sha") if state is State.OK else ()
    default = text(source, "default_branch") or hook.default_branch
    return keys.offers(
        Key("change", str(identifier), hook.scope),
        *hook.aliases("pull_request", identifier),
        *keys.offer_heads(heads, text(change, "source_branch"), scopes, default),
        *(keys.commit(text(change, name), hook.scope, "merge commit") for name in merge),
        keys.offer_branch(text(change, "source_branch"), fork, default),
    )


def _seeks(hook: Hook, change: dict[str, Any], title: str) -> tuple[Seek, ...]:
    branch = text(change, "source_branch")
    description = text(change, "description", limit=keys.TEXT_LIMIT)
    return keys.proposed(branch, title, description, hook.scope, "description")
