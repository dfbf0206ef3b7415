"""Base of views with one main list: sort, follow, next failed, selection, export."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vs_tui.model.time import Instant
from vs_tui.store.queries.reader_protocol import COUNTED, Counts
from vs_tui.tui.screens.base import View
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import CursorBox, Framed
from vs_tui.tui.widgets.listing import Listing, Row

PAGE: Final = 500
MOST: Final = 10_000
"""Most rows that are read; filter or sort to see older ones."""
_ASCENDING: Final = frozenset({"name", "source", "project", "person"})
"""Orders that start with the smallest name; others start with the largest or worst value."""
_AHEAD: Final = 100
"""Rows below the screen that are read ahead for scrolling."""


def counts_text(counts: Counts) -> str:
    """`12 of 318`; with `+` if there may be more than were counted."""
    matched = f"{counts.matched}{'+' if counts.more else ''}"
    if counts.matched >= COUNTED:
        return matched
    total = f"{counts.total}{'+' if counts.more_in_all else ''}"
    return f"{matched} of {total}"


class ListedView(View):
    """A view with a `list`. Subclasses create it in `body` and name the sort orders."""

    list: Listing
    sorts: Sequence[str] = ()
    """Names of the sort orders, the default first. A leading `-` reverses one."""

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.searched: Instant | None = None
        """Time back to which an unfinished search has read; older rows may be missing. None:
        finished."""
        self.made_of = 0
        """Number of newest rows that an order other than the default sorts, if more rows match; 0:
        all."""
        self.wanted = PAGE
        """Rows to read; grows as the cursor moves down."""
        self.asked = PAGE
        """Rows that the last read asked for."""
        self._sinking = False
        """Whether the user jumped to the last row before it was read."""
        self.sort = self.sorts[0] if self.sorts else ""

    @property
    def first_panel(self) -> Framed:
        """The box with the focus at the start."""
        return self.list

    def on_mount(self) -> None:
        self.first_panel.focus()

    def use_sort(self, sort: str) -> None:
        """Apply a remembered sort order, if it still exists."""
        if sort.removeprefix("-") in self.sorts:
            self.sort = sort

    def selection(self) -> str:
        return self.list.selected_key

    def order_note(self, first: str) -> str:
        """The sort order for the list's frame; `first` describes the default order."""
        glyphs = self.look.glyphs
        if self.searched is not None:
            return f"searching: back to {self.dash.clock_text(self.searched)}"
        name = self.sort.lstrip("-")
        is_up = (name in _ASCENDING) != self.sort.startswith("-")
        arrow = glyphs.up if is_up else glyphs.down
        if name == self.sorts[0]:
            return f"{first} {arrow}"
        return f"{name} {arrow}" + (f" of the newest {self.made_of}" if self.made_of else "")

    def show_rows(self, rows: Sequence[Row], asked: int) -> None:
        """Show the rows of a read that asked for `asked`; if the user jumped to the end, the cursor
        moves to the new end."""
        self.asked = asked
        self.list.set_rows(rows)
        if self._sinking and self.list.at_end:
            self.list.act("bottom")
        self._sinking &= asked < self.wanted

    def _follow_depth(self) -> None:
        """Read more rows when the cursor comes near the last one; back near the top, read the first
        page only."""
        read = len(self.list.rows)
        near = self.list.cursor + self.list.rows_visible + _AHEAD
        if near > read >= self.asked and self.asked == self.wanted < MOST:
            self.wanted = min(self.wanted + PAGE, MOST)
            self.start_reload()
        elif near < PAGE and not self._sinking:
            self.wanted = PAGE

    def act(self, action: str) -> bool:
        if action == "bottom" and len(self.list.rows) >= self.asked < MOST:
            self.wanted, self._sinking = MOST, True
            self.start_reload()
        if action in ("next_failed", "previous_failed"):
            if not self.list.next_failed(1 if action == "next_failed" else -1):
                self.dash.notify_text("nothing in this list has failed")
            return True
        if action == "open" and self.list.selected is None:
            self.dash.notify_text("nothing is listed that could be opened")
            return True
        if action in ("sort", "sort_reverse") and self.sorts:
            self._change_sort(action)
            return True
        if action == "follow" and self.sorts:
            self.list.follow = not self.list.follow
            self.list.set_rows(self.list.rows)
            self.dash.notify_text("following the newest" if self.list.follow else "not following")
            return True
        return self.list.act(action)

    def row_selected(self) -> None:
        """The cursor moved to another row of the list."""

    def open_row(self, key: str) -> None:
        """Open a row of the list."""

    def on_cursor_box_selected(self, message: CursorBox.Selected) -> None:
        message.stop()
        if message.box is self.list:
            self._follow_depth()
            self.row_selected()

    def on_cursor_box_opened(self, message: CursorBox.Opened) -> None:
        """Open a row of the list, or the span that another box names."""
        message.stop()
        if message.box is self.list:
            self.open_row(message.key)
        else:
            self.dash.navigation.open_span(message.key)

    def on_listing_sorted(self, message: Listing.Sorted) -> None:
        """Sort by the clicked column; a second click reverses the order."""
        message.stop()
        if message.sort == self.sort.lstrip("-"):
            self._change_sort("sort_reverse")
        else:
            self.sort = message.sort
            self.dash.remember()
            self.start_reload()

    def _change_sort(self, action: str) -> None:
        if action == "sort_reverse":
            self.sort = self.sort[1:] if self.sort.startswith("-") else f"-{self.sort}"
        else:
            position = self.sorts.index(self.sort.lstrip("-"))
            self.sort = self.sorts[(position + 1) % len(self.sorts)]
        self.dash.remember()
        self.start_reload()

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return [column.title for column in self.list.columns], self.list.texts()
