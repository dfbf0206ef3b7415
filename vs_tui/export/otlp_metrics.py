"""Pushes the totals of the counters to an OTLP collector, every 60 seconds and at shutdown.

Totals are cumulative sums and histograms, so nothing is queued while the collector is down: the
next push has everything.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/ (temporality, buckets).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final

from aiohttp import ClientSession
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2

from vs_tui import __version__
from vs_tui.export.counter_totals import CounterTotals
from vs_tui.export.otlp_traces import SCOPE, key_values
from vs_tui.export.sending import STOP_SECONDS, OtlpExporter, new_session, refused
from vs_tui.metrics.counters import INSTRUMENTS, Total
from vs_tui.model.time import Instant

EVERY_SECONDS: Final = 60.0
PART_SECONDS: Final = 0.1
"""A large database is counted in parts of about this many seconds."""
_CUMULATIVE = metrics_pb2.AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE


def metrics_request(
    totals: Sequence[Total], since: Instant, now: Instant, resource: Mapping[str, str]
) -> bytes:
    """The serialized request for all totals, counted from `since` to `now`."""
    request = ExportMetricsServiceRequest()
    group = request.resource_metrics.add()
    group.resource.attributes.extend(key_values(resource))
    scope = group.scope_metrics.add()
    scope.scope.name = SCOPE
    scope.scope.version = __version__
    start, end = since * 1_000, max(now, since) * 1_000
    metrics: dict[str, metrics_pb2.Metric] = {}
    for total in totals:
        instrument = INSTRUMENTS[total.name]
        metric = metrics.get(total.name)
        if metric is None:
            metric = metrics[total.name] = scope.metrics.add()
            metric.name, metric.unit = instrument.name, instrument.unit
            metric.description = instrument.text
        if instrument.bounds:
            metric.histogram.aggregation_temporality = _CUMULATIVE
            bars = metric.histogram.data_points.add()
            bars.count, bars.sum = total.n, total.sum
            bars.bucket_counts.extend(total.buckets)
            bars.explicit_bounds.extend(instrument.bounds)
            bars.start_time_unix_nano, bars.time_unix_nano = start, end
            bars.attributes.extend(key_values(total.labels._asdict()))
        else:
            metric.sum.aggregation_temporality = _CUMULATIVE
            metric.sum.is_monotonic = True
            point = metric.sum.data_points.add()
            point.as_int = total.n
            point.start_time_unix_nano, point.time_unix_nano = start, end
            point.attributes.extend(key_values(total.labels._asdict()))
    return bytes(request.SerializeToString())


@dataclass(kw_only=True)
class MetricExporter(OtlpExporter):
    """The task that pushes the totals, beside the receiver."""

    signal: ClassVar[str] = "metrics"

    counters: CounterTotals

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
                async with asyncio.timeout(STOP_SECONDS), new_session() as session:
                    await self._round(session)

    async def _round(self, session: ClientSession) -> float | None:
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
