"""`api.Reader` over HTTP: the same dashboard from a laptop onto a jump box."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from vs_tui.api.json_decoder import detail_of
from vs_tui.api.remote_connection import Remote
from vs_tui.metrics.cards import Card
from vs_tui.metrics.report import Detail
from vs_tui.model.time import SECOND, Duration, Instant, iso, parse_instant
from vs_tui.model.vocabulary import Link, Rule, Span, State, Status, Verdict
from vs_tui.store.reader_protocol import (
    Baseline,
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Tally,
    Trace,
    TracePage,
    TraceSummary,
)
from vs_tui.traces.board import Board
from vs_tui.traces.standing import FINISHED_FOR
from vs_tui.traces.upcoming import PastRun, PastStep

MAX_QUERY: Final = 5_000
"""Characters of a query; servers and proxies accept 8,000 in a request line."""


class HttpReader:
    """Reads a receiver's JSON API. It reconnects by itself and says when it is stale."""

    def __init__(self, url: str, token: str) -> None:
        self.remote = Remote(url, token)

    async def open(self) -> HttpReader:
        """Connect once, so that a wrong URL or token is said at the start."""
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
        items = [span_of(item) for item in body["items"]]
        return SpanPage(items, body["next"] or "", parse_instant(body.get("searched")))

    async def counts(self, filter: str = "", *, at: Instant | None = None) -> Counts:
        body = await self._get("/api/counts", filter=filter, at=iso(at))
        known = {field.name for field in dataclasses.fields(Counts)}
        found = {name: value for name, value in body.items() if name in known}
        return Counts(**{**found, "searched": parse_instant(body.get("searched"))})

    async def span(self, ref: str) -> Span | None:
        body = await self._get(f"/api/spans/{quote(ref, safe='/:@~+')}", missing=True)
        return span_of(body) if body else None

    async def trace(self, trace_id: str) -> Trace | None:
        body = await self._get(f"/api/traces/{quote(trace_id, safe='')}", missing=True)
        if not body:
            return None
        linked = [span_of(item) for item in body["linked"]]
        spans = [span_of(item) for item in body["spans"]]
        keys = {span.ref: span.key for span in (*spans, *linked)}
        links = [_link_of(item, keys) for item in body["links"]]
        root = next((s for s in spans if s.ref == body["root"]), spans[0])
        return Trace(body["trace_id"], root, spans, links, linked)

    async def traces(
        self, filter: str = "", *, limit: int = 200, at: Instant | None = None
    ) -> TracePage:
        body = await self._get("/api/traces", filter=filter, limit=limit, at=iso(at), quick=1)
        return TracePage(
            [_summary_of(item) for item in body["items"]],
            bool(body.get("more") or body.get("next")),
            parse_instant(body.get("searched")),
        )

    async def board(
        self, filter: str = "", *, finished_for: Duration = FINISHED_FOR, at: Instant | None = None
    ) -> Board:
        from vs_tui.api.standings import board_of

        seconds = finished_for // SECOND
        query = {"filter": filter, "finished_for": f"{seconds}s", "at": iso(at)}
        return board_of(await self._get("/api/board", limit=10_000, **query), span_of)

    async def baselines(self, spans: Sequence[Span]) -> Mapping[str, Baseline]:
        found: dict[str, Baseline] = {}
        for query in _queries([span.key for span in spans]):
            body = await self._get(f"/api/baselines?{query}")
            found.update({key: Baseline(**value) for key, value in body.items()})
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
                found[key] = [tuple(PastStep(**step) for step in run) for run in runs]
        return found

    async def deliveries(self, filter: str = "", *, limit: int = 200) -> DeliveryPage:
        body = await self._get("/api/deliveries", filter=filter, limit=limit, quick=1)
        items = [_delivery_of(item) for item in body["items"]]
        return DeliveryPage(
            items,
            body.get("matched", len(items)),
            bool(body.get("more") or body.get("next")),
            parse_instant(body.get("searched")),
        )

    async def received(self, since: Instant, until: Instant | None = None) -> Tally:
        body = await self._get("/api/received", since=iso(since), until=iso(until))
        return Tally(body["counts"], parse_instant(body["until"]))

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        body = await self._get(f"/api/deliveries/{delivery_id}", missing=True)
        if not body:
            return None
        return DeliveryDetail(
            row=_delivery_of(body),
            path=body["path"],
            headers=body["headers"],
            body=_body_of(body),
            sha256=body["sha256"],
            dedupe_key="",
            span_refs=body["spans"],
        )

    async def changes(self, since: int) -> Changes:
        return self.remote.changes(since)

    async def sources(self) -> Sequence[SourceHealth]:
        body = await self._get("/api/sources", fresh_for=1.0)
        return [
            SourceHealth(
                item["source"],
                parse_instant(item["last_received_at"]),
                item["last_kind"],
                item["counts"],
            )
            for item in body["items"]
        ]

    async def teams(self) -> Sequence[str]:
        return [item["name"] for item in (await self._get("/api/teams", fresh_for=30.0))["items"]]

    async def health(self) -> Health:
        body = await self._get("/api/health", fresh_for=5.0)
        return Health(
            ready=body["ready"],
            trouble=body["trouble"],
            spans=body["spans"],
            deliveries=body["deliveries"],
            path=self.remote.url,
            details={"clock_ahead": self.remote.clock_ahead},
        )

    async def cards(self, team: str, window: int, at: Instant | None = None) -> Sequence[Card]:
        """The DORA cards as the receiver computes them."""
        body = await self._get("/api/cards", team=team, window=window, at=iso(at))
        return [Card(**item) for item in body["items"]]

    async def detail(
        self, team: str, metric: str, window: int, at: Instant | None = None
    ) -> Detail:
        """What is behind a card, as the receiver computes it."""
        asked = {"team": team, "metric": metric, "window": window, "at": iso(at)}
        body = await self._get("/api/dora/detail", **asked)
        return detail_of(body)


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


