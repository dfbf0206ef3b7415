"""The delivery metrics of each team beside other screens, with sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from vs_tui.metrics import texts
from vs_tui.tui.paint import Piece, fit, longest_name, strip_of, width_of
from vs_tui.tui.theme import Glyphs, Look
from vs_tui.tui.widgets.framed import TextBox

if TYPE_CHECKING:
    from vs_tui.metrics.cards import Card


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


TREND: Final = {"better": "good", "worse": "bad", "same": "dim", "": "dim"}
_NAMES: Final = (6, 10)
"""(fewest, most) cells of a team's name."""
_NAME_AND_TREND: Final = 13
"""Cells of the name and its sparkline together; a longer name shortens the sparkline."""
SMALL: Final = "*"
"""Marks a value computed from fewer than 5 items."""


def arrow_of(card: Card, glyphs: Glyphs) -> str:
    """The direction of change: a sign for more, less or about the same."""
    if card.trend not in ("better", "worse"):
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
        glyphs, role = self.look.glyphs, TREND.get(card.trend)
        tail = f"n={card.n}" if card.n else ""
        if card.delta and role is not None:
            tail = f"{arrow_of(card, glyphs)} {card.delta.lstrip('+-')}"
        return [
            (fit(label, cells, ellipsis=glyphs.ellipsis) + " ", "title"),
            (fit(card.short or card.metric, 8) + " ", "dim"),
            (fit(texts.narrow(card.text), 6), "text"),
            goal_mark(card, glyphs),
            (sparkline(card.buckets, _NAME_AND_TREND - cells, glyphs), "run"),
            (" " + fit(tail, 7), role or "dim"),
        ]


class DoraStrip(Widget):
    """One line per team: its values, with a sparkline for counts of deployments."""

    DEFAULT_CSS = "DoraStrip { width: 1fr; height: auto; }"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self._lines: list[tuple[list[list[Piece]], Piece]] = []
        """(the name and the figures, each as pieces; the note) of each line."""

    def show(self, cards: Sequence[Card], range_name: str, most: int) -> None:
        """Show the first `most` teams, and the number of others."""
        by_team: dict[str, list[Card]] = {}
        for card in cards:
            by_team.setdefault(card.team, []).append(card)
        names = list(by_team)
        cells = max(longest_name(names, _NAMES[1]), 4)
        notes = [f"  {range_name}", *("" for _ in names[1:most])]
        if more := len(names[most:]):
            notes[-1] += f"  +{more} team{'s' if more > 1 else ''}"
        lines = [
            (self._line(name, by_team[name], cells), (note, "note"))
            for name, note in zip(names[:most], notes, strict=False)
        ]
        if lines != self._lines:
            self._lines = lines
            self.refresh(layout=True)

    def _line(self, team: str, cards: Sequence[Card], cells: int) -> list[list[Piece]]:
        glyphs = self.look.glyphs
        name = " " + fit(team or "all", cells, ellipsis=glyphs.ellipsis)
        groups: list[list[Piece]] = [[(name, "title")]]
        for card in cards:
            value = (fit(texts.narrow(card.text), 6), "text")
            group = [(f"  {card.short or card.metric} ", "dim"), value, goal_mark(card, glyphs)]
            if card.is_count:
                group.append((sparkline(card.buckets, 7, glyphs) + " ", "run"))
            groups.append(group)
        return groups

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self._lines)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        groups, note = self._lines[y] if y < len(self._lines) else ([], ("", "note"))
        pieces: list[Piece] = []
        for group in groups:
            if width_of([*pieces, *group, note]) > width:
                break  # no half of a figure
            pieces += group
        return strip_of([*pieces, note], self.look, width)
