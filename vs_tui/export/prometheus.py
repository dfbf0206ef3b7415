"""`GET /metrics`: ValueStream's metric names, so that its Grafana dashboard works, and our own.

Counters start at 0 with the process, as Prometheus expects.
"""

from __future__ import annotations

import asyncio
import math
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Final, Protocol

from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vs_tui.export.series import (
    COUNTER_FAMILIES,
    GROUPS,
    CounterSeries,
    CounterTotals,
    DoraGauges,
    NewSeries,
)
from vs_tui.log.append_queue import Unavailable
from vs_tui.metrics.counters import OTHER
from vs_tui.model.vocabulary import Operation, Verdict
from vs_tui.sources.dispatch import sources
from vs_tui.store.counter_totals import recent_series
from vs_tui.store.export_queue import ExportState
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Asked, Reports
from vs_tui.store.storage_errors import free_bytes, sizes
from vs_tui.store.writer import Writer

MOST_OPERATIONS: Final = 200
"""Most operations with a series of their own; the rest is counted as `other`. Senders can name any
number of operations, and each series stays in memory, here and in Prometheus."""
DEFAULT_NAMESPACE: Final = "default"
"""The project of a custom event that names none; shown without a project, as in ValueStream."""
MOST_PROJECTS: Final = 100
"""Most projects with series of their own; the rest is counted as `other`."""
_MILLISECOND: Final = 1_000
"""In microseconds."""
_MINUTE_MS: Final = 60_000
_DAY_MS: Final = 24 * 60 * _MINUTE_MS
_BUCKETS: Final = (
    *(0, 30 * _MINUTE_MS, 60 * _MINUTE_MS, 3 * 60 * _MINUTE_MS, 6 * 60 * _MINUTE_MS),
    *(12 * 60 * _MINUTE_MS, _DAY_MS, 3 * _DAY_MS, 7 * _DAY_MS, 14 * _DAY_MS, 21 * _DAY_MS),
    30 * _DAY_MS,
)
"""Milliseconds, as in ValueStream, whose dashboard expects this unit."""
_THEIR_NAMES: Final = {"customhttp": "custom_http"}
"""Source -> its label in ValueStream, if that differs."""
_BEGIN_AT_0: Final[Mapping[str, Sequence[Operation]]] = {
    "github": (Operation.ISSUE, Operation.PULL_REQUEST, Operation.PIPELINE, Operation.DEPLOY),
    "gitlab": (Operation.ISSUE, Operation.PULL_REQUEST, Operation.PIPELINE, Operation.DEPLOY),
    "jenkins": (Operation.BUILD, Operation.DEPLOY),
    "jira": (Operation.ISSUE, Operation.SPRINT),
    "customhttp": (Operation.PIPELINE, Operation.BUILD, Operation.TEST, Operation.DEPLOY),
}
"""ValueStream's sources, and the operations that its dashboard and alerts query."""


class StoredCounter:
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
        """The counter family; called by the registry."""
        family = CounterMetricFamily(self._name, self._text, labels=self._labels)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        yield family


