"""`[live]` of the configuration: when Live calls a trace long or quiet, and how long it lists a
finished one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import DAY, HOUR, Duration


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The settings, with their defaults."""

    long: float = 1.5
    """A step is long from this multiple of its usual duration."""
    quiet: Duration = 14 * DAY
    """A waiting trace is quiet after this time without an event."""
    finished_for: Duration = 2 * HOUR
    """How long a finished trace is listed."""
    axis_breaks: int = 5
    """Most breaks on the time axis of a trace."""


DEFAULTS: Final = Thresholds()
