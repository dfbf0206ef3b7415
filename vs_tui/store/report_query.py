"""What is asked of a report: whose, when, grouped how, in which time zone."""

from __future__ import annotations

from dataclasses import dataclass

from vs_tui.config import Config
from vs_tui.metrics.windows import Window, window_of
from vs_tui.model.time import Instant
from vs_tui.store.zones import configured_zone

DEFAULT_SINCE = "30d"


@dataclass(frozen=True, slots=True)
class Asked:
    """As people write it, on a command line or in a query string."""

    since: str = ""
    until: str = ""
    team: str = ""
    by: str = ""
    tz: str = ""
    by_period: str = ""
    """`week` or `month`: the same for each of these of the window."""

    def window(self, config: Config, now: Instant) -> Window:
        """ValueError says what is accepted."""
        zone = configured_zone(config, self.tz)
        return window_of(self.since or DEFAULT_SINCE, self.until, now, zone)

    def check_team(self, config: Config, known: list[str]) -> None:
        """ValueError when nobody is called so: a typing error must not look like a quiet team."""
        names = list(dict.fromkeys([*config.teams.names, *known]))
        if self.team and self.team not in names:
            listed = ", ".join(names) or "none is configured; see [teams] in the configuration"
            raise ValueError(f"there is no team '{self.team}'; teams: {listed}")
