"""The box of the first page: the cursor selects lines with a text to copy."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.tui.first_minute import Line
from vs_tui.tui.paint import Piece, cut
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import Framed


class FirstMinute(Framed):
    """Shows a page; `chosen` is the line under the cursor."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[Line] = ()
        self.cursor = -1

    @property
    def count(self) -> int:
        return len(self.lines)

    @property
    def chosen(self) -> Line:
        return self.lines[self.cursor] if 0 <= self.cursor < self.count else Line()

    def show(self, lines: Sequence[Line]) -> None:
        """Replace the lines; the cursor stays on the line with the same text to copy, else on the
        nearest one."""
        if lines == self.lines:
            return
        before, at = self.chosen.copies, self.cursor
        self.lines = lines
        usable = self._usable()
        same = [n for n in usable if lines[n].copies == before]
        close = sorted(same or usable, key=lambda n: abs(n - at))
        self.cursor = close[0] if close else -1
        self.resized()
        self.refresh()

    def _usable(self) -> list[int]:
        return [n for n, line in enumerate(self.lines) if line.copies[1]]

    def move(self, step: int) -> None:
        usable = self._usable()
        if not usable:
            return
        place = usable.index(self.cursor) if self.cursor in usable else 0
        self.cursor = usable[max(0, min(place + step, len(usable) - 1))]
        self.scroll_to_row(self.cursor)
        self.refresh()

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        selected = index == self.cursor
        mark = self.look.glyphs.cursor if selected else " "
        pieces = cut(self.lines[index].pieces, width - 1, self.look.glyphs.ellipsis)
        return [(mark, "key"), *pieces], selected
