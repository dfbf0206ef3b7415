"""`vs-tui secret`: show or rotate the token and the sources' secrets."""

from __future__ import annotations

import argparse
from typing import Any

from vs_tui.cli.common import SecretName, add_store_options, load_config
from vs_tui.cli.manual import UsageError, add_command
from vs_tui.config import rotate, write_secrets
from vs_tui.config.secrets import Secrets, read_secrets


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "secret",
        help="show or rotate the token and the sources' secrets",
        description="Secrets live in secrets.toml beside the configuration, readable by you only. "
        "After a rotation the old secret stays valid beside the new one until the next rotation, "
        "so that the tool can be changed without losing a delivery.",
        epilog="""
        examples:
          vs-tui secret show github              for the webhook's form
          vs-tui secret show token
          vs-tui secret rotate gitlab
        """,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("show", "print a secret"), ("rotate", "make a new one and print it")):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument(
            "source", type=SecretName, help="token, or a source that signs, such as github"
        )
        add_store_options(action)


def run(args: argparse.Namespace) -> int:
    config = load_config(args, create_secrets=True)
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


def _valid(secrets: Secrets, source: str) -> list[bytes]:
    """The newest first."""
    return secrets.tokens if source == "token" else secrets.of(source)
