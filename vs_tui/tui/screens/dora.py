"""DORA on the whole screen: a card per team and metric, and below them the items and facts behind
the chosen number."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final

from textual.containers import Horizontal
from textual.widget import Widget

from vs_tui.metrics import texts
from vs_tui.metrics.cards import Card
from vs_tui.metrics.counted import NO_TEAM
from vs_tui.metrics.definitions import METRICS, Rows
from vs_tui.metrics.report import Detail, MetricRow
from vs_tui.metrics.windows import BUCKETS, Window
from vs_tui.model.display import clean
from vs_tui.model.time import DAY, format_duration, to_datetime
from vs_tui.tui.filtering import METRICS_DEFAULT
from vs_tui.tui.metric_detail import chart, explained, facts_of, leading_stages
from vs_tui.tui.paint import Piece, longest_name
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.session import start
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import sparkline
from vs_tui.tui.widgets.framed import Framed, TextBox
from vs_tui.tui.widgets.listing import Column, Row
from vs_tui.tui.widgets.scoreboard import Scoreboard

_FOLLOW: Final = 0.15
"""Seconds that the cursor rests on a card before its details are read."""
_WIDE: Final = (100, 32)
"""(columns, lines) from which the cards show trends."""
_ABOVE: Final = 3
"""Lines of the table of cards other than its rows: frame and titles."""
_SERVICE_CELLS: Final = 24
_TREND: Final = 14
_CHART_LINES: Final = 12
_WHEN: Final = Column("DEPLOYED", 12, rank=1)
_COLUMNS: Final = (
    _WHEN,
    Column("RESULT", 8),
    Column("WHAT", 18, flex=2),
    Column("SERVICE", 10, rank=3),
    Column("VERSION", 9, rank=4),
    Column("TOOK", 7, right=True),
    Column("WHY", 14, flex=1, rank=2),
)
_CHANGES: Final = (
    _WHEN,
    Column("WHAT", 24, flex=2),
    Column("SERVICE", 10, rank=3),
    Column("VERSION", 9, rank=4),
    Column("TOOK", 7, right=True),
    Column("LONGEST STAGE", 16, rank=2),
    Column("BEGINS", 24, rank=5),
)


class DoraView(ListedView):
    """The DORA screen, with all teams and metrics."""

    where = "dora"
    ranged = True
    usual_range = METRICS_DEFAULT
    measures = True
    title_text = "DORA"
    columns = _COLUMNS
    no_span = "a number is no span: {next_panel} goes to the list of what it counts"
    offered = (
        *("open", "next_metric", "next_panel", "time", "bucket", "team", "counts", "next_failed"),
        *("freeze", "zoom", "export", "back"),
    )
    DEFAULT_CSS = """
    DoraView #below { height: 1fr; }
    DoraView #facts { width: 52; }
    DoraView.-broad #facts { width: 70; }
    DoraView #facts { display: none; }
    DoraView.-wide #facts { display: block; }
    DoraView.-explaining #facts { display: block; width: 1fr; }
    DoraView.-wide.-explaining #facts { width: 52; }
    DoraView.-broad.-explaining #facts { width: 70; }
    DoraView.-explaining #list { display: none; }
    DoraView.-wide.-explaining #list { display: block; }
    DoraView.-nothing #below { display: none; }
    """

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.bucket = ""
        """Length of time per bar of the trends, one of BUCKETS; empty: chosen by the time range."""
        self.detail: Detail | None = None
        """Items and facts behind the chosen card."""

    def body(self) -> Iterable[Widget]:
        self.grid = Scoreboard(self.look, id="grid")
        self.facts = TextBox(self.look, id="facts")
        yield self.grid
        yield Horizontal(self.facts, self.list, id="below")

    def on_mount(self) -> None:
        self.grid.set_heading([("DORA per team ", "title"), ("reading…", "dim")])

    @property
    def first_panel(self) -> Framed:
        return self.grid

    def panels(self) -> Sequence[Framed]:
        return [box for box in (self.grid, self.list, self.facts) if box.display]

    # Reading.

    async def load(self) -> None:
        cards = await self.dash.cards(self.bucket)
        text = () if any(card.n for card in cards) else await self._no_numbers(cards)
        self.set_class(bool(text), "-nothing")
        self.grid.show(() if text else cards, text, self._is_roomy)
        self._fit_grid()
        await self._read_detail()
        self._head(cards)

    async def _no_numbers(self, cards: Sequence[Card]) -> tuple[str, ...]:
        """Text to show instead of cards without values: why there are none. Empty if only this time
        range has none."""
        read = self.dash.setup.detail
        found: Sequence[str] = ()
        if read is not None:
            asked = self.dash.range_back
            found = (await read(self.dash.team, "deploys", *asked, self.bucket)).hints
        if not found and not cards:
            found = ("No production deployments yet: they appear here as they end.",)
        return ("", *wrapped(found, self.size.width - 6)) if found else ()

    async def _read_detail(self) -> None:
        card, read = self.grid.chosen, self.dash.setup.detail
        if card is None or read is None or card.metric not in METRICS:
            return
        detail = await read(card.team, card.metric, *self.dash.range_back, self.bucket)
        still = self.grid.chosen
        if still is not None and (still.team, still.metric) == (card.team, card.metric):
            self.detail = detail
            await self._show_detail(still, detail)

    def on_scoreboard_chosen(self, message: Scoreboard.Chosen) -> None:
        message.stop()
        self._foot()

        async def follow() -> None:
            await asyncio.sleep(_FOLLOW)
            await self._read_detail()

        start(self.app, follow, "detail", exclusive=True)

    # Painting.

    @property
    def _is_roomy(self) -> bool:
        return self.size.width >= _WIDE[0] and self.size.height >= _WIDE[1]

    def _fit_grid(self) -> None:
        """Make the cards as high as they need, at most half of the screen unless zoomed."""
        half = max((self.size.height - 4) // 2, 6)
        fills = self.grid.text or self.maximized is not None
        wanted = "1fr" if fills else min(self.grid.count + _ABOVE, half)
        self.grid.styles.height = wanted

    def toggle_zoom(self) -> None:
        super().toggle_zoom()
        self._fit_grid()

    def on_resize(self) -> None:
        self.start_reload()

    def _head(self, cards: Sequence[Card]) -> None:
        name = self.dash.range_name
        note = f"{name} against the {name} before" if name != "all" else "all time"
        since = [card.since for card in cards if card.since is not None]
        if since:
            note = f"{note}, since {self.dash.clock_text(min(since))}"
        if self.dash.frozen_at is not None:
            note = f"{note}, frozen at {self.dash.clock_text(self.dash.frozen_at)}"
        signs = self.look.glyphs
        legend = f"goal {signs.ok} met {signs.fail} missed {signs.stale} few"
        if not any(card.wanted for card in cards):
            legend = "* few values" if any(card.small for card in cards) else ""
        self.grid.set_heading([("DORA per team  ", "title"), (note, "dim")], legend)
        self._foot()

    def _foot(self) -> None:
        """Paint the bottom line: the length of a bar, and the visible metrics."""
        card = self.grid.chosen
        if card is None:
            self.grid.set_foot(())
            return
        said = [self.grid.sight]
        if self.detail is not None and self._is_roomy:
            said.insert(0, f"{self._a_bar(card)}, {self.look.glyphs.gap} none")
        text = ", ".join(filter(None, said))
        self.grid.set_foot([(text, "dim")] if text else ())

    def _a_bar(self, card: Card) -> str:
        assert self.detail is not None
        window = self.detail.window
        bucket = window.bucket if window.length > 1 or self.bucket else "part of the time"
        count, cells = len(card.buckets), self.grid.bar_cells
        return f"{count} {bucket}s in {cells} bars" if count > cells else f"a bar a {bucket}"

    async def _show_detail(self, card: Card, detail: Detail) -> None:
        metric, window = METRICS[card.metric], detail.window
        whose = f"{clean(card.team) or 'all teams'} {metric.title}"
        self.title_text = f"DORA {whose}"
        labels = bucket_labels(window)
        self.grid.set_axis(*((labels[0], labels[-1]) if labels else ("", "")))
        self.list.empty = wrapped(detail.hints, self.list.size.width - 4) or (
            self.dash.worded("nothing in this time range; {time} changes it"),
        )
        self.list.total = detail.of
        count = f"{detail.of} " if detail.of > 1 else ""
        title: list[Piece] = [(count + metric.listed, "title")]
        if not self.facts.display:
            bars = sparkline(card.buckets, min(_TREND, len(card.buckets)), self.look.glyphs)
            title = [(f"{whose} ", "title"), (bars, "run")]
            title += [(f" {card.text}", "title"), (f" n={card.n}", "dim")]
            if detail.figure.p90 is not None:
                title.append((f" p90 {texts.brief(detail.figure.p90)}", "dim"))
        self.list.set_heading(title, self.dash.worded("{open}: its trace"))
        stages = leading_stages(detail, self.look) if not self.facts.display else ""
        self.list.set_foot([(stages, "dim")] if stages else ())
        service = longest_name({entry.service for entry in detail.behind}, _SERVICE_CELLS)
        columns = _CHANGES if metric.rows is Rows.CHANGES else _COLUMNS
        self.list.set_columns(
            [replace(c, wish=service) if c.title == "SERVICE" else c for c in columns]
        )
        self.list.set_rows(
            [
                Row(f"{entry.key}|{entry.at}|{n}", failed=entry.result != "ok", data=entry)
                for n, entry in enumerate(detail.behind)
            ]
        )
        await self._show_facts(whose, card, detail)

    async def _show_facts(self, whose: str, card: Card, detail: Detail) -> None:
        lines = facts_of(detail, self.look)
        width = max(self.facts.size.width - 4, 20)
        if self.has_class("-explaining"):
            said = explained(detail)
            lines = [[(text, "text")] for text in wrapped(said, width)]
            if not self.has_class("-wide"):
                lines += [[], *facts_of(detail, self.look)]
        room = self.facts.rows_visible - len(lines) - 1
        if self.facts.display and room >= 6 and any(card.buckets):
            labels = bucket_labels(detail.window)
            size = (width, min(room, _CHART_LINES))
            drawn = await asyncio.to_thread(chart, detail.figure, labels, size, self.look)
            if detail is not self.detail:
                return
            lines += [[], *([(line, "run")] for line in drawn)]
        self.facts.set_heading([(whose, "title")], card.text)
        self.facts.set_lines(lines)

    def cells(self, row: Row) -> tuple[Piece, ...]:
        entry = row.data
        assert isinstance(entry, MetricRow)
        glyphs = self.look.glyphs
        state: Piece = {
            "ok": (f"{glyphs.ok} ok", "ok"),
            "open": (f"{glyphs.run} open", "wait"),
        }.get(entry.result, (f"{glyphs.fail} failed", "fail"))
        shown: dict[str, Piece] = {
            "DEPLOYED": (self.dash.clock_text(entry.at), "dim"),
            "RESULT": state,
            "WHAT": (entry.title, "text"),
            "SERVICE": (entry.service or "-", "dim"),
            "VERSION": (entry.version or "-", "dim"),
            "TOOK": (format_duration(entry.value), "text"),
            "LONGEST STAGE": (entry.longest or "-", "dim"),
        }
        return tuple(shown.get(c.title, (entry.note, "dim")) for c in self.list.columns)

    # Keys.

    def on_scoreboard_opened(self, message: Scoreboard.Opened) -> None:
        message.stop()
        card = self.grid.chosen
        if card is not None and card.team == NO_TEAM and not self.has_class("-explaining"):
            self._explain(True)  # name these projects and the setting to write
            return
        self._explain(False)
        self.list.focus()

    def open_row(self, key: str) -> None:
        if entry := self._entry:
            self.dash.navigation.open_span(entry.key)

    @property
    def _entry(self) -> MetricRow | None:
        row = self.list.selected
        return row.data if row is not None and isinstance(row.data, MetricRow) else None

    def selection(self) -> str:
        entry = self._entry if self.focused is self.list else None
        return entry.key if entry else ""

    def retreat(self) -> bool:
        """Go back from the explanation or the list to the cards."""
        if self.has_class("-explaining"):
            self._explain(False)
        elif self.focused is self.grid or self.focused is None:
            return False
        self.grid.focus()
        return True

    def _explain(self, on: bool) -> None:
        self.set_class(on, "-explaining")
        self.call_after_refresh(self.start_reload)

    def act(self, action: str) -> bool:
        if action in ("previous_metric", "next_metric"):
            return self.grid.act(action)
        if action == "bucket":
            choices = ("", *BUCKETS)
            self.bucket = choices[(choices.index(self.bucket) + 1) % len(choices)]
            self.dash.notify_text(f"bars: a {self.bucket}" if self.bucket else "bars: by the range")
            self.start_reload()
            return True
        if action == "counts":
            self._explain(not self.has_class("-explaining"))
            return True
        if self.focused is self.list:
            return super().act(action)
        if self.focused is self.facts and self.facts.act(action):
            return True
        if action in ("next_failed", "previous_failed"):
            if not self.grid.next_bad(1 if action == "next_failed" else -1):
                self.dash.notify_text("no number became worse or misses its goal")
            return True
        return self.grid.act(action)

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        if self.focused is self.list:
            return super().export_rows()
        titles = ("team", "metric", "value", "n", "change", "goal", "level")
        cells = ((c.metric, c.text, str(c.n), c.delta, c.wanted, c.level) for c in self.grid.cards)
        teams = (c.team for c in self.grid.cards)
        return titles, [(team, *row) for team, row in zip(teams, cells, strict=True)]


def wrapped(hints: Sequence[str], width: int) -> tuple[str, ...]:
    """Cleaned sentences as lines; continuation lines are indented."""
    width = max(width, 20)
    return tuple(
        line
        for hint in hints
        for line in textwrap.wrap(
            clean(hint), width, subsequent_indent="  ", break_on_hyphens=False
        )
    )


def bucket_labels(window: Window) -> list[str]:
    """A label per bucket: day or month; the time if the range is at most a day."""
    form = "%b %y" if window.bucket == "month" else "%d %b"
    form = "%H:%M" if window.end - window.since <= DAY and not window.wanted else form
    return [
        to_datetime(start).astimezone(window.zone).strftime(form) for start in window.bucket_starts
    ]
