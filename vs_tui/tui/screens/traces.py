"""Traces: a row per trace, from issue to deploy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from textual.widget import Widget

from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import TraceSummary
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, longest_name
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.listing import Column, Row

COLUMNS: Final = (
    Column("STATE", 8, sort="live"),
    Column("ROOT", 8),
    Column("TITLE", 20, flex=1, sort="name"),
    Column("TEAM", 5, rank=2),
    Column("SPANS", 5, right=True, rank=1, sort="spans"),
    Column("OPEN", 4, right=True),
    Column("FAIL", 4, right=True, sort="failed"),
    Column("BEGAN", 12, rank=1, sort="began"),
    Column("TOOK", 8, right=True, sort="took"),
)
_TEAM_CELLS: Final = 10


class TracesView(ListedView):
    """The list of traces."""

    where = "traces"
    ranged = True
    title_text = "Traces"
    filterable = True
    columns = COLUMNS
    orders = MappingProxyType(
        {
            "began": lambda t, _: -t.started_at,
            "took": lambda t, now: t.started_at - (t.ended_at or now),
            "spans": lambda t, _: -t.spans,
            "failed": lambda t, _: -t.failed,
            "name": lambda t, _: t.root.name.lower(),
        }
    )
    sorts = ("live", *orders)

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.summaries: Sequence[TraceSummary] = ()
        self._more = False

    def body(self) -> Iterable[Widget]:
        yield self.list

    async def load(self) -> None:
        filter_text = self.dash.effective_filter(self.filter_text)
        wanted = self.wanted
        page = await self.dash.reader.traces(filter_text, limit=wanted, at=self.dash.frozen_at)
        self._more = page.more
        self.searched = page.searched
        self.searching = page.searched
        self.summaries = self.ordered(page.items)
        await self.dash.learn([summary.root for summary in self.summaries])
        self.made_of = len(self.summaries) if self._more else 0
        team = longest_name({t.root.team for t in self.summaries}, _TEAM_CELLS)
        self.list.set_columns([replace(c, wish=team) if c.title == "TEAM" else c for c in COLUMNS])
        self.show_rows(
            [Row(t.trace_id, failed=bool(t.failed), data=t) for t in self.summaries], wanted
        )
        self.list.set_heading(
            [("Traces", "title")], self.order_note("in flight first, then latest")
        )

    def tick(self, now: Instant) -> None:
        self.list.refresh_changed()

    def cells(self, row: Row) -> tuple[Piece, ...]:
        summary = row.data
        assert isinstance(summary, TraceSummary)
        root, glyphs, now = summary.root, self.look.glyphs, self.dash.now()
        glyph, word, role = span_format.state(root, glyphs, now, self.dash.baselines.get(root.key))
        if summary.in_flight and not root.in_flight:
            glyph, word, role = glyphs.run, "run", "run"
        took = (summary.ended_at or now) - summary.started_at
        return (
            (f"{glyph} {word}", role),
            (span_format.kind(root), "dim"),
            (span_format.title(root), "text"),
            (root.team or "-", "dim"),
            (str(summary.spans), "dim"),
            (str(summary.in_flight), "run" if summary.in_flight else "dim"),
            (
                f"{glyphs.fail} {summary.failed}" if summary.failed else "0",
                "fail" if summary.failed else "dim",
            ),
            (self.dash.clock_text(summary.started_at), "dim"),
            (format_duration(took), "text"),
        )

    def matched_text(self) -> str:
        count = f"{len(self.summaries)}{'+' if self._more else ''}"
        return f"{count} {'trace' if count == '1' else 'traces'}"

    def listed_spans(self) -> Iterable[Span]:
        return [summary.root for summary in self.summaries]

    def selection(self) -> str:
        row = self.list.selected
        return row.data.root.key if row is not None and isinstance(row.data, TraceSummary) else ""

    def open_row(self, key: str) -> None:
        self.dash.navigation.open_trace(key)
