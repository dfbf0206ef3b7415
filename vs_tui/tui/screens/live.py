"""Live: every piece of work that is open, where it stands and who acts next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from textual.containers import Horizontal
from textual.widget import Widget

from vs_tui.model.time import SECOND, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.reader_protocol import Trace
from vs_tui.traces.board import ORDERS, Board, Totals, ordered
from vs_tui.traces.next_action import Section
from vs_tui.traces.standing import Standing
from vs_tui.tui import filtering, trace_rows
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.first_minute import FirstPage
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import DoraPanel, DoraStrip
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.waterfall import Waterfall
from vs_tui.tui.workers import start

WIDE_FROM: Final = 100
WIDE: Final = (
    Column("", 1),
    Column("PROJECT", 9, sort="project"),
    Column("WHAT", 14, flex=1, sort="name"),
    Column("iss", 3),
    Column("pr", 2),
    Column("rev", 3),
    Column("ci", 6),
    Column("stg", 4),
    Column("prod", 4),
    Column("NOW, AND WHO ACTS NEXT", 29, sort="person"),
    Column("vs USUAL", 10, sort="over"),
    Column("AGE", 7, right=True),
    Column("TEAM", 4, wish=8),
)
NARROW: Final = (
    Column("", 1),
    Column("WHAT", 12, flex=1, sort="name"),
    *(Column(name, cells) for name, cells in (("i", 1), ("p", 1), ("r", 1), ("ci", 4))),
    *(Column(name, 2) for name in ("s", "p")),
    Column("NOW, AND WHO NEXT", 22, sort="person"),
    Column("USUAL", 7, sort="over"),
)
MOST_FINISHED: Final = 8
MOST_INCIDENTS: Final = 3
_CARDS_AGE: Final = 10 * SECOND
_HEAD: Final = "section:"
BOARD_KEYS: Final = ("open", "unfold", "by_trace", "filter", "next_section", "team", "sort",
                     "next_failed", "freeze", "watch", "palette")  # fmt: skip
FIRST_KEYS: Final = ("open", "next_tool", "copy_secret", "reveal", "events", "sources", "palette")


class LiveView(ListedView):
    """The first screen."""

    tab = "live"
    title_text = "Live"
    filterable = True
    sorts = ORDERS
    DEFAULT_CSS = """
    LiveView #upper { height: 1fr; }
    LiveView #dora-side { width: 41; display: none; }
    LiveView.-broad #dora-side { display: block; }
    LiveView #dora-strip { height: auto; }
    LiveView.-broad #dora-strip { display: none; }
    LiveView #trace { height: 14; display: none; }
    LiveView.-high #trace { display: block; }
    LiveView.-high #example { display: block; }
    LiveView.-tall #requests { display: block; }
    LiveView.-first #upper, LiveView.-first #dora-strip, LiveView.-first #trace { display: none; }
    """

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.board: Board | None = None
        self.unfolded: set[str] = set()
        self.folded: set[str] = {Section.NOT_STARTED.value}
        self.opened_quiet = False
        self._asked_for_first = False
        """Whether the first page was asked for although there are rows."""
        self._rows: dict[str, Standing] = {}
        self._details: dict[str, Trace] = {}
        self._carded: tuple[str, Instant | None] = ("", None)
        self._cards_until: Instant = 0
        self._sections: dict[str, str] = {}
        """Trace -> section at the last reading, to say where the selected row went."""

    @property
    def offered(self) -> Sequence[str]:  # type: ignore[override]
        if self.where == "first":
            return FIRST_KEYS
        return BOARD_KEYS

    @property
    def words(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"open": "copy it"} if self.where == "first" else {}

    @property
    def where(self) -> str:  # type: ignore[override]
        return "first" if self.has_class("-first") else "board"

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, WIDE, id="list")
        self.list.describe = self._describe
        self.dora = DoraPanel(self.look, id="dora-side")
        self.strip = DoraStrip(self.look, id="dora-strip")
        self.trace = Waterfall(self.look, id="trace")
        self.trace.zone = self.dash.zone
        self.first = FirstPage(self.look, self.dash)
        yield self.first
        yield Horizontal(self.list, self.dora, id="upper")
        yield self.trace
        yield self.strip

    async def load(self) -> None:
        dash = self.dash
        wanted = filtering.effective(self.filter_text, dash.team, "")
        found = await dash.reader.board(wanted, at=dash.frozen_at)
        self.board = found
        self._rows = {row.trace_id: row for row in found.rows}
        if dash.frozen_at is None or dash.travelled:
            dash.totals = found.everything
        self.unfolded &= self._rows.keys()
        for trace_id in self.unfolded:
            await self._read_details(trace_id)
        self.show_problem("")
        await self._show_first_page()
        self._show()
        await self._load_trace()
        if self._cards_until:
            await self._load_cards()
        else:  # the first rows do not wait for the metrics
            self.call_after_refresh(start, self, self._load_cards, "cards", exclusive=True)

    async def _show_first_page(self) -> None:
        """While no row was ever there: what to do, and the requests as they come."""
        board = self.board
        empty = board is not None and not board.everything.listed and not self.filter_text
        if not empty:
            self.first.dismissed = True
        wanted = empty and not self.first.dismissed and self.dash.frozen_at is None
        if wanted or (self.first.display and self._asked_for_first):
            self.set_class(True, "-first")
            await self.first.open()
        elif self.first.display:
            self._leave_first_page()

    def _leave_first_page(self) -> None:
        self.first.display, self._asked_for_first = False, False
        self.set_class(False, "-first")
        self.list.focus()

    async def _read_details(self, trace_id: str) -> None:
        trace = await self.dash.trace(trace_id)
        if trace is not None:
            await self.dash.learn([span for span in trace.spans if span.in_flight])
            await self.dash.histories.learn(trace.spans)
            self._details[trace_id] = trace

    async def _load_cards(self) -> None:
        """Metrics of days do not change by the second: read again after some."""
        dash = self.dash
        asked, now = (dash.team, dash.frozen_at), dash.setup.clock()
        if asked == self._carded and now < self._cards_until:
            return
        cards = await dash.cards()
        self.dora.show(cards, dash.range_name, dash.worded("{dora}: all of it"))
        self.strip.show(cards, dash.range_name, 4 if self.size.height >= 32 else 2)
        self._carded, self._cards_until = asked, now + _CARDS_AGE
        # When events stop, what was read too early for the last of them is read once more.
        self.set_timer(_CARDS_AGE / SECOND, self._read_cards_again)

    def _read_cards_again(self) -> None:
        if self.is_current and self.complete:
            start(self, self._load_cards, "cards", exclusive=True)

    async def _load_trace(self) -> None:
        """The waterfall of the selected trace, where the screen is high enough."""
        row = self._selected_row()
        if not self.trace.display or row is None:
            return
        trace = await self.dash.trace(row.trace_id)
        if trace is None:
            return
        await self.dash.learn(trace.spans)
        await self.dash.histories.learn(trace.spans)
        self.trace.show(trace, self.dash.baselines, self.dash.now(), self.dash.histories.runs)
        self.trace.set_heading([("Trace ", "title"), (trace_rows.title(row), "text")])

    def on_resize(self) -> None:
        if self.board is not None:
            self.call_after_refresh(self._show)

    # Rows.

    def _show(self) -> None:
        if self.board is None:
            return
        board, now = self.board, self.dash.now()
        wide = self.list.size.width >= WIDE_FROM - 2
        self.list.set_columns(self._columns(wide))
        listed = ordered(board.rows, self.sort, now)
        rows = self._lines(listed, board.matched, now)
        if not board.rows:
            rows = []
            self.list.empty = self._empty()
        elif board.terms:  # incidents only, which no filter hides
            said = [Row(f"{_HEAD}{n}", whole=True, data=t) for n, t in enumerate(self._empty())]
            rows = [*(row for row in rows if not row.key.startswith(_HEAD)), *said]
        self._tell_where_it_went()
        if not self.list.touched and not self.list.selected_key:
            first = next((row.key for row in rows if row.key in self._rows), "")
            self.list.selected_key = first
        self.list.set_rows(rows)
        back = self.dash.worded("{by_trace}: by span")
        order = "" if self.sort == self.sorts[0] else f"  {self.sort.lstrip('-')}"
        self.list.set_heading([("Traces", "title")], f"{back}{order}")
        self._show_foot()

    def _columns(self, wide: bool) -> Sequence[Column]:
        if not wide:
            return NARROW
        teams = {row.team for row in self._rows.values() if row.team}
        return WIDE if len(teams) > 1 else WIDE[:-1]

    def _lines(self, listed: Sequence[Standing], totals: Totals, now: Instant) -> list[Row]:
        """Headings, rows, and the steps of those that are unfolded."""
        lines: list[Row] = []
        parts: Mapping[Section, list[Standing]] = {
            section: [row for row in listed if row.section is section] for section in Section
        }
        incidents = parts[Section.INCIDENT]
        lines += [self._row(row) for row in incidents[:MOST_INCIDENTS]]
        if len(incidents) > MOST_INCIDENTS:
            lines.append(Row(f"{_HEAD}more-incidents", whole=True, data=len(incidents)))
        for section in list(Section)[1:]:
            part = parts[section]
            if not part and section in (Section.FINISHED, Section.NOT_STARTED):
                continue
            lines.append(Row(f"{_HEAD}{section.value}", whole=True, data=section))
            if section.value in self.folded:
                continue
            quiet = [row for row in part if row.is_quiet(now)]
            shown = [row for row in part if not row.is_quiet(now)]
            most = MOST_FINISHED if section is Section.FINISHED else len(shown)
            for row in shown[:most]:
                lines += self._with_steps(row, now)
            if len(shown) > most:
                lines.append(Row(f"{_HEAD}history", whole=True, data=len(shown) - most))
            if quiet:
                lines.append(Row(f"{_HEAD}quiet", whole=True, data=len(quiet)))
                if self.opened_quiet:
                    lines += [self._row(row) for row in quiet]
        return lines

    def _row(self, row: Standing) -> Row:
        incident = row.section is Section.INCIDENT
        return Row(row.trace_id, failed=row.failed or incident, data=row, whole=incident)

    def _with_steps(self, row: Standing, now: Instant) -> list[Row]:
        lines = [self._row(row)]
        trace = self._details.get(row.trace_id)
        if row.trace_id in self.unfolded and trace is not None:
            lines += [
                Row(f"{row.trace_id}/{number}", whole=True, data=(row.trace_id, number, key))
                for number, (key, _) in enumerate(self._steps(row, trace, now))
            ]
        return lines

    def _steps(
        self, row: Standing, trace: Trace, now: Instant
    ) -> list[tuple[str, tuple[Piece, ...]]]:
        return trace_rows.steps(
            row,
            trace.spans,
            now,
            glyphs=self.look.glyphs,
            baselines=self.dash.baselines,
            past=self.dash.histories.runs,
            width=self.list.size.width - 40,
        )

    def _describe(self, line: Row) -> tuple[Piece, ...]:
        data, glyphs, now = line.data, self.look.glyphs, self.dash.now()
        if isinstance(data, Standing):
            if line.whole:
                outside = self.board is not None and data.trace_id in self.board.outside
                return trace_rows.incident_line(data, glyphs, now, outside=outside)
            return self._cells(data, now)
        if isinstance(data, Section) and self.board is not None:
            folded = data.value in self.folded
            note = trace_rows.heading_note(data, self.board.matched)
            width = self.list.size.width - 2
            return trace_rows.heading(
                data, self.board.matched, glyphs, width, folded=folded, note=note
            )
        if isinstance(data, tuple):
            return self._step_line(data[0], data[1], now)
        if isinstance(data, str):
            return ((data, "dim"),)
        sign = glyphs.open if self.opened_quiet else glyphs.folded
        words = {
            "quiet": f"{sign} {data} more, untouched for over 14 days",
            "history": self.dash.worded(f"  {data} more in {{traces}} Traces"),
            "more-incidents": f"  +{int(str(data)) - MOST_INCIDENTS} more incidents",
        }
        return ((words[line.key.removeprefix(_HEAD)], "dim"),)

    def _step_line(self, trace_id: str, number: int, now: Instant) -> tuple[Piece, ...]:
        row, trace = self._rows.get(trace_id), self._details.get(trace_id)
        lines = self._steps(row, trace, now) if row is not None and trace is not None else []
        indent = 12 if self.list.size.width >= WIDE_FROM else 4
        found = lines[number][1] if number < len(lines) else ()
        return ((" " * indent, "dim"), *found)

    def _cells(self, row: Standing, now: Instant) -> tuple[Piece, ...]:
        glyphs = self.look.glyphs
        wide = len(self.list.columns) > len(NARROW)
        fold = glyphs.open if row.trace_id in self.unfolded else glyphs.folded
        track = tuple(trace_rows.cell(found, glyphs) for found in row.cells)
        what: Piece = (trace_rows.title(row), "text")
        doing = trace_rows.now_text(row, now, self.dash.zone)
        usual = trace_rows.usual_text(row, glyphs, now, short=not wide)
        if not wide:
            return ((fold, "dim"), what, *track, doing, usual)
        return (
            (fold, "dim"),
            (row.project.rpartition("/")[2], "dim"),
            what,
            *track,
            doing,
            usual,
            (trace_rows.age(max(now - row.began_at, 0), machine=False), "dim"),
            (row.team, "dim"),
        )

    def _empty(self) -> tuple[str, ...]:
        board = self.board
        if board is None or not board.terms:
            return self.dash.empty_text(bool(self.filter_text))
        each = " \u00b7 ".join(f"{term} {n}" for term, n in board.terms.items())
        return (
            "",
            f"nothing of {board.everything.listed} matches   {self.filter_text}",
            "",
            f"each term alone: {each}",
            "",
            self.dash.worded("{back} clears the filter, {filter} changes it"),
        )

    def _tell_where_it_went(self) -> None:
        selected = self.list.selected_key
        row = self._rows.get(selected)
        before = self._sections.get(selected)
        if row is not None and before not in (None, row.section.value) and self.list.touched:
            self.dash.notify_text(f"now in {trace_rows.NAMES[row.section]}")
        self._sections = {key: found.section.value for key, found in self._rows.items()}

    def _show_foot(self) -> None:
        row = self._selected_row()
        if row is None:
            self.list.set_foot([])
            return
        dot = f" {self.look.glyphs.dot} "
        facts = [row.project, trace_rows.title(row), *row.action.who[:2]]
        self.list.set_foot([(dot.join(fact for fact in facts if fact), "note")])

    def _selected_row(self) -> Standing | None:
        """The trace that the cursor is on, or that the step below it belongs to."""
        return self._rows.get(self.list.selected_key.partition("/")[0])

    def tick(self, now: Instant) -> None:
        self.list.refresh_changed()
        if self.trace.display:
            self.trace.tick(now)

    # What is asked of it.

    def matched_text(self) -> str:
        if self.board is None:
            return "-"
        found, everything = self.board.matched, self.board.everything
        idle = everything.of(Section.NOT_STARTED)
        words = " not started" if self.size.width >= WIDE_FROM else ""
        more = f" + {idle}{words}" if idle else ""
        if found.listed == everything.listed and not self.filter_text:
            return f"{everything.listed} open{more}"
        return f"{found.listed} of {everything.listed}{more}"

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
            self._turn_to_first_page()
            return True
        if self.first.display:
            return self.first.act(action)
        if isinstance(self.focused, Waterfall) and self.focused.act(action):
            return True
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
        if action == "open" and self.list.selected_key.startswith(_HEAD):
            self._toggle(self.list.selected_key)
            return True
        return super().act(action)

    def _turn_to_first_page(self) -> None:
        if self.first.display and self._asked_for_first:
            self._leave_first_page()
            return
        self._asked_for_first = True
        self.first.display = True
        self.dash.reload_view()

    def texts(self) -> Sequence[tuple[str, str]]:
        chosen = self.first.steps.chosen.copies if self.first.display else ("", "")
        return [chosen] if chosen[1] else ()

    def _jump(self, step: int) -> None:
        heads = [n for n, row in enumerate(self.list.rows) if isinstance(row.data, Section)]
        here = self.list.cursor
        ahead = [n for n in heads if (n > here if step > 0 else n < here)]
        if ahead:
            self.list.select(self.list.rows[min(ahead) if step > 0 else max(ahead)].key)

    def _toggle(self, key: str) -> None:
        """Fold or unfold a section, the quiet rows, or a trace."""
        name = key.removeprefix(_HEAD)
        if key.startswith(_HEAD):
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

    def on_dora_panel_opened(self, message: DoraPanel.Opened) -> None:
        message.stop()
        self.dash.do("dora")

    def on_listing_selected(self, message: Listing.Selected) -> None:
        message.stop()
        self._show_foot()
        start(self, self._load_trace, "trace", exclusive=True)

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        row = self._selected_row()
        if row is None:
            self._toggle(message.key)
        else:
            self.dash.navigation.open_trace(row.trace_id, self.selection())
