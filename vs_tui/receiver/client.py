"""`api.Reader` over HTTP: the same dashboard from a laptop onto a jump box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from vs_tui.domain.cards import Card
from vs_tui.domain.instants import Instant, iso, parse_instant
from vs_tui.domain.model import Link, Rule, Span, State, Status, Verdict
from vs_tui.store.api import (
    Baseline,
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Trace,
    TraceSummary,
)


class Unreachable(Exception):
    """The receiver did not answer; the message says what to check."""


class HttpReader:
    """Reads a receiver's JSON API. It reconnects by itself: each call is one request."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    async def open(self) -> HttpReader:
        """Connect once, so that a wrong URL or token is said at the start."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        self._session = aiohttp.ClientSession(
            headers=headers, timeout=aiohttp.ClientTimeout(total=15)
        )
        try:
            await self._get("/api/health")
        except BaseException:
            await self._session.close()
            raise
        return self

    async def close(self) -> None:
        await self._session.close()

    async def _get(self, path: str, **query: object) -> Any:
        found = {name: str(value) for name, value in query.items() if value not in (None, "")}
        try:
            async with self._session.get(self._url + path, params=found) as response:
                if response.status == 404:
                    return None
                body = await response.json(content_type=None)
                if response.status == 400:
                    raise ValueError(str(body.get("detail", "bad request")))
                if response.status == 401:
                    raise Unreachable(f"{self._url} refuses the token; set VS_TOKEN or --token")
                if response.status >= 500:
                    raise Unreachable(f"{self._url}: {body.get('detail', response.status)}")
                return body
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unreachable(
                f"{self._url} does not answer ({error}); is the receiver up?"
            ) from None

    async def spans(
        self,
        filter: str = "",
        *,
        limit: int = 500,
        cursor: str = "",
        sort: str = "live",
        at: Instant | None = None,
    ) -> SpanPage:
        body = await self._get(
            "/api/spans", filter=filter, limit=limit, cursor=cursor, sort=sort, at=iso(at)
        )
        return SpanPage([span_of(item) for item in body["items"]], body["next"] or "")

    async def counts(self, filter: str = "") -> Counts:
        return Counts(**await self._get("/api/counts", filter=filter))

    async def span(self, ref: str) -> Span | None:
        body = await self._get(f"/api/spans/{quote(ref, safe='/:@~+')}")
        return span_of(body) if body else None

    async def trace(self, trace_id: str) -> Trace | None:
        body = await self._get(f"/api/traces/{quote(trace_id, safe='')}")
        if not body:
            return None
        linked = [span_of(item) for item in body["linked"]]
        spans = [span_of(item) for item in body["spans"]]
        keys = {span.ref: span.key for span in (*spans, *linked)}
        spans = [_with_parent(span, keys) for span in spans]
        links = [_link_of(item, keys) for item in body["links"]]
        root = next((s for s in spans if s.ref == body["root"]), spans[0])
        return Trace(body["trace_id"], root, spans, links, linked)

    async def traces(
        self, filter: str = "", *, limit: int = 200, cursor: str = ""
    ) -> tuple[Sequence[TraceSummary], str]:
        body = await self._get("/api/traces", filter=filter, limit=limit, cursor=cursor)
        return [_summary_of(item) for item in body["items"]], body["next"] or ""

    async def baselines(self, spans: Sequence[Span]) -> Mapping[str, Baseline]:
        found: dict[str, Baseline] = {}
        for start in range(0, len(spans), 50):
            query = "&".join(
                f"key={quote(span.key, safe='')}" for span in spans[start : start + 50]
            )
            body = await self._get(f"/api/baselines?{query}")
            found.update({key: Baseline(**value) for key, value in body.items()})
        return found

    async def deliveries(
        self, filter: str = "", *, limit: int = 200, before: int | None = None
    ) -> Sequence[DeliveryRow]:
        body = await self._get("/api/deliveries", filter=filter, limit=limit, cursor=before)
        return [_delivery_of(item) for item in body["items"]]

    async def delivery(self, delivery_id: int) -> DeliveryDetail | None:
        body = await self._get(f"/api/deliveries/{delivery_id}")
        if not body:
            return None
        return DeliveryDetail(
            row=_delivery_of(body),
            path=body["path"],
            headers=body["headers"],
            body=body["body"].encode(),
            sha256=body["sha256"],
            dedupe_key="",
            span_refs=body["spans"],
        )

    async def changes(self, since: int) -> Changes:
        return Changes(**await self._get("/api/changes", since=since))

    async def sources(self) -> Sequence[SourceHealth]:
        body = await self._get("/api/sources")
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
        return [item["name"] for item in (await self._get("/api/teams"))["items"]]

    async def health(self) -> Health:
        body = await self._get("/api/health")
        return Health(
            ready=body["ready"],
            trouble=body["trouble"],
            spans=body["spans"],
            deliveries=body["deliveries"],
            path=self._url,
        )

    async def cards(self, team: str, window: int) -> Sequence[Card]:
        """The DORA cards as the receiver computes them."""
        body = await self._get("/api/cards", team=team, window=window)
        return [Card(**item) for item in (body or {"items": []})["items"]]


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
        parent_key=item["parent_span_id"] or "",
    )


def _with_parent(span: Span, keys: Mapping[str, str]) -> Span:
    from dataclasses import replace

    return replace(span, parent_key=keys.get(span.parent_key, span.parent_key))


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
