"""The waterfall: a foldable tree of spans beside their bars on a time axis.

Bars of spans in flight end at now with a tip, and go on dotted to the end their history lets
expect; steps that earlier runs had and this one has not begun stand dotted below it. Long waits
are drawn short until the axis is zoomed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from textual import events
from textual.message import Message

from vs_tui.model.time import Instant, format_duration
from vs_tui.model.vocabulary import Span
from vs_tui.store.reader_protocol import Baseline, Trace
from vs_tui.traces.axis import Axis, fitted, linear, moved
from vs_tui.traces.trace_tree import (
    Row,
    bounds,
    critical_path,
    end_at,
    next_match,
    tree,
    with_effects,
)
from vs_tui.traces.upcoming import Upcoming
from vs_tui.tui import span_format
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.ahead import Next, PastRuns, expected_below
from vs_tui.tui.widgets.bars import CONTEXT, Scene, axis_line, bar, dotted, minimap, waits_of
from vs_tui.tui.widgets.framed import Framed


class Waterfall(Framed):
    """One trace. `show` gives it data, `tick` the time; everything else is keys."""

    class Selected(Message):
        """The cursor is on another span."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    class Opened(Message):
        """Enter on a span without children."""

        def __init__(self, key: str) -> None:
            super().__init__()
            self.key = key

    def __init__(self, look: Look, *, mapped: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.mapped = mapped
        """Whether a minimap stands below the axis."""
        self.head_lines = 2 if mapped else 1
        self.zone = span_format.local_zone()
        self.trace: Trace | None = None
        self.now: Instant = 0
        self.selected_key = ""
        self.folded: set[str] = set()
        self._seen: set[str] = set()
        self._baselines: Mapping[str, Baseline] = {}
        self._spans: list[Span] = []
        self._effects: frozenset[str] = frozenset()
        """Those of other traces, shown because this one led to them."""
        self._rows: list[Row] = []
        self._past: PastRuns = {}
        self._next: dict[str, Next] = {}
        """Rows that are no spans: steps that are expected. The cursor passes over them."""
        self._critical: frozenset[str] = frozenset()
        self._window: tuple[Instant, Instant] | None = None
        self._scene = Scene(look, linear(0, 1, 1), 1, 0, {})

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    @property
    def selected_row(self) -> Row | None:
        return next((r for r in self._rows if r.span.key == self.selected_key), None)

    @property
    def selected(self) -> Span | None:
        row = self.selected_row
        return row.span if row else None

    @property
    def cursor(self) -> int:
        keys = [row.span.key for row in self._rows]
        return keys.index(self.selected_key) if self.selected_key in keys else 0

    def show(
        self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant, past: PastRuns
    ) -> None:
        """Show a trace; the same one keeps its cursor, folds and window."""
        if self.trace is None or self.trace.trace_id != trace.trace_id:
            self._window, self.selected_key = None, ""
            self.folded, self._seen = set(), set()
        self.trace, self._baselines, self.now, self._past = trace, baselines, now, past
        self._spans, self._effects = with_effects(trace.spans, trace.links, trace.linked)
        self._fold_new(trace)
        self._layout()

    def _fold_new(self, trace: Trace) -> None:
        """Jobs that went well begin folded: their steps are one key away."""
        parents = {span.parent_key for span in trace.spans}
        for span in trace.spans:
            quiet = span.operation == "build" and not span.status.failed and not span.in_flight
            if span.key in parents and span.key not in self._seen and quiet:
                self.folded.add(span.key)
            self._seen.add(span.key)

    def tick(self, now: Instant) -> bool:
        """Move the time; repaints only when something is in flight. Whether it did."""
        self.now = now
        if self.trace is None or not any(span.in_flight for span in self._spans):
            return False
        self._layout()
        return True

    def _layout(self) -> None:
        if self.trace is None:
            return
        self._rows = tree(self._spans, self.folded)
        self._next = expected_below(
            self._rows, self.trace.spans, self._past, self._baselines, self.now
        )
        if self._next:
            places = [step.place for step in self._next.values()]
            self._rows = tree([*self._spans, *places], self.folded)
        if self.selected_key not in {row.span.key for row in self._rows}:
            self.selected_key = self._rows[0].span.key if self._rows else ""
        self._critical = frozenset(span.key for span in critical_path(self.trace.spans, self.now))
        self._scene = self._make_scene()
        self.resized()
        self.refresh()

    def _make_scene(self) -> Scene:
        assert self.trace is not None
        width = self._bar_width(max(self.size.width - 2, 10))
        plain = Scene(self.look, linear(0, 1, width), width, self.now, self._baselines)
        return replace(plain, axis=self._make_axis(plain), waits=waits_of(self.trace, self.now))

    def _make_axis(self, scene: Scene) -> Axis:
        assert self.trace is not None
        if self._window is not None:
            return linear(*self._window, scene.width)
        begin, end = self._whole(scene)
        busy = [
            (span.at, scene.expected_end(span) or end_at(span, self.now))
            for span in self._spans
            if span.operation not in CONTEXT and span.operation != "stage"
        ]
        busy += [(n.step.begins, n.step.ends) for n in self._next.values()]
        marks = [s.at for s in self._spans if s.operation in CONTEXT]
        marks += [s.ended_at for s in self._spans if s.ended_at is not None]
        return fitted([*busy, *((m, m) for m in marks)], begin, end, scene.width)

    def _whole(self, scene: Scene) -> tuple[Instant, Instant]:
        """From the first start to the last end, seen or expected."""
        assert self.trace is not None
        begin, end = bounds(self._spans, self.now)
        expected = [scene.expected_end(span) or 0 for span in self._spans]
        return begin, max([end, *expected, *(n.step.ends for n in self._next.values())])

    @property
    def zoomed_in(self) -> bool:
        """Whether a part of the time is shown."""
        return self._window is not None

    def reveal(self, key: str) -> None:
        """Select a span and unfold what hides it."""
        if self.trace is None or key == self.selected_key:
            return
        parents = {span.key: span.parent_key for span in self._spans}
        above = parents.get(key, "")
        while above:
            self.folded.discard(above)
            above = parents.get(above, "")
        self.selected_key = key
        self._layout()
        self.scroll_to_row(self.cursor)
        self.post_message(self.Selected(key))

    # Keys.

    def act(self, action: str) -> bool:
        """Do what an action means here; False when it means nothing."""
        if self.act_move(action):
            return True
        if action in ("next_failed", "previous_failed"):
            step = 1 if action == "next_failed" else -1
            found = next_match(
                self._rows, self.cursor, lambda r: r.span.status.failed or r.hidden_failed > 0, step
            )
            if found is None:
                return False
            self._select(found)
        elif action == "open":
            self._open()
        elif action in ("fold_all", "unfold_all"):
            parents = {row.span.parent_key for row in tree(self._spans)}
            self.folded = parents if action == "fold_all" else set()
            self._layout()
        elif action in ("zoom_in", "zoom_out", "earlier", "later"):
            self._move_window(action)
        else:
            return False
        return True

    def _open(self) -> None:
        if not self._rows:
            return
        row = self._rows[self.cursor]
        if not row.children:
            self.post_message(self.Opened(row.span.key))
            return
        self.folded ^= {row.span.key}
        self._layout()

    def move(self, step: int) -> None:
        """Move the cursor among the spans, of which expected steps are none."""
        spans = [n for n, row in enumerate(self._rows) if row.span.key not in self._next]
        if spans:
            wanted = max(0, min(self.cursor + step, self.count - 1))
            below = [n for n in spans if n >= wanted]
            above = [n for n in spans if n <= wanted]
            self._select(below[0] if below and step > 0 else above[-1])

    def _select(self, index: int) -> None:
        if not self._rows or self._rows[index].span.key in self._next:
            return
        before = self.cursor
        self.selected_key = self._rows[index].span.key
        self.refresh_row(before)
        self.refresh_row(index)
        self.scroll_to_row(index)
        self.post_message(self.Selected(self.selected_key))

    def _move_window(self, action: str) -> None:
        if self.trace is None:
            return
        span = self.selected
        focus = (span.at + end_at(span, self.now)) // 2 if span else None
        self._window = moved(action, self._window, self._whole(self._scene), focus)
        self._layout()

    def _go_to_column(self, x: int) -> None:
        """A click on the minimap: show what is there, as long a time as now."""
        if self.trace is None or self._window is None:
            return
        label, width, _ = self._widths(max(self.size.width - 2, 10))
        begin, end = self._whole(self._scene)
        middle = begin + (end - begin) * min(max(x - label - 1, 0), width) // width
        half = (self._window[1] - self._window[0]) // 2
        self._window = (middle - half, middle + half)
        self._layout()

    # Painting.

    def _widths(self, width: int) -> tuple[int, int, int]:
        """(label, bar, by) columns; `by` is 0 where there is no room for it."""
        narrow = width < 90
        by = 0 if narrow else 11
        label = min(max(width * (38 if narrow else 34) // 100, 20), 44)
        # Between and behind them: duration 9, mark 2, state 9, and a space after label and state.
        return label, max(width - label - 22 - by, 8), by

    def _bar_width(self, width: int) -> int:
        return self._widths(width)[1]

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        label, bar_width, by = self._widths(width)
        if self.trace is None:
            return ()
        if y == 1:
            whole = self._whole(self._scene)
            name = " overview [shown]" if self.zoomed_in else " overview"
            begun, ended = bounds(self._spans, self.now)
            took = format_duration(ended - begun)
            return [
                (f"{fit(name, label)} ", "dim"),
                *minimap(self._spans, whole, self._scene),
                (f" {took:>8}", "dim"),
            ]
        ends = [
            span_format.clock(at, self.zone, self.now)
            for at in (self._scene.axis.begin, self._scene.axis.end)
        ]
        origin = bounds(self._spans, self.now)[0]
        axis = axis_line(self._scene, self.trace.root, origin, (ends[0], ends[1])).ljust(bar_width)
        head = f" {'stage':<{label - 1}} {axis} {'dur':>8}   {'state':<8}"
        return [(fit(head + (f" {'by':<{by - 1}}" if by else ""), width), "dim")]

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        row = self._rows[index]
        span = row.span
        label_width, _, by = self._widths(width)
        if span.key in self._next:
            return self._paint_next(row, self._next[span.key].step, label_width, by), False
        selected = span.key == self.selected_key
        glyphs = self.look.glyphs
        baseline = self._baselines.get(span.key)
        glyph, word, role = span_format.state(span, glyphs, self.now, baseline)
        pieces: list[Piece] = [(glyphs.cursor if selected else " ", "key")]
        pieces += self._label(row, label_width - 1)
        pieces.append((" ", "text"))
        unfolded = row.depth == 0 and row.children > 0 and not row.folded
        pieces += bar(span, self._scene, hidden_failed=row.hidden_failed, parent=unfolded)
        mark = glyphs.critical if span.key in self._critical else " "
        took = format_duration(span.elapsed(self.now))
        pieces += [
            (f" {took:>8} ", "text"),
            (mark, "critical"),
            (f" {glyph} {word:<6}", role),
        ]
        if by:
            pieces.append((" " + fit(span.actor or span.source, by - 1), "dim"))
        return pieces, selected

    def _paint_next(self, row: Row, step: Upcoming, label: int, by: int) -> list[Piece]:
        pieces: list[Piece] = [(" ", "text")]
        pieces += [(text, "dim") for text, _ in self._label(row, label - 1)]
        pieces.append((" ", "text"))
        pieces += dotted(step.begins, step.ends, self._scene)
        took = "~" + format_duration(step.ends - step.begins).strip()
        pieces.append((f" {took:>8}   {self.look.glyphs.queue} {'next':<6}", "dim"))
        if by:
            pieces.append((" " + fit(f"n={step.n}", by - 1), "dim"))
        return pieces

    def _label(self, row: Row, width: int) -> list[Piece]:
        glyphs = self.look.glyphs
        guides = "".join("  " if last else glyphs.pipe for last in row.lasts[:-1]) + (
            (glyphs.last if row.lasts[-1] else glyphs.branch) if row.lasts else ""
        )
        sign = ""
        if row.children:
            sign = (glyphs.folded if row.folded else glyphs.open) + " "
        is_effect = row.span.key in self._effects
        kind = (glyphs.effect if is_effect else "") + span_format.kind_in_tree(row.span)
        name = span_format.title(row.span)
        if row.folded:
            name += f" ({row.hidden})"
        if row.hidden_failed:
            name += f" {glyphs.fail}{row.hidden_failed}"
        role = "dim" if is_effect or row.span.operation == "stage" else "text"
        if row.span.status.failed or row.hidden_failed:
            role = "fail"
        guides = guides[: max(width - 8, 0)]
        room = max(width - len(guides) - len(sign) - len(kind), 0)
        return [
            (guides, "frame"),
            (sign, "key"),
            (kind, "dim"),
            (fit(name, room, ellipsis=glyphs.ellipsis), role),
        ]

    def on_resize(self) -> None:
        self._layout()
        super().on_resize()
        # Of a box that became lower the cursor may be below the end.
        self.scroll_to_row(self.cursor)

    def on_click(self, event: events.Click) -> None:
        index = self.first + event.y - 1 - self.head_lines
        if self.mapped and event.y == 2:
            self._go_to_column(event.x - 1)
        elif 0 <= index < self.count and event.y > self.head_lines:
            if index == self.cursor:
                self._open()
            else:
                self._select(index)
