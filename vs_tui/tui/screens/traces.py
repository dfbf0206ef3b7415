"""Traces: one row a delivery, from issue to deploy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from vs_tui.domain.instants import Instant, format_duration
from vs_tui.domain.model import Span
from vs_tui.store.api import Counts, TraceSummary
from vs_tui.tui import faces
from vs_tui.tui.moment import summaries_at
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.listing import Column, Listing, Row

COLUMNS = (
    Column("STATE", 8),
    Column("ROOT", 8),
    Column("TITLE", 20, flex=1),
    Column("TEAM", 6, rank=2),
    Column("SPANS", 5, right=True, rank=1),
    Column("OPEN", 4, right=True),
    Column("FAIL", 4, right=True),
    Column("BEGAN", 12, rank=1),
    Column("TOOK", 8, right=True),
)


class TracesView(View):
    """The list of traces."""

    where = "traces"
    title_text = "Traces"
    filterable = True

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, COLUMNS, id="list")
        self.summaries: Sequence[TraceSummary] = ()
        self.counts: Counts | None = None
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    async def load(self) -> None:
        filter_text = self.dash.effective_filter(self.filter_text)
        found, _ = await self.dash.reader.traces(filter_text, limit=300)
        self.summaries = summaries_at(found, self.dash.frozen_at)
        self.counts = await self.dash.reader.counts(filter_text)
        self._paint(self.dash.now())
        self.show_problem("")

    def tick(self, now: Instant) -> None:
        self._paint(now)

    def _paint(self, now: Instant) -> None:
        if not self.summaries:
            self.list.empty = self.dash.empty_text(bool(self.filter_text))
        self.list.set_rows([self._row(summary, now) for summary in self.summaries])
        self.list.set_heading([("Traces", "title")], "in flight first, then latest")

    def _row(self, summary: TraceSummary, now: Instant) -> Row:
        root, glyphs = summary.root, self.look.glyphs
        glyph, word, role = faces.state(root, glyphs, now)
        if summary.in_flight and not root.in_flight:
            glyph, word, role = glyphs.run, "run", "run"
        elif summary.failed and not summary.in_flight and not root.status.failed:
            role = "bad"
        took = (summary.ended_at or now) - summary.started_at
        return Row(
            summary.trace_id,
            (
                (f"{glyph} {word}", role),
                (faces.kind(root), "dim"),
                (root.name, "text"),
                (root.team or "-", "dim"),
                (str(summary.spans), "dim"),
                (str(summary.in_flight or "-"), "run" if summary.in_flight else "dim"),
                (str(summary.failed or "-"), "fail" if summary.failed else "dim"),
                (self.zone_clock(summary.started_at), "dim"),
                (format_duration(took), "text"),
            ),
            failed=bool(summary.failed),
            data=root,
        )

    def matched_text(self) -> str:
        return f"{len(self.summaries)} traces"

    def listed_spans(self) -> Iterable[Span]:
        return [summary.root for summary in self.summaries]

    def selection(self) -> str:
        row = self.list.selected
        return row.data.key if row is not None and hasattr(row.data, "key") else ""

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            return self.list.next_failed(1 if action == "next_failed" else -1) or True
        return self.list.act(action)

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        self.dash.open_trace(message.key)

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return [c.title for c in COLUMNS], [[t for t, _ in row.cells] for row in self.list.rows]
