"""Read config.toml: its sections and the meaning of their values. A ValueError names the setting
and the accepted values.

Checked here and not by pydantic: importing it and building such models takes 140 ms, twice what all
else of the configuration takes, before the dashboard's first rows (measured with Python 3.11).
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any, Final

from vs_tui.config.model import (
    DEFAULT_TIMEOUTS,
    EVENTS,
    FORMATS,
    SIGNALS,
    ExportSettings,
    NotifyRule,
    checked_url,
)
from vs_tui.log.address import check_schema_name, parse_log_url
from vs_tui.metrics.rules import DeploymentRule, MetricRules, Service
from vs_tui.model.errors import ConfigError
from vs_tui.model.filters import FilterError, parse
from vs_tui.model.limits import Limits, Retention, Thresholds, parse_size
from vs_tui.model.teams import DEFAULT_ENVIRONMENTS, Environments, People, Team, Teams
from vs_tui.model.time import Duration, parse_duration

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Goals

Reader = Callable[[str, str, Any], Any]
"""Given a section, a setting and its value as written, returns what it means."""


def _value(
    what: str, kind: type | UnionType, good: Callable[[Any], bool] = lambda _: True
) -> Reader:
    """Reads a value of a kind that is taken as it is; `what` says to people what it must be."""

    def read(section: str, name: str, value: Any) -> Any:
        # To Python, true is a number.
        is_kind = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not is_kind or not good(value):
            raise ValueError(f"[{section}] {name} must be {what}, not {value!r}")
        return value

    return read


def _measure(parse: Callable[[str], int], more: str = "") -> Reader:
    """Reads a duration or a size as people write it."""

    def read(section: str, name: str, value: Any) -> int:
        try:
            return parse(str(value))
        except ValueError as error:
            raise ValueError(f"{section}.{name}: {error}{more}") from None

    return read


def _texts(example: str = '["acme/api", "infra-*"]') -> Reader:
    """Reads a list of texts."""

    def read(section: str, name: str, value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
            raise ValueError(f"{section}.{name} must be a list of texts, such as {example}")
        return tuple(value)

    return read


def _parsed(parse: Callable[[str], Any]) -> Reader:
    """Reads a text by a function, whose ValueError continues the name of the setting."""

    def read(section: str, name: str, value: Any) -> Any:
        try:
            return parse(_TEXT(section, name, value))
        except ValueError as error:
            said = str(error)
            raise ValueError(
                said if said.startswith("[") else f"[{section}] {name} {said}"
            ) from None

    return read


_TEXT: Final = _value("a text", str)
_WHOLE: Final = _value("a whole number", int)
_FLAG: Final = _value("true or false", bool)
_COUNT: Final = _value("a whole number", int, lambda value: value >= 0)
_SECONDS: Final = _value("seconds above 0", int | float, lambda value: value > 0)
_DURATION: Final = _measure(parse_duration)
_SIZE: Final = _measure(parse_size)


def _filter(section: str, name: str, value: Any, *, traces: bool = False) -> str:
    """The text of a filter of spans, or of `traces`, that can be read."""
    text: str = _TEXT(section, name, value)
    try:
        parse(text, traces=traces)
    except FilterError as error:
        raise ValueError(f"[{section}] {name}: {error}") from None
    return text


def _collector(section: str, name: str, value: Any) -> str:
    return checked_url(f"[{section}] {name}", _TEXT(section, name, value))


def _headers(section: str, name: str, value: Any) -> Mapping[str, str]:
    headers = _table(f"{section.strip('[]')}.{name}", value)
    if not all(isinstance(text, str) for text in headers.values()):
        example = '{ Authorization = "..." }'
        raise ValueError(f"[{section}] {name} must be texts, such as {example}")
    return headers


def _posted_to(section: str, name: str, value: Any) -> str:
    url = value if isinstance(value, str) else "-"
    return checked_url(f"[{section}] {name}", url, "https://hooks.example/...")


def _words(section: str, name: str, value: Any) -> tuple[str, ...]:
    """One text, or a list of texts."""
    listed = [value] if isinstance(value, str) else value
    found: tuple[str, ...] = _texts('["failed"]')(section.strip("[]"), name, listed)
    return found


def _signals(section: str, name: str, value: Any) -> tuple[str, ...]:
    found: tuple[str, ...] = _texts('["traces"]')(section, name, value)
    if unknown := [signal for signal in found if signal not in SIGNALS]:
        raise ValueError(f"[{section}] {name}: '{unknown[0]}' is none of {', '.join(SIGNALS)}")
    return found


def _incident_window(section: str, name: str, value: Any) -> Duration:
    measure = _measure(parse_duration, ", or 0 for none")
    return 0 if str(value) == "0" else int(measure(section, name, value))


def _rules(known: Sequence[str], make: Callable[[dict[str, str]], Any]) -> Reader:
    """Reads `[[section.name]]`: rules with a filter and other texts."""

    def read(section: str, name: str, value: Any) -> tuple[Any, ...]:
        full = f"{section}.{name}"
        if not isinstance(value, list):
            raise ValueError(f"{full} must be tables: [[{full}]]")
        return tuple(make(_rule(full, rule)) for rule in value)

    def _rule(full: str, rule: Any) -> dict[str, str]:
        table = _table(full, rule, known)
        texts = {name: _TEXT(f"[{full}]", name, value) for name, value in table.items()}
        text = _filter(f"[{full}]", "filter", texts.get("filter", ""))
        if not text.strip():
            raise ValueError(f"[[{full}]] needs a filter, such as 'kind:pipeline name:\"Deploy*\"'")
        return texts

    return read


_SECTIONS: Final[Mapping[str, Mapping[str, Reader]]] = {
    "server": {
        "host": _TEXT,
        "port": _WHOLE,
        "public_url": _TEXT,
        "no_auth": _FLAG,
        "no_auth_public": _FLAG,
        "metrics_port": _WHOLE,
        "log_level": _TEXT,
        "log_format": _TEXT,
    },
    "store": {
        "db": _parsed(lambda text: Path(text).expanduser()),
        "low_space": lambda section, name, value: _SIZE(section, name, _TEXT(section, name, value)),
    },
    "log": {"url": _parsed(parse_log_url), "schema": _parsed(check_schema_name)},
    "ui": {"theme": _TEXT, "ascii": _FLAG, "zone": _TEXT, "watch_command": _TEXT, "people": _FLAG},
}
"""Sections whose settings stand side by side in `Config`."""
_NAMES: Final = {"url": "log", "schema": "log_schema"}
"""Names in `Config` that differ."""

_METRICS: Final[Mapping[str, Reader]] = {
    "incident_window": _incident_window,
    "bots": _texts('["renovate", "ci-*"]'),
    "failed_deploys": _value("count or ignore", str, ("count", "ignore").__contains__),
    "deployments": _rules(
        ("filter", "environment", "service"), lambda texts: DeploymentRule(**texts)
    ),
    "incidents": _rules(("filter",), lambda texts: texts["filter"]),
}
_LIVE: Final[Mapping[str, Reader]] = {
    "long": _value("a number from 1 to 100, such as 1.5", int | float, lambda v: 1 <= v <= 100),
    "quiet_after": _DURATION,
    "finished_for": _DURATION,
    "axis_breaks": _value("a whole number up to 20", int, lambda value: 0 <= value <= 20),
}
_LIMITS: Final[Mapping[str, Reader]] = {
    **dict.fromkeys(("body", "bodies"), _SIZE),
    **dict.fromkeys(("concurrent", "connections", "rate"), _COUNT),
    **dict.fromkeys(("read_seconds", "idle_seconds", "stop_seconds"), _SECONDS),
}
_EXPORT: Final[Mapping[str, Reader]] = {
    "otlp": _collector,
    "filter": _filter,
    "service_name": _TEXT,
    "environment": _TEXT,
    "headers": _headers,
    "settle": _DURATION,
    "signals": _signals,
}
_NOTIFY: Final[Mapping[str, Reader]] = {
    "on": _words,
    "format": _value(f"one of {', '.join(FORMATS)}", str, FORMATS.__contains__),
    "url": _posted_to,
    "headers": _headers,
    "command": _words,
    "filter": _TEXT,
}


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


def names_in_file() -> dict[str, str]:
    """Field of `Config` -> its name in the file, as people write it."""
    return {
        **{
            _NAMES.get(name, name): f"[{section}] {name}"
            for section, names in _SECTIONS.items()
            for name in names
        },
        **{field: f"[{section}]" for section, (field, _) in _TABLES.items()},
        "notify": "[[notify]]",
    }


def _interpret(document: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for section, table in document.items():
        if section == "notify":
            values["notify"] = _notify(table)
        elif section in _SECTIONS:
            found = _read(section, table, _SECTIONS[section])
            values |= {_NAMES.get(name, name): value for name, value in found.items()}
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
    return values


def _teams(tables: Mapping[str, Any]) -> Teams | None:
    readers = {"projects": _texts(), "users": _texts()}
    teams = [Team(n, **_read(f"teams.{n}", table, readers)) for n, table in tables.items()]
    return Teams(tuple(teams)) if teams else None


def _people(table: Mapping[str, Any]) -> People | None:
    names = {login: _texts('["Ana Lima"]')("people", login, v) for login, v in table.items()}
    found = People(names)
    found.of("")  # two people with one name are refused
    return found if names else None


def _environments(table: Mapping[str, Any]) -> Environments | None:
    globs = {name: _texts()("environments", name, value) for name, value in table.items()}
    return Environments({**DEFAULT_ENVIRONMENTS, **globs}) if globs else None


def _timeouts(spans: Mapping[str, Any]) -> dict[str, Duration]:
    table = _table("spans", spans, ("timeouts",)).get("timeouts", {})
    parsed = {
        name: 0 if text in (0, "never") else _DURATION("spans.timeouts", name, text)
        for name, text in _table("spans.timeouts", table).items()
    }
    merged = {**DEFAULT_TIMEOUTS, **parsed} if parsed else {}
    return {name: limit for name, limit in merged.items() if limit}


def _disabled(table: Mapping[str, Any]) -> tuple[str, ...]:
    found = _read("correlation", table, {"disable": _texts('["proximity"]')})
    return found["disable"] if found else ()


def _named(section: str) -> Callable[[Mapping[str, Any]], Mapping[str, str]]:
    """Reads a section of texts with any names."""
    return lambda table: {name: _TEXT(section, name, value) for name, value in table.items()}


def _sources(table: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The tables of mapped sources by name; `sources.mapped` checks their content."""
    return {name: _table(f"sources.{name}", each) for name, each in table.items()}


