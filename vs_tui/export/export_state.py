"""What an exporter did, for /metrics, doctor and the Sources view."""

from __future__ import annotations

from dataclasses import dataclass

from vs_tui.model.time import Instant


@dataclass
class ExportState:
    """What the exporter did, for /metrics, doctor and the Sources view."""

    sent: int = 0
    refused: int = 0
    """Spans that the collector refused for good."""
    waiting: int = 0
    """Traces read from the feed and not over or not sent yet."""
    trouble: str = ""
    """Why the last request failed; empty when it was accepted."""
    trouble_since: Instant | None = None
