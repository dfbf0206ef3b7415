"""The table of actions: every one has a test, and every key can be another one."""

import importlib
import pkgutil

import pytest

import tests.tui
from tests.tui.fakes import FakeReader, busy_reader, delivery_links, delivery_trace
from tests.tui.stage import TESTED, Stage, stage
from vs_tui.tui import actions
from vs_tui.tui.actions import ACTIONS, places

LETTERS = {action.id: chr(0x4E00 + number) for number, action in enumerate(ACTIONS)}
"""A key for each action that no default has, and that no Latin keyboard has."""


def test_every_action_has_a_test() -> None:
    for module in pkgutil.iter_modules(tests.tui.__path__):
        if module.name.startswith("test_"):
            importlib.import_module(f"tests.tui.{module.name}")
    assert sorted(set(actions.BY_ID) - set(TESTED)) == []
    assert sorted(set(TESTED) - set(actions.BY_ID)) == [], "marks of actions that are gone"


async def go_to(on: Stage, where: str) -> None:
    if where == "trace":
        on.app.navigation.open_span("dep-214")
    elif where == "inspector":
        on.app.navigation.open_delivery(1)
    elif where == "compare":
        on.app.navigation.compare(on.reader.by_key["dep-214"])
        on.app.navigation.compare(on.reader.by_key["d-213"])
    elif where == "help":
        on.app.navigation.open_help()
    else:
        on.app.navigation.show("live" if where in BY_TRACE else where)
        if where in BY_TRACE and not on.app.by_trace:
            on.app.do("by_trace")
    await on.until(lambda: on.app.view is not None and on.app.view.where == where, where)
    await on.settle()


BY_TRACE = ("board", "first")
WHERE = (
    *BY_TRACE,
    "live",
    "traces",
    "dora",
    "events",
    "sources",
    "trace",
    "inspector",
    "compare",
    "help",
)


@pytest.mark.parametrize("where", WHERE)
async def test_every_key_can_be_another_one(where, monkeypatch) -> None:
    reader = FakeReader() if where == "first" else None
    async with stage(reader, keys=LETTERS, by_trace=where in BY_TRACE) as on:
        await go_to(on, where)
        done: list[str] = []
        monkeypatch.setattr(on.app, "do", done.append)
        usable = [action.id for action in ACTIONS if action.where in places(where)]
        for action_id in usable:
            await on.pilot.press(LETTERS[action_id])
        assert done == usable
        done.clear()
        for action in ACTIONS:
            for key in action.keys.split(","):
                # Tab and ctrl+q are Textual's own as well, as in every application of it.
                if key not in ("tab", "ctrl+c"):
                    await on.pilot.press(key)
        assert done == [], "the keys before mean nothing any more"


async def test_help_and_footer_show_the_keys_as_they_are_bound() -> None:
    async with stage(keys={"freeze": "F5", "help": "f1,question_mark"}) as on:
        await on.sees("F5 freeze", "F1 help")
        await on.press("question_mark")
        await on.sees("F1 or ?         all keys")


@pytest.mark.parametrize("where", WHERE)
async def test_what_the_footer_names_does_something(where, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", "")
    reader = FakeReader() if where == "first" else None
    async with stage(reader, size=(250, 40), by_trace=where in BY_TRACE) as on:
        await go_to(on, where)
        view = on.app.view
        shown = actions.footer(on.app.actions, where, 250, offered=view.offered)
        refused: list[str] = []
        monkeypatch.setattr(
            on.app, "notify_text", lambda text, severity="information": refused.append(text)
        )
        for action in shown:
            if action.id in ("quit", "palette"):
                continue
            on.app.navigation.show("live")
            await go_to(on, where)
            await on.press(action.keys.split(",")[0])
            if on.app.view is not None and on.app.view.filtering:
                await on.press("escape")
        assert [text for text in refused if text.endswith("not here")] == []


async def test_back_goes_through_all_that_was_opened() -> None:
    reader = FakeReader(delivery_trace(), links=delivery_links())
    async with stage(reader) as on:
        await on.press("2", "enter", "question_mark")
        await on.sees("Traces › #960 card is charged twice › Help")
        await on.press("escape")
        assert on.app.view.where == "trace"
        await on.press("escape")
        assert on.app.view.where == "traces"
        await on.press("escape")
        assert on.app.view.where == "live"


async def test_named_views_and_teams_are_in_the_palette() -> None:
    async with stage(busy_reader(), views={"mine": "team:web kind:deploy"}) as on:
        await on.press("colon")
        await on.sees("a command, a view or a team")
        await on.press(*"team plat")
        await on.sees("team plat")
        await on.press("enter")
        await on.until(lambda: on.app.team == "plat", "the team")
        await on.settle()
        assert {row.data.team for row in on.list.rows} == {"plat"}


async def test_the_palette_is_plain_where_the_screen_is() -> None:
    async with stage(ascii=True) as on:
        await on.press("colon")
        await on.sees("a command, a view or a team", "filter the list")
        assert on.text.isascii(), sorted({c for c in on.text if not c.isascii()})
