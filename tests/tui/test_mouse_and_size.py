"""Mouse, resizing, and titles that are wider than their letters."""

from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.tui.fakes import FakeReader, busy_reader, cards, some_detail, span
from tests.tui.stage import NARROW, WIDE, Stage, stage
from vs_tui.model.time import SECOND
from vs_tui.tui.header import header_line
from vs_tui.tui.screens.trace import TraceView


async def click(on: Stage, text: str, nth: int = 0) -> None:
    """Click on the first letter of a text on the screen, once it is there."""
    await on.sees(text)
    y = [number for number, line in enumerate(on.lines) if text in line][nth]
    x = cell_len(on.lines[y][: on.lines[y].index(text)])
    await on.pilot.click(offset=(x, y))
    await on.settle()


async def test_a_click_selects_and_a_second_one_opens() -> None:
    async with stage() as on:
        await click(on, "search v18")
        assert on.list.selected_key == "d-18"
        await click(on, "search v18")
        assert isinstance(on.app.screen, TraceView)


async def test_tabs_crumbs_header_and_footer_can_be_clicked() -> None:
    async with stage() as on:
        await click(on, "2 Traces")
        assert on.app.view.where == "traces"
        await click(on, "? help")
        assert on.app.view.where == "help"
        await click(on, "Traces › Help")
        assert on.app.view.where == "traces"
        await click(on, "team all")
        assert on.app.team == "core"
        await click(on, "7d")
        await click(on, "the last 30 days")
        assert on.app.range_name == "30d"
        await click(on, "LIVE")
        assert on.app.frozen_at is not None
        await click(on, "p resume")
        assert on.app.frozen_at is None
        await click(on, "/ all")
        assert on.app.view.filtering


async def test_a_click_on_a_column_sorts_by_it_and_again_the_other_way() -> None:
    async with stage() as on:
        await click(on, "TITLE")
        names = [row.data.name for row in on.list.rows]
        assert names == sorted(names)
        await click(on, "TITLE")
        assert [row.data.name for row in on.list.rows] == names[::-1]
        await click(on, "TEAM")
        assert on.app.screen.sort == "-name", "nothing sorts by team"


async def test_the_wheel_moves_through_list_and_trace() -> None:
    async with stage() as on:
        await on.pilot._post_mouse_events([_wheel()], offset=(10, 8))
        await on.settle()
        assert (on.list.cursor, on.list.first) == (3, 0)
        on.list.select("dep-214")
        await on.press("enter")
        waterfall = on.app.screen.waterfall
        before = waterfall.cursor
        await on.pilot._post_mouse_events([_wheel()], offset=(10, 8))
        await on.settle()
        assert waterfall.cursor == before + 3
        await on.pilot.resize_terminal(80, 24)
        await on.press("question_mark")
        await on.pilot._post_mouse_events([_wheel()], offset=(10, 8))
        await on.settle()
        assert on.app.screen.box.first == 3


def _wheel():
    from textual.events import MouseScrollDown

    return MouseScrollDown


async def test_the_waterfall_is_clicked_to_select_fold_and_go() -> None:
    async with stage() as on:
        on.list.select("dep-214")
        await on.press("enter")
        waterfall = on.app.screen.waterfall
        await click(on, "rollout")
        assert waterfall.selected_key == "r-1"
        await click(on, "rollout")
        assert "r-1" in waterfall.folded
        await on.press("plus", "plus")
        shown = on.text
        line = next(number for number, text in enumerate(on.lines) if "true time, [ ]" in text)
        await on.pilot.click(offset=(44, line))
        await on.settle()
        assert on.text != shown
        assert "█" in next(text for text in on.lines if "build (2)" in text)


