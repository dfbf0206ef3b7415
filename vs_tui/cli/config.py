"""`vs-tui config`: create a commented configuration, or show the settings in force and their
origin."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import CommandError, add_store_options, load_config, new_file
from vs_tui.config import Config, config_dir
from vs_tui.model.display import clean, escaped_json, shown_url
from vs_tui.model.limits import format_size
from vs_tui.model.time import format_duration

TEMPLATE = """\
# vs-tui. All lines are examples: take the # away from a heading and from what you
# set below it, or write tables of your own. `vs-tui config show` says what is in force and why.
# A running vs-tui reads this file again when it changes, and says what needs a restart.

# [server]
# host = "127.0.0.1"
# port = 5000
# public_url = "https://example.ngrok.app"   # what tools reach, when a tunnel stands in front
# metrics_port = 0                           # a second port for /metrics without a token
# log_level = "info"
# log_format = "text"                        # or "json"
# no_auth = false                            # true: open to all who reach the port
# no_auth_public = false                     # true: also through a tunnel, on any address

# [store]
# db = "~/vs-tui.db"
# low_space = "64MiB"                        # stays free on the disk, so that pruning is possible

# [log]
# url = "postgresql://vstui@db.example/vstui"  # several receivers share one log; db is a cache then
# schema = "vs_tui"

# [ui]
# theme = "auto"                             # dark, light, ansi; T in the dashboard tries them
# ascii = false
# zone = "Europe/Berlin"                     # days of the DORA metrics; default: this machine's
# people = true                              # false: roles (author, reviewer) instead of names
# watch_command = "notify-send"              # run with the span's name when a watched span ends

# From when on Live calls a trace long, quiet or history.
# [live]
# long = 1.5                                 # times the usual
# quiet_after = "14d"
# finished_for = "2h"
# axis_breaks = 5                            # of the time axis of a trace, at most

# Who owns what: by project (globs), else by user.
# [teams.backend]
# projects = ["acme/api", "infra-*"]
# users = ["bob"]

# The names that a person has in the tools, where they differ.
# [people]
# bob = ["Bob Builder", "bob.builder"]

# [environments]
# production = ["prod", "production", "live-*"]

# [metrics]
# incident_window = "24h"                    # an incident blames the last deploy; 0: never
# bots = ["renovate", "ci-*"]                # further authors who are no engineers

# [spans.timeouts]
# deploy = "2h"                              # a start without an end fails after this; "never"

# [correlation]
# disable = ["proximity"]                    # rules that must not link

# [views]
# failed-today = "state:failed age<1d"

# [keys]
# quit = "Q"

# Send finished traces and metrics to an OpenTelemetry collector.
# [export]
# otlp = "http://collector:4318"
# headers = { Authorization = "Bearer ..." }
# settle = "60s"                             # how long a trace must be over and unchanged
# signals = ["traces", "metrics"]
# filter = "team:core"                       # only traces with such a span

# Tell a chat, a desktop or a command what happened; see docs/notifications.md.
# [[notify]]
# on = ["failed", "recovered"]               # also started, ended, waiting, regressed, goal_missed
# format = "slack"                           # teams, discord, json, desktop, command
# url = "https://hooks.slack.com/services/..."
# filter = "kind:deploy is:production"

# Hourly, the receiver deletes finished traces that are older, or the oldest above a size.
# [retention]
# age = "180d"
# size = "5GiB"

# [limits]
# body = "25MiB"                             # of one request, after decompression
# bodies = "64MiB"                           # of all requests in memory
# concurrent = 1000                          # requests at once; a source may take 3/4 of them
# connections = 2000
# rate = 5000                                # requests a second and source; 0: any
"""

_SIZES: Final = ("low_space", "body", "bodies", "size")
"""Settings in bytes, which people write with a unit."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "config",
        epilog="""
        examples:
          vs-tui config init                     a commented file to start from
          vs-tui config show                     every value and where it comes from
          vs-tui config show --json | jq .db
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    init = actions.add_parser("init", help="write a commented configuration file")
    init.add_argument("--config", metavar="PATH", type=Path, help="where (default: the user's)")
    show = actions.add_parser("show", help="what is in force, and where it comes from")
    show.add_argument("--json", action="store_true", help="print JSON")
    add_store_options(show)


def run(args: argparse.Namespace) -> int:
    return _init(args) if args.action == "init" else _show(args)


def _init(args: argparse.Namespace) -> int:
    path = args.config or config_dir() / "config.toml"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = new_file(path)
    except FileExistsError:
        raise CommandError(f"{path} exists; edit it, or move it away first") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(TEMPLATE)
    print(path)
    return 0


def effective(config: Config) -> dict[str, dict[str, Any]]:
    """Setting -> value and origin, secrets masked."""
    shown: dict[str, dict[str, Any]] = {}
    for field in fields(config):
        if field.name in ("origins", "path", "secrets_path", "secrets"):
            continue
        value = _plain(field.name, getattr(config, field.name))
        if field.name == "public_url":
            value = shown_url(value)
        shown[field.name] = {"value": value, "origin": config.origins.get(field.name, "default")}
    origin = config.origins.get("token", str(config.secrets_path))
    shown["token"] = {"value": _masked(config.secrets.token), "origin": origin}
    for name, values in sorted(config.secrets.sources.items()):
        masked = ", ".join(_masked(value) for value in values)
        shown[f"secret.{name}"] = {"value": masked, "origin": str(config.secrets_path)}
    return shown


def _plain(name: str, value: Any) -> Any:
    if name == "teams":
        return {t.name: {"projects": list(t.projects), "users": list(t.users)} for t in value.teams}
    if name == "people_names":
        return {login: list(names) for login, names in value.names.items()}
    if name == "environments":
        return {key: list(globs) for key, globs in value.globs.items()}
    if name == "timeouts":
        return {key: format_duration(limit) for key, limit in value.items()}
    if name == "retention":
        return {"age": format_duration(value.age) if value.age else "any", "size": value.size}
    if name == "metrics":
        window = format_duration(value.incident_window) if value.incident_window else "0"
        return {"incident_window": window, "bots": list(value.bots)}
    if name == "limits":
        return asdict(value)
    if name == "export":
        return {
            "otlp": shown_url(value.otlp),
            "headers": dict.fromkeys(value.headers, "(set)"),
            "settle": format_duration(value.settle),
            "signals": list(value.signals),
            "filter": value.filter,
        }
    if name == "notify":
        return [f"{', '.join(rule.on)} to {rule.format}" for rule in value]
    if name == "log":
        return str(value or "")
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def _masked(secret: str) -> str:
    return "(set)" if secret else "(not set)"


def _show(args: argparse.Namespace) -> int:
    shown = effective(load_config(args))
    if args.json:
        import orjson

        print(escaped_json(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode()))
        return 0
    for name, entry in shown.items():
        print(f"{name:<18} {clean(_text(name, entry['value'])):<44} {clean(entry['origin'])}")
    return 0


def _text(name: str, value: Any) -> str:
    """A value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        inner = {each: _text(each, found) for each, found in value.items()}
        return (
            ", ".join(
                f"{each} = {{{text}}}" if isinstance(value[each], dict) else f"{each} = {text}"
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
