"""A chart of one metric over its window, drawn by plotext.

plotext takes a quarter of a second to import and tens of milliseconds to draw, so draw it in a
thread, and only while a chart is on the screen.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from vs_tui.metrics import texts
from vs_tui.metrics.cards import is_count, text_of
from vs_tui.metrics.definitions import Figure
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.sparkline import condensed

_ASCII: Final = str.maketrans("┌┐└┘├┤┬┴┼─│", "+++++++++-|")
_drawing = threading.Lock()
"""Lock for plotext, which draws on one global canvas."""
_FRAME: Final = 2
"""Columns of the frame at the left and the right of the bars."""
_WIDEST: Final = 8
"""Most columns of a bar."""
_LABEL: Final = 14
"""Fewest columns between the starts of two labels below the bars."""
_LEAST: Final = (20, 6)
"""Smallest useful size of a chart, in columns and lines."""


def chart(
    figure: Figure, labels: Sequence[str], size: tuple[int, int], look: Look
) -> tuple[str, ...]:
    """The lines of a bar chart with a zero base; `size` is (columns, lines). Empty without values
    above zero or without room. `labels` name the buckets. A bucket without data has no bar."""
    width, height = size
    top = max((value for value in figure.series if value is not None), default=0.0)
    if top <= 0 or width < _LEAST[0] or height < _LEAST[1]:
        return ()
    heights = [top * n / 2 for n in range(3)]
    words = [_say(figure, value) for value in heights]
    room = width - max(map(cell_len, words)) - _FRAME
    shown = condensed(figure.series, room // 2)
    each = min(room // len(shown), _WIDEST)
    plain = look.glyphs.bar == "#"
    import plotext

    with _drawing:
        plotext.clear_figure()
        plotext.theme("clear")
        # Every bar gets the same number of columns; plotext fills the column that a bar ends in.
        plotext.plotsize(width - room + len(shown) * each, height)
        plotext.bar(
            list(range(len(shown))),
            [value or 0 for value in shown],
            width=(each - 1) / each,
            marker="#" if plain else "sd",
        )
        plotext.xlim(-0.5, len(shown) - 0.5)
        plotext.ylim(0, top)
        plotext.yticks(heights, words)
        named = _named(labels, len(shown), max(len(shown) * each // _LABEL, 2))
        plotext.xticks([n for n, _ in named], [text for _, text in named])
        text: str = plotext.uncolorize(plotext.build())
    lines = text.rstrip("\n").splitlines()
    return tuple(line.translate(_ASCII) if plain else line for line in lines)


def _say(figure: Figure, value: float) -> str:
    return texts.number(value) if is_count(figure) else text_of(figure.metric, value)


def _named(labels: Sequence[str], cells: int, most: int) -> list[tuple[int, str]]:
    """(column, label) of the labelled bars: evenly spaced, always with the first."""
    if not labels or not cells:
        return []
    step = max(-(-cells // most), 1)
    return [(n, labels[n * len(labels) // cells]) for n in range(0, cells, step)]