def _body_of(item: Mapping[str, Any]) -> bytes:
    if item.get("body_base64") is not None:
        return base64.b64decode(item["body_base64"])
    return str(item["body"]).encode()


def span_of(item: Mapping[str, Any]) -> Span:
    """A span out of the API's JSON."""
    active = item.get("active_s")
    return Span(
        key=item["key"],
        ref=item["span_id"],
        source=item["source"],
        operation=item["operation"],
        name=item["name"],
        status=Status(item["status"]),
        state=State[item["state"].upper()],
        started_at=parse_instant(item["started_at"]),
        ended_at=parse_instant(item["ended_at"]),
        project=item["project"] or "",
        team=item["team"] or "",
        service=item["service"] or "",
        environment=item["environment"] or "",
        actor=item["actor"] or "",
        url=item["url"] or "",
        attempt=item["attempt"],
        stage=item["stage"] or "",
        last_event_at=parse_instant(item.get("last_event_at")) or 0,
        reopens=item["reopens"],
        active=None if active is None else round(active * 1_000_000),
        error=item["error"] or "",
        attributes=item["attributes"],
        trace_id=item["trace_id"],
        parent_key=item["parent_key"] or "",
    )


def _link_of(item: Mapping[str, Any], keys: Mapping[str, str]) -> Link:
    child, parent = item["child"], item["parent"]
    return Link(
        keys.get(child, child),
        keys.get(parent, parent),
        Rule(item["rule"]),
        item["why"],
        item["primary"],
    )


def _summary_of(item: Mapping[str, Any]) -> TraceSummary:
    return TraceSummary(
        trace_id=item["trace_id"],
        root=span_of(item["root"]),
        spans=item["spans"],
        in_flight=item["in_flight"],
        failed=item["failed"],
        started_at=parse_instant(item["started_at"]) or 0,
        last_event_at=parse_instant(item["last_event_at"]) or 0,
        ended_at=parse_instant(item["ended_at"]),
    )


def _delivery_of(item: Mapping[str, Any]) -> DeliveryRow:
    return DeliveryRow(
        id=item["id"],
        source=item["source"],
        kind=item["kind"],
        received_at=parse_instant(item["received_at"]) or 0,
        verdict=Verdict(item["verdict"]),
        reason=item["reason"] or "",
        size=item["size"],
        duplicates=item["duplicates"],
        status=item["status"],
    )
