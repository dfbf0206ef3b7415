"""A text with folds and a cursor: a delivery and its JSON body."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from vs_tui.tui.bodies import DocLine
from vs_tui.tui.paint import Piece, cut
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import CursorBox


class Document(CursorBox):
    """Lines of pieces. Folds are kept by path when the text changes. Only a line with a target can
    be opened."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.lines: Sequence[DocLine] = ()
        self._visible: list[int] = []
        self._chosen: dict[str, bool] = {}
        """path -> folded, for blocks that the user folded or unfolded."""

    @property
    def count(self) -> int:
        return len(self._visible)

    @property
    def line(self) -> DocLine | None:
        """The line under the cursor."""
        return self.lines[self._visible[self.cursor]] if self._visible else None

    def show(self, lines: Sequence[DocLine], *, start: bool) -> None:
        """Show a text; `start` puts the cursor on the first line with a target."""
        if list(lines) == list(self.lines) and not start:
            return
        anchor = self.cursor - self.first
        self.lines = lines
        self._arrange()
        if start:
            leads = (n for n, index in enumerate(self._visible) if lines[index].target)
            self.selected_key = self.keys[next(leads, 0)] if self.keys else ""
            self.scroll_to(y=0, animate=False, force=True, immediate=True)
        self.scroll_to_row(self.cursor, anchor=None if start else anchor)
        self.refresh()

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
        seen: Counter[tuple[str, str]] = Counter()  # members of an object may share a name
        keys = []
        for index in self._visible:
            name = (self.lines[index].path, self.lines[index].target)
            seen[name] += 1
            keys.append(f"{name} {seen[name]}")
        self.set_keys(keys)
        self.resized()

    def toggle(self) -> None:
        """Fold or unfold the block of the line under the cursor."""
        line = self.line
        if line is not None and line.block:
            self._chosen[line.path] = not self.is_folded(line)
            self._arrange()
            self.refresh()

    def fold_all(self, folded: bool) -> None:
        """Fold all blocks except the outermost, or unfold all."""
        at = self._visible[self.cursor] if self._visible else 0
        for line in self.lines:
            if line.block and line.path:
                self._chosen[line.path] = folded and line.depth > 0
        self._arrange()
        # The cursor stays on its line, or moves to the line that folds it.
        before = [n for n, index in enumerate(self._visible) if index <= at]
        self.selected_key = self.keys[before[-1]] if before else ""
        self.scroll_to_row(self.cursor)
        self.refresh()

    def open_row(self) -> None:
        """Open the target of the line, or fold its block."""
        line = self.line
        if line is not None and line.target:
            self.post_message(self.Opened(self, line.target))
        else:
            self.toggle()

    def act(self, action: str) -> bool:
        if action in ("fold_body", "unfold_body"):
            self.fold_all(action == "fold_body")
            return True
        return super().act(action) or action == "open"

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
        return cut([*head, *pieces], width, glyphs.ellipsis), selected

    def on_focus(self) -> None:
        self.refresh_row(self.cursor)

    def on_blur(self) -> None:
        self.refresh_row(self.cursor)
