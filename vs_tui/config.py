"""Configuration: one TOML file, overridden by `VS_*` variables, overridden by flags.

Standard library only, so that `vs-tui event` can read it within its 150 ms. Secrets live in a
file of their own beside it (mode 0600), created on the first start.
"""

from __future__ import annotations

import json
import os
import secrets as random_source
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from vs_tui.domain.instants import DAY, HOUR, Duration, parse_duration
from vs_tui.domain.limits import LOW_SPACE, Limits, Retention, parse_size
from vs_tui.domain.teams import DEFAULT_ENVIRONMENTS, Environments, Team, Teams

DEFAULT_HOST: Final = "127.0.0.1"
DEFAULT_PORT: Final = 5000
DEFAULT_TIMEOUTS: Final[Mapping[str, Duration]] = {
    "build": DAY,
    "pipeline": DAY,
    "stage": DAY,
    "test": DAY,
    "deploy": 2 * HOUR,
}
SIGNING_SOURCES: Final = (
    "github",
    "gitlab",
    "jira",
    "customhttp",
    "gitea",
    "bitbucket",
    "circleci",
    "buildkite",
    "linear",
    "pagerduty",
    "grafana",
    "trello",
    "plyzen",
)
"""Sources whose tool signs with a secret; one is created for each on the first start."""


TOKENS: Final = "tokens"
"""The section of secrets.toml with further tokens: those before a rotation."""


class ConfigError(Exception):
    """The configuration cannot be used; the message names the file, the setting and the fix."""


@dataclass(frozen=True, slots=True)
class Secrets:
    """The token and the secrets of the sources. Its repr never shows them."""

    token: str = field(default="", repr=False)
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)

    def of(self, source: str) -> list[bytes]:
        """Secrets of a source, newest first; several are valid during a rotation."""
        return [secret.encode() for secret in self.sources.get(source, ()) if secret]

    @property
    def tokens(self) -> list[bytes]:
        """Every token that is valid: several are during a rotation, too."""
        return [token for token in (self.token.encode(), *self.of(TOKENS)) if token]


@dataclass(frozen=True, slots=True)
class Config:
    """All settings. `origins` says where each came from, for `vs-tui config show`."""

    host: str = DEFAULT_HOST
    port: int = DEFAULT_PORT
    db: Path = Path()
    public_url: str = ""
    """The URL tools reach us at, when a tunnel or proxy stands in front."""
    no_auth: bool = False
    log_level: str = "info"
    log_format: str = "text"
    metrics_port: int = 0
    """A second port for /metrics without a token; 0: only on the main port, with the token."""
    theme: str = "auto"
    ascii: bool = False
    zone: str = ""
    """IANA time zone for days and clocks; `` is the machine's."""
    watch_command: str = ""
    teams: Teams = field(default_factory=Teams)
    environments: Environments = field(default_factory=Environments)
    timeouts: Mapping[str, Duration] = field(default_factory=lambda: dict(DEFAULT_TIMEOUTS))
    disabled_rules: tuple[str, ...] = ()
    views: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    retention: Retention = field(default_factory=Retention)
    limits: Limits = field(default_factory=Limits)
    low_space: int = LOW_SPACE
    """Bytes that stay free on the database's disk; below it deliveries get 503."""
    secrets: Secrets = field(default_factory=Secrets)
    path: Path = Path()
    secrets_path: Path = Path()
    origins: Mapping[str, str] = field(default_factory=dict)


def config_dir() -> Path:
    """Where config.toml and secrets.toml live (platformdirs; VS_CONFIG_DIR overrides)."""
    if override := os.environ.get("VS_CONFIG_DIR"):
        return Path(override)
    from platformdirs import user_config_path

    return user_config_path("vs-tui")


def data_dir() -> Path:
    """Where the database, the spool and crash files live (VS_DATA_DIR overrides)."""
    if override := os.environ.get("VS_DATA_DIR"):
        return Path(override)
    from platformdirs import user_data_path

    return user_data_path("vs-tui")


