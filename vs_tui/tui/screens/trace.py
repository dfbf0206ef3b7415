"""One trace: its waterfall, and below the details of the selected row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.evidence import is_machine
from vs_tui.traces.outline import Elsewhere
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.theme import Look
from vs_tui.tui.trace_details import Details, so_far
from vs_tui.tui.widgets.framed import TextBox
from vs_tui.tui.widgets.strip import trace_facts
from vs_tui.tui.widgets.waterfall import Waterfall

_ZOOM = ("fit", "zoom_in", "zoom_out", "whole", "later", "true_axis")


class TraceView(View):
    """The waterfall of a trace with the details of a row."""

    where = "trace"
    DEFAULT_CSS = """
    TraceView Waterfall { height: 1fr; }
    TraceView TextBox { height: 5; }
    TraceView.-tall TextBox { height: 11; }
    TraceView.-high TextBox { height: 14; }
    """

    def __init__(self, look: Look, trace_id: str, span_key: str = "") -> None:
        super().__init__(look)
        self.trace_id = trace_id
        self.trace: Trace | None = None
        self._wanted = span_key
        self._show_why = False

    @property
    def title_text(self) -> str:  # type: ignore[override]
        return clean(self.trace.root.name, 60) if self.trace else "trace"

    @property
    def path_note(self) -> str:  # type: ignore[override]
        """The duration of the trace, and its expected end if it is in flight."""
        if self.trace is None:
            return ""
        waterfall, spans = self.waterfall, self.trace.spans
        ends = [waterfall.scene.expected_end(s) for s in spans if is_machine(s)]
        expected = [end for end in ends if end is not None]
        expected += [n.step.ends for n in waterfall.next.values()]
        return so_far(self.trace, expected, self.dash.now(), self._minute)

    def _minute(self, instant: Instant) -> str:
        return span_format.minute(instant, self.dash.zone, self.dash.now())

    @property
    def offered(self) -> Sequence[str]:  # type: ignore[override]
        more = (
            "next_failed",
            "why",
            "deliveries",
            "fold_all",
            "watch",
            "yank",
            "browser",
            "compare",
        )
        first = ("open", "freeze", "back") if self.dash.frozen_at is not None else ("open", "back")
        return (*first, *_ZOOM, *more, "freeze")

    @property
    def words(self) -> Mapping[str, str]:  # type: ignore[override]
        row = self.waterfall.selected_row
        open_word = "fold" if row is not None and row.children else "details"
        if self.waterfall.selected_link is not None:
            open_word = "that trace"
        axis = "breaks" if self.waterfall.zoom.true_axis else "true axis"
        return {"open": open_word, "true_axis": axis, "zoom_in": "zoom", "later": "pan"}

    def body(self) -> Iterable[Widget]:
        self.waterfall = Waterfall(self.look, full=True, id="waterfall")
        self.waterfall.zone = self.dash.zone
        self.waterfall.breaks = self.dash.setup.thresholds.axis_breaks
        self.detail = TextBox(self.look, id="detail")
        yield self.waterfall
        yield self.detail

    def on_mount(self) -> None:
        self.waterfall.focus()

    async def load(self) -> None:
        trace = await self.dash.trace(self.trace_id, learn=True)
        if trace is None:
            self.show_problem("this trace is gone: it was pruned; press esc")
            return
        self.trace = trace
        runs = self.dash.histories.runs
        self.waterfall.show(trace, self.dash.baselines, self.dash.now(), runs)
        if self._wanted:
            self.waterfall.reveal(self._wanted)
            self._wanted = ""
        self._paint()

    def tick(self, now: Instant) -> None:
        if self.waterfall.tick(now):
            self._paint()

    def _paint(self) -> None:
        if self.trace is None:
            return
        root = self.trace.root
        going_on = any(span.in_flight for span in self.trace.spans)
        state = f"{self.look.glyphs.live} following" if going_on else ""
        if self.dash.frozen_at is not None:
            state = f"{self.look.glyphs.frozen} frozen"
        dot = f" {self.look.glyphs.dot} "
        where = dot.join(clean(t, 30) for t in (root.team, root.project.rpartition("/")[2]) if t)
        title: list[Piece] = [
            (f"Trace {span_format.trace_id(self.trace.trace_id)}  ", "title"),
            (f"{clean(span_format.title(root), 60)}  " if self.size.width >= 100 else "", "text"),
            (where, "note"),
        ]
        self.waterfall.set_heading(title, state)
        # The line with the path already shows the age.
        facts = trace_facts(self.trace, self.dash.clock_text, self.dash.now())
        facts = [fact for fact in facts if not fact.startswith("began ")]
        self.waterfall.set_foot([(dot.join(facts), "note")] if facts else [])
        self._paint_details()

    def _paint_details(self) -> None:
        assert self.trace is not None
        waterfall, width = self.waterfall, max(self.detail.size.width - 4, 40)
        details = Details(self.trace, waterfall.outline, self.dash.baselines, self.dash.now(),
                          self.dash.clock_text, self.look.glyphs, width)  # fmt: skip
        row, span = waterfall.selected_row, waterfall.selected
        wait, link = waterfall.selected_wait, waterfall.selected_link
        if span is not None:
            lines = details.of_span(span, why_first=self._show_why)
        elif wait is not None:
            lines = details.of_wait(wait)
        elif link is not None:
            lines = details.of_link(link)
        else:
            lines = [[("enter shows what is below this row", "dim")]]
        if row is not None:
            kind = span_format.kind(row.span)
            self.detail.set_heading([(clean(span_format.title(row.span), 80), "title")], kind)
        self.detail.set_lines(lines)

    def selection(self) -> str:
        return self.waterfall.selected.key if self.waterfall.selected is not None else ""

    def act(self, action: str) -> bool:
        if action == "why":
            self._show_why = not self._show_why
            self._paint()
            return True
        if action == "cut":
            self._cut(self.waterfall.selected, self.waterfall.selected_link)
            return True
        focused = self.focused
        if isinstance(focused, TextBox) and focused.act(action):
            return True
        if action in ("next_failed", "previous_failed"):
            if not self.waterfall.act(action):
                self.dash.notify_text("nothing in this trace has failed")
            return True
        done = self.waterfall.act(action)
        self._paint_footer()  # folding and zooming change the keys' labels
        return done

    def _cut(self, span: Span | None, elsewhere: Elsewhere | None) -> None:
        if elsewhere is not None:
            self.dash.cut_link(elsewhere.link.child, elsewhere.link.parent)
        elif span is None:
            self.dash.notify_text("this row is no span; only a span can be cut from its parent")
        elif span_format.is_phase(span):
            self.dash.notify_text(
                "a stage is a phase of the span above it, not linked to it; "
                "select that span to cut it from its parent"
            )
        elif span.parent_key:
            self.dash.cut_link(span.key, span.parent_key)
        else:
            self.dash.notify_text("this span has no parent to cut it from")

    def on_cursor_box_selected(self, message: Waterfall.Selected) -> None:
        message.stop()
        self._paint()
        self._paint_footer()

    def on_waterfall_notice(self, message: Waterfall.Notice) -> None:
        message.stop()
        self.dash.notify_text(message.text)

    def on_cursor_box_opened(self, message: Waterfall.Opened) -> None:
        message.stop()
        link = self.waterfall.selected_link
        if link is not None:
            self.dash.navigation.open_trace(link.span.trace_id, link.span.key)
        else:
            self.detail.focus()

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("span", "parent", "operation", "name", "status", "began", "ended", "seconds")
        spans = self.trace.spans if self.trace else ()
        return titles, [
            (
                s.ref,
                s.parent_key,
                s.operation,
                s.name,
                s.status.value,
                self.dash.clock_text(s.started_at),
                self.dash.clock_text(s.ended_at),
                "" if s.duration is None else f"{s.duration / 1_000_000:g}",
            )
            for s in spans
        ]
