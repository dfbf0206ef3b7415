"""`vs-tui serve`: the receiver alone, for a jump box or a service."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

from vs_tui.cli.commands import add_command, never_fail
from vs_tui.cli.common import (
    add_server_options,
    checked_config,
    load_config,
    now,
    stop_event,
)
from vs_tui.cli.logs import farewell, scrub_logs, set_up_logging
from vs_tui.cli.reachability import refuse_open, risks
from vs_tui.cli.runtime import Runtime, writer_settings
from vs_tui.config import Config, take_secrets_out
from vs_tui.config.reread import following
from vs_tui.model.errors import Explained

log = logging.getLogger(__name__)


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "serve",
        run,
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
    stop = stop_event()
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
        async with following(config, checked_config(args, writer_settings), runtime.take_over):
            await stop.wait()
        log.info("stopping")
        manager.tell("STOPPING=1", "STATUS=stopping")
    finally:
        if watching is not None:
            watching.cancel()
        await runtime.close()
    return 0


log = logging.getLogger(__name__)


class ServiceManager:
    """Notifies systemd if it started us; else every call does nothing."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        env = os.environ if env is None else env
        self._address = env.get("NOTIFY_SOCKET", "")
        self._failed = False
        self.watchdog_seconds = _watchdog(env)
        """Seconds without a notification after which the service manager restarts us; 0: no
        watchdog."""

    def tell(self, *states: str) -> None:
        """Send one datagram, such as `READY=1`; the first failure is logged."""
        if not self._address.startswith(("/", "@")):
            return
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            try:
                channel.sendto("\n".join(states).encode(), address)
            except OSError as error:
                if not self._failed:
                    log.warning("the service manager could not be told %s: %s", states[0], error)
                self._failed = True

    async def watch(self, alive: Callable[[], bool], trouble: Callable[[], str]) -> None:
        """Notify twice within each watchdog period while the writer runs, with its trouble; ends
        with the task. A full disk is no reason for a restart, a dead writer is."""
        period = self.watchdog_seconds / 2 if self.watchdog_seconds else 5.0
        while True:
            status = f"STATUS={trouble() or 'receiving'}"
            if alive() and self.watchdog_seconds:
                self.tell("WATCHDOG=1", status)
            else:
                self.tell(status)
            await asyncio.sleep(period)


def _watchdog(env: Mapping[str, str]) -> float:
    pid = env.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return 0.0
    text = env.get("WATCHDOG_USEC", "")
    return int(text) / 1_000_000 if text.isdigit() else 0.0
