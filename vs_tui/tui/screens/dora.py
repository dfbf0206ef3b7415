"""DORA: a card a team and metric."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from textual.widget import Widget

from vs_tui.domain.cards import Card
from vs_tui.tui.paint import fit
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.listing import Column, Listing, Row
from vs_tui.tui.widgets.sparkline import sparkline

LABELS = {
    "deploys": "deployment frequency",
    "lead": "change lead time (median)",
    "fail": "change fail rate",
    "restore": "recovery time (median)",
    "rework": "deployment rework rate",
}
_TREND = {"better": "good", "worse": "bad", "same": "dim", "": "dim"}


class DoraView(View):
    """All teams, all keys; enter opens the deployments behind a number."""

    where = "dora"
    title_text = "DORA"

    def body(self) -> Iterable[Widget]:
        columns = (
            Column("TEAM", 10),
            Column("METRIC", 26),
            Column("VALUE", 9, right=True),
            Column("n", 5, right=True),
            Column("TREND", 14, flex=1),
            Column("CHANGE", 12, rank=1),
            Column("LEVEL", 12, rank=2),
        )
        self.list = Listing(self.look, columns, id="list")
        self.cards: Sequence[Card] = ()
        yield self.list

    def on_mount(self) -> None:
        self.list.focus()

    async def load(self) -> None:
        self.cards = await self.dash.cards()
        rows = []
        team = None
        width = max(self.size.width - 92, 14)
        for card in self.cards:
            shown = card.team or "all"
            rows.append(self._row(card, "" if shown == team else shown, width))
            team = shown
        self.list.empty = ("no deployments in production yet", "deploys appear here as they end")
        self.list.set_rows(rows)
        note = f"{self.dash.range_name} against the {self.dash.range_name} before, t changes it"
        self.list.set_heading([("DORA per team", "title")], note)

    def _row(self, card: Card, team: str, width: int) -> Row:
        glyphs = self.look.glyphs
        arrow = ""
        if card.delta:
            arrow = glyphs.down if card.delta.startswith("-") else glyphs.up
        change = f"{arrow} {card.delta.lstrip('+-')} {card.direction}" if card.delta else "-"
        return Row(
            f"{card.team}|{card.metric}",
            (
                (team, "title"),
                (LABELS.get(card.metric, card.metric), "text"),
                (card.text, "title" if card.text != "-" else "dim"),
                (str(card.n) if card.n else "-", "dim"),
                (fit(sparkline(card.buckets, min(width, 60), glyphs), min(width, 60)), "run"),
                (change, _TREND[card.direction]),
                (card.level or "-", "dim"),
            ),
            failed=card.direction == "worse",
            data=card,
        )

    def act(self, action: str) -> bool:
        if action in ("next_failed", "previous_failed"):
            return self.list.next_failed(1 if action == "next_failed" else -1) or True
        return self.list.act(action)

    def on_listing_opened(self, message: Listing.Opened) -> None:
        message.stop()
        team, _, metric = message.key.partition("|")
        self.dash.open_deployments(team, metric)

    def export_rows(self) -> tuple[Sequence[str], Sequence[Sequence[str]]]:
        titles = ("team", "metric", "value", "n", "change", "level")
        return titles, [(c.team, c.metric, c.text, str(c.n), c.delta, c.level) for c in self.cards]
