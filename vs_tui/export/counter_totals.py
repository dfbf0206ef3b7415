"""Keeps the totals of `metrics/counters` up to date for /metrics and OTLP."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import Final

from vs_tui.export.sending import Read, Store
from vs_tui.metrics.counters import Count, Total
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
