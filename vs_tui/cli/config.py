"""`vs-tui config`: create a commented configuration, or show the settings in force and their
origin; and `vs-tui secret`: the token, the secrets of sources, and named tokens."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from vs_tui import config as config_module
from vs_tui.cli.commands import UsageError, add_command, usage
from vs_tui.cli.common import (
    CommandError,
    SecretName,
    add_store_options,
    load_config,
    new_file,
    print_json,
    table_line,
)
from vs_tui.config import Config, config_dir, rotate, write_secrets
from vs_tui.config.document import names_in_file
from vs_tui.config.secrets import (
    SCOPES,
    Secrets,
    add_token,
    read_secrets,
    revoke_token,
)
from vs_tui.model.display import clean, shown_url
from vs_tui.model.limits import format_size
from vs_tui.model.time import duration_setting, iso

TEMPLATE: Final = Path(config_module.__file__).with_name("template.toml")
"""What `config init` writes."""

_SIZES: Final = ("low_space", "body", "bodies", "size")
"""Settings in bytes, which people write with a unit."""


def register(subparsers: Any) -> None:
    _register_config(subparsers)
    _register_secret(subparsers)


def _register_config(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "config",
        run_config,
        epilog="""
        examples:
          vs-tui config init                     a commented file to start from
          vs-tui config show                     every value and where it comes from
          vs-tui config show --json | jq '."store.db"'
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="write a commented configuration file")
    init.add_argument(
        "--config", metavar="PATH", type=Path, help="where (default: VS_CONFIG, or the user's)"
    )
    show = actions.add_parser("show", help="what is in force, and where it comes from")
    show.add_argument("--json", action="store_true", help="print JSON")
    add_store_options(show)


def run_config(args: argparse.Namespace) -> int:
    return _init(args) if args.action == "init" else _show(args)


def _init(args: argparse.Namespace) -> int:
    path = args.config or Path(os.environ.get("VS_CONFIG") or config_dir() / "config.toml")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = new_file(path)
    except FileExistsError:
        raise CommandError(f"{path} exists; edit it, or move it away first") from None
    with os.fdopen(descriptor, "wb") as out:
        out.write(TEMPLATE.read_bytes())
    print(path)
    return 0


def effective(config: Config) -> dict[str, dict[str, Any]]:
    """Setting, named as in docs/configuration.md -> value and origin, secrets masked."""
    shown: dict[str, dict[str, Any]] = {}
    names = {**names_in_file(), **_PARTS}
    for field, name in names.items():
        value = _plain(field, getattr(config, field))
        if field == "public_url":
            value = shown_url(value)
        origin = config.origins.get(field, "default")
        shown[name.strip("[]").replace("] ", ".")] = {"value": value, "origin": origin}
    origin = config.origins.get("token", str(config.secrets_path))
    shown["token"] = {"value": _masked(config.secrets.token), "origin": origin}
    for name, values in sorted(config.secrets.sources.items()):
        masked = ", ".join(_masked(value) for value in values)
        shown[f"secret.{name}"] = {"value": masked, "origin": str(config.secrets_path)}
    return shown


def _plain(name: str, value: Any) -> Any:
    """A setting as JSON has it, in the words of the file."""
    if name in _WRITTEN:
        return _WRITTEN[name](value)
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _goals(goals: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, str]]:
    if not goals:
        return {}
    from vs_tui.metrics.cards import text_of
    from vs_tui.metrics.definitions import METRICS

    return {
        team: {METRICS[metric].key: text_of(metric, goal) for metric, goal in wanted.items()}
        for team, wanted in goals.items()
    }


_PARTS: Final = {"timeouts": "spans.timeouts", "disabled_rules": "correlation.disable"}
"""Field of `Config` -> its setting, where that is only one of its section."""
_WRITTEN: Final[Mapping[str, Callable[[Any], Any]]] = {
    "teams": lambda value: {
        team.name: {"projects": list(team.projects), "users": list(team.users)}
        for team in value.teams
    },
    "people_names": lambda value: {login: list(names) for login, names in value.names.items()},
    "environments": lambda value: {name: list(globs) for name, globs in value.globs.items()},
    "timeouts": lambda value: {name: duration_setting(limit) for name, limit in value.items()},
    "retention": lambda value: {
        "age": duration_setting(value.age) if value.age else "any",
        "size": value.size,
    },
    "metrics": lambda value: {
        "incident_window": duration_setting(value.incident_window),
        "bots": list(value.bots),
        "failed_deploys": value.failed_deploys,
        "deployments": [rule.filter for rule in value.deployments],
        "incidents": list(value.incidents),
    },
    "services": lambda value: {service.name: list(service.paths) for service in value},
    "goals": _goals,
    "thresholds": lambda value: {
        "long": value.long,
        "quiet_after": duration_setting(value.quiet),
        "finished_for": duration_setting(value.finished_for),
        "axis_breaks": value.axis_breaks,
    },
    "limits": asdict,
    "export": lambda value: {
        "otlp": shown_url(value.otlp),
        "headers": dict.fromkeys(value.headers, "(set)"),
        "settle": duration_setting(value.settle),
        "signals": list(value.signals),
        "filter": value.filter,
        "service_name": value.service_name,
        "environment": value.environment,
    },
    "notify": lambda value: [f"{', '.join(rule.on)} to {rule.format}" for rule in value],
    "log": lambda value: str(value or ""),
}
"""Setting -> its value in the words of the file."""


