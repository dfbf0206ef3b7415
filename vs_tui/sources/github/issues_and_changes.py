"""Reads `issues`, `sub_issues`, `pull_request` and `pull_request_review`.

An issue is in flight from `created_at` to `closed_at`, a pull request to its merge or closing.
"""

from __future__ import annotations

from typing import Any, Final

from vs_tui.model import artifacts, keys
from vs_tui.model.time import Instant, iso
from vs_tui.model.vocabulary import RELATIONS, Attributes, Event, Key, Operation, Rule, Seek, State
from vs_tui.sources.base import Outline, Reading, moment
from vs_tui.sources.fields import lowered, number, obj, text, time_of, web_url
from vs_tui.sources.github.hook import (
    Hook,
    change_scope,
    edited_at,
    hook_of,
    labels,
    login,
    logins,
    visible,
)
from vs_tui.sources.repository import DELETED_FORK, is_incident, review, review_outline
from vs_tui.sources.reverts import REVERTS

ISSUE_ACTIONS: Final = frozenset(
    (
        *("assigned", "closed", "deleted", "demilestoned", "edited", "labeled", "locked"),
        *("milestoned", "opened", "pinned", "reopened", "transferred", "typed", "unassigned"),
        *("unlabeled", "unlocked", "unpinned", "untyped"),
    )
)
SUB_ISSUE_ACTIONS: Final = frozenset(
    f"{part}_{verb}" for part in ("sub_issue", "parent_issue") for verb in ("added", "removed")
)
_GONE: Final = frozenset({"deleted", "transferred"})
_NOT_DONE: Final = frozenset({"not_planned", "duplicate"})


def read_issue(hook: Hook) -> Reading:
    """Events for an issue. Every action has the whole issue, so each body is a snapshot."""
    if hook.action not in ISSUE_ACTIONS:
        return f"the action {hook.action or 'none'!r} of issues says nothing about a delivery"
    issue = obj(hook.body, "issue")
    if obj(issue, "pull_request"):
        # GitHub numbers both together and reports milestones of pull requests as `issues` too.
        return "an issue event of a pull request, which shows by its own events"
    whole = _issue(hook, issue)
    if "parent_issue_url" not in issue:  # older servers have no parents
        return (whole,)
    return (whole, _below(whole, _parent(hook, text(issue, "parent_issue_url"))))


def read_sub_issue(hook: Hook) -> Reading:
    """Events for a sub-issue that got or lost a parent, from its snapshot."""
    if hook.action not in SUB_ISSUE_ACTIONS:
        return f"the action {hook.action or 'none'!r} of sub_issues is not known"
    if other := obj(hook.body, "sub_issue_repo"):
        body = {**hook.body, "repository": other}
        hook = hook_of(hook.dialect, hook.event, body, hook.received_at)
    whole = _issue(hook, obj(hook.body, "sub_issue"))
    parent = obj(hook.body, "parent_issue")
    gone = hook.action.endswith("removed")
    return (whole, _below(whole, None if gone else _parent(hook, text(parent, "url"))))


def _issue(hook: Hook, issue: dict[str, Any]) -> Event:
    identifier = hook.required(issue, "number")
    state, at = _issue_state(hook, issue)
    listed = labels(issue, "vs.issue.labels")
    kind = text(issue, "type", "name")
    broken = is_incident(listed.get("vs.issue.labels", ""), kind)
    body = visible(text(issue, "body", limit=keys.TEXT_LIMIT))
    return Event(
        **hook.identity("issue", identifier),
        operation=Operation.INCIDENT if broken else Operation.ISSUE,
        service=hook.service if broken else "",
        state=state,
        occurred_at=at,
        as_of=edited_at(hook, issue),
        started_at=time_of(issue, "created_at"),
        # A body has the issue's current state, so it supersedes an earlier end.
        supersedes=state is not State.NOTE,
        name=text(issue, "title") or f"#{identifier}",
        actor=login(issue, "user"),
        url=web_url(text(issue, "html_url")),
        # Null is a type that was taken away.
        attributes=({"vs.issue.type": kind} if "type" in issue else {})
        | listed
        | hook.attributes(
            vs__issue__number=identifier,
            vs__issue__title=text(issue, "title"),
            vs__issue__state=text(issue, "state"),
            vs__issue__state_reason=text(issue, "state_reason"),
            vs__issue__assignees=logins(issue, "assignees"),
            vs__issue__milestone=text(issue, "milestone", "title"),
            vs__issue__comments=number(issue, "comments"),
        ),
        restates=RELATIONS,
        offers=keys.offers(Key("issue", str(identifier), hook.scope), _former(hook)),
        seeks=keys.seeks(
            keys.mentions(text(issue, "title"), "title"),
            keys.mentions(body, "body"),
            artifacts.root_causes(body, hook.service, hook.scope) if broken else None,
        ),
    )


