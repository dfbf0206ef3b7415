"""From when on Live calls a trace long, quiet or history: `[live]` of the configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import DAY, HOUR, Duration


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings, with their defaults."""

    long: float = 1.5
    """From this multiple of its usual time on, a step is long."""
    quiet: Duration = 14 * DAY
    """A waiting trace without a sign of life for this long is quiet."""
    finished_for: Duration = 2 * HOUR
    """How long a trace that ended is listed."""
    axis_breaks: int = 5
    """Breaks that the time axis of a trace has at most."""


DEFAULTS: Final = Thresholds()