def load(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    create_secrets: bool = False,
) -> Config:
    """Read everything; ConfigError names what is wrong. `flags` that are None are not set."""
    env = os.environ if env is None else env
    chosen = path or (Path(env["VS_CONFIG"]) if env.get("VS_CONFIG") else None)
    file = chosen or config_dir() / "config.toml"
    if chosen is not None and not file.is_file():
        raise ConfigError(f"{file} does not exist; create it with `vs-tui config init`")
    values, origins = _from_file(file)
    for source, found in (("environment", _from_env(env)), ("flag", _from_flags(flags))):
        values.update(found)
        origins.update(dict.fromkeys(found, source))
    values.setdefault("db", data_dir() / "vs-tui.db")
    secrets_path = file.with_name("secrets.toml")
    found_secrets = read_secrets(secrets_path)
    if create_secrets:
        found_secrets = _ensure_secrets(secrets_path, found_secrets)
    given = [token for token in (values.pop("token", ""), *_em_metrics_tokens(env)) if token]
    if given:
        further = (*given[1:], *found_secrets.sources.get(TOKENS, ()))
        sources = {**found_secrets.sources, **({TOKENS: further} if further else {})}
        found_secrets = Secrets(given[0], sources)
    extra = {
        name[len("VS_SECRET_") :].lower(): (value,)
        for name, value in env.items()
        if name.startswith("VS_SECRET_") and value
    }
    if extra:
        found_secrets = replace(found_secrets, sources={**found_secrets.sources, **extra})
    try:
        return Config(
            **values, secrets=found_secrets, path=file, secrets_path=secrets_path, origins=origins
        )
    except TypeError as error:
        raise ConfigError(f"{file}: {error}") from None


def _from_file(file: Path) -> tuple[dict[str, Any], dict[str, str]]:
    if not file.is_file():
        return {}, {}
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; fix it or move it away") from None
    try:
        values = _interpret(document)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: {error}") from None
    return values, dict.fromkeys(values, str(file))


_SECTIONS: Final[Mapping[str, Mapping[str, type]]] = {
    "server": {
        "host": str,
        "port": int,
        "public_url": str,
        "no_auth": bool,
        "metrics_port": int,
        "log_level": str,
        "log_format": str,
    },
    "store": {"db": str, "low_space": str},
    "ui": {"theme": str, "ascii": bool, "zone": str, "watch_command": str},
}
_TABLES: Final = (
    "teams",
    "environments",
    "spans",
    "correlation",
    "views",
    "keys",
    "retention",
    "limits",
)


def _interpret(document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section, table in document.items():
        if section not in _SECTIONS and section not in _TABLES:
            accepted = ", ".join(sorted((*_SECTIONS, *_TABLES)))
            raise ValueError(f"[{section}] is not a section; use one of {accepted}")
        if not isinstance(table, dict):
            raise ValueError(f"{section} must be a table: [{section}]")
        for name, value in table.items() if section in _SECTIONS else ():
            values[name] = _typed(section, name, value)
    for name, convert in (("db", _path), ("low_space", parse_size)):
        if name in values:
            values[name] = convert(values[name])
    if "teams" in document:
        values["teams"] = Teams(tuple(_team(n, t) for n, t in document["teams"].items()))
    if "environments" in document:
        globs = {
            name: _strings(f"environments.{name}", v)
            for name, v in document["environments"].items()
        }
        values["environments"] = Environments({**DEFAULT_ENVIRONMENTS, **globs})
    if timeouts := document.get("spans", {}).get("timeouts"):
        values["timeouts"] = _timeouts(timeouts)
    if rules := document.get("correlation", {}).get("disable"):
        values["disabled_rules"] = _strings("correlation.disable", rules)
    for name, interpret in (
        ("views", _named),
        ("keys", _named),
        ("retention", _retention),
        ("limits", _limits),
    ):
        if name in document:
            values[name] = interpret(document[name])
    return values


def _timeouts(table: Mapping[str, Any]) -> dict[str, Duration]:
    parsed = {
        name: 0 if text in (0, "never") else parse_duration(str(text))
        for name, text in table.items()
    }
    merged = {**DEFAULT_TIMEOUTS, **parsed}
    return {name: limit for name, limit in merged.items() if limit}


def _named(table: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in table.items()}


def _path(text: str) -> Path:
    return Path(text).expanduser()


def _retention(table: Mapping[str, Any]) -> Retention:
    _only("retention", table, ("age", "size"))
    return Retention(
        parse_duration(str(table["age"])) if "age" in table else 0,
        parse_size(str(table["size"])) if "size" in table else 0,
    )


def _limits(table: Mapping[str, Any]) -> Limits:
    sizes, numbers = ("body", "bodies"), ("concurrent", "connections", "rate")
    seconds = ("read_seconds", "idle_seconds", "stop_seconds")
    _only("limits", table, (*sizes, *numbers, *seconds))
    found: dict[str, Any] = {name: parse_size(str(table[name])) for name in sizes if name in table}
    for name in numbers:
        value = table.get(name, 0)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"[limits] {name} must be a whole number, not {value!r}")
        if name in table:
            found[name] = value
    for name in seconds:
        value = table.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise ValueError(f"[limits] {name} must be seconds above 0, not {value!r}")
        if name in table:
            found[name] = value
    return Limits(**found)