def _below(whole: Event, parent: Seek | None) -> Event:
    """A note with the issue's parent, according to the snapshot."""
    note = moment(whole, State.NOTE, whole.snapshot_at)
    return note._replace(restates="parent", seeks=keys.seeks(parent))


def _issue_state(hook: Hook, issue: dict[str, Any]) -> tuple[State, Instant]:
    state = lowered(issue, "state")
    updated = hook.time(issue, "updated_at")
    if hook.action in _GONE:
        return State.CANCELLED, max(updated, time_of(issue, "closed_at") or 0)
    # A reopened issue may still have the closed_at of its former end: only `state` counts.
    if state == "closed" or hook.action == "closed":
        reason = lowered(issue, "state_reason")
        ended = State.CANCELLED if reason in _NOT_DONE else State.OK
        return ended, hook.time(issue, "closed_at", "updated_at")
    if hook.action == "opened":
        return State.RUNNING, hook.time(issue, "created_at", "updated_at")
    if state == "open" or hook.action == "reopened":
        return State.RUNNING, updated
    return State.NOTE, updated


def _former(hook: Hook) -> Key | None:
    """The key with a transferred issue's former number, so that old mentions still find it."""
    former = number(hook.body, "changes", "old_issue", "number")
    scope = keys.repository(text(hook.body, "changes", "old_repository", "full_name"))
    return Key("issue", str(former), scope, "transferred") if former and scope else None


def _parent(hook: Hook, url: str) -> Seek | None:
    """The seek for the parent of a sub-issue, which is named by API URL."""
    base, _, parent = url.rpartition("/issues/")
    number = keys.whole_number(parent)
    if number is None:
        return None
    scope = change_scope({"url": base}, hook.scope)
    return Seek(Rule.HIERARCHY, Key("issue", str(number), scope, "parent issue"))


CHANGE_ACTIONS: Final = frozenset(
    (
        *("assigned", "auto_merge_disabled", "auto_merge_enabled", "closed", "converted_to_draft"),
        *("demilestoned", "dequeued", "edited", "enqueued", "labeled", "locked", "milestoned"),
        *("opened", "ready_for_review", "reopened", "review_request_removed", "review_requested"),
        *("synchronize", "unassigned", "unlabeled", "unlocked"),
    )
)
_STAGES: Final = {
    "converted_to_draft": "draft",
    "ready_for_review": "ready",
    "enqueued": "merge queue",
    "dequeued": "ready",
}
_CONFLICTS: Final = {"dirty": True} | dict.fromkeys(
    ("behind", "blocked", "clean", "draft", "has_hooks", "unstable"), False
)
"""`mergeable_state` -> whether it conflicts with its target; values of a pending check are
missing."""
_QUEUE_ENDS: Final = frozenset({"MERGE", "ALREADY_MERGED"})
"""Reasons for leaving the merge queue by a merge; the change then keeps this stage until its
end."""
REVIEW_ACTIONS: Final = frozenset({"submitted", "edited", "dismissed"})


def read_change(hook: Hook) -> Reading:
    """The event for a pull request. Every action has the whole pull request, so each body is a
    snapshot."""
    if hook.action not in CHANGE_ACTIONS:
        return f"the action {hook.action or 'none'!r} of pull_request says nothing about a delivery"
    outline = _outline(hook)
    return Outline((outline,), lambda: (_change(hook, outline),))


