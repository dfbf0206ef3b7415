"""Live by span: spans in flight, then the ones that ended last, and below the trace of the selected
row."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span, State
from vs_tui.store.queries.reader_protocol import COUNTED, Counts
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, longest_name
from vs_tui.tui.screens.listed import WorkView, counts_text
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.listing import Column, Row
from vs_tui.tui.widgets.strip import TraceStrip, trace_facts

COLUMNS: Final = (
    Column("STATE", 8, sort="live"),
    Column("KIND", 8),
    Column("TITLE", 16, flex=1, sort="name"),
    Column("TEAM", 5, rank=2),
    Column("STAGE/ENDED", 11, rank=3, sort="ended"),
    Column("DUR", 7, right=True, sort="duration"),
    Column("vs p50", 6, rank=1),
)
ROOMY: Final = (Column("BY", 12), Column("PROJECT", 20))
"""Further columns on a wide screen."""
_ROOMY_CELLS: Final = 40
_ROOMY_FROM: Final = 140
_TEAM: Final = 3
"""Index of the team's column."""
_TEAM_CELLS: Final = 10


class SpansView(WorkView):
    """A list with a row per span."""

    where = "live"
    ranged = True
    columns = COLUMNS
    sorts = ("live", "started", "ended", "duration", "name")
    DEFAULT_CSS = """
    SpansView #upper { height: 1fr; }
    SpansView #dora-side { width: 41; display: none; }
    SpansView.-side #dora-side { display: block; }
    SpansView #below { height: 4; }
    SpansView.-wide.-tall #below { height: 14; }
    SpansView #trace { display: none; }
    SpansView.-wide.-tall #trace { display: block; }
    SpansView.-wide.-tall #strip { display: none; }
    """

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.spans: Sequence[Span] = ()
        self._teams = True
        """Whether any row has a team."""
        self._at_work: dict[str, list[Span]] = {}
        """Span key -> its running children."""
        self.counts: Counts | None = None
        self.strip = TraceStrip(look, id="strip")

    def body(self) -> Iterable[Widget]:
        yield Horizontal(self.list, self.dora, id="upper")
        yield Vertical(self.trace, self.strip, id="below")

    async def load(self) -> None:
        dash = self.dash
        filter_text = dash.effective_filter(self.filter_text)
        wanted = self.wanted
        page = await dash.reader.spans(filter_text, limit=wanted, sort=self.sort, at=dash.frozen_at)
        self.spans = page.items
        if self.sort == self.sorts[0]:
            self.spans = span_format.impossible_starts_last(page.items, dash.now())
        self.searched = page.searched
        self._show_rows(wanted)
        await dash.learn(self._in_sight())
        self.list.refresh_changed()
        await self.load_trace()
        self.counts = await dash.reader.counts(filter_text, at=dash.frozen_at)
        self.searching = page.searched or self.counts.searched
        self.made_of = COUNTED if self.counts.matched >= COUNTED else 0
        self._show_order()
        self.list.set_total(self.counts.matched)
        await self.load_cards()

    def on_resize(self) -> None:
        # The panel may have become visible.
        if self.dash.begun:
            self.call_after_refresh(self._show_rows, self.asked)
            start(self, self.load_cards, "cards", exclusive=True)

    def _in_sight(self) -> Sequence[Span]:
        page = max(self.list.rows_visible, 20)
        return self.spans[max(self.list.first - page, 0) : self.list.first + 2 * page]

    def _show_rows(self, asked: int) -> None:
        self._at_work = {}
        for span in self.spans:
            if span.in_flight and span.parent_key and span.state is State.RUNNING:
                self._at_work.setdefault(span.parent_key, []).append(span)
        roomy = self.list.size.width >= _ROOMY_FROM
        self.list.set_columns(self._columns()[: None if roomy else len(COLUMNS)])
        self.show_rows(
            [Row(span.key, failed=span.status.failed, data=span) for span in self.spans], asked
        )
        self._show_order()

    def _columns(self) -> Sequence[Column]:
        """The columns, as wide as all read rows need, so that scrolling does not move them. If no
        row has a team, the team's column shows repositories."""
        team = COLUMNS[_TEAM]
        self._teams = not self.spans or any(span.team for span in self.spans)
        if not self._teams:
            team = replace(team, title="PROJECT", width=7)
        names = {self._group(span) for span in self.spans}
        team = replace(team, wish=longest_name(names, _TEAM_CELLS))
        by, project = ROOMY
        by = replace(by, wish=longest_name({span.actor for span in self.spans}, _ROOMY_CELLS))
        names = {span.project for span in self.spans}
        project = replace(project, wish=longest_name(names, _ROOMY_CELLS))
        return (*COLUMNS[:_TEAM], team, *COLUMNS[_TEAM + 1 :], by, project)

    def _group(self, span: Span) -> str:
        return span.team if self._teams else span.project.rpartition("/")[2]

    def _show_order(self) -> None:
        name = "In flight" if self.sort.lstrip("-") == self.sorts[0] else "Spans"
        order = self.order_note("in flight first, newest")
        back = self.dash.worded("{by_trace}: by trace")
        self.list.set_heading([(name, "title")], f"{back}  {order}")

    async def load_trace(self) -> None:
        row = self.list.selected
        span = row.data if row is not None else None
        self.query_one("#below").display = isinstance(span, Span)
        if not isinstance(span, Span):
            return
        trace = await self.dash.trace(span.trace_id, learn=True)
        if trace is None:
            return
        now = self.dash.now()
        await self.dash.learn(self._in_sight())
        self.list.refresh_changed()
        frozen = self.dash.frozen_at is not None
        note = "frozen" if frozen else f"{self.look.glyphs.live} following"
        for widget in (self.trace, self.strip):
            widget.show(trace, self.dash.baselines, now, self.dash.histories.runs)
        self.trace.reveal(span.key)
        name = span_format.title(trace.root)
        title: list[Piece] = [(f"Trace {span_format.trace_id(trace.trace_id)}  ", "title")]
        self.trace.set_heading([*title, (clean(name), "text")], note)
        facts = trace_facts(trace, self.dash.clock_text, now)
        self.trace.set_foot([(f" {self.look.glyphs.dot} ".join(facts), "note")] if facts else [])
        self.strip.set_heading([(clean(name), "title")], self.dash.worded("{open}: full trace"))

    def tick(self, now: Instant) -> None:
        self.list.refresh_changed()
        if self.trace.display:
            self.trace.tick(now)
        else:
            self.strip.tick(now)

    def cells(self, row: Row) -> tuple[Piece, ...]:
        span = row.data
        assert isinstance(span, Span)
        now, glyphs = self.dash.now(), self.look.glyphs
        baseline = self.dash.baselines.get(span.key)
        glyph, word, role = span_format.state(span, glyphs, now, baseline)
        ratio, ratio_role = span_format.ratio_text(span, baseline, glyphs, now)
        return (
            (f"{glyph} {word}", role),
            (span_format.kind(span), "dim"),
            (span_format.title(span), "text"),
            (self._group(span) or "-", "dim"),
            (
                span_format.stage(
                    span, baseline, self.dash.zone, now, self._at_work.get(span.key, ())
                ),
                "fail" if span.status.failed else "text" if span.in_flight else "dim",
            ),
            ("ahead?", "wait")
            if span_format.starts_ahead(span, now)
            else (format_duration(span.elapsed(now)), "text"),
            (ratio, ratio_role),
            (span.actor or "-", "dim"),
            (span.project or "-", "dim"),
        )

    def matched_text(self) -> str:
        counts = self.counts
        return counts_text(counts) if counts is not None else ""

    def listed_spans(self) -> Iterable[Span]:
        return self.spans

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        return [column.title for column in self._columns()], self.list.texts()

    def open_row(self, key: str) -> None:
        self.dash.navigation.open_span(key)