class Metrics:
    """The Prometheus metrics of one receiver."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.new = NewSeries({"vs_deliveries", *COUNTER_FAMILIES})
        labels = ["event_source", "event_type", "project"]
        self.started = Counter(
            "webhooks_event_start", "Spans that began", labels, registry=self.registry
        )
        self.ended = Counter(
            "webhooks_event_end", "Spans that ended", [*labels, "error"], registry=self.registry
        )
        # ValueStream's dashboard adds the means of all series. With a series per project, two means
        # of 45 minutes would show as 90, and a series without a value would show as no number.
        self.duration = Histogram(
            "webhooks_event_duration",
            "Duration of ended spans in milliseconds",
            ["event_source", "event_type", "error"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        # Finding a series by its labels costs more than counting in it.
        self._operations = {operation.value for operation in Operation}
        self._begun = cache(self.started.labels)
        self._over = cache(self.ended.labels)
        self._lasted = cache(self.duration.labels)
        gauge = partial(Gauge, registry=self.registry)
        self.in_flight = gauge("traces_stores_buffered_spans_total", "Spans in flight")
        self.deliveries = StoredCounter(
            "vs_deliveries", "Deliveries by verdict", ("source", "verdict"), self.registry
        )
        self.waiting = gauge("vs_commit_queue", "Deliveries that wait for their commit")
        self.behind = gauge("vs_projection_behind", "Deliveries that are stored and not folded yet")
        self.lag = gauge(
            "vs_projection_lag_seconds",
            "Seconds since the oldest delivery that is not folded was stored",
        )
        self.ready = gauge("vs_ready", "1 when deliveries can be stored")
        self.database = gauge("vs_database_bytes", "The database file")
        self.wal = gauge("vs_wal_bytes", "Its write-ahead log")
        self.free = gauge("vs_free_bytes", "Free on the database's disk")
        self.connections = gauge("vs_connections", "Open HTTP connections")
        self.malformed = StoredCounter(
            "vs_malformed_requests", "Requests that were no HTTP", (), self.registry
        )

        self.dora = DoraGauges(self.registry)
        self.counters = CounterSeries(self.registry)
        self._projects: set[str] = set()
        self._exports: dict[str, ExportState] = {}
        self._sent = StoredCounter(
            "vs_export_items",
            "Spans or data points sent to the OTLP collector",
            ("signal", "result"),
            self.registry,
        )
        self._export_up = gauge(
            "vs_export_up", "1 while the OTLP collector takes a signal", ["signal"]
        )
        self._export_waiting = gauge(
            "vs_export_waiting_traces", "Traces that are not over, not settled or not sent yet"
        )

    def begin(self) -> None:
        """Create the series of ValueStream's dashboard at 0."""
        for source, operations in _BEGIN_AT_0.items():
            for operation in operations:
                self._begin(source, operation, "")

    def seed(self, series: Sequence[tuple[str, str, str]]) -> None:
        """Create series of (source, operation, project) at 0, most active first: increase() misses
        the first event of a series that starts at 1."""
        for source, operation, project in series:
            self._begin(source, operation, project)

    def _begin(self, source: str, operation: str, project: str) -> None:
        labels = self._labels(source, operation, project)
        self._begun(*labels)
        for error in ("false", "true"):
            self._over(*labels, error)

    def show_export(self, signal: str, state: ExportState) -> None:
        """Show the state of an OTLP exporter from now on."""
        self._exports[signal] = state

    def show_storage(self, database: Path) -> None:
        """Set the sizes of the database and its WAL, and the free space on their disk (NaN if
        unknown)."""
        size, wal = sizes(database)
        self.database.set(size)
        self.wal.set(wal)
        try:
            self.free.set(free_bytes(database))
        except OSError:
            self.free.set(math.nan)

    def observe(self, changes: Sequence[Change]) -> None:
        """Count the spans that a commit started and ended."""
        for change in changes:
            old, new = change.old, change.new
            labels = self._labels(new.source, new.operation, new.project)
            if old is None:
                self._begun(*labels).inc()
            if not new.in_flight and (old is None or old.in_flight):
                error = str(new.status.failed).lower()
                self._over(*labels, error).inc()
                if new.duration is not None:
                    self._lasted(*labels[:2], error).observe(new.duration / _MILLISECOND)

    def _labels(self, source: str, operation: str, project: str) -> tuple[str, str, str]:
        if project == DEFAULT_NAMESPACE:
            project = ""
        if project and project not in self._projects:
            if len(self._projects) < MOST_PROJECTS:
                self._projects.add(project)
            else:
                project = OTHER
        return _THEIR_NAMES.get(source, source), self._counted_as(operation), project

    def _counted_as(self, operation: str) -> str:
        if operation not in self._operations and len(self._operations) < MOST_OPERATIONS:
            self._operations.add(operation)
        return operation if operation in self._operations else OTHER

    def render(self, scraper: str = "") -> bytes:
        """The metrics in the text exposition format. A named scraper gets new series at 0 first."""
        for signal, state in self._exports.items():
            self._sent.set(state.sent, signal, "sent")
            self._sent.set(state.refused, signal, "refused")
            self._export_up.labels(signal).set(0 if state.trouble else 1)
        if traces := self._exports.get("traces"):
            self._export_waiting.set(traces.waiting)
        return generate_latest(_Shown(self.registry, self.new.of(scraper) if scraper else None))


