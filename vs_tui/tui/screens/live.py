"""Live: all open work, its current step and the people who act next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from textual.containers import Horizontal
from textual.widget import Widget

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.traces.board import ORDERS, ordered
from vs_tui.traces.next_action import Section
from vs_tui.tui import filtering, trace_format
from vs_tui.tui.screens.board_rows import HEAD, WIDE, WIDE_FROM, BoardRows
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import DoraStrip
from vs_tui.tui.widgets.framed import Framed
from vs_tui.tui.widgets.listing import Row

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
    from vs_tui.tui.screens.first_page import FirstPage

LEAST_TRACE: Final = 8
TRACE_ON_A_HIGH_SCREEN: Final = 14
LIST_FRAME: Final = 3
"""Lines of the list's box other than its rows."""
BOARD_KEYS: Final = ("open", "unfold", "by_trace", "filter", "next_section", "team", "sort",
                     "next_failed", "freeze", "watch", "palette")  # fmt: skip
FIRST_KEYS: Final = ("open", "next_tool", "copy_secret", "reveal", "events", "sources", "palette")


class LiveView(BoardRows):
    """Live by trace, the first screen."""

    tab = "live"
    columns = WIDE
    sorts = ORDERS
    DEFAULT_CSS = """
    LiveView #upper { height: 1fr; }
    LiveView #dora-side { width: 41; display: none; }
    LiveView.-broad #dora-side { display: block; }
    LiveView #dora-strip { height: auto; }
    LiveView.-broad #dora-strip { display: none; }
    LiveView #trace { display: none; }
    LiveView.-high #example { display: block; }
    LiveView.-tall #requests { display: block; }
    LiveView.-first #upper, LiveView.-first #dora-strip { display: none; }
    """

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self._asked_for_first = False
        """Whether the user opened the first page although there are rows."""
        self.strip = DoraStrip(look, id="dora-strip")
        self.first: FirstPage | None = None
        """The first page, once it was shown."""
        self._received = False
        """Whether there was a row; the first page then no longer opens by itself."""

    @property
    def offered(self) -> Sequence[str]:  # type: ignore[override]
        if self.where == "first":
            return FIRST_KEYS
        return BOARD_KEYS

    @property
    def words(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"open": "do it"} if self.where == "first" else {}

    @property
    def where(self) -> str:  # type: ignore[override]
        return "first" if self.has_class("-first") else "board"

    def body(self) -> Iterable[Widget]:
        self.upper = Horizontal(self.list, self.dora, id="upper")
        yield self.upper
        yield self.trace
        yield self.strip

    async def load(self) -> None:
        dash = self.dash
        wanted = filtering.effective(self.filter_text, dash.team, "")
        found = await dash.reader.board(wanted, at=dash.frozen_at)
        self.take(found)
        if dash.frozen_at is None or dash.travelled:
            dash.totals = found.everything
        self.unfolded &= self._rows.keys()
        self._details = {key: self._details[key] for key in self._details.keys() & self.unfolded}
        for trace_id in self.unfolded:
            await self._read_details(trace_id)
        self.show_problem("")
        await self._show_first_page()
        self._show()
        await self.load_trace()
        if self._cards_until:
            await self.load_cards()
        else:  # the first rows do not wait for the metrics
            self.call_after_refresh(start, self, self.load_cards, "cards", exclusive=True)

    @property
    def on_first_page(self) -> bool:
        """Whether the first page is shown instead of the list."""
        return self.first is not None and bool(self.first.display)

    async def _show_first_page(self) -> None:
        """Show the first page until there is a row, or while the user has opened it."""
        board = self.board
        any_row = board is None or any(board.everything.sections.values())
        empty = not any_row and not self.filter_text
        self._received = self._received or not empty
        wanted = empty and not self._received and self.dash.frozen_at is None
        if wanted or self._asked_for_first:
            if self.first is None:
                from vs_tui.tui.screens.first_page import FirstPage

                self.first = FirstPage(self.look, self.dash)
                await self.mount(self.first, before=self.upper)
            self.set_class(True, "-first")
            await self.first.open()
        elif self.on_first_page:
            self._leave_first_page()

    def _leave_first_page(self) -> None:
        assert self.first is not None
        self.first.display, self._asked_for_first = False, False
        self.set_class(False, "-first")
        self.list.focus()

    async def _read_details(self, trace_id: str) -> None:
        trace = await self.dash.trace(trace_id, learn=True)
        if trace is not None:
            self._details[trace_id] = trace

    @property
    def has_cards(self) -> bool:
        return True

    def show_cards(self, cards: Sequence[Card], range_name: str) -> None:
        super().show_cards(cards, range_name)
        self.strip.show(cards, range_name, 4 if self.size.height >= 32 else 2)

    async def load_trace(self) -> None:
        """Show the waterfall of the selected trace, if the screen is high enough."""
        shown = self.trace.trace.trace_id if self.trace.trace is not None else ""
        row = self._selected_row() or self._rows.get(shown)  # a heading keeps the trace shown last
        if not self.trace.display or row is None:
            return
        trace = await self.dash.trace(row.trace_id, learn=True)
        if trace is None:
            return
        self.trace.show(trace, self.dash.baselines, self.dash.now(), self.dash.histories.runs)
        self.trace.set_heading([("Trace ", "title"), (trace_format.title(row), "text")])

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def on_framed_width_changed(self, changed: Framed.WidthChanged) -> None:
        if changed.box is self.list:
            self._show()

    # Rows.

    def _show(self) -> None:
        if self.board is None:
            return
        board, now = self.board, self.dash.now()
        wide = self.list.size.width >= WIDE_FROM - 2
        listed = ordered(board.rows, self.sort, now)
        rows = self._lines(listed, board.matched, now)
        self.list.set_columns(self._columns(wide, rows))
        if not board.rows:
            rows = []
            self.list.empty = self._empty()
        elif board.terms:  # no match; only incidents, which no filter hides
            said = [Row(f"{HEAD}{n}", whole=True, data=t) for n, t in enumerate(self._empty())]
            rows = [*(row for row in rows if not row.key.startswith(HEAD)), *said]
        self._tell_where_it_went()
        home = next((index for index, row in enumerate(rows) if row.key in self._rows), 0)
        if rows and not self.list.touched and self.list.selected_key not in self._rows:
            self.list.selected_key = rows[home].key
        self.list.set_rows(rows, home=home)
        self._share_height(len(rows))
        back = self.dash.worded("{by_trace}: by span")
        order = "" if self.sort == self.sorts[0] else f"  {self.order_note('state')}"
        self.list.set_heading([("Traces", "title")], f"{back}{order}")
        self._show_foot()

    @property
    def is_high(self) -> bool:
        return self.has_class("-high")

    def _share_height(self, rows: int) -> None:
        """Divide the height. The list gets the lines it needs if at least `LEAST_TRACE` remain for
        the trace below; a high screen always shows the trace."""
        before, wanted = self.trace.display, rows + LIST_FRAME
        total = self.upper.outer_size.height + (self.trace.outer_size.height if before else 0)
        fits = total - wanted >= (TRACE_ON_A_HIGH_SCREEN if self.is_high else LEAST_TRACE)
        any_trace = any(row.key in self._rows for row in self.list.rows)
        shown = any_trace and (fits or self.is_high) and not self.on_first_page
        self.upper.styles.height = wanted if shown and fits else "1fr"
        self.trace.styles.height = "1fr" if fits else TRACE_ON_A_HIGH_SCREEN
        self.trace.display = shown
        if shown and not before:
            start(self, self.load_trace, "trace", exclusive=True)

    def tick(self, now: Instant) -> None:
        self.list.refresh_changed()
        if self.trace.display:
            self.trace.tick(now)

    # For other modules.

    def matched_text(self) -> str:
        if self.board is None:
            return "-"
        found, everything = self.board.matched, self.board.everything
        idle = everything.of(Section.NOT_STARTED)
        words = " not started" if self.size.width >= WIDE_FROM else ""
        more = f" + {idle}{words}" if idle else ""
        if found.listed == everything.listed and not self.filter_text:
            return f"{everything.open} open{more}"
        ended = found.of(Section.FINISHED)
        more = (f" + {ended} finished" if ended else "") + more
        return f"{found.open} of {everything.open} open{more}"

    def listed_spans(self) -> Iterable[Span]:
        return [row.root for row in self._rows.values()]

    def selection(self) -> str:
        row = self._selected_row()
        if row is None:
            return ""
        line = self.list.selected
        if line is not None and isinstance(line.data, tuple) and line.data[2]:
            return str(line.data[2])
        step = row.action.step
        return step.key if step is not None else row.root.key

    def act(self, action: str) -> bool:
        if action == "first_page":
            if self.on_first_page and self._asked_for_first:
                self._leave_first_page()
            else:
                self._asked_for_first = True
                self.dash.reload_view()
            return True
        if self.first is not None and self.on_first_page:
            return self.first.act(action)
        if action in ("next_section", "previous_section"):
            self._jump(1 if action == "next_section" else -1)
            return True
        if action == "unfold":
            self._toggle(self.list.selected_key)
            return True
        if action == "why_next":
            row = self._selected_row()
            told = row.action.why if row is not None else ""
            self.dash.notify_text(f"{row.action.rule}: {told}" if row and told else "no trace here")
            return True
        if action == "follow":
            self.dash.notify_text(
                self.dash.worded("rows stand by state here; {by_trace} lists spans, newest first")
            )
            return True
        if action == "open" and self.list.selected_key.startswith(HEAD):
            self._toggle(self.list.selected_key)
            return True
        return super().act(action)

    def conceal(self) -> None:
        if self.first is not None and self.first.secret.shown:
            self.first.conceal()

    def texts(self) -> Sequence[tuple[str, str]]:
        if self.first is None or not self.on_first_page or not self.first.steps.chosen.copies[1]:
            return ()
        return [self.first.steps.chosen.copies]

    def _jump(self, step: int) -> None:
        heads = [n for n, row in enumerate(self.list.rows) if row.heads]
        here = self.list.cursor
        ahead = [n for n in heads if (n > here if step > 0 else n < here)]
        if ahead:
            self.list.select(self.list.rows[min(ahead) if step > 0 else max(ahead)].key)

    def _toggle(self, key: str) -> None:
        """Fold or unfold a section, the quiet rows, or a trace."""
        name = key.removeprefix(HEAD)
        if key.startswith(HEAD):
            if name == "quiet":
                self.opened_quiet = not self.opened_quiet
            elif name == "history":
                self.dash.do("traces")
            else:
                self.folded ^= {name}
            self._show()
            return
        trace_id = key.partition("/")[0]
        if trace_id in self.unfolded:
            self.unfolded.discard(trace_id)
            self.list.select(trace_id)
            self._show()
        elif trace_id in self._rows:
            self.unfolded.add(trace_id)

            async def read() -> None:
                await self._read_details(trace_id)
                self._show()

            start(self, read, "unfold")

    def row_selected(self) -> None:
        self._show_foot()
        super().row_selected()

    def open_row(self, key: str) -> None:
        row = self._selected_row()
        if row is None:
            self._toggle(key)
        else:
            self.dash.navigation.open_trace(row.trace_id, self.selection())
