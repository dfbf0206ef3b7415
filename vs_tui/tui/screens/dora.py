"""DORA: a line a team and metric; enter opens what is behind a number."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from textual.widget import Widget

from vs_tui.metrics.cards import Card
from vs_tui.tui.paint import Piece, longest_name
from vs_tui.tui.ranges import METRICS_DEFAULT
from vs_tui.tui.screens.dora_detail import DoraDetailView, wrapped
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import SMALL, TREND, arrow_of
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.sparkline import sparkline

_TEAM_CELLS: Final = (8, 16)
"""The least and the most of a team's name."""
_TREND: Final = 8
_WIDEST: Final = 4
"""Cells of a bar of the trend, where there is room."""
_IN_FULL: Final = 80
"""From this width on a metric has its whole name."""
_WIDE: Final = 100
"""From this width on the heading says more than the time range."""
_COLUMNS: Final = (
    Column("VALUE", 9, right=True),
    Column("n", 4, right=True),
    Column("TREND", _TREND),
    Column("CHANGE", 8),
    Column("LEVEL", 11, flex=1, rank=1),
)


@dataclass(frozen=True, slots=True)
class _Line:
    """A metric of a team; `first` of the team's."""

    card: Card
    first: bool

    @property
    def key(self) -> str:
        return f"{self.card.team}|{self.card.metric}"


class DoraView(ListedView):
    """All teams, all metrics."""

    where = "dora"
    ranged = True
    usual_range = METRICS_DEFAULT
    measures = True
    title_text = "DORA"
    offered = ("open", "back", "time", "team", "next_failed", "freeze", "zoom", "export")

    def __init__(self, look: Look) -> None:
        super().__init__(look)
        self.cards: Sequence[Card] = ()

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, self._columns(), id="list")
        self.list.describe = self._cells
        yield self.list

    async def load(self) -> None:
        self.cards = await self.dash.cards()
        rows = []
        team = None
        self.list.empty = () if any(card.n for card in self.cards) else await self._explained()
        for card in self.cards if not self.list.empty else ():
            row = _Line(card, first=card.team != team)
            rows.append(Row(row.key, failed=card.direction == "worse", data=row))
            team = card.team
        self.list.set_columns(self._columns())
        self.list.set_rows(rows)
        name = self.dash.range_name
        note = f"{name} against the {name} before" if name != "all" else "all time"
        since = [card.since for card in self.cards if card.since is not None]
        has_room = self.size.width >= _WIDE
        if since and has_room:
            note = f"{note}, since {self.zone_clock(min(since))}"
        if has_room and any(card.small for card in self.cards):
            note = f"{note}, {SMALL} few values"
        if self.dash.frozen_at is not None:
            note = f"{note}, frozen at {self.zone_clock(self.dash.frozen_at)}"
        self.list.set_heading([("DORA per team", "title")], note)

    async def _explained(self) -> tuple[str, ...]:
        """Why there is nothing but dashes, in their place; nothing where a time was quiet."""
        read = self.dash.setup.detail
        found: Sequence[str] = ()
        if read is not None:
            found = (await read(self.dash.team, "deploys", *self.dash.range_back)).hints
        if not found and not self.cards:
            found = ("No production deployments yet: they appear here as they end.",)
        return ("", *wrapped(found, self.size.width - 6)) if found else ()

    def on_resize(self) -> None:
        self.list.set_columns(self._columns())

    def _columns(self) -> Sequence[Column]:
        """What is compared stands together: the trend is as wide as its bars, not as the screen."""
        least, most = _TEAM_CELLS
        team = max(longest_name({card.team for card in self.cards}, most), least)
        metric = max(map(len, self._labels().values()), default=6)
        columns = (Column("TEAM", team), Column("METRIC", metric), *_COLUMNS)
        buckets = max((len(card.buckets) for card in self.cards), default=0) or 1
        free = max(self.size.width - 2 - sum(column.width + 1 for column in columns) - 1, 0)
        each = min((_TREND + free) // buckets, _WIDEST) or 1
        trend = min(max(each * buckets, _TREND), _TREND + free)
        return [replace(c, width=trend) if c.title == "TREND" else c for c in columns]

    def _labels(self) -> Mapping[str, str]:
        """Metric -> what it is called where there is this much room."""
        in_full = self.size.width >= _IN_FULL
        return {card.metric: (in_full and card.title) or card.metric for card in self.cards}

    def _cells(self, row: Row) -> tuple[Piece, ...]:
        assert isinstance(row.data, _Line)
        card, glyphs = row.data.card, self.look.glyphs
        trend = next(c.width for c in self.list.columns if c.title == "TREND")
        bars = sparkline(card.buckets, min(trend, len(card.buckets)), glyphs)
        each = min(max(trend // max(len(bars), 1), 1), _WIDEST)
        change = f"{arrow_of(card, glyphs)} {card.delta.lstrip('+-')}" if card.delta else "-"
        return (
            ((card.team or "all") if row.data.first else "", "title"),
            (self._labels()[card.metric], "text"),
            (card.text, "title" if card.text != "-" else "dim"),
            (f"{card.n}{SMALL if card.small else ''}" if card.n else "-", "dim"),
            ("".join(bar * each for bar in bars), "run"),
            (change, TREND[card.direction]),
            (card.level or "-", "dim"),
        )

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        team, _, metric = message.key.partition("|")
        if self.dash.setup.detail is None:
            self.dash.navigation.open_deployments(team, metric)
        else:
            self.dash.push_screen(DoraDetailView(self.look, team, metric))

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("team", "metric", "value", "n", "change", "level")
        return titles, [(c.team, c.metric, c.text, str(c.n), c.delta, c.level) for c in self.cards]
