"""Sends finished traces and the totals of the counters to an OTLP collector, beside the receiver.

A trace is sent when all its spans have ended and nothing in it has changed for `settle`. A span
that ends later is sent with the id that its trace has then. Spans are sent once; only a crash
between the collector's answer and the commit can repeat one batch (at most 512 spans and one
trace). Totals are pushed every 60 seconds and at shutdown. They are cumulative sums and histograms,
so none are queued while the collector is down: the next push has everything.

Attribute names and result values follow OpenTelemetry's semantic conventions for CI/CD, VCS and
deployments (https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/); attributes of vs-tui
start with `vs.`. Temporality and buckets:
https://opentelemetry.io/docs/specs/otel/metrics/data-model/.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import ClassVar, Final, NamedTuple, TypeVar

from aiohttp import ClientSession
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2
from opentelemetry.proto.trace.v1 import trace_pb2

from vs_tui import __version__
from vs_tui.export.sending import STOP_SECONDS, OtlpExporter, refused
from vs_tui.export.series import CounterTotals
from vs_tui.metrics.counters import INSTRUMENTS, Total
from vs_tui.model.time import SECOND, Instant
from vs_tui.model.vocabulary import (
    Link,
    Operation,
    Scalar,
    Span,
    Status,
    otel_span_id,
    otel_trace_id,
)
from vs_tui.store import export_queue as queue

T = TypeVar("T")

LOOK_SECONDS: Final = 1.0
BACKLOG_SECONDS: Final = 0.05
"""Pause between two parts of a backlog."""
READ_AHEAD: Final = 2_000
"""Most traces in memory that wait to settle or to be sent; the rest stays in the store."""
SPANS_AT_ONCE: Final = 512
"""Most spans in one request; a larger trace is split."""
SCOPE: Final = "vs-tui"
SHORTEST: Final = 1
"""Microseconds of a span whose start and end are equal; Jaeger warns about shorter durations."""

_PIPELINE_RESULT: Final = {
    Status.OK: "success",
    Status.ERROR: "failure",
    Status.TIMED_OUT: "timeout",
    Status.CANCELLED: "cancellation",
}
_DEPLOYMENT_STATUS: Final = {
    Status.OK: "succeeded",
    Status.ERROR: "failed",
    Status.TIMED_OUT: "failed",
}
_RESULT_NAME: Final = {
    Operation.PIPELINE: "cicd.pipeline.result",
    Operation.BUILD: "cicd.pipeline.task.run.result",
    Operation.TEST: "cicd.pipeline.task.run.result",
    Operation.STAGE: "cicd.pipeline.task.run.result",
}


class ExportedSpan(NamedTuple):
    """A finished span with its links to other spans."""

    span: Span
    links: Sequence[tuple[Link, str]] = ()
    """Links other than the primary one, each with the trace id of the linked span."""


class _Resource(NamedTuple):
    service: str
    owner: str
    repository: str
    environment: str


def traces_request(spans: Iterable[ExportedSpan]) -> bytes:
    """The serialized request for finished spans, grouped by resource (service, repository,
    environment)."""
    request = ExportTraceServiceRequest()
    groups: dict[_Resource, trace_pb2.ScopeSpans] = {}
    for exported in spans:
        resource = _resource(exported.span)
        scope = groups.get(resource)
        if scope is None:
            group = request.resource_spans.add()
            group.resource.attributes.extend(_resource_attributes(resource))
            scope = groups[resource] = group.scope_spans.add()
            scope.scope.name = SCOPE
            scope.scope.version = __version__
        _fill(scope.spans.add(), exported)
    return bytes(request.SerializeToString())


def _resource(span: Span) -> _Resource:
    attributes = span.attributes
    return _Resource(
        span.service or span.project or span.source,
        str(attributes.get("vcs.owner.name", "")),
        str(attributes.get("vcs.repository.name", "")),
        span.environment,
    )


def _resource_attributes(resource: _Resource) -> Iterable[KeyValue]:
    return key_values(
        {
            "service.name": resource.service,
            "vcs.owner.name": resource.owner,
            "vcs.repository.name": resource.repository,
            "deployment.environment.name": resource.environment,
        }
    )


def _fill(out: trace_pb2.Span, exported: ExportedSpan) -> None:
    span = exported.span
    out.trace_id = otel_trace_id(span.trace_id)
    out.span_id = otel_span_id(span.key)
    if span.parent_key:
        out.parent_span_id = otel_span_id(span.parent_key)
    out.name = span.name or span.operation
    is_run = span.operation == Operation.PIPELINE
    out.kind = trace_pb2.Span.SPAN_KIND_SERVER if is_run else trace_pb2.Span.SPAN_KIND_INTERNAL
    ended = span.ended_at if span.ended_at is not None else span.at
    started = min(span.at, ended)
    out.start_time_unix_nano = max(started, 0) * 1_000
    out.end_time_unix_nano = max(ended, started + SHORTEST, 1) * 1_000
    out.attributes.extend(key_values(_attributes(span)))
    if span.status.failed:
        out.status.code = trace_pb2.Status.STATUS_CODE_ERROR
        out.status.message = span.error
    for link, trace_id in exported.links:
        edge = out.links.add()
        edge.trace_id = otel_trace_id(trace_id)
        edge.span_id = otel_span_id(link.parent)
        edge.attributes.extend(
            key_values({"vs.link.rule": link.rule.value, "vs.link.why": link.why})
        )


def _attributes(span: Span) -> Mapping[str, Scalar]:
    """The attributes of the payload, with the span's own fields as `vs.` attributes."""
    found: dict[str, Scalar] = dict(span.attributes)
    if result := _RESULT_NAME.get(span.operation):  # type: ignore[call-overload]
        found[result] = _PIPELINE_RESULT[span.status]
    if span.operation == Operation.DEPLOY and span.status in _DEPLOYMENT_STATUS:
        found["deployment.status"] = _DEPLOYMENT_STATUS[span.status]
    if span.status.failed:
        timed_out = span.status is Status.TIMED_OUT
        found["error.type"] = "timeout" if timed_out else span.error or "failure"
    ours: Mapping[str, Scalar] = {
        "vs.ref": span.ref,
        "vs.operation": span.operation,
        "vs.source": span.source,
        "vs.status": span.status.value,
        "vs.project": span.project,
        "vs.team": span.team,
        "vs.service": span.service,
        "vs.actor": span.actor,
        "vs.url": span.url,
        "vs.stage": span.stage,
    }
    found |= {name: value for name, value in ours.items() if value != ""}
    if span.attempt != 1:
        found["vs.attempt"] = span.attempt
    if span.reopens:
        found["vs.reopens"] = span.reopens
    return found


