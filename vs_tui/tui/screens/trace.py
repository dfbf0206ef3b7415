"""One trace: its waterfall, and below it the selected span in full."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Link, Span
from vs_tui.store.reader_protocol import Trace
from vs_tui.traces.trace_tree import children_of, gaps, self_time
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, flowed
from vs_tui.tui.screens.base import View
from vs_tui.tui.theme import Look
from vs_tui.tui.trace_summary import trace_facts
from vs_tui.tui.widgets.text import TextBox, fact
from vs_tui.tui.widgets.waterfall import Waterfall


class TraceView(View):
    """The waterfall with the span's details."""

    where = "trace"
    DEFAULT_CSS = """
    TraceView Waterfall { height: 1fr; }
    TraceView TextBox { height: 7; }
    TraceView.-tall TextBox { height: 14; }
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
    def offered(self) -> Sequence[str]:  # type: ignore[override]
        time = ("zoom_in", "zoom_out", "later") if self.waterfall.zoomed_in else ("zoom_in", "why")
        more = (
            "deliveries",
            "next_failed",
            "watch",
            "yank",
            "palette",
            "compare",
            "zoom",
            "browser",
        )
        if self.dash.frozen_at is not None:
            return ("open", "freeze", "back", *time, *more)
        return ("open", "back", *time, "freeze", *more)

    @property
    def words(self) -> Mapping[str, str]:  # type: ignore[override]
        row = self.waterfall.selected_row
        return {"open": "fold" if row is not None and row.children else "details"}

    def body(self) -> Iterable[Widget]:
        self.waterfall = Waterfall(self.look, mapped=True, id="waterfall")
        self.waterfall.zone = self.dash.zone
        self.detail = TextBox(self.look, id="detail")
        yield self.waterfall
        yield self.detail

    def on_mount(self) -> None:
        self.waterfall.focus()

    async def load(self) -> None:
        trace = await self.dash.trace(self.trace_id)
        if trace is None:
            self.show_problem("this trace is gone: it was pruned; press esc")
            return
        self.trace = trace
        await self.dash.learn(trace.spans)
        await self.dash.histories.learn(trace.spans)
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
            state = "frozen"
        title: list[Piece] = [
            (f"Trace {span_format.trace_id(self.trace.trace_id)}  ", "title"),
            (clean(span_format.title(root)), "text"),
        ]
        self.waterfall.set_heading(title, state)
        self.waterfall.set_foot([(text, "note") for text in self._foot()])
        span = self.waterfall.selected
        if span is not None:
            self.detail.set_heading(
                [(clean(span_format.title(span)), "title")], span_format.kind(span)
            )
            self.detail.set_lines(self._details(span))

    def _foot(self) -> list[str]:
        assert self.trace is not None
        dot = f" {self.look.glyphs.dot} "
        facts = trace_facts(self.trace, self.zone_clock, self.dash.now())
        return [dot.join([f"{self.look.glyphs.critical} critical path", *facts])]

    def _details(self, span: Span) -> list[list[Piece]]:
        links = self._links(span)
        own = flowed(self._facts(span), max(self.detail.size.width - 4, 40))
        waits = [fact("wait", text, "wait") for text in self._waits(span)]
        attributes = [fact(name, str(value)) for name, value in sorted(span.attributes.items())]
        if self._show_why:
            return [*(links or [[(self._why_none(span), "dim")]]), *own, *waits, *attributes]
        return [*own, *links, *waits, *attributes]

    def _why_none(self, span: Span) -> str:
        """Why a span has no link to another one."""
        assert self.trace is not None
        if span_format.is_phase(span):
            return "no link is needed: it is a phase of the span above it"
        first = span.key == self.trace.root.key and len(self.trace.spans) > 1
        return "no link: the trace begins with it" if first else "no links: it stands alone"

    def _facts(self, span: Span) -> list[list[Piece]]:
        """Short ones, several in a line."""
        assert self.trace is not None
        now = self.dash.now()
        baseline = self.dash.baselines.get(span.key)
        glyph, word, role = span_format.state(span, self.look.glyphs, now, baseline)
        own = self_time(span, children_of(self.trace.spans).get(span.key, []), now)
        found = [
            fact("state", f"{glyph} {word}", role),
            fact("began", self.zone_clock(span.started_at) if span.started_at else "not told"),
        ]
        if (elapsed := span.elapsed(now)) is not None:
            took = format_duration(elapsed).strip()
            found.insert(1, fact("so far" if span.ended_at is None else "took", took))
        if span.ended_at is not None:
            found.append(fact("ended", self.zone_clock(span.ended_at)))
        if own is not None and own != span.elapsed(now):
            found.append(fact("self time", format_duration(own).strip()))
        if baseline is not None:
            p50, p90 = format_duration(baseline.p50).strip(), format_duration(baseline.p90).strip()
            ratio, ratio_role = span_format.ratio_text(span, baseline, self.look.glyphs, now)
            found.append(fact("p50", f"{p50} (n={baseline.n})"))
            found.append(fact("p90", p90))
            if span_format.ratio(span, baseline, now) is not None:
                found.append(fact("vs p50", ratio.strip(), ratio_role))
        if span.stage and span.in_flight:
            since = format_duration(now - span.stage_at).strip() if span.stage_at else ""
            found.append(fact("stage", f"{span.stage} {since}".strip()))
        for name, value, role in (
            ("error", span.error, "fail"),
            ("attempt", str(span.attempt) if span.attempt > 1 else "", "text"),
            ("reopened", f"{span.reopens}x" if span.reopens else "", "wait"),
            ("by", span.actor, "text"),
            ("team", span.team, "text"),
            ("environment", span.environment, "text"),
            ("service", span.service, "text"),
            ("project", span.project, "text"),
            ("source", span.source, "text"),
            ("span", span.ref, "text"),
            ("url", span.url, "text"),
        ):
            if value:
                found.append(fact(name, value, role))
        return found

    def _waits(self, span: Span) -> list[str]:
        assert self.trace is not None
        if span.key != self.trace.root.key:
            return []
        found = gaps(self.trace.spans, self.dash.now())
        return [f"{gap.name} {format_duration(gap.duration).strip()}" for gap in found[:8]]

    def _links(self, span: Span) -> list[list[Piece]]:
        assert self.trace is not None
        names = {s.key: s.name for s in (*self.trace.spans, *self.trace.linked)}
        found: list[list[Piece]] = []
        for link in self.trace.links:
            if link.child == span.key:
                word = "parent" if link.primary else "linked to"
                found.append(fact(word, _why(link, names.get(link.parent, link.parent))))
            elif link.parent == span.key and not link.primary:
                found.append(fact("linked from", _why(link, names.get(link.child, link.child))))
        return found

    def selection(self) -> str:
        return self.waterfall.selected_key

    def act(self, action: str) -> bool:
        if action in ("earlier", "later", "zoom_out") and not self.waterfall.zoomed_in:
            self.dash.notify_text("all of the time is shown; + zooms in")
            return True
        if action == "why":
            self._show_why = not self._show_why
            self._paint()
            return True
        if action == "cut":
            span = self.waterfall.selected
            if span is not None and span_format.is_phase(span):
                self.dash.notify_text(
                    "a stage is a phase of the span above it, not linked to it; "
                    "select that span to cut it from its parent"
                )
            elif span is not None and span.parent_key:
                self.dash.cut_link(span.key, span.parent_key)
            else:
                self.dash.notify_text("this span has no parent to cut it from")
            return True
        focused = self.focused
        if isinstance(focused, TextBox) and focused.act(action):
            return True
        if action in ("next_failed", "previous_failed"):
            if not self.waterfall.act(action):
                self.dash.notify_text("nothing in this trace has failed")
            return True
        done = self.waterfall.act(action)
        self._paint_footer()  # a fold and a zoom change what the keys do
        return done

    def on_waterfall_selected(self, message: Waterfall.Selected) -> None:
        message.stop()
        self._paint()
        self._paint_footer()

    def on_waterfall_opened(self, message: Waterfall.Opened) -> None:
        message.stop()
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
                self.zone_clock(s.started_at),
                self.zone_clock(s.ended_at),
                "" if s.duration is None else f"{s.duration / 1_000_000:g}",
            )
            for s in spans
        ]


def _why(link: Link, name: str) -> str:
    return f"{name} — by {link.why} ({link.confidence})"
