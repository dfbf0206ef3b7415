"""The panel of facts for a number: summary in words, stages, distribution, and a chart.

plotext takes a quarter of a second to import and tens of milliseconds to draw, so draw it in a
thread, and only while a chart is on the screen.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final

from rich.cells import cell_len

from vs_tui.metrics import texts
from vs_tui.metrics.cards import (
    delta_text,
    is_count,
    is_met,
    is_small,
    remarks,
    since_text,
    text_of,
    trend_of,
    value_text,
    wanted_text,
)
from vs_tui.metrics.counted import NO_TEAM
from vs_tui.metrics.definitions import Figure
from vs_tui.metrics.report import Detail
from vs_tui.model.display import clean
from vs_tui.model.time import to_datetime
from vs_tui.tui.paint import Piece, fit
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import condensed

_BAR: Final = 14
_SHARE_BAR: Final = 6
_STAGE_COLUMNS: Final = (("p50", 5), ("mean", 5), ("share", 6))
"""The share is computed from means; the mean is shown beside the median so that they do not seem to
contradict."""


def facts_of(detail: Detail, look: Look) -> list[list[Piece]]:
    """The number in words and its distribution; for lead times also the stages."""
    found = [*_stages(detail, look), *([[]] if detail.stages else []), *_summary(detail), []]
    most = max((n for _, n in detail.distribution), default=0)
    for name, n in detail.distribution:
        bar = look.glyphs.bar * (round(n * _BAR / most) if most else 0)
        if n and not bar:
            bar = look.glyphs.partial
        found.append([(fit(name, 7), "dim"), (fit(bar, _BAR + 1), "run"), (str(n), "text")])
    if detail.marks:
        found.append([])
        found += [[(f"{n}x {clean(mark)}", "dim")] for mark, n in detail.marks.items()]
    return found


def _summary(detail: Detail) -> list[list[Piece]]:
    figure = detail.figure
    sample = f"  n={figure.n}" + (", small sample" if is_small(figure) else "")
    lines: list[list[Piece]] = [[(value_text(figure), "title"), (sample, "dim")]]
    if figure.p90 is not None:
        lines[0].append((f"  p90 {texts.brief(figure.p90)}", "dim"))
    before = delta_text(figure)
    if before:
        role = {"better": "good", "worse": "bad"}.get(trend_of(figure), "dim")
        lines.append([(f"{before} ", role), (f"against n={figure.before_n} before", "dim")])
    else:
        lines.append([("nothing before to compare with", "dim")])
    if missed := _missed(detail):
        lines.append([(missed, "dim")])
    lines += [[(clean(text), "dim")] for text in remarks(figure)]
    return lines


def _missed(detail: Detail) -> str:
    """A sentence with the number of buckets with data that miss the goal; empty without a goal."""
    figure = detail.figure
    values = [value for value in figure.series if value is not None]
    if figure.goal is None or is_count(figure) or not values:
        return ""
    missed = sum(not is_met(figure, value) for value in values)
    bucket = detail.window.bucket
    return f"misses the goal of {wanted_text(figure)} in {missed} of {len(values)} {bucket}s"


def _stages(detail: Detail, look: Look) -> list[list[Piece]]:
    if not detail.stages:
        return []
    slower = {found.name: found for found in detail.regressions}
    head = "".join(fit(word, width, right=True) for word, width in _STAGE_COLUMNS)
    lines: list[list[Piece]] = [[(fit("stage", 11) + head, "dim")]]
    for stage in detail.stages:
        bar = look.glyphs.bar * round((stage.share or 0) * _SHARE_BAR)
        mark: list[Piece] = []
        if stage.stage == detail.bottleneck:
            mark.append((" longest", "wait"))
        if stage.stage in slower:
            factor = slower[stage.stage].factor
            mark.append((f" {factor:.1f}x {look.glyphs.long}", "bad"))
        share = "-" if stage.share is None else f"{stage.share * 100:.0f} %"
        lines.append(
            [
                (fit(stage.stage, 11), "text"),
                (fit(texts.brief(stage.median), 5, right=True), "text"),
                (fit(texts.brief(stage.mean), 5, right=True), "dim"),
                (fit(share, 6, right=True) + " ", "dim"),
                (fit(bar, _SHARE_BAR), "run"),
                *mark,
            ]
        )
    return lines


def leading_stages(detail: Detail, look: Look) -> str:
    """The three stages with the largest shares, in one line."""
    known = [stage for stage in detail.stages if stage.share]
    first = sorted(known, key=lambda stage: -(stage.share or 0))[:3]
    return "  ".join(
        f"{clean(stage.stage)} {(stage.share or 0) * 100:.0f} %"
        + (f" {look.glyphs.critical}" if stage.stage == detail.bottleneck else "")
        for stage in first
    )


def explained(detail: Detail) -> list[str]:
    """Sentences that say what a number counts, over which time, and what it leaves out."""
    figure, window = detail.figure, detail.window
    left_out = list(detail.left_out)
    first, last = (left_out, []) if detail.team == NO_TEAM else ([], left_out)
    since, end = (to_datetime(at).astimezone(window.zone) for at in (window.since, window.end))
    said = [
        *first,
        figure.definition.meaning,
        f"From {since:%d %b %Y %H:%M} to {end:%d %b %Y %H:%M}, days of {window.zone}.",
    ]
    if begun := since_text(figure, window.zone):
        said.append(f"There is data {begun}.")
    if figure.goal is not None:
        said.append(f"The goal of the team is {wanted_text(figure)} ([goals]).")
    if figure.levels:
        named = ", ".join(f"{level} {year}" for year, level in sorted(figure.levels.items()))
        said.append(f"DORA's levels: {named}.")
    elif figure.value is not None:
        said.append("DORA's reports give no level for it.")
    said += [f"{text[:1].upper()}{text[1:]}." for text in remarks(figure)]
    if detail.of > len(detail.behind):
        said.append(f"The list holds {len(detail.behind)} of {detail.of}.")
    return [*said, *last, "docs/metrics.md defines it, with examples."]


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
