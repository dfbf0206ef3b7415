"""The time axis of a waterfall: its visible part; the lines above the bars (true time, clock, ruler
with breaks) and the legend below them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Final

from rich.cells import cell_len

from vs_tui.model.time import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Duration,
    Instant,
    format_duration,
    to_datetime,
)
from vs_tui.model.vocabulary import Span
from vs_tui.traces.steps import bounds, end_at
from vs_tui.traces.time_axis import (
    Axis,
    Interval,
    Viewport,
    fitted,
    followed,
    linear,
    moved_to,
    panned,
    short,
    ticks,
    zoomed_in,
    zoomed_out,
)
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.theme import Glyphs
from vs_tui.tui.widgets.waterfall_rows import NARROW, Canvas, Scene, widths

ZOOMS: Final = frozenset({"zoom_in", "zoom_out", "earlier", "later", "fit", "whole", "true_axis"})
"""Actions on the time axis."""


class Zoom:
    """The axis of a trace and the window on it."""

    def __init__(self) -> None:
        self.whole: Axis = linear(0, 1, 1)
        self.window: Viewport | None = None
        """The visible part; None shows the whole axis."""
        self.true_axis = False
        """Whether the axis is linear, without breaks."""
        self._now: Instant = 0

    @property
    def shown(self) -> Axis:
        """The visible part of the axis."""
        return self.window.of(self.whole) if self.window is not None else self.whole

    def renew(self, whole: Axis, now: Instant) -> None:
        """Replace the axis of the same trace; a window that shows now moves on with it."""
        if self.window is not None and self._now:
            self.window = followed(self.whole, self._now, whole, now, self.window)
        self.whole, self._now = whole, now

    def fit(self, begins: Instant, ends: Instant) -> None:
        """Zoom to an interval."""
        self.window = fitted(self.whole, begins, ends)

    def move_to(self, at: Instant) -> None:
        """Move the window to a moment, with the same width."""
        if self.window is not None:
            self.window = moved_to(self.whole, self.window, at)

    def bring_in(self, begins: Instant, ends: Instant) -> bool:
        """Move the window to a bar outside it; returns whether it moved."""
        if self.window is None:
            return False
        first, last = self.shown.cells(begins, ends)
        if last > 0 and first < self.whole.width:
            return False
        middle = (self.whole.column(begins) + self.whole.column(ends)) / 2
        self.move_to(self.whole.instant(middle))
        return True

    def act(self, action: str, bar: Interval | None) -> str:
        """Run one of `ZOOMS`; `bar` is the selected interval. Returns why nothing changed, else
        empty."""
        before = self.window
        if action == "true_axis":
            self.true_axis, self.window = not self.true_axis, None
        elif action == "whole":
            self.window = None
        elif action == "zoom_in":
            closer = zoomed_in(self.whole, before, self._focus(bar))
            self.window = closer or before
            return "" if closer else "this is the closest"
        elif action == "fit":
            if bar is not None:
                found = fitted(self.whole, *bar)
                self.window = None if found == before else found
        elif before is None:
            return "all of it is shown; {zoom_in} zooms in"
        elif action == "zoom_out":
            self.window = zoomed_out(self.whole, before)
        else:
            self.window = panned(self.whole, before, 1 if action == "later" else -1)
            moved = self.whole.column(self.window.begins) - self.whole.column(before.begins)
            if abs(moved) < 0.01:
                return f"this is the {'end' if action == 'later' else 'begin'}"
        return ""

    def _focus(self, bar: Interval | None) -> Instant:
        """The middle of the visible part of the bar, or of the window without a bar."""
        axis = self.shown
        if bar is None:
            return axis.instant(axis.width / 2)
        first, last = axis.column(bar[0]), axis.column(bar[1])
        return axis.instant((max(first, 0.0) + min(last, float(axis.width))) / 2)


_APART: Final = 14
"""Approximate columns between two clock labels."""


def true_time(scene: Scene, whole: tuple[Instant, Instant], work: Iterable[Span]) -> list[Piece]:
    """The whole time on one linear line: the work of machines, names of waits where they fit, and
    the window of the axis in brackets."""
    begin, end = whole
    width, glyphs = scene.width, scene.look.glyphs
    line = Axis((begin, max(end, begin + 1)), (0.0, float(width)), width)
    canvas = Canvas(width)
    bars = [line.cells(span.at, end_at(span, scene.now)) for span in work]
    covered = {column for first, last in bars for column in range(first, last)}
    for wait in scene.outline.waits.values():
        first, last = line.cells(wait.begins, wait.ends)
        if last - first < 2:
            continue
        canvas.fill(first, last, glyphs.line, "gap")
        canvas.write(first, glyphs.begins, "gap")
        canvas.write(min(last, width) - 1, glyphs.ends, "gap")
        # Bars are painted over waits, so put the name where no bar covers it.
        free, room = _longest_run(c for c in range(first + 1, last - 1) if c not in covered)
        name = wait.name.partition(":")[0]
        text = next(
            (t for t in (f" {name} {short(wait.duration)} ", f" {name} ", name)
             if cell_len(t) == len(t) <= room), "")  # fmt: skip
        canvas.write(free + (room - len(text)) // 2, text, "dim")
    for first, last in bars:
        canvas.fill(first, last, glyphs.beside, "bar_run")
    if begin <= scene.now < end or any(span.in_flight for span in work):
        column = min(int(line.column(scene.now)), width - 1)
        canvas.fill(column, column + 1, glyphs.tip, "bar_run")
    if not scene.axis.is_whole:
        first, last = line.cells(*scene.axis.shown)
        canvas.write(max(min(first, width - 2), 0), "[", "key")
        canvas.write(max(min(last - 1, width - 1), 1), "]", "key")
    return canvas.pieces()


def _longest_run(columns: Iterable[int]) -> tuple[int, int]:
    """(first column, length) of the longest run of adjacent columns; (0, 0) without columns."""
    best, start, length = (0, 0), 0, 0
    for column in columns:
        start, length = (start, length + 1) if column == start + length else (column, 1)
        best = max(best, (start, length), key=lambda run: run[1])
    return best


def clock_line(scene: Scene, zone: tzinfo | None) -> list[Piece]:
    """Clock times at the start of each segment and at round times. A label without room is left
    out, never moved."""
    canvas = Canvas(scene.width)
    column = _now_column(scene)
    if column is not None:
        canvas.write(min(column, scene.width - 3), "now", "dim")
    day = None
    for at in _labelled(scene, zone):
        local = to_datetime(at).astimezone(zone)
        text = local.strftime("%H:%M:%S" if scene.axis.scale < 2 * SECOND else "%H:%M")
        if day != local.date():
            text = f"{_day(at, scene.now, zone)}{text}"
        if canvas.put(_column(scene, at), text, "dim"):
            day = local.date()
    return canvas.pieces()


def ruler(scene: Scene, zone: tzinfo | None) -> list[Piece]:
    """The segments, the breaks between them with the time they hide, and a mark for now."""
    axis, glyphs, width = scene.axis, scene.look.glyphs, scene.width
    canvas = Canvas(width)
    first, last = axis.cells(axis.begin, axis.end)
    canvas.fill(first, last, glyphs.line, "gap")
    for at in _labelled(scene, zone):
        canvas.fill(_column(scene, at), _column(scene, at) + 1, glyphs.tick, "gap")
    for broken in axis.breaks:
        begin, until = broken.cells
        canvas.fill(begin, until, glyphs.left_out, "gap")
        middle = (begin + until - len(broken.label)) // 2
        canvas.write(middle, broken.label, "dim")
    begins = axis.shown[0]
    if begins - axis.begin > axis.scale:
        canvas.write(0, f"{glyphs.before}{short(begins - axis.begin)}", "dim")
    if axis.columns[-1] > width + 0.5:
        canvas.write(width - 1, glyphs.after, "dim")
    column = _now_column(scene)
    if column is not None:
        canvas.write(column, glyphs.now, "text")
    return canvas.pieces()


def scale_text(axis: Axis, glyphs: Glyphs, *, short_form: bool) -> str:
    """The scale of the axis: `1 column = 75s of work; ≈ hides 2d 1h`."""
    text = f"1 column = {_length(round(axis.scale))}"
    if not axis.breaks or short_form:
        return text
    return f"{text} of work; {glyphs.left_out} hides {format_duration(axis.hidden)}"


def _length(duration: Duration) -> str:
    if duration < SECOND // 1_000:
        return "<1ms"
    if duration < SECOND:
        return f"{duration / SECOND:.2g}s"
    if duration < 10 * SECOND:
        return f"{duration / SECOND:.1f}s".replace(".0s", "s")
    if duration < 2 * MINUTE:
        return f"{duration // SECOND}s"
    if duration < 2 * HOUR:
        return f"{duration // MINUTE}m"
    return short(duration)


def _now_column(scene: Scene) -> int | None:
    """The column of now; None if it is outside the window or after the trace's end."""
    axis = scene.axis
    column = int(axis.column(scene.now))
    return column if axis.begin <= scene.now <= axis.end and 0 <= column < scene.width else None


