"""Read config.toml: its sections and the meaning of their values. A ValueError names the setting
and the accepted values."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from vs_tui.config.errors import ConfigError
from vs_tui.config.model import DEFAULT_TIMEOUTS
from vs_tui.config.notify import read_rules
from vs_tui.log.address import check_schema_name, parse_log_url
from vs_tui.metrics.rules import DeploymentRule, MetricRules, Service
from vs_tui.model.filters import FilterError, parse
from vs_tui.model.limits import Limits, Retention, parse_size
from vs_tui.model.settings import SIGNALS, ExportSettings, Thresholds
from vs_tui.model.teams import DEFAULT_ENVIRONMENTS, Environments, People, Team, Teams
from vs_tui.model.time import Duration, parse_duration

if TYPE_CHECKING:
    from vs_tui.metrics.goals import Goals

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
    "log": {"url": str, "schema": str},
    "ui": {"theme": str, "ascii": bool, "zone": str, "watch_command": str, "people": bool},
}

_KINDS: Final = {str: "a text", int: "a whole number", bool: "true or false"}


def from_file(file: Path) -> dict[str, Any]:
    """The settings of a file, named as in `Config`; empty if the file does not exist."""
    if not file.is_file():
        return {}
    try:
        document = tomllib.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file} cannot be read: {error}; fix it or move it away") from None
    try:
        return _interpret(document)
    except ValueError as error:
        raise ConfigError(f"{file}: {error}") from None


def settings_names() -> Sequence[str]:
    """Every setting of the file as `section.name`, for the docs' test."""
    plain = [f"{section}.{name}" for section, names in _SECTIONS.items() for name in names]
    return [*plain, *_TABLES, "notify"]


