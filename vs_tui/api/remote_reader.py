"""The reader over HTTP: the dashboard on a laptop shows the receiver on a jump box."""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from vs_tui.api.codec.metrics import DETAIL
from vs_tui.api.codec.spans import (
    BASELINE,
    CARD,
    COUNTED,
    DELIVERIES,
    DELIVERY_DETAIL,
    HEALTH,
    PAST_STEP,
    SOURCE,
    SPAN,
    SPANS,
    TALLY,
    TRACE,
)
from vs_tui.api.codec.traces import BOARD, TRACES
from vs_tui.api.remote import Remote
from vs_tui.metrics.cards import Card
from vs_tui.metrics.report import Detail
from vs_tui.model.time import SECOND, Duration, Instant, iso
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import (
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryPage,
    Health,
    SourceHealth,
    SpanPage,
    Tally,
    Trace,
    TracePage,
)
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.board import Board
from vs_tui.traces.steps import PastRun

MAX_QUERY: Final = 5_000
"""Most characters of a query; servers and proxies accept 8,000 in a request line."""

KEPT_BOARDS: Final = 2
"""Lists of traces that are kept: that of Live with its filter, and all traces for the header."""


class HttpReader:
    """Reads a receiver's JSON API. Reconnects, and says when it is stale."""

    def __init__(self, url: str, token: str) -> None:
        self.remote = Remote(url, token)
        self._boards: OrderedDict[tuple[str, str, str], Board] = OrderedDict()

    async def open(self) -> HttpReader:
        """Make one request, so that a wrong URL or token is reported at the start."""
        await self.remote.open()
        return self

    async def close(self) -> None:
        await self.remote.close()

    async def _get(self, path: str, **query: Any) -> Any:
        return await self.remote.get(path, **query)

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        body = await self._get(
            "/api/spans", filter=filter, limit=limit, sort=sort, at=iso(at), quick=1
        )
        return SPANS.read(body)

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        body = await self._get("/api/counts", filter=filter, at=iso(at))
        return COUNTED.read(body)

    async def span(self, ref: str) -> Span | None:
        body = await self._get(f"/api/spans/{quote(ref, safe='/:@~+')}", missing=True)
        return SPAN.read(body) if body else None

    async def trace(self, trace_id: str) -> Trace | None:
        body = await self._get(f"/api/traces/{quote(trace_id, safe='')}", missing=True)
        return TRACE.read(body) if body else None

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        body = await self._get("/api/traces", filter=filter, limit=limit, at=iso(at), quick=1)
        return TRACES.read(body)

    async def board(
        self, filter: str = "", *, finished_for: Duration | None = None, at: Instant | None = None
    ) -> Board:
        lasts = "" if finished_for is None else f"{finished_for // SECOND}s"
        name = filter, lasts, iso(at) or ""
        before = self._boards.get(name)
        if before is not None and self.remote.is_lost:
            return before
        since = before.version if before is not None else ""
        found = merged(await self._read_board(*name, since), before)
        if found is None:  # such as a row that a filter leaves by its age
            found = await self._read_board(*name, "")
        self._boards[name] = found
        self._boards.move_to_end(name)
        while len(self._boards) > KEPT_BOARDS:
            self._boards.popitem(last=False)
        return found

    async def _read_board(self, filter: str, finished_for: str, at: str, since: str) -> Board:
        # Not `get`: each version makes another query.
        asked = {"filter": filter, "finished_for": finished_for, "at": at, "since": since}
        return BOARD.read(await self.remote.fetch("/api/board", {"limit": 10_000, **asked}))

    async def baselines(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Baseline]:
        found: dict[str, Baseline] = {}
        for query in _queries([span.key for span in spans]):
            body = await self._get(f"/api/baselines?{query}&at={quote(iso(at) or '')}")
            found.update({key: BASELINE.read(value) for key, value in body.items()})
        return found

    async def past_runs(
        self, spans: Sequence[Span], *, at: Instant | None = None
    ) -> Mapping[str, Sequence[PastRun]]:
        found: dict[str, Sequence[PastRun]] = {}
        for query in _queries([span.key for span in spans]):
            body = await self._get(
                f"/api/past-runs?{query}&at={quote(iso(at) or '')}", missing=True
            )
            # An older receiver has no such page: then no steps are expected.
            for key, runs in (body or {}).items():
                found[key] = [tuple(PAST_STEP.read(step) for step in run) for run in runs]
        return found

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        body = await self._get("/api/deliveries", filter=filter, limit=limit, quick=1)
        return DELIVERIES.read(body)

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        body = await self._get("/api/received", since=iso(since), until=iso(until))
        return TALLY.read(body)

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        body = await self._get(f"/api/deliveries/{delivery_id}", missing=True)
        return DELIVERY_DETAIL.read(body) if body else None

    async def changes(self, since: int) -> Changes:
        return self.remote.changes(since)

    async def sources(self) -> Sequence[SourceHealth]:
        body = await self._get("/api/sources", fresh_for=1.0)
        return [SOURCE.read(item) for item in body["items"]]

    async def teams(self) -> Sequence[str]:
        return [item["name"] for item in (await self._get("/api/teams", fresh_for=30.0))["items"]]

    async def health(self) -> Health:
        body = await self._get("/api/health", fresh_for=5.0)
        return dataclasses.replace(
            HEALTH.read(body), path=self.remote.url, clock_ahead=self.remote.clock_ahead
        )

    async def cards(
        self, team: str, window: int, at: Instant | None = None, bucket: str = ""
    ) -> Sequence[Card]:
        """The DORA cards from the receiver."""
        asked = {"team": team, "window": window, "at": iso(at), "bucket": bucket}
        body = await self._get("/api/cards", **asked)
        return [CARD.read(item) for item in body["items"]]

    async def detail(
        self, team: str, metric: str, window: int, at: Instant | None = None, bucket: str = ""
    ) -> Detail:
        """The rows behind a card, from the receiver."""
        asked = {
            "team": team,
            "metric": metric,
            "window": window,
            "at": iso(at),
            "bucket": bucket,
        }
        body = await self._get("/api/dora/detail", **asked)
        return DETAIL.read(body)


def merged(found: Board, before: Board | None) -> Board | None:
    """The list with its unchanged rows, which the list before has; None if one is missing there."""
    if not found.unchanged:
        return found
    known = {row.trace_id: row for row in before.rows} if before is not None else {}
    rows = list(found.rows)
    for trace_id, place in found.unchanged.items():
        if trace_id not in known:
            return None
        rows.insert(place, known[trace_id])
    return dataclasses.replace(found, rows=rows, unchanged={})


def _queries(keys: Sequence[str]) -> Iterator[str]:
    """`key=..&key=..`, in pieces that fit into a request line."""
    query = ""
    for key in keys:
        term = f"key={quote(key[:1_000], safe='')}"
        if query and len(query) + len(term) > MAX_QUERY:
            yield query
            query = ""
        query += f"&{term}" if query else term
    if query:
        yield query
