"""Help: complete, whole at every width, and first what the screen it was opened on can do."""

import pytest

from tests.tui.stage import Stage, stage
from vs_tui.tui.actions import ACTIONS
from vs_tui.tui.screens.help import GROUPS


def words(on: Stage) -> list[str]:
    """The lines of the help, also those that are not in sight."""
    lines = on.app.screen.box.lines
    return ["".join(text for text, _ in line) for line in lines]


def test_what_can_be_done_everywhere_is_told_once() -> None:
    told = [id for ids in GROUPS.values() for id in ids]
    everywhere = {action.id for action in ACTIONS if action.where == "everywhere"}
    assert sorted(told) == sorted(everywhere)


@pytest.mark.parametrize("width", [44, 60, 80, 120, 200])
async def test_nothing_is_cut_at_any_width(width) -> None:
    async with stage(size=(width, 24)) as on:
        await on.press("question_mark")
        room = on.app.screen.box.size.width - 3
        assert [line for line in words(on) if len(line) > room] == []
        shown = " ".join(" ".join(words(on)).split())
        if width < 112:  # in two columns the lines of a text do not follow each other
            assert [action.help for action in ACTIONS if action.help not in shown] == []
        else:
            assert [w for action in ACTIONS for w in action.help.split() if w not in shown] == []


async def test_the_keys_of_the_screen_below_come_first() -> None:
    async with stage() as on:
        for key, first in (("1", "In lists"), ("5", "In Sources"), ("4", "In a delivery")):
            await on.press(key, "question_mark")
            assert words(on)[0].startswith(first)
            await on.press("escape")
        await on.press("1", "enter", "question_mark")
        assert words(on)[0].startswith("In a trace")


async def test_it_is_laid_out_anew_in_another_width() -> None:
    async with stage(size=(120, 40)) as on:
        await on.press("question_mark")
        wide = len(words(on))
        await on.pilot.resize_terminal(80, 24)
        await on.until(lambda: len(words(on)) > wide, "the lines of a narrower page")
        assert max(map(len, words(on))) <= 78
