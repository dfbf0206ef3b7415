"""Boxes with a title and scrolling lines: the base of all, a box with a cursor (list, waterfall,
document), and a box of text. All repaint only what changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Final

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from vs_tui.tui.paint import Piece, framed, strip_of
from vs_tui.tui.theme import Look

WHEEL: Final = 3
"""Lines per click of the mouse wheel."""


class Framed(ScrollView, can_focus=True):
    """The base class. Subclasses define `count`, `head_lines`, `paint_head` and `paint_row`, and
    `move` if they have a cursor or scroll."""

    class WidthChanged(Message):
        """The box has another width, or is shown again, so other columns may fit."""

        def __init__(self, box: Framed) -> None:
            super().__init__()
            self.box = box

    DEFAULT_CSS = """
    Framed { width: 1fr; height: 1fr; scrollbar-size: 0 0; }
    """

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.heading: tuple[Piece, ...] = ()
        self.note = ""
        self.foot: tuple[Piece, ...] = ()
        self.head_lines = 0
        self.tail_lines = 0
        """Lines below the rows that do not scroll."""
        self.total = 0
        """Lines if all were read; 0: the same as `count`."""
        self._width = 0

    # For subclasses to override.

    @property
    def count(self) -> int:
        """Number of rows below the head."""
        raise NotImplementedError

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        """Paint a fixed line above the rows."""
        return ()

    def paint_tail(self, y: int, width: int) -> Sequence[Piece]:
        """Paint a fixed line below the rows."""
        return ()

    def row_at(self, line: int) -> int:
        """Index of the row in a screen line; line 0 is the first below the head."""
        return self.first + line

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        """(pieces of a row, whether the cursor is on it)."""
        raise NotImplementedError

    def move(self, step: int) -> None:
        """Move the cursor by `step` rows, or scroll a text without a cursor; stops at the ends."""

    # For subclasses to call.

    def act_move(self, action: str) -> bool:
        """Run a movement action; returns False for other actions."""
        page = self.rows_visible
        steps = {
            "down": 1,
            "up": -1,
            "page_down": page,
            "page_up": -page,
            "top": -self.count,
            "bottom": self.count,
        }
        if action not in steps:
            return False
        self.move(steps[action])
        return True

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._roll(event, WHEEL)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._roll(event, -WHEEL)

    def _roll(self, event: events.MouseEvent, step: int) -> None:
        event.stop()
        event.prevent_default()  # Textual would scroll too, away from the cursor
        self.move(step)

    @property
    def rows_visible(self) -> int:
        return max(self.size.height - 2 - self.head_lines - self.tail_lines, 1)

    @property
    def place(self) -> str:
        """`41-60 of 318`; empty if all rows are visible."""
        if self.count <= self.rows_visible:
            return ""
        last = min(self.first + self.rows_visible, self.count)
        return f"{self.first + 1}-{last} of {max(self.total, self.count)}"

    @property
    def first(self) -> int:
        """Index of the first visible row."""
        return int(self.scroll_offset.y)

    def resized(self) -> None:
        """Update the scrollable size after the number of rows changed.

        Only the limits of scrolling depend on it. As a plain assignment it would have Textual lay
        out the screen and repaint every line of the box, for each row that comes.
        """
        height = self.count + 2 + self.head_lines + self.tail_lines
        self.set_reactive(Framed.virtual_size, Size(self.size.width, height))
        self._refresh_line(self.size.height - 1)

    def set_heading(self, heading: Sequence[Piece], note: str = "") -> None:
        """Set the title and note of the frame; repaints the top line if they changed."""
        if (tuple(heading), note) != (self.heading, self.note):
            self.heading, self.note = tuple(heading), note
            self._refresh_line(0)

    def set_foot(self, foot: Sequence[Piece]) -> None:
        """Set the text of the frame's bottom line; repaints it if it changed."""
        if tuple(foot) != self.foot:
            self.foot = tuple(foot)
            self._refresh_line(self.size.height - 1)

    def set_total(self, total: int) -> None:
        """Set the number of lines if all were read."""
        if total != self.total:
            self.total = total
            self._refresh_line(self.size.height - 1)

    def refresh_row(self, index: int) -> None:
        """Repaint one row if it is visible."""
        y = index - self.first
        if 0 <= y < self.rows_visible:
            self._refresh_line(y + 1 + self.head_lines)

    def _refresh_line(self, y: int) -> None:
        self.refresh(Region(0, y, self.size.width, 1))

    def scroll_to_row(self, index: int, *, anchor: int | None = None) -> None:
        """Scroll a row into view; `anchor` is its wanted line from the top."""
        top = self.first
        if anchor is not None:
            top = index - anchor
        elif index < top:
            top = index
        elif index >= top + self.rows_visible:
            top = index - self.rows_visible + 1
        top = max(0, min(top, max(self.count - self.rows_visible, 0)))
        if top != self.first:
            self.scroll_to(y=top, animate=False, force=True, immediate=True)
            self.refresh()

    def on_resize(self, event: events.Resize) -> None:
        self.resized()
        if event.size.width != self._width:
            self._width = event.size.width
            self.post_message(self.WidthChanged(self))

    def on_hide(self) -> None:
        self._width = 0  # the size of a hidden box is 0, without a resize

    def render_line(self, y: int) -> Strip:
        width, height = self.size
        look = self.look
        if width < 4 or height < 3:
            return Strip.blank(width, look["text"])
        frame = "focus" if self.has_focus else "frame"
        if y == 0:
            pieces = framed(self.heading, self.note, look, width, top=True)
            return strip_of(_recolour(pieces, frame), look, width)
        if y == height - 1:
            pieces = framed(self.foot, self.place, look, width, top=False)
            return strip_of(_recolour(pieces, frame), look, width)
        side = look.glyphs.frame[3]
        inner = width - 2
        background = None
        if y <= self.head_lines:
            pieces = list(self.paint_head(y - 1, inner))
        elif y >= height - 1 - self.tail_lines:
            pieces = list(self.paint_tail(y + 1 + self.tail_lines - height, inner))
        else:
            index = self.row_at(y - 1 - self.head_lines)
            if index < self.count:
                found, selected = self.paint_row(index, inner)
                pieces = list(found)
                background = look["cursor"] if selected else None
            else:
                pieces = []
        body = strip_of(pieces, look, inner, background)
        edge = strip_of([(side, frame)], look, 1)
        return Strip([*edge, *body, *edge], width)


