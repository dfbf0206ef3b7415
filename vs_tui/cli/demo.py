"""The dashboard on the sample story: `vs-tui demo`, where the story goes on, in a temporary folder;
and `vs-tui screenshot`: every view as SVG and text, also of a database."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import (
    Bar,
    CommandError,
    add_store_options,
    now,
    port_number,
    reading,
    write_private,
)
from vs_tui.cli.dashboard import add_look_options, need_terminal, setup_for, with_receiver
from vs_tui.cli.logs import REPORTS
from vs_tui.cli.runtime import Runtime
from vs_tui.config import Config, complete_secrets, load
from vs_tui.demo.story import END, TEAMS, after_end, story
from vs_tui.log.recording import Delivery, shift, whole_seconds
from vs_tui.model.time import SECOND, Instant
from vs_tui.store.freed_memory import give_back_memory

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from vs_tui.store.queries.reader_protocol import Reader
    from vs_tui.tui.app import VsTuiApp


AT_ONCE = 500
"""Deliveries of the story in one commit."""
_PREFIX = "vs-tui-demo-"
_NEW = 60.0
"""Seconds for which a new folder may belong to a demo that is just starting."""


def register(subparsers: Any) -> None:
    _register_demo(subparsers)
    _register_screenshot(subparsers)


def _register_demo(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "demo",
        run_demo,
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


def run_demo(args: argparse.Namespace) -> int:
    need_terminal()
    remove_leftovers(Path(tempfile.gettempdir()), time.time())
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # The demo has its own configuration, state and database, all gone at its end. The report of a
    # crash stays until the next demo.
    os.environ["VS_CONFIG_DIR"] = os.environ["VS_DATA_DIR"] = str(folder)
    try:
        with locked(folder):
            return asyncio.run(_demo(folder, args))
    finally:
        for path in folder.iterdir():
            if path.name != REPORTS:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        with contextlib.suppress(OSError):  # it has a report
            folder.rmdir()


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
        deliveries = story()
        for first in range(0, len(deliveries), AT_ONCE):
            if tell is not None:
                tell(first, len(deliveries))
            moved = [shift(delivery, delta) for delivery in deliveries[first : first + AT_ONCE]]
            await asyncio.gather(*(_send(runtime, delivery) for delivery in moved))
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
    give_back_memory()
    while True:
        moved = shift(delivery, delta)
        delay = (moved.received_at - now()) / SECOND
        if delay > 0:
            await asyncio.sleep(delay)
        await _send(runtime, moved)
        delivery = next(coming)


READ_WITHIN: Final = 60
"""Seconds that reading a view may take on a slow machine."""

SIZES: Final = ((120, 40), (80, 24))

Shot = tuple[str, tuple[str, ...]]
STAR: Final = "*"
"""Stands for a key: select the delivery with the most spans."""
SHOTS: Final[tuple[Shot, ...]] = (
    ("live", ()),
    ("live-spans", ("b", STAR)),
    ("trace", ("b", STAR, "enter", "0")),
    ("trace-fitted", ("b", STAR, "enter")),
    ("traces", ("2",)),
    ("dora", ("3", "l")),
    ("events", ("4",)),
    ("sources", ("5",)),
    ("help", ("question_mark",)),
)
"""Name -> the keys that lead to it from the first screen."""


def _register_screenshot(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "screenshot",
        screenshot,
        description="Writes NAME-WIDTHxHEIGHT.svg and .txt of every view. Without --db it shows "
        "the sample story, the same on every day: this is how screenshots/ is made.",
        epilog="""
        examples:
          vs-tui screenshot                      all views of the sample story
          vs-tui screenshot --theme light --out /tmp/light
          vs-tui screenshot --db team.db         of your own data
        """,
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("screenshots"),
        help="folder to write to (default screenshots)",
    )
    parser.add_argument(
        "--theme",
        choices=("dark", "light", "ansi", "mono"),
        default="dark",
        help="colours (default dark)",
    )
    parser.add_argument("--ascii", action="store_true", help="no characters beyond ASCII")
    add_store_options(parser, "the sample story")


def screenshot(args: argparse.Namespace) -> int:
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="vs-tui-shot-") as folder:
        os.environ["VS_DATA_DIR"] = folder
        if args.db or args.config:
            config = load(args.config, flags={"db": args.db})
            asyncio.run(_shoot(config, now(), args))
        else:
            os.environ["VS_CONFIG_DIR"] = folder
            asyncio.run(_sample(Path(folder), args))
    return 0


async def _sample(folder: Path, args: argparse.Namespace) -> None:
    config = demo_config(folder)
    await prepare(config, END)
    await _shoot(config, END, args)


async def _shoot(config: Config, at: Instant, args: argparse.Namespace) -> None:
    from vs_tui.store.queries.reports import Reports
    from vs_tui.tui.app import VsTuiApp
    from vs_tui.tui.widgets.listing import Listing

    def clock() -> Instant:
        return at

    async with reading(config, clock) as reader:
        reports = Reports(reader, config, clock)
        setup = replace(
            setup_for(config, args, reader),
            clock=clock,
            cards=reports.cards,
            detail=reports.detail,
            url="http://127.0.0.1:5000",
            connections=tuple,
            zone="UTC",
            keys={},
            state_path="",
        )
        star = await _star(reader)
        for size in SIZES:
            for name, keys in SHOTS:
                app = VsTuiApp(setup)
                async with app.run_test(size=size) as pilot:
                    await settle(pilot)
                    for key in keys:
                        if key == STAR:
                            app.screen.query_one("#list", Listing).select(star)
                        else:
                            await pilot.press(key)
                        await settle(pilot)
                    await _write(app, args.out / f"{name}-{size[0]}x{size[1]}")


async def _star(reader: Reader) -> str:
    """The key of the running deploy whose trace has the most spans."""
    best, most = "", 0
    for span in (await reader.spans("kind:deploy is:inflight", limit=20)).items:
        trace = await reader.trace(span.trace_id)
        if trace is not None and len(trace.spans) > most:
            best, most = span.key, len(trace.spans)
    return best


async def settle(pilot: Pilot[int]) -> None:
    """Wait until the chosen view is opened, and its rows and the header are read and painted."""
    app = cast("VsTuiApp", pilot.app)

    def busy() -> bool:
        reads = any(w.group != "pump" and not w.is_finished for w in app.workers)
        return reads or not app.feed.resting or app.navigation.base not in app.screen_stack

    await pilot.pause()  # the key before may not have started a read yet
    async with asyncio.timeout(READ_WITHIN):
        while busy():
            await pilot.pause(0.01)
    await pilot.pause()


async def _write(app: VsTuiApp, stem: Path) -> None:
    from vs_tui.tui.output import screen_text

    for path in (stem.with_suffix(".txt"), stem.with_suffix(".svg")):
        if path.exists():
            raise CommandError(f"{path} exists; choose another --out or remove it first")
    write_private(stem.with_suffix(".txt"), screen_text(app))
    svg = app.export_screenshot(title="vs-tui")
    # Textual draws a random number for its CSS class names; pictures should not differ by it.
    svg = re.sub(r"terminal-\d+", "terminal-1", svg)
    # A picture fetches nothing: without the web font the reader's own monospace is used.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    write_private(stem.with_suffix(".svg"), svg)
    print(stem.with_suffix(".svg"))
