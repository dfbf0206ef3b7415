"""Jira Cloud and Server: issues with the columns they pass, and sprints.

An issue is one span; its columns are the span's stages. The meaning of a status comes from its
category (`new`, `indeterminate`, `done`), never from its name: names are free text in any language,
and every issue body has the category.

Resolutions have no category, so words in the resolution's name decide whether a done issue was
cancelled: `Jira(cancelling=...)` replaces the words for Jira's default resolutions.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.model import keys
from vs_tui.model.time import Instant, iso, parse_instant
from vs_tui.model.vocabulary import (
    RELATIONS,
    SERVICES_ATTRIBUTE,
    Event,
    Key,
    Operation,
    Rule,
    Scalar,
    Seek,
    State,
)
from vs_tui.sources.base import Form, Inbound, Parsed, Source, Unreadable, moment, parsed
from vs_tui.sources.fields import items, json_object, known, number, obj, text, texts
from vs_tui.sources.signatures import Scheme

CANCELLING_WORDS: Final = (
    *("won't", "wont", "cannot", "duplicate", "declined", "cancel", "invalid", "incomplete"),
    *("abandon", "rejected", "obsolete"),
)
"""A resolution whose name contains one of these words, in any case, cancels the issue."""
ISSUE_EVENTS: Final = frozenset({"jira:issue_created", "jira:issue_updated", "jira:issue_deleted"})
SPRINT_EVENTS: Final = frozenset(
    f"sprint_{word}" for word in ("created", "started", "updated", "closed", "deleted")
)
_CATEGORIES: Final = {"new": State.QUEUED, "indeterminate": State.RUNNING}
_KEY: Final = re.compile(r"[A-Z][A-Z0-9_]{0,15}-\d{1,9}\Z")


class Jira(Source):
    """Webhooks that an administrator registers; Jira signs no others."""

    name = "jira"
    title = "Jira"
    form = Form(
        "Settings, System, WebHooks, Create a WebHook",
        "issue created, updated, deleted; sprint created, started, updated, closed, deleted",
    )
    version = 2
    signature = Scheme("X-Hub-Signature", "sha256")
    token_in_url = True
    delivery_headers = ("x-atlassian-webhook-identifier",)
    stored_headers = (
        "x-atlassian-webhook-identifier",
        "x-atlassian-webhook-flow",
        "x-atlassian-webhook-retry",
    )

    def __init__(self, cancelling: tuple[str, ...] = CANCELLING_WORDS) -> None:
        self.cancelling = cancelling
        """Words, in lower case, of resolutions that cancel an issue."""

    def parse(self, inbound: Inbound) -> Parsed:
        body = json_object(inbound)
        kind = text(body, "webhookEvent", limit=80)
        if kind in ISSUE_EVENTS:
            return Parsed(kind, tuple(_issue(body, kind, inbound.received_at, self.cancelling)))
        if kind in SPRINT_EVENTS:
            return Parsed(kind, (_sprint(body, kind, inbound.received_at),))
        if not kind:
            raise Unreadable("webhookEvent is missing; compare the body in Events with Jira's docs")
        return parsed(kind, f"{kind} events move no issue; untick them to save traffic")


def _issue(
    body: dict[str, Any], kind: str, received_at: Instant, cancelling: Sequence[str]
) -> Iterator[Event]:
    issue = obj(body, "issue")
    key = text(issue, "key", limit=80).upper()
    if not key:
        raise Unreadable("issue.key is missing; compare the body in Events with Jira's docs")
    fields = obj(issue, "fields")
    created = parse_instant(fields.get("created"))
    now = parse_instant(body.get("timestamp")) or parse_instant(fields.get("updated"))
    now = now or (created if kind == "jira:issue_created" else None) or received_at
    state, at, stated = _state(fields, kind, now, cancelling)
    formers = list(_changed(body, "key", "fromString"))
    unique = keys.stable(text(issue, "self"), text(issue, "id", limit=40))
    ref = _ref("issue", key)
    whole = Event(
        # An issue that moves to another project, or a project that gets another key, keeps the id.
        key=_ref("issue", unique) if unique else ref,
        ref=ref,
        full_ref=ref,
        source="jira",
        operation=Operation.ISSUE,
        state=state,
        occurred_at=at,
        as_of=now,
        started_at=created,
        supersedes=stated,
        name=f"{key} {text(fields, 'summary')}".strip(),
        project=text(fields, "project", "key") or key.rpartition("-")[0],
        # Not `user`, which is the author of this edit.
        actor=next(
            (who for role in ("assignee", "reporter", "creator") if (who := _person(fields, role))),
            "",
        ),
        url=_web_url(text(issue, "self"), key),
        attributes=_attributes(fields, key, text(issue, "self")),
        offers=keys.offers(
            Key("issue_key", key, "", "ticket"),
            Key("ref", keys.reference("jiracloud", "issue", "", key)),
            *(Key("issue_key", former, "", "former ticket") for former in formers),
        ),
        restates=RELATIONS,
        seeks=_seeks(fields),
    )
    yield whole
    yield from _planned(whole, body, fields, now)
    yield from _columns(whole, body, fields, kind, now)
    for former in formers:
        if former != key and not unique:
            yield _moved_away(former, key, now)


def _planned(
    whole: Event, body: dict[str, Any], fields: dict[str, Any], now: Instant
) -> Iterator[Event]:
    """The issue's sprints, if the delivery contains any. The field with the sprints has another
    name on every site, so a delivery without sprints does not mean that the issue has none."""
    told = [found_id for found_id, _ in _sprints(fields)]
    moves = list(_changes(body, "sprint", "to"))
    for ids in moves:
        told += [part.strip() for part in ids.split(",")]
    if told or moves:
        yield moment(whole, State.NOTE, now)._replace(
            restates="sprints",
            seeks=keys.seeks(
                Seek(
                    Rule.HIERARCHY,
                    Key("ref", _ref("sprint", identifier), "", "sprint"),
                    link_only=True,
                )
                for identifier in dict.fromkeys(told)
                if keys.whole_number(identifier) is not None
            ),
        )


def _columns(
    whole: Event, body: dict[str, Any], fields: dict[str, Any], kind: str, now: Instant
) -> Iterator[Event]:
    """The column that the issue entered, or else its current column. Repeating a column does not
    start a new visit, so an edit of a label changes nothing, and a lost move is recovered."""
    if kind == "jira:issue_deleted":
        return
    entered = list(_changed(body, "status", "toString"))
    at = now
    if kind == "jira:issue_created":
        at = whole.started_at or now
    for column in entered or [text(fields, "status", "name", limit=80)]:
        if column:
            yield moment(whole, State.NOTE, at, column)


def _moved_away(former: str, key: str, now: Instant) -> Event:
    """The end of the old span of an issue that moved to another project and has a new key."""
    return Event(
        key=_ref("issue", former),
        source="jira",
        operation=Operation.ISSUE,
        state=State.CANCELLED,
        occurred_at=now,
        attributes={"vs.issue.moved_to": key},
    )


def _changed(body: dict[str, Any], field: str, side: str) -> Iterator[str]:
    """One side (`side`) of a field's changes in this delivery's changelog; empty values are left
    out."""
    return (value for value in _changes(body, field, side) if value)


def _changes(body: dict[str, Any], field: str, side: str) -> Iterator[str]:
    for item in items(body, "changelog", "items"):
        # Cloud has both names of a field, Server only `field`.
        names = (text(item, "fieldId").lower(), text(item, "field").lower())
        if field in names:
            yield text(item, side, limit=80).strip()


def _state(
    fields: dict[str, Any], kind: str, now: Instant, cancelling: Sequence[str]
) -> tuple[State, Instant, bool]:
    """State, its time, and whether it supersedes an earlier end."""
    if kind == "jira:issue_deleted":
        # A done issue that is deleted stays done.
        return State.CANCELLED, now, False
    category = text(fields, "status", "statusCategory", "key").lower()
    changed = parse_instant(fields.get("statuscategorychangedate"))
    if category == "done":
        resolution = text(fields, "resolution", "name").lower().replace("’", "'")
        cancelled = any(word in resolution for word in cancelling)
        # A reopened issue may keep the date of its former resolution.
        dates = (parse_instant(fields.get("resolutiondate")), changed)
        ended = max((date for date in dates if date is not None), default=None)
        state = State.CANCELLED if cancelled else State.OK
        return state, now if ended is None else ended, ended is not None
    found = _CATEGORIES.get(category)
    if found is None:
        return State.NOTE, now, False
    created = parse_instant(fields.get("created"))
    since = created if kind == "jira:issue_created" else changed
    return found, since or now, True


def _attributes(fields: dict[str, Any], key: str, page: str) -> dict[str, Scalar]:
    sprints = [name for _, name in _sprints(fields)]
    resolved = parse_instant(fields.get("resolutiondate"))
    project = text(fields, "project", "id", limit=40)
    found = known(
        # A project that gets another key keeps its id.
        vs__project__id=keys.stable(page, f"project/{project}") if project else None,
        vs__issue__key=key,
        vs__issue__title=text(fields, "summary"),
        vs__issue__type=text(fields, "issuetype", "name", limit=80),
        vs__issue__status=text(fields, "status", "name", limit=80),
        vs__issue__category=text(fields, "status", "statusCategory", "key", limit=40),
        vs__issue__priority=text(fields, "priority", "name", limit=80),
        vs__issue__resolution=text(fields, "resolution", "name", limit=80),
        vs__issue__resolved_at=iso(resolved),
        vs__issue__reporter=_person(fields, "reporter"),
        vs__issue__assignees=_person(fields, "assignee"),
        vs__issue__sprint=",".join(name for name in sprints if name),
    )
    if isinstance(fields.get("labels"), list):  # an empty list removes former labels
        found["vs.issue.labels"] = ",".join(texts(fields, "labels", most=50, limit=80))
    if isinstance(fields.get("components"), list):  # the services that an incident is about
        named = (text(component, "name", limit=200) for component in items(fields, "components"))
        found[SERVICES_ATTRIBUTE] = "\n".join(filter(None, named))
    return found


def _seeks(fields: dict[str, Any]) -> tuple[Seek, ...]:
    found: list[Seek] = []
    if parent := _issue_key(text(fields, "parent", "key", limit=80)):
        # An epic is linked but is no parent: with a whole epic in one trace, its deliveries would
        # be hard to see. Types are free text in any language, so only the flag identifies a
        # subtask.
        is_subtask = obj(fields, "issuetype").get("subtask") is True
        found.append(_above(parent, "parent", link_only=not is_subtask))
    # The epic of company-managed projects, under the name that new sites give the field.
    if epic := _issue_key(text(fields, "customfield_10014", limit=80)):
        found.append(_above(epic, "epic", link_only=True))
    description = text(fields, "description", limit=keys.TEXT_LIMIT)
    mentioned = keys.mentions(f"{text(fields, 'summary')}\n{description}", "description")
    return keys.seeks(found, mentioned)


def _issue_key(word: str) -> str:
    word = word.strip().upper()
    return word if _KEY.match(word) else ""


def _ref(kind: str, identifier: object) -> str:
    return keys.reference("jira", kind, "", identifier)


def _above(key: str, via: str, *, link_only: bool) -> Seek:
    return Seek(Rule.HIERARCHY, Key("issue_key", key, "", via), link_only)


def _sprints(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """(id, name) of an issue's sprints: from `sprint`, or from any custom field with sprints,
    because the field's number differs from site to site."""
    entries: list[Any] = [fields.get("sprint")]
    for name, value in list(fields.items())[:500]:
        if name.startswith("customfield_") and isinstance(value, list):
            entries += value[:20]
    found = []
    for value in entries:
        entry = _server_sprint(value[:1_000]) if isinstance(value, str) else value
        identifier = number(entry, "id")
        if identifier is not None and ("boardId" in entry or "originBoardId" in entry):
            found.append((str(identifier), text(entry, "name", limit=80)))
    return found


