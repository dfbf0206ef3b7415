"""Combine file, environment and flags into one configuration; the later one wins.

The environment: `VS_*` variables, each also as `*_FILE`, and the names that em-metrics reads.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from vs_tui.config.document import from_file
from vs_tui.config.model import CHOICES, DEFAULT_HOST, Config, ExportSettings, checked_url
from vs_tui.config.secrets import TOKENS, complete_secrets, read_secrets
from vs_tui.log.address import check_schema_name, parse_log_url
from vs_tui.model.errors import ConfigError
from vs_tui.model.teams import Team, Teams
from vs_tui.model.time import parse_duration

_PREFIX: Final = "VS_SECRET_"
_SECRETS: Final = (
    *("VS_TOKEN", "VS_URL", "VS_PUBLIC_URL", "VS_LOG", "VS_EXPORT_OTLP", "OTEL_COLLECTOR_URL"),
    *("VS_CUSTOM_HTTP_EVENT_SOURCE_URL", "VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET"),
    *("EM_METRICS_TOKEN_AUTH", "EM_METRICS_BASIC_AUTH_PASSWORD", "EM_METRICS_BASIC_AUTH_USERNAME"),
)
"""Variables that hold a secret, or a URL that may hold one."""
_OPEN: Final = ("1", "true", "yes", "public")
_MOST_TEXT: Final = 1_000_000
"""Most characters of a file that a variable or an option names."""


def from_env(env: Mapping[str, str]) -> dict[str, Any]:
    """The settings in the environment, named as in `Config`. ConfigError names the variable and the
    fix."""
    values: dict[str, Any] = {}
    if address := _env(env, "VS_ADDR"):
        host, _, port = address.rpartition(":")
        if not (port.isascii() and port.isdigit()):
            raise ConfigError(f"VS_ADDR is '{address}'; write HOST:PORT, such as 127.0.0.1:5000")
        values["host"] = host.strip("[]") or DEFAULT_HOST
        values["port"] = int(port)
    elif (port := _env(env, "PORT")) and port.isascii() and port.isdigit():
        # em-metrics' two. HOST alone is what some shells call the machine.
        values |= {"host": _env(env, "HOST") or DEFAULT_HOST, "port": int(port)}
    for name, variables in (
        ("db", ("VS_DB", "SQLITE_DB")),
        ("token", ("VS_TOKEN",)),
        ("log_level", ("VS_LOG_LEVEL",)),
        ("log_format", ("VS_LOG_FORMAT",)),
        ("public_url", ("VS_PUBLIC_URL",)),
        ("theme", ("VS_THEME",)),
        ("zone", ("VS_ZONE",)),
        ("export_otlp", ("VS_EXPORT_OTLP", "OTEL_COLLECTOR_URL")),
        ("export_settle", ("VS_EXPORT_SETTLE",)),
        ("export_service_name", ("OTEL_SERVICE_NAME",)),
        ("export_environment", ("DEPLOYMENT_ENVIRONMENT",)),
    ):
        found = next((text for variable in variables if (text := _env(env, variable))), "")
        if found:
            values[name] = found
    values.update(_log(env))
    if "db" in values:
        values["db"] = Path(values["db"]).expanduser()
    # em-metrics opens itself for any value; one that says no is a no here.
    em_metrics_open = _env(env, "EM_METRICS_NO_AUTH").lower() not in ("", "0", "false", "no")
    ours = _env(env, "VS_NO_AUTH").lower()
    if ours not in ("", "0", "false", "no", *_OPEN):
        raise ConfigError(f"VS_NO_AUTH is '{ours}'; write 1, 0 or public")
    if em_metrics_open or ours in _OPEN:
        values["no_auth"] = True
    if ours == "public":
        values["no_auth_public"] = True
    if teams_file := _env(env, "CONFIG"):
        values["teams"] = _em_metrics_teams(Path(teams_file))
    return values


def _log(env: Mapping[str, str]) -> dict[str, Any]:
    """The address of the shared log."""
    readers: tuple[tuple[str, str, Callable[[str], Any]], ...] = (
        ("log", "VS_LOG", parse_log_url),
        ("log_schema", "VS_LOG_SCHEMA", check_schema_name),
    )
    found: dict[str, Any] = {}
    for name, variable, read in readers:
        if text := _env(env, variable):
            try:
                found[name] = read(text)
            except ValueError as error:
                raise ConfigError(f"{variable} {error}") from None
    return found


def em_metrics_tokens(env: Mapping[str, str]) -> list[str]:
    """The tokens that em-metrics' clients send: its token and the Basic password. The user name
    counts only if em-metrics has no password, because a user name is not secret."""
    basic = ("EM_METRICS_BASIC_AUTH_PASSWORD", "EM_METRICS_BASIC_AUTH_USERNAME")
    found = (_env(env, "EM_METRICS_TOKEN_AUTH"), _env(env, basic[0]) or _env(env, basic[1]))
    return [token for token in found if token]


def secrets_in(env: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """`VS_SECRET_GITHUB` and the like, also as `VS_SECRET_GITHUB_FILE`: the secrets by source."""
    stated = (name for name, value in env.items() if name.startswith(_PREFIX) and value)
    found = {name: _env(env, name) for name in sorted({n.removesuffix("_FILE") for n in stated})}
    return {name.removeprefix(_PREFIX).lower(): (text,) for name, text in found.items() if text}


def take_secrets_out(env: MutableMapping[str, str]) -> None:
    """Remove the secrets from the environment once they are read: child processes of a long-running
    command (a browser, the watch command) must not inherit them. A child that needs the token reads
    the file."""
    for name in list(env):
        if name in _SECRETS or (name.startswith(_PREFIX) and not name.endswith("_FILE")):
            del env[name]


def _env(env: Mapping[str, str], name: str) -> str:
    """A variable, or the content of the file that NAME_FILE names, without blanks around it: no
    request can send a token that ends with the line break of a file."""
    if found := env.get(name, "").strip():
        return found
    if file := env.get(f"{name}_FILE"):
        try:
            return small_text(Path(file)).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{name}_FILE: {file} cannot be read: {error}; mend it, or unset {name}_FILE"
            ) from None
    return ""


def small_text(file: Path) -> str:
    """The content of a file, which may be a pipe. OSError if it is too long: a device may have no
    end."""
    with file.open(encoding="utf-8") as opened:
        text = opened.read(_MOST_TEXT + 1)
    if len(text) > _MOST_TEXT:
        raise OSError(f"it has more than {_MOST_TEXT:,} characters")
    return text


def _em_metrics_teams(file: Path) -> Teams:
    """em-metrics' JSON file: {"teams": {NAME: {"projects": [..], "users": [..]}}}; a list of teams
    with names is read, too. A user is a login or {"github_username", "email"}."""
    try:
        document = json.loads(small_text(file))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"CONFIG: {file} cannot be read as JSON: {error}; mend it, or unset CONFIG"
        ) from None
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
            raise ConfigError(f'CONFIG: {file}: each team needs a name; write {{"name": ...}}')
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


Signing = Callable[[Mapping[str, Any]], Iterable[str]]
"""Given the `sources` of the file, returns the names of the sources that need a secret."""
_PORTS: Final = frozenset({"port", "metrics_port"})


def config_dir() -> Path:
    """The folder of config.toml and secrets.toml (platformdirs; VS_CONFIG_DIR overrides)."""
    if override := os.environ.get("VS_CONFIG_DIR"):
        return Path(override)
    from platformdirs import user_config_path

    return user_config_path("vs-tui")


def data_dir() -> Path:
    """The folder of the database, the spool and crash files (VS_DATA_DIR overrides)."""
    if override := os.environ.get("VS_DATA_DIR"):
        return Path(override)
    from platformdirs import user_data_path

    return user_data_path("vs-tui")


def proxy_for(url: str) -> str | None:
    """The proxy of HTTP_PROXY, HTTPS_PROXY or ALL_PROXY for a URL (on macOS also of the system);
    None for hosts of NO_PROXY, for this machine, and without a proxy."""
    from ipaddress import ip_address
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host, proxies = parts.hostname or "", getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    with suppress(ValueError):
        if ip_address(host).is_loopback:
            return None
    if not found or host == "localhost" or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    return found if "://" in found else f"http://{found}"


def load(
    path: Path | None = None,
    *,
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
    signing: Signing | None = None,
) -> Config:
    """Read the whole configuration; ConfigError says what is wrong. Flags that are None are
    ignored. With `signing`, a missing token and missing secrets of the sources it names are
    created."""
    try:
        return _load(path, os.environ if env is None else env, flags, signing)
    except OSError as error:
        raise ConfigError(
            f"{error.filename}: {error.strerror} (for user id {os.geteuid()}); make the folder "
            "this user's own (chown), or choose another with VS_CONFIG_DIR and VS_DATA_DIR"
        ) from error


def _load(
    path: Path | None,
    env: Mapping[str, str],
    flags: Mapping[str, Any] | None,
    signing: Signing | None,
) -> Config:
    chosen = path or (Path(env["VS_CONFIG"]) if env.get("VS_CONFIG") else None)
    file = chosen or config_dir() / "config.toml"
    if chosen is not None and not file.is_file():
        option = f" --config {file}" if path else ""
        raise ConfigError(f"{file} does not exist; create it with `vs-tui config init{option}`")
    values = from_file(file)
    origins = dict.fromkeys(values, str(file))
    for source, found in (("environment", from_env(env)), ("flag", _from_flags(flags))):
        values.update(found)
        origins.update(dict.fromkeys(found, source))
    for name in CHOICES.keys() & values.keys():
        values[name] = _chosen(name, values[name], origins[name])
    for name in _PORTS & values.keys():
        if not 0 <= values[name] <= 65_535:
            raise ConfigError(f"{name} (from {origins[name]}) is {values[name]}; use 0 to 65535")
    values.setdefault("db", data_dir() / ("log-cache.db" if "log" in values else "vs-tui.db"))
    if values["db"].is_dir():
        suggestion = values["db"] / "vs-tui.db"
        raise ConfigError(f"{values['db']} is a folder; name a file in it, such as {suggestion}")
    _complete_export(values, origins)
    values["no_auth"] = values.get("no_auth", False) or values.get("no_auth_public", False)
    secrets_path = file.with_name("secrets.toml")
    if signing is None:
        found_secrets = read_secrets(secrets_path)
    else:
        tables = values.get("sources", {})
        found_secrets = complete_secrets(secrets_path, lambda: signing(tables))
    given = [token for token in (values.pop("token", ""), *em_metrics_tokens(env)) if token]
    if given:
        further = (*given[1:], *found_secrets.sources.get(TOKENS, ()))
        sources = {**found_secrets.sources, **({TOKENS: further} if further else {})}
        fixed = frozenset({"token", TOKENS} if further else {"token"})
        found_secrets = replace(found_secrets, token=given[0], sources=sources, fixed=fixed)
    if extra := secrets_in(env):
        sources, fixed = {**found_secrets.sources, **extra}, found_secrets.fixed | extra.keys()
        found_secrets = replace(found_secrets, sources=sources, fixed=fixed)
    try:
        return Config(
            **values, secrets=found_secrets, path=file, secrets_path=secrets_path, origins=origins
        )
    except TypeError as error:
        raise ConfigError(f"{file}: {error}") from None


def _complete_export(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Merge what the environment or a flag says about the export into its settings."""
    settings: ExportSettings = values.get("export") or ExportSettings()
    try:
        if "export_otlp" in values:
            name = f"export_otlp (from {origins.pop('export_otlp')})"
            settings = replace(settings, otlp=checked_url(name, values.pop("export_otlp")))
        if "export_settle" in values:
            name = f"export_settle (from {origins.pop('export_settle')})"
            settings = replace(settings, settle=parse_duration(values.pop("export_settle")))
        for name in ("service_name", "environment"):
            if f"export_{name}" in values:
                origins.pop(f"export_{name}")
                settings = replace(settings, **{name: values.pop(f"export_{name}")})
    except ValueError as error:
        raise ConfigError(f"{name}: {error}" if name not in str(error) else str(error)) from None
    values["export"] = settings


def _chosen(name: str, value: str, origin: str) -> str:
    if value.lower() not in CHOICES[name]:
        accepted = ", ".join(CHOICES[name])
        raise ConfigError(f"{name} (from {origin}) is '{value}'; use one of {accepted}")
    return value.lower()


def _from_flags(flags: Mapping[str, Any] | None) -> dict[str, Any]:
    values = {name: value for name, value in (flags or {}).items() if value is not None}
    if "db" in values:
        values["db"] = Path(values["db"]).expanduser()
    if "log" in values:
        try:
            values["log"] = parse_log_url(values["log"])
        except ValueError as error:
            raise ConfigError(f"--log {error}") from None
    return values