def key_values(attributes: Mapping[str, Scalar]) -> Iterable[KeyValue]:
    """Attributes as OTLP key-value pairs; empty texts are left out."""
    for name, value in attributes.items():
        if value == "":
            continue
        pair = KeyValue(key=name)
        if isinstance(value, bool):
            pair.value.bool_value = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            pair.value.int_value = value
        elif isinstance(value, float):
            pair.value.double_value = value
        else:
            pair.value.string_value = str(value)
        yield pair


@dataclass
class _Waiting:
    first: int
    """The change number from which a restart must read this trace again."""
    seen: float
    """When its last change was read, on the monotonic clock."""


class _Batch(NamedTuple):
    traces: Sequence[str]
    spans: Sequence[ExportedSpan]


@dataclass
class TraceExporter(OtlpExporter):
    """The task that sends traces, beside the receiver. When idle it costs one indexed query per
    second."""

    signal: ClassVar[str] = "traces"

    _waiting: dict[str, _Waiting] = field(default_factory=dict)
    _read_to: int | None = None
    _behind: bool = False
    """Whether the change feed has unread changes."""

    def _pause(self) -> float:
        # The pause lets the receiver work while a backlog is sent.
        return BACKLOG_SECONDS if self._behind else LOOK_SECONDS

    async def _round(self, session: ClientSession) -> float | None:
        await self._read_feed()
        return await self._send_due(session)

    async def _read_feed(self) -> None:
        self._behind = False
        if len(self._waiting) >= READ_AHEAD:
            return
        if self._read_to is None:
            self._read_to = await self.read(queue.read_position)
        after = self._read_to
        found, read_to, self._behind = await self.read(
            lambda db: queue.changed_traces(db, after, READ_AHEAD)
        )
        seen = monotonic()
        for first, trace_id in found:
            known = self._waiting.get(trace_id)
            self._waiting[trace_id] = _Waiting(known.first if known else first, seen)
        self._read_to = read_to
        self.state.waiting = len(self._waiting)

    async def _send_due(self, session: ClientSession) -> float | None:
        """Send the settled traces. Returns the seconds that the collector asks to wait, if any."""
        settled = monotonic() - self.settings.settle / SECOND
        due = [trace_id for trace_id, entry in self._waiting.items() if entry.seen <= settled]
        while due and not self._task.stopping:
            await self._give_way()
            batch = await self._batch(due)
            pieces = _pieces(batch.spans) or [()]
            for number, spans in enumerate(pieces, 1):
                if spans:
                    body = await asyncio.to_thread(traces_request, spans)
                    posted = await self._post(session, body)
                    if not posted.done:
                        self._failed(posted.error)
                        return posted.retry_after
                    n, answer = len(spans), ExportTraceServiceResponse()
                    self._count(n, *refused(posted, n, answer, "rejected_spans"))
                await self._remember(spans, batch.traces if number == len(pieces) else ())
            due = due[len(batch.traces) :]
        self.state.waiting = len(self._waiting)
        self._recovered()
        return None

    async def _batch(self, due: Sequence[str]) -> _Batch:
        """The first due traces, up to enough spans for a request."""
        now, text = self.clock(), self.settings.filter

        def collect(db: sqlite3.Connection) -> _Batch:
            traces: list[str] = []
            spans: list[Span] = []
            for trace_id in due:
                traces.append(trace_id)
                if queue.is_over(db, trace_id) and queue.is_wanted(db, trace_id, text, now):
                    spans += queue.unsent_spans(db, trace_id)
                if len(spans) >= SPANS_AT_ONCE:
                    break
            links = queue.links_of(db, [span.key for span in spans])
            return _Batch(traces, [ExportedSpan(span, links.get(span.key, ())) for span in spans])

        found: _Batch = await self.read(collect)
        return found

    async def _remember(self, spans: Sequence[ExportedSpan], over: Sequence[str]) -> None:
        """Store, in one transaction, the sent spans and the position in the change feed before the
        first trace that still waits; `over` are the traces that are done."""
        keys = [exported.span.key for exported in spans]
        left = set(over)
        firsts = [entry.first for id_, entry in self._waiting.items() if id_ not in left]
        position = min(firsts) - 1 if firsts else self._read_to or 0
        await self.store.transaction(lambda db, _: queue.mark_sent(db, keys, position))
        for trace_id in over:
            del self._waiting[trace_id]


def _pieces(spans: Sequence[T]) -> list[Sequence[T]]:
    return [spans[at : at + SPANS_AT_ONCE] for at in range(0, len(spans), SPANS_AT_ONCE)]


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

    def _pause(self) -> float:
        return EVERY_SECONDS

    async def _last_round(self, session: ClientSession) -> None:
        with suppress(Exception):
            async with asyncio.timeout(STOP_SECONDS):
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
