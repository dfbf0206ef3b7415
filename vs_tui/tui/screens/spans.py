"""Live by span: spans in flight, then the ones that ended last, and below the trace of the selected
row, on a small screen as a strip of two lines."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span, State
from vs_tui.store.queries.reader_protocol import COUNTED, Counts, Trace
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.steps import children_of
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit, longest_name, width_of
from vs_tui.tui.screens.listed import WorkView, counts_text
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import Framed
from vs_tui.tui.widgets.listing import Column, Row
from vs_tui.tui.widgets.waterfall_rows import PastRuns, expected_of

COLUMNS: Final = (
    Column("STATE", 8, sort="live"),
    Column("KIND", 8, rank=1),
    Column("TITLE", 16, flex=1, sort="name"),
    Column("TEAM", 5, rank=3),
    Column("STAGE/ENDED", 11, rank=4, sort="ended"),
    Column("DUR", 7, right=True, sort="duration"),
    Column("vs p50", 6, rank=2),
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
        await dash.histories.learn_baselines(self._in_sight())
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
            start(self, self.load_cards, "cards", exclusive=True)

    def on_framed_width_changed(self, changed: Framed.WidthChanged) -> None:
        if changed.box is self.list and self.dash.begun:
            self._show_rows(self.asked)

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
        row has a team, the team's column shows repositories, unless they have a column."""
        team = COLUMNS[_TEAM]
        roomy = self.list.size.width >= _ROOMY_FROM
        self._teams = roomy or not self.spans or any(span.team for span in self.spans)
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
        await self.dash.histories.learn_baselines(self._in_sight())
        self.list.refresh_changed()
        frozen = self.dash.frozen_at is not None
        note = "frozen" if frozen else f"{self.look.glyphs.live} following"
        for widget in (self.trace, self.strip):
            widget.show(trace, self.dash.baselines, now, self.dash.histories.runs)
        self.trace.reveal(span.key)
        name = span_format.title(trace.root)
        title: list[Piece] = [(f"Trace {span_format.trace_id(trace.trace_id)}  ", "title")]
        self.trace.set_heading([*title, (clean(name), "text")], note)
        facts = span_format.trace_facts(trace, self.dash.clock_text, now)
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


def going_on(spans: Sequence[Span]) -> Span | None:
    """The innermost span in flight; of several the one that began last, issues after all others."""
    parents = {s.parent_key for s in spans if s.in_flight}
    flying = [s for s in spans if s.in_flight and s.key not in parents]
    return max(flying, key=lambda s: (s.operation != "issue", s.at, s.key), default=None)


_MAX_STEPS: Final = 6
_NAME: Final = 12
"""Most cells of a step's name."""
_SHORTEST_BAR: Final = 2


