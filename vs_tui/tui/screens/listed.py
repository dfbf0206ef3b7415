"""Bases of views with one main list: sort, follow, next failed, selection, export; and of both
forms of Live, with metrics beside the list and the selected trace below it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from vs_tui.model.time import SECOND, Instant
from vs_tui.store.queries.reader_protocol import COUNTED, Counts
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import DoraPanel
from vs_tui.tui.widgets.framed import CursorBox, Framed
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.waterfall import Waterfall

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card

Item = TypeVar("Item")
PAGE: Final = 500
MOST: Final = 10_000
"""Most rows that are read; filter or sort to see older ones."""
_ASCENDING: Final = frozenset({"name", "source", "project", "person"})
"""Orders that start with the smallest name; others start with the largest or worst value."""
_CARDS_AGE: Final = 10 * SECOND
"""How long the metrics beside a list stay valid."""
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
    """A view with a `list`. Subclasses yield it in `body`, make the cells of a row, and name the
    sort orders."""

    columns: Sequence[Column] = ()
    sorts: Sequence[str] = ()
    """Names of the sort orders, the default first. A leading `-` reverses one."""
    orders: Mapping[str, Callable[[Any, Instant], Any]] = MappingProxyType({})
    """Sort order -> (row's data, now) -> sort key, for orders that the read does not make."""
    nothing_failed = "nothing in this list has failed"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.list = Listing(look, self.columns, id="list")
        self.list.describe = self.cells
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
        if not self.first_panel.heading:
            self.first_panel.set_heading([(self.title_text, "title")])

    def use_sort(self, sort: str) -> None:
        """Apply a remembered sort order, if it still exists."""
        if sort.removeprefix("-") in self.sorts:
            self.sort = sort

    def selection(self) -> str:
        return self.list.selected_key

    def cells(self, row: Row) -> tuple[Piece, ...]:
        """The cells of a row."""
        return row.cells

    def ordered(self, items: Iterable[Item]) -> Sequence[Item]:
        """The items in the chosen order; equal ones stay in the order of the read."""
        order, now = self.orders.get(self.sort.lstrip("-")), self.dash.now()
        found = sorted(items, key=lambda item: order(item, now)) if order else [*items]
        return found[::-1] if self.sort.startswith("-") else found

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
        self.show_problem("")
        if not rows:
            self.list.empty = self.dash.empty_text(bool(self.filter_text))
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
                self.dash.notify_text(self.nothing_failed)
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

    def open_beside(self, key: str) -> None:
        """Open the row of another box."""
        self.dash.navigation.open_span(key)

    def on_cursor_box_selected(self, message: CursorBox.Selected) -> None:
        message.stop()
        if message.box is self.list:
            self._follow_depth()
            self.row_selected()

    def on_cursor_box_opened(self, message: CursorBox.Opened) -> None:
        message.stop()
        if message.box is self.list:
            self.open_row(message.key)
        else:
            self.open_beside(message.key)

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
        titles = [column.title for column in self.list.columns]
        return titles, [row[: len(titles)] for row in self.list.texts()]


class WorkView(ListedView):
    """Live: a list of work, the metrics beside it, and below it the trace of the selected row."""

    filterable = True
    title_text = "Live"

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.dora = DoraPanel(look, id="dora-side")
        self.trace = Waterfall(look, id="trace")
        self._carded: tuple[str, str, Instant | None] = ("", "", None)
        self._cards_until: Instant = 0

    def on_mount(self) -> None:
        self.trace.zone = self.dash.zone

    @property
    def has_cards(self) -> bool:
        """Whether metrics are visible."""
        return bool(self.dora.display)

    def show_cards(self, cards: Sequence[Card], range_name: str) -> None:
        self.dora.show(cards, range_name, self.dash.worded("{dora}: all of it"))

    async def load_cards(self) -> None:
        """Read the metrics, at most once per `_CARDS_AGE`, because they change slowly."""
        dash = self.dash
        name, now = dash.metrics_range_name, dash.setup.clock()
        asked = (dash.team, name, dash.frozen_at)
        if not self.has_cards or (asked == self._carded and now < self._cards_until):
            return
        self.show_cards(await dash.cards(), name)
        self._carded, self._cards_until = asked, now + _CARDS_AGE
        # Read once more later, so that the last events are included when no more come.
        self.set_timer(_CARDS_AGE / SECOND, self._read_cards_again)

    def _read_cards_again(self) -> None:
        if self.is_current and self.complete:
            start(self, self.load_cards, "cards", exclusive=True)

    async def load_trace(self) -> None:
        """Read and show the trace of the selected row."""

    def row_selected(self) -> None:
        start(self, self.load_trace, "trace", exclusive=True)

    def open_beside(self, key: str) -> None:
        # Waits and expected steps are rows of the trace, too, but no spans.
        if self.trace.trace is not None:
            self.dash.navigation.open_trace(self.trace.trace.trace_id, key)

    def act(self, action: str) -> bool:
        if isinstance(self.focused, Waterfall) and self.focused.act(action):
            return True
        if self.focused is self.dora and (self.dora.act(action) or action == "open"):
            if action == "open":
                self.dash.do("dora")
            return True
        return super().act(action)

    def on_dora_panel_opened(self, message: DoraPanel.Opened) -> None:
        message.stop()
        self.dash.do("dora")
