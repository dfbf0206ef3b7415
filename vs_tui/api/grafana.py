"""Grafana's JSON data source (SimpleJSON): series of the five metrics, with deploys and incidents
as annotations.

Source of paths and shapes: https://github.com/simPod/GrafanaJsonDatasource (README). Prometheus and
the Infinity data source need none of this.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson
from aiohttp import web

from vs_tui.api.guard import Handler
from vs_tui.ingest.http_errors import answer
from vs_tui.metrics.cards import measured
from vs_tui.metrics.definitions import BY_KEY, Figure
from vs_tui.metrics.windows import Window
from vs_tui.model.time import Instant, parse_instant
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
