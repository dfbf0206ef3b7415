"""DORA: a line a team and metric; enter opens what is behind a number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from textual.widget import Widget

from vs_tui.domain.cards import Card
from vs_tui.tui.screens.dora_detail import DoraDetailView, wrapped
from vs_tui.tui.screens.listed import ListedView
from vs_tui.tui.widgets.dora import LABELS, TREND, arrow_of
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.sparkline import sparkline

_SPARK: Final = 10
_WIDEST: Final = 4
"""Cells of a bar of the trend, where there is room."""
_COLUMNS: Final = (
    Column("TEAM", 8),
    Column("METRIC", 20),
    Column("VALUE", 9, right=True),
    Column("n", 4, right=True),
    Column("TREND", _SPARK, flex=1),
    Column("CHANGE", 8),
    Column("LEVEL", 11),
)


class DoraView(ListedView):
    """All teams, all metrics."""

    where = "dora"
    ranged = True
    title_text = "DORA"
    offered = ("open", "back", "time", "team", "next_failed", "freeze", "zoom", "export")

    def body(self) -> Iterable[Widget]:
        self.list = Listing(self.look, _COLUMNS, id="list")
        self.cards: Sequence[Card] = ()
        yield self.list

    async def load(self) -> None:
        self.cards = await self.dash.cards()
        rows = []
        team = None
        self.list.empty = () if any(card.n for card in self.cards) else await self._explained()
        for card in self.cards if not self.list.empty else ():
            shown = card.team or "all"
            rows.append(self._row(card, "" if shown == team else shown))
            team = shown
        self.list.set_rows(rows)
        name = self.dash.range_name
        note = f"{name} against the {name} before" if name != "all" else "all time"
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

    def _row(self, card: Card, team: str) -> Row:
        glyphs = self.look.glyphs
        width = _SPARK + max(self.size.width - 82, 0)
        width = min(max(width, _SPARK), 60)
        bars = sparkline(card.buckets, min(width, len(card.buckets)), glyphs)
        each = min(max(width // max(len(bars), 1), 1), _WIDEST)
        arrow = arrow_of(card, glyphs)
        change = f"{arrow} {card.delta.lstrip('+-')}" if card.delta else "-"
        return Row(
            f"{card.team}|{card.metric}",
            (
                (team, "title"),
                (LABELS.get(card.metric, card.metric), "text"),
                (card.text, "title" if card.text != "-" else "dim"),
                (str(card.n) if card.n else "-", "dim"),
                ("".join(bar * each for bar in bars), "run"),
                (change, TREND[card.direction]),
                (card.level or "-", "dim"),
            ),
            failed=card.direction == "worse",
            data=card,
        )

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        team, _, metric = message.key.partition("|")
        if self.dash.setup.detail is None:
            self.dash.open_deployments(team, metric)
        else:
            self.dash.push_screen(DoraDetailView(self.look, team, metric))

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("team", "metric", "value", "n", "change", "level")
        return titles, [(c.team, c.metric, c.text, str(c.n), c.delta, c.level) for c in self.cards]
