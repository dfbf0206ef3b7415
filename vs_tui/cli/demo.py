"""`vs-tui demo`: the dashboard on a story that goes on, in a temporary folder."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import now, port_number
from vs_tui.cli.dashboard import add_look_options, need_terminal, with_receiver
from vs_tui.cli.progress import Bar
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, complete_secrets, load
from vs_tui.demo.story import END, TEAMS, after_end, story
from vs_tui.log.recording import Delivery, shift, whole_seconds
from vs_tui.model.time import SECOND, Instant

AT_ONCE = 500
"""Deliveries of the story in one commit."""
_PREFIX = "vs-tui-demo-"
_NEW = 60.0
"""Seconds for which a new folder may belong to a demo that is just starting."""


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "demo",
        description="Replays over five weeks of three teams into a temporary database and goes on "
        "live. Nothing of yours is read or written. To see your own work: start `vs-tui` and point "
        "a webhook at it (the Live screen shows the URL, the README says where to click).",
        epilog="""
        examples:
          vs-tui demo
          vs-tui demo --theme light
          vs-tui demo --port 5001                post to it, with what Sources (5) shows: v, Y
        """,
    )
    parser.add_argument(
        "--port", type=port_number, default=0, help="port of the receiver (default: a free one)"
    )
    add_look_options(parser)


def run(args: argparse.Namespace) -> int:
    need_terminal()
    remove_leftovers(Path(tempfile.gettempdir()), time.time())
    with tempfile.TemporaryDirectory(prefix=_PREFIX) as folder, locked(folder):
        # The demo has its own configuration, state and database, all gone at its end.
        os.environ["VS_CONFIG_DIR"] = os.environ["VS_DATA_DIR"] = folder
        return asyncio.run(_demo(Path(folder), args))


def remove_leftovers(parent: Path, at: float) -> None:
    """Delete the folders of demos that were killed. A running demo holds the lock of its folder, or
    the folder is so new at `at` (seconds since 1970) that the lock is not taken yet."""
    for folder in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            found = folder.lstat()
            if found.st_uid == os.getuid() and at - found.st_mtime > _NEW:
                with locked(folder):
                    shutil.rmtree(folder)


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Hold a kernel lock on the folder, which the kernel frees when the process ends. OSError if
    another process holds it or it is not a folder."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def demo_config(folder: Path, port: int = 0) -> Config:
    """The story's teams on a database in `folder`; everything else is default."""
    return replace(
        load(TEAMS, env={}, flags={"db": str(folder / "demo.db")}),
        port=port,
        no_auth=False,
        # Its folder is locked while they are made, and a demo has the lock of its own for good.
        secrets_path=folder / "secrets" / "secrets.toml",
    )


async def _demo(folder: Path, args: argparse.Namespace) -> int:
    from vs_tui.sources.dispatch import signing_sources

    config = demo_config(folder, args.port)
    # Secrets of its own, which Sources shows: without them nobody could post to it.
    config = replace(config, secrets=complete_secrets(config.secrets_path, signing_sources))
    tasks: list[asyncio.Task[None]] = []

    started = now()

    def start_traffic(runtime: Runtime) -> None:
        tasks.append(asyncio.create_task(_traffic(runtime, started)))

    with Bar(sys.stderr) as bar:

        def tell(done: int, total: int) -> None:
            bar.show("replaying over five weeks", done, total, "deliveries")

        tell(0, 0)
        await prepare(config, started, tell)
    try:
        return await with_receiver(config, args, start_traffic)
    finally:
        for task in tasks:
            task.cancel()


FOLDED_WITHIN: Final = 600.0
"""Seconds that folding the story may take on a slow machine."""


async def prepare(
    config: Config, until: Instant, tell: Callable[[int, int], None] | None = None
) -> None:
    """Put the story into the database, moved so that it ends at `until`. `tell` gets the number of
    deliveries done and in all."""
    runtime = Runtime(config, lambda: until)
    await runtime.open_store()
    try:
        delta = whole_seconds(until - END)
        deliveries = [shift(delivery, delta) for delivery in story()]
        for first in range(0, len(deliveries), AT_ONCE):
            if tell is not None:
                tell(first, len(deliveries))
            await asyncio.gather(*(_send(runtime, d) for d in deliveries[first : first + AT_ONCE]))
        await runtime.writer.caught_up(FOLDED_WITHIN)
    finally:
        await runtime.close()


async def _send(runtime: Runtime, delivery: Delivery) -> None:
    await runtime.ingest(delivery.path, delivery.headers, delivery.body, delivery.received_at)


async def _traffic(runtime: Runtime, started: Instant) -> None:
    """Send what follows the story, each delivery at its time."""
    delta = whole_seconds(started - END)
    coming = after_end()
    # Telling the weeks again takes a moment, which must not hold up the first paint.
    delivery = await asyncio.to_thread(next, coming)
    while True:
        moved = shift(delivery, delta)
        delay = (moved.received_at - now()) / SECOND
        if delay > 0:
            await asyncio.sleep(delay)
        await _send(runtime, moved)
        delivery = next(coming)
