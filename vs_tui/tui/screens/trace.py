"""One trace: its waterfall, and below it the selected span in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from vs_tui.domain.display import clean
from vs_tui.domain.instants import Instant, format_duration
from vs_tui.domain.model import Link, Span
from vs_tui.domain.traces import children_of, gaps, self_time
from vs_tui.store.api import Trace
from vs_tui.tui import faces
from vs_tui.tui.look import Look
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.text import TextBox, field
from vs_tui.tui.widgets.waterfall import Waterfall


class TraceView(View):
    """The waterfall with the span's details."""

    where = "trace"
    DEFAULT_CSS = """
    TraceView Waterfall { height: 2fr; }
    TraceView TextBox { height: 7; }
    TraceView.-tall TextBox { height: 1fr; }
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

    def body(self) -> Iterable[Widget]:
        self.waterfall = Waterfall(self.look, id="waterfall")
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
        self.waterfall.show(trace, self.dash.baselines, self.dash.now())
        if self._wanted:
            self.waterfall.selected_key = self._wanted
            self._reveal(self._wanted)
            self._wanted = ""
        self._paint()

    def _reveal(self, key: str) -> None:
        """Unfold what hides a span."""
        assert self.trace is not None
        parents = {span.key: span.parent_key for span in self.trace.spans}
        while key := parents.get(key, ""):
            self.waterfall.folded.discard(key)
        self.waterfall.show(self.trace, self.dash.baselines, self.dash.now())
        self.waterfall.scroll_to_row(self.waterfall.cursor)

    def tick(self, now: Instant) -> None:
        if self.waterfall.tick(now):
            self._paint()

    def _paint(self) -> None:
        if self.trace is None:
            return
        root = self.trace.root
        state = "frozen" if self.dash.frozen_at else f"{self.look.glyphs.live} following"
        title: list[Piece] = [
            (f"Trace {self.trace.trace_id[:4]}{self.look.glyphs.ellipsis}", "title"),
            (f" {clean(root.name, 90)}", "text"),
        ]
        self.waterfall.set_heading(title, state)
        span = self.waterfall.selected
        if span is not None:
            self.detail.set_heading([(clean(span.name, 70), "title")], faces.kind(span))
            self.detail.set_lines(self._details(span))

    def _details(self, span: Span) -> list[list[Piece]]:
        assert self.trace is not None
        now, dash = self.dash.now(), self.dash
        baseline = dash.baselines.get(span.key)
        took = format_duration(span.elapsed(now)).strip()
        lines: list[list[Piece]] = []
        if self._show_why:
            lines += self._links(span)
        _, word, role = faces.state(span, self.look.glyphs, now, baseline)
        facts = f"{word}, {took}"
        if baseline is not None:
            p50, p90 = format_duration(baseline.p50).strip(), format_duration(baseline.p90).strip()
            facts += f" / ~{p50} (p90 {p90}, n={baseline.n})"
        if span.error:
            facts += f", {span.error}"
        if span.attempt > 1:
            facts += f", attempt {span.attempt}"
        if span.reopens:
            facts += f", reopened {span.reopens}x"
        lines.append(field("state", facts, role=role))
        began, ended = self.zone_clock(span.started_at), self.zone_clock(span.ended_at)
        lines.append(field("time", f"{began} to {ended}"))
        own = self_time(span, children_of(self.trace.spans).get(span.key, []), now)
        if own is not None and own != span.elapsed(now):
            lines.append(field("self time", format_duration(own).strip()))
        for name, value in (
            ("project", span.project),
            ("service", span.service),
            ("environment", span.environment),
            ("team", span.team),
            ("by", span.actor),
            ("source", span.source),
            ("span", span.ref),
            ("url", span.url),
        ):
            if value:
                lines.append(field(name, value))
        if not self._show_why:
            lines += self._links(span)
        if span.key == self.trace.root.key:
            lines += [
                field("wait", f"{gap.name}: {format_duration(gap.duration).strip()}", role="wait")
                for gap in gaps(self.trace.spans, now)[:8]
            ]
        lines += [field(name, str(value)) for name, value in sorted(span.attributes.items())]
        return lines

    def _links(self, span: Span) -> list[list[Piece]]:
        assert self.trace is not None
        names = {s.key: s.name for s in (*self.trace.spans, *self.trace.linked)}
        found: list[list[Piece]] = []
        for link in self.trace.links:
            if link.child == span.key:
                word = "parent" if link.primary else "linked to"
                found.append(field(word, _why(link, names.get(link.parent, link.parent))))
            elif link.parent == span.key and not link.primary:
                found.append(field("linked from", _why(link, names.get(link.child, link.child))))
        return found

    def selection(self) -> str:
        return self.waterfall.selected_key

    def act(self, action: str) -> bool:
        if action == "why":
            self._show_why = not self._show_why
            self._paint()
            return True
        if action == "cut":
            span = self.waterfall.selected
            if span is not None and span.parent_key:
                self.dash.cut_link(span.key, span.parent_key)
            return True
        focused = self.focused
        if isinstance(focused, TextBox) and focused.act(action):
            return True
        return self.waterfall.act(action)

    def on_waterfall_selected(self, message: Waterfall.Selected) -> None:
        message.stop()
        self._paint()

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
