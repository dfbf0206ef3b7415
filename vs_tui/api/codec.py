"""Spans, traces and deliveries as the JSON that the API and `--json` answer with."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

from vs_tui.model.otlp_ids import otel_span_id, otel_trace_id
from vs_tui.model.time import SECOND, iso
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store.reader_protocol import DeliveryDetail, DeliveryRow, Trace, TraceSummary


def span_json(
    span: Span, links: Iterable[Link] = (), refs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A span in the API's field names; missing values are null, durations are seconds.

    `refs` are the refs of other spans by key: parents and links are named by their ref, as the
    span itself, or by their key where the ref is not known.
    """
    refs = refs or {}
    duration = span.duration
    return {
        "span_id": span.ref,
        "key": span.key,
        "trace_id": span.trace_id,
        "otel_trace_id": otel_trace_id(span.trace_id).hex(),
        "otel_span_id": otel_span_id(span.key).hex(),
        "parent_span_id": refs.get(span.parent_key, span.parent_key) or None,
        "parent_key": span.parent_key or None,
        "operation": span.operation,
        "name": span.name,
        "source": span.source,
        "status": span.status.value,
        "state": span.state.name.lower(),
        "started_at": iso(span.started_at),
        "ended_at": iso(span.ended_at),
        "duration_s": None if duration is None else duration / SECOND,
        "active_s": None if span.active is None else span.active / SECOND,
        "project": span.project or None,
        "team": span.team or None,
        "service": span.service or None,
        "environment": span.environment or None,
        "actor": span.actor or None,
        "url": span.url or None,
        "attempt": span.attempt,
        "last_event_at": iso(span.last_event_at),
        "reopens": span.reopens,
        "stage": span.stage or None,
        "error": span.error or None,
        "attributes": dict(span.attributes),
        "links": [link_json(link, refs) for link in links],
    }


def link_json(link: Link, refs: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A link; both ends by their ref where it is known, else by their key."""
    refs = refs or {}
    return {
        "child": refs.get(link.child, link.child),
        "parent": refs.get(link.parent, link.parent),
        "rule": link.rule.value,
        "confidence": link.confidence,
        "why": link.why,
        "primary": link.primary,
    }


def trace_json(trace: Trace) -> dict[str, Any]:
    """A trace with its spans in time order; parents and links by the spans' refs."""
    refs = {span.key: span.ref for span in (*trace.spans, *trace.linked)}
    by_child: dict[str, list[Link]] = {}
    for link in trace.links:
        by_child.setdefault(link.child, []).append(link)
    return {
        "trace_id": trace.trace_id,
        "root": trace.root.ref,
        "spans": [span_json(span, by_child.get(span.key, ()), refs) for span in trace.spans],
        "links": [link_json(link, refs) for link in trace.links],
        "linked": [span_json(span, refs=refs) for span in trace.linked],
    }


def summary_json(summary: TraceSummary) -> dict[str, Any]:
    return {
        "trace_id": summary.trace_id,
        "root": span_json(summary.root),
        "spans": summary.spans,
        "in_flight": summary.in_flight,
        "failed": summary.failed,
        "started_at": iso(summary.started_at),
        "ended_at": iso(summary.ended_at),
        "last_event_at": iso(summary.last_event_at),
    }


def delivery_json(row: DeliveryRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "kind": row.kind,
        "received_at": iso(row.received_at),
        "verdict": row.verdict.value,
        "reason": row.reason or None,
        "size": row.size,
        "duplicates": row.duplicates,
        "status": row.status,
    }


def delivery_detail_json(detail: DeliveryDetail) -> dict[str, Any]:
    """With the body as text, and in base64 as well when it is no text (protobuf)."""
    body = detail.body.decode("utf-8", "replace")
    binary = body.encode() != detail.body
    return {
        **delivery_json(detail.row),
        "path": detail.path,
        "headers": dict(detail.headers),
        "body": body,
        "body_base64": base64.b64encode(detail.body).decode() if binary else None,
        "sha256": detail.sha256,
        "spans": list(detail.span_refs),
    }
