"""A box of read-only lines: details, JSON bodies, help."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.model.display import clean
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.widgets.framed import Framed


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


def field(name: str, value: str, width: int = 400, role: str = "text") -> list[Piece]:
    """A `name value` line."""
    return [(f"{name:<14} ", "dim"), (fit(value, min(len(value) * 2 + 1, width)).rstrip(), role)]


def fact(name: str, value: str, role: str = "text") -> list[Piece]:
    """`name value` without padding, to place beside others."""
    return [(f"{clean(name, 100)} ", "dim"), (clean(value, 400), role)]
