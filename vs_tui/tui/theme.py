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


_ROLES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "text": ("#d7dae0", "#24292f", "default", "none"),
    "dim": ("#8b919c", "#646b75", "dim", "none"),
    "title": ("bold #e8ebf0", "bold #101418", "bold", "bold"),
    "frame": ("#4a515d", "#b3b8bf", "dim", "none"),
    "focus": ("#7aa2c9", "#0b5f99", "cyan", "none"),
    # Grey enough for 256 colours; a terminal would show bluer ones as teal.
    "cursor": ("on #2e333c", "on #dde7f0", "reverse", "reverse"),
    "run": ("#7cc4f5", "#00639c", "cyan", "none"),
    "wait": ("#e3c567", "#8a6100", "yellow", "none"),
    "queue": ("#a9b1bd", "#5c636d", "default", "none"),
    "ok": ("#56b4e9", "#00639c", "blue", "none"),
    "fail": ("bold #f29450", "bold #b34700", "bold red", "bold"),
    "cancel": ("#9aa1ac", "#6a717b", "dim", "none"),
    "stale": ("#d98fd0", "#8a3a80", "magenta", "none"),
    "bar_ok": ("#4a90b8", "#4d9ac4", "blue", "none"),
    "bar_fail": ("#e08038", "#cc5c14", "red", "bold"),
    "bar_run": ("#7cc4f5", "#00639c", "cyan", "none"),
    "bar_wait": ("#c9a94c", "#b58a1c", "yellow", "none"),
    "expected": ("#6b7380", "#8d949e", "dim", "none"),
    "gap": ("#6b7380", "#8d949e", "dim", "none"),
    "critical": ("bold #e8ebf0", "bold #101418", "bold", "bold"),
    "banner": ("bold #14171c on #e3c567", "bold #101418 on #f2cf63", "reverse bold", "reverse"),
    "key": ("bold #e3c567", "bold #7a5600", "bold yellow", "bold"),
    "good": ("#56b4e9", "#00639c", "blue", "none"),
    "bad": ("#f29450", "#b34700", "red", "none"),
    "crumb": ("#a9b1bd", "#5c636d", "default", "none"),
    "note": ("#8b919c", "#646b75", "dim", "none"),
    "input": ("#e8ebf0 on #20252d", "#101418 on #eceae4", "underline", "underline"),
    "match": ("bold #e3c567", "bold #7a5600", "bold yellow", "bold"),
}
"""Role -> styles in the palettes dark, light, ansi and mono. Dark and light have Okabe and Ito's
colours: with deuteranopia, blue (good) and orange (bad) are distinguishable. In some 16-colour
palettes (Solarized) bright black is the background, so `ansi` uses SGR faint."""


def _palette(name: str, column: int, *, dark: bool, background: str = "") -> Palette:
    """A palette from its column of `_ROLES`. A role with its own background keeps it; all others
    use the screen's."""
    on = f" on {background}" if background else ""
    styles = {}
    for role, row in _ROLES.items():
        text = row[column]
        own = " on " in f" {text}" or "reverse" in text
        styles[role] = Style.parse(text if own else text + on)
    return Palette(name, dark, background, styles)


DARK: Final = _palette("dark", 0, dark=True, background="#14171c")
LIGHT: Final = _palette("light", 1, dark=False, background="#fbfaf7")
ANSI: Final = _palette("ansi", 2, dark=True)
MONO: Final = _palette("mono", 3, dark=True)
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