def _services(tables: Mapping[str, Any]) -> tuple[Service, ...]:
    readers = {"paths": _texts('["apps/checkout/**"]')}
    read = {name: _read(f"services.{name}", table, readers) for name, table in tables.items()}
    return tuple(Service(name, found.get("paths", ())) for name, found in read.items())


def _goals(tables: Mapping[str, Any]) -> Goals:
    from vs_tui.metrics.cards import read_goals  # brings all metrics along

    return read_goals({name: _table(f"goals.{name}", table) for name, table in tables.items()})


def _notify(tables: Any) -> tuple[NotifyRule, ...]:
    if not isinstance(tables, list):
        raise ValueError("notify must be tables: [[notify]]")
    return tuple(_notify_rule(**_read("[notify]", table, _NOTIFY)) for table in tables)


def _notify_rule(
    on: Sequence[str] = (), format: str = "", url: str = "", filter: str = "", **more: Any
) -> NotifyRule:
    if not on or any(event not in EVENTS for event in on):
        raise ValueError(f"[[notify]] on must be one or more of {', '.join(EVENTS)}")
    _NOTIFY["format"]("[notify]", "format", format)
    if (format == "command") != bool(more.get("command")):
        raise ValueError(
            '[[notify]] command goes with format = "command", such as ["/opt/tell", "--loud"]'
        )
    if bool(url) == (format in ("desktop", "command")):
        why = "has no use with" if url else "must be a URL; notifications are posted to it with"
        raise ValueError(f'[[notify]] url {why} format = "{format}"')
    for event in on:
        _filter("[notify]", "filter", filter, traces=event == "waiting")
    return NotifyRule(tuple(on), format, url, filter=filter, **more)


