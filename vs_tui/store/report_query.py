"""The parameters of a report: team, time range, grouping and time zone."""

from __future__ import annotations

from dataclasses import dataclass

from vs_tui.config import Config
from vs_tui.metrics.windows import Window, window_of
from vs_tui.model.time import Instant
from vs_tui.store.zones import configured_zone

DEFAULT_SINCE = "30d"


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters as text, from a command line or a query string."""

    since: str = ""
    until: str = ""
    team: str = ""
    by: str = ""
    tz: str = ""
    by_period: str = ""
    """`week` or `month`: also report each of these periods in the window."""

    def window(self, config: Config, now: Instant) -> Window:
        """The time range. The ValueError says what is accepted."""
        zone = configured_zone(config, self.tz)
        return window_of(self.since or DEFAULT_SINCE, self.until, now, zone)

    def check_team(self, config: Config, known: list[str]) -> None:
        """ValueError if there is no such team, so that a typing error does not look like a quiet
        team."""
        names = list(dict.fromkeys([*config.teams.names, *known]))
        if self.team and self.team not in names:
            listed = ", ".join(names) or "none is configured; see [teams] in the configuration"
            raise ValueError(f"there is no team '{self.team}'; teams: {listed}")
