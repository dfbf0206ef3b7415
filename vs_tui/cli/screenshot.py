"""`vs-tui screenshot`: every view as SVG and text, from the sample story or from a database."""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vs_tui.cli.commands import add_command
from vs_tui.cli.common import CommandError, add_store_options, now, reading, write_private
from vs_tui.config import Config, load
from vs_tui.model.time import Instant

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from vs_tui.store.queries.reader_protocol import Reader
    from vs_tui.tui.app import VsTuiApp
    from vs_tui.tui.widgets.listing import Listing

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


def register(subparsers: Any) -> None:
    parser = add_command(
        subparsers,
        "screenshot",
        description="Writes NAME-WIDTHxHEIGHT.svg and .txt of every view. Without --db it shows "
        "the sample story, the same on every day: this is how screenshots/ is made.",
        epilog="""
        examples:
          vs-tui screenshot                      all views of the sample story
          vs-tui screenshot --theme light --out /tmp/light
          vs-tui screenshot --db team.db         of your own data
        """,
    )
    parser.add_argument("--out", type=Path, default=Path("screenshots"), help="folder to write to")
    parser.add_argument(
        "--theme",
        choices=("dark", "light", "ansi", "mono"),
        default="dark",
        help="colours (default dark)",
    )
    parser.add_argument("--ascii", action="store_true", help="no characters beyond ASCII")
    add_store_options(parser)


def run(args: argparse.Namespace) -> int:
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
    from vs_tui.cli.demo import demo_config, prepare
    from vs_tui.demo.story import END

    config = demo_config(folder)
    await prepare(config, END)
    await _shoot(config, END, args)


async def _shoot(config: Config, at: Instant, args: argparse.Namespace) -> None:
    from vs_tui.cli.dashboard import setup_for
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
                            await _select(pilot, app.screen.query_one("#list", Listing), star)
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


async def _select(pilot: Pilot[int], listing: Listing, key: str) -> None:
    """Move the cursor to a row, once the rows are read."""
    for _ in range(200):
        if listing.rows:
            break
        await pilot.pause()
    listing.select(key)


async def settle(pilot: Pilot[int]) -> None:
    """Wait until nothing is being read or painted."""
    app = pilot.app
    for _ in range(50):
        await pilot.pause()
        busy = [w for w in app.workers if w.group != "pump" and not w.is_finished]
        if not busy:
            break
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
