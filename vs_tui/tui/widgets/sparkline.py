"""A sparkline with a zero base and gaps: `None` is no data, not nothing."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.tui.theme import Glyphs


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """All values in `width` cells, heights from zero to the largest, so equal values look equal.

    More values than cells share cells: each shows the mean of those it has data of.
    """
    shown = condensed(values, width)
    top = max((value for value in shown if value is not None), default=0.0)
    signs = []
    for value in shown:
        if value is None:
            signs.append(glyphs.gap)
        elif top <= 0:
            signs.append(glyphs.sparks[0])
        else:
            level = round(value / top * (len(glyphs.sparks) - 1))
            signs.append(glyphs.sparks[max(level, 0)])
    return "".join(signs).rjust(width, glyphs.gap)


def condensed(values: Sequence[float | None], width: int) -> list[float | None]:
    """At most `width` values over the same time."""
    if width <= 0:
        return []
    if len(values) <= width:
        return list(values)
    found: list[float | None] = []
    for cell in range(width):
        start, stop = cell * len(values) // width, (cell + 1) * len(values) // width
        known = [value for value in values[start:stop] if value is not None]
        found.append(sum(known) / len(known) if known else None)
    return found
