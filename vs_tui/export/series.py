"""Series of /metrics that are computed on request: the five metrics, and the counters with
em-metrics' names. Each scraper gets a new series at 0 first."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from vs_tui.export.sending import Read, Store
from vs_tui.metrics.cards import measured
from vs_tui.metrics.counters import INSTRUMENTS, OTHER, Count, Labels, Total
from vs_tui.metrics.definitions import METRICS, Figure, Unit
from vs_tui.metrics.report import Scorecard
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.time import DAY, Duration, Instant
from vs_tui.store import counter_totals as totals

RECENT: Final[Duration] = 7 * DAY
"""Verdicts of at least this time back are read again whenever a span changed."""
FACTS_AT_ONCE: Final[Duration] = 30 * DAY
END: Final[Instant] = 1 << 62


@dataclass
class CounterTotals:
    """Counts totals from the change feed. It reads the feed only on request, so it costs
    nothing while nothing reads the totals."""

    read: Read
    store: Store
    clock: Callable[[], Instant]
    rules: MetricRules
    _read_to: int | None = None
    _facts_from: Instant | None = None
    """Where to continue reading verdicts; None if they are all read."""
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def totals(self, seconds: float = 2.0) -> Sequence[Total] | None:
        """All totals; None if counting takes longer than `seconds`. The next call then continues.
        Partial totals are never returned: they would look like a sudden rise later."""
        async with self._lock:
            if not await self._catch_up(monotonic() + seconds):
                return None
            found: Sequence[Total] = await self.read(totals.read_totals)
            return found

    async def since(self) -> Instant:
        """When counting began."""
        found: Instant = await self.read(totals.read_since)
        return found

    async def _catch_up(self, deadline: float) -> bool:
        if self._read_to is None:
            self._read_to = await self.read(totals.read_position)
            # Verdicts may have changed without a change of their span.
            self._facts_from = await self.read(totals.first_fact)
        try:
            return await self._count(self._read_to, deadline)
        except BaseException:
            self._read_to = None  # read uncommitted counts again
            raise

    async def _count(self, read_to: int, deadline: float) -> bool:
        while True:
            read = partial(totals.read_changes, after=read_to, rules=self.rules)
            reading: totals.NewCounts = await self.read(read)
            if reading.since is not None:
                recent = min(reading.since, self.clock() - RECENT)
                self._facts_from = min(recent, self._facts_from or recent)
            if reading.counts or reading.more:
                await self._keep(reading.counts, reading.read_to)
            self._read_to = read_to = reading.read_to
            if not reading.more:
                break
            if monotonic() >= deadline:
                return False
        # A time after now comes from a wrong clock.
        while self._facts_from is not None:
            since, until = self._facts_from, self._facts_from + FACTS_AT_ONCE
            last = until > self.clock()
            bound = END if last else until
            found = await self.read(partial(totals.read_facts, since=since, until=bound))
            if found:
                await self._keep(found, read_to)
            self._facts_from = None if last else until
            if monotonic() >= deadline and not last:
                return False
        return True

    async def _keep(self, counts: Sequence[Count], position: int) -> None:
        now = self.clock()

        def keep(db: sqlite3.Connection, _: object) -> None:
            totals.keep_counts(db, counts)
            totals.keep_position(db, position, now)

        await self.store.transaction(keep)


GROUPS: Final = ("team", "project", "service", "environment")
"""Groupings of the five metrics; each sample has the label of its group."""
MOST_GROUPS: Final = 50
"""Most projects, services and environments, chosen by number of deployments; the rest is
`other`."""


YOUNG_SECONDS: Final = 120.0
"""A scraper that first connects within this time after the start has missed nothing; the usual
scrape interval is a minute."""
MOST_SCRAPERS: Final = 16
"""Most scrapers that are remembered; the one with the oldest scrape is forgotten first."""

Series = tuple[str, ...]
"""Name of the family, and values of the labels; all buckets of a histogram are one series."""


def _families() -> dict[str, Metric]:
    """One family per metric and per 90th percentile, and the families of counts beside them."""
    listed = METRICS.values()
    texts = {
        **{metric.key: f"{metric.about}, last 30 days" for metric in listed},
        **{f"{m.key}_p90": f"90th percentile of {m.key}" for m in listed if "p90" in m.tells},
        "failures_open": "Failures that are not over",
        "n": "What a metric stands on: deployments, changes or failures",
    }
    return {name: Metric(f"vs_dora_{name}", text, "gauge") for name, text in texts.items()}


class DoraGauges:
    """`vs_dora_*`: the five metrics over the last 30 days. A missing value has no sample, because 0
    would be a value."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._cards: Sequence[Scorecard] = ()
        registry.register(self)

    def show(self, cards: Sequence[Scorecard]) -> None:
        """Set the cards of all GROUPS."""
        self._cards = cards

    def collect(self) -> Iterator[Metric]:
        """The gauge families; called by the registry."""
        families = _families()

        def add(name: str, labels: dict[str, str], value: float | None) -> None:
            if value is not None:
                families[name].add_sample(f"vs_dora_{name}", labels, value)

        for card, shown in _shown(self._cards):
            for figure in card.values():
                name = figure.definition.key
                add(name, shown, measured(figure, figure.value))
                add("n", {**shown, "metric": name}, figure.n)
                if "p90" in figure.definition.tells:
                    add(f"{name}_p90", shown, measured(figure, figure.p90))
            add("failures_open", shown, card["restore"].open)
        yield from families.values()


