"""The dashboard's cards out of the read models."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Final, Protocol, TypeVar

from vs_tui.config import Config
from vs_tui.domain.cards import Card, cards_of
from vs_tui.domain.instants import DAY, Duration, Instant
from vs_tui.domain.metrics.windows import Window
from vs_tui.store.metrics import read_scorecards
from vs_tui.store.zones import configured_zone

T = TypeVar("T")
DEFAULT_WINDOW: Final = 30 * DAY


class Runs(Protocol):
    """A reader that runs functions on its connection."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


async def read_cards(
    reader: Runs, config: Config, team: str, window: Duration, now: Instant
) -> Sequence[Card]:
    """Cards of every team, or of one; without teams, of all deployments."""
    whole = window_back(config, window, now)
    found = await reader.run(lambda db: read_scorecards(db, whole, teams=config.teams, team=team))
    return [card for scorecard in found for card in cards_of(scorecard.name, scorecard.figures)]


def window_back(config: Config, length: Duration, now: Instant) -> Window:
    """The window that ends now; 30 days when no length is given."""
    return Window(now - (length or DEFAULT_WINDOW), now, now, configured_zone(config))
