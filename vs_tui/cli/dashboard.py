"""`vs-tui`: receiver and dashboard in one process."""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import (
    CommandError,
    add_server_options,
    checked_config,
    load_config,
    now,
    stop_event,
)
from vs_tui.cli.logs import log_to_file
from vs_tui.config import Config, ConfigError, data_dir, take_secrets_out

if TYPE_CHECKING:
    from vs_tui.cli.runtime import Runtime
    from vs_tui.config.reread import Listener, Reread
    from vs_tui.metrics.cards import Card
    from vs_tui.metrics.report import Detail
    from vs_tui.model.time import Instant
    from vs_tui.store.queries.reader_protocol import DeliveryDetail, Reader
    from vs_tui.store.queries.reports import Reports
    from vs_tui.tui.app import Setup, VsTuiApp


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "dashboard",
        run,
        prog="vs-tui",
        description="Receives webhooks and shows them live. Quit with q; what came in is kept. "
        "Without a terminal use `vs-tui serve`; for more dashboards beside this one `vs-tui view`.",
        epilog="""
        examples:
          vs-tui                                 on 127.0.0.1:5000
          vs-tui --port 8080 --db team.db
          vs-tui --host 0.0.0.0                  reachable from other machines, behind the token
          vs-tui --theme mono --ascii            for a plain terminal
        """,
    )
    add_server_options(parser)
    add_look_options(parser)


def add_look_options(parser: argparse.ArgumentParser) -> None:
    """--theme and --ascii, for every command with a dashboard."""
    parser.add_argument(
        "--theme",
        choices=("auto", "dark", "light", "ansi", "mono"),
        help="colours (default: [ui] theme of the configuration)",
    )
    parser.add_argument(
        "--ascii", action="store_const", const=True, help="no characters beyond ASCII"
    )


def run(args: argparse.Namespace) -> int:
    from vs_tui.cli.reachability import refuse_open, risks

    config = load_config(args, create_secrets=not (args.no_auth or args.no_auth_public), quick=True)
    refuse_open(config)
    check_keys(config)
    need_terminal()
    for risk in risks(config):
        print(f"vs-tui: {risk}", file=sys.stderr)
    return asyncio.run(with_receiver(config, args, outlive=True))


async def with_receiver(
    config: Config,
    args: argparse.Namespace,
    started: Callable[[Runtime], Any] | None = None,
    *,
    outlive: bool = False,
) -> int:
    """Open the store, show the dashboard, start to listen, and close all in order. With `outlive`,
    the receiver goes on after a crash of the dashboard until a signal comes."""
    from vs_tui.cli.reachability import connections, find_public_url
    from vs_tui.cli.runtime import Runtime, writer_settings
    from vs_tui.config.reread import following
    from vs_tui.tui.app import VsTuiApp

    take_secrets_out(os.environ)
    log_to_file(config)
    runtime = Runtime(config, now)
    await runtime.open_store()
    try:
        setup = setup_for(config, args, runtime.reader)
        setup.after_paint = lambda: _listen(runtime, setup, started)
        setup.connections = lambda: connections(runtime.config)
        setup.send_links = runtime.send_link
        setup.stops_receiver = outlive
        setup.refold = runtime.refold
        setup.resend = lambda detail, target: _resend(runtime, detail, target)
        setup.send_trial = lambda say: _send_trial(runtime, say)
        setup.find_public_url = lambda: find_public_url(
            config.public_url, urlsplit(runtime.url).port or 0
        )
        show_figures(setup, lambda: runtime.reports)
        app = VsTuiApp(setup)
        unsubscribe = runtime.writer.subscribe(app.notify_changed)
        listeners = runtime.take_over, for_dashboard(app, setup)
        read = checked_config(args, check_keys, writer_settings)
        async with following(config, read, *listeners) if outlive else nullcontext():
            code = await show(app, config)
            unsubscribe()
            if outlive and code and terminal_is_there():
                await _go_on(runtime)
    finally:
        await runtime.close()
    return code or 0


def terminal_is_there() -> bool:
    """Whether somebody can read messages and press ctrl-c; not after ssh was disconnected."""
    return os.isatty(0) and os.isatty(2)


def need_terminal() -> None:
    """Raise CommandError without a terminal; browsers need none."""
    if not (terminal_is_there() or os.environ.get("TEXTUAL_DRIVER")):
        raise CommandError(
            "the dashboard needs a terminal (stdin and stderr); without one `vs-tui serve` "
            "receives, `vs-tui ls` and `vs-tui report` read"
        )