def _masked(secret: str) -> str:
    return "(set)" if secret else "(not set)"


def _show(args: argparse.Namespace) -> int:
    shown = effective(load_config(args))
    if args.json:
        print_json(shown)
        return 0
    for name, entry in shown.items():
        value = _text(name.rpartition(".")[2], entry["value"])
        print(table_line((name, clean(value), clean(entry["origin"])), (21, 42, 0)))
    return 0


def _text(name: str, value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = {each: _text(each, found) for each, found in value.items()}
        return (
            ", ".join(
                f"{each} = {{{text}}}"
                if value[each] and isinstance(value[each], dict)
                else f"{each} = {text}"
                for each, text in inner.items()
            )
            or "-"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(str, value)) + "]"
    if name == "size" and not value:
        return "any"
    if name in _SIZES and isinstance(value, int):
        return format_size(value)
    return f"{value:g}" if isinstance(value, float) else str(value) or "-"


def _register_secret(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "secret",
        run_secret,
        description="Secrets live in secrets.toml beside the configuration, readable by you only. "
        "After a rotation the old secret stays valid beside the new one until the next rotation, "
        "so that the tool can be changed without losing a delivery. A named token has one right: "
        "to send deliveries, or to read (one team only with --team). It is printed once and stored "
        "as a hash; Events shows which one a delivery came with.",
        epilog="""
        examples:
          vs-tui secret show github              for the webhook's form
          vs-tui secret show token
          vs-tui secret rotate gitlab
          vs-tui secret add ci --scope send      a token for the build machines
          vs-tui secret add wall --scope read --team core
          vs-tui secret list
          vs-tui secret revoke ci
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("show", "print a secret"), ("rotate", "make a new one and print it")):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "source", type=SecretName, help="token, or a source that signs, such as github"
        )
        add_store_options(action)
    add = actions.add_parser("add", help="make a named token and print it once")
    add.add_argument("name", metavar="NAME", help="what it is for, such as ci")
    add.add_argument("--scope", choices=SCOPES, required=True, help="its only right")
    add.add_argument("--team", default="", help="of a read token: the only team that it sees")
    listed = actions.add_parser("list", help="named tokens: scope, team and last use")
    listed.add_argument("--json", action="store_true", help="print JSON")
    revoke = actions.add_parser("revoke", help="make a named token invalid, at once")
    revoke.add_argument("name", metavar="NAME")
    for action in (add, listed, revoke):
        add_store_options(action)


def run_secret(args: argparse.Namespace) -> int:
    config = load_config(args, create_secrets=True)
    if args.action in ("add", "list", "revoke"):
        return _named(config, args)
    secrets = config.secrets
    if args.source != "token" and args.source not in secrets.sources:
        known = ", ".join(("token", *sorted(secrets.sources)))
        raise UsageError(f"there is no secret for '{args.source}'; there are {known}")
    if args.action == "rotate":
        stored = read_secrets(config.secrets_path)
        if _valid(stored, args.source) != _valid(secrets, args.source):
            raise UsageError(
                f"an environment variable sets the secret of '{args.source}' and goes before "
                f"{config.secrets_path}; change it there, or unset it and rotate again"
            )
        secrets = rotate(stored, args.source)
        write_secrets(config.secrets_path, secrets)
    print(_valid(secrets, args.source)[0].decode())
    return 0


def _named(config: Config, args: argparse.Namespace) -> int:
    stored = read_secrets(config.secrets_path)
    if args.action == "list":
        return _list(config, stored, as_json=args.json)
    with usage():
        if args.action == "revoke":
            write_secrets(config.secrets_path, revoke_token(stored, args.name))
            return 0
        if args.team and args.scope != "read":
            raise ValueError("--team goes with --scope read; a send token reads nothing")
        if args.team and args.team not in config.teams.names:
            known = ", ".join(config.teams.names) or "none is configured"
            raise ValueError(f"there is no team '{args.team}'; teams: {known}")
        changed, token = add_token(stored, args.name, args.scope, args.team)
    write_secrets(config.secrets_path, changed)
    print(token)
    return 0


def _list(config: Config, secrets: Secrets, *, as_json: bool) -> int:
    from vs_tui.store.maintenance.backup import token_uses
    from vs_tui.store.schema import StoreError

    try:
        used = token_uses(config.db)
    except StoreError as error:
        raise CommandError(str(error)) from None
    rows: list[dict[str, Any]] = [
        {
            "name": token.name,
            "scope": token.scope,
            "team": token.team or None,
            "last_used_at": iso(used.get(token.name)),
        }
        for token in secrets.named
    ]
    if as_json:
        print(json.dumps({"items": rows}))
        return 0
    for row in rows:
        cells = row["name"], row["scope"], clean(row["team"] or "-"), row["last_used_at"] or "never"
        print(table_line(cells, (24, 5, 16, 0)))
    return 0


def _valid(secrets: Secrets, source: str) -> list[bytes]:
    """The newest first."""
    return secrets.tokens if source == "token" else secrets.of(source)