def _server_sprint(text_form: str) -> dict[str, str]:
    """The fields of a sprint that Jira Server sends as text:
    `...Sprint@1f[id=12,rapidViewId=3,state=ACTIVE,name=...]`."""
    before, _, rest = text_form.partition("[")
    if "Sprint@" not in before:
        return {}
    pairs = (pair.partition("=") for pair in rest.rstrip("]").split(","))
    words = {name: value for name, _, value in pairs}
    return {**words, "boardId": words.get("rapidViewId", "")}


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
        # An update of an active sprint may be its reopening, so it counts from now.
        state, at = State.RUNNING, (began if kind == "sprint_started" else None) or now
    elif word == "future":
        state, at = State.QUEUED, parse_instant(sprint.get("createdDate")) or now
    board = text(sprint, "originBoardId", limit=40)
    planned = parse_instant(sprint.get("endDate"))
    return Event(
        key=_ref("sprint", sprint_id),
        source="jira",
        operation=Operation.SPRINT,
        state=state,
        occurred_at=at,
        as_of=now,
        started_at=began if state in (State.RUNNING, State.OK) else None,
        supersedes=state in (State.RUNNING, State.OK),
        name=text(sprint, "name") or f"Sprint {sprint_id}",
        project=f"board {board}" if board else "",
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
    """The issue's page, from its API URL."""
    try:
        parts = urlsplit(api_url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        return ""
    before = parts.path.partition("/rest/")[0]
    return f"{parts.scheme}://{parts.netloc}{before}/browse/{key}"


SOURCE: Final = Jira()
