"""Writes totals as OTLP: an `ExportMetricsServiceRequest` of cumulative sums and histograms.

Source: https://opentelemetry.io/docs/specs/otel/metrics/data-model/ (temporality, buckets).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1 import metrics_pb2

from vs_tui import __version__
from vs_tui.export.otlp_traces import SCOPE, key_values
from vs_tui.metrics.counters import INSTRUMENTS, Total
from vs_tui.model.time import Instant

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
