"""`VS_*` variables, each also as `*_FILE`, and the names that em-metrics reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any, Final

from vs_tui.config.errors import ConfigError
from vs_tui.config.model import DEFAULT_HOST
from vs_tui.log.address import check_schema_name, parse_log_url
from vs_tui.model.teams import Team, Teams

_PREFIX: Final = "VS_SECRET_"
_SECRETS: Final = (
    *("VS_TOKEN", "VS_URL", "VS_PUBLIC_URL", "VS_LOG", "VS_EXPORT_OTLP", "OTEL_COLLECTOR_URL"),
    *("VS_CUSTOM_HTTP_EVENT_SOURCE_URL", "VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET"),
    *("EM_METRICS_TOKEN_AUTH", "EM_METRICS_BASIC_AUTH_PASSWORD", "EM_METRICS_BASIC_AUTH_USERNAME"),
)
"""Variables that hold a secret, or a URL that may hold one."""
_OPEN: Final = ("1", "true", "yes", "public")


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
    if env.get(name):
        return env[name]
    if file := env.get(f"{name}_FILE"):
        try:
            return Path(file).read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{name}_FILE: {file} cannot be read: {error}; mend it, or unset {name}_FILE"
            ) from None
    return ""


def _em_metrics_teams(file: Path) -> Teams:
    """em-metrics' JSON file: {"teams": {NAME: {"projects": [..], "users": [..]}}}; a list of teams
    with names is read, too. A user is a login or {"github_username", "email"}."""
    try:
        document = json.loads(file.read_text("utf-8"))
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
