"""`vs-tui connect`: make a tool's webhook through its API, or say what to enter where."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.common import CommandError, SourceName, add_store_options, load_config, receiver
from vs_tui.cli.hooks import GitHubHooks, GitLabHooks, Hooks
from vs_tui.cli.import_ import TOOLS, check_url, proof_headers
from vs_tui.cli.importing.sending import Sender
from vs_tui.cli.importing.web import Api
from vs_tui.cli.manual import UsageError, add_command
from vs_tui.cli.source_setup import connections, with_new_secrets
from vs_tui.cli.tunnel import agent_url
from vs_tui.config import Config
from vs_tui.model.display import clean
from vs_tui.tui.source_status import Connection, url_of, url_with_token

_BY_API: Final = ("github", "gitlab")


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "connect",
        help="make a tool's webhook, or say what to enter where",
        description="With a repository, an organization, a project or a group of GitHub or GitLab: "
        "make its webhook with our URL, its secret and the right events, and let the tool ping it. "
        "Running it again changes the webhook that is there. Without one, and for any other tool: "
        "print what to enter where. The receiver must run; the tool's token is used once and not "
        "stored.",
        epilog="""
        examples:
          GITHUB_TOKEN=... vs-tui connect github acme/api
          GITHUB_TOKEN=... vs-tui connect github acme             all of an organization
          GITLAB_TOKEN=... vs-tui connect gitlab acme/web/shop --api https://git.acme.example/api/v4
          vs-tui connect jenkins                                  what to enter at Jenkins
          vs-tui connect github --show-secret                     for the form in the browser

        The token comes from GITHUB_TOKEN or GITLAB_TOKEN, or from the file of --token-file. It
        needs the right to manage webhooks: admin:repo_hook (GitHub), the scope api and the role
        Maintainer (GitLab).
        """,
    )
    parser.add_argument("tool", type=SourceName, metavar="TOOL", help="github, gitlab, jenkins ...")
    parser.add_argument(
        "name", nargs="?", metavar="NAME", help="OWNER, OWNER/REPO, GROUP or GROUP/PROJECT"
    )
    parser.add_argument(
        "--public-url",
        metavar="URL",
        help="where the tool reaches the receiver (default: server.public_url of the "
        "configuration, else the ngrok tunnel of this machine)",
    )
    parser.add_argument("--api", metavar="URL", help="the API's base URL, of an own server")
    parser.add_argument("--token-file", metavar="FILE", type=Path, help="a file with the token")
    parser.add_argument("--show-secret", action="store_true", help="print the secret as well")
    parser.add_argument("--json", action="store_true", help="print a JSON object")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
    config = with_new_secrets(load_config(args, create_secrets=True))
    found = {c.name: c for c in connections(config)}
    if args.tool not in found:
        raise UsageError(f"there is no source '{args.tool}'; `vs-tui source list` prints them")
    connection = found[args.tool]
    base = args.public_url or config.public_url or agent_url(config.port)
    if args.public_url:
        check_url(args.public_url, "--public-url")
    if args.name and args.tool not in _BY_API:
        raise UsageError(
            f"only the webhooks of {' and '.join(_BY_API)} can be made from here; `vs-tui connect "
            f"{args.tool}` prints what to enter at {connection.title}"
        )
    if not args.name:
        return _print_form(args, connection, base, config)
    return _make(args, connection, base)


def _make(args: argparse.Namespace, connection: Connection, base: str) -> int:
    """Make the webhook and let the tool send a ping."""
    tool = TOOLS[args.tool]
    if args.api:
        check_url(args.api, "--api")
    if not base:
        raise CommandError(
            f"{tool.title} cannot reach this machine: nothing says where. Start a tunnel (ngrok "
            "http PORT), set server.public_url in the configuration or give --public-url; or read "
            f"without a webhook: `vs-tui import {args.tool} {args.name} --follow`"
        )
    here = receiver()
    sender = Sender(here.url, here.token)
    api = Api(args.api or tool.url, proof_headers(args, tool), _tell)
    hooks: Hooks
    hooks = GitHubHooks(api, args.name) if args.tool == "github" else GitLabHooks(api, args.name)
    url = url_of(connection, base)
    try:
        sender.check()
        hook = hooks.put(url, connection.secret)
        arrived, said = hooks.ping(hook)
    finally:
        api.close()
        sender.close()
    told = {"tool": args.tool, "name": args.name, "url": url, "id": hook.id, "made": hook.made,
            "arrived": arrived, "answer": said}  # fmt: skip
    if args.json:
        print(json.dumps(told))
    else:
        print(f"webhook {hook.id} {'made' if hook.made else 'brought up to date'} at {args.name}")
        print(f"URL     {clean(url)}")
        print(f"secret  that of `vs-tui secret show {connection.kept_as}`")
        print(f"ping    {'arrived' if arrived else 'did not arrive'}: {clean(said)}")
    if not arrived:
        _tell("what to do: see Events (4) in vs-tui, or the webhook's recent deliveries at "
              f"{tool.title}; is {url} this receiver's?")  # fmt: skip
    return 0 if arrived else 1


def _print_form(args: argparse.Namespace, connection: Connection, base: str, config: Config) -> int:
    """Print what to enter in the tool's form."""
    form = connection.webhook_form
    where = base or f"http://{config.host}:{config.port or 5000}"
    in_url = connection.token_in_url and not form.field
    url = url_of(connection, where)
    shown_url = url
    if in_url:
        shown_url = url_with_token(connection, where) if args.show_secret else f"{url}?token=TOKEN"
    rows = {"where": form.where, "url": shown_url, "content type": form.content_type,
            "events": form.events}  # fmt: skip
    if not in_url:
        field = form.field or "the header Authorization: Bearer TOKEN"
        rows["secret"] = f"{field}: " + (
            connection.secret if args.show_secret
            else f"what `vs-tui secret show {connection.kept_as}` prints"
        )  # fmt: skip
    elif not args.show_secret:
        rows["where TOKEN is"] = "what `vs-tui secret show token` prints (--show-secret puts it in)"
    if args.json:
        print(json.dumps({"tool": connection.name, **rows}))
    else:
        for name, value in rows.items():
            print(f"{name:<15} {clean(value, 2000)}")
    if not base:
        _tell("this address is for tools on this machine; for others start a tunnel (ngrok http "
              f"{config.port or 5000}) or set server.public_url")  # fmt: skip
    if connection.name in _BY_API:
        name = TOOLS[connection.name].what
        _tell(f"or let it be made: {TOOLS[connection.name].variable}=... vs-tui connect "
              f"{connection.name} {name}")  # fmt: skip
    return 0


def _tell(text: str) -> None:
    print(clean(text, 1000), file=sys.stderr)
