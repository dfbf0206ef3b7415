"""The visible part of a time axis, and the actions that change it."""

from __future__ import annotations

from typing import Final

from vs_tui.model.time import Instant
from vs_tui.traces.time_axis import (
    Axis,
    Interval,
    Window,
    fitted,
    followed,
    linear,
    moved_to,
    panned,
    zoomed_in,
    zoomed_out,
)

ZOOMS: Final = frozenset({"zoom_in", "zoom_out", "earlier", "later", "fit", "whole", "true_axis"})
"""Actions on the time axis."""


class Zoom:
    """The axis of a trace and the window on it."""

    def __init__(self) -> None:
        self.whole: Axis = linear(0, 1, 1)
        self.window: Window | None = None
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
            return "all of it is shown; + zooms in"
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
