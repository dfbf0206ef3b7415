"""`[export]` of the configuration: where traces and metrics are sent, and which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vs_tui.model.time import MINUTE, Duration

SIGNALS: Final = ("traces", "metrics")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """Nothing is sent without `otlp`."""

    otlp: str = ""
    """Base URL of an OTLP/HTTP collector, such as http://collector:4318; empty for none."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request; they may hold a secret."""
    settle: Duration = MINUTE
    """How long a trace must be over and unchanged before it is sent."""
    signals: tuple[str, ...] = SIGNALS
    filter: str = ""
    """Only traces with a span that matches, in the filter language; empty for all."""
    service_name: str = "vs-tui"
    """The `service.name` that metrics are sent under."""
    environment: str = ""
    """Their `deployment.environment.name`: where this receiver itself runs."""

    @property
    def resource(self) -> Mapping[str, str]:
        """Attributes of the resource that metrics are sent under."""
        return {
            "service.name": self.service_name,
            "deployment.environment.name": self.environment,
        }