class TraceStrip(Framed):
    """The steps of a trace as bars by duration, and its current work."""

    can_focus = False

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.clock: Callable[[Instant], str] = lambda instant: span_format.clock(
            instant, span_format.local_zone(), self._now
        )
        self._trace: Trace | None = None
        self._baselines: Mapping[str, Baseline] = {}
        self._past: PastRuns = {}
        self._now: Instant = 0

    @property
    def count(self) -> int:
        return 2

    def show(
        self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant, past: PastRuns
    ) -> None:
        """Show a trace as of `now`."""
        self._trace, self._baselines, self._now, self._past = trace, baselines, now, past
        self.refresh()

    def tick(self, now: Instant) -> None:
        """Set the time; repaints only if a span is in flight."""
        if self._trace is not None and any(s.in_flight for s in self._trace.spans):
            self._now = now
            self.refresh()

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        if self._trace is None:
            return (), False
        return (self._bars(width) if index == 0 else self._facts(width)), False

    def _bars(self, width: int) -> list[Piece]:
        assert self._trace is not None
        root = self._trace.root
        total = format_duration(root.elapsed(self._now))
        if (usual := span_format.usual(self._baselines.get(root.key))) is not None:
            total += f"/~{format_duration(usual.p50)}"
        steps = _steps(self._trace)
        names = [_short(s.name) for s in steps]
        room = width - 2 - len(total) - 2
        ahead = self._ahead(room // 3)
        room -= width_of(ahead)
        while steps and sum(cell_len(n) + _SHORTEST_BAR + 4 for n in names) > room:
            steps, names = steps[1:], names[1:]
        room -= sum(cell_len(n) + 4 for n in names)
        took = [max(s.elapsed(self._now) or 0, 1) for s in steps]
        pieces: list[Piece] = [(" ", "text")]
        used = 1
        for step, name, duration in zip(steps, names, took, strict=True):
            length = max(room * duration // max(sum(took), 1), _SHORTEST_BAR)
            length = min(length, max(room - _SHORTEST_BAR * (len(steps) - 1), _SHORTEST_BAR))
            glyph, bar, role = self._stroke(step, min(length, 14))
            pieces += [(f"{name} ", "text"), (glyph, role), (f"{bar}  ", role)]
            used += cell_len(name) + 2 + len(bar) + 2
        pieces += ahead
        used += width_of(ahead)
        pieces += [(" " * max(width - used - len(total) - 1, 1), "text"), (total, "text")]
        return pieces

    def _ahead(self, room: int) -> list[Piece]:
        """The expected next steps that fit into `room`."""
        assert self._trace is not None
        root, glyphs = self._trace.root, self.look.glyphs
        if span_format.is_stale(root, self._baselines.get(root.key), self._now):
            return []
        children = children_of(self._trace.spans).get(root.key, [])
        pieces: list[Piece] = []
        for step in expected_of(root, children, self._past, self._now):
            text = f"{_short(step.name)} {glyphs.queue}{glyphs.expected * _SHORTEST_BAR}  "
            if width_of([*pieces, (text, "dim")]) > room:
                break
            pieces.append((text, "dim"))
        return pieces

    def _stroke(self, span: Span, length: int) -> tuple[str, str, str]:
        glyphs = self.look.glyphs
        glyph, _, role = span_format.state(span, glyphs, self._now, self._baselines.get(span.key))
        if span.in_flight:
            return glyph, glyphs.partial * (length - 1) + glyphs.tip, role
        return glyph, glyphs.bar * length, role

    def _facts(self, width: int) -> list[Piece]:
        assert self._trace is not None
        facts: list[str] = []
        now = going_on(self._trace.spans)
        if now is not None:
            elapsed = format_duration(now.elapsed(self._now))
            facts.append(clean(f"now: {_doing(self._trace, now)} ({elapsed})", 60))
            if now.actor:
                facts.append(clean(f"by {now.actor}", 40))
        facts += span_format.trace_facts(self._trace, self.clock, self._now)
        dot = f" {self.look.glyphs.dot} "
        return [(fit(" " + dot.join(facts), width, ellipsis=self.look.glyphs.ellipsis), "dim")]


def _doing(trace: Trace, span: Span) -> str:
    """The current work of a span: its stage, or its name if the stage says only that it runs."""
    if span_format.is_phase(span):
        above = next((s for s in trace.spans if s.key == span.parent_key), span)
        span = above._replace(stage=span.name)
    if not span_format.says_more(span.stage):
        return span.name
    is_titled = span.key == trace.root.key
    return span.stage if is_titled else f"{span.name} {span.stage}"


def _short(name: str) -> str:
    return fit(clean(name), min(cell_len(clean(name)), _NAME))


def _steps(trace: Trace) -> list[Span]:
    """The last steps directly below the root; the root itself if it has none."""
    below = [s for s in trace.spans if s.parent_key == trace.root.key]
    steps = [s for s in below if s.started_at is not None and s.operation not in ("review", "push")]
    return (steps or [trace.root])[-_MAX_STEPS:]
