"""Combine file, environment and flags into one configuration; the later one wins."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vs_tui.config.document import collector_url, from_file
from vs_tui.config.environment import em_metrics_tokens, from_env, secrets_in
from vs_tui.config.errors import ConfigError
from vs_tui.config.model import CHOICES, Config
from vs_tui.config.secrets import TOKENS, complete_secrets, read_secrets
from vs_tui.log.address import parse_log_url
from vs_tui.model.settings import ExportSettings
from vs_tui.model.time import parse_duration

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
        raise ConfigError(f"{file} does not exist; create it with `vs-tui config init`")
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
        found_secrets = replace(found_secrets, token=given[0], sources=sources)
    extra = secrets_in(env)
    if extra:
        found_secrets = replace(found_secrets, sources={**found_secrets.sources, **extra})
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
            settings = replace(settings, otlp=collector_url(name, values.pop("export_otlp")))
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