async def test_smaller_and_larger_and_back_is_as_before() -> None:
    async with stage(size=NARROW) as on:
        on.list.select("dep-214")
        await on.settle()
        before = on.text
        for size in ((250, 70), WIDE, (100, 30), (40, 12), (20, 6)):
            await on.pilot.resize_terminal(*size)
            await on.until(lambda lines=size[1]: len(on.lines) == lines, f"{size}")
            await on.settle()
            assert [line for line in on.lines if cell_len(line) > size[0]] == []
        await on.pilot.resize_terminal(*NARROW)
        await on.until(lambda: on.text == before, "the picture from before")
        assert on.list.selected_key == "dep-214"


async def test_a_panel_that_comes_into_sight_is_filled() -> None:
    async with stage(size=NARROW) as on:
        assert "DORA 30d" not in on.text
        await on.pilot.resize_terminal(*WIDE)
        await on.sees("DORA 30d", "6.2/d")


async def test_a_wide_screen_is_used() -> None:
    async with stage(size=(250, 70)) as on:
        on.list.select("dep-214")
        await on.settle()
        await on.sees("DORA 30d", "Trace 4b1f", "canary 25%")
        assert all(cell_len(line) == 250 for line in on.lines if line.startswith(("│", "┌")))


WIDE_TITLES = (
    "日本語のデプロイ v1",
    "🚀 ship it 🚢 v2",
    "👩‍💻 works on 👨‍👩‍👧 family emoji",
    "é combined e\u0301 accents",
    "ｆｕｌｌｗｉｄｔｈ v3",
    "العربية right to left",
    "☑️ variation ❤️ selectors",
)


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("ascii_only", [False, True])
async def test_wide_titles_do_not_break_columns(size, ascii_only) -> None:
    spans = [
        span(f"b-{n}", "build", title, began=n * SECOND, took=SECOND, team="日本")
        for n, title in enumerate(WIDE_TITLES, 1)
    ]
    async with stage(FakeReader(spans), size=size, ascii=ascii_only) as on:
        side = "|" if ascii_only else "│"
        rows = [line for line in on.lines if line.startswith(side) and " build " in line]
        assert len(rows) == len(WIDE_TITLES)
        ages = {cell_len(line[: line.index("0:01")]) for line in rows}
        assert len(ages) == 1, rows
        assert {cell_len(line) for line in rows} == {size[0]}
        if ascii_only:
            assert on.text.isascii()


HOSTILE = "\x1b]0;owned\x07[red]x[/red] \u202eevil\u2066 \x9b31m \u0007 a\nb"


async def test_no_event_text_reaches_the_terminal_raw() -> None:
    reader = busy_reader()
    reader.put(
        span("evil", "deploy", HOSTILE, began=SECOND, team=HOSTILE, environment=HOSTILE,
             stage=HOSTILE, actor=HOSTILE, service=HOSTILE, project=HOSTILE, url=HOSTILE,
             attributes={HOSTILE: HOSTILE})
    )  # fmt: skip
    async with stage(reader) as on:
        on.list.select("evil")
        seen = [on.text]
        for keys in (("enter",), ("escape", "2"), ("1", "slash", *"team:", "escape"), ("w",),
                     ("colon", *"team"), ("escape", "m")):  # fmt: skip
            await on.press(*keys)
            seen.append(on.text)
            assert [
                c for c in on.text if not c.isprintable() and c not in "\n\u200d\ufe0f"
            ] == [], keys
        text = "".join(seen).replace("\n", "")
        assert "[red]x[/red]" in text, "markup is shown as it was written"
        bad = {c for c in text if not c.isprintable()} - {"\u200d", "\ufe0f"}
        assert bad == set()


async def test_the_header_ends_with_the_clock_at_every_width() -> None:
    async with stage(size=NARROW) as on:
        for width in range(80, 121, 4):
            await on.pilot.resize_terminal(width, 30)
            await on.settle()
            zone = " UTC" if width >= 100 and "UTC" in on.lines[0] else ""
            assert on.lines[0].rstrip().endswith(f"✗  09:41:07{zone}"), (width, on.lines[0])
        await on.sees("09:41:07 UTC")


