"""Writes finished spans as OTLP: an `ExportTraceServiceRequest`.

Attribute names and result values follow OpenTelemetry's semantic conventions for CI/CD, VCS and
deployments (https://opentelemetry.io/docs/specs/semconv/cicd/cicd-spans/); attributes of vs-tui
start with `vs.`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.trace.v1 import trace_pb2

from vs_tui import __version__
from vs_tui.model.vocabulary import (
    Link,
    Operation,
    Scalar,
    Span,
    Status,
    otel_span_id,
    otel_trace_id,
)

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
