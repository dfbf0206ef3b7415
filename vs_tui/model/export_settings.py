"""`[export]` of the configuration: which traces and metrics are sent, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.time import MINUTE, Duration

SIGNALS: Final = ("traces", "metrics")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """The settings of the export. Nothing is sent while `otlp` is empty."""

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