async def test_a_wide_list_shows_who_and_where_and_an_export_always_has_them() -> None:
    async with stage() as on:
        assert "PROJECT" not in on.text
        titles, rows = on.app.screen.export_rows()
        assert titles[-2:] == ["BY", "PROJECT"]
        assert {len(row) for row in rows} == {len(titles)}
        await on.pilot.resize_terminal(250, 70)
        await on.sees("PROJECT", "acme/checkout")
        await on.pilot.resize_terminal(100, 40)
        await on.no_longer_sees("PROJECT")


async def test_the_cursor_is_painted_where_it_is_in_a_scrolled_list() -> None:
    spans = [span(f"s-{n}", "build", f"step {n:03}", began=(n + 9) * SECOND, took=SECOND)
             for n in range(200)]  # fmt: skip
    async with stage(FakeReader(spans)) as on:
        for key, name in (
            ("G", "step 199"),
            ("k", "step 198"),
            ("k", "step 197"),
            ("j", "step 198"),
        ):
            await on.press(key)
            marked = [line for line in on.lines if line.startswith("│▌✓")]
            assert [name in line for line in marked] == [True], key


async def test_a_click_on_the_metrics_opens_all_of_them() -> None:
    async with stage() as on:
        await click(on, "recovery")
        assert on.app.view.where == "dora"


async def test_metrics_of_many_teams_can_be_scrolled_and_opened() -> None:
    async def many(*_):
        return [replace(card, team=f"team{n}") for n in range(9) for card in cards()[:4]]

    async with stage(cards=many) as on:
        await on.press("tab", "G")
        assert on.app.screen.focused is on.app.screen.dora
        await on.sees("team8")
        assert on.list.cursor == 0
        await on.press("g", "enter")
        assert on.app.view.where == "dora"


@pytest.mark.parametrize("width", [60, 80, 120, 200])
@pytest.mark.parametrize("frozen", [False, True])
async def test_the_header_never_cuts_what_runs_and_what_failed(width, frozen) -> None:
    async with stage(size=(width, 24)) as on:
        if frozen:
            await on.press("p")
            on.reader.put(span("b-new", "build", "newcomer", began=SECOND))
            on.app.feed.wake()
            await on.sees("+1 new")
        header = on.lines[0]
        assert "1 ✗" in header and (" open" in header or "in flight" in header)
        assert frozen or header.endswith("09:41:07 UTC" if width >= 100 else "09:41:07")


async def test_the_header_shows_a_whole_clock_or_none() -> None:
    async with stage() as on:
        whole = []
        for width in range(42, 121):
            left, right, _ = header_line(on.app, width)
            texts = [text for text, _ in (*left, *right)]
            assert len("".join(texts)) < width
            whole.append(any("09:41:07" in text for text in texts))
        assert whole == sorted(whole), "a wider screen that loses the clock"
        assert {True, False} == set(whole)


async def test_what_is_known_of_a_number_stands_in_its_card_at_every_size() -> None:
    for size in ((60, 24), (80, 24), (120, 24), (120, 40), (250, 60)):
        async with stage(size=size, detail=some_detail) as on:
            await on.press("3")
            place = next(n for n, line in enumerate(on.lines) if "9h" in line)
            below = on.lines[place + 1 : place + 3]
            assert any("n 31 ▼31%" in line for line in below), size
            assert all(len(line) <= size[0] for line in on.lines)


async def test_the_cards_fit_again_after_a_resize() -> None:
    async with stage(size=(120, 40), detail=some_detail) as on:
        await on.press("3")
        await on.sees("▃▃▃▄▄▄▄▄▄▆▆▆▇▇▇▆▆▆███", "better")
        await on.pilot.resize_terminal(60, 24)
        await on.sees("metrics 1-3 of 4", "▌n 43 ▲12%  ")
        await on.no_longer_sees("▃▃▃▄▄▄", "better")


async def test_where_there_is_no_room_for_facts_a_key_shows_them() -> None:
    async with stage(size=(60, 24), detail=some_detail) as on:
        await on.press("3", "l", "i")
        await on.sees("The median time from the begin")
        await on.press("tab")
        await on.press("G")
        await on.sees(">= 2d")
