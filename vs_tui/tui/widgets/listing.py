"""A list whose selection follows the row's key through every change, and that repaints only changed
lines.

Textual's DataTable keeps the row's index, so after a sort Enter opens another row (k9s #334), and
repaints everything for one cell (7.5 % of a core at 1 Hz; this list 1.3 %).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from textual.message import Message

from vs_tui.tui.paint import Piece, cut, fit
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import CursorBox

LEAST_WITH_STICKY: Final = 8
"""Fewest visible rows of a list in which headings stay in sight."""
READING: Final = ("reading\u2026",)
MAX_SHOWN: Final = 2_000
"""Most painted rows kept for comparison."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column. Columns with `flex` share the remaining width; on a narrow screen `rank` decides
    which columns are left out."""

    title: str
    width: int
    flex: int = 0
    right: bool = False
    rank: int = 0
    """0: always shown; the highest rank is left out first."""
    wish: int = 0
    """Wanted cells. Columns without `flex` share at most half of the width that remains after the
    wishes of columns with `flex`."""
    sort: str = ""
    """Sort order of a click on the title."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: its key, and a (text, role) per column or the data to make them from."""

    key: str
    cells: tuple[Piece, ...] = ()
    failed: bool = False
    data: object = field(default=None, compare=False)
    whole: bool = False
    """Whether the pieces fill the whole line, as in a heading, instead of columns."""
    still: bool = False
    """Whether the cursor skips the row."""
    heads: bool = False
    """Whether the row stays in sight while those that follow it scroll, up to the next such row."""
    pinned: bool = False
    """Whether the row stays in sight however far the list is scrolled."""


Describe = Callable[[Row], tuple[Piece, ...]]
"""Makes the cells of a row when it is painted, so that only visible rows cost time."""


