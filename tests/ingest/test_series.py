"""How many series /metrics has is not the senders' to say."""

from __future__ import annotations

from vs_tui.export.prometheus import MOST_OPERATIONS, Metrics
from vs_tui.model.vocabulary import Event, Operation, State
from vs_tui.store.span_folding import Change
from vs_tui.traces.folding import fold


def test_operations_beyond_the_first_are_counted_together() -> None:
    metrics = Metrics()
    for name in [*map(str, range(MOST_OPERATIONS)), "deploy"]:
        folded = fold([Event(name, "customhttp", name, State.OK, 1)])
        metrics.observe([Change(None, folded.span, folded, False)])
    lines = metrics.render().decode().splitlines()
    begun = [line for line in lines if line.startswith("webhooks_event_start_total{")]
    started = 'webhooks_event_start_total{event_source="customhttp",event_type="%s"} %d.0'
    assert started % ("0", 1) in begun
    assert started % ("deploy", 1) in begun, "what we know is counted however many others came"
    assert started % ("other", len(Operation)) in begun
    assert len(begun) == MOST_OPERATIONS - len(Operation) + 2
