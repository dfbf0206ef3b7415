"""Jira's REST API (v2, Cloud and Data Center) as webhooks: issues with their history, sprints.

A webhook reports one change; the API returns the present issue and its changelog. Each status
change becomes the delivery that it would have caused, with the relevant fields set back to their
values at that time. https://developer.atlassian.com/cloud/jira/platform/rest/v2/
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from vs_tui.cli.importing import (
    Api,
    Delivery,
    Forbidden,
    ImportScope,
    Page,
    Project,
    delivery,
    objects,
)
from vs_tui.model.time import DAY, iso, parse_instant

PAGE: Final = 100
_TOLD: Final = frozenset({"status", "sprint", "key"})
"""Changes that move an issue; the present fields show all others."""


def event(name: str, at: Any, body: Mapping[str, Any]) -> Delivery:
    """A webhook of Jira, sent at a time of the API."""
    instant = parse_instant(at) or 0
    whole = {"timestamp": instant // 1_000, "webhookEvent": name, **body}
    return delivery("/jira", "x-atlassian-webhook-identifier", whole)


class Jira(Project):
    """One project, by its key."""

    title, variable, what = "Jira", "JIRA_TOKEN", "KEY"
    steps = ("issues", "sprints")
    wanted = "a project's key; write it like TP"
    has_users = True

    def __init__(self, api: Api, project: str, scope: ImportScope) -> None:
        super().__init__(api, project, scope)
        listed = api.get("rest/api/2/status").value
        self._statuses = {str(status.get("id")): status for status in objects(listed)}

    @classmethod
    def plain(cls, name: str) -> str:
        return name.upper()

    @classmethod
    def _is_name(cls, name: str) -> bool:
        return name.replace("_", "").isalnum()

    @classmethod
    def proof(cls, token: str, user: str) -> dict[str, str]:
        if not user:
            return super().proof(token, user)
        return {"Authorization": f"Basic {b64encode(f'{user}:{token}'.encode()).decode()}"}

    def issues(self, cursor: str) -> Page:
        kind, _, position = cursor.partition(":")
        found = self._search(kind, position)
        if found is None:
            kind = "start"  # Data Center has only the older search, Cloud only the newer one
            found = self._search(kind, position) or {}
        made = [told for issue in objects(found.get("issues")) for told in self._course(issue)]
        pages, following = 0, ""
        if kind == "start":
            total = int(found.get("total") or 0)
            following_at = int(position or 0) + len(found.get("issues") or [])
            following = (
                f"start:{following_at}" if found.get("issues") and following_at < total else ""
            )
            pages = -(-total // PAGE)
        elif found.get("nextPageToken"):
            following = f"token:{found['nextPageToken']}"
        return Page(made, following, pages)

    def _search(self, kind: str, position: str) -> dict[str, Any] | None:
        since = parse_instant(self._scope.since) or 0
        # JQL reads days in the asking user's zone; a day too many is a duplicate at worst.
        day = (iso(since - DAY) or "")[:10]
        query: dict[str, object] = {
            "jql": f'project = "{self._at}" AND updated >= "{day}" ORDER BY updated DESC',
            "fields": "*all",
            "expand": "changelog",
            "maxResults": PAGE,
        }
        path = "rest/api/2/search"
        if kind == "start":
            query["startAt"] = position or "0"
        else:
            path = "rest/api/2/search/jql"
            if position:
                query["nextPageToken"] = position
        try:
            value = self._api.get(path, **query).value
        except Forbidden:
            if kind == "start" or position:
                raise
            return None
        return value if isinstance(value, dict) else {}

    def _course(self, issue: dict[str, Any]) -> Iterator[Delivery]:
        changelog = issue.pop("changelog", None) or {}
        histories = list(objects(changelog.get("histories")))
        total = changelog.get("total")
        if isinstance(total, int) and total > len(histories):
            histories = self._whole_changelog(issue, histories)
        return course(issue, histories, self._statuses)

    def _whole_changelog(
        self, issue: dict[str, Any], known: list[dict[str, Any]]
    ) -> list[dict[str, Any]]:
        path = f"rest/api/2/issue/{quote(str(issue.get('key')), safe='')}/changelog"
        found: list[dict[str, Any]] = []
        try:
            while True:
                value = self._api.get(path, startAt=len(found), maxResults=PAGE).value
                values = list(objects((value or {}).get("values")))
                found += values
                if not values or value.get("isLast") is True:
                    return found
        except Forbidden:
            return known  # Data Center tells all of it at once

    def sprints(self, _: str) -> Page:
        made = []
        for board in self._paged("rest/agile/1.0/board", projectKeyOrId=self._at):
            try:
                for sprint in self._paged(f"rest/agile/1.0/board/{board.get('id')}/sprint"):
                    made += list(sprint_course(sprint, self._scope.since))
            except Forbidden:
                continue
        return Page(made)

    def _paged(self, path: str, **query: object) -> Iterator[dict[str, Any]]:
        start = 0
        while True:
            value = self._api.get(path, startAt=start, maxResults=50, **query).value or {}
            values = list(objects(value.get("values")))
            yield from values
            start += len(values)
            if not values or value.get("isLast") is not False:
                return


def course(
    issue: dict[str, Any],
    histories: Iterable[dict[str, Any]],
    statuses: Mapping[str, dict[str, Any]],
) -> Iterator[Delivery]:
    """The deliveries of an issue: its creation, its moves, and its present state."""
    now = dict(issue.get("fields") or {})
    moves = sorted(
        (
            (at, history, items)
            for history in histories
            if (at := parse_instant(history.get("created"))) is not None
            and (items := [i for i in objects(history.get("items")) if _fields(i) & _TOLD])
        ),
        key=lambda move: move[0],
    )
    changes = [item for _, _, items in moves for item in items if "status" in _fields(item)]
    status = now.get("status") or {}
    if changes:
        status = _status(changes[0], "from", statuses)
    # What it was resolved as counts for its last end only.
    then = {**now, "resolution": None, "resolutiondate": None, "status": status}
    category, since = _category(status), now.get("created")
    then |= {"statuscategorychangedate": since, "updated": since}
    yield event("jira:issue_created", since, {"issue": {**issue, "fields": dict(then)}})
    for _, history, items in moves:
        at = history.get("created")
        for item in items:
            if "status" in _fields(item):
                then["status"] = _status(item, "to", statuses)
        if _category(then["status"]) != category:
            category, since = _category(then["status"]), at
            then["statuscategorychangedate"] = since
        then["updated"] = at
        body = {
            "user": history.get("author"),
            "issue": {**issue, "fields": dict(then)},
            "changelog": {"id": history.get("id"), "items": items},
        }
        yield event("jira:issue_updated", at, body)
    # Data Center does not tell when the category changed; the changelog did.
    now = {"statuscategorychangedate": since, **{k: v for k, v in now.items() if v is not None}}
    yield event("jira:issue_updated", now.get("updated"), {"issue": {**issue, "fields": now}})


def sprint_course(sprint: dict[str, Any], since: str) -> Iterator[Delivery]:
    """The deliveries of a sprint: its start, and its end if it is over."""
    began = sprint.get("activatedDate") or sprint.get("startDate")
    ended = sprint.get("completeDate")
    if (parse_instant(ended or began) or 0) < (parse_instant(since) or 0) and ended:
        return
    if sprint.get("state") in ("active", "closed"):
        yield event("sprint_started", began, {"sprint": {**sprint, "state": "active"}})
    if sprint.get("state") == "closed":
        yield event("sprint_closed", ended, {"sprint": sprint})


def _fields(item: dict[str, Any]) -> set[str]:
    """Both names of a changed field; Cloud has an id of its own for `Sprint`."""
    return {str(item.get(name)).lower() for name in ("field", "fieldId")}


def _status(
    item: dict[str, Any], side: str, statuses: Mapping[str, dict[str, Any]]
) -> dict[str, Any]:
    """A status with its category; the changelog states its id and name only."""
    found = statuses.get(str(item.get(side)), {})
    return {**found, "name": item.get(f"{side}String") or found.get("name")}


def _category(status: Mapping[str, Any]) -> str:
    return str((status.get("statusCategory") or {}).get("key") or "")
