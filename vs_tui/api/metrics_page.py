"""`GET /metrics`: update the values, and answer in Prometheus' text format."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from vs_tui.export.counter_totals import CounterTotals
from vs_tui.export.prometheus import Metrics
from vs_tui.export.prometheus_series import GROUPS
from vs_tui.ingest.connections import Connections
from vs_tui.log.append_queue import Unavailable
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.dispatch import sources
from vs_tui.store.counter_totals import recent_series
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Asked, Reports
from vs_tui.store.writer import Writer

FEW_SECONDS: Final = 0.2
"""Values that take less than this are read at every scrape."""
TOTALS_SECONDS: Final = 5.0
"""Longest time that an answer waits for the totals of the counters."""


@dataclass
class MetricsPage:
    """Answers `/metrics`."""

    metrics: Metrics
    reader: SqliteReader
    writer: Writer
    reports: Reports
    totals: CounterTotals
    connections: Callable[[], Connections]
    _dora_due: float = 0.0
    """Time of the next read of the five metrics, on the monotonic clock."""
    _seeded: bool = False
    """Whether the series known to the store are shown."""

    async def answer(self, request: web.Request) -> web.Response:
        shown, connections = self.metrics, self.connections()
        shown.in_flight.set((await self.reader.counts()).in_flight)
        shown.waiting.set(self.writer.waiting)
        shown.behind.set(self.writer.behind)
        shown.lag.set(self.writer.lag)
        shown.ready.set(0 if self.writer.trouble else 1)
        shown.show_storage(self.writer.path)
        shown.connections.set(len(connections))
        shown.malformed.set(connections.malformed)
        # At 0 before the first delivery, so that increase() sees it.
        for name in sources():
            for verdict in Verdict:
                shown.deliveries.set(0, name, verdict.value)
        for health in await self.reader.sources():
            for name, n in health.counts.items():
                shown.deliveries.set(n, health.source, name)
        if not self._seeded:
            shown.seed(await self.reader.run(recent_series))
            self._seeded = True
        await self._show_dora()
        await self._show_counters()
        body = shown.render(_scraper(request))
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

    async def _show_dora(self) -> None:
        """Show the five metrics. In a large database they take a while, so they are read again
        after 50 times as long: frequent scrapes cost at most 2 % of a core."""
        began = time.monotonic()
        if began < self._dora_due:
            return
        self.metrics.dora.show(
            [
                card
                for by in GROUPS
                for card in await self.reports.scorecards(Asked(by=by), beside=False)
            ]
        )
        ended = time.monotonic()
        self._dora_due = ended + 50 * (ended - began) if ended - began > FEW_SECONDS else 0.0

    async def _show_counters(self) -> None:
        """Show the totals of the counters; while they cannot be counted, the last ones stay."""
        if self.writer.trouble:
            return
        with suppress(Unavailable, sqlite3.Error, TimeoutError):
            async with asyncio.timeout(TOTALS_SECONDS):
                if (totals := await self.totals.totals()) is not None:
                    self.metrics.counters.show(totals)


def _scraper(request: web.Request) -> str:
    """Identifies a scraper that keeps samples, by the headers that Prometheus and similar tools
    send; empty for a person with curl."""
    headers = request.headers
    accepted = headers.get("Accept", "")
    keeps = "openmetrics" in accepted or "version=0.0.4" in accepted
    if not keeps and "X-Prometheus-Scrape-Timeout-Seconds" not in headers:
        return ""
    names = (headers.get(name, "") for name in ("X-Forwarded-For", "User-Agent"))
    return " ".join((request.remote or "", *names))
