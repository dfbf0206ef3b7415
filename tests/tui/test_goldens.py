"""What every view looks like, as text: `goldens/NAME-WIDTHxHEIGHT.txt`.

A change on purpose is written with VS_UPDATE_GOLDENS=1, and read in the diff.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import product
from typing import Any

import pytest
from rich.cells import cell_len

from tests.tui import invoices
from tests.tui.fakes import (
    NOW,
    FakeReader,
    baselines,
    busy_reader,
    cards_with_goals,
    delivery_links,
    delivery_trace,
    some_detail,
    span,
)
from tests.tui.golden import FOLDER as GOLDENS
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, Stage, stage
from vs_tui.metrics.cards import Card
from vs_tui.model.time import HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import State
from vs_tui.tui.dashboard_settings import no_cards

Play = Callable[[Stage], Awaitable[None]]


def keys(*names: str) -> Play:
    async def play(on: Stage) -> None:
        await on.press(*names)

    return play


async def calm(on: Stage) -> None:
    """The running checkout, with nothing else to say."""
    on.list.select("dep-214")
    await on.settle()


async def open_trace(on: Stage) -> None:
    await calm(on)
    await on.press("enter")


async def freeze_then_more(on: Stage) -> None:
    await calm(on)
    await on.press("p")
    on.clock.now += 30 * SECOND
    on.reader.put(span("new", "build", "came later", began=-20 * SECOND))
    await on.sees("+1 new")


async def frozen_trace(on: Stage) -> None:
    await freeze_then_more(on)
    await on.press("enter", "j", "j")


async def filter_live(on: Stage) -> None:
    await on.press("slash", *"team:core -kind:build")


async def wrong_filter(on: Stage) -> None:
    await on.press("slash")
    on.app.screen.query_one("#filter").value = "colour:red"
    await on.sees("is not known")


async def kept_filter(on: Stage) -> None:
    await on.press("slash", *"team:core", "enter")
    await open_trace(on)


async def broken(on: Stage) -> None:
    await calm(on)
    on.reader.fails = OSError("disk I/O error")
    on.reader.put()
    await on.sees("disk I/O error")


async def pruned(on: Stage) -> None:
    await open_trace(on)
    on.reader.by_key.clear()
    on.reader.put()
    await on.sees("this trace is gone")


async def first_row(on: Stage) -> None:
    on.list.select("run")
    await on.press("enter")
    await on.sees("1 column")


async def stale_trace(on: Stage) -> None:
    await open_trace(on)
    await lose_the_store(on)


async def stale_traces(on: Stage) -> None:
    await on.press("2")
    await lose_the_store(on)


async def lose_the_store(on: Stage) -> None:
    on.reader.fails = OSError("disk I/O error")
    on.app.feed.wake()
    await on.sees("STALE")


async def compare(on: Stage) -> None:
    on.list.select("dep-214")
    await on.press("c")
    on.list.select("d-213")
    await on.press("c")
    await on.sees("checkout-api v213")


async def zoomed(on: Stage) -> None:
    await open_trace(on)
    on.app.screen.waterfall.reveal("c-25")
    await on.press("plus", "plus")


async def waits(on: Stage) -> None:
    on.list.select("is-960")
    await on.press("enter", "j", "i")


async def canary(on: Stage) -> None:
    on.list.select("i")
    await on.press("enter")
    on.app.screen.waterfall.reveal("c25")


async def whole_canary(on: Stage) -> None:
    await canary(on)
    await on.press("0", "k", "k", "k")


async def behind_lead(on: Stage) -> None:
    await on.press("3", "l", "enter")
    await on.sees("change lead time", "#1204 retry")


async def behind_failures(on: Stage) -> None:
    await on.press("3", "l", "l")
    await on.sees("change fail rate", "smoke tests")


async def what_counts(on: Stage) -> None:
    await behind_lead(on)
    await on.press("i")
    await on.sees("docs/metrics.md")


async def goals(*_: object) -> Sequence[Card]:
    return cards_with_goals()


BUSY = busy_reader
DETAIL = {"detail": some_detail}
EMPTY = FakeReader


def long_trace() -> FakeReader:
    return FakeReader(delivery_trace(), links=delivery_links(), baselines=baselines())


def steps(count: int) -> FakeReader:
    """A run of so many jobs, a matrix of twelve among each forty, every fiftieth failed."""
    where: dict[str, Any] = {"trace": "c1" * 16, "project": "acme/shop"}
    run = span("run", "pipeline", "CI #7", began=2 * HOUR, took=90 * MINUTE, **where)
    jobs = [
        span(
            f"job-{n}",
            "build",
            f"test ({n % 40})" if n % 40 < 12 else f"job {n}",
            began=2 * HOUR - n * 15 * SECOND,
            took=3 * MINUTE,
            parent="run",
            state=State.ERROR if n % 50 == 17 else None,
            **where,
        )
        for n in range(count - 1)
    ]
    return FakeReader([run, *jobs])


CASES: dict[str, tuple[Play, Callable[[], FakeReader], dict[str, object]]] = {
    "live": (calm, BUSY, {}),
    "live-frozen": (freeze_then_more, BUSY, {}),
    "live-filtered": (filter_live, BUSY, {}),
    "live-wrong-filter": (wrong_filter, BUSY, {}),
    "live-nothing-matches": (keys("slash", *"nobody", "enter"), BUSY, {}),
    "live-empty": (keys(), EMPTY, {}),
    "live-error": (broken, BUSY, {}),
    "live-ascii": (calm, BUSY, {"ascii": True}),
    "traces": (keys("2"), BUSY, {}),
    "traces-frozen": (keys("p", "2"), BUSY, {}),
    "traces-filtered": (keys("2", "slash", *"state:failed", "enter"), BUSY, {}),
    "traces-empty": (keys("2"), EMPTY, {}),
    "traces-ascii": (keys("2"), BUSY, {"ascii": True}),
    "trace": (open_trace, BUSY, {}),
    "trace-frozen": (frozen_trace, BUSY, {}),
    "trace-filtered": (kept_filter, BUSY, {}),
    "trace-zoomed": (zoomed, BUSY, {}),
    "trace-waits": (waits, long_trace, {}),
    "trace-running": (canary, invoices.reader, {}),
    "trace-running-ascii": (canary, invoices.reader, {"ascii": True}),
    "trace-whole": (whole_canary, invoices.reader, {}),
    "trace-1": (first_row, partial(steps, 1), {}),
    "trace-20": (first_row, partial(steps, 20), {}),
    "trace-300": (first_row, partial(steps, 300), {}),
    "trace-stale": (stale_trace, BUSY, {}),
    "traces-stale": (stale_traces, BUSY, {}),
    "trace-error": (pruned, BUSY, {}),
    "trace-ascii": (waits, long_trace, {"ascii": True}),
    "compare": (compare, BUSY, {}),
    "compare-ascii": (compare, BUSY, {"ascii": True}),
    "dora": (keys("3"), BUSY, DETAIL),
    "dora-empty": (keys("3"), EMPTY, {"cards": no_cards}),
    "dora-ascii": (keys("3"), BUSY, {"ascii": True, **DETAIL}),
    "dora-lead": (behind_lead, BUSY, DETAIL),
    "dora-lead-ascii": (behind_lead, BUSY, {"ascii": True, **DETAIL}),
    "dora-fail": (behind_failures, BUSY, DETAIL),
    "dora-goals": (keys("3"), BUSY, {"cards": goals, **DETAIL}),
    "dora-counts": (what_counts, BUSY, DETAIL),
    "dora-frozen": (keys("p", "3"), BUSY, DETAIL),
    "help": (keys("question_mark"), BUSY, {}),
    "help-filters": (keys("question_mark", "G"), BUSY, {}),
    "help-ascii": (keys("question_mark"), BUSY, {"ascii": True}),
    "past": (calm, BUSY, {"at": NOW - HOUR}),
}


ON_LARGE: tuple[str, ...] = (
    *("dora-goals", "dora-lead"),
    *("trace-running", "trace-waits", "trace-frozen", "trace-stale", "trace-300", "traces"),
)
"""What is also looked at on a large screen."""
SHOWN = [*product(CASES, (WIDE, NARROW)), *product(ON_LARGE, ((200, 60),))]


@pytest.mark.parametrize(("name", "size"), SHOWN, ids=[f"{n}-{w}x{h}" for n, (w, h) in SHOWN])
async def test_looks_as_written(name, size) -> None:
    play, reader, options = CASES[name]
    async with stage(reader(), size=size, **options) as on:
        await play(on)
        on.app.clear_notice()
        await on.settle()
        shown = on.text
    assert_golden(f"{name}-{size[0]}x{size[1]}", shown)


def test_ascii_goldens_are_ascii() -> None:
    found = sorted(GOLDENS.glob("*ascii*.txt"))
    assert len(found) >= 8
    assert [path.name for path in found if not path.read_text("utf-8").isascii()] == []


def test_no_line_is_wider_than_its_screen() -> None:
    for name, (width, height) in SHOWN:
        path = GOLDENS / f"{name}-{width}x{height}.txt"
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) == height, path.name
        assert [line for line in lines if cell_len(line) > width] == [], path.name
