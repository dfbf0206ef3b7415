"""Parts of the configuration that several packages read: `[live]`, `[export]`, `[[notify]]`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from vs_tui.model.time import DAY, HOUR, MINUTE, Duration


@dataclass(frozen=True, slots=True)
class Thresholds:
    """`[live]`: when Live calls a trace long or quiet, and how long it lists a finished one."""

    long: float = 1.5
    """A step is long from this multiple of its usual duration."""
    quiet: Duration = 14 * DAY
    """A waiting trace is quiet after this time without an event."""
    finished_for: Duration = 2 * HOUR
    """How long a finished trace is listed."""
    axis_breaks: int = 5
    """Most breaks on the time axis of a trace."""


DEFAULT_THRESHOLDS: Final = Thresholds()

SIGNALS: Final = ("traces", "metrics")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """`[export]`: which traces and metrics are sent, and where to. Nothing is sent while `otlp` is
    empty."""

    otlp: str = ""
    """Base URL of an OTLP/HTTP collector, such as http://collector:4318; empty for none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Headers sent with every request; they may hold a secret."""
    settle: Duration = MINUTE
    """How long a trace must have been finished and unchanged before it is sent."""
    signals: tuple[str, ...] = SIGNALS
    filter: str = ""
    """A filter: only traces with a matching span are sent; empty sends all."""
    service_name: str = "vs-tui"
    """The `service.name` of exported metrics."""
    environment: str = ""
    """The `deployment.environment.name` of exported metrics: where this receiver runs."""

    @property
    def resource(self) -> Mapping[str, str]:
        """Further resource attributes of exported metrics."""
        return {
            "service.name": self.service_name,
            "deployment.environment.name": self.environment,
        }


EVENTS: Final[Mapping[str, str]] = {
    "started": "kind:incident",
    "failed": "kind:deploy is:production",
    "recovered": "is:production",
    "ended": "kind:deploy is:production",
    "waiting": "step:review wait>1d",
    "regressed": "",
    "goal_missed": "",
}
"""Event -> its default filter. `regressed` and `goal_missed` are about teams."""
FORMATS: Final = ("slack", "teams", "discord", "json", "desktop", "command")


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """One `[[notify]]` table."""

    on: tuple[str, ...]
    """Names of EVENTS."""
    format: str
    """One of FORMATS."""
    url: str = field(default="", repr=False)
    """Where notifications are posted; it may hold a secret."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    """Command to run in place of a request; title and text are its last two arguments."""
    filter: str = ""
    """A filter; empty means the event's default."""

    @property
    def target(self) -> str:
        """Identifies the receiver of notifications without its secret. Rules with the same target
        send a notification once."""
        told = "\n".join((self.format, self.url, *self.command))
        return sha256(told.encode()).hexdigest()[:16]

    def filter_of(self, event: str) -> str:
        return self.filter or EVENTS[event]
