"""Prometheus Alertmanager: its webhook receiver.

Alertmanager signs nothing; set the bearer token or basic password of its `http_config` to vs-tui's
token.
"""

from __future__ import annotations

from typing import Final

from vs_tui.sources.alerts import read_alerts
from vs_tui.sources.base import Inbound, Parsed, Source


class Alertmanager(Source):
    """Alertmanager's webhook, version 4."""

    name = "alertmanager"
    title = "Alertmanager"
    token_in_url = True

    def parse(self, inbound: Inbound) -> Parsed:
        return read_alerts(self.name, inbound)


SOURCE: Final = Alertmanager()