def read_review(hook: Hook) -> Reading:
    """Events for a review, an instant below its pull request, and for the pull request. A review is
    always OK, whatever its verdict."""
    if hook.action not in REVIEW_ACTIONS:
        return f"the action {hook.action or 'none'!r} of a review says nothing about a delivery"
    review_ = obj(hook.body, "review")
    identifier = text(review_, "id", limit=120)
    if not identifier:
        raise hook.unreadable("review.id is missing")
    outline = _outline(hook)
    at = hook.time(review_, "submitted_at", "updated_at")
    state = lowered(review_, "state")
    reviewer = login(review_, "user")
    if reviewer and reviewer == outline.actor and state == "commented":
        # An author's answer in the own pull request makes a review too; it is not counted.
        return Outline((outline,), lambda: (_change(hook, outline),))
    verdict = review_outline(hook, identifier, at)

    def finish() -> tuple[Event, Event]:
        change = _change(hook, outline)
        head = text(review_, "commit_id")
        found = review(
            hook, change, identifier, reviewer, state, at, vcs__ref__head__revision=head
        )._replace(as_of=max(at, change.as_of), url=web_url(text(review_, "html_url")))
        return (found, change)

    return Outline((verdict, outline), finish)


def _outline(hook: Hook) -> Event:
    change = obj(hook.body, "pull_request")
    identifier = number(change, "number") or hook.required(hook.body, "number")
    state, at = _change_state(hook, change)
    return Event(
        **hook.identity("pull_request", identifier),
        operation=Operation.PULL_REQUEST,
        state=state,
        occurred_at=at,
        as_of=edited_at(hook, change),
        started_at=time_of(change, "created_at"),
        # A body has the change's current state, so it supersedes an earlier end.
        supersedes=state is not State.NOTE,
        actor=login(change, "user"),
    )


def _change(hook: Hook, outline: Event) -> Event:
    """The whole event."""
    change = obj(hook.body, "pull_request")
    identifier = number(change, "number") or hook.required(hook.body, "number")
    title = text(change, "title")
    return outline._replace(
        stage=_stage(hook, change) if not outline.state.terminal else "",
        name=title or f"#{identifier}",
        url=web_url(text(change, "html_url")),
        attributes=_attributes(hook, change, identifier),
        restates=RELATIONS,
        offers=_offers(hook, change, identifier),
        seeks=_seeks(hook, change, title),
    )


def _change_state(hook: Hook, change: dict[str, Any]) -> tuple[State, Instant]:
    state = lowered(change, "state")
    if state == "closed" or hook.action == "closed":
        if _merged(change):
            return State.OK, hook.time(change, "merged_at", "closed_at", "updated_at")
        return State.CANCELLED, hook.time(change, "closed_at", "updated_at")
    if hook.action == "opened":
        return State.RUNNING, hook.time(change, "created_at", "updated_at")
    updated = hook.time(change, "updated_at")
    if state == "open" or hook.action == "reopened":
        return State.RUNNING, updated
    return State.NOTE, updated


def _merged(change: dict[str, Any]) -> bool:
    # The body of a review has no `merged`, only `merged_at`.
    return change.get("merged") is True or time_of(change, "merged_at") is not None


def _stage(hook: Hook, change: dict[str, Any]) -> str:
    if hook.action == "opened" and change.get("draft") is True:
        return "draft"
    if hook.action == "dequeued" and text(hook.body, "reason").upper() in _QUEUE_ENDS:
        return ""
    return _STAGES.get(hook.action, "")