def check_keys(config: Config) -> None:
    """Raise ConfigError for an action in [keys] that does not exist."""
    from vs_tui.tui.actions import with_keys

    try:
        with_keys(config.keys)
    except ValueError as error:
        raise ConfigError(f"{config.path}: {error}") from None


async def _go_on(runtime: Runtime) -> None:
    """Receive until a signal comes, after the dashboard has crashed."""
    stop = stop_event()
    url = runtime.url or await runtime.listen()
    print(
        f"vs-tui: the receiver goes on at {url}; ctrl-c stops it, `{program()} view "
        f"{runtime.config.db}` in another terminal shows the dashboard",
        file=sys.stderr,
        flush=True,
    )
    await stop.wait()


async def _resend(runtime: Runtime, detail: DeliveryDetail, target: str) -> str:
    from vs_tui.api.remote import resend

    if not target and not runtime.url:
        return "the receiver is not listening, so it cannot be sent to it"
    return await resend(detail, target, runtime.url, runtime.config.secrets.token)


async def _send_trial(runtime: Runtime, say: Callable[[str], None]) -> None:
    from vs_tui.api.remote import send_trial

    if not runtime.url:
        say("the receiver is not listening, so nothing can be sent to it")
        return
    await send_trial(runtime.url, runtime.config.secrets.token, say)


def for_dashboard(app: VsTuiApp, setup: Setup) -> Listener:
    """Gives a dashboard what it shows by."""

    async def show(found: Reread) -> None:
        config = found.config
        setup.keys, setup.views = config.keys, config.views
        setup.thresholds = config.thresholds
        if setup.watch_command:
            setup.watch_command = config.watch_command
        await app.show_settings(found.message, found.problem, found.after_restart)

    return show


def show_figures(setup: Setup, reports: Callable[[], Reports]) -> None:
    """Let the dashboard read the delivery metrics. Their modules are imported with the first
    question, after the first rows are painted."""

    async def cards(team: str, length: int, at: Instant | None, bucket: str) -> Sequence[Card]:
        return await reports().cards(team, length, at, bucket)

    async def detail(
        team: str, metric: str, length: int, at: Instant | None, bucket: str
    ) -> Detail:
        return await reports().detail(team, metric, length, at, bucket)

    setup.cards, setup.detail = cards, detail


async def show(app: VsTuiApp, config: Config) -> int:
    """Run the dashboard; after a crash write a report without secrets and return exit code 1."""
    from vs_tui.cli import logs

    logs.guard(app, config)
    try:
        await app.run_async()
    except Exception as error:  # before or after the part of the app that Textual guards
        print(logs.farewell(error, config), file=sys.stderr)
        return 1
    return app.return_code or 0


async def _listen(runtime: Runtime, setup: Setup, started: Callable[[Runtime], Any] | None) -> str:
    url = await runtime.listen()
    setup.known_secrets = runtime.config.secrets.values  # some may have been made just now
    if started is not None:
        started(runtime)
    return url


def program() -> str:
    """The command line that starts this program again: its name if it is on PATH, else its path."""
    if shutil.which("vs-tui"):
        return "vs-tui"
    called = Path(sys.argv[0])
    return str(called) if called.name == "vs-tui" else f"{sys.executable} -m vs_tui"


def setup_for(config: Config, args: argparse.Namespace, reader: Reader) -> Setup:
    """The dashboard's settings, from configuration and flags, for a reader."""
    from vs_tui.cli.reachability import connections
    from vs_tui.tui.app import Setup

    if not config.people:
        from vs_tui.tui.hidden_names import Roles

        reader = cast("Reader", Roles(reader))
    return Setup(
        reader=reader,
        clock=now,
        program=program(),
        open_mode=config.no_auth,
        connections=lambda: connections(config),
        known_secrets=config.secrets.values,
        theme=getattr(args, "theme", None) or config.theme,
        ascii=bool(getattr(args, "ascii", None)) or config.ascii,
        zone=config.zone,
        keys=config.keys,
        views=config.views,
        thresholds=config.thresholds,
        reopen=bool(os.environ.get("TEXTUAL_DRIVER")),
        watch_command=config.watch_command,
        state_path=str(data_dir() / "state.json"),
    )
