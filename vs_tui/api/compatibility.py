"""Paths under the names of other tools: Grafana's JSON data source, and em-metrics' GET endpoints.

`GrafanaApi` gives series of the five metrics, with deploys and incidents as annotations. Source of
paths and shapes: https://github.com/simPod/GrafanaJsonDatasource (README). Prometheus and the
Infinity data source need none of this.

`EmMetricsApi` gives deployments and incidents under em-metrics' field names. Facts come from its
route handlers and models. Its README calls the parameter of incidents `type`, its handler reads
`filter`; both are accepted. Unknown dates are null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from vs_tui.api.codec.spans import DEPLOYMENT, INCIDENT
from vs_tui.api.guard import Handler
from vs_tui.ingest.http_errors import answer, not_found
from vs_tui.metrics.cards import measured
from vs_tui.metrics.definitions import BY_KEY, Figure
from vs_tui.metrics.windows import Window
from vs_tui.model import keys
from vs_tui.model.time import Instant, parse_instant
from vs_tui.model.vocabulary import Span
from vs_tui.sources.base import Inbound
from vs_tui.sources.emmetrics import NEW, NUMBER
from vs_tui.sources.fields import small_object, text
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Asked, Reports

ROOT: Final = "/grafana"
MOST_ANNOTATIONS: Final = 1_000
_LARGEST_QUESTION: Final = 64 * 1024
"""Most bytes of a request's body."""
_OF_TEAM: Final = " of "
_MILLISECOND: Final = 1_000


class GrafanaApi:
    """The handlers; ValueError becomes 400."""

    def __init__(self, reports: Reports, reader: SqliteReader) -> None:
        self._reports = reports
        self._reader = reader

    def posts(self) -> dict[str, Handler]:
        """Path -> handler of a POST."""
        return {
            f"{ROOT}/search": self.search,
            f"{ROOT}/metrics": self.search,
            f"{ROOT}/query": self.query,
            f"{ROOT}/annotations": self.annotations,
        }

    async def root(self, _: web.Request) -> web.Response:
        """Answers the test that Grafana makes when a data source is saved."""
        return answer({"status": "ok"})

    async def search(self, _: web.Request) -> web.Response:
        """The targets that `query` accepts: each metric, and each metric of a team."""
        cards = await self._reports.scorecards(Asked(), beside=False)
        names = [f"{metric}{_OF_TEAM}{card.name}" for card in cards for metric in BY_KEY]
        return answer([*BY_KEY, *(name for name in names if not name.endswith(_OF_TEAM))])

    async def query(self, request: web.Request) -> web.Response:
        """The trend of each target over a range, as series or as tables."""
        body = await _question(request)
        asked = _range(body)
        found = []
        for target in _tables(body, "targets"):
            name = str(target.get("target") or "")
            metric, _, team = name.partition(_OF_TEAM)
            if metric not in BY_KEY:
                known = ", ".join(BY_KEY)
                raise ValueError(f"target: '{name[:60]}' is none of {known}")
            by = "team" if team else "all"
            one = Asked(asked.since, asked.until, team, by)
            cards = await self._reports.scorecards(one, beside=False)
            window = one.window(self._reports.config, self._reports.clock())
            points = _points(cards[0].figures[BY_KEY[metric].name], window) if cards else []
            found.append(
                _table(name, points)
                if target.get("type") == "table"
                else {"target": name, "datapoints": points}
            )
        return answer(found)

    async def annotations(self, request: web.Request) -> web.Response:
        """Deploys and incidents of a range, or the spans that match the annotation's query."""
        body = await _question(request)
        asked = _range(body)
        annotation = body.get("annotation")
        wanted = annotation if isinstance(annotation, dict) else {}
        text = str(wanted.get("query") or "kind:deploy,incident")
        page = await self._reader.all_spans(
            f"{text} since:{asked.since} until:{asked.until}",
            limit=MOST_ANNOTATIONS,
            sort="started",
        )
        return answer(
            [
                {
                    "annotation": annotation,
                    "time": _milliseconds(span.at),
                    "timeEnd": _milliseconds(span.at if span.ended_at is None else span.ended_at),
                    "isRegion": span.ended_at is not None,
                    "title": span.name,
                    "text": f"{span.status.value} {span.url}".strip(),
                    "tags": [
                        t for t in (span.operation, span.team, span.service, span.environment) if t
                    ],
                }
                for span in page.items
            ]
        )


async def _question(request: web.Request) -> Mapping[str, Any]:
    """The request's body, a JSON object."""
    raw = await request.content.read(_LARGEST_QUESTION + 1)
    if len(raw) > _LARGEST_QUESTION:
        raise ValueError(f"the question is longer than {_LARGEST_QUESTION} bytes")
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise ValueError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise ValueError("the body must be a JSON object")
    return body


def _tables(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = body.get(name)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _range(body: Mapping[str, Any]) -> Asked:
    """The time range of a dashboard."""
    given = body.get("range")
    bounds = [str(given.get(name, "")) if isinstance(given, dict) else "" for name in _BOUNDS]
    for name, bound in zip(_BOUNDS, bounds, strict=True):
        if parse_instant(bound) is None:
            raise ValueError(f"range.{name} must be a time such as 2026-03-02T10:00:00Z")
    return Asked(*bounds)


_BOUNDS: Final = ("from", "to")


def _points(figure: Figure, window: Window) -> list[list[float | int]]:
    """[value, milliseconds] of each bucket with a value."""
    return [
        [value, _milliseconds(at)]
        for at, each in zip(window.bucket_starts, figure.series, strict=False)
        if (value := measured(figure, each)) is not None
    ]


def _table(name: str, points: list[list[float | int]]) -> dict[str, Any]:
    return {
        "type": "table",
        "columns": [{"text": "Time", "type": "time"}, {"text": name, "type": "number"}],
        "rows": [[at, value] for value, at in points],
    }


def _milliseconds(at: Instant) -> int:
    return at // _MILLISECOND


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
        """One deployment by its id, and by its `project_id` where several projects have the id."""
        asked = request.match_info["id"], request.query.get("project_id", "")
        span = await _deployment(self._reader, *asked)
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
        project = text(small_object(inbound), "project_id", limit=200) if identifier else ""
        if identifier and await _deployment(self._reader, identifier, project) is None:
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


async def _deployment(reader: SqliteReader, identifier: str, project: str) -> Span | None:
    """The deployment with an id, of a project if one is given."""
    shared = keys.reference("emmetrics", "deploy", "", identifier)
    span = await reader.span(shared)
    if span is None or not project or span.project.lower() in ("", project.lower()):
        return span
    return await reader.span(keys.of_project(shared, project.lower()))
