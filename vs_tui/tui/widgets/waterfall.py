"""The waterfall: a foldable tree of spans beside their bars on a time axis.

Bars of spans in flight end at now with a tip, and go on dotted to the end their history lets
expect. Long waits are drawn short until the axis is zoomed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from textual import events
from textual.message import Message

from vs_tui.domain.axis import Axis, fitted, linear, offset_text, ticks
from vs_tui.domain.instants import Instant, format_duration
from vs_tui.domain.model import Span
from vs_tui.domain.traces import Row, bounds, critical_path, end_at, next_match, tree
from vs_tui.store.api import Baseline, Trace
from vs_tui.tui import faces
from vs_tui.tui.look import Look
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.widgets.framed import Framed

_CONTEXT = frozenset({"issue", "pull_request", "sprint", "incident"})


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

    def __init__(self, look: Look, *, compact: bool = False, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.head_lines = 1
        self.compact = compact
        self.trace: Trace | None = None
        self.now: Instant = 0
        self.selected_key = ""
        self.folded: set[str] = set()
        self._seen: set[str] = set()
        self._baselines: Mapping[str, Baseline] = {}
        self._rows: list[Row] = []
        self._critical: frozenset[str] = frozenset()
        self._window: tuple[Instant, Instant] | None = None
        self._axis: Axis = linear(0, 1, 1)

    @property
    def count(self) -> int:
        return len(self._rows)

    @property
    def rows(self) -> Sequence[Row]:
        return self._rows

    @property
    def selected(self) -> Span | None:
        row = next((r for r in self._rows if r.span.key == self.selected_key), None)
        return row.span if row else None

    @property
    def cursor(self) -> int:
        keys = [row.span.key for row in self._rows]
        return keys.index(self.selected_key) if self.selected_key in keys else 0

    def show(self, trace: Trace, baselines: Mapping[str, Baseline], now: Instant) -> None:
        """Show a trace; the same one keeps its cursor, folds and window."""
        if self.trace is None or self.trace.trace_id != trace.trace_id:
            self._window, self.selected_key = None, ""
            self.folded, self._seen = set(), set()
        self.trace, self._baselines, self.now = trace, baselines, now
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
        if self.trace is None or not any(span.in_flight for span in self.trace.spans):
            return False
        self._layout()
        return True

    def _layout(self) -> None:
        if self.trace is None:
            return
        spans = self.trace.spans
        self._rows = tree(spans, self.folded)
        if self.selected_key not in {row.span.key for row in self._rows}:
            self.selected_key = self._rows[0].span.key if self._rows else ""
        self._critical = frozenset(span.key for span in critical_path(spans, self.now))
        self._axis = self._make_axis()
        self.resized()
        self.refresh()

    def _make_axis(self) -> Axis:
        assert self.trace is not None
        width = self._bar_width(max(self.size.width - 2, 10))
        begin, end = bounds(self.trace.spans, self.now)
        for span in self.trace.spans:
            end = max(end, self._expected_end(span) or end)
        if self._window is not None:
            return linear(*self._window, width)
        busy = [
            (span.at, self._expected_end(span) or end_at(span, self.now))
            for span in self.trace.spans
            if span.operation not in _CONTEXT and span.operation != "stage"
        ]
        marks = [s.at for s in self.trace.spans if s.operation in _CONTEXT]
        marks += [s.ended_at for s in self.trace.spans if s.ended_at is not None]
        return fitted([*busy, *((m, m) for m in marks)], begin, end, width)

    def _expected_end(self, span: Span) -> Instant | None:
        """When history lets it end: its start and the median; None when that has passed."""
        baseline = self._baselines.get(span.key)
        if not span.in_flight or baseline is None or span.started_at is None:
            return None
        expected = span.started_at + baseline.p50
        return expected if expected > self.now else None

    # Keys.

    def act(self, action: str) -> bool:
        """Do what an action means here; False when it means nothing."""
        page = self.rows_visible
        steps = {
            "down": 1,
            "up": -1,
            "page_down": page,
            "page_up": -page,
            "top": -self.count,
            "bottom": self.count,
        }
        if action in steps:
            self._select(max(0, min(self.cursor + steps[action], self.count - 1)))
        elif action in ("next_failed", "previous_failed"):
            step = 1 if action == "next_failed" else -1
            found = next_match(
                self._rows, self.cursor, lambda r: r.span.status.failed or r.hidden_failed > 0, step
            )
            if found is not None:
                self._select(found)
        elif action == "open":
            self._open()
        elif action in ("fold_all", "unfold_all"):
            parents = (
                {row.span.parent_key for row in tree(self.trace.spans)} if self.trace else set()
            )
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

    def _select(self, index: int) -> None:
        if not self._rows:
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
        begin, end = self._window or bounds(self.trace.spans, self.now)
        length = end - begin
        span = self.selected
        if action == "zoom_in":
            middle = (span.at + end_at(span, self.now)) // 2 if span else (begin + end) // 2
            half = max(length // 4, 1_000_000)
            self._window = (middle - half, middle + half)
        elif action == "zoom_out":
            whole = bounds(self.trace.spans, self.now)
            begin, end = begin - length // 2, end + length // 2
            wide = begin <= whole[0] and end >= whole[1]
            self._window = None if wide else (begin, end)
        else:
            step = length // 8 if action == "later" else -(length // 8)
            self._window = (begin + step, end + step)
        self._layout()

    # Painting.

    def _widths(self, width: int) -> tuple[int, int, int, int]:
        """(label, bar, duration, state) columns; `by` has what is left."""
        narrow = width < 90
        label = min(max(width * 34 // 100, 20), 44)
        by = 0 if narrow or self.compact else 11
        return label, max(width - label - 9 - 10 - by - 2, 8), 8, by

    def _bar_width(self, width: int) -> int:
        return self._widths(width)[1]

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        label, bar, _, by = self._widths(width)
        axis = [" "] * bar
        glyphs = self.look.glyphs
        for instant in (
            ticks(self._axis.begin, self._axis.end, bar) if not self._axis.breaks else ()
        ):
            text = offset_text(instant - self._axis.begin)
            column = int(self._axis.column(instant))
            if 0 <= column <= bar - len(text):
                axis[column : column + len(text)] = text
        if self._axis.breaks:
            begin = faces.clock(self._axis.begin, faces.local_zone(), self.now)
            axis[: len(begin)] = begin[:bar]
            for column_at in self._axis.breaks:
                column = int(column_at) + 1
                if column < bar:
                    axis[column] = glyphs.gap
        now = self._axis.column(self.now)
        if self.trace and 0 <= now < bar and any(s.in_flight for s in self.trace.spans):
            text = f"{glyphs.now}now"
            column = min(int(now), bar - len(text))
            if column >= 0:
                axis[column : column + len(text)] = text
        head = f" {'stage':<{label - 1}} {''.join(axis)} {'dur':>8}  {'state':<8}"
        return [(fit(head + (f"{'by':<{by}}" if by else ""), width), "dim")]

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        row = self._rows[index]
        span = row.span
        label_width, bar_width, _, by = self._widths(width)
        selected = span.key == self.selected_key
        glyphs = self.look.glyphs
        baseline = self._baselines.get(span.key)
        glyph, word, role = faces.state(span, glyphs, self.now, baseline)
        pieces: list[Piece] = [(glyphs.cursor if selected else " ", "key")]
        pieces += self._label(row, label_width - 1)
        pieces.append((" ", "text"))
        pieces += self._bar(span, bar_width, row.hidden_failed)
        mark = glyphs.critical if span.key in self._critical else " "
        took = format_duration(span.elapsed(self.now))
        pieces += [
            (f" {took:>8}", "text"),
            (mark, "critical"),
            (f" {glyph} {word:<6}", role),
        ]
        if by:
            pieces.append((" " + fit(span.actor or span.source, by - 1), "dim"))
        return pieces, selected

    def _label(self, row: Row, width: int) -> list[Piece]:
        glyphs = self.look.glyphs
        guides = "".join("  " if last else glyphs.pipe for last in row.lasts[:-1]) + (
            (glyphs.last if row.lasts[-1] else glyphs.branch) if row.lasts else ""
        )
        sign = ""
        if row.children:
            sign = (glyphs.folded if row.folded else glyphs.open) + " "
        name = row.span.name
        if row.span.operation == "deploy" and row.span.environment:
            name = f"{name} {glyphs.arrow} {row.span.environment}"
        if row.folded:
            name += f" ({row.hidden})"
        role = "dim" if row.span.operation == "stage" else "text"
        if row.span.status.failed:
            role = "fail"
        guides = guides[: max(width - 8, 0)]
        room = width - len(guides) - len(sign)
        return [
            (guides, "frame"),
            (sign, "key"),
            (fit(name, room, ellipsis=glyphs.ellipsis), role),
        ]

    def _bar(self, span: Span, width: int, hidden_failed: int) -> list[Piece]:
        glyphs = self.look.glyphs
        end = end_at(span, self.now)
        begin = span.at
        left = self._axis.column(begin)
        right = self._axis.column(end)
        if right < 0 or left >= width:
            return [(" " * width, "text")]
        first = max(int(left), 0)
        last = max(min(int(-(-right // 1)), width), min(first + 1, width))
        role = "bar_ok"
        sign = glyphs.bar
        if span.status.failed or hidden_failed:
            role = "bar_fail"
        elif span.in_flight:
            role = "bar_wait" if span.state.name == "WAITING" else "bar_run"
            sign = glyphs.partial
        elif span.operation == "stage" and span.name in ("queued", "waiting"):
            role, sign = "gap", glyphs.expected
        if span.operation in _CONTEXT:
            sign = glyphs.line
        body = sign * (last - first)
        if span.in_flight and 0 <= right <= width and body:
            stale = faces.is_stale(span, self._baselines.get(span.key), self.now)
            body = body[:-1] + (glyphs.stale if stale else glyphs.tip)
        pieces: list[Piece] = [(" " * first, "text"), (body, role)]
        used = first + len(body)
        expected = self._expected_end(span)
        if expected is not None and used < width:
            until = min(int(self._axis.column(expected)), width)
            if until > used:
                pieces.append((glyphs.expected * (until - used), "expected"))
                used = until
        pieces.append((" " * (width - used), "text"))
        return pieces

    def on_resize(self) -> None:
        self._layout()
        super().on_resize()

    def on_click(self, event: events.Click) -> None:
        index = self.first + event.y - 1 - self.head_lines
        if 0 <= index < self.count and event.y > self.head_lines:
            if index == self.cursor:
                self._open()
            else:
                self._select(index)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        self.act("down")

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        self.act("up")
