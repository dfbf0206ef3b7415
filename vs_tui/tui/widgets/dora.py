"""The five metrics per team, with sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual.message import Message

from vs_tui.tui.paint import Piece, fit, longest_name
from vs_tui.tui.theme import Glyphs
from vs_tui.tui.widgets.sparkline import sparkline
from vs_tui.tui.widgets.text import TextBox

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
from vs_tui.metrics import texts

TREND: Final = {"better": "good", "worse": "bad", "same": "dim", "": "dim"}
_NAMES: Final = (6, 10)
"""The least and the most cells of a team's name."""
_NAME_AND_TREND: Final = 14
"""Cells of the name and its sparkline together: a long name leaves less of the trend."""
LABELS: Final = {
    "deploys": "deployment frequency",
    "lead": "change lead time",
    "fail": "change fail rate",
    "restore": "recovery time",
    "rework": "deployment rework",
}


def arrow_of(card: Card, glyphs: Glyphs) -> str:
    """Which way the value went: a sign for more, less or about the same."""
    if card.direction not in ("better", "worse"):
        return glyphs.even
    return glyphs.down if card.delta.startswith("-") else glyphs.up


class DoraPanel(TextBox):
    """Five lines a team: value, sparkline, change against the period before."""

    class Opened(Message):
        """A click: all of it is wanted."""

    def show(self, cards: Sequence[Card], range_name: str, note: str) -> None:
        """Paint the cards; nothing happens when they are what is there."""
        lines: list[tuple[Piece, ...]] = []
        team = None
        least, most = _NAMES
        cells = max(longest_name({card.team for card in cards}, most), least)
        for card in cards:
            label = "" if card.team == team else card.team or "all"
            if team is not None and label:
                lines.append(())
            team = card.team
            lines.append(tuple(self._line(card, label, cells)))
        if not lines:
            lines = [(("no deployments yet", "dim"),)]
        self.set_heading([("DORA ", "title"), (range_name, "dim")], note)
        self.set_lines(lines)

    def on_click(self) -> None:
        self.post_message(self.Opened())

    def _line(self, card: Card, label: str, cells: int) -> list[Piece]:
        glyphs = self.look.glyphs
        tail = (
            f"{arrow_of(card, glyphs)} {card.delta.lstrip('+-')}"
            if card.delta
            else (f"n={card.n}" if card.n else "")
        )
        return [
            (fit(label, cells, ellipsis=glyphs.ellipsis) + " ", "title"),
            (fit(card.metric, 8), "dim"),
            (fit(texts.narrow(card.text), 7), "text"),
            (sparkline(card.buckets, _NAME_AND_TREND - cells, glyphs), "run"),
            (" " + fit(tail, 7), TREND[card.direction]),
        ]