def _column(scene: Scene, at: Instant) -> int:
    return int(scene.axis.column(at) + 1e-4)


def _labelled(scene: Scene, zone: tzinfo | None) -> list[Instant]:
    """The starts of the segments, and round times within long ones."""
    axis, width = scene.axis, scene.width
    bounds = [axis.begin, *(b.ends for b in axis.breaks)]
    stops = [*(b.begins for b in axis.breaks), axis.end]
    begins, ends = axis.shown
    found: list[Instant] = []
    for start, stop in zip(bounds, stops, strict=True):
        first, last = max(start, begins), min(stop, ends)
        if first >= last:
            continue
        found.append(first)
        columns = axis.column(last) - axis.column(first)
        offset = to_datetime(first).astimezone(zone).utcoffset()
        shift = round(offset.total_seconds()) * SECOND if offset is not None else 0
        for tick in ticks(first, last, int(columns) // _APART, shift):
            column = axis.column(tick)
            if column - axis.column(first) >= _APART / 2 and column < width - 4:
                found.append(tick)
    return found


def _day(at: Instant, now: Instant, zone: tzinfo | None) -> str:
    """The day before a clock time: empty today, `Wed ` within a week, else `19 Nov `."""
    local, today = (to_datetime(i).astimezone(zone) for i in (at, now))
    if local.date() == today.date():
        return ""
    if abs(now - at) < 6 * DAY:
        return local.strftime("%a ")
    return local.strftime("%d %b " if abs((today - local).days) < 300 else "%b %Y ")


_NO_WORK = frozenset({"issue", "pull_request", "sprint", "incident", "stage", "push"})


def head(
    y: int,
    width: int,
    scene: Scene,
    *,
    spans: Sequence[Span],
    whole: tuple[Instant, Instant],
    zone: tzinfo | None,
    true_axis: bool,
) -> list[Piece]:
    """Line `y` of the head: 0 the true time, 1 titles and clock, 2 the ruler."""
    label, _, by = widths(width)
    narrow = width < NARROW
    if y == 0:
        begun, ended = bounds(spans, scene.now)
        name = " true time, all of it" if scene.axis.is_whole else " true time, [ ] is shown"
        took = format_duration(ended - begun)
        return [
            (f"{fit(name, label)} ", "dim"),
            *true_time(scene, whole, [s for s in spans if s.operation not in _NO_WORK]),
            (f" {took:>8}", "dim"),
        ]
    if y == 1:
        tail = f" {'dur':>8} {scene.look.glyphs.critical:<2} {'state':<8}"
        tail += f" {'by':<{by - 1}}" if by else ""
        return [(fit(" step", label) + " ", "dim"), *clock_line(scene, zone),
                (tail, "dim")]  # fmt: skip
    name = " axis: true time" if true_axis and not narrow else ""
    text = scale_text(scene.axis, scene.look.glyphs, short_form=narrow)
    return [(fit(f" {text}{'; ' + name.strip() if name else ''}", label) + " ", "dim"),
            *ruler(scene, zone)]  # fmt: skip


def legend(scene: Scene, width: int) -> Sequence[Piece]:
    """The meanings of the marks, cut to the width; that of breaks only where the axis has some."""
    g = scene.look.glyphs
    left_out = f"{g.left_out} left out" if scene.axis.breaks else ""
    if width < NARROW:
        marks = [
            f" {g.bar} ran {g.partial}{g.tip} runs {g.idle} waits for a person",
            f"{g.expected} expected",
            left_out if scene.axis.is_whole else f"{g.before} begins before",
            f"{g.critical} decides",
        ]
        text = " ".join(filter(None, marks))
    else:
        marks = [
            f" {g.critical} {g.bar} ran, decides the end",
            f"{g.beside} ran beside",
            f"{g.partial}{g.tip} runs",
            f"{g.idle} waits",
            f"{g.expected} expected",
            left_out,
            f"{g.critical}n: n of them inside",
            f"{g.before}{g.after} goes on",
        ]
        text = "  ".join(filter(None, marks))
    return [(fit(text, width, ellipsis=g.ellipsis), "dim")]
