"""`vs-tui secret`: the token, the secrets of sources, and named tokens."""

from __future__ import annotations

import argparse
import json
from typing import Any

from vs_tui.cli.commands import UsageError, add_command
from vs_tui.cli.common import (
    CommandError,
    SecretName,
    add_store_options,
    load_config,
    table_line,
)
from vs_tui.config import Config, rotate, write_secrets
from vs_tui.config.secrets import (
    SCOPES,
    Secrets,
    add_token,
    read_secrets,
    revoke_token,
)
from vs_tui.model.display import clean
from vs_tui.model.time import iso


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "secret",
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


def run(args: argparse.Namespace) -> int:
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
    try:
        if args.action == "revoke":
            write_secrets(config.secrets_path, revoke_token(stored, args.name))
            return 0
        if args.team and args.scope != "read":
            raise ValueError("--team goes with --scope read; a send token reads nothing")
        if args.team and args.team not in config.teams.names:
            known = ", ".join(config.teams.names) or "none is configured"
            raise ValueError(f"there is no team '{args.team}'; teams: {known}")
        changed, token = add_token(stored, args.name, args.scope, args.team)
    except ValueError as error:
        raise UsageError(str(error)) from None
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
