"""`vs-tui view`: the dashboard alone, read-only, on a file or on a remote receiver."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from vs_tui.cli.common import CommandError, add_store_options, load_config, now
from vs_tui.cli.dashboard import add_look_options, quiet_logging, setup_for
from vs_tui.config import Config
from vs_tui.domain.instants import parse_duration, parse_instant


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "view",
        help="the dashboard alone, read-only, on a database or a remote receiver",
        description="Any number of them beside a running receiver: by file on the same machine, by "
        "URL and token from another one. Nothing is written.",
        epilog="examples: vs-tui view | vs-tui view team.db --at 2h | "
        "VS_TOKEN=... vs-tui view http://jumpbox:5000",
    )
    parser.add_argument(
        "what", nargs="?", metavar="DB|URL", help="default: the configured database"
    )
    add_store_options(parser)
    parser.add_argument("--token", help="the receiver's token, for a URL")
    parser.add_argument(
        "--at", metavar="TIME", help="a past moment, frozen: RFC 3339, or an age such as 2h"
    )
    add_look_options(parser)


def run(args: argparse.Namespace) -> int:
    what = args.what or ""
    if what and "://" not in what:
        args.db = what
    config = load_config(args)
    return asyncio.run(_view(config, args, what if "://" in what else ""))


async def _view(config: Config, args: argparse.Namespace, url: str) -> int:
    from vs_tui.store.cards import read_cards
    from vs_tui.store.reader import SqliteReader
    from vs_tui.tui.app import VsTuiApp

    quiet_logging()
    setup = setup_for(config, args)
    setup.open_mode = False
    setup.at = _moment(args.at)
    if url:
        from vs_tui.receiver.client import HttpReader

        remote = await HttpReader(url, config.secrets.token).open()
        setup.reader, setup.url, setup.cards = remote, url, remote.cards
    else:
        local = SqliteReader(config.db, now, team_names=config.teams.names)
        setup.reader = await local.open()
        setup.source_name = Path(config.db).name
        setup.cards = lambda team, window: read_cards(local, config, team, window, now())
    try:
        return await VsTuiApp(setup).run_async() or 0
    finally:
        await setup.reader.close()


def _moment(text: str | None) -> int | None:
    if not text:
        return None
    instant = parse_instant(text)
    if instant is not None:
        return instant
    try:
        return now() - parse_duration(text)
    except ValueError:
        raise CommandError(
            f"--at '{text}': write 2026-03-02T10:00:00Z, or an age such as 2h"
        ) from None
