"""Keeps the totals of `metrics/counters` up to date for those who ask: /metrics and OTLP."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic

from vs_tui.export.otlp_exporter import Read, Store
from vs_tui.metrics.counters import Total
from vs_tui.metrics.rules import MetricRules
from vs_tui.model.time import Instant
from vs_tui.store import counted


@dataclass
class DeliveryTotals:
    """Reads the change feed only when asked, so it costs nothing while nobody asks."""

    read: Read
    store: Store
    clock: Callable[[], Instant]
    rules: MetricRules
    _read_to: int | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def totals(self, seconds: float = 2.0) -> Sequence[Total] | None:
        """All totals; None while more is to be counted than fits in so many seconds. The next call
        goes on from there: partial totals would look like a sudden rise later."""
        async with self._lock:
            if not await self._catch_up(monotonic() + seconds):
                return None
            found: Sequence[Total] = await self.read(counted.read_totals)
            return found

    async def since(self) -> Instant:
        """When counting began."""
        found: Instant = await self.read(counted.read_since)
        return found

    async def _catch_up(self, deadline: float) -> bool:
        if self._read_to is None:
            self._read_to = await self.read(counted.read_position)
        while True:
            read = partial(counted.read_changes, after=self._read_to, rules=self.rules)
            reading: counted.Reading = await self.read(read)
            if reading.counts or reading.more:
                try:
                    await self._keep(reading)
                except BaseException:
                    self._read_to = None  # what was not kept is read again
                    raise
            self._read_to = reading.read_to
            if not reading.more:
                return True
            if monotonic() >= deadline:
                return False

    async def _keep(self, reading: counted.Reading) -> None:
        now = self.clock()

        def keep(db: sqlite3.Connection, _: object) -> None:
            counted.keep_counts(db, reading.counts)
            counted.keep_position(db, reading.read_to, now)

        await self.store.transaction(keep)