def _made(
    section: str, readers: Mapping[str, Reader], make: Callable[..., Any]
) -> Callable[[Mapping[str, Any]], Any]:
    """Reads a section into one object, which has the same names; None without any setting."""

    def read(table: Mapping[str, Any]) -> Any:
        found = _read(section, table, readers)
        return make(**found) if found else None

    return read


def _thresholds(quiet_after: Duration | None = None, **found: Any) -> Thresholds:
    if "long" in found:
        found["long"] = float(found["long"])
    return Thresholds(**found) if quiet_after is None else Thresholds(quiet=quiet_after, **found)


def _read(section: str, table: Any, readers: Mapping[str, Reader]) -> dict[str, Any]:
    """The settings of a table that has no others than those of the readers."""
    found = _table(section, table, tuple(readers))
    return {name: readers[name](section, name, value) for name, value in found.items()}


def _table(name: str, table: Any, known: Sequence[str] = ()) -> Mapping[str, Any]:
    """A table with known settings; any setting is allowed without `known`."""
    if not isinstance(table, dict):
        raise ValueError(f"{name} must be a table: [{name}]")
    unknown = next((each for each in table if known and each not in known), None)
    if unknown is not None:
        accepted = ", ".join(known)
        raise ValueError(f"[{name}] {unknown} is not a setting; use one of {accepted}")
    return table


_TABLES: Final[Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Any]]]] = {
    "teams": ("teams", _teams),
    "people": ("people_names", _people),
    "environments": ("environments", _environments),
    "spans": ("timeouts", _timeouts),
    "correlation": ("disabled_rules", _disabled),
    "views": ("views", _named("views")),
    "keys": ("keys", _named("keys")),
    "retention": ("retention", _made("retention", {"age": _DURATION, "size": _SIZE}, Retention)),
    "metrics": ("metrics", _made("metrics", _METRICS, MetricRules)),
    "services": ("services", _services),
    "goals": ("goals", _goals),
    "live": ("thresholds", _made("live", _LIVE, _thresholds)),
    "limits": ("limits", _made("limits", _LIMITS, Limits)),
    "sources": ("sources", _sources),
    "export": ("export", _made("export", _EXPORT, ExportSettings)),
}
"""Section -> (setting in `Config`, the function that reads it)."""
