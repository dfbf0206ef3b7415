"""The JSON API for reading, for `vs-tui view URL` and for scripts."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from vs_tui.api.codec.metrics import DETAIL, DORA
from vs_tui.api.codec.spans import (
    BASELINE,
    CARD,
    CHANGES,
    COUNTED,
    DELIVERIES,
    DELIVERY,
    DELIVERY_DETAIL,
    HEALTH,
    PAST_STEP,
    SOURCE,
    SPANS,
    TALLY,
    span_json,
)
from vs_tui.api.codec.traces import BOARD, TRACES, listed_json, trace_json
from vs_tui.api.guard import (
    FEW_ROWS,
    LASTS,
    TEAM,
    Handler,
    instant,
    is_number,
    is_quick,
    is_seen,
    limit_of,
    number,
    team_of,
    within_team,
)
from vs_tui.ingest.http_errors import answer, not_found
from vs_tui.metrics.definitions import BY_KEY
from vs_tui.model.time import DAY, Instant, iso, parse_duration
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reader_protocol import Changes, TraceSummary
from vs_tui.store.queries.reports import DEFAULT_WINDOW, Asked, Reports
from vs_tui.store.writer import Writer

KEEP_ALIVE_SECONDS: Final = 15
MAX_STREAMED: Final = 200
"""Most spans sent with one change; after more, the client reads again."""

T = TypeVar("T")
R = TypeVar("R")


class Api:
    """Spans, traces, deliveries, and what the dashboard asks. ValueError becomes 400."""

    def __init__(self, reader: SqliteReader, writer: Writer) -> None:
        self._reader = reader
        self._writer = writer

    async def _beside(self, write: Callable[[], T]) -> T:
        """Run `write` on the reader's thread, so that the event loop keeps receiving webhooks."""
        return await self._reader.run(lambda _: write())

    def paths(self) -> dict[str, Handler]:
        """Path -> handler."""
        return {
            "/api/spans": self.spans,
            "/api/spans/{ref:.+}": self.span,
            "/api/traces": self.traces,
            "/api/board": self.board,
            "/api/traces/{trace_id}": self.trace,
            "/api/deliveries": self.deliveries,
            "/api/deliveries/{id:-?[0-9]{1,18}}": self.delivery,
            "/api/teams": self.teams,
            "/api/sources": self.sources,
            "/api/counts": self.counts,
            "/api/received": self.received,
            "/api/health": self.health,
            "/api/baselines": self.baselines,
            "/api/past-runs": self.past_runs,
            "/api/changes": self.changes,
            "/api/stream": self.stream,
        }

    async def spans(self, request: web.Request) -> web.Response:
        query = request.query
        text, limit = query.get("filter", ""), limit_of(query.get("limit", "100"))
        sort, at = query.get("sort", "started"), instant(query, "at")
        if is_quick(query):
            page = shown = await self._reader.spans(text, limit=limit, sort=sort, at=at)
        else:
            cursor, shown = query.get("cursor", ""), None
            page = await self._reader.all_spans(text, limit=limit, cursor=cursor, sort=sort, at=at)
        linked = not is_quick(query)
        items = await self._pieces(
            page.items, lambda spans: self._items(request, spans, linked=linked)
        )
        return answer(SPANS.write(shown, items, page.next))

    async def _pieces(
        self, rows: Sequence[R], write: Callable[[Sequence[R]], Awaitable[list[dict[str, Any]]]]
    ) -> Any:
        """Rows as JSON, some at a time: as objects they take several times the memory of their
        text."""
        if len(rows) <= FEW_ROWS:
            return await write(rows)
        texts = []
        for at in range(0, len(rows), FEW_ROWS):
            items = await write(rows[at : at + FEW_ROWS])
            texts.append(await self._beside(partial(orjson.dumps, items)))
        return orjson.Fragment(b"[%b]" % b",".join(filter(None, (text[1:-1] for text in texts))))

    async def span(self, request: web.Request) -> web.Response:
        span = await self._reader.span(request.match_info["ref"])
        if span is None or not is_seen(request, span):
            raise not_found(
                "there is no such span, or it was pruned; /api/spans lists what there is"
            )
        (item,) = await self._items(request, [span])
        return answer(item)

    async def _items(
        self, request: web.Request, spans: Sequence[Span], *, linked: bool = True
    ) -> list[dict[str, Any]]:
        """Spans as JSON; `linked` adds their links, which a screen needs for a trace only."""
        links: Mapping[str, Sequence[Link]] = {}
        if linked:
            links, refs = await self._reader.links(spans)
        else:
            refs = await self._reader.refs(span.parent_key for span in spans)
        if TEAM in request:
            above = {link.parent for found in links.values() for link in found}
            known = await self._reader.known([*above, *(span.parent_key for span in spans)])
            seen = {span.key for span in known if is_seen(request, span)}
            links = {k: [each for each in v if each.parent in seen] for k, v in links.items()}
            spans = [s if s.parent_key in seen else s._replace(parent_key="") for s in spans]
        return await self._beside(
            lambda: [span_json(span, links.get(span.key, ()), refs) for span in spans]
        )

    async def traces(self, request: web.Request) -> web.Response:
        query = request.query
        text, limit = query.get("filter", ""), limit_of(query.get("limit", "100"))
        if is_quick(query):
            page = await self._reader.traces(text, limit=limit, at=instant(query, "at"))
            return answer(TRACES.write(page, await self._summaries(request, page.items), ""))
        if query.get("at"):
            raise ValueError("at: traces of a past moment are listed with quick=1 only")
        items, cursor = await self._reader.all_traces(
            text, limit=limit, cursor=query.get("cursor", "")
        )
        written = await self._pieces(items, lambda found: self._summaries(request, found))
        return answer(TRACES.write(None, written, cursor))

    async def _summaries(
        self, request: web.Request, found: Sequence[TraceSummary]
    ) -> list[dict[str, Any]]:
        """Traces with their current state and the people who act next, as JSON."""
        items = [item for item in found if is_seen(request, item.root)]
        now = self._reader.now()
        rows = await self._reader.standings([item.trace_id for item in items], team_of(request))
        return await self._beside(
            lambda: [listed_json(item, rows.get(item.trace_id), now) for item in items]
        )

    async def board(self, request: web.Request) -> web.Response:
        query = request.query
        board = await self._reader.board(
            query.get("filter", ""),
            finished_for=parse_duration(query["finished_for"]) if "finished_for" in query else None,
            at=instant(query, "at"),
            team=team_of(request),
            since=query.get("since", ""),
        )
        limit = limit_of(query.get("limit", "1000"))
        now = instant(query, "at") or self._reader.now()
        return answer(await self._beside(lambda: BOARD.write(board, now, limit)))

    async def trace(self, request: web.Request) -> web.Response:
        trace = await self._reader.trace(request.match_info["trace_id"])
        if trace is not None and TEAM in request:
            trace = within_team(trace, request[TEAM])
        if trace is None:
            raise not_found(
                "there is no such trace, or it was pruned; /api/traces lists what there is"
            )
        rows = await self._reader.standings([trace.trace_id], team_of(request))
        row, now = rows.get(trace.trace_id), self._reader.now()
        return answer(await self._beside(lambda: trace_json(trace, row, now)))

    async def deliveries(self, request: web.Request) -> web.Response:
        query = request.query
        limit = limit_of(query.get("limit", "100"))
        if is_quick(query):
            page = await self._reader.deliveries(query.get("filter", ""), limit=limit)
            items = [DELIVERY.write(row) for row in page.items]
            return answer(DELIVERIES.write(page, items, ""))
        rows, cursor = await self._reader.all_deliveries(
            query.get("filter", ""), limit=limit, cursor=query.get("cursor", "")
        )
        items = await self._beside(lambda: [DELIVERY.write(row) for row in rows])
        return answer(DELIVERIES.write(None, items, cursor))

    async def delivery(self, request: web.Request) -> web.Response:
        detail = await self._reader.delivery(int(request.match_info["id"]))
        if detail is None:
            raise not_found(
                "there is no such delivery, or it was pruned; /api/deliveries lists what there is"
            )
        return answer(DELIVERY_DETAIL.write(detail))

    async def teams(self, request: web.Request) -> web.Response:
        names = [request[TEAM]] if TEAM in request else await self._reader.teams()
        return answer({"items": [{"name": name} for name in names]})

    async def sources(self, _: web.Request) -> web.Response:
        items = [SOURCE.write(health) for health in await self._reader.sources()]
        return answer({"items": items})

    async def counts(self, request: web.Request) -> web.Response:
        query = request.query
        text, at = query.get("filter", ""), instant(query, "at")
        counts = await self._reader.counts(text, at=at)
        if team := team_of(request):
            # What is counted of all is counted of the team.
            day = iso((at or self._reader.now()) - DAY)
            all_, flying, failed = [
                await self._reader.counts(f'team:"{team}"{of}', at=at)
                for of in ("", " state:in_flight", f" state:failed since:{day}")
            ]
            counts = dataclasses.replace(
                counts,
                total=all_.matched,
                more_in_all=all_.more,
                in_flight=flying.matched,
                failed=failed.matched,
            )
        return answer(COUNTED.write(counts))

    async def received(self, request: web.Request) -> web.Response:
        query = request.query
        since = instant(query, "since") or 0
        tally = await self._reader.received(since, instant(query, "until"))
        return answer(TALLY.write(tally))

    async def health(self, _: web.Request) -> web.Response:
        return answer(HEALTH.write(await self._reader.health()))

    async def baselines(self, request: web.Request) -> web.Response:
        spans = await self._asked(request)
        found = await self._reader.baselines(spans, at=instant(request.query, "at"))
        return answer({key: BASELINE.write(baseline) for key, baseline in found.items()})

    async def _asked(self, request: web.Request) -> list[Span]:
        """The spans that a request names."""
        spans = await self._reader.known(request.query.getall("key", [])[:500])
        return [span for span in spans if is_seen(request, span)]

    async def past_runs(self, request: web.Request) -> web.Response:
        spans = await self._asked(request)
        at = instant(request.query, "at")
        found = await self._reader.past_runs(spans, at=at, team=team_of(request))
        return answer(
            {
                key: [[PAST_STEP.write(step) for step in run] for run in runs]
                for key, runs in found.items()
            }
        )

    async def changes(self, request: web.Request) -> web.Response:
        changes = await self._reader.changes(int(number(request.query, "since") or 0))
        changes = await self._seen(request, changes)
        return answer(CHANGES.write(changes))

    async def _seen(self, request: web.Request, changes: Changes) -> Changes:
        """The changes that a token's team may see."""
        if TEAM not in request:
            return changes
        spans = await self._reader.known(list(changes.keys))
        seen = [span.key for span in spans if is_seen(request, span)]
        return dataclasses.replace(changes, keys=seen)

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: one `change` for each commit, with the changed spans. `Last-Event-ID`
        (or `?since=`) resumes; `truncated` tells the client to read again; `?brief=1` sends keys
        only."""
        brief = request.query.get("brief", "") == "1"
        since = request.headers.get("Last-Event-ID", "") or number(request.query, "since")
        if since:  # of another server: from the beginning, which is answered with `truncated`
            seq = int(since) if is_number(since) else 0
        else:
            seq = (await self._reader.changes(0)).seq
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store"}
        if request.method == "HEAD":
            return web.Response(headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        changed = asyncio.Event()
        changed.set()
        unsubscribe = self._writer.subscribe(lambda _: changed.set())
        try:
            while True:
                for _ in range(KEEP_ALIVE_SECONDS):
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            await changed.wait()
                    if not request[LASTS]():
                        return response
                    if changed.is_set():
                        break
                changed.clear()
                changes = await self._reader.changes(seq)
                if changes.seq == seq:
                    await response.write(b": quiet\n\n")
                    continue
                seq = changes.seq
                changes = await self._seen(request, changes)
                await response.write(await self._message(request, changes, brief=brief))
        except (ConnectionError, asyncio.CancelledError):
            return response  # also a reader that lags until its line breaks
        finally:
            unsubscribe()

    async def _message(self, request: web.Request, changes: Changes, *, brief: bool) -> bytes:
        truncated = changes.truncated or (len(changes.keys) > MAX_STREAMED and not brief)
        keys = [] if truncated else list(changes.keys)
        message: dict[str, Any] = {"seq": changes.seq, "truncated": truncated}
        if brief:
            message["keys"] = keys
        else:
            message["spans"] = await self._items(request, await self._reader.known(keys))
        return b"id: %d\nevent: change\ndata: %s\n\n" % (changes.seq, orjson.dumps(message))


class Reporting:
    """The delivery metrics: the same numbers as the commands print. ValueError becomes 400."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def paths(self) -> dict[str, Handler]:
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
        return answer(DORA.write(cards, window, seen, periods))

    async def cards(self, request: web.Request) -> web.Response:
        """The dashboard's cards, for a viewer elsewhere."""
        found = await self._reports.cards(request.query.get("team", ""), *_back(request))
        return answer({"items": [CARD.write(card) for card in found]})

    async def detail(self, request: web.Request) -> web.Response:
        """Answers with the items and facts behind a card, for a remote viewer."""
        team, metric = request.query.get("team", ""), request.query.get("metric", "")
        if metric in BY_KEY:  # its name in an answer
            metric = BY_KEY[metric].name
        found = await self._reports.detail(team, metric, *_back(request))
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
