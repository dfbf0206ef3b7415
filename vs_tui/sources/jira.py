"""Jira Cloud and Server: issues with the columns they pass, and sprints.

An issue is one span; the columns it passed are its stages. What a status means is read from its
category (`new`, `indeterminate`, `done`), never from its name: names are free text in any
language, while the category is in every issue body.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.domain import keys
from vs_tui.domain.instants import Instant, iso, parse_instant
from vs_tui.domain.model import Event, Key, Operation, Rule, Scalar, Seek, State, Verdict
from vs_tui.sources.base import (
    Inbound,
    Parsed,
    Unreadable,
    items,
    json_object,
    known,
    number,
    obj,
    text,
)
from vs_tui.sources.signatures import require_hmac_any

NOT_DONE_WORDS: Final = (
    "won't",
    "wont",
    "cannot",
    "duplicate",
    "declined",
    "cancel",
    "invalid",
    "abandon",
    "rejected",
)
"""A resolution whose name holds one of these means that the work was not done; Jira's defaults."""
ISSUE_EVENTS: Final = frozenset({"jira:issue_created", "jira:issue_updated", "jira:issue_deleted"})
_CATEGORIES: Final = {"new": State.QUEUED, "indeterminate": State.RUNNING}
_CONTAINERS: Final = frozenset({"epic", "initiative", "theme"})


class Jira:
    """Webhooks that an administrator registers; only those are signed by Jira."""

    name = "jira"
    title = "Jira"
    paths: tuple[str, ...] = ("/jira",)
    version = 1
    signature_headers: tuple[str, ...] = ("x-hub-signature",)
    token_in_url = True
    stored_headers: tuple[str, ...] = (
        "x-atlassian-webhook-identifier",
        "x-atlassian-webhook-flow",
        "x-atlassian-webhook-retry",
    )

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """`sha256=` and the hex HMAC of the raw body."""
        given = inbound.header("x-hub-signature")
        require_hmac_any(given, inbound.body, secrets, "X-Hub-Signature")

    def dedupe_key(self, inbound: Inbound) -> str:
        """Jira keeps its identifier when it tries again."""
        return inbound.header("x-atlassian-webhook-identifier")

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "webhookEvent", limit=80)
        if kind in ISSUE_EVENTS:
            return Parsed(kind, tuple(_issue(body, kind, inbound.received_at)))
        if kind.startswith("sprint_"):
            return Parsed(kind, (_sprint(body, kind, inbound.received_at),))
        if not kind:
            raise Unreadable("webhookEvent is missing; compare the body in Events with Jira's docs")
        reason = f"{kind} events move no issue; untick them to save traffic"
        return Parsed(kind, verdict=Verdict.IGNORED, reason=reason)


def _issue(body: dict[str, Any], kind: str, received_at: Instant) -> Iterator[Event]:
    issue = obj(body, "issue")
    key = text(issue, "key", limit=80).upper()
    if not key:
        raise Unreadable("issue.key is missing; compare the body in Events with Jira's docs")
    fields = obj(issue, "fields")
    now = parse_instant(body.get("timestamp")) or parse_instant(fields.get("updated"))
    now = now or received_at
    created = parse_instant(fields.get("created"))
    moves = list(_moves(body))
    state, at = _state(fields, kind, now, bool(moves))
    whole = Event(
        key=keys.reference("jira", "issue", "", key),
        source="jira",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        as_of=now,
        started_at=created,
        # A body tells the issue's status as of now, so it outranks an earlier end.
        supersedes=True,
        name=f"{key} {text(fields, 'summary')}".strip(),
        project=text(fields, "project", "key") or key.rpartition("-")[0],
        actor=_person(fields, "assignee") or _person(body, "user"),
        url=_web_url(text(issue, "self"), key),
        attributes=_attributes(fields, key),
        offers=(
            Key("issue_key", key, "", "ticket"),
            Key("ref", keys.reference("jiracloud", "issue", "", key), "", "ValueStream's ref"),
        ),
        seeks=_seeks(fields),
    )
    yield whole
    column = text(fields, "status", "name", limit=80)
    if kind == "jira:issue_created" and column and not state.terminal:
        yield _entered(whole, created or now, column)
    for column in moves:
        yield _entered(whole, now, column)


def _entered(whole: Event, at: Instant, column: str) -> Event:
    return Event(
        key=whole.key,
        source="jira",
        operation=Operation.ISSUE,
        state=State.NOTE,
        occurred_at=at,
        stage=column,
    )


def _moves(body: dict[str, Any]) -> Iterator[str]:
    """Columns entered by this delivery; a label edit has none."""
    for item in items(body, "changelog", "items"):
        if text(item, "field").lower() == "status" and text(item, "toString"):
            yield text(item, "toString", limit=80)


def _state(fields: dict[str, Any], kind: str, now: Instant, moved: bool) -> tuple[State, Instant]:
    if kind == "jira:issue_deleted":
        return State.CANCELLED, now
    category = text(fields, "status", "statusCategory", "key").lower()
    changed = parse_instant(fields.get("statuscategorychangedate"))
    if category == "done":
        resolved = parse_instant(fields.get("resolutiondate")) or changed
        resolution = text(fields, "resolution", "name").lower()
        not_done = any(word in resolution for word in NOT_DONE_WORDS)
        return State.CANCELLED if not_done else State.OK, resolved or now
    state = _CATEGORIES.get(category)
    if state is None:
        return State.NOTE, now
    # Without the date, only a delivery that moved it says when it came here.
    created = parse_instant(fields.get("created"))
    return state, changed or (now if moved or created is None else created)


