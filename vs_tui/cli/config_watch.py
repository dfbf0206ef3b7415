"""Read the configuration file again when it changes, while a receiver or a dashboard runs."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from vs_tui.cli.common import read_config
from vs_tui.config import Config
from vs_tui.config.reread import ConfigFile, Reread

if TYPE_CHECKING:
    from vs_tui.tui.app import Setup, VsTuiApp

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
Check = Callable[[Config], object]
Listener = Callable[[Reread], Awaitable[None]]


@asynccontextmanager
async def following(
    config: Config, args: argparse.Namespace, *listeners: Listener, checks: tuple[Check, ...] = ()
) -> AsyncIterator[None]:
    """Read the file again whenever it changed, and await each listener with what that came to.
    A check raises ConfigError for settings that cannot be used."""

    def read() -> Config:
        found = read_config(args)
        for check in checks:
            check(found)
        return found

    task = asyncio.create_task(_follow(ConfigFile(config, read), listeners), name="configuration")
    try:
        yield
    finally:
        task.cancel()


async def _follow(file: ConfigFile, listeners: tuple[Listener, ...]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        found = file.look()
        if found is None:
            continue
        log.log(logging.ERROR if found.problem else logging.INFO, "%s", found.told)
        for listener in listeners:
            try:
                await listener(found)
            except Exception:
                log.exception("a changed configuration is not in force everywhere")


def for_dashboard(app: VsTuiApp, setup: Setup) -> Listener:
    """Gives a dashboard what it shows by."""

    async def show(found: Reread) -> None:
        config = found.config
        setup.keys, setup.views = config.keys, config.views
        setup.thresholds = config.thresholds
        if setup.watch_command:
            setup.watch_command = config.watch_command
        await app.show_settings(found.told, found.problem, found.after_restart)

    return show
