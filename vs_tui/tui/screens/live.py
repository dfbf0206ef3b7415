"""Live: what is in flight, then what ended last; the selected row's trace follows below."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from vs_tui.domain.instants import Instant, format_duration
from vs_tui.domain.model import Span
from vs_tui.store.api import Baseline, Counts
from vs_tui.tui import faces
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.dora import DoraPanel
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.strip import TraceStrip
from vs_tui.tui.widgets.waterfall import Waterfall
from vs_tui.tui.working import start

COLUMNS = (
    Column("STATE", 8),
    Column("KIND", 8),
    Column("TITLE", 16, flex=3),
    Column("TEAM", 5, rank=2),
    Column("STAGE", 9, flex=1, rank=3),
    Column("AGE", 7, right=True),
    Column("vs p50", 6, right=True, rank=1),
)
SORTS = ("live", "started", "ended", "duration", "name")
LIMIT = 500


class LiveView(View):
    """The first screen."""

    where = "live"
    title_text = "Live"
    filterable = True
    DEFAULT_CSS = """
    LiveView #upper { height: 1fr; }
    LiveView #dora-side { width: 41; display: none; }
    LiveView.-wide #dora-side { display: block; }
    LiveView #below { height: 4; }
    LiveView.-wide.-tall #below { height: 14; }
    LiveView #trace { display: none; }
    LiveView.-wide.-tall #trace { display: block; }
    LiveView.-wide.-tall #strip { display: none; }
    """

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, COLUMNS, id="list")
        self.dora = DoraPanel(self.look, id="dora-side")
        self.trace = Waterfall(self.look, id="trace")
        self.strip = TraceStrip(self.look, id="strip")
        self.spans: Sequence[Span] = ()
        self.counts: Counts | None = None
        self.sort = "live"
        self._rows: dict[str, Row] = {}
        yield Horizontal(self.list, self.dora, id="upper")
        yield Vertical(self.trace, self.strip, id="below")

    def on_mount(self) -> None:
        self.list.focus()

    async def load(self) -> None:
        dash = self.dash
        filter_text = dash.effective_filter(self.filter_text)
        page = await dash.reader.spans(filter_text, limit=LIMIT, sort=self.sort, at=dash.frozen_at)
        self.spans = page.items
        self.counts = await dash.reader.counts(filter_text)
        await dash.learn(self.spans[: max(self.list.rows_visible * 2, 60)])
        self._paint(dash.now(), everything=True)
        self.show_problem("")
        await self._load_trace()
        if self.dora.display:
            self.dora.show(await dash.cards(), dash.range_name)

    async def _load_trace(self) -> None:
        row = self.list.selected
        span = row.data if row is not None else None
        if not isinstance(span, Span):
            return
        trace = await self.dash.trace(span.trace_id)
        if trace is None:
            return
        await self.dash.learn(trace.spans)
        following = f"{self.look.glyphs.live} following" if not self.dash.frozen_at else "frozen"
        for widget in (self.trace, self.strip):
            widget.show(trace, self.dash.baselines, self.dash.now())
        title: list[Piece] = [("Trace ", "title"), (trace.root.name[:80], "text")]
        self.trace.selected_key = span.key
        self.trace.set_heading(_cleaned(title), following)
        self.strip.set_heading(_cleaned([(trace.root.name[:60], "title")]), "enter: full trace")

    def tick(self, now: Instant) -> None:
        self._paint(now, everything=False)
        if self.trace.display:
            self.trace.tick(now)
        else:
            self.strip.tick(now)

    def _paint(self, now: Instant, *, everything: bool) -> None:
        """Rows of spans in flight move with the time; all others only when data changed."""
        rows = []
        kept: dict[str, Row] = {}
        for span in self.spans:
            old = self._rows.get(span.key)
            if everything or old is None or span.in_flight or span.status.failed:
                old = self._row(span, self.dash.baselines.get(span.key), now)
            kept[span.key] = old
            rows.append(old)
        self._rows = kept
        if not rows:
            self.list.empty = self.dash.empty_text(bool(self.filter_text))
        self.list.set_rows(rows)
        arrow = self.look.glyphs.down if not self.sort.startswith("-") else self.look.glyphs.up
        order = "in-flight first, age" if self.sort == "live" else self.sort.lstrip("-")
        self.list.set_heading([("In flight", "title")], f"{order} {arrow}")

    def _row(self, span: Span, baseline: Baseline | None, now: Instant) -> Row:
        glyphs = self.look.glyphs
        glyph, word, role = faces.state(span, glyphs, now, baseline)
        title = span.name
        if span.operation == "deploy" and span.environment and span.environment not in title:
            title = (
                f"{title} → {span.environment}"
                if glyphs.run == "●"
                else f"{title} > {span.environment}"
            )
        ratio, ratio_role = faces.ratio_text(span, baseline, glyphs, now)
        failed = span.status.failed
        age = (
            faces.since(span.ended_at, now) + " ago"
            if failed
            else format_duration(span.elapsed(now))
        )
        return Row(
            span.key,
            (
                (f"{glyph} {word}", role),
                (faces.kind(span), "dim"),
                (title, "text"),
                (span.team or "-", "dim"),
                (faces.stage(span) or "-", "text"),
                (age, "fail" if failed else "text"),
                (ratio, ratio_role),
            ),
            failed=failed,
            data=span,
        )

    def matched_text(self) -> str:
        counts = self.counts
        return f"{counts.matched} of {counts.total}" if counts else ""

    def listed_spans(self) -> Iterable[Span]:
        return self.spans

    def selection(self) -> str:
        return self.list.selected_key

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            if not self.list.next_failed(1 if action == "next_failed" else -1):
                self.dash.notify_text("nothing in this list has failed")
        elif action == "sort":
            current = self.sort.lstrip("-")
            self.sort = SORTS[(SORTS.index(current) + 1) % len(SORTS)]
            self.dash.reload_view()
        elif action == "sort_reverse":
            self.sort = self.sort[1:] if self.sort.startswith("-") else f"-{self.sort}"
            self.dash.reload_view()
        elif action == "follow":
            self.list.follow = not self.list.follow
            self.list.set_rows(self.list.rows)
            self.dash.notify_text("following the newest" if self.list.follow else "not following")
        else:
            focused = self.focused
            target = focused if isinstance(focused, Waterfall) else self.list
            return target.act(action)
        return True

    def on_listing_selected(self, message: Listing.Selected) -> None:
        message.stop()
        start(self, self._load_trace, "trace", exclusive=True)

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        self.dash.open_span(message.key)

    def on_waterfall_opened(self, message: Waterfall.Opened) -> None:
        message.stop()
        self.dash.open_span(message.key)

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = [column.title for column in COLUMNS]
        return titles, [[text for text, _ in row.cells] for row in self.list.rows]


def _cleaned(pieces: Sequence[Piece]) -> list[Piece]:
    from vs_tui.domain.display import clean

    return [(clean(text), role) for text, role in pieces]
