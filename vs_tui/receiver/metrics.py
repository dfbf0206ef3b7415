"""/metrics: ValueStream's metric names, so that its Grafana dashboard works, and our own.

Counters begin at 0 with the process, as Prometheus expects.
"""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from vs_tui.domain.instants import SECOND
from vs_tui.store.folder import Change

_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 4 * 3600, 86400, 3 * 86400, 7 * 86400)


class Metrics:
    """The registry of one receiver."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ["event_source", "event_type"]
        self.started = Counter(
            "webhooks_event_start", "Spans that began", labels, registry=self.registry
        )
        self.ended = Counter(
            "webhooks_event_end", "Spans that ended", [*labels, "error"], registry=self.registry
        )
        self.duration = Histogram(
            "webhooks_event_duration",
            "Duration of ended spans in seconds",
            [*labels, "error"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.in_flight = Gauge(
            "traces_stores_buffered_spans_total", "Spans in flight", registry=self.registry
        )
        self.deliveries = Gauge(
            "vs_deliveries", "Deliveries by verdict", ["source", "verdict"], registry=self.registry
        )
        self.waiting = Gauge(
            "vs_commit_queue", "Deliveries that wait for their commit", registry=self.registry
        )
        self.ready = Gauge("vs_ready", "1 when deliveries can be stored", registry=self.registry)

    def observe(self, changes: Sequence[Change]) -> None:
        """Count what a commit began and ended."""
        for change in changes:
            old, new = change.old, change.new
            labels = (new.source, new.operation)
            if old is None:
                self.started.labels(*labels).inc()
            if not new.in_flight and (old is None or old.in_flight):
                error = str(new.status.failed).lower()
                self.ended.labels(*labels, error).inc()
                if new.duration is not None:
                    self.duration.labels(*labels, error).observe(new.duration / SECOND)

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
