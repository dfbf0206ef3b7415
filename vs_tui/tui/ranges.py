"""The time ranges that `t` goes through; they hold for every view."""

from __future__ import annotations

from typing import Final

from vs_tui.domain.instants import DAY, HOUR, Duration

RANGES: Final[tuple[tuple[str, Duration], ...]] = (
    ("1h", HOUR),
    ("24h", DAY),
    ("7d", 7 * DAY),
    ("30d", 30 * DAY),
    ("all", 0),
)
"""Name as the filter language writes it, and length; 0 for no limit."""
