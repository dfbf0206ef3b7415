"""The dashboard's cards, and what is behind them."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.config import Config
from vs_tui.domain.cards import Card
from vs_tui.domain.instants import Duration, Instant
from vs_tui.domain.metrics.report import Detail
from vs_tui.store.reports import Reports, Runs


async def read_cards(
    reader: Runs, config: Config, team: str, window: Duration, now: Instant
) -> Sequence[Card]:
    """Cards of every team, or of one, over the time back from `now`."""
    return await Reports(reader, config, lambda: now).cards(team, window)


async def read_card_detail(
    reader: Runs, config: Config, team: str, metric: str, window: Duration, now: Instant
) -> Detail:
    """What is behind a card."""
    return await Reports(reader, config, lambda: now).detail(team, metric, window)
