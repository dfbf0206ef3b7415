"""Palettes and glyphs: every state is told apart without colours, every text from its ground."""

import itertools

import pytest
from rich.color import ColorSystem

from tests.tui.stage import stage
from vs_tui.tui.paint import strip_of
from vs_tui.tui.theme import ASCII, DARK, LIGHT, PALETTES, UNICODE, choose

STATES = ("run", "wait", "queue", "ok", "fail", "cancel", "stale")


def luminance(colour) -> float:
    parts = [value / 255 for value in colour.get_truecolor()]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(style) -> float:
    light, dark = sorted((luminance(style.color), luminance(style.bgcolor)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_every_state_has_its_own_sign(glyphs) -> None:
    signs = [getattr(glyphs, state) for state in STATES]
    assert len(set(signs)) == len(signs)
    if glyphs is ASCII:
        fields = [getattr(glyphs, name) for name in ASCII.__slots__]
        assert all(text.isascii() for text in fields)


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_texts_can_be_read_on_their_background(palette) -> None:
    faint = {"frame", "expected", "gap", "bar_ok", "bar_fail", "bar_wait", "bar_run"}
    for role, style in palette.roles.items():
        if role not in faint and style.color is not None:
            assert contrast(style) >= 4.5, role


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_the_cursor_has_a_background_of_its_own(palette) -> None:
    assert palette["cursor"].bgcolor != palette["text"].bgcolor
    for role in ("text", "dim", "ok", "fail", "wait", "stale"):
        assert contrast(palette[role] + palette["cursor"]) >= 3, role


def test_all_palettes_know_all_roles() -> None:
    for one, other in itertools.pairwise(PALETTES.values()):
        assert set(one.roles) == set(other.roles)


@pytest.mark.parametrize(
    ("env", "palette", "glyphs"),
    [
        ({"TERM": "xterm-256color"}, "dark", UNICODE),
        ({"TERM": "linux"}, "ansi", ASCII),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "mono", UNICODE),
        ({"TERM": "linux", "NO_COLOR": "1"}, "mono", ASCII),
        ({"TERM": "xterm", "COLORFGBG": "0;15"}, "light", UNICODE),
        ({"TERM": "xterm", "COLORFGBG": "15;0"}, "dark", UNICODE),
    ],
)
def test_the_terminal_decides(env, palette, glyphs) -> None:
    look = choose("auto", ascii_only=False, env=env)
    assert (look.palette.name, look.glyphs) == (palette, glyphs)


@pytest.mark.parametrize("theme", ["ansi", "mono"])
async def test_the_terminals_own_colours_are_used_and_nothing_else(theme) -> None:
    async with stage(theme=theme) as on:
        strips = on.app.screen._compositor.render_strips()
        colours = {
            colour.type.name
            for strip in strips
            for segment in strip
            if segment.style
            for colour in (segment.style.color, segment.style.bgcolor)
            if colour is not None
        }
        assert colours <= {"DEFAULT", "STANDARD"}


@pytest.mark.parametrize("palette", [DARK, LIGHT], ids=lambda p: p.name)
def test_the_cursor_is_no_colour_of_its_own_where_there_are_256(palette) -> None:
    """Without COLORTERM, as over most ssh: the nearest of the 256 must not be a loud one."""
    shown = palette["cursor"].bgcolor.downgrade(ColorSystem.EIGHT_BIT).get_truecolor()
    assert max(shown) - min(shown) <= 40, shown


@pytest.mark.parametrize("name", ["ansi", "mono"])
def test_a_reversed_row_is_one_bar_and_no_patchwork(name) -> None:
    look = choose(name, ascii_only=False, env={})
    pieces = [("● run", "run"), (" x", "dim"), ("✗ fail", "fail")]
    strip = strip_of(pieces, look, 20, look["cursor"])
    assert {(s.style.color, s.style.bgcolor, s.style.dim) for s in strip} == {(None, None, None)}
    assert [bool(s.style.bold) for s in strip] == [False, False, True, False]
    assert all(s.style.reverse for s in strip)
