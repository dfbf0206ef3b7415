"""Texts, pieces and strips. Texts of events are cleaned and cut by their width in cells, so wide
characters and emoji keep columns aligned. Nothing is parsed as markup."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from vs_tui.model.display import clean
from vs_tui.tui.theme import ASCII, Look

Piece = tuple[str, str]
"""(text, role); the role selects the style."""

_SPELLED: Final = {"→": ">", "›": ">", "…": "~", "—": "-", "–": "-", "·": "-", "’": "'", "×": "x"}


_CLUSTER: Final = re.compile("(?s:.)(?:[\u0300-\u036f\u20d0-\u20ff\ufe00-\ufe0f]|\u200d.)*")
"""A character with the combining characters and joined emoji that follow it."""


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Cleaned text in exactly `width` cells; a longer text ends with an ellipsis."""
    if width <= 0:
        return ""
    shown = clean(text, 4 * width + 20)
    length = cell_len(shown)
    if length > width:
        cut = width - cell_len(ellipsis)
        shown = cropped(shown, cut) + ellipsis if cut > 0 else cropped(shown, width)
    elif right:
        return " " * (width - length) + shown
    return set_cell_size(shown, width)


def longest_name(names: Iterable[str], most: int) -> int:
    """Cells of the longest name, at most `most`; 0 without names."""
    return max((min(cell_len(clean(name, 4 * most + 20)), most) for name in names), default=0)


def cropped(text: str, width: int) -> str:
    """A clean text in at most `width` cells. If an emoji is cut, its joiner is removed, so that it
    does not join the next text."""
    cut = set_cell_size(text, width)
    return cut if not cut.endswith("\u200d") else set_cell_size(cut.rstrip("\u200d"), width)


def ascii_only(text: str) -> str:
    """The text in ASCII with the same number of cells, for terminals with ASCII fonts. Accents are
    dropped; other characters become `?`."""
    if text.isascii():
        return text
    shown = []
    for cluster in _CLUSTER.findall(text):
        first = cluster[0]
        base = unicodedata.normalize("NFKD", first)[:1]
        sign = _SPELLED.get(first, base if base.isascii() else "?")
        shown.append(sign * cell_len(cluster))
    return "".join(shown)


def strip_of(
    pieces: Iterable[Piece], look: Look, width: int, background: Style | None = None
) -> Strip:
    """A line of exactly `width` cells. `background` (the cursor) lies under every piece."""
    segments = []
    used = 0
    base = look["text"]
    spell = look.glyphs is ASCII
    for text, role in pieces:
        style = _above(background, look[role])
        room = width - used
        if room <= 0:
            break
        shown = text if text.isprintable() else clean(text)  # also what a caller forgot to clean
        shown = ascii_only(shown) if spell else shown
        length = cell_len(shown)
        if length > room:
            shown = fit(shown.rstrip(), room, ellipsis=look.glyphs.ellipsis)
            length = room
        segments.append(Segment(shown, style))
        used += length
    if used < width:
        segments.append(Segment(" " * (width - used), _above(background, base)))
    return Strip(segments, width)


def _above(background: Style | None, style: Style) -> Style:
    if background is None:
        return style
    if background.reverse:
        # Reversed colours would show as patches; sign and word show the state.
        return Style(bold=style.bold) + background
    return style + background


def framed(title: Sequence[Piece], note: str, look: Look, width: int, *, top: bool) -> list[Piece]:
    """The top or bottom line of a box: title at the left, note at the right. A long title is cut;
    the note is left out first."""
    upper_left, line, upper_right, _, low_left, low_right = tuple(look.glyphs.frame)
    left, right = (upper_left, upper_right) if top else (low_left, low_right)
    if not title and not note:
        return [(left + line * (width - 2) + right, "frame")]
    room, note = width - 6, clean(note)
    pieces = cut(title, room, look.glyphs.ellipsis)
    head = [(left + line, "frame"), (" ", "frame"), *pieces, (" ", "frame")] if pieces else []
    head = head or [(left, "frame")]
    used = width_of(head)
    tail: list[Piece] = [(line + right, "frame")]
    if note and used + cell_len(note) + 5 <= width:
        tail = [(" ", "frame"), (note, "note"), (f" {line}{right}", "frame")]
    return [*head, (line * max(width - used - width_of(tail), 0), "frame"), *tail]


def cut(pieces: Iterable[Piece], width: int, ellipsis: str = "…") -> list[Piece]:
    """The pieces, cleaned, in at most `width` cells; the last one is cut."""
    kept: list[Piece] = []
    used = 0
    for text, role in ((clean(text), role) for text, role in pieces):
        length = cell_len(text)
        if used + length > width:
            if width - used > 1:
                kept.append((fit(text, width - used, ellipsis=ellipsis).rstrip(), role))
            break
        kept.append((text, role))
        used += length
    return kept


def width_of(pieces: Iterable[Piece]) -> int:
    """Cells of all pieces."""
    return sum(cell_len(text) for text, _ in pieces)


def flowed(groups: Iterable[Sequence[Piece]], width: int, gap: int = 3) -> list[list[Piece]]:
    """Groups side by side, with as many per line as fit."""
    lines: list[list[Piece]] = []
    used = width
    for group in groups:
        needed = width_of(group)
        if used + gap + needed > width or not lines:
            lines.append(list(group))
            used = needed
        else:
            lines[-1] += [(" " * gap, "text"), *group]
            used += gap + needed
    return lines


def fact(name: str, value: str, role: str = "text") -> list[Piece]:
    """`name value` without padding, to place beside others."""
    return [(f"{clean(name, 100)} ", "dim"), (clean(value, 400), role)]
