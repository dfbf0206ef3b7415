"""All settings and their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

from vs_tui.config.secrets import Secrets
from vs_tui.log.address import DEFAULT_SCHEMA, LogAddress
from vs_tui.metrics.rules import MetricRules, Service
from vs_tui.model.limits import DEFAULT_THRESHOLDS, LOW_SPACE, Limits, Retention, Thresholds
from vs_tui.model.teams import Environments, People, Teams
from vs_tui.model.time import DAY, HOUR, MINUTE, Duration

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Goals

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
"""Settings with a few accepted words, in any case."""


SIGNALS: Final = ("traces", "metrics")


@dataclass(frozen=True, slots=True)
class ExportSettings:
    """`[export]`: which traces and metrics are sent, and where to. Nothing is sent while `otlp` is
    empty."""

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


def checked_url(name: str, url: str, example: str = "http://collector:4318") -> str:
    """The URL as written, or an empty text. ValueError names the setting and an example; never the
    URL, which may hold a secret."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_web = False
    if url and not is_web:
        raise ValueError(f"{name} must be a URL such as {example}")
    return url


EVENTS: Final[Mapping[str, str]] = {
    "started": "kind:incident",
    "failed": "kind:deploy is:production",
    "recovered": "is:production",
    "ended": "kind:deploy is:production",
    "waiting": "step:review wait>1d",
    "regressed": "",
    "goal_missed": "",
}
"""Event -> its default filter. `regressed` and `goal_missed` are about teams."""
FORMATS: Final = ("slack", "teams", "discord", "json", "desktop", "command")


@dataclass(frozen=True, slots=True)
class NotifyRule:
    """One `[[notify]]` table."""

    on: tuple[str, ...]
    """Names of EVENTS."""
    format: str
    """One of FORMATS."""
    url: str = field(default="", repr=False)
    """Where notifications are posted; it may hold a secret."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    command: tuple[str, ...] = ()
    """Command to run in place of a request; title and text are its last two arguments."""
    filter: str = ""
    """A filter; empty means the event's default."""

    @property
    def target(self) -> str:
        """Identifies the receiver of notifications without its secret. Rules with the same target
        send a notification once."""
        told = "\n".join((self.format, self.url, *self.command))
        return sha256(told.encode()).hexdigest()[:16]

    def filter_of(self, event: str) -> str:
        return self.filter or EVENTS[event]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. `origins` says where each came from, for `vs-tui config show`."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    db: Path = Path()
    log: LogAddress | None = None
    """The PostgreSQL log that several receivers share; None keeps the log in `db`."""
    log_schema: str = DEFAULT_SCHEMA
    public_url: str = ""
    """The URL at which tools reach this receiver through a tunnel or proxy."""
    no_auth: bool = False
    no_auth_public: bool = False
    """Accept unproven requests through a proxy or tunnel and on public addresses, too."""
    log_level: str = "info"
    log_format: str = "text"
    metrics_port: int = 0
    """A second port that serves /metrics without a token; 0 serves it on the main port with the
    token only."""
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    """IANA time zone for days and clocks; empty is the machine's."""
    thresholds: Thresholds = DEFAULT_THRESHOLDS
    """`[live]`: when a trace is long or quiet, and how long a finished one is listed."""
    people: bool = True
    """Whether the dashboard shows names of people; False shows their roles."""
    watch_command: str = ""
    teams: Teams = field(default_factory=Teams)
    people_names: People = field(default_factory=People)
    """`[people]`: the names of a person in different tools."""
    environments: Environments = field(default_factory=Environments)
    metrics: MetricRules = field(default_factory=MetricRules)
    services: tuple[Service, ...] = ()
    goals: Goals = field(default_factory=dict)
    """Team -> metric -> goal. A goal replaces the level."""
    timeouts: Mapping[str, Duration] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    disabled_rules: tuple[str, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)
    sources: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Mapped sources as written in the file; `sources.dispatch` compiles them."""
    export: ExportSettings = field(default_factory=ExportSettings)
    notify: tuple[NotifyRule, ...] = ()
    """The rules of notifications."""
    low_space: int = LOW_SPACE
    """Bytes that stay free on the database's disk; with less, deliveries get 503."""
    secrets: Secrets = field(default_factory=Secrets)
    path: Path = Path()
    secrets_path: Path = Path()
    origins: Mapping[str, str] = field(default_factory=dict)


Tables = Mapping[str, Mapping[str, Any]]


class _InForce:
    tables: ClassVar[Tables] = {}
    edition: ClassVar[int] = 0


def configure(tables: Tables) -> None:
    """Set the mapped sources of the configuration; `dispatch.sources` compiles them."""
    if tables != _InForce.tables:
        _InForce.tables = dict(tables)
        _InForce.edition += 1


def in_force() -> Tables:
    return _InForce.tables


def edition() -> int:
    """A number that changes whenever the tables change."""
    return _InForce.edition
