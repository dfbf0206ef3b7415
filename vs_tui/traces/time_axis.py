"""The time axis of a trace: instants to columns, without the times in which no machine worked.

A trace is open for days and works for minutes; on a linear axis its builds would be less than a
column wide. A break stands for a long time without work; all segments between breaks have one
scale. Zooming works on columns: it stretches what is shown, breaks included, so no bar gets
narrower.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, floor
from typing import Final

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant, format_duration

Interval = tuple[Instant, Instant]
ROOM: Final = 30 * SECOND
"""Time kept on both sides of an instant, such as a review, next to a break."""
LEAST_COLUMNS: Final = 8
"""A gap of at most this many columns stays linear."""
_AROUND: Final = 2
"""Columns of a break beyond its label."""
_CLOSEST: Final = SECOND
"""Shortest time a column; zooming in ends here."""
_ROUNDING: Final = 1e-4
_STEPS: Final = tuple(
    unit * n
    for unit, numbers in (
        (SECOND, (1, 2, 5, 10, 15, 30)),
        (MINUTE, (1, 2, 5, 10, 15, 30)),
        (HOUR, (1, 2, 3, 6, 12)),
        (DAY, (1, 2, 7, 14, 30, 90)),
    )
    for n in numbers
)


@dataclass(frozen=True, slots=True)
class Break:
    """A time that the axis leaves out, and the columns that stand for it."""

    begins: Instant
    ends: Instant
    first: float
    until: float

    @property
    def hidden(self) -> Duration:
        return self.ends - self.begins

    @property
    def cells(self) -> tuple[int, int]:
        """The first cell and the one after the last."""
        return floor(self.first + _ROUNDING), floor(self.until + _ROUNDING)

    @property
    def label(self) -> str:
        """The time that it hides: `3h`, `1d3h`."""
        return short(self.hidden)


@dataclass(frozen=True, slots=True)
class Axis:
    """Piecewise linear from instants to columns. `width` columns are shown, from column 0 on."""

    times: Sequence[Instant]
    """Ascending; at least two."""
    columns: Sequence[float]
    width: int
    breaks: Sequence[Break] = ()
    scale: float = 1.0
    """Microseconds a column, outside of breaks."""

    @property
    def begin(self) -> Instant:
        return self.times[0]

    @property
    def end(self) -> Instant:
        return self.times[-1]

    @property
    def hidden(self) -> Duration:
        """Time that all breaks leave out."""
        return sum(b.hidden for b in self.breaks)

    @property
    def shown(self) -> Interval:
        """The first and the last moment that are shown."""
        return (
            max(self.instant(0), self.begin),
            min(self.instant(float(self.width)), self.end),
        )

    @property
    def is_whole(self) -> bool:
        """Whether the window shows the whole axis."""
        return self.columns[0] > -_ROUNDING and self.columns[-1] < self.width + _ROUNDING

    def column(self, at: Instant) -> float:
        """The column of an instant; the scale goes on before the begin and after the end."""
        index = min(max(bisect_right(self.times, at) - 1, 0), len(self.times) - 2)
        t0, t1 = self.times[index], self.times[index + 1]
        x0, x1 = self.columns[index], self.columns[index + 1]
        return x0 + (x1 - x0) * (at - t0) / max(t1 - t0, 1)

    def instant(self, column: float) -> Instant:
        """The moment at a column."""
        index = min(max(bisect_right(self.columns, column) - 1, 0), len(self.times) - 2)
        t0, t1 = self.times[index], self.times[index + 1]
        x0, x1 = self.columns[index], self.columns[index + 1]
        return round(t0 + (t1 - t0) * (column - x0) / max(x1 - x0, 1e-9))

    def cells(self, begins: Instant, ends: Instant) -> tuple[int, int]:
        """The first cell of a bar and the one after its last; at least one cell, and not cut to
        what is shown."""
        first = floor(self.column(begins) + _ROUNDING)
        return first, max(ceil(self.column(ends) - _ROUNDING), first + 1)

    def stretched(self, first: float, factor: float) -> Axis:
        """The same axis with column `first` at 0 and every column `factor` times as wide."""
        return replace(
            self,
            columns=tuple((c - first) * factor for c in self.columns),
            breaks=tuple(
                replace(b, first=(b.first - first) * factor, until=(b.until - first) * factor)
                for b in self.breaks
            ),
            scale=self.scale / factor,
        )


@dataclass(frozen=True, slots=True)
class Viewport:
    """The part of an axis that is shown: its begin and its length. It does not depend on columns,
    so it survives a resize and an axis that grows with time."""

    begins: Instant
    length: float
    """The length in columns, times the scale of the axis."""

    def of(self, whole: Axis) -> Axis:
        """The part of the whole axis that the window shows."""
        first = whole.column(self.begins)
        return whole.stretched(first, whole.width * whole.scale / max(self.length, 1.0))


def linear(begin: Instant, end: Instant, width: int) -> Axis:
    """The axis without breaks."""
    end, width = max(end, begin + 1), max(width, 1)
    return Axis((begin, end), (0.0, float(width)), width, (), (end - begin) / width)


def broken(
    busy: Iterable[Interval],
    instants: Iterable[Instant],
    begin: Instant,
    end: Instant,
    width: int,
    most: int = 5,
) -> Axis:
    """An axis over [begin, end] that leaves out long times between the `busy` intervals and the
    `instants`: at most `most` breaks, which take at most a third of the columns together. If less
    than half of the time would be hidden, nothing is."""
    end = max(end, begin + 1)
    kept = [*busy, *((i - ROOM, i + ROOM) for i in [begin, *instants, end])]
    gaps = sorted(_between(_merged(kept, begin, end)), key=lambda g: (g[0] - g[1], g[0]))
    chosen: list[Interval] = []
    hidden = taken = 0
    for gap in gaps[:most]:
        length = gap[1] - gap[0]
        columns = len(short(length)) + _AROUND
        scale = (end - begin - hidden) / max(width - taken, 1)
        if length <= LEAST_COLUMNS * scale or taken + columns > width // 3:
            break
        chosen.append(gap)
        hidden += length
        taken += columns
    if 2 * hidden < end - begin or hidden >= end - begin:
        return linear(begin, end, width)
    scale = (end - begin - hidden) / (width - taken)
    times: list[Instant] = [begin]
    columns_at: list[float] = [0.0]
    breaks: list[Break] = []
    for a, b in sorted(chosen):
        if a > times[-1]:
            columns_at.append(columns_at[-1] + (a - times[-1]) / scale)
            times.append(a)
        first = columns_at[-1]
        columns_at.append(first + len(short(b - a)) + _AROUND)
        times.append(b)
        breaks.append(Break(a, b, first, columns_at[-1]))
    if end > times[-1]:
        columns_at.append(float(width))
        times.append(end)
    return Axis(tuple(times), tuple(columns_at), width, tuple(breaks), scale)


def _merged(intervals: Iterable[Interval], begin: Instant, end: Instant) -> list[Interval]:
    merged: list[Interval] = []
    inside = ((max(a, begin), min(b, end)) for a, b in intervals if a <= end and b >= begin)
    for a, b in sorted(inside):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _between(merged: Sequence[Interval]) -> list[Interval]:
    return [(a[1], b[0]) for a, b in pairwise(merged) if b[0] > a[1]]


# Zoom. Each takes the whole axis and the window that shows a part of it (None: all of it).


def zoomed_in(whole: Axis, window: Viewport | None, focus: Instant) -> Viewport | None:
    """The window with half of the columns, around `focus`; None at the closest zoom. The new first
    column is a whole column of the old window, so no cell of a bar is lost."""
    shown = window.of(whole) if window else whole
    if shown.scale <= _CLOSEST:
        return None
    half = shown.width / 2
    first = round(shown.column(focus) - half / 2)
    first = min(first, floor(shown.columns[-1] - half + _ROUNDING))
    first = max(first, ceil(shown.columns[0] - _ROUNDING))
    return Viewport(shown.instant(float(first)), half * shown.scale)


def zoomed_out(whole: Axis, window: Viewport) -> Viewport | None:
    """The window with twice the columns, around the same middle; None once all is shown."""
    return _inside(window.of(whole), -0.5, 2.0)


def panned(whole: Axis, window: Viewport, step: int) -> Viewport:
    """The window moved by a quarter (`step` 1 or -1), at most to the end of the axis."""
    return _inside(window.of(whole), step / 4, 1.0) or window


def fitted(whole: Axis, begins: Instant, ends: Instant) -> Viewport | None:
    """The window that shows one interval, with a tenth of its length on each side; None if that is
    the whole axis."""
    room = max((ends - begins) // 10, 1)
    first, last = whole.column(begins - room), whole.column(ends + room)
    length = max(last - first, _CLOSEST * whole.width / whole.scale)
    factor = whole.width / length
    middle = (first + last) / 2
    return _inside(whole.stretched(middle - length / 2, factor), 0.0, 1.0)


def moved_to(whole: Axis, window: Viewport, at: Instant) -> Viewport:
    """The window of the same length with `at` in its middle."""
    shown = window.of(whole)
    step = shown.column(at) / shown.width - 0.5
    return _inside(shown, step, 1.0) or window


def followed(
    before: Axis, now_before: Instant, whole: Axis, now: Instant, window: Viewport
) -> Viewport:
    """The window after time has passed: it moves with now if it shows now."""
    shown = window.of(before)
    at = shown.column(now_before)
    if not 0 <= at <= shown.width:
        return window
    first = whole.column(now) - at / shown.width * window.length / whole.scale
    return Viewport(whole.instant(first), window.length)


def _inside(shown: Axis, step: float, factor: float) -> Viewport | None:
    """The window moved by `step` widths and made `factor` times as long, kept within the axis."""
    length = shown.width * factor
    begin, end = shown.columns[0], shown.columns[-1]
    if length >= end - begin - _ROUNDING:
        return None
    first = max(min(shown.width * step, end - length), begin)
    return Viewport(shown.instant(first), length * shown.scale)


# Labels.


def ticks(begin: Instant, end: Instant, most: int, offset: Duration = 0) -> list[Instant]:
    """At most `most` round moments within [begin, end]. `offset` is that of the time zone, so that
    days begin at its midnight."""
    if most < 1:
        return []
    step = next((s for s in _STEPS if (end - begin) / s <= most), None)
    if step is None:
        return []
    first = -(-(begin + offset) // step) * step - offset
    return list(range(first, end + 1, step))


def short(duration: Duration) -> str:
    """A duration in few characters: `45s`, `12m`, `3h`, `1d3h`, `12d`, `7.8y`."""
    if duration < MINUTE:
        return f"{duration // SECOND}s"
    if duration < HOUR:
        return f"{duration // MINUTE}m"
    if duration < DAY:
        return f"{duration // HOUR}h"
    days, hours = divmod(duration, DAY)
    if days >= 1000:
        return format_duration(duration)
    return f"{days}d{hours // HOUR}h" if days < 10 and hours >= HOUR else f"{days}d"