def _only(section: str, table: Mapping[str, Any], known: Sequence[str]) -> None:
    for name in table:
        if name not in known:
            accepted = ", ".join(known)
            raise ValueError(f"[{section}] {name} is not a setting; use one of {accepted}")


def _typed(section: str, name: str, value: Any) -> Any:
    wanted = _SECTIONS[section].get(name)
    if wanted is None:
        accepted = ", ".join(_SECTIONS[section])
        raise ValueError(f"[{section}] {name} is not a setting; use one of {accepted}")
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise ValueError(f"[{section}] {name} must be {wanted.__name__}, not {value!r}")
    return value


def _strings(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f'{name} must be a list of texts, such as ["acme/api", "infra-*"]')
    return tuple(value)


def _team(name: str, table: Any) -> Team:
    if not isinstance(table, dict):
        raise ValueError(f"teams.{name} must be a table: [teams.{name}]")
    unknown = set(table) - {"projects", "users"}
    if unknown:
        raise ValueError(f"[teams.{name}] {sorted(unknown)[0]} is not known; use projects, users")
    return Team(
        name,
        _strings(f"teams.{name}.projects", table.get("projects", [])),
        _strings(f"teams.{name}.users", table.get("users", [])),
    )


def _em_metrics_tokens(env: Mapping[str, str]) -> list[str]:
    """What em-metrics' callers send: its token, and Basic's password. A user's name is no secret,
    so it counts only where em-metrics has no password."""
    basic = ("EM_METRICS_BASIC_AUTH_PASSWORD", "EM_METRICS_BASIC_AUTH_USERNAME")
    found = (_env(env, "EM_METRICS_TOKEN_AUTH"), _env(env, basic[0]) or _env(env, basic[1]))
    return [token for token in found if token]


def _from_env(env: Mapping[str, str]) -> dict[str, Any]:
    """`VS_*` variables, also as `*_FILE`, and the names that em-metrics reads."""
    values: dict[str, Any] = {}
    if address := _env(env, "VS_ADDR"):
        host, _, port = address.rpartition(":")
        if not port.isdigit():
            raise ConfigError(f"VS_ADDR is '{address}'; write HOST:PORT, such as 127.0.0.1:5000")
        values["host"] = host.strip("[]") or DEFAULT_HOST
        values["port"] = int(port)
    for name, variables in (
        ("db", ("VS_DB", "SQLITE_DB")),
        ("token", ("VS_TOKEN",)),
        ("log_level", ("VS_LOG_LEVEL",)),
        ("log_format", ("VS_LOG_FORMAT",)),
        ("public_url", ("VS_PUBLIC_URL",)),
        ("theme", ("VS_THEME",)),
        ("zone", ("VS_ZONE",)),
    ):
        found = next((text for variable in variables if (text := _env(env, variable))), "")
        if found:
            values[name] = found
    if "db" in values:
        values["db"] = Path(values["db"]).expanduser()
    # em-metrics opens itself for any value; one that says no is a no here.
    em_metrics_open = _env(env, "EM_METRICS_NO_AUTH").lower() not in ("", "0", "false", "no")
    if em_metrics_open or _env(env, "VS_NO_AUTH").lower() in ("1", "true", "yes"):
        values["no_auth"] = True
    if teams_file := _env(env, "CONFIG"):
        values["teams"] = _em_metrics_teams(Path(teams_file))
    return values


def _env(env: Mapping[str, str], name: str) -> str:
    if env.get(name):
        return env[name]
    if file := env.get(f"{name}_FILE"):
        try:
            return Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{name}_FILE: {file} cannot be read: {error}") from None
    return ""


