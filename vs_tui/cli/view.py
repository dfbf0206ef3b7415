"""`vs-tui view`: the dashboard alone, read-only: on a file, a remote receiver, in a browser."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from vs_tui.cli.commands import UsageError, add_command, usage
from vs_tui.cli.common import (
    CommandError,
    add_log_option,
    add_store_options,
    checked_config,
    load_config,
    moment,
    now,
    port_number,
    reader_settings,
    token_for,
)
from vs_tui.cli.dashboard import (
    add_look_options,
    check_keys,
    for_dashboard,
    need_terminal,
    setup_for,
    show,
    show_figures,
)
from vs_tui.cli.http_client import is_loopback
from vs_tui.cli.logs import log_to_file
from vs_tui.config import Config, take_secrets_out
from vs_tui.log.address import SCHEMES, parse_log_url
from vs_tui.model.display import shown_url
from vs_tui.model.limits import Retention
from vs_tui.model.time import Instant

if TYPE_CHECKING:
    from vs_tui.config.reread import Listener, Reread
    from vs_tui.store.queries.reports import Reports
    from vs_tui.store.writer import Writer
    from vs_tui.tui.app import Setup, VsTuiApp


class _Opened(NamedTuple):
    """The source that the dashboard reads."""

    setup: Setup
    subscribe: Callable[[VsTuiApp], object] | None = None
    """Makes a dashboard repaint after changes. A file is looked at by the feed itself."""
    listeners: Sequence[Listener] = ()
    """Apply a configuration that was read again."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "view",
        run,
        description="Any number of them beside a running receiver: by file on the same machine, by "
        "URL and token from another one. Nothing is written. A remote one reconnects by itself and "
        "says when it is stale.",
        epilog="""
        examples:
          vs-tui view                            this machine's database
          vs-tui view team.db --at 2h            how it stood two hours ago
          VS_TOKEN=... vs-tui view https://jumpbox:5000
          vs-tui view postgresql://db/vstui      a log that several receivers share
          vs-tui view --web                      in browsers
        """,
    )
    parser.add_argument(
        "what", nargs="?", metavar="DB|URL", help="default: the configured database"
    )
    add_store_options(parser)
    add_log_option(parser)
    parser.add_argument(
        "--token", help="the receiver's token, for a URL (better: VS_TOKEN, which `ps` cannot see)"
    )
    parser.add_argument(
        "--at", metavar="TIME", help="a past moment, frozen: RFC 3339, or an age such as 2h"
    )
    parser.add_argument(
        "--web", action="store_true", help="serve it to browsers, behind the token (extra: web)"
    )
    parser.add_argument("--host", help="with --web: address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--port",
        type=port_number,
        default=8000,
        help="with --web: port to listen on (default 8000)",
    )
    add_look_options(parser)


def run(args: argparse.Namespace) -> int:
    what = args.what or ""
    if what.partition("://")[0] in SCHEMES:
        with usage(f"'{shown_url(what)}' "):
            args.log, what = parse_log_url(what).url, ""
    url = what if "://" in what else ""
    if what and not url:
        args.db = what
    at = moment("--at", args.at) if args.at else None
    if args.web:
        from vs_tui.cli.web import serve

        return serve(args, what)
    args.host = args.port = None  # of the web server, not of the receiver
    return asyncio.run(_view(load_config(args), args, url, at))


async def _view(config: Config, args: argparse.Namespace, url: str, at: Instant | None) -> int:
    from vs_tui.cli.reachability import connections
    from vs_tui.config.reread import following
    from vs_tui.tui.app import VsTuiApp

    check_keys(config)
    log_to_file(config)
    async with AsyncExitStack() as closing:
        opened = await (_remote if url else _local)(config, args, url, closing)
        setup = opened.setup
        take_secrets_out(os.environ)
        setup.open_mode = False
        setup.at = at
        if os.environ.get("TEXTUAL_DRIVER"):
            # In a browser: nothing of this machine is written or run for whoever looks, and nobody
            # is shown a secret.
            setup.state_path = setup.watch_command = ""
            setup.connections = lambda: connections(config, with_secrets=False)
        need_terminal()
        app = VsTuiApp(setup)
        if opened.subscribe is not None:
            opened.subscribe(app)
        read = checked_config(args, check_keys)
        async with following(config, read, *opened.listeners, for_dashboard(app, setup)):
            return await show(app, config)


async def _remote(
    config: Config, args: argparse.Namespace, url: str, closing: AsyncExitStack
) -> _Opened:
    """Read a receiver elsewhere; its secrets stay there."""
    from vs_tui.api.remote import parse_address
    from vs_tui.api.remote_reader import HttpReader
    from vs_tui.cli.reachability import connections

    try:
        address, token = parse_address(url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    _warn_of_plain_text(address)
    token = token_for(address, token, config)
    try:
        reader = await HttpReader(address, token).open()
    except ValueError as error:
        raise CommandError(f"{address} does not understand the dashboard: {error}") from None
    closing.push_async_callback(reader.close)
    setup = setup_for(config, args, reader)
    setup.url, setup.cards = address, reader.cards
    setup.detail = reader.detail
    setup.connections = lambda: connections(config, with_secrets=False)
    if token:
        setup.known_secrets = (*setup.known_secrets, token)
    return _Opened(setup, lambda app: reader.remote.on_change(app.notify_changed))


async def _local(
    config: Config, args: argparse.Namespace, _: str, closing: AsyncExitStack
) -> _Opened:
    """Read a database of this machine, beside its receiver."""
    from vs_tui.cli.reachability import find_public_url
    from vs_tui.store.queries.reader import SqliteReader

    in_force = config

    def reports() -> Reports:
        from vs_tui.store.queries.reports import Reports

        return Reports(local, in_force, now)

    async def take_over(found: Reread) -> None:
        nonlocal in_force
        in_force = found.config
        local.reconfigure(**reader_settings(in_force))

    following = await _follow(config)
    if following:
        closing.push_async_callback(following.close)
    trouble = (lambda: following.trouble) if following else (lambda: "")
    settings = reader_settings(config)
    local = await SqliteReader(config.db, now, **settings, trouble=trouble).open()
    closing.push_async_callback(local.close)
    setup = setup_for(config, args, local)
    setup.source_name = Path(config.db).name
    show_figures(setup, reports)
    setup.find_public_url = lambda: find_public_url(config.public_url, config.port)
    if following is None:
        return _Opened(setup, listeners=[take_over])
    setup.source_name = str(config.log)
    return _Opened(setup, lambda app: following.subscribe(app.notify_changed), [take_over])


async def _follow(config: Config) -> Writer | None:
    """Follow a shared log into this machine's cache; None without such a log, or if another process
    follows it already."""
    if config.log is None:
        return None
    from vs_tui.cli.runtime import open_log, writer_settings
    from vs_tui.store.lock import InUse

    writer = open_log(config, now, replace(writer_settings(config), retention=Retention()))
    try:
        await writer.open()
    except InUse:
        return None
    return writer


def _warn_of_plain_text(address: str) -> None:
    parts = urlsplit(address)
    if parts.scheme == "http" and not is_loopback(address):
        port = parts.port or 80
        print(
            f"vs-tui: what {parts.hostname} answers is not encrypted; use https, or "
            f"`ssh -L {port}:127.0.0.1:{port} {parts.hostname}` and http://127.0.0.1:{port}",
            file=sys.stderr,
        )