def _interpret(document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section, table in document.items():
        if section == "log":
            values.update(_log(_plain(section, table)))
        elif section == "notify":
            values["notify"] = read_rules(table)
        elif section in _SECTIONS:
            values.update(_plain(section, table))
        elif section not in _TABLES:
            accepted = ", ".join(sorted((*_SECTIONS, *_TABLES, "notify")))
            raise ValueError(f"[{section}] is not a section; use one of {accepted}")
        else:
            name, interpret = _TABLES[section]
            found = interpret(_table(section, table))
            if found:  # an empty table says nothing: what it would set stays the default's
                values[name] = found
    if "people_names" in values and "teams" in values:
        named_in = values["people_names"].named_in
        values["teams"] = Teams(tuple(map(named_in, values["teams"].teams)))
    if "db" in values:
        values["db"] = Path(values["db"]).expanduser()
    if "low_space" in values:
        values["low_space"] = _measure("store.low_space", values["low_space"], parse_size)
    return values


def _log(table: Mapping[str, Any]) -> Mapping[str, Any]:
    readers: dict[str, tuple[str, Callable[[str], Any]]] = {
        "url": ("log", parse_log_url),
        "schema": ("log_schema", check_schema_name),
    }
    found: dict[str, Any] = {}
    for name, text in table.items():
        setting, read = readers[name]
        try:
            found[setting] = read(text)
        except ValueError as error:
            raise ValueError(f"[log] {name} {error}") from None
    return found


def _teams(tables: Mapping[str, Any]) -> Teams | None:
    return Teams(tuple(_team(name, table) for name, table in tables.items())) if tables else None


def _team(name: str, table: Any) -> Team:
    known = _table(f"teams.{name}", table, ("projects", "users"))
    found = {each: _strings(f"teams.{name}.{each}", value) for each, value in known.items()}
    return Team(name, **found)


def _people(table: Mapping[str, Any]) -> People | None:
    names = {login: _strings(f"people.{login}", v, '["Ana Lima"]') for login, v in table.items()}
    found = People(names)
    found.of("")  # two people with one name are refused
    return found if names else None


def _environments(table: Mapping[str, Any]) -> Environments | None:
    globs = {name: _strings(f"environments.{name}", value) for name, value in table.items()}
    return Environments({**DEFAULT_ENVIRONMENTS, **globs}) if globs else None


def _timeouts(spans: Mapping[str, Any]) -> dict[str, Duration]:
    table = _table("spans", spans, ("timeouts",)).get("timeouts", {})
    parsed = {
        name: 0
        if text in (0, "never")
        else _measure(f"spans.timeouts.{name}", text, parse_duration)
        for name, text in _table("spans.timeouts", table).items()
    }
    merged = {**DEFAULT_TIMEOUTS, **parsed} if parsed else {}
    return {name: limit for name, limit in merged.items() if limit}


def _disabled(table: Mapping[str, Any]) -> tuple[str, ...]:
    rules = _table("correlation", table, ("disable",)).get("disable", [])
    return _strings("correlation.disable", rules, '["proximity"]')


def _named(section: str) -> Callable[[Mapping[str, Any]], Mapping[str, str]]:
    def texts(table: Mapping[str, Any]) -> Mapping[str, str]:
        for name, value in table.items():
            if not isinstance(value, str):
                raise ValueError(f"[{section}] {name} must be a text, not {value!r}")
        return table

    return texts


def _sources(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The tables of mapped sources by name; `sources.mapped` checks their content."""
    return {name: _table(f"sources.{name}", each) for name, each in table.items()}


def _measure(name: str, value: Any, parse: Callable[[str], int], more: str = "") -> int:
    """A duration or a size as people write it."""
    try:
        return parse(str(value))
    except ValueError as error:
        raise ValueError(f"{name}: {error}{more}") from None


def _metrics(table: Mapping[str, Any]) -> MetricRules | None:
    known = ("incident_window", "bots", "failed_deploys", "deployments", "incidents")
    _table("metrics", table, known)
    found: dict[str, Any] = {}
    if "incident_window" in table:
        window = str(table["incident_window"])
        name, more = "metrics.incident_window", ", or 0 for none"
        found["incident_window"] = (
            0 if window == "0" else _measure(name, window, parse_duration, more)
        )
    if "bots" in table:
        found["bots"] = _strings("metrics.bots", table["bots"], '["renovate", "ci-*"]')
    if "failed_deploys" in table:
        found["failed_deploys"] = table["failed_deploys"]
        if found["failed_deploys"] not in ("count", "ignore"):
            raise ValueError(
                f"[metrics] failed_deploys must be count or ignore, not {table['failed_deploys']!r}"
            )
    for name, make in (("deployments", _deployment_rule), ("incidents", _incident_rule)):
        if name in table:
            if not isinstance(table[name], list):
                raise ValueError(f"metrics.{name} must be tables: [[metrics.{name}]]")
            found[name] = tuple(make(rule) for rule in table[name])
    return MetricRules(**found) if found else None


def _deployment_rule(rule: Any) -> DeploymentRule:
    table = _table("metrics.deployments", rule, ("filter", "environment", "service"))
    return DeploymentRule(**_texts("metrics.deployments", table))


def _incident_rule(rule: Any) -> str:
    return _texts("metrics.incidents", _table("metrics.incidents", rule, ("filter",)))["filter"]


def _texts(name: str, table: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a rule; its filter is checked."""
    for setting, value in table.items():
        if not isinstance(value, str):
            raise ValueError(f"[[{name}]] {setting} must be a text, not {value!r}")
    try:
        parse(table.get("filter", ""))
    except FilterError as error:
        raise ValueError(f"[[{name}]] filter: {error}") from None
    if not table.get("filter", "").strip():
        raise ValueError(f"[[{name}]] needs a filter, such as 'kind:pipeline name:\"Deploy*\"'")
    return dict(table)


def _services(tables: Mapping[str, Any]) -> tuple[Service, ...]:
    return tuple(
        Service(
            name,
            _strings(
                f"services.{name}.paths",
                _table(f"services.{name}", table, ("paths",)).get("paths", []),
                '["apps/checkout/**"]',
            ),
        )
        for name, table in tables.items()
    )


def _goals(tables: Mapping[str, Any]) -> Goals:
    from vs_tui.metrics.goals import read_goals  # brings all metrics along

    return read_goals({name: _table(f"goals.{name}", table) for name, table in tables.items()})


def _live(table: Mapping[str, Any]) -> Thresholds:
    _table("live", table, ("long", "quiet_after", "finished_for", "axis_breaks"))
    found: dict[str, Any] = {}
    for name, field in (("quiet_after", "quiet"), ("finished_for", "finished_for")):
        if name in table:
            found[field] = _measure(f"live.{name}", table[name], parse_duration)
    long, breaks = table.get("long", 1.5), table.get("axis_breaks", 5)
    if isinstance(long, bool) or not isinstance(long, int | float) or not 1 <= long <= 100:
        raise ValueError(f"[live] long must be a number from 1 to 100, such as 1.5, not {long!r}")
    if isinstance(breaks, bool) or not isinstance(breaks, int) or not 0 <= breaks <= 20:
        raise ValueError(f"[live] axis_breaks must be a whole number up to 20, not {breaks!r}")
    return Thresholds(long=float(long), axis_breaks=breaks, **found)


def _retention(table: Mapping[str, Any]) -> Retention:
    _table("retention", table, ("age", "size"))
    return Retention(
        _measure("retention.age", table["age"], parse_duration) if "age" in table else 0,
        _measure("retention.size", table["size"], parse_size) if "size" in table else 0,
    )


def _limits(table: Mapping[str, Any]) -> Limits | None:
    sizes, numbers = ("body", "bodies"), ("concurrent", "connections", "rate")
    seconds = ("read_seconds", "idle_seconds", "stop_seconds")
    _table("limits", table, (*sizes, *numbers, *seconds))
    found: dict[str, Any] = {
        name: _measure(f"limits.{name}", table[name], parse_size) for name in sizes if name in table
    }
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
    return Limits(**found) if found else None


def _export(table: Mapping[str, Any]) -> ExportSettings | None:
    texts = ("otlp", "filter", "service_name", "environment")
    _table("export", table, (*texts, "headers", "settle", "signals"))
    found: dict[str, Any] = {}
    for name in texts:
        if name in table:
            if not isinstance(table[name], str):
                raise ValueError(f"[export] {name} must be a text, not {table[name]!r}")
            found[name] = table[name]
    if "otlp" in found:
        found["otlp"] = collector_url("[export] otlp", found["otlp"])
    if "filter" in found:
        try:
            parse(found["filter"])
        except FilterError as error:
            raise ValueError(f"[export] filter: {error}") from None
    if "headers" in table:
        headers = _table("export.headers", table["headers"])
        if not all(isinstance(value, str) for value in headers.values()):
            raise ValueError('[export] headers must be texts, such as { Authorization = "..." }')
        found["headers"] = headers
    if "settle" in table:
        found["settle"] = _measure("export.settle", table["settle"], parse_duration)
    if "signals" in table:
        found["signals"] = _strings("export.signals", table["signals"], '["traces"]')
        if unknown := [name for name in found["signals"] if name not in SIGNALS]:
            raise ValueError(f"[export] signals: '{unknown[0]}' is none of {', '.join(SIGNALS)}")
    return ExportSettings(**found) if found else None


def collector_url(name: str, url: str) -> str:
    """The base URL of a collector as written; ValueError names the setting and the accepted
    values."""
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise ValueError(f"{name} must be a URL such as http://collector:4318")
    return url


def _plain(section: str, table: Any) -> Mapping[str, Any]:
    wanted = _SECTIONS[section]
    found = _table(section, table, tuple(wanted))
    for name, value in found.items():
        kind = wanted[name]
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise ValueError(f"[{section}] {name} must be {_KINDS[kind]}, not {value!r}")
    return found


def _table(name: str, table: Any, known: Sequence[str] = ()) -> Mapping[str, Any]:
    """A table with known settings; any setting is allowed without `known`."""
    if not isinstance(table, dict):
        raise ValueError(f"{name} must be a table: [{name}]")
    unknown = next((each for each in table if known and each not in known), None)
    if unknown is not None:
        accepted = ", ".join(known)
        raise ValueError(f"[{name}] {unknown} is not a setting; use one of {accepted}")
    return table


def _strings(name: str, value: Any, example: str = '["acme/api", "infra-*"]') -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise ValueError(f"{name} must be a list of texts, such as {example}")
    return tuple(value)


_TABLES: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]]] = {
    "teams": ("teams", _teams),
    "people": ("people_names", _people),
    "environments": ("environments", _environments),
    "spans": ("timeouts", _timeouts),
    "correlation": ("disabled_rules", _disabled),
    "views": ("views", _named("views")),
    "keys": ("keys", _named("keys")),
    "retention": ("retention", _retention),
    "metrics": ("metrics", _metrics),
    "services": ("services", _services),
    "goals": ("goals", _goals),
    "live": ("thresholds", _live),
    "limits": ("limits", _limits),
    "sources": ("sources", _sources),
    "export": ("export", _export),
}
"""Section -> (setting in `Config`, the function that reads it)."""
