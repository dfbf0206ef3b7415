"""em-metrics' GET endpoints: deployments and incidents under its own field names.

Facts come from em-metrics' route handlers and models. Its README calls the parameter of incidents
`type`, its handler reads `filter`; both are accepted. Unknown dates are null.
"""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from vs_tui.api.codec.spans import DEPLOYMENT, INCIDENT
from vs_tui.api.guard import Handler
from vs_tui.ingest.http_errors import answer, not_found
from vs_tui.model import keys
from vs_tui.model.time import parse_instant
from vs_tui.model.vocabulary import Span
from vs_tui.sources.base import Inbound
from vs_tui.sources.emmetrics import NEW, NUMBER
from vs_tui.sources.fields import small_object, text
from vs_tui.store.queries.reader import SqliteReader

MAX_LISTED: Final = 10_000
"""Most items of a list, newest first; em-metrics has no pages."""
IN_PROGRESS: Final = "in-progress"
UNFINISHED: Final = "unfinished"
_DEPLOYMENT: Final = "/deployments"


class EmMetricsApi:
    """The GET routes, also below /api/v1; all need the token."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    def paths(self) -> dict[str, Handler]:
        """Path -> handler, to be guarded by the token."""
        found: dict[str, Handler] = {
            _DEPLOYMENT: self.deployments,
            f"{_DEPLOYMENT}/{{id:.+}}": self.deployment,
            "/incidents": self.incidents,
        }
        return {prefix + path: h for prefix in ("", "/api/v1") for path, h in found.items()}

    async def deployments(self, request: web.Request) -> web.Response:
        """All deployments, newest first; `project_id` and `limit` narrow them."""
        spans = await self._listed("kind:deploy")
        found = await self._reader.run(lambda _: [DEPLOYMENT.write(span) for span in spans])
        if project := request.query.get("project_id", ""):
            found = [entry for entry in found if entry["project_id"] == project]
        limit = request.query.get("limit", "")
        return answer(found[: int(limit)] if limit.isascii() and limit.isdigit() else found)

    async def deployment(self, request: web.Request) -> web.Response:
        """One deployment by its id."""
        span = await self._reader.span(_deploy_key(request.match_info["id"]))
        if span is None:
            raise not_found("there is no such deployment; /deployments lists them")
        return answer(DEPLOYMENT.write(span))

    async def incidents(self, request: web.Request) -> web.Response:
        """All incidents; with `type` or `filter` only those that are not restored (`in-progress`)
        or not finished (`unfinished`). Any other word lists all, as in em-metrics."""
        wanted = request.query.get("type", "") or request.query.get("filter", "")
        only = "kind:incident state:in_flight" if wanted == IN_PROGRESS else "kind:incident"
        spans = await self._listed(only)
        found = await self._reader.run(lambda _: [INCIDENT.write(span) for span in spans])
        if wanted == UNFINISHED:
            found = [entry for entry in found if entry["finished_at"] is None]
        return answer(found)

    async def _listed(self, filter: str) -> list[Span]:
        page = await self._reader.all_spans(
            f"source:emmetrics {filter}", limit=MAX_LISTED, sort="started"
        )
        return list(page.items)


_NUMBERED: Final = (
    "SELECT substr(key, 1 + ?1), CASE WHEN started_at = ?4 THEN "
    "COALESCE(json_extract(attributes, '$.\"deployment.id\"'), '') END "
    "FROM spans WHERE key >= ?2 AND key < ?3"
)
"""(part of the key after a prefix, deployment id if the span began at a given moment, else NULL) of
each span whose key has the prefix. The upper bound ends with `:`, the character after the
digits."""


class Newness:
    """Finds out whether `deployed` with `create_if_not_exists` creates its deployment: em-metrics
    answers 201 then, else 200. It also numbers incidents without an id, as em-metrics does."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader
        self._given: dict[str, int] = {}

    async def __call__(self, inbound: Inbound) -> Inbound:
        headers = {name: value for name, value in inbound.headers.items() if name != NUMBER}
        inbound = inbound._replace(headers=headers)
        if inbound.path.removeprefix("/api/v1") == "/incidents":
            number = await self._number(small_object(inbound))
            return inbound._replace(headers=headers | {NUMBER: str(number)}) if number else inbound
        query = {name: value for name, value in inbound.query.items() if name != NEW}
        identifier = _deployed_id(inbound)
        if identifier and await self._reader.span(_deploy_key(identifier)) is None:
            query[NEW] = "true"
        return inbound._replace(query=query)

    async def _number(self, body: dict[str, Any]) -> int:
        """The next number of the project's incidents, or the number of this very incident if it was
        reported before; 0 if the body has an id or names no project."""
        project = text(body, "project_id", limit=200)
        if text(body, "id") or not project:
            return 0
        prefix, began = f"incident_{project}_", parse_instant(body.get("started_at"))
        deployment = text(body, "deployment_id", limit=200)
        # Only keys, by their index: a project may have very many.
        first = keys.reference("emmetrics", "incident", "", prefix)
        found = await self._reader.run(
            lambda db: db.execute(_NUMBERED, (len(first), first, f"{first}:", began)).fetchall()
        )
        highest = 0
        for number, told in found:
            if not (number.isascii() and number.isdigit()):
                continue
            if told is not None and str(told) == deployment:
                return int(number)
            highest = max(highest, int(number))
        self._given[project] = max(highest, self._given.get(project, 0)) + 1
        return self._given[project]


def _deployed_id(inbound: Inbound) -> str:
    """The id in the path of a `deployed` that may create a deployment."""
    path = inbound.path.removeprefix("/api/v1")
    identifier = path.removeprefix(f"{_DEPLOYMENT}/").removesuffix("/deployed")
    if f"{_DEPLOYMENT}/{identifier}/deployed" != path:
        return ""
    try:
        body = orjson.loads(inbound.body)
    except orjson.JSONDecodeError:
        return ""  # the source says what is wrong with it
    asked = body.get("create_if_not_exists") if isinstance(body, dict) else None
    creates = asked is True or str(asked).strip().lower() in ("true", "1")
    return identifier if creates else ""


def _deploy_key(identifier: str) -> str:
    return keys.reference("emmetrics", "deploy", "", identifier)
