"""/metrics: ValueStream's metric names, so that its Grafana dashboard works, and our own.

Counters begin at 0 with the process, as Prometheus expects.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily

from vs_tui.export.export_state import ExportState
from vs_tui.export.report_json import measured
from vs_tui.metrics.dora import METRICS
from vs_tui.metrics.report import Scorecard
from vs_tui.model.vocabulary import Operation
from vs_tui.store.span_folding import Change
from vs_tui.store.storage_errors import free_bytes, sizes

MOST_OPERATIONS: Final = 200
"""Operations that are counted each by itself: a sender may name as many as it likes, and a series
stays in memory, here and in Prometheus. The others are counted together, as `other`."""
_MILLISECOND: Final = 1_000
"""In the microseconds of our durations."""
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 60 * _MINUTE_MS
_BUCKETS: Final = (
    *(0, 30 * _MINUTE_MS, 60 * _MINUTE_MS, 3 * 60 * _MINUTE_MS, 6 * 60 * _MINUTE_MS),
    *(12 * 60 * _MINUTE_MS, _DAY_MS, 3 * _DAY_MS, 7 * _DAY_MS, 14 * _DAY_MS, 21 * _DAY_MS),
    30 * _DAY_MS,
)
"""Milliseconds, as ValueStream has them: its dashboard reads this metric in that unit."""
_THEIR_NAMES: Final = {"customhttp": "custom_http"}
"""Sources whose label ValueStream spells otherwise."""

_DORA: Final[Sequence[tuple[str, str, Sequence[str]]]] = (
    ("deployment_frequency", "Successful production deployments a day, last 30 days", ()),
    ("change_lead_time", "Median seconds from a change's begin to production", ()),
    ("change_lead_time_p90", "90th percentile of the same", ()),
    ("change_fail_rate", "Share of the deployments that failed", ()),
    ("failed_deployment_recovery_time", "Median seconds until a failure was over", ()),
    ("failed_deployment_recovery_time_p90", "90th percentile of the same", ()),
    ("deployment_rework_rate", "Share of the deployments made to repair", ()),
    ("failures_open", "Failures that are not over", ()),
    ("n", "What a metric stands on: deployments, changes or failures", ("metric",)),
)


class Totals:
    """A counter whose values are counted elsewhere, such as in the database."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._values: dict[tuple[str, ...], float] = {}
        registry.register(self)

    def set(self, value: float, *labels: str) -> None:
        self._values[labels] = value

    def collect(self) -> Iterator[CounterMetricFamily]:
        """For the registry."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


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
            "Duration of ended spans in milliseconds",
            [*labels, "error"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # Finding a series by its labels costs more than counting in it.
        self._operations = {operation.value for operation in Operation}
        self._begun = cache(self.started.labels)
        self._over = cache(self.ended.labels)
        self._lasted = cache(self.duration.labels)
        self.in_flight = Gauge(
            "traces_stores_buffered_spans_total", "Spans in flight", registry=self.registry
        )
        self.deliveries = Totals(
            "vs_deliveries", "Deliveries by verdict", ("source", "verdict"), self.registry
        )
        self.waiting = Gauge(
            "vs_commit_queue", "Deliveries that wait for their commit", registry=self.registry
        )
        self.behind = Gauge(
            "vs_projection_behind",
            "Deliveries that are stored and not folded yet",
            registry=self.registry,
        )
        self.lag = Gauge(
            "vs_projection_lag_seconds",
            "Seconds since the oldest delivery that is not folded was stored",
            registry=self.registry,
        )
        self.ready = Gauge("vs_ready", "1 when deliveries can be stored", registry=self.registry)
        self.database = Gauge("vs_database_bytes", "The database file", registry=self.registry)
        self.wal = Gauge("vs_wal_bytes", "Its write-ahead log", registry=self.registry)
        self.free = Gauge("vs_free_bytes", "Free on the database's disk", registry=self.registry)
        self.connections = Gauge("vs_connections", "Open HTTP connections", registry=self.registry)
        self.malformed = Totals(
            "vs_malformed_requests", "Requests that were no HTTP", (), self.registry
        )

        self._dora = {
            name: Gauge(f"vs_dora_{name}", text, ["team", *more], registry=self.registry)
            for name, text, more in _DORA
        }

    def show_export(self, state: ExportState) -> None:
        """Count what an OTLP exporter sends, from now on."""
        spans = Gauge(
            "vs_export_spans",
            "Spans sent to the OTLP collector since the start",
            ["result"],
            registry=self.registry,
        )
        spans.labels("sent").set_function(lambda: state.sent)
        spans.labels("refused").set_function(lambda: state.refused)
        waiting = Gauge(
            "vs_export_waiting_traces",
            "Traces that are not over, not settled or not sent yet",
            registry=self.registry,
        )
        waiting.set_function(lambda: state.waiting)
        up = Gauge(
            "vs_export_up", "1 while the OTLP collector takes traces", registry=self.registry
        )
        up.set_function(lambda: 0 if state.trouble else 1)

    def show_storage(self, database: Path) -> None:
        """Sizes of the file and its WAL, and the space on their disk (NaN: it does not tell)."""
        size, wal = sizes(database)
        self.database.set(size)
        self.wal.set(wal)
        try:
            self.free.set(free_bytes(database))
        except OSError:
            self.free.set(math.nan)

    def show_dora(self, cards: Sequence[Scorecard]) -> None:
        """The five metrics of every team over the last 30 days. What is missing has no sample:
        a 0 would be a value."""
        for gauge in self._dora.values():
            gauge.clear()
        for card in cards:
            for metric, figure in card.figures.items():
                self._set(METRICS[metric], measured(figure, figure.value), card.name)
                self._dora["n"].labels(card.name, METRICS[metric]).set(figure.n)
            lead, restore = card.figures["lead"], card.figures["restore"]
            self._set("change_lead_time_p90", measured(lead, lead.p90), card.name)
            self._set(
                "failed_deployment_recovery_time_p90", measured(restore, restore.p90), card.name
            )
            self._dora["failures_open"].labels(card.name).set(restore.open)

    def _set(self, name: str, value: float | None, team: str) -> None:
        if value is not None:
            self._dora[name].labels(team).set(value)

    def observe(self, changes: Sequence[Change]) -> None:
        """Count what a commit began and ended."""
        for change in changes:
            old, new = change.old, change.new
            source = _THEIR_NAMES.get(new.source, new.source)
            labels = (source, self._counted_as(new.operation))
            if old is None:
                self._begun(*labels).inc()
            if not new.in_flight and (old is None or old.in_flight):
                error = str(new.status.failed).lower()
                self._over(*labels, error).inc()
                if new.duration is not None:
                    self._lasted(*labels, error).observe(new.duration / _MILLISECOND)

    def _counted_as(self, operation: str) -> str:
        if operation not in self._operations and len(self._operations) < MOST_OPERATIONS:
            self._operations.add(operation)
        return operation if operation in self._operations else "other"

    def render(self) -> bytes:
        """The text exposition format."""
        return generate_latest(self.registry)
