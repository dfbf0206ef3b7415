"""This machine's time zone, with its daylight saving rules rather than today's offset."""

from __future__ import annotations

import os
from datetime import datetime, tzinfo
from pathlib import Path

from vs_tui.config import Config
from vs_tui.metrics.windows import zone_of


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
