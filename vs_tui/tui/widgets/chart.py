"""A chart of one metric over its window, drawn by plotext.

plotext takes a quarter of a second to import and tens of milliseconds to draw, so both happen in
a thread, and only when a chart is looked at.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Final

from textual.message import Message

from vs_tui.tui.paint import Piece
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.framed import Framed
from vs_tui.tui.widgets.sparkline import condensed

_ASCII: Final = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
_drawing = threading.Lock()
"""plotext draws on one canvas of its module."""
Y_TICKS: Final = 4
_LEAST: Final = (20, 4)
"""Columns and lines below which bars say nothing."""


def plotted(
    values: Sequence[float | None],
    labels: Sequence[str],
    width: int,
    height: int,
    *,
    say: Callable[[float], str],
    plain: bool,
) -> list[str]:
    """The lines of a bar chart with a zero base. `labels` name the buckets below it, `say` words
    a value beside it, `plain` keeps to ASCII. What is None has no bar."""
    import plotext

    bars = max(width - 12, 4)
    shown = condensed(values, bars)
    top = max((value for value in shown if value is not None), default=0.0) or 1.0
    places = list(range(len(shown)))
    with _drawing:
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.plotsize(width, height)
        # plotext takes a bar's width from the distance to the next one, so gaps are bars as well.
        plotext.bar(
            places,
            [0 if value is None else value for value in shown],
            width=0.8,
            marker="#" if plain else "sd",
        )
        plotext.xlim(-0.5, len(shown) - 0.5)
        plotext.ylim(0, top)
        heights = [top * n / (Y_TICKS - 1) for n in range(Y_TICKS)]
        plotext.yticks(heights, [say(value) for value in heights])
        named = _named(labels, len(places), max(width // 14, 2))
        plotext.xticks([n for n, _ in named], [text for _, text in named])
        text: str = plotext.uncolorize(plotext.build())
    lines = text.rstrip("\n").splitlines()
    return [line.translate(_ASCII) for line in lines] if plain else lines


def _named(labels: Sequence[str], cells: int, most: int) -> list[tuple[int, str]]:
    """Which cells below the chart get a label: evenly, the first always."""
    if not labels or not cells:
        return []
    step = max(-(-cells // most), 1)
    return [(n, labels[n * len(labels) // cells]) for n in range(0, cells, step)]


class Chart(Framed):
    """A box with a chart that fits it."""

    class Resized(Message):
        """Its size is another one: what is drawn no longer fits."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._lines: list[str] = []

    @property
    def count(self) -> int:
        return len(self._lines)

    async def draw(
        self,
        values: Sequence[float | None],
        labels: Sequence[str],
        say: Callable[[float], str],
    ) -> None:
        """Draw at the size the box has now; without any value it says so."""
        width, height = self.size.width - 2, self.size.height - 2
        if all(value is None for value in values):
            lines = [" no data in this time range"]
        elif width < _LEAST[0] or height < _LEAST[1]:
            lines = [" no room for a chart"]
        else:
            lines = await asyncio.to_thread(
                plotted,
                values,
                labels,
                width,
                height,
                say=say,
                plain=self.look.glyphs.bar == "#",
            )
        if lines != self._lines:
            self._lines = lines
            self.resized()
            self.refresh()

    def on_resize(self) -> None:
        self.post_message(self.Resized())

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        return ()

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        return [(self._lines[index], "run")], False
