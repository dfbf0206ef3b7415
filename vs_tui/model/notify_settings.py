"""`[[notify]]` of the configuration: which events are sent, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

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
