"""`vs-tui serve`: the receiver alone, for a jump box or a service."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket
import sys
from typing import Any

from vs_tui.cli.common import add_server_options, load_config, now, set_up_logging
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config


def register(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "serve",
        help="the receiver alone",
        description="Receive webhooks and serve the JSON API without a dashboard. When it is ready "
        "it prints one line: listening on http://HOST:PORT. Stop it with SIGTERM or ctrl-c.",
    )
    add_server_options(parser)


def run(args: argparse.Namespace) -> int:
    config = load_config(args, create_secrets=not args.no_auth)
    set_up_logging(config)
    return asyncio.run(_serve(config))


async def _serve(config: Config) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    runtime = Runtime(config, now)
    await runtime.open_store()
    try:
        url = await runtime.listen()
        if config.no_auth:
            print("open to everyone who reaches the port (--no-auth)", file=sys.stderr)
        print(f"listening on {url}", flush=True)
        notify_service("READY=1")
        await stop.wait()
        notify_service("STOPPING=1")
    finally:
        await runtime.close()
    return 0


def notify_service(state: str) -> None:
    """Tell systemd (sd_notify): one datagram to the socket it named, if it named one."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), address.replace("@", "\0", 1))
        except OSError as error:
            print(f"systemd could not be told {state}: {error}", file=sys.stderr)
