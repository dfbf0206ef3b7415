"""Shows a new series to each Prometheus scraper at 0 first, and at its value from the next scrape.

`increase()` compares samples, so it ignores a series whose first sample is 1: the first deployment
of a new project would not count. If a scraper first connects when the process has run for long, it
gets the values at once: after a 0 the whole past would look like a rise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

YOUNG_SECONDS: Final = 120.0
"""A scraper that first connects within this time after the start has missed nothing; the usual
scrape interval is a minute."""
MOST_SCRAPERS: Final = 16
"""Most scrapers that are remembered; the one with the oldest scrape is forgotten first."""

Series = tuple[str, ...]
"""Name of the family, and values of the labels; all buckets of a histogram are one series."""


@dataclass
class NewSeries:
    """Remembers which series each scraper has seen."""

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
