"""Text and strips. Texts of events are cleaned and cut by their width in cells, so wide
characters and emoji do not break columns; nothing is ever parsed as markup."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from vs_tui.domain.display import clean
from vs_tui.tui.look import Look

Piece = tuple[str, str]
"""A text and the role it is painted in."""


def fit(text: str, width: int, *, right: bool = False, ellipsis: str = "…") -> str:
    """Cleaned text in exactly `width` cells; what does not fit ends with an ellipsis."""
    if width <= 0:
        return ""
    shown = clean(text, 4 * width + 20)
    length = cell_len(shown)
    if length > width:
        cut = width - cell_len(ellipsis)
        shown = set_cell_size(shown, cut) + ellipsis if cut > 0 else set_cell_size(shown, width)
    elif right:
        return " " * (width - length) + shown
    return set_cell_size(shown, width)


def strip_of(
    pieces: Iterable[Piece], look: Look, width: int, background: Style | None = None
) -> Strip:
    """A line of exactly `width` cells. `background` is laid below every piece (the cursor)."""
    segments = []
    used = 0
    base = look["text"]
    for text, role in pieces:
        style = look[role]
        if background is not None:
            style = style + background
        room = width - used
        if room <= 0:
            break
        length = cell_len(text)
        if length > room:
            text, length = set_cell_size(text, room), room  # noqa: PLW2901
        segments.append(Segment(text, style))
        used += length
    if used < width:
        filler = base + background if background is not None else base
        segments.append(Segment(" " * (width - used), filler))
    return Strip(segments, width)


def framed(title: Sequence[Piece], note: str, look: Look, width: int, *, top: bool) -> list[Piece]:
    """The top line of a box with its title and a note at the right, or its bottom line."""
    left, line, right, _, low_left, low_right = tuple(look.glyphs.frame)
    if not top:
        return [(low_left + line * (width - 2) + low_right, "frame")]
    head = [(left + line, "frame"), (" ", "frame"), *title, (" ", "frame")]
    tail = f" {note} {line}{right}" if note else f"{line}{right}"
    used = sum(cell_len(text) for text, _ in head)
    room = width - used - cell_len(tail)
    if room < 0:
        tail, room = line + right, max(width - used - 2, 0)
    return [*head, (line * room, "frame"), (tail, "frame")]


def width_of(pieces: Iterable[Piece]) -> int:
    """Cells that the pieces take."""
    return sum(cell_len(text) for text, _ in pieces)