class _Shown(Collector):
    """The registry as it is sent. Empty labels are left out, because Prometheus treats them as
    missing. Creation times are left out, because the text format would make separate metrics of
    them."""

    def __init__(
        self, registry: CollectorRegistry, new: Callable[[Metric], None] | None = None
    ) -> None:
        self._registry, self._new = registry, new

    def collect(self) -> Iterator[Metric]:
        """The metrics; called by the text format."""
        for metric in self._registry.collect():
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            if self._new is not None:
                self._new(metric)
            for number, sample in enumerate(metric.samples):
                values = sample.labels.values()
                if "" in values or not "".join(values).isprintable():
                    labels = {name: _safe(value) for name, value in sample.labels.items() if value}
                    metric.samples[number] = sample._replace(labels=labels)
            yield metric


def _safe(text: str) -> str:
    """A label's value for a terminal that shows the metrics. Unlike `clean` it keeps different
    names apart, since two series must not have the same labels."""
    shown = (c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
    return "".join(shown)


FEW_SECONDS: Final = 0.2
"""Values that take less than this are read at every scrape."""
TOTALS_SECONDS: Final = 5.0
"""Longest time that an answer waits for the totals of the counters."""


class Connections(Sized, Protocol):
    """The part of the listener that is shown: how many are open, and how many broke HTTP."""

    malformed: int


@dataclass
class MetricsPage:
    """Answers `/metrics`."""

    metrics: Metrics
    reader: SqliteReader
    writer: Writer
    reports: Reports
    totals: CounterTotals
    connections: Callable[[], Connections]
    _dora_due: float = 0.0
    """Time of the next read of the five metrics, on the monotonic clock."""
    _seeded: bool = False
    """Whether the series known to the store are shown."""

    async def answer(self, request: web.Request) -> web.Response:
        shown, connections = self.metrics, self.connections()
        shown.in_flight.set((await self.reader.counts()).in_flight)
        shown.waiting.set(self.writer.waiting)
        shown.behind.set(self.writer.behind)
        shown.lag.set(self.writer.lag)
        shown.ready.set(0 if self.writer.trouble else 1)
        shown.show_storage(self.writer.path)
        shown.connections.set(len(connections))
        shown.malformed.set(connections.malformed)
        # At 0 before the first delivery, so that increase() sees it.
        for name in sources():
            for verdict in Verdict:
                shown.deliveries.set(0, name, verdict.value)
        for health in await self.reader.sources():
            for name, n in health.counts.items():
                shown.deliveries.set(n, health.source, name)
        if not self._seeded:
            shown.seed(await self.reader.run(recent_series))
            self._seeded = True
        await self._show_dora()
        await self._show_counters()
        body = shown.render(_scraper(request))
        return web.Response(body=body, content_type="text/plain", charset="utf-8")

    async def _show_dora(self) -> None:
        """Show the five metrics. In a large database they take a while, so they are read again
        after 50 times as long: frequent scrapes cost at most 2 % of a core."""
        began = time.monotonic()
        if began < self._dora_due:
            return
        self.metrics.dora.show(
            [
                card
                for by in GROUPS
                for card in await self.reports.scorecards(Asked(by=by), beside=False)
            ]
        )
        ended = time.monotonic()
        self._dora_due = ended + 50 * (ended - began) if ended - began > FEW_SECONDS else 0.0

    async def _show_counters(self) -> None:
        """Show the totals of the counters; while they cannot be counted, the last ones stay."""
        if self.writer.trouble:
            return
        with suppress(Unavailable, sqlite3.Error, TimeoutError):
            async with asyncio.timeout(TOTALS_SECONDS):
                if (totals := await self.totals.totals()) is not None:
                    self.metrics.counters.show(totals)


def _scraper(request: web.Request) -> str:
    """Identifies a scraper that keeps samples, by the headers that Prometheus and similar tools
    send; empty for a person with curl."""
    headers = request.headers
    accepted = headers.get("Accept", "")
    keeps = "openmetrics" in accepted or "version=0.0.4" in accepted
    if not keeps and "X-Prometheus-Scrape-Timeout-Seconds" not in headers:
        return ""
    names = (headers.get(name, "") for name in ("X-Forwarded-For", "User-Agent"))
    return " ".join((request.remote or "", *names))
