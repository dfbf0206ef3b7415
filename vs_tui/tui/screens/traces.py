"""Traces: a row per trace, from issue to deploy; and two traces compared stage by stage."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from textual.widget import Widget

from vs_tui.model.display import clean
from vs_tui.model.time import Duration, Instant, format_duration
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import TraceSummary
from vs_tui.traces.steps import Pair, compare
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, longest_name
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.listing import Column, Row

COLUMNS: Final = (
    Column("STATE", 8, sort="live"),
    Column("ROOT", 8, rank=2),
    Column("TITLE", 18, flex=1, sort="name"),
    Column("TEAM", 5, rank=5),
    Column("SPANS", 5, right=True, rank=4, sort="spans"),
    Column("OPEN", 4, right=True, rank=3),
    Column("FAIL", 4, right=True, rank=1, sort="failed"),
    Column("BEGAN", 12, rank=4, sort="began"),
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
        await self.dash.histories.learn_baselines([summary.root for summary in self.summaries])
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
        if self.list.is_unread:
            return "-"
        count = f"{len(self.summaries)}{'+' if self._more else ''}"
        return f"{count} {'trace' if count == '1' else 'traces'}"

    def listed_spans(self) -> Iterable[Span]:
        return [summary.root for summary in self.summaries]

    def selection(self) -> str:
        row = self.list.selected
        return row.data.root.key if row is not None and isinstance(row.data, TraceSummary) else ""

    def open_row(self, key: str) -> None:
        self.dash.navigation.open_trace(key)


COMPARED: Final = (
    Column("SPAN", 24, flex=1, sort="as they ran"),
    Column("A", 7, right=True),
    Column("B", 7, right=True),
    Column("B - A", 8, right=True, sort="change"),
    Column("", 9, rank=1),
    Column("A and what B has more", 24, flex=1, rank=2),
)
_BARS: Final = len(COMPARED) - 1
"""Index of the column with the bars."""


class CompareView(ListedView):
    """The comparison; A is the marked trace, B the other one."""

    where = "compare"
    title_text = "compare"
    words = MappingProxyType({"next_failed": "next slower"})
    offered = ("back", "sort", "next_failed", "freeze", "zoom", "export")
    columns = COMPARED
    no_span = "a row compares two spans: {back} and choose one of the traces"
    orders = MappingProxyType({"change": lambda pair, _: _by_change(pair)})
    sorts = ("as they ran", *orders)

    def __init__(self, look: Look, first: str, second: str) -> None:
        super().__init__(look)
        self._ids = (first, second)
        self._longest: Duration = 1

    def body(self) -> Iterable[Widget]:
        yield self.list

    async def load(self) -> None:
        first = await self.dash.trace(self._ids[0])
        second = await self.dash.trace(self._ids[1])
        if first is None or second is None:
            self.show_gone("one of the traces")
            return
        pairs = compare(first.spans, second.spans, self.dash.now())
        self._longest = max((max(p.first or 0, p.second or 0) for p in pairs), default=1)
        numbers = {id(pair): f"{number}" for number, pair in enumerate(pairs)}
        self.list.set_rows(
            [
                Row(numbers[id(pair)], failed=pair.verdict == "slower", data=pair)
                for pair in self.ordered(pairs)
            ]
        )
        title: list[Piece] = []
        for letter, trace in (("A", first), ("B", second)):
            began = self.dash.clock_text(min(span.at for span in trace.spans))
            title += [(f"{letter} ", "key"), (clean(span_format.title(trace.root), 60), "title")]
            title.append((f" {began}   ", "dim"))
        self.list.set_heading(
            [*title[:-1], (title[-1][0].rstrip(), "dim")], self.order_note(self.sorts[0])
        )
        slower = sum(p.verdict == "slower" for p in pairs)
        faster = sum(p.verdict == "faster" for p in pairs)
        alone = sum(p.verdict.startswith("only") for p in pairs)
        running = sum(p.verdict == "running" for p in pairs)
        told = f"{slower} slower, {faster} faster, {alone} only in one of them"
        told += f", {running} not ended yet" if running else ""
        self.list.set_foot([(told, "note")])

    def cells(self, row: Row) -> tuple[Piece, ...]:
        pair = row.data
        assert isinstance(pair, Pair)
        glyphs = self.look.glyphs
        a, b, delta = _durations(pair)
        word, role = {
            "slower": (f"{glyphs.up} slower", "bad"),
            "faster": (f"{glyphs.down} faster", "good"),
        }.get(pair.verdict, (pair.verdict, "dim"))
        return (
            ("  " * min(pair.depth, 6) + _name(pair), "text"),
            (a, "text"),
            (b, "text"),
            (delta, role),
            (word, role),
            (self._bars(pair), role),
        )

    def _bars(self, pair: Pair) -> str:
        """Both durations from the same left edge; the difference has its own sign."""
        glyphs = self.look.glyphs
        width = dict(self.list.layout_for(max(self.list.size.width - 2, 1))).get(_BARS, 0)
        a, b = (
            -(-(duration or 0) * width // self._longest) for duration in (pair.first, pair.second)
        )
        common = glyphs.bar * min(a, b)
        more = glyphs.partial * (b - a) if b > a else glyphs.expected * (a - b)
        return common + more

    def selection(self) -> str:
        return ""

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("kind", "span", "a", "b", "delta", "verdict")
        pairs = [row.data for row in self.list.rows if isinstance(row.data, Pair)]
        return titles, [(p.operation, p.name, *_durations(p), p.verdict) for p in pairs]


def _durations(pair: Pair) -> tuple[str, str, str]:
    """(duration in A, duration in B, B minus A)."""
    delta = "-"
    if pair.delta is not None:
        delta = ("+" if pair.delta >= 0 else "-") + format_duration(abs(pair.delta))
    return format_duration(pair.first), format_duration(pair.second), delta


def _name(pair: Pair) -> str:
    """Kind and name of a step, as in the waterfall."""
    kind = span_format.kind_of(pair.operation)
    if pair.operation == "stage":
        return pair.name
    return kind if pair.name == pair.operation.replace("_", " ") else f"{kind} {pair.name}"


def _by_change(pair: Pair) -> tuple[bool, Duration]:
    """Sort key: largest change first, then steps that only one trace has, longest first."""
    if pair.delta is not None:
        return False, -abs(pair.delta)
    return True, -(pair.first or pair.second or 0)
