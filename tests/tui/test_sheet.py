"""What is sent to a terminal: only what differs, nothing twice, and in the end all of it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from rich.segment import Segment
from rich.style import Style
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual.drivers.headless_driver import HeadlessDriver
from textual.geometry import Region
from textual.strip import Strip

from tests.tui import emulator
from tests.tui.emulator import Emulator
from tests.tui.fakes import MINUTE, SECOND, FakeReader
from tests.tui.stage import Stage, does, stage
from tests.tui.test_live import work
from vs_tui.tui.diff_renderer import Sheet

CONSOLE = Console(color_system="truecolor", force_terminal=True)
WIDTH, HEIGHT, CUT = 24, 3, 14
STYLES = (
    None,
    Style.parse("red"),
    Style.parse("on #101010"),
    Style.parse("bold italic blue"),
    Style.parse("bold on #101010"),
    Style.parse("#aabbcc"),
)
SIGNS = "ab 1│●漢"
NARROW = " #:│0123abcx"


def strip_of(text: str, width: int, style: Style | None = None) -> Strip:
    return Strip([Segment(text, style)]).adjust_cell_length(width, style)


def test_a_control_character_that_was_painted_is_not_sent() -> None:
    """The last line of defence: nothing but our own sequences reaches the terminal."""
    sheet = Sheet()
    whole = LayoutUpdate(
        [[strip_of("a\x1b]0;x\x07\x9b漢", WIDTH)]] * HEIGHT, Region(0, 0, WIDTH, HEIGHT)
    )
    sheet.take(whole, CONSOLE)
    sent = sheet.changes()
    assert "]0;" in sent and "漢" in sent
    assert "\x1b]" not in sent
    assert not {"\x07", "\x9b"} & set(sent)


lines = st.lists(
    st.builds(
        lambda text, style: Segment(text, style),
        st.text(SIGNS, min_size=1, max_size=6),
        st.sampled_from(STYLES),
    ),
    max_size=4,
)


def strip(width: int) -> st.SearchStrategy[Strip]:
    return lines.map(lambda segments: Strip(segments).adjust_cell_length(width))


whole = st.lists(
    st.tuples(strip(CUT), strip(WIDTH - CUT)).map(list), min_size=HEIGHT, max_size=HEIGHT
).map(lambda strips: LayoutUpdate(strips, Region(0, 0, WIDTH, HEIGHT)))
part = st.tuples(
    st.integers(0, HEIGHT - 1), st.one_of(st.none(), strip(CUT)), strip(WIDTH - CUT)
).map(
    lambda it: ChopsUpdate(
        [{0: it[1], CUT: it[2]} if y == it[0] else {0: None, CUT: None} for y in range(HEIGHT)],
        [(it[0], 0, WIDTH)],
        [[CUT, WIDTH]] * HEIGHT,
    )
)


@settings(max_examples=150, deadline=None)
@given(
    whole, st.lists(st.one_of(part, whole), max_size=5), st.one_of(st.none(), st.integers(1, 80))
)
def test_the_terminal_shows_what_textual_would_have_sent(
    first: LayoutUpdate, updates: list[CompositorUpdate], most: int | None
) -> None:
    sheet = Sheet()
    plain, sparing = Emulator(WIDTH, HEIGHT), Emulator(WIDTH, HEIGHT)
    for update in [first, *updates]:
        plain.feed(update.render_segments(CONSOLE))
        sheet.take(update, CONSOLE)
        sparing.feed(sheet.changes(most))
    while sheet.changed:
        sparing.feed(sheet.changes(most))
    assert sparing.cells == plain.cells
    assert sheet.changes() == ""


def page(*texts: str) -> LayoutUpdate:
    return LayoutUpdate(
        [[strip_of(text, WIDTH, STYLES[-1])] for text in texts], Region(0, 0, WIDTH, len(texts))
    )


def test_a_cell_that_differs_is_sent_alone() -> None:
    sheet = Sheet()
    sheet.take(page("checkout 3:12 run", "web 0:48"), CONSOLE)
    sheet.changes()
    sheet.take(page("checkout 3:13 run", "web 0:49"), CONSOLE)
    assert sheet.changes() == "\x1b[1;13H\x1b[38;2;170;187;204m3\x1b[2;8H9\x1b[0m"


def test_only_what_differs_of_a_style_is_sent() -> None:
    sheet = Sheet()
    names = ("red on black", "blue on black", "bold blue on black", "blue on black")
    pieces = [Segment("x", Style.parse(name)) for name in names]
    sheet.take(LayoutUpdate([[Strip(pieces)]], Region(0, 0, 4, 1)), CONSOLE)
    sent = "\x1b[1;1H\x1b[31;40mx\x1b[34mx\x1b[1mx\x1b[0;34;40mx\x1b[0m"
    assert sheet.changes() == sent


@pytest.mark.parametrize(
    "name", ["👩\u200d👩", "❤\ufe0f", "👍🏽", "🇩🇪", "日本", "e\u0301", "a👩\u200d👩b日"]
)
@pytest.mark.parametrize("cells", [0, 1, 2, 3])
def test_what_follows_a_text_of_doubtful_width_is_at_its_place(name, cells, monkeypatch) -> None:
    """Terminals give such characters another number of cells each."""
    if cells:
        monkeypatch.setattr(emulator, "cell_len", lambda sign: 1 if sign in NARROW else cells)
    terminal, sheet = Emulator(WIDTH, 1), Sheet()
    for text in (f"#1 {name} 3:12│", f"#1 {name} 3:13│", "#1 abc 3:13│", f"#1 x{name} 3:13│"):
        sheet.take(page(text), CONSOLE)
        terminal.feed(sheet.changes())
        place = cell_len(text) - len(" 3:12│")
        assert "".join(sign for sign, _ in terminal.cells[0][place:]).rstrip() == text[-6:]


def test_beside_a_text_of_doubtful_width_cells_are_sent_alone() -> None:
    sheet = Sheet()
    sheet.take(page("👩\u200d👩 3:12"), CONSOLE)
    sheet.changes()
    sheet.take(page("👩\u200d👩 3:13"), CONSOLE)
    assert sheet.changes() == "\x1b[1;7H\x1b[38;2;170;187;204m3\x1b[0m"
    sheet.take(page("👩\u200d👨 3:13"), CONSOLE)
    assert "👩\u200d👨" in (sent := sheet.changes()) and "3:13" in sent


def test_what_was_touched_last_is_sent_first_and_little_at_once() -> None:
    sheet = Sheet()
    sheet.take(page("first", "second", "third"), CONSOLE)
    sheet.take(
        ChopsUpdate(
            [{0: None}, {0: strip_of("answer", WIDTH)}, {0: None}], [(1, 0, WIDTH)], [[WIDTH]] * 3
        ),
        CONSOLE,
    )
    assert "answer" in sheet.changes(10)
    assert "first" in sheet.changes(10)
    assert "third" in sheet.changes(10)
    assert not sheet.changed


def test_after_a_resize_all_is_sent_again() -> None:
    sheet = Sheet()
    sheet.take(page("one", "two"), CONSOLE)
    before = sheet.changes()
    sheet.forget()
    assert sheet.changes() == before


async def on_a_terminal(on: Stage, monkeypatch) -> Emulator:
    """As if the stage's terminal were no stage's."""
    terminal = Emulator(*on.app.size)
    monkeypatch.setattr(HeadlessDriver, "is_headless", False)
    monkeypatch.setattr(on.app._driver, "write", terminal.feed)
    on.app.screen.refresh()
    await on.settle()
    return terminal


async def test_every_screen_reaches_the_terminal_as_it_is(monkeypatch) -> None:
    async with stage() as on:
        terminal = await on_a_terminal(on, monkeypatch)
        for key in ("j", "down", "2", "3", "4", "enter", "escape", "5", "1", "enter", "?"):
            await on.press(key)
            assert terminal.text == on.text, key
        await on.press("escape", "1")
        on.app._sheet.forget()
        terminal.received = 0
        on.app.screen.refresh()
        await on.settle()
        full = terminal.received
        terminal.received = 0
        on.clock.now += SECOND
        on.app._tick()
        await on.settle()
        assert terminal.text == on.text
        assert 0 < terminal.received < full / 15, "a second changes a few cells"


async def test_waiting_rows_write_nothing_within_a_minute_and_then_the_changed_cells_alone(
    monkeypatch,
) -> None:
    reader = FakeReader([one for number in range(8) for one in work(number)])
    reader.clock.now += MINUTE - reader.clock.now % MINUTE
    async with stage(reader, by_trace=True) as on:
        terminal = await on_a_terminal(on, monkeypatch)
        assert not on.app.is_moving
        on.app._tick()
        await on.settle()
        terminal.received = 0
        for _ in range(59):
            on.clock.now += SECOND
            on.app._tick()
        await on.settle()
        assert terminal.received == 0
        before = terminal.text
        on.clock.now += SECOND
        on.app._tick()
        await on.settle()
        assert terminal.text == on.text
        pairs = zip(before, terminal.text, strict=True)
        changed = sum(one != other for one, other in pairs)
        assert changed > 5, "the clock and the ages in minutes"
        assert terminal.received < 40 * changed


@does("redraw")
async def test_what_another_program_wrote_over_the_screen_goes(monkeypatch) -> None:
    async with stage() as on:
        terminal = await on_a_terminal(on, monkeypatch)
        terminal.feed("\x1b[3;1H\x1b[31;47mYou have new mail in /var/mail/ana")
        await on.press("j")
        assert "new mail" in terminal.text
        await on.press("ctrl+l")
        assert terminal.text == on.text


async def test_a_terminal_that_is_behind_gets_the_last_picture_and_not_all_of_them(
    monkeypatch,
) -> None:
    async with stage() as on:
        terminal = await on_a_terminal(on, monkeypatch)
        shown, taken, waiting = terminal.text, [False], []

        def call_when_taken(callback: Callable[[], None]) -> bool:
            waiting.append(callback)
            return not taken.pop() if taken else True

        monkeypatch.setattr(on.app._driver, "at_once", 700, raising=False)
        monkeypatch.setattr(on.app._driver, "call_when_taken", call_when_taken, raising=False)
        await on.press("2", "3", "4", "1", "j", "j")
        assert terminal.text == shown != on.text
        sent = [terminal.received]
        while on.app._sheet.changed:
            taken.append(True)
            waiting[-1]()
            sent.append(terminal.received)
        assert terminal.text == on.text
        assert max(after - before for before, after in pairwise(sent)) < 3_000
