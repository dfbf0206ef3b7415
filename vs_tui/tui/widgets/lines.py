"""One-line widgets: header, tabs, footer, banner. They repaint only when their text changes."""

from __future__ import annotations

from collections.abc import Sequence

from textual import events
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from vs_tui.tui.paint import Piece, strip_of, width_of
from vs_tui.tui.theme import Look


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
