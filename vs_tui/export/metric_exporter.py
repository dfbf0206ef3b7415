"""Pushes the delivery totals to an OTLP collector, every 60 seconds and at shutdown.

Totals are cumulative, so nothing is queued while the collector is down: the next push has
everything.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final

from aiohttp import ClientSession

from vs_tui.export.delivery_totals import DeliveryTotals
from vs_tui.export.otlp_exporter import STOP_SECONDS, OtlpExporter, refused

EVERY_SECONDS: Final = 60.0
PART_SECONDS: Final = 0.1
"""A large database is counted in parts of about this many seconds."""


@dataclass(kw_only=True)
class MetricExporter(OtlpExporter):
    """The task that pushes the totals, beside the receiver."""

    signal: ClassVar[str] = "metrics"

    counters: DeliveryTotals

    async def _begin(self) -> None:
        pass

    def _pause(self) -> float:
        return EVERY_SECONDS

    async def stop(self) -> None:
        """Push once more and stop."""
        running = self._task is not None
        await super().stop()
        if running:
            with suppress(Exception):
                async with asyncio.timeout(STOP_SECONDS), self._session() as session:
                    await self._round(session)

    async def _round(self, session: ClientSession) -> float | None:
        from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
            ExportMetricsServiceResponse,
        )

        from vs_tui.export.otlp_metrics import metrics_request

        while (totals := await self.counters.totals(PART_SECONDS)) is None:
            await self._give_way()
        if not totals:
            self._recovered()
            return None
        since, resource = await self.counters.since(), self.settings.resource
        body = await asyncio.to_thread(metrics_request, totals, since, self.clock(), resource)
        posted = await self._post(session, body)
        if not posted.done:
            self._failed(posted.error)
            return posted.retry_after
        n, answer = len(totals), ExportMetricsServiceResponse()
        self._count(n, *refused(posted, n, answer, "rejected_data_points"))
        self._recovered()
        return None
