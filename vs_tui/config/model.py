"""All settings and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vs_tui.config.secrets import Secrets
from vs_tui.log.address import DEFAULT_SCHEMA, LogAddress
from vs_tui.metrics.rules import MetricRules, Service
from vs_tui.model.export_settings import ExportSettings
from vs_tui.model.limits import LOW_SPACE, Limits, Retention
from vs_tui.model.notify_settings import NotifyRule
from vs_tui.model.teams import Environments, Teams
from vs_tui.model.thresholds import DEFAULTS, Thresholds
from vs_tui.model.time import DAY, HOUR, Duration

if TYPE_CHECKING:
    from vs_tui.metrics.goals import Goals

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5000
DEFAULT_TIMEOUTS: Final[Mapping[str, Duration]] = {
    "build": DAY,
    "pipeline": DAY,
    "stage": DAY,
    "test": DAY,
    "deploy": 2 * HOUR,
}

CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "log_level": ("debug", "info", "warning", "error", "critical"),
    "log_format": ("text", "json"),
    "theme": ("auto", "dark", "light", "ansi", "mono"),
}
"""Settings that are one of a few words, in any case."""


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. `origins` says where each came from, for `vs-tui config show`."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    db: Path = Path()
    log: LogAddress | None = None
    """The PostgreSQL log that receivers share; None: the log is in `db`."""
    log_schema: str = DEFAULT_SCHEMA
    public_url: str = ""
    """The URL tools reach us at, when a tunnel or proxy stands in front."""
    no_auth: bool = False
    no_auth_public: bool = False
    """Open also to what comes through a proxy or tunnel, and on addresses that others reach."""
    log_level: str = "info"
    log_format: str = "text"
    metrics_port: int = 0
    """A second port for /metrics without a token; 0: only on the main port, with the token."""
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    """IANA time zone for days and clocks; empty is the machine's."""
    thresholds: Thresholds = DEFAULTS
    """`[live]`: from when on a trace is long, quiet or history."""
    people: bool = True
    """Whether the dashboard names people; roles otherwise."""
    watch_command: str = ""
    teams: Teams = field(default_factory=Teams)
    environments: Environments = field(default_factory=Environments)
    metrics: MetricRules = field(default_factory=MetricRules)
    services: tuple[Service, ...] = ()
    goals: Goals = field(default_factory=dict)
    """Team -> metric -> the value it wants to reach; a goal beats a level."""
    timeouts: Mapping[str, Duration] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    disabled_rules: tuple[str, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Mapped sources as the file has them; `sources.registry` compiles them."""
    export: ExportSettings = field(default_factory=ExportSettings)
    notify: tuple[NotifyRule, ...] = ()
    """Who is told of what."""
    low_space: int = LOW_SPACE
    """Bytes that stay free on the database's disk; below it deliveries get 503."""
    secrets: Secrets = field(default_factory=Secrets)
    path: Path = Path()
    secrets_path: Path = Path()
    origins: Mapping[str, str] = field(default_factory=dict)