def _shown(
    cards: Sequence[Scorecard],
) -> Iterator[tuple[Mapping[str, Figure], dict[str, str]]]:
    """The figures of each group with their labels; the groups with fewest deployments are
    merged."""
    for by in ("all", *GROUPS):
        own = [card for card in cards if card.by == by]
        if by in ("project", "service", "environment"):
            own.sort(key=lambda card: (-card.figures["deploys"].n, card.name))
        most = len(own) if by in ("all", "team") else MOST_GROUPS
        label = "team" if by == "all" else by
        for card in own[:most]:
            yield card.figures, {label: card.name}
        if rest := own[most:]:
            yield _together([card.figures for card in rest]), {label: OTHER}


def _together(cards: Sequence[Mapping[str, Figure]]) -> dict[str, Figure]:
    """Merge groups into one: counts and shares are combined; medians cannot be and are left out."""
    found = {}
    for short, metric in METRICS.items():
        figures = [card[short] for card in cards]
        n, hits = sum(f.n for f in figures), sum(f.hits for f in figures)
        value = None
        if metric.unit is Unit.PER_DAY:
            value = sum(f.value or 0.0 for f in figures)
        elif n and metric.hits:
            value = hits / n
        still = sum(f.open for f in figures)
        found[short] = Figure(short, value, n, hits=hits, open=still)
    return found


_MILLISECONDS: Final = 60_000.0
"""In a minute."""
_ALSO: Final[Mapping[str, tuple[str, float]]] = {
    "change_failure_count": ("change_failure_count_deployment", 1.0),
    "pull_request_opened_count": ("pull_request_opened_count_pull_requests", 1.0),
    "pull_request_merged_count": ("pull_request_merged_count_pull_requests", 1.0),
    "pull_request_closed_count": ("pull_request_closed_count_pull_requests", 1.0),
    "time_per_ticket": ("time_per_ticket_minute", 1.0),
    "lead_time_for_changes": ("lead_time_for_changes_millisecond", _MILLISECONDS),
    "time_to_restore": ("time_to_restore_millisecond", _MILLISECONDS),
}
"""Name -> (additional name, factor). em-metrics' recording rules read the additional names, which
its collector produced."""
COUNTER_FAMILIES: Final = frozenset({*INSTRUMENTS, *(name for name, _ in _ALSO.values())})


class CounterSeries:
    """em-metrics' counters and histograms."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._totals: Sequence[Total] = ()
        registry.register(self)

    def show(self, totals: Sequence[Total]) -> None:
        """Set all totals."""
        self._totals = totals

    def collect(self) -> Iterator[Metric]:
        """The families; called by the registry. Counters exist at 0 before anything is counted."""
        by_name: dict[str, list[Total]] = {name: [] for name in INSTRUMENTS}
        for total in self._totals:
            by_name[total.name].append(total)
        for name, found in by_name.items():
            totals = found
            if not found and not INSTRUMENTS[name].bounds:
                totals = [Total(name, Labels())]
            yield _family(name, name, totals)
            if name in _ALSO:
                yield _family(name, _ALSO[name][0], totals, _ALSO[name][1])


def _family(name: str, shown: str, totals: Iterable[Total], factor: float = 1.0) -> Metric:
    instrument = INSTRUMENTS[name]
    names = [n for n in Labels._fields if n != "ticket_type" or name == "time_per_ticket"]
    if not instrument.bounds:
        counter = CounterMetricFamily(shown, instrument.text, labels=names)
        for total in totals:
            counter.add_metric(total.labels[: len(names)], total.n)
        return counter
    histogram = HistogramMetricFamily(shown, instrument.text, labels=names)
    edges = [*(f"{bound * factor:.1f}" for bound in instrument.bounds), "+Inf"]
    for total in totals:
        below, buckets = 0, []
        for edge, n in zip(edges, total.buckets, strict=True):
            below += n
            buckets.append((edge, below))
        histogram.add_metric(total.labels[: len(names)], buckets, total.sum * factor)
    return histogram


@dataclass
class NewSeries:
    """Remembers which series each scraper has seen, so that it gets a new one at 0 first and at its
    value from the next scrape.

    `increase()` compares samples, so it ignores a series whose first sample is 1: the first
    deployment of a new project would not count. If a scraper first connects when the process has
    run for long, it gets the values at once: after a 0 the whole past would look like a rise.
    """

    lasting: Collection[str]
    """Families whose values are stored in the database and survive a restart."""
    clock: Callable[[], float] = monotonic
    is_new: bool = False
    """Whether the database was empty when the process started."""
    _began: float = field(init=False)
    _scrapes: int = field(default=0, init=False)
    _first: dict[Series, int] = field(default_factory=dict, init=False)
    """Series -> number of the first scrape that contained it."""
    _last: dict[str, int] = field(default_factory=dict, init=False)
    """Scraper -> number of its last scrape."""

    def __post_init__(self) -> None:
        self._began = self.clock()

    def of(self, scraper: str) -> Callable[[Metric], None]:
        """Begin a scrape; returns the function that sets new series of a family to 0. `scraper` is
        any text that identifies the scraper."""
        self._scrapes += 1
        now, before = self._scrapes, self._last.pop(scraper, None)
        young = self.clock() - self._began <= YOUNG_SECONDS
        self._last[scraper] = now
        if len(self._last) > MOST_SCRAPERS:
            del self._last[next(iter(self._last))]

        def show(metric: Metric) -> None:
            if metric.type not in ("counter", "histogram"):
                return
            seen = before
            if seen is None:
                begins = young and (self.is_new or metric.name not in self.lasting)
                seen = 0 if begins else now
            for number, sample in enumerate(metric.samples):
                first = self._first.setdefault((metric.name, *_values(sample.labels)), now)
                if first > seen and sample.value:
                    metric.samples[number] = _at_0(sample)

        return show


def _values(labels: Mapping[str, str]) -> list[str]:
    return [value for name, value in labels.items() if name != "le"]


def _at_0(sample: Sample) -> Sample:
    return sample._replace(value=0.0)
