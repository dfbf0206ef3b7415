"""Whatever was opened or shown meanwhile: row, scroll, filter and sort are as they were left."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.tui.fakes import FakeReader, cards, delivery, span
from tests.tui.stage import NARROW, Stage, stage
from tests.tui.test_sources import connections
from vs_tui.model.time import SECOND
from vs_tui.tui.screens.dora import DoraView

VIEWS = {"live": "1", "traces": "2", "dora": "3", "events": "4", "sources": "5"}
FILTERS = {"live": "build", "traces": "build", "events": "push"}


def world() -> FakeReader:
    return FakeReader(
        [
            span(f"b-{n:03}", "build", f"build {n}", began=n * SECOND + SECOND, took=SECOND)
            for n in range(120)
        ],
        deliveries=[delivery(n, "push", refs=(f"b-{n:03}",)) for n in range(1, 90)],
    )


async def some_cards(*_: object) -> list[Any]:
    return cards()


async def leave(on: Stage, view: str) -> tuple[object, ...]:
    """Go to a view and make a place of one's own there."""
    await on.press(VIEWS[view])
    if text := FILTERS.get(view):
        await on.press("slash", *text, "enter")
    if on.app.screen.sorts:
        await on.press("s", "S")
    if view == "dora":
        await on.press("j", "l")
        return place(on)
    if rows := on.list.rows:
        on.list.select(rows[min(len(rows) - 1, 70)].key)
    await on.settle()
    on.list.move(-3)
    await on.settle()
    return place(on)


def place(on: Stage) -> tuple[object, ...]:
    view = on.app.view
    assert view is not None
    if isinstance(view, DoraView):
        assert view.grid.chosen is not None
        return view.where, view.grid.chosen.team, view.grid.chosen.metric
    return view.where, on.list.selected_key, on.list.first, view.filter_text, view.sort


async def test_a_notice_stays_behind_with_the_view_on_which_it_was_given() -> None:
    async with stage(world(), size=NARROW) as on:
        await on.press("w")
        await on.sees("has ended already")
        await on.press("2")
        await on.no_longer_sees("has ended already")
        await on.press("1", "w", "?")
        await on.no_longer_sees("has ended already")


@pytest.mark.parametrize("view", VIEWS)
async def test_every_pair_of_views(view) -> None:
    async with stage(world(), size=NARROW, connections=connections, cards=some_cards) as on:
        left = await leave(on, view)
        if view in FILTERS:
            assert on.list.first > 0, "it is scrolled"
        for other, key in VIEWS.items():
            if other == view:
                continue
            await on.press(key)
            assert on.app.view.where == other
            await on.press("j", "minus")
            assert place(on) == left, f"by - from {other}"
            await on.press(key, "G", VIEWS[view])
            assert place(on) == left, f"by its key from {other}"


async def test_from_the_events_of_a_source_back_to_the_source() -> None:
    async with stage(world(), size=NARROW, connections=connections) as on:
        await leave(on, "events")
        await on.press("5")
        await on.press("j")
        left = place(on)
        await on.press("enter")
        assert on.app.view.filter_text.startswith("source:")
        await on.press("escape")
        assert place(on) == left
        await on.press("4")
        assert on.app.view.filter_text == FILTERS["events"], "the filter of before"
        await on.press("5")
        await on.press("enter", "4")
        await on.press("escape")
        assert (on.app.view.where, on.app.view.filter_text) == ("events", "")


@pytest.mark.parametrize("view", ["live", "traces", "events"])
async def test_what_is_opened_from_a_view(view) -> None:
    async with stage(world(), size=NARROW) as on:
        left = await leave(on, view)
        await on.press("enter")
        assert len(on.app.screen_stack) == 3
        await on.press("j", "question_mark", "escape", "escape")
        assert place(on) == left
        await on.press("t", "escape", "z", "z", "T", "T", "T", "T")
        assert place(on) == left


async def test_a_key_of_another_place_says_where_it_works() -> None:
    async with stage() as on:
        await on.press("x")
        await on.sees("cut link: in a trace")
        await on.press("v")
        await on.sees("reveal: in sources")


async def test_a_page_that_is_loaded_again_shows_the_same_view(tmp_path) -> None:
    state = str(tmp_path / "state.json")
    async with stage(remember_to=state) as on:
        await on.press("4")
    async with stage(remember_to=state, reopen=True) as on:
        assert on.app.view.where == "events"
    async with stage(remember_to=state) as on:
        assert on.app.view.where == "live", "a terminal begins with Live"


@pytest.mark.parametrize("paints", ["", "#header"])
async def test_a_view_that_is_closed_while_it_is_read_is_no_trouble(paints) -> None:
    async with stage(world(), size=NARROW) as on:
        await on.press("2", "d")
        view, reading, go_on = on.app.view, asyncio.Event(), asyncio.Event()

        async def load() -> None:
            reading.set()
            await go_on.wait()
            if paints:
                view.query_one(paints)

        view.load = load
        read = asyncio.create_task(view.reload())
        await reading.wait()
        await on.press("escape")
        await on.until(lambda: not view.complete, "the view is removed")
        go_on.set()
        await read
        assert on.app.view is not view
