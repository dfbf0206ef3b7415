"""Grafana Alerting: its webhook contact point, with Grafana's HMAC signature or vs-tui's token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vs_tui.sources.alertmanager import read_alerts
from vs_tui.sources.base import Inbound, Parsed, Source
from vs_tui.sources.signatures import require_fresh, require_hmac_hex

TIMESTAMP_HEADER: Final = "x-grafana-alerting-timestamp"
"""The name to configure as the contact point's timestamp header; Grafana has no default."""


class Grafana(Source):
    """Grafana's webhook contact point."""

    name = "grafana"
    only_incidents = True
    title = "Grafana"
    signature_headers = ("x-grafana-alerting-signature",)
    token_in_url = True
    stored_headers = (TIMESTAMP_HEADER, "user-agent")

    def verify(self, inbound: Inbound, secrets: Sequence[bytes]) -> None:
        """Require the hex HMAC-SHA256 of the body, or of `timestamp:body` if a timestamp is
        sent."""
        message, timestamp = inbound.body, inbound.header(TIMESTAMP_HEADER)
        if timestamp:
            require_fresh(timestamp, inbound.received_at, "X-Grafana-Alerting-Timestamp")
            message = timestamp.encode() + b":" + message
        given = inbound.header("x-grafana-alerting-signature")
        require_hmac_hex([given], message, secrets, "X-Grafana-Alerting-Signature")

    def parse(self, inbound: Inbound) -> Parsed:
        return read_alerts(self.name, inbound)


SOURCE: Final = Grafana()
