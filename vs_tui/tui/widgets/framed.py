"""A box with a title and scrolling lines, the base of list, waterfall and details; a box of text;
and the one-line widgets: header, tabs, footer, banner. All repaint only what changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from textual import events
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from vs_tui.tui.paint import Piece, framed, strip_of, width_of
from vs_tui.tui.theme import Look

WHEEL: Final = 3
"""Lines per click of the mouse wheel."""


class Framed(ScrollView, can_focus=True):
    """The base class. Subclasses define `count`, `head_lines`, `paint_head` and `paint_row`, and
    `move` if they have a cursor or scroll."""

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

    # For subclasses to override.

    @property
    def count(self) -> int:
        """Number of rows below the head."""
        raise NotImplementedError

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        """Paint a fixed line above the rows."""
        raise NotImplementedError

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
        """Update the scrollable size after the number of rows changed."""
        self.virtual_size = Size(
            self.size.width, self.count + 2 + self.head_lines + self.tail_lines
        )

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

    def on_resize(self) -> None:
        self.resized()

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

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        return ((" ", "text"), *self.lines[index]), False

    def act(self, action: str) -> bool:
        return self.act_move(action)

    def move(self, step: int) -> None:
        top = max(0, min(self.first + step, max(self.count - self.rows_visible, 0)))
        self.scroll_to(y=top, animate=False, force=True, immediate=True)
        self.refresh()


class Line(Widget):
    """A line of pieces; `right` pieces are at the right edge."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    class Pressed(Message):
        """A click on a piece; `value` is its target."""

        def __init__(self, value: str) -> None:
            super().__init__()
            self.value = value

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self._left: tuple[Piece, ...] = ()
        self._right: tuple[Piece, ...] = ()
        self._targets: dict[int, str] = {}

    def show(
        self,
        left: Sequence[Piece],
        right: Sequence[Piece] = (),
        targets: dict[int, str] | None = None,
    ) -> None:
        """Show these pieces; repaints only if they changed. `targets` maps a piece's index to the
        value of a click; the indexes of `right` follow those of `left`."""
        self._targets = targets or {}
        if (tuple(left), tuple(right)) != (self._left, self._right):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.look["text"])
        room = width - width_of(self._right) - 1
        left = list(self._left)
        used = width_of(left)
        if used < room:
            left.append((" " * (room - used), "text"))
            return strip_of([*left, *self._right], self.look, width)
        # Too narrow for both: the left part matters more.
        return strip_of([*left, (" ", "text"), *self._right], self.look, width)

    def on_click(self, event: events.Click) -> None:
        right = self.size.width - width_of(self._right) - 1
        pieces, position, offset = self._left, 0, 0
        if event.x >= max(right, width_of(self._left)):
            pieces, position, offset = self._right, right, len(self._left)
        for index, (text, _) in enumerate(pieces, offset):
            position += width_of([(text, "")])
            if event.x < position:
                if index in self._targets:
                    self.post_message(self.Pressed(self._targets[index]))
                return
