"""The waterfall: a foldable tree of spans beside their bars on a time axis.

The axis omits long times in which no machine worked; zoomed, it shows a part of the time. Some rows
are not spans: waits, expected steps, links to other traces, and one row for many siblings that
succeeded. While the list is scrolled, the ancestors of its first row stay visible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textual import events
from textual.message import Message

from vs_tui.model.limits import DEFAULT_THRESHOLDS
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.critical_path import Wait
from vs_tui.traces.outline import Elsewhere, Outline, outline
from vs_tui.traces.steps import Row, bounds, end_at, tree
from vs_tui.traces.time_axis import Axis, broken, linear
from vs_tui.traces.trace_facts import CONTEXT, is_machine
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets import timeline
from vs_tui.tui.widgets.framed import CursorBox
from vs_tui.tui.widgets.timeline import ZOOMS, Zoom
from vs_tui.tui.widgets.waterfall_rows import (
    Next,
    PastRuns,
    Scene,
    expected_below,
    expected_end,
    row_pieces,
    runs_in_flight,
    widths,
    with_parents,
)


class Waterfall(CursorBox):
    """The waterfall of one trace. `show` sets the data, `tick` the time; keys do the rest."""

    class Notice(Message):
        """The reason why a key did nothing, with `{id}` for the key of an action."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, look: Look, *, full: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.full = full
        """Whether it fills the screen, with a line of the true time, a legend and links."""
        self.head_lines = 3 if full else 2
        self.tail_lines = 1 if full else 0
        self.zone = span_format.local_zone()
        self.breaks = DEFAULT_THRESHOLDS.axis_breaks
        self.trace: Trace | None = None
        self.now: Instant = 0
        self.folded: set[str] = set()
        self.outline = Outline()
        self._seen: set[str] = set()
        self._baselines: Mapping[str, Baseline] = {}
        self._rows: list[Row] = []
        self._past: PastRuns = {}
        self.next: dict[str, Next] = {}
        """Row key -> expected step. The cursor skips these rows."""
        self.zoom = Zoom()
        self.scene = Scene(look, self.zoom.whole, 0, {})

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    @property
    def selected_row(self) -> Row | None:
        return self._rows[self.cursor] if self.has_selection else None

    @property
    def selected(self) -> Span | None:
        """The selected span; None if the row is not a span."""
        row = self.selected_row
        return row.span if row is not None and self.outline.is_span(row.span.key) else None

    @property
    def selected_wait(self) -> Wait | None:
        return self.outline.waits.get(self.selected_key)

    @property
    def selected_link(self) -> Elsewhere | None:
        return self.outline.elsewhere.get(self.selected_key)

    def is_choosable(self, index: int) -> bool:
        return self._rows[index].span.key not in self.next

    def show(
        self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant, past: PastRuns
    ) -> None:
        """Show a trace; if it is the same trace, cursor, folds and window stay."""
        new = self.trace is None or self.trace.trace_id != trace.trace_id
        if new:
            self.zoom.window, self.selected_key = None, ""
            self.folded, self._seen = set(), set()
        # People keep issues and changes open, so their phases have no expected end.
        context = {span.key for span in trace.spans if span.operation in CONTEXT}
        kept = {s.key for s in trace.spans if s.operation != "stage" or s.parent_key not in context}
        self._baselines = {key: usual for key, usual in baselines.items() if key in kept}
        self.trace, self.now, self._past = trace, now, past
        self._layout()
        if new and self.full:
            self._fit_what_runs()

    def tick(self, now: Instant) -> bool:
        """Set the time; repaints only if a span is in flight, and returns whether it did."""
        self.now = now
        if self.trace is None or not any(span.in_flight for span in self.trace.spans):
            return False
        self._layout()
        return True

    def _layout(self) -> None:
        if self.trace is None:
            return
        spans = self.trace.spans
        ends = {s.key: expected_end(s, self._baselines.get(s.key), self.now) for s in spans}
        links = (self.trace.links, self.trace.linked) if self.full else ((), ())
        self.outline = outline(spans, *links, self.now, {k: e for k, e in ends.items() if e})
        self.folded |= self.outline.quiet - self._seen
        self._seen |= self.outline.quiet | {span.key for span in self.outline.spans}
        self._rows = tree(self.outline.spans, self.folded)
        self.next = expected_below(self._rows, spans, self._past, self._baselines, self.now)
        if self.next:
            places = [step.place for step in self.next.values()]
            self._rows = tree([*self.outline.spans, *places], self.folded)
        above = {span.key: span.parent_key for span in self.outline.spans}
        shown = {row.span.key for row in self._rows}
        for _ in above:
            if self.selected_key not in shown:
                self.selected_key = above.get(self.selected_key, "")  # the row that folds it
        self.set_keys(row.span.key for row in self._rows)
        self._make_scene()
        self.resized()
        self.refresh()

    def _make_scene(self) -> None:
        assert self.trace is not None
        width = widths(max(self.size.width - 2, 10))[1]
        path = with_parents(self.outline.path.keys, self.outline.spans)
        plain = Scene(self.look, linear(0, 1, width), self.now, self._baselines, self.outline, path)
        self.zoom.renew(self._make_axis(plain), self.now)
        self.scene = replace(plain, axis=self.zoom.shown)

    def _make_axis(self, scene: Scene) -> Axis:
        assert self.trace is not None
        begin, end = self.whole_time(scene)
        if self.zoom.true_axis:
            return linear(begin, end, scene.width)
        busy, instants = [], []
        for span in self.trace.spans:
            ends = scene.expected_end(span) or end_at(span, self.now)
            if is_machine(span) or (span.operation == "stage" and not _of_context(span, scene)):
                busy.append((span.at, ends))
            else:
                instants += [span.at, ends]
        busy += [(n.step.begins, n.step.ends) for n in self.next.values()]
        return broken(busy, instants, begin, end, scene.width, self.breaks)

    def whole_time(self, scene: Scene | None = None) -> tuple[Instant, Instant]:
        """(first start, last end or expected end) of the trace."""
        assert self.trace is not None
        scene = scene or self.scene
        begin, end = bounds(self.trace.spans, self.now)
        expected = [scene.expected_end(span) or 0 for span in self.trace.spans]
        return begin, max([end, *expected, *(n.step.ends for n in self.next.values())])

    def _fit_what_runs(self) -> None:
        """Zoom to the runs and deploys in flight, unless they fill the axis."""
        assert self.trace is not None
        tops = runs_in_flight(self.trace.spans, self._baselines, self.now)
        if tops:
            ends = [self.scene.expected_end(top) or self.now for top in tops]
            ends += [n.step.ends for n in self.next.values()]
            self.zoom.fit(min(top.at for top in tops), max(ends))
            self._make_scene()

    @property
    def zoomed_in(self) -> bool:
        """Whether only a part of the time is shown."""
        return self.zoom.window is not None

    def reveal(self, key: str) -> None:
        """Select a row and unfold its ancestors."""
        if self.trace is None or key == self.selected_key:
            return
        parents = {span.key: span.parent_key for span in self.outline.spans}
        above = parents.get(key, "")
        while above:
            self.folded.discard(above)
            above = parents.get(above, "")
        self._layout()
        self.go_to(self._places.get(key, self.cursor))

    # Keys.

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            return self.go_to_next(self._is_failed, 1 if action == "next_failed" else -1)
        if action in ("fold_all", "unfold_all"):
            parents = {row.span.parent_key for row in tree(self.outline.spans)}
            self.folded = parents if action == "fold_all" else set()
            self._layout()
        elif action in ZOOMS:
            self._zoom(action)
        else:
            return super().act(action)
        return True

    def _is_failed(self, index: int) -> bool:
        row = self._rows[index]
        return row.span.status.failed or row.hidden_failed > 0

    def open_row(self) -> None:
        """Fold or unfold the selected row; open it if it has no children."""
        row = self.selected_row
        if row is None or not row.children:
            super().open_row()
        else:
            self.folded ^= {row.span.key}
            self._layout()

    def go_to(self, index: int) -> None:
        super().go_to(index)
        interval = self._selected_interval()
        if interval is not None and self.zoom.bring_in(*interval):
            self._layout()

    def _selected_interval(self) -> tuple[Instant, Instant] | None:
        """(begin, end or expected end) of the selected bar."""
        row = self.selected_row
        if row is None or row.span.operation == "link":
            return None
        return row.span.at, self.scene.expected_end(row.span) or end_at(row.span, self.now)

    def _zoom(self, action: str) -> None:
        if self.trace is None:
            return
        told = self.zoom.act(action, self._selected_interval())
        if told:
            self.post_message(self.Notice(told))
        self._layout()

    # Painting.

    @property
    def sticky(self) -> Sequence[int]:
        """The root and the nearest ancestors of the first visible row."""
        most = 3 if self.size.height >= 24 else 2
        if not self.full or self.first <= 0:
            return []
        for count in range(most + 1):
            above = self._ancestors(self.first + count)
            if count >= min(len(above), most):
                return [*above[:1], *above[1:][-(count - 1) :]] if count > 1 else above[:count]
        return []

    def _ancestors(self, index: int) -> list[int]:
        """Indexes of a row's ancestors, the root first."""
        found: list[int] = []
        if index < len(self._rows):
            parent = self._rows[index].span.parent_key
            while parent in self._places and self._places[parent] not in found:
                found.append(self._places[parent])
                parent = self._rows[found[-1]].span.parent_key
        return found[::-1]

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        if self.trace is None:
            return ()
        return timeline.head(
            y if self.full else y + 1,
            width,
            self.scene,
            spans=self.trace.spans,
            whole=self.whole_time(),
            zone=self.zone,
            true_axis=self.zoom.true_axis,
        )

    def paint_tail(self, y: int, width: int) -> Sequence[Piece]:
        return timeline.legend(self.scene, width)

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        row = self._rows[index]
        selected = row.span.key == self.selected_key
        above = index < self.first + len(self.sticky) and index in self.sticky
        pieces = row_pieces(
            row, self.scene, self.next.get(row.span.key), width, selected=selected, above=above
        )
        return pieces, selected

    def on_resize(self, event: events.Resize) -> None:
        self._layout()
        super().on_resize(event)
        # In a lower box the cursor may be below the last visible row.
        self.scroll_to_row(self.cursor)

    def click_head(self, x: int, y: int) -> None:
        """On the line of the true time: move the window there, with the same width."""
        if self.trace is None or not self.full or y:
            return
        label, width, _ = widths(max(self.size.width - 2, 10))
        begin, end = self.whole_time()
        self.zoom.move_to(begin + (end - begin) * min(max(x - label - 1, 0), width) // width)
        self._layout()


def _of_context(phase: Span, scene: Scene) -> bool:
    above = next((s for s in scene.outline.spans if s.key == phase.parent_key), None)
    return above is None or above.operation in CONTEXT
