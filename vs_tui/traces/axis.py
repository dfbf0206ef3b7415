"""The time axis of a waterfall: instants to columns, with long waits drawn short.

A delivery is open for days and works for minutes; on a linear axis its builds would be less
than a column wide. A compressed axis gives each long wait a few columns and the rest to work.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Duration, Instant

WAIT_COLUMNS: Final = 3
SHORTEST: Final = 2 * SECOND
"""The shortest window that zooming in leads to."""
Window = tuple[Instant, Instant]
_COMPRESS_FROM: Final = 0.5
"""Waits are drawn short when together they are more than this share of the time."""
_STEPS: Final = (
    SECOND,
    2 * SECOND,
    5 * SECOND,
    10 * SECOND,
    30 * SECOND,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    30 * DAY,
    90 * DAY,
)


@dataclass(frozen=True, slots=True)
class Axis:
    """Piecewise linear from instants to columns."""

    times: Sequence[Instant]
    """Ascending; at least two."""
    columns: Sequence[float]
    breaks: Sequence[float] = ()
    """Columns at which a wait is drawn short."""

    @property
    def begin(self) -> Instant:
        return self.times[0]

    @property
    def end(self) -> Instant:
        return self.times[-1]

    def column(self, at: Instant) -> float:
        """The column of an instant; before the begin and after the end it goes on linearly."""
        index = min(max(bisect_right(self.times, at) - 1, 0), len(self.times) - 2)
        t0, t1 = self.times[index], self.times[index + 1]
        x0, x1 = self.columns[index], self.columns[index + 1]
        return x0 + (x1 - x0) * (at - t0) / max(t1 - t0, 1)


def linear(begin: Instant, end: Instant, width: int) -> Axis:
    """The plain axis over a window."""
    return Axis((begin, max(end, begin + 1)), (0.0, float(max(width, 1))))


def fitted(
    busy: Iterable[tuple[Instant, Instant]], begin: Instant, end: Instant, width: int
) -> Axis:
    """An axis over [begin, end] that draws long waits between the `busy` intervals short."""
    end = max(end, begin + 1)
    merged = _merge(busy, begin, end)
    waits = [(a, b) for a, b in _between(merged, begin, end) if b - a > (end - begin) // 20]
    waited = sum(b - a for a, b in waits)
    room = width - WAIT_COLUMNS * len(waits)
    if waited < _COMPRESS_FROM * (end - begin) or room < width // 3 or waited >= end - begin:
        return linear(begin, end, width)
    scale = room / (end - begin - waited)
    times: list[Instant] = [begin]
    columns: list[float] = [0.0]
    breaks: list[float] = []
    for a, b in waits:
        if a > times[-1]:
            columns.append(columns[-1] + (a - times[-1]) * scale)
            times.append(a)
        breaks.append(columns[-1])
        columns.append(columns[-1] + WAIT_COLUMNS)
        times.append(b)
    if end > times[-1]:
        columns.append(float(width))
        times.append(end)
    return Axis(tuple(times), tuple(columns), tuple(breaks))


def _merge(
    busy: Iterable[tuple[Instant, Instant]], begin: Instant, end: Instant
) -> list[tuple[Instant, Instant]]:
    merged: list[tuple[Instant, Instant]] = []
    for a, b in sorted((max(a, begin), min(b, end)) for a, b in busy if a <= end and b >= begin):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]))
        else:
            merged.append((a, b))
    return merged


def _between(
    merged: Sequence[tuple[Instant, Instant]], begin: Instant, end: Instant
) -> Iterable[tuple[Instant, Instant]]:
    position = begin
    for a, b in merged:
        if a > position:
            yield position, a
        position = max(position, b)
    if end > position:
        yield position, end


def moved(
    action: str, window: Window | None, whole: Window, focus: Instant | None = None
) -> Window | None:
    """The window that zooming (around `focus`) or panning leads to; None: all of it."""
    begin, end = window or whole
    length = end - begin
    if action == "zoom_in":
        middle = focus if focus is not None else (begin + end) // 2
        half = max(length // 4, SHORTEST // 2)
        return middle - half, middle + half
    if action == "zoom_out":
        begin, end = begin - length // 2, end + length // 2
        return None if begin <= whole[0] and end >= whole[1] else (begin, end)
    if window is None:
        return None
    step = length // 8 if action == "later" else -(length // 8)
    # Half of what is shown stays within the whole: there is nothing to see beyond.
    begin = min(max(begin + step, whole[0] - length // 2), whole[1] - length // 2)
    return begin, begin + length


def ticks(begin: Instant, end: Instant, width: int, spacing: int = 8) -> list[Instant]:
    """Round offsets from `begin`, about every `spacing` columns."""
    wanted = max(width // spacing, 1)
    step: Duration = next((s for s in _STEPS if (end - begin) / s <= wanted), _STEPS[-1])
    count = min(int((end - begin) // step), 50)
    return [begin + n * step for n in range(count + 1)]


def offset_text(offset: Duration) -> str:
    """`0`, `30s`, `5m`, `2h`, `3d`: a tick's label."""
    if offset == 0:
        return "0"
    for unit, size in (("d", DAY), ("h", HOUR), ("m", MINUTE)):
        if offset % size == 0:
            return f"{offset // size}{unit}"
    return f"{offset // SECOND}s"
