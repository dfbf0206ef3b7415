"""The five metrics of each team, with sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from vs_tui.tui.paint import Piece, cut, fit, longest_name, strip_of
from vs_tui.tui.theme import Glyphs, Look
from vs_tui.tui.widgets.sparkline import sparkline
from vs_tui.tui.widgets.text import TextBox

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card
from vs_tui.metrics import texts

TREND: Final = {"better": "good", "worse": "bad", "same": "dim", "": "dim"}
_NAMES: Final = (6, 10)
"""(fewest, most) cells of a team's name."""
_NAME_AND_TREND: Final = 14
"""Cells of the name and its sparkline together; a longer name shortens the sparkline."""
SMALL: Final = "*"
"""Marks a value computed from fewer than 5 items."""


def arrow_of(card: Card, glyphs: Glyphs) -> str:
    """The direction of change: a sign for more, less or about the same."""
    if card.direction not in ("better", "worse"):
        return glyphs.even
    return glyphs.down if card.delta.startswith("-") else glyphs.up


def goal_mark(card: Card, glyphs: Glyphs) -> Piece:
    """The value against the team's goal: `✓` met, `✗` missed, `?` too few values."""
    return {
        "met": (glyphs.ok, "good"),
        "missed": (glyphs.fail, "bad"),
        "few": (glyphs.stale, "dim"),
    }.get(card.goal, (SMALL if card.small else " ", "dim"))


class DoraPanel(TextBox):
    """One line per metric of each team: value, sparkline, change from the period before."""

    class Opened(Message):
        """A click on the panel, which opens DORA."""

    def show(self, cards: Sequence[Card], range_name: str, note: str) -> None:
        """Show the cards; repaints only if they changed."""
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
            (fit(texts.narrow(card.text), 6), "text"),
            goal_mark(card, glyphs),
            (sparkline(card.buckets, _NAME_AND_TREND - cells, glyphs), "run"),
            (" " + fit(tail, 7), TREND[card.direction]),
        ]


class DoraStrip(Widget):
    """One line per team: its values, with a sparkline for counts of deployments."""

    DEFAULT_CSS = "DoraStrip { width: 1fr; height: auto; }"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self._lines: list[list[Piece]] = []

    def show(self, cards: Sequence[Card], range_name: str, most: int) -> None:
        """Show the first `most` teams, and the number of others."""
        by_team: dict[str, list[Card]] = {}
        for card in cards:
            by_team.setdefault(card.team, []).append(card)
        names = list(by_team)
        cells = max(longest_name(names, _NAMES[1]), 4)
        lines = [self._line(name, by_team[name], cells) for name in names[:most]]
        if lines:
            lines[0].append((f"  {range_name}", "note"))
        if len(names) > most:
            lines[-1].append((f"  +{len(names) - most} teams", "note"))
        if lines != self._lines:
            self._lines = lines
            self.refresh(layout=True)

    def _line(self, team: str, cards: Sequence[Card], cells: int) -> list[Piece]:
        glyphs = self.look.glyphs
        pieces: list[Piece] = [(" " + fit(team or "all", cells, ellipsis=glyphs.ellipsis), "title")]
        for card in cards:
            pieces.append((f"  {card.short or card.metric} ", "dim"))
            pieces += [(fit(texts.narrow(card.text), 6), "text"), goal_mark(card, glyphs)]
            if card.is_count:
                pieces.append((sparkline(card.buckets, 7, glyphs) + " ", "run"))
        return pieces

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        pieces = self._lines[y] if y < len(self._lines) else []
        return strip_of(cut(pieces, width), self.look, width)
