"""config.toml: its sections and what their values mean. A ValueError names the setting and what it
takes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vs_tui.config.errors import ConfigError
from vs_tui.config.model import DEFAULT_TIMEOUTS
from vs_tui.domain.instants import Duration, parse_duration
from vs_tui.domain.limits import Limits, Retention, parse_size
from vs_tui.domain.metrics.rules import MetricRules
from vs_tui.domain.teams import DEFAULT_ENVIRONMENTS, Environments, Team, Teams

_SECTIONS: Final[Mapping[str, Mapping[str, type]]] = {
    "server": {
        "host": str,
        "port": int,
        "public_url": str,
        "no_auth": bool,
        "no_auth_public": bool,
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
    "metrics",
    "spans",
    "correlation",
    "views",
    "keys",
    "retention",
    "limits",
)


def from_file(file: Path) -> dict[str, Any]:
    """Settings of a file by their names in `Config`; none when it does not exist."""
    if not file.is_file():
        return {}
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; fix it or move it away") from None
    try:
        return _interpret(document)
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{file}: {error}") from None


def settings_names() -> Sequence[str]:
    """Every setting of the file as `section.name`, for the docs' test."""
    plain = [f"{section}.{name}" for section, names in _SECTIONS.items() for name in names]
    return [*plain, *_TABLES]


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
    # An empty table says nothing: what it would set stays the default's.
    if document.get("teams"):
        values["teams"] = Teams(tuple(_team(n, t) for n, t in document["teams"].items()))
    if document.get("environments"):
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
        ("metrics", _metrics),
        ("limits", _limits),
    ):
        if document.get(name):
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


def _metrics(table: Mapping[str, Any]) -> MetricRules:
    _only("metrics", table, ("incident_window", "bots"))
    found: dict[str, Any] = {}
    if "incident_window" in table:
        window = str(table["incident_window"])
        try:
            found["incident_window"] = 0 if window == "0" else parse_duration(window)
        except ValueError as error:
            raise ValueError(f"[metrics] incident_window: {error}, or 0 for none") from None
    if "bots" in table:
        found["bots"] = _strings("metrics.bots", table["bots"], '["renovate", "ci-*"]')
    return MetricRules(**found)


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


def _strings(name: str, value: Any, example: str = '["acme/api", "infra-*"]') -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"{name} must be a list of texts, such as {example}")
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