def _attributes(fields: dict[str, Any], key: str) -> dict[str, Scalar]:
    labels = fields.get("labels")
    sprints = [text(sprint, "name", limit=80) for sprint in _sprints(fields)]
    resolved = parse_instant(fields.get("resolutiondate"))
    return known(
        vs__issue__key=key,
        vs__issue__type=text(fields, "issuetype", "name", limit=80),
        vs__issue__status=text(fields, "status", "name", limit=80),
        vs__issue__category=text(fields, "status", "statusCategory", "key", limit=40),
        vs__issue__priority=text(fields, "priority", "name", limit=80),
        vs__issue__resolution=text(fields, "resolution", "name", limit=80),
        vs__issue__resolved_at=iso(resolved),
        vs__issue__reporter=_person(fields, "reporter"),
        vs__issue__labels=",".join(str(label)[:80] for label in labels[:50])
        if isinstance(labels, list)
        else None,
        vs__issue__sprint=",".join(name for name in sprints if name),
        vs__issue__points=fields.get("customfield_10016")
        if isinstance(fields.get("customfield_10016"), int | float)
        else None,
    )


def _seeks(fields: dict[str, Any]) -> tuple[Seek, ...]:
    parent = obj(fields, "parent")
    found: list[Seek] = []
    if parent_key := text(parent, "key", limit=80).upper():
        kind = text(parent, "fields", "issuetype", "name").lower()
        # A whole epic in one trace would hide each delivery in it: shown, but no parent.
        found.append(_above(parent_key, "parent", link_only=kind in _CONTAINERS))
    if epic := text(fields, "customfield_10014", limit=80).upper():
        found.append(_above(epic, "epic", link_only=True))
    for sprint in _sprints(fields):
        if (sprint_id := number(sprint, "id")) is not None:
            key = Key("ref", keys.reference("jira", "sprint", "", sprint_id), "", "sprint")
            found.append(Seek(Rule.HIERARCHY, key, link_only=True))
    mentioned = keys.mentions(f"{text(fields, 'summary')}\n{_description(fields)}", "description")
    return keys.seeks(found, mentioned)


def _above(key: str, via: str, *, link_only: bool) -> Seek:
    return Seek(Rule.HIERARCHY, Key("issue_key", key, "", via), link_only)


def _description(fields: dict[str, Any]) -> str:
    return text(fields, "description", limit=keys.TEXT_LIMIT)


def _sprints(fields: dict[str, Any]) -> list[dict[str, Any]]:
    """The sprints of an issue: `sprint`, or whichever custom field lists objects with a board."""
    found = [obj(fields, "sprint")] if obj(fields, "sprint") else []
    for name, value in list(fields.items())[:500]:
        if name.startswith("customfield_") and isinstance(value, list):
            found += [s for s in value[:20] if isinstance(s, dict) and "boardId" in s]
    return found


def _sprint(body: dict[str, Any], kind: str, received_at: Instant) -> Event:
    sprint = obj(body, "sprint")
    sprint_id = number(sprint, "id")
    if sprint_id is None:
        raise Unreadable("sprint.id is missing; compare the body in Events with Jira's docs")
    now = parse_instant(body.get("timestamp")) or received_at
    began = parse_instant(sprint.get("activatedDate")) or parse_instant(sprint.get("startDate"))
    word = text(sprint, "state").lower()
    state, at = State.NOTE, now
    if kind == "sprint_deleted":
        state = State.CANCELLED
    elif word == "closed" or kind == "sprint_closed":
        state, at = State.OK, parse_instant(sprint.get("completeDate")) or now
    elif word == "active" or kind == "sprint_started":
        state, at = State.RUNNING, began or now
    elif word == "future":
        state, at = State.QUEUED, parse_instant(sprint.get("createdDate")) or now
    planned = parse_instant(sprint.get("endDate"))
    return Event(
        key=keys.reference("jira", "sprint", "", sprint_id),
        source="jira",
        operation=Operation.SPRINT,
        state=state,
        occurred_at=at,
        as_of=now,
        started_at=began if state in (State.RUNNING, State.OK) else None,
        supersedes=True,
        name=text(sprint, "name") or f"Sprint {sprint_id}",
        project=f"board {text(sprint, 'originBoardId')}".strip(),
        attributes=known(
            vs__sprint__goal=text(sprint, "goal"),
            vs__sprint__planned_end=iso(planned),
            vs__sprint__late=at > planned if state is State.OK and planned else None,
        ),
        offers=(Key("ref", keys.reference("jiracloud", "sprint", "", sprint_id)),),
    )


def _person(container: dict[str, Any], name: str) -> str:
    return text(container, name, "displayName", limit=100) or text(container, name, "name")


def _web_url(api_url: str, key: str) -> str:
    """The issue's page, from its API address."""
    try:
        parts = urlsplit(api_url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        return ""
    before = parts.path.partition("/rest/")[0]
    return f"{parts.scheme}://{parts.netloc}{before}/browse/{key}"


SOURCE: Final = Jira()
