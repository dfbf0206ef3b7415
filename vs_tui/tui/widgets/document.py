"""A text with folds and a cursor: a delivery and its JSON body."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from textual import events
from textual.message import Message

from vs_tui.tui.bodies import DocLine
from vs_tui.tui.paint import Piece, cropped
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import Framed


class Document(Framed):
    """Lines of pieces. Folds are kept by path when the text changes."""

    class Opened(Message):
        """Enter on a line with a target."""

        def __init__(self, target: str) -> None:
            super().__init__()
            self.target = target

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[DocLine] = ()
        self.cursor = 0
        """Index of a visible line."""
        self._visible: list[int] = []
        self._chosen: dict[str, bool] = {}
        """path -> folded, for blocks that the user folded or unfolded."""

    @property
    def count(self) -> int:
        return len(self._visible)

    def show(self, lines: Sequence[DocLine], *, start: bool) -> None:
        """Show a text; `start` puts the cursor on the first line with a target."""
        if list(lines) == list(self.lines) and not start:
            return
        before, anchor = self.line, self.cursor - self.first
        self.lines = lines
        self._arrange()
        if before is not None and not start:
            self._return_to(before, anchor)
        if start:
            leads = (i for i, index in enumerate(self._visible) if lines[index].target)
            self.cursor = next(leads, 0)
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
            self.scroll_to_row(self.cursor)
        self.cursor = max(0, min(self.cursor, self.count - 1))
        self.refresh()

    def _return_to(self, before: DocLine, anchor: int) -> None:
        """Put the cursor back on its line, which may have moved."""
        name = (before.path, before.target)
        for position, index in enumerate(self._visible):
            line = self.lines[index]
            if any(name) and (line.path, line.target) == name:
                self.cursor = position
                self.scroll_to_row(position, anchor=anchor)
                return

    @property
    def line(self) -> DocLine | None:
        """The line under the cursor."""
        return self.lines[self._visible[self.cursor]] if self._visible else None

    def is_folded(self, line: DocLine) -> bool:
        return bool(line.block) and self._chosen.get(line.path, line.folds)

    def _arrange(self) -> None:
        """Compute the visible lines."""
        self._visible = []
        index = 0
        while index < len(self.lines):
            self._visible.append(index)
            line = self.lines[index]
            index += 1 + (line.block if self.is_folded(line) else 0)
        self.resized()

    def toggle(self) -> bool:
        """Fold or unfold the block of the line under the cursor; returns whether there is one."""
        line = self.line
        if line is None or not line.block:
            return False
        self._chosen[line.path] = not self.is_folded(line)
        self._arrange()
        self.refresh()
        return True

    def fold_all(self, folded: bool) -> None:
        """Fold all blocks except the outermost, or unfold all."""
        at = self._visible[self.cursor] if self._visible else 0
        for line in self.lines:
            if line.block and line.path:
                self._chosen[line.path] = folded and line.depth > 0
        self._arrange()
        # The cursor stays on its line, or moves to the line that folds it.
        before = [i for i, index in enumerate(self._visible) if index <= at]
        self.cursor = before[-1] if before else 0
        self.scroll_to_row(self.cursor)
        self.refresh()

    def move(self, step: int) -> None:
        if self._visible:
            self._put(max(0, min(self.cursor + step, self.count - 1)))

    def _put(self, index: int) -> None:
        before, self.cursor = self.cursor, index
        self.refresh_row(before)
        self.refresh_row(index)
        self.scroll_to_row(index)

    def act(self, action: str) -> bool:
        """Run an action of this widget; returns False for others."""
        if self.act_move(action):
            return True
        if action == "open":
            if self.line is not None and self.line.target:
                self.post_message(self.Opened(self.line.target))
            else:
                self.toggle()
        elif action in ("fold_body", "unfold_body"):
            self.fold_all(action == "fold_body")
        else:
            return False
        return True

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        line = self.lines[self._visible[index]]
        folded = self.is_folded(line)
        glyphs = self.look.glyphs
        mark = (glyphs.folded if folded else glyphs.open) if line.block else " "
        selected = index == self.cursor and self.has_focus
        head: list[Piece] = [
            (glyphs.cursor if selected else " ", "key"),
            ("  " * line.depth, "text"),
            (f"{mark} ", "dim"),
        ]
        pieces = line.folded_pieces if folded else line.pieces
        return _cut([*head, *pieces], width, glyphs.ellipsis), selected

    def on_focus(self) -> None:
        self.refresh_row(self.cursor)

    def on_blur(self) -> None:
        self.refresh_row(self.cursor)

    def on_click(self, event: events.Click) -> None:
        index = self.first + event.y - 1
        if 1 <= event.y <= self.rows_visible and index < self.count:
            again = index == self.cursor
            self._put(index)
            if again:
                self.act("open")


def _cut(pieces: Sequence[Piece], width: int, ellipsis: str) -> list[Piece]:
    """The pieces in at most `width` cells; a cut piece ends with an ellipsis."""
    fitting: list[Piece] = []
    used = 0
    for text, role in pieces:
        length = cell_len(text)
        if used + length > width:
            room = max(width - used - cell_len(ellipsis), 0)
            fitting.append((cropped(text, room) + ellipsis, role))
            return fitting
        fitting.append((text, role))
        used += length
    return fitting
