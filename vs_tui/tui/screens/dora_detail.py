"""Behind one number: its course over the time range, its spread, its stages, and the deployments
or changes it stands on, each opening its trace."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from textual.containers import Horizontal
from textual.widget import Widget

from vs_tui.metrics import texts
from vs_tui.metrics.cards import delta_text, is_count, is_small, remarks, text_of, value_text
from vs_tui.metrics.definitions import METRICS, Figure
from vs_tui.metrics.report import Behind, Detail
from vs_tui.metrics.windows import Window
from vs_tui.model.display import clean
from vs_tui.model.time import DAY, format_duration, iso, to_datetime
from vs_tui.tui.paint import Piece, fit, longest_name
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.chart import Chart
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.text import TextBox

_COLUMNS: Final = (
    Column("DEPLOYED", 12),
    Column("RESULT", 8),
    Column("WHAT", 14, flex=2),
    Column("SERVICE", 10, rank=1),
    Column("VERSION", 9, rank=2),
    Column("TOOK", 7, right=True),
    Column("WHY", 14, flex=1),
)
_SERVICE_CELLS: Final = 24
_BAR: Final = 14
_STAGE_COLUMNS: Final = (("p50", 5), ("mean", 5), ("share", 6))
"""The share is of the means, which it could contradict the median without."""


class DoraDetailView(ListedView):
    """One metric of one team."""

    where = "dora_detail"
    measures = True
    offered = ("open", "back", "time", "next_panel", "zoom", "next_failed", "deliveries", "export")
    DEFAULT_CSS = """
    DoraDetailView #above { height: 11; }
    DoraDetailView.-tall #above { height: 17; }
    DoraDetailView #facts { width: 47; }
    DoraDetailView.-wide #facts { width: 49; }
    DoraDetailView.-narrow #chart { display: none; }
    DoraDetailView.-narrow #facts { width: 1fr; }
    """

    def __init__(self, look: Look, team: str, metric: str) -> None:
        super().__init__(look)
        self._team, self._metric = team, metric
        self.title_text = f"{clean(team) or 'all teams'} {METRICS[metric].title}"

    def body(self) -> Iterable[Widget]:
        self.chart = Chart(self.look, id="chart")
        self.facts = TextBox(self.look, id="facts")
        self.list = Listing(self.look, _COLUMNS, id="list")
        self.list.describe = self._cells
        yield Horizontal(self.chart, self.facts, id="above")
        yield self.list

    async def load(self) -> None:
        read = self.dash.setup.detail
        if read is None:
            return
        length, at = self.dash.range_back
        detail = await read(self._team, self._metric, length, at)
        figure = detail.figure
        name = METRICS[self._metric].title
        self.chart.set_heading(
            [
                (f"{clean(self._team) or 'all teams'} ", "title"),
                (f"{name}{_a_bar(detail.window)}", "dim"),
            ],
            value_text(figure),
        )
        self.facts.set_heading([("what it stands on", "title")], f"n={figure.n}")
        self.facts.set_lines(facts_of(detail, self.look))
        quiet = (self.dash.worded("nothing in this time range; {time} changes it"),)
        self.list.empty = wrapped(detail.hints, self.size.width - 6) or quiet
        self.list.total = detail.of
        self.list.set_heading(
            [(METRICS[self._metric].listed, "title")], self.dash.worded("{open}: trace")
        )
        service = longest_name({entry.service for entry in detail.behind}, _SERVICE_CELLS)
        self.list.set_columns(
            [replace(c, wish=service) if c.title == "SERVICE" else c for c in _COLUMNS]
        )
        self.list.set_rows(
            [
                Row(f"{entry.key}|{entry.at}|{n}", failed=entry.result != "ok", data=entry)
                for n, entry in enumerate(detail.behind)
            ]
        )
        await self.chart.draw(
            [value or None if is_count(figure) else value for value in figure.series],
            bucket_labels(detail.window),
            lambda value: _said(figure, value),
        )

    def _cells(self, row: Row) -> tuple[Piece, ...]:
        entry = row.data
        assert isinstance(entry, Behind)
        glyphs = self.look.glyphs
        state: Piece = {
            "ok": (f"{glyphs.ok} ok", "ok"),
            "open": (f"{glyphs.run} open", "wait"),
        }.get(entry.result, (f"{glyphs.fail} failed", "fail"))
        return (
            (self.zone_clock(entry.at), "dim"),
            state,
            (entry.title, "text"),
            (entry.service or "-", "dim"),
            (entry.version or "-", "dim"),
            (format_duration(entry.value), "text"),
            (entry.note, "dim"),
        )

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        row = self.list.selected
        if row is not None and isinstance(row.data, Behind):
            self.dash.navigation.open_span(row.data.key)

    def selection(self) -> str:
        row = self.list.selected
        return row.data.key if row is not None and isinstance(row.data, Behind) else ""

    def act(self, action: str) -> bool:
        if self.focused is self.facts and self.facts.act(action):
            return True
        return super().act(action)

    def on_chart_resized(self, message: Chart.Resized) -> None:
        # The screen's own resize comes before its panels have their new sizes.
        message.stop()
        self.start_reload()


def wrapped(hints: Sequence[str], width: int) -> tuple[str, ...]:
    """Sentences as lines; each but the first of a sentence stands in."""
    width = max(width, 20)
    return tuple(
        line
        for hint in hints
        for line in textwrap.wrap(
            clean(hint), width, subsequent_indent="  ", break_on_hyphens=False
        )
    )


def _a_bar(window: Window) -> str:
    return "" if window.bucket == "day" else f" by {window.bucket}"


def bucket_labels(window: Window) -> list[str]:
    """A word a bucket: its day or month, or its time where it is part of a day."""
    form = "%b %y" if window.bucket == "month" else "%d %b"
    form = "%H:%M" if window.end - window.since <= DAY else form
    return [
        to_datetime(start).astimezone(window.zone).strftime(form) for start in window.bucket_starts
    ]


def _said(figure: Figure, value: float) -> str:
    return texts.number(value) if is_count(figure) else text_of(figure.metric, value)


def facts_of(detail: Detail, look: Look) -> list[list[Piece]]:
    """The number in words, its spread, and for lead times the stages."""
    found = _summary(detail.figure)
    found += [*(_stages(detail, look) if detail.stages else ()), []]
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


def _summary(figure: Figure) -> list[list[Piece]]:
    sample = f"  n={figure.n}" + (", small sample" if is_small(figure) else "")
    lines: list[list[Piece]] = [[(value_text(figure), "title"), (sample, "dim")]]
    if figure.p90 is not None:
        lines[0].append((f"  p90 {texts.brief(figure.p90)}", "dim"))
    before = delta_text(figure)
    if before:
        role = {"better": "good", "worse": "bad"}.get(figure.direction, "dim")
        lines.append([(f"{before} ", role), (f"against n={figure.before_n} before", "dim")])
    else:
        lines.append([("nothing before to compare with", "dim")])
    if figure.levels:
        named = ", ".join(f"{level} {year}" for year, level in sorted(figure.levels.items()))
        lines.append([(named, "text")])
    elif figure.value is not None:
        lines.append([("no level: DORA's reports give none", "dim")])
    if figure.since is not None:
        lines.append([(f"since {(iso(figure.since) or '')[:10]}, the first that is known", "dim")])
    lines += [[(text, "dim")] for text in remarks(figure)]
    return lines


def _stages(detail: Detail, look: Look) -> Sequence[list[Piece]]:
    slower = {found.name: found for found in detail.regressions}
    head = "".join(fit(word, width, right=True) for word, width in _STAGE_COLUMNS)
    lines: list[list[Piece]] = [[(fit("stage", 11) + head, "dim")]]
    for stage in detail.stages:
        mark, role = "", "dim"
        if stage.stage in slower:
            mark, role = f"{look.glyphs.up}{slower[stage.stage].factor:.1f}x", "bad"
        if stage.stage == detail.bottleneck:
            mark, role = f"bottleneck {mark}".strip(), "wait"
        share = "-" if stage.share is None else f"{stage.share * 100:.0f} %"
        lines.append(
            [
                (fit(stage.stage, 11), "text"),
                (fit(texts.brief(stage.median), 5, right=True), "text"),
                (fit(texts.brief(stage.mean), 5, right=True), "dim"),
                (fit(share, 6, right=True) + " ", "dim"),
                (mark, role),
            ]
        )
    return lines