def _attributes(hook: Hook, change: dict[str, Any], identifier: int) -> Attributes:
    merged = _merged(change)
    state = "closed" if lowered(change, "state") == "closed" else "open"
    draft = change.get("draft") if isinstance(change.get("draft"), bool) else None
    if merged:
        state = "merged"
    elif state == "open" and draft:
        state = "wip"
    merged_at = time_of(change, "merged_at") if merged else None
    return (
        labels(change, "vs.pr.labels")
        | hook.attributes(
            vcs__change__id=str(identifier),
            vcs__change__title=text(change, "title"),
            vcs__change__state=state,
            vcs__ref__head__name=text(change, "head", "ref"),
            vcs__ref__head__revision=text(change, "head", "sha"),
            vcs__ref__base__name=text(change, "base", "ref"),
            vcs__ref__base__revision=text(change, "base", "sha"),
            vs__pr__fork=head_scope(hook, change) != hook.scope or None,
            vs__pr__draft=draft,
            vs__pr__auto_merge=_auto_merge(change),
            vs__pr__conflict=_CONFLICTS.get(lowered(change, "mergeable_state")),
            vs__pr__ready_at=iso(hook.time(change, "updated_at"))
            if hook.action == "ready_for_review"
            else None,
            vs__default_branch=hook.default_branch,
            vs__actor__type="bot" if text(change, "user", "type").lower() == "bot" else None,
            vs__pr__additions=number(change, "additions"),
            vs__pr__deletions=number(change, "deletions"),
            vs__pr__changed_files=number(change, "changed_files"),
            vs__pr__commits=number(change, "commits"),
            vs__pr__comments=number(change, "comments"),
            vs__pr__review_comments=number(change, "review_comments"),
            vs__pr__reviewers=_reviewers(change),
            vs__pr__merged_at=iso(merged_at),
            vs__pr__merged_by=login(change, "merged_by") if merged else None,
            vs__pr__merge_commit=text(change, "merge_commit_sha") if merged else None,
        )
        | {
            REVERTS: hook.reverts(
                f"{text(change, 'title')}\n{visible(text(change, 'body', limit=keys.TEXT_LIMIT))}"
            )
        }
    )


def _auto_merge(change: dict[str, Any]) -> bool | None:
    """Whether auto-merge is on; None if the body of a review leaves it out."""
    return isinstance(change["auto_merge"], dict) if "auto_merge" in change else None


def _reviewers(change: dict[str, Any]) -> str:
    asked = (logins(change, "requested_reviewers"), logins(change, "requested_teams"))
    return ",".join(names for names in asked if names)


def head_scope(hook: Hook, change: dict[str, Any]) -> str:
    """The scope of the head branch's repository: the fork's, even if the fork was deleted."""
    head = obj(change, "head")
    full = text(head, "repo", "full_name")
    if full:
        return keys.repository(full)
    # Without its fork and its author only `head.label` (owner:branch) names the owner.
    owner = login(head, "user") or text(head, "label").rpartition(":")[0]
    if owner and owner != "unknown":
        return keys.repository(f"{owner}/{hook.name}")
    return DELETED_FORK if "repo" in head else hook.scope


def _offers(hook: Hook, change: dict[str, Any], identifier: int) -> tuple[Key, ...]:
    fork, branch = head_scope(hook, change), text(change, "head", "ref")
    heads = [text(change, "head", "sha")]
    if hook.action == "synchronize":
        heads += [text(hook.body, "before"), text(hook.body, "after")]
    scopes = dict.fromkeys((hook.scope, fork))
    default = text(change, "head", "repo", "default_branch") or hook.default_branch
    global_id = number(change, "id") if hook.dialect.global_ids else None
    # GitHub fills merge_commit_sha with a test merge while the change is open.
    merge = text(change, "merge_commit_sha") if _merged(change) else ""
    return keys.offers(
        Key("change", str(identifier), hook.scope),
        Key("ref", hook.ref("pull_request", global_id)) if global_id else None,
        *keys.offer_heads(heads, branch, scopes, default),
        keys.commit(merge, hook.scope, "merge commit"),
        keys.offer_branch(branch, fork, default),
    )


def _seeks(hook: Hook, change: dict[str, Any], title: str) -> tuple[Seek, ...]:
    branch = text(change, "head", "ref")
    body = visible(text(change, "body", limit=keys.TEXT_LIMIT))
    return keys.proposed(branch, title, body, hook.scope)