def _em_metrics_teams(file: Path) -> Teams:
    """em-metrics' JSON file: {"teams": {NAME: {"projects": [..], "users": [..]}}}; a list of teams
    with names is read, too. A user is a login or {"github_username", "email"}."""
    try:
        document = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"CONFIG: {file} cannot be read as JSON: {error}") from None
    listed = document.get("teams", []) if isinstance(document, dict) else document
    if isinstance(listed, dict):
        listed = [
            {"name": name, **(t if isinstance(t, dict) else {})} for name, t in listed.items()
        ]
    if not isinstance(listed, list):
        raise ConfigError(f'CONFIG: {file} must hold {{"teams": [...]}}')
    teams = []
    for entry in listed:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise ConfigError(f"CONFIG: {file}: each team needs a name")
        projects = [
            *_texts(entry, "services"),
            *_texts(entry, "projects"),
            *_texts(entry, "repositories"),
        ]
        users = [*_texts(entry, "users"), *_texts(entry, "members")]
        teams.append(Team(entry["name"], tuple(projects), tuple(users)))
    return Teams(tuple(teams))


def _texts(entry: Mapping[str, Any], name: str) -> list[str]:
    found = entry.get(name)
    texts: list[str] = []
    for value in found if isinstance(found, list) else ():
        if isinstance(value, dict):
            names = (value.get("github_username"), value.get("email"))
            texts.extend(str(known) for known in names if known)
        else:
            texts.append(str(value))
    return texts


def _from_flags(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    values = {name: value for name, value in (flags or {}).items() if value is not None}
    if "db" in values:
        values["db"] = Path(values["db"]).expanduser()
    return values


def read_secrets(path: Path) -> Secrets:
    """The secrets file; empty when there is none."""
    if not path.is_file():
        return Secrets()
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        # The parser's message may quote the line, and the line may be a secret.
        raise ConfigError(
            f"{path} cannot be read; fix it, or move it away to create a new one"
        ) from None
    sources = {
        name: tuple(str(secret) for secret in table.get("secrets", []))
        for name, table in document.items()
        if isinstance(table, dict)
    }
    return Secrets(str(document.get("token", "")), sources)


def write_secrets(path: Path, secrets: Secrets) -> None:
    """Replace the secrets file at once, readable by its owner only."""
    lines = [
        "# Created by vs-tui. Keep it private: mode 0600.",
        f"token = {json.dumps(secrets.token)}",
    ]
    for name, values in sorted(secrets.sources.items()):
        lines += ["", f"[{name}]", f"secrets = {json.dumps(list(values))}"]
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
        out.flush()
        os.fsync(out.fileno())
    temporary.replace(path)


def new_secret() -> str:
    """43 characters of the system's randomness."""
    return random_source.token_urlsafe(32)


def rotate(secrets: Secrets, source: str, *, keep: int = 1) -> Secrets:
    """A new first secret for a source (or `token`); the `keep` newest old ones stay valid."""
    if source == "token":
        former = tuple(filter(None, (secrets.token, *secrets.sources.get(TOKENS, ()))))[:keep]
        return Secrets(new_secret(), {**secrets.sources, TOKENS: former})
    old = secrets.sources.get(source, ())[:keep]
    return replace(secrets, sources={**secrets.sources, source: (new_secret(), *old)})


def _ensure_secrets(path: Path, found: Secrets) -> Secrets:
    missing = [name for name in SIGNING_SOURCES if not found.sources.get(name)]
    if found.token and not missing:
        return found
    complete = Secrets(
        found.token or new_secret(),
        {**found.sources, **{name: (new_secret(),) for name in missing}},
    )
    write_secrets(path, complete)
    return complete


def readable_by_others(path: Path) -> bool:
    """Whether a file that holds secrets can be read by other users."""
    return path.is_file() and bool(stat.S_IMODE(path.stat().st_mode) & 0o077)


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """Where local commands send events, and how they prove who they are."""

    url: str
    token: str = field(repr=False, default="")
    secret: str = field(repr=False, default="")


def client_settings(env: Mapping[str, str] | None = None) -> ClientSettings:
    """The receiver's URL, token and custom HTTP secret for `vs-tui event` and `run`."""
    env = os.environ if env is None else env
    url = env.get("VS_URL") or env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_URL") or ""
    try:
        config = load(env=env)
    except ConfigError:
        config = Config()
    if not url:
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"http://{host}:{config.port}"
    return ClientSettings(
        url,
        config.secrets.token,
        env.get("VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET") or "",
    )


def settings_names() -> Sequence[str]:
    """Every setting of the file as `section.name`, for the docs' test."""
    plain = [f"{section}.{name}" for section, names in _SECTIONS.items() for name in names]
    return [*plain, *_TABLES]
