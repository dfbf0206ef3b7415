"""The delivery metrics over HTTP: the same numbers as the commands print."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from vs_tui.api.codec import CARD
from vs_tui.api.figures import DETAIL, dora_json
from vs_tui.api.handlers import Handler, instant
from vs_tui.ingest.http_errors import answer
from vs_tui.model.time import DAY, Instant
from vs_tui.store.queries.report_query import Asked
from vs_tui.store.queries.reports import DEFAULT_WINDOW, Reports


class Reporting:
    """The handlers; ValueError becomes 400."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def handlers(self) -> dict[str, Handler]:
        """Path -> handler."""
        return {
            "/api/dora": self.dora,
            "/api/dora/detail": self.detail,
            "/api/cards": self.cards,
        }

    async def dora(self, request: web.Request) -> web.Response:
        """`?team=&since=&until=&by=&tz=&by_period=`, as `vs-tui report dora --format json`."""
        query = request.query
        asked = Asked(**{name: query.get(name, "") for name in Asked.__dataclass_fields__})
        cards = await self._reports.scorecards(asked)
        window = self._reports.window(asked)
        seen, periods = await self._reports.seen(asked), await self._reports.periods(asked)
        return answer(dora_json(cards, window, seen, periods))

    async def cards(self, request: web.Request) -> web.Response:
        """The dashboard's cards, for a viewer elsewhere."""
        found = await self._reports.cards(request.query.get("team", ""), *_back(request))
        return answer({"items": [CARD.write(card) for card in found]})

    async def detail(self, request: web.Request) -> web.Response:
        """Answers with the items and facts behind a card, for a remote viewer."""
        query = request.query
        found = await self._reports.detail(
            query.get("team", ""), query.get("metric", ""), *_back(request)
        )
        return answer(DETAIL.write(found))


def _back(request: web.Request) -> tuple[int, Instant | None, str]:
    """(length of the window, its end or None for now, bucket of the trend)."""
    query = request.query
    return _length(request), instant(query, "at"), query.get("bucket", "")


LONGEST: Final = 36_500 * DAY


def _length(request: web.Request) -> int:
    window = request.query.get("window", str(DEFAULT_WINDOW))
    if not (window.isascii() and window.isdigit()) or len(window) > 18 or int(window) > LONGEST:
        raise ValueError(f"window must be microseconds, 0 for all time, at most {LONGEST}")
    return int(window)
