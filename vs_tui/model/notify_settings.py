"""`[[notify]]` of the configuration: what is told to whom."""

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
"""Event -> its filter, where a rule has none. `regressed` and `goal_missed` are of teams."""
FORMATS: Final = ("slack", "teams", "discord", "json", "desktop", "command")


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """One `[[notify]]`."""

    on: tuple[str, ...]
    """Of EVENTS."""
    format: str
    """Of FORMATS."""
    url: str = field(default="", repr=False)
    """Where it is posted; it may hold a secret."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    """What is run in place of a request; title and text are its last two arguments."""
    filter: str = ""
    """In the filter language; empty for that of the event."""

    @property
    def target(self) -> str:
        """Identifies whom it tells, without the secret: rules with one target tell a thing once."""
        told = "\n".join((self.format, self.url, *self.command))
        return sha256(told.encode()).hexdigest()[:16]

    def filter_of(self, event: str) -> str:
        return self.filter or EVENTS[event]
