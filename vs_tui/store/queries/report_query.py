"""The parameters of a report: team, time range, grouping and time zone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import datetime, tzinfo
from pathlib import Path

from vs_tui.config import Config
from vs_tui.metrics.windows import Window, window_of, zone_of
from vs_tui.model.time import Instant

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


def local_zone() -> tzinfo:
    """The zone from `TZ`, else from /etc/localtime; today's offset if neither names one."""
    linked = os.path.realpath("/etc/localtime")
    for name in (os.environ.get("TZ", "").lstrip(":"), linked.partition("zoneinfo/")[2]):
        try:
            if name and not Path(name).is_absolute():
                return zone_of(name)
        except ValueError:
            continue
    offset = datetime.now().astimezone().tzinfo
    return offset if offset is not None else zone_of("")


def configured_zone(config: Config, name: str = "") -> tzinfo:
    """The requested zone, else the configured one, else this machine's. ValueError as zone_of."""
    return zone_of(name or config.zone) if name or config.zone else local_zone()
