"""A series that Prometheus has not seen is 0 in the first scrape that has it.

`increase()` compares samples: of a series whose first sample is 1 it knows no rise, and the first
deployment of a new project would count for nothing. So each scraper sees a new series at 0 once,
and its value from the next scrape on. What a scraper sees first of a process that has run for long
is the value: a 0 before it would make a rise of the whole past.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

YOUNG_SECONDS: Final = 120.0
"""Who scrapes first within this time has missed nothing: the usual interval is a minute."""
MOST_SCRAPERS: Final = 16
"""Scrapers that are told apart; the one that was away longest is forgotten."""

Series = tuple[str, ...]
"""Its family and the values of its labels; all buckets of a histogram are one series."""


@dataclass
class NewSeries:
    """Remembers what each scraper has seen."""

    lasting: Collection[str]
    """Families whose values outlive the process: they begin with the database, not with it."""
    clock: Callable[[], float] = monotonic
    is_new: bool = False
    """Whether the database was empty when the process began."""
    _began: float = field(init=False)
    _scrapes: int = field(default=0, init=False)
    _first: dict[Series, int] = field(default_factory=dict, init=False)
    """The number of the scrape that had a series first."""
    _last: dict[str, int] = field(default_factory=dict, init=False)
    """The number of a scraper's last scrape."""

    def __post_init__(self) -> None:
        self._began = self.clock()

    def of(self, scraper: str) -> Callable[[Metric], None]:
        """One scrape: what to do with each family. `scraper` is whatever tells it from others."""
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
