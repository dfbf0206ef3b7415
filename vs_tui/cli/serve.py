"""`vs-tui serve`: the receiver alone, for a jump box or a service."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from typing import Any

from vs_tui.cli.common import add_server_options, load_config, now, set_up_logging
from vs_tui.cli.config_watch import following
from vs_tui.cli.crash import farewell, scrub_logs
from vs_tui.cli.manual import add_command
from vs_tui.cli.runtime import Runtime, writer_settings
from vs_tui.cli.service import ServiceManager
from vs_tui.cli.startup_warnings import risks
from vs_tui.cli.streams import never_fail
from vs_tui.cli.tunnel import refuse_open
from vs_tui.config import Config, take_secrets_out
from vs_tui.model.errors import Explained

log = logging.getLogger(__name__)


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "serve",
        help="the receiver alone",
        description="Receive webhooks and serve the JSON API without a dashboard. When it is ready "
        "it prints one line: listening on http://HOST:PORT. Stop it with SIGTERM or ctrl-c.",
        epilog="""
        examples:
          vs-tui serve
          vs-tui serve --host 0.0.0.0 --port 8080 --db /var/lib/vs-tui/team.db
          VS_LOG_FORMAT=json vs-tui serve 2>> vs-tui.log
        """,
    )
    add_server_options(parser)


def run(args: argparse.Namespace) -> int:
    config = load_config(args, create_secrets=not (args.no_auth or args.no_auth_public))
    never_fail()
    take_secrets_out(os.environ)
    refuse_open(config)
    os.umask(0o077)  # whatever is created from here on is private
    set_up_logging(config)
    scrub_logs(config)
    for risk in risks(config):
        log.warning("%s", risk)
    try:
        return asyncio.run(_serve(config, args))
    except Explained:
        raise
    except Exception as error:
        print(farewell(error, config), file=sys.stderr)
        return 1


async def _serve(config: Config, args: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    manager = ServiceManager()
    runtime = Runtime(config, now)
    await runtime.open_store()
    watching: asyncio.Task[None] | None = None
    try:
        url = await runtime.listen()
        if config.no_auth:
            print(f"open: everyone who reaches {url} can send and read", file=sys.stderr)
        print(f"listening on {url}", flush=True)
        log.info("listening on %s, database %s", url, config.db)
        manager.tell("READY=1", f"STATUS=listening on {url}")
        writer = runtime.writer
        watching = asyncio.create_task(
            manager.watch(lambda: writer.alive, lambda: writer.trouble), name="watchdog"
        )
        async with following(config, args, runtime.take_over, checks=(writer_settings,)):
            await stop.wait()
        log.info("stopping")
        manager.tell("STOPPING=1", "STATUS=stopping")
    finally:
        if watching is not None:
            watching.cancel()
        await runtime.close()
    return 0
