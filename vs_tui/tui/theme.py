"""Palettes and glyphs of each theme. States differ by glyph and word as well as by colour, so they
are readable without colours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.style import Style


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs of one character set."""

    run: str = "●"
    open_mark: str = "○"
    wait: str = "‖"
    queue: str = "◌"
    ok: str = "✓"
    fail: str = "✗"
    cancel: str = "⊘"
    stale: str = "?"
    cursor: str = "▌"
    long: str = "▲"
    up: str = "▲"
    down: str = "▼"
    even: str = "="
    bar: str = "█"
    partial: str = "▒"
    tip: str = "▶"
    line: str = "─"
    expected: str = "┈"
    now: str = "│"
    open: str = "▾"
    folded: str = "▸"
    branch: str = "├ "
    last: str = "└ "
    pipe: str = "│ "
    gap: str = "·"
    frame: str = "┌─┐│└┘"
    arrow: str = "›"
    live: str = "●"
    frozen: str = "‖"
    sparks: str = "▁▂▃▄▅▆▇█"
    ellipsis: str = "…"
    dot: str = "·"
    critical: str = "◆"
    effect: str = "→ "
    beside: str = "▄"
    idle: str = "░"
    left_out: str = "≈"
    before: str = "‹"
    after: str = "›"
    tick: str = "┬"
    begins: str = "├"
    ends: str = "┤"
    above: str = "^"


UNICODE: Final = Glyphs()
ASCII: Final = Glyphs(
    run="*",
    open_mark="o",
    wait="=",
    queue=".",
    ok="+",
    fail="x",
    cancel="-",
    cursor=">",
    long="!",
    up="^",
    down="v",
    bar="#",
    partial="=",
    tip=">",
    line="-",
    expected=".",
    now="|",
    open="v",
    folded=">",
    branch="+ ",
    last="+ ",
    pipe="| ",
    gap=".",
    frame="+-+|++",
    arrow=">",
    live="*",
    frozen="=",
    sparks="_.-=+*#@",
    ellipsis="~",
    dot="-",
    critical="!",
    effect="-> ",
    beside="%",
    idle=":",
    left_out="~",
    before="<",
    after=">",
    tick="+",
    begins="|",
    ends="|",
)


@dataclass(frozen=True, slots=True)
class Palette:
    """A style for each role of a text."""

    name: str
    dark: bool
    background: str
    roles: Mapping[str, Style]

    def __getitem__(self, role: str) -> Style:
        return self.roles.get(role, self.roles["text"])


def _palette(name: str, *, dark: bool, background: str, **roles: str) -> Palette:
    on = f" on {background}" if background else ""
    # A role with its own background keeps it; all others use the screen's.
    styles = {
        role: Style.parse(text if " on " in f" {text}" or "reverse" in text else text + on)
        for role, text in roles.items()
    }
    return Palette(name, dark, background, styles)


# Okabe and Ito's colours: with deuteranopia, blue (good) and orange (bad) are distinguishable.
DARK: Final = _palette(
    "dark",
    dark=True,
    background="#14171c",
    text="#d7dae0",
    dim="#8b919c",
    title="bold #e8ebf0",
    frame="#4a515d",
    focus="#7aa2c9",
    # Grey enough for 256 colours; a terminal would show bluer ones as teal.
    cursor="on #2e333c",
    run="#7cc4f5",
    wait="#e3c567",
    queue="#a9b1bd",
    ok="#56b4e9",
    fail="bold #f29450",
    cancel="#9aa1ac",
    stale="#d98fd0",
    bar_ok="#4a90b8",
    bar_fail="#e08038",
    bar_run="#7cc4f5",
    bar_wait="#c9a94c",
    expected="#6b7380",
    gap="#6b7380",
    critical="bold #e8ebf0",
    banner="bold #14171c on #e3c567",
    key="bold #e3c567",
    good="#56b4e9",
    bad="#f29450",
    crumb="#a9b1bd",
    note="#8b919c",
    input="#e8ebf0 on #20252d",
    match="bold #e3c567",
)
LIGHT: Final = _palette(
    "light",
    dark=False,
    background="#fbfaf7",
    text="#24292f",
    dim="#646b75",
    title="bold #101418",
    frame="#b3b8bf",
    focus="#0b5f99",
    cursor="on #dde7f0",
    run="#00639c",
    wait="#8a6100",
    queue="#5c636d",
    ok="#00639c",
    fail="bold #b34700",
    cancel="#6a717b",
    stale="#8a3a80",
    bar_ok="#4d9ac4",
    bar_fail="#cc5c14",
    bar_run="#00639c",
    bar_wait="#b58a1c",
    expected="#8d949e",
    gap="#8d949e",
    critical="bold #101418",
    banner="bold #101418 on #f2cf63",
    key="bold #7a5600",
    good="#00639c",
    bad="#b34700",
    crumb="#5c636d",
    note="#646b75",
    input="#101418 on #eceae4",
    match="bold #7a5600",
)
# In some 16-colour palettes (Solarized) bright black is the background, so use SGR faint.
ANSI: Final = _palette(
    "ansi",
    dark=True,
    background="",
    text="default",
    dim="dim",
    title="bold",
    frame="dim",
    focus="cyan",
    cursor="reverse",
    run="cyan",
    wait="yellow",
    queue="default",
    ok="blue",
    fail="bold red",
    cancel="dim",
    stale="magenta",
    bar_ok="blue",
    bar_fail="red",
    bar_run="cyan",
    bar_wait="yellow",
    expected="dim",
    gap="dim",
    critical="bold",
    banner="reverse bold",
    key="bold yellow",
    good="blue",
    bad="red",
    crumb="default",
    note="dim",
    input="underline",
    match="bold yellow",
)
MONO: Final = Palette(
    "mono",
    True,
    "",
    {
        role: Style.parse(
            {
                "title": "bold",
                "cursor": "reverse",
                "fail": "bold",
                "bar_fail": "bold",
                "banner": "reverse",
                "key": "bold",
                "critical": "bold",
                "input": "underline",
                "match": "bold",
            }.get(role, "none")
        )
        for role in DARK.roles
    },
)
PALETTES: Final[Mapping[str, Palette]] = {p.name: p for p in (DARK, LIGHT, ANSI, MONO)}


@dataclass(frozen=True, slots=True)
class Look:
    """A palette and glyphs."""

    palette: Palette
    glyphs: Glyphs

    def __getitem__(self, role: str) -> Style:
        return self.palette[role]


def choose(theme: str, *, ascii_only: bool, env: Mapping[str, str]) -> Look:
    """The look for a setting and a terminal. It respects NO_COLOR and TERM=linux.

    Terminals do not report their background reliably, so `auto` is dark unless COLORFGBG says
    light.
    """
    term = env.get("TERM", "")
    glyphs = ASCII if ascii_only or term in ("linux", "dumb") else UNICODE
    if env.get("NO_COLOR"):
        return Look(MONO, glyphs)
    name = theme
    if name not in PALETTES:
        name = "ansi" if term in ("linux", "dumb") else "dark"
        background = env.get("COLORFGBG", "").rpartition(";")[2]
        if name == "dark" and background in ("7", "15"):
            name = "light"
    return Look(PALETTES[name], glyphs)
