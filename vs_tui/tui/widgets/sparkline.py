"""A sparkline with a zero base and gaps: `None` means no data, not zero."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.tui.theme import Glyphs


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """The values in `width` cells, with heights from zero to the largest value, so equal values
    look equal.

    If there are more values than cells, a cell shows the mean of its known values.
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
    """At most `width` values over the same time; each is a mean of known values."""
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
