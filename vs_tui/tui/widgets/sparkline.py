"""A sparkline with a zero base and gaps: `None` is no data, not nothing."""

from __future__ import annotations

from collections.abc import Sequence

from vs_tui.tui.look import Glyphs


def sparkline(values: Sequence[float | None], width: int, glyphs: Glyphs) -> str:
    """The last `width` values; heights from zero to the largest, so equal values look equal."""
    shown = list(values)[-width:] if width > 0 else []
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
