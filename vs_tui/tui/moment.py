"""What the reader answers, as it was at the moment the screen is frozen at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from vs_tui.domain.instants import Instant
from vs_tui.domain.past import all_as_of, as_of
from vs_tui.store.api import DeliveryRow, Trace, TraceSummary


def trace_at(trace: Trace, at: Instant | None) -> Trace | None:
    """The trace without what began later; None when all of it did."""
    if at is None:
        return trace
    spans = all_as_of(trace.spans, at)
    if not spans:
        return None
    root = next((span for span in spans if span.key == trace.root.key), spans[0])
    return replace(trace, root=root, spans=spans, linked=all_as_of(trace.linked, at))


def summaries_at(summaries: Sequence[TraceSummary], at: Instant | None) -> Sequence[TraceSummary]:
    """Traces that had begun. One that has ended since was in flight, with one span at least."""
    if at is None:
        return summaries
    return [_summary_at(summary, at) for summary in summaries if summary.started_at <= at]


def _summary_at(summary: TraceSummary, at: Instant) -> TraceSummary:
    root = as_of(summary.root, at)
    if summary.ended_at is None or summary.ended_at <= at:
        return replace(summary, root=root)
    return replace(summary, root=root, ended_at=None, in_flight=1)


def deliveries_at(rows: Iterable[DeliveryRow], at: Instant | None) -> Sequence[DeliveryRow]:
    """Deliveries that had arrived."""
    return [row for row in rows if at is None or row.received_at <= at]