class Listing(CursorBox):
    """A list of rows."""

    class Sorted(Message):
        """A click on the title of a sortable column."""

        def __init__(self, sort: str) -> None:
            super().__init__()
            self.sort = sort

    def __init__(self, look: Look, columns: Sequence[Column], *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.columns = tuple(columns)
        self.head_lines = 1
        self.rows: list[Row] = []
        self.empty: tuple[str, ...] = READING
        """Text to show without rows."""
        self.follow = False
        self.touched = False
        """Whether the user moved the cursor, other than to the top."""
        self.at_end = False
        """Whether the last move was to the end."""
        self.describe: Describe = lambda row: row.cells
        self._heads: list[int] = []
        self._pinned: list[int] = []
        self._shown: dict[int, tuple[str, tuple[Piece, ...]]] = {}
        """Index -> content painted last."""
        self._widths: tuple[int, list[tuple[int, int]]] = (-1, [])

    @property
    def count(self) -> int:
        return len(self.rows) or len(self.empty)

    @property
    def is_unread(self) -> bool:
        """Whether no rows were read yet, so that their number is unknown."""
        return self.empty is READING and not self.rows

    @property
    def selected(self) -> Row | None:
        return self.rows[self.cursor] if self.has_selection else None

    def is_choosable(self, index: int) -> bool:
        return not self.rows[index].still

    def set_columns(self, columns: Sequence[Column]) -> None:
        if tuple(columns) != self.columns:
            self.columns = tuple(columns)
            self._widths = (-1, [])
            self.refresh()

    def set_rows(self, rows: Sequence[Row], *, home: int = 0) -> None:
        """Show these rows. The cursor stays on its key and at its place on the screen; if the row
        is gone, it stays at its index. Only changed lines are repainted.

        Until the user moves the cursor, and after `g`, the list stays at its top to show new rows;
        a cursor pushed out of sight returns to the row `home`.
        """
        had, before, anchor = len(self.rows), self.selected_key, self.cursor - self.first
        self.rows = list(rows)
        self._heads = [index for index, row in enumerate(rows) if row.heads]
        self._pinned = [index for index, row in enumerate(rows) if row.pinned]
        self.set_keys(row.key for row in rows)
        pushed_out = not self.touched and self.size and self.cursor >= self.rows_visible
        top = self.choosable_from(home, 1)
        if top is not None and (self.follow or pushed_out):
            self.selected_key = self.keys[top]
        if had != len(self.rows):
            self.resized()
        first = self.first
        if not self.touched:
            self.scroll_to_row(0)
        elif self.rows and 0 <= anchor < self.rows_visible:
            self.scroll_to_row(self.cursor, anchor=min(anchor, self.cursor))
        if first != self.first or not had or not self.rows:
            self.refresh()
        else:
            self.refresh_changed()
        if before != self.selected_key:
            self.post_message(self.Selected(self, self.selected_key))

    def refresh_changed(self) -> None:
        """Repaint the visible rows whose content changed."""
        for index in map(self.row_at, range(self.rows_visible)):
            if self._shown.get(index) != self._look_of(index):
                self._shown.pop(index, None)
                self.refresh_row(index)

    @property
    def sticky(self) -> Sequence[int]:
        if not self.first or self.rows_visible < LEAST_WITH_STICKY:
            return ()
        pinned = [index for index in self._pinned if index < self.first]
        follows = self.first + len(pinned)
        above = bisect_right(self._heads, follows)
        heading = self._heads[above - 1 : above] if above else []
        return [*pinned, *(index for index in heading if index < follows)]

    def _look_of(self, index: int) -> tuple[str, tuple[Piece, ...]] | None:
        if not 0 <= index < len(self.rows):
            return None
        row = self.rows[index]
        sign = self.look.glyphs.cursor if row.key == self.selected_key else " "
        return sign, self.describe(row)

    def texts(self) -> list[list[str]]:
        """The cells of all rows, as text."""
        return [[text for text, _ in self.describe(row)] for row in self.rows if not row.whole]

    def go_to(self, index: int) -> None:
        self.follow, self.touched, self.at_end = False, True, False
        super().go_to(index)

    def select(self, key: str) -> None:
        """Put the cursor on a key if it exists; ends following the newest row."""
        if self.keys:
            self.go_to(self._places.get(key, self.cursor))

    def next_failed(self, step: int) -> bool:
        """Go to the next failed row, wrapping around; returns whether there is one."""
        return self.go_to_next(lambda index: self.rows[index].failed, step)

    def act(self, action: str) -> bool:
        if self.act_move(action):
            self.touched, self.at_end = action != "top", action == "bottom"
            return True
        return super().act(action)

    def open_row(self) -> None:
        self.touched = True
        super().open_row()

    def layout_for(self, width: int) -> list[tuple[int, int]]:
        """(column index, width) of the columns that fit; the highest ranks are left out first."""
        if self._widths[0] == width:
            return self._widths[1]
        chosen = list(range(len(self.columns)))

        def needed() -> int:
            return sum(self.columns[i].width + 1 for i in chosen) + 1

        while needed() > width and any(self.columns[i].rank for i in chosen):
            chosen.remove(max(chosen, key=lambda i: (self.columns[i].rank, i)))
        room = max(width - needed(), 0)
        granted = dict.fromkeys(chosen, 0)
        first = sum(max(c.wish - c.width, 0) for c in (self.columns[i] for i in chosen) if c.flex)
        for i in chosen:
            if not self.columns[i].flex:
                left = max(room - first, 0) // 2 - sum(granted.values())
                granted[i] = max(min(self.columns[i].wish - self.columns[i].width, left), 0)
        room -= sum(granted.values())
        shares = sum(self.columns[i].flex for i in chosen) or 1
        result = [
            (i, self.columns[i].width + granted[i] + room * self.columns[i].flex // shares)
            for i in chosen
        ]
        self._widths = (width, result)
        return result

    def cells_of(self, title: str) -> int:
        """Cells of the column whose title begins so; 0 if it is left out."""
        widths = dict(self.layout_for(self.size.width - 2))
        wanted = (n for n, column in enumerate(self.columns) if column.title.startswith(title))
        return widths.get(next(wanted, -1), 0)

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        pieces: list[Piece] = [(" ", "dim")]
        for index, cells in self.layout_for(width):
            column = self.columns[index]
            pieces.append((fit(column.title, cells, right=column.right) + " ", "dim"))
        return pieces

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        if not self.rows:
            return [(f" {self.empty[index]}", "dim")], False
        shown = self._look_of(index)
        assert shown is not None
        if len(self._shown) > MAX_SHOWN:
            self._shown.clear()
        self._shown[index] = shown
        sign, described = shown
        pieces: list[Piece] = [(sign, "key")]
        ellipsis = self.look.glyphs.ellipsis
        if self.rows[index].whole:
            return [*pieces, *cut(described, width - 1, ellipsis)], sign != " "
        for position, cells in self.layout_for(width):
            text, role = described[position]
            right = self.columns[position].right
            pieces.append((fit(text, cells, right=right, ellipsis=ellipsis) + " ", role))
        return pieces, sign != " "

    def click_head(self, x: int, y: int) -> None:
        end = 1
        for index, cells in self.layout_for(self.size.width - 2):
            end += cells + 1
            if x < end:
                if self.columns[index].sort:
                    self.post_message(self.Sorted(self.columns[index].sort))
                return
