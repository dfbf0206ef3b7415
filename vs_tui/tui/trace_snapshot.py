"""What the reader answers, as it was at the moment the screen is frozen at."""

from __future__ import annotations

from dataclasses import replace

from vs_tui.model.time import Instant
from vs_tui.store.reader_protocol import Trace
from vs_tui.traces.past import all_as_of


def trace_at(trace: Trace, at: Instant | None) -> Trace | None:
    """The trace without what began later; None when all of it did."""
    if at is None:
        return trace
    spans = all_as_of(trace.spans, at)
    if not spans:
        return None
    root = next((span for span in spans if span.key == trace.root.key), spans[0])
    return replace(trace, root=root, spans=spans, linked=all_as_of(trace.linked, at))