def _recolour(pieces: Sequence[Piece], frame: str) -> list[Piece]:
    return [(text, frame if role == "frame" else role) for text, role in pieces]


class CursorBox(Framed):
    """A box with a cursor. The cursor stays on its row's key through every change of the rows."""

    class Selected(Message):
        """The cursor moved to another row, or to none."""

        def __init__(self, box: CursorBox, key: str) -> None:
            super().__init__()
            self.box, self.key = box, key

        def can_replace(self, message: Message) -> bool:
            return isinstance(message, CursorBox.Selected) and message.box is self.box

    class Opened(Selected):
        """Enter or a click on the selected row; `key` names what opens."""

        def can_replace(self, message: Message) -> bool:
            return False

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.selected_key = ""
        self.keys: Sequence[str] = ()
        self._places: dict[str, int] = {}

    @property
    def cursor(self) -> int:
        """Index of the selected row; 0 without one."""
        return self._places.get(self.selected_key, 0)

    @property
    def has_selection(self) -> bool:
        return self.selected_key in self._places

    @property
    def sticky(self) -> Sequence[int]:
        """Indexes of rows that stay visible above a scrolled list."""
        return ()

    def row_at(self, line: int) -> int:
        sticky = self.sticky
        return sticky[line] if 0 <= line < len(sticky) else super().row_at(line)

    def refresh_row(self, index: int) -> None:
        sticky = self.sticky
        super().refresh_row(self.first + sticky.index(index) if index in sticky else index)

    def scroll_to_row(self, index: int, *, anchor: int | None = None) -> None:
        super().scroll_to_row(index, anchor=anchor)
        if index < self.first + len(self.sticky):  # they cover it
            super().scroll_to_row(index, anchor=min(len(self.sticky), index))

    def is_choosable(self, index: int) -> bool:
        """Whether the cursor can be on a row."""
        return True

    def set_keys(self, keys: Iterable[str]) -> None:
        """Replace the rows' keys. If the selected row is gone, the cursor stays at its index, or
        near it."""
        before = self.cursor
        self.keys = tuple(keys)
        self._places = {key: index for index, key in enumerate(self.keys)}
        if not self.has_selection:
            near = self.choosable_from(min(before, len(self.keys) - 1), 1)
            self.selected_key = "" if near is None else self.keys[near]

    def choosable_from(self, index: int, step: int) -> int | None:
        """The first row from `index` on in the direction of `step` that the cursor can be on, else
        the nearest one in the other direction."""
        if not self.keys:
            return None
        ahead, behind = range(index, len(self.keys)), range(index, -1, -1)
        each = chain(ahead, behind) if step > 0 else chain(behind, ahead)
        return next((n for n in each if self.is_choosable(n)), None)

    def go_to(self, index: int) -> None:
        """Put the cursor on a row, and show the row."""
        key = self.keys[index]
        if key == self.selected_key or not self.is_choosable(index):
            return
        before, self.selected_key = self.cursor, key
        self.refresh_row(before)
        self.refresh_row(index)
        self.scroll_to_row(index)
        self.post_message(self.Selected(self, key))

    def go_to_next(self, wanted: Callable[[int], bool], step: int) -> bool:
        """Go to the next wanted row, wrapping around; returns whether there is one."""
        for offset in range(1, len(self.keys) + 1):
            index = (self.cursor + step * offset) % len(self.keys)
            if wanted(index):
                self.go_to(index)
                return True
        return False

    def move(self, step: int) -> None:
        if self.keys:
            wanted = max(0, min(self.cursor + step, len(self.keys) - 1))
            found = self.choosable_from(wanted, step)
            if found is not None:
                self.go_to(found)

    def open_row(self) -> None:
        """Open the selected row."""
        self.post_message(self.Opened(self, self.selected_key))

    def click_head(self, x: int, y: int) -> None:
        """Handle a click on line `y` of the head."""

    def act(self, action: str) -> bool:
        """Run an action of this widget; returns False for others."""
        if action == "open" and self.has_selection:
            self.open_row()
            return True
        return self.act_move(action)

    def on_click(self, event: events.Click) -> None:
        line = event.y - 1 - self.head_lines
        index = self.row_at(line)
        if 0 < event.y <= self.head_lines:
            self.click_head(event.x - 1, event.y - 1)
        elif 0 <= line < self.rows_visible and index < len(self.keys):
            if index == self.cursor:
                self.open_row()
            else:
                self.go_to(index)


class TextBox(Framed):
    """A scrolling box of lines. It neither cleans nor fits the pieces; the caller does."""

    def set_lines(self, lines: Sequence[Sequence[Piece]]) -> None:
        """Replace the text; the scroll position stays."""
        new = [tuple(line) for line in lines]
        if new != getattr(self, "_lines", None):
            self._lines = new
            self.resized()
            self.refresh()

    @property
    def lines(self) -> list[tuple[Piece, ...]]:
        found: list[tuple[Piece, ...]] = getattr(self, "_lines", [])
        return found

    @property
    def count(self) -> int:
        return len(self.lines)

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        return ((" ", "text"), *self.lines[index]), False

    def act(self, action: str) -> bool:
        return self.act_move(action)

    def move(self, step: int) -> None:
        top = max(0, min(self.first + step, max(self.count - self.rows_visible, 0)))
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.refresh()
