"""The DORA cards of the dashboard, from the spans at hand."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from vs_tui.config import Config
from vs_tui.domain.cards import Card
from vs_tui.domain.instants import Duration, Instant

T = TypeVar("T")


class Runs(Protocol):
    """A reader that runs functions on its connection."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


async def read_cards(
    reader: Runs, config: Config, team: str, window: Duration, now: Instant
) -> Sequence[Card]:
    """Cards of all teams, or of one; nothing yet."""
    return ()
