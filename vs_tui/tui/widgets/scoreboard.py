"""All teams and metrics as a table of cards, with a cursor on one of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from rich.cells import cell_len
from textual import events
from textual.message import Message

from vs_tui.metrics.cards import Card
from vs_tui.metrics.counted import NO_TEAM
from vs_tui.model.display import clean
from vs_tui.tui.paint import Piece, cut, fit, longest_name, width_of
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.dora import TREND, arrow_of, goal_mark, sparkline
from vs_tui.tui.widgets.framed import Framed

_TEAM_CELLS: Final = (8, 16)
"""(fewest, most) cells of a team's name."""
_NARROWEST: Final = 13
"""Fewest cells of a card; on a narrow screen fewer metrics are visible."""
_WIDEST: Final = 36
_WIDEST_BAR: Final = 4
_LONGEST_TEXT: Final = 100


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of a team's block: index of the team, and the part of each card that it shows."""

    team: int
    kind: str
    """`value`, `bars`, `sample`, `tally`, `axis` or `space`."""


class Scoreboard(Framed):
    """A block per team and a card per metric: value against goal, trend, sample and change."""

    class Chosen(Message):
        """The cursor moved to another card."""

    class Opened(Message):
        """Enter or a click on the chosen card."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self.head_lines = 1
        self.teams: list[tuple[str, Mapping[str, Card]]] = []
        self.metrics: list[str] = []
        self.text: Sequence[str] = ()
        """Text to show without cards."""
        self.axis = ("", "")
        """Labels of the first and the last bar."""
        self.roomy = True
        """Whether a team's block shows trends; otherwise it has two lines."""
        self._at = (0, 0)
        self._lines: list[_Line] = []
        self._form = (-1, 0)
        """(cells of a card, index of the longest form of values that fits all cards)."""
        self._first_metric = 0

    @property
    def count(self) -> int:
        return len(self._lines) or len(self.text)

    @property
    def chosen(self) -> Card | None:
        team, metric = self._at
        return self.teams[team][1].get(self.metrics[metric]) if self.teams else None

    @property
    def cards(self) -> list[Card]:
        return [card for _, of_team in self.teams for card in of_team.values()]

    def show(self, cards: Sequence[Card], text: Sequence[str], roomy: bool) -> None:
        """Show cards, or `text` without cards. The cursor stays on its team and metric."""
        before, had = self.chosen, (self.teams, self.text, self.roomy)
        by_team: dict[str, dict[str, Card]] = {}
        for card in cards:
            by_team.setdefault(card.team, {})[card.metric] = _cleaned(card)
        self.teams, self.text, self.roomy = list(by_team.items()), text, roomy
        self.metrics = list(dict.fromkeys(card.metric for card in cards))
        if before is not None:
            self.choose(before.team, before.metric)
        self._at = (
            max(min(self._at[0], len(self.teams) - 1), 0),
            max(min(self._at[1], len(self.metrics) - 1), 0),
        )
        if had != (self.teams, self.text, self.roomy):
            self._lines, self._form = self._lay_out(), (-1, 0)
            self.resized()
            self.refresh()

    def set_axis(self, first: str, last: str) -> None:
        """Set the labels of the first and the last bucket."""
        if (first, last) != self.axis:
            self.axis = first, last
            self.refresh()

    def _lay_out(self) -> list[_Line]:
        lines: list[_Line] = []
        for number, (team, _) in enumerate(self.teams):
            kinds = ("value", "bars", "sample", "space") if self.roomy else ("value", "sample")
            lines += [_Line(number, kind) for kind in (("tally",) if team == NO_TEAM else kinds)]
        if self.roomy and lines:
            lines = [line for line in lines if line is not lines[-1] or line.kind != "space"]
            lines.append(_Line(len(self.teams) - 1, "axis"))
        return lines

    # The cursor.

    def choose(self, team: str, metric: str) -> None:
        """Put the cursor on a card if it exists."""
        names = [name for name, _ in self.teams]
        if team in names and metric in self.metrics:
            self._go(names.index(team), self.metrics.index(metric))

    def _go(self, team: int, metric: int) -> None:
        team = max(0, min(team, len(self.teams) - 1))
        metric = max(0, min(metric, len(self.metrics) - 1))
        if (team, metric) == self._at or not self.teams:
            return
        self._at = team, metric
        own = [n for n, line in enumerate(self._lines) if line.team == team]
        for line in (own[-1], own[0]) if own else ():
            self.scroll_to_row(line)
        self.refresh()
        self.post_message(self.Chosen())

    def move(self, step: int) -> None:
        """Move the cursor by `step` teams."""
        self._go(self._at[0] + step, self._at[1])

    def act(self, action: str) -> bool:
        """Run an action of this widget; returns False for others."""
        if action in ("previous_metric", "next_metric"):
            self._go(self._at[0], self._at[1] + (1 if action == "next_metric" else -1))
            return True
        if action == "open" and self.chosen is not None:
            self.post_message(self.Opened())
            return True
        return self.act_move(action)

    def next_bad(self, step: int) -> bool:
        """Go to the next card that became worse or misses its goal; returns whether there is
        one."""
        places = [(t, m) for t in range(len(self.teams)) for m in range(len(self.metrics))]
        start = places.index(self._at) if self._at in places else 0
        for offset in range(1, len(places) + 1):
            team, metric = places[(start + step * offset) % len(places)]
            card = self.teams[team][1].get(self.metrics[metric])
            if card is not None and (card.goal == "missed" or card.trend == "worse"):
                self._go(team, metric)
                return True
        return False

    def on_click(self, event: events.Click) -> None:
        line = self.row_at(event.y - 1 - self.head_lines)
        if event.y <= self.head_lines or not 0 <= line < len(self._lines):
            return
        name, cells, shown = self._columns(self.size.width - 2)
        column = self._first_metric + min(max(event.x - 1 - name, 0) // cells, shown - 1)
        if (self._lines[line].team, column) == self._at:
            self.post_message(self.Opened())
        else:
            self._go(self._lines[line].team, column)

    # Painting.

    def _columns(self, width: int) -> tuple[int, int, int]:
        """(cells of the team's name, cells of a card, number of visible metrics)."""
        least, most = _TEAM_CELLS
        name = max(longest_name((team for team, _ in self.teams), most), least) + 2
        shown = max(1, min((width - name) // _NARROWEST, len(self.metrics)))
        self._first_metric = max(min(self._first_metric, self._at[1]), self._at[1] - shown + 1, 0)
        self._first_metric = min(self._first_metric, len(self.metrics) - shown)
        return name, min((width - name) // shown, _WIDEST), shown

    @property
    def bar_cells(self) -> int:
        """Cells of a card's trend."""
        return self._columns(max(self.size.width - 2, 1))[1] - 2

    @property
    def sight(self) -> str:
        """`metrics 1-5 of 6`; empty if all metrics are visible."""
        _, _, shown = self._columns(max(self.size.width - 2, 1))
        first, of = self._first_metric, len(self.metrics)
        return f"metrics {first + 1}-{first + shown} of {of}" if 0 < shown < of else ""

    def paint_head(self, y: int, width: int) -> Sequence[Piece]:
        if not self.teams:
            return ()
        name, cells, shown = self._columns(width)
        pieces: list[Piece] = [(fit(" TEAM", name), "dim")]
        for metric in self.metrics[self._first_metric : self._first_metric + shown]:
            card = next(card for card in self.cards if card.metric == metric)
            title = next((t for t in (card.title, card.short) if t and len(t) < cells), metric)
            pieces.append((fit(f" {title}", cells, ellipsis=self.look.glyphs.ellipsis), "dim"))
        return pieces

    def paint_row(self, index: int, width: int) -> tuple[Sequence[Piece], bool]:
        if not self._lines:
            return [(f" {self.text[index]}", "dim")], False
        line = self._lines[index]
        if line.kind == "space":
            return (), False
        team, cards = self.teams[line.team]
        name, cells, shown = self._columns(width)
        named = line.kind in ("value", "tally")
        label = fit(f" {team or 'all'}", name - 1, ellipsis=self.look.glyphs.ellipsis)
        pieces: list[Piece] = [(label + " " if named else " " * name, "title")]
        paint: Callable[[Card, int], list[Piece]] = getattr(self, f"_{line.kind}")
        for number in range(self._first_metric, self._first_metric + shown):
            on = (line.team, number) == self._at and line.kind != "axis"
            card = cards.get(self.metrics[number])
            content = paint(card, cells - 2) if card is not None else []
            content = cut(content, cells - 2, self.look.glyphs.ellipsis)
            pieces.append((self.look.glyphs.cursor if on else " ", "key"))
            pieces += [*content, (" " * (cells - 1 - width_of(content)), "text")]
        return pieces, False

    def _value(self, card: Card, cells: int) -> list[Piece]:
        """The value against the goal, in the longest form that fits all cards."""
        if self._form[0] != cells:
            forms = [self._forms(each) for each in self.cards if each.team != NO_TEAM]
            fitting = (n for n in range(2) if all(width_of(form[n]) <= cells for form in forms))
            self._form = cells, next(fitting, 2)
        return self._forms(card)[self._form[1] if self.roomy else 2]

    def _forms(self, card: Card) -> tuple[list[Piece], ...]:
        value: Piece = (clean(card.text), "title" if card.n else "dim")
        mark, role = goal_mark(card, self.look.glyphs)
        if not any(each.wanted for each in self.cards):
            return ([value, (f" {mark}", role)],) * 3
        goal = card.wanted or "-"
        return (
            [value, (f"  goal {goal} ", "dim"), (mark, role)],
            [value, (f" {mark} ", role), (goal, "dim")],
            [value, (f" {mark}", role)],
        )

    def _bars(self, card: Card, cells: int) -> list[Piece]:
        count = len(card.buckets)
        each = max(1, min(cells // max(count, 1), _WIDEST_BAR))
        bars = sparkline(card.buckets, min(count, cells), self.look.glyphs)
        return [("".join(bar * each for bar in bars), "run")]

    def _sample(self, card: Card, cells: int) -> list[Piece]:
        if not card.n:
            return []
        trend = card.trend
        sample: Piece = (f"n {card.n} ", "dim")
        if trend not in ("better", "worse", "same"):
            return [sample, ((trend or "-") if self.roomy or trend == "few" else "", "dim")]
        sign = arrow_of(card, self.look.glyphs)
        said = sign if trend == "same" else sign + card.delta.lstrip("+-")
        long = f"{said} {trend}"
        if not self.roomy or cell_len(sample[0] + long) > cells:
            long = said + ("!" if trend == "worse" else "")
        return [sample, (long, TREND[trend])]

    def _tally(self, card: Card, cells: int) -> list[Piece]:
        return [(clean(card.tally), "text" if card.n else "dim")]

    def _axis(self, card: Card, cells: int) -> list[Piece]:
        first, last = self.axis
        count = len(card.buckets)
        width = min(max(1, min(cells // max(count, 1), _WIDEST_BAR)) * count, cells)
        gap = width - len(first) - len(last)
        if gap < 1:
            return [(first if len(first) <= cells else "", "dim")]
        return [(first + self.look.glyphs.line * gap + last, "dim")]


def _cleaned(card: Card) -> Card:
    """The card with cleaned texts, because another receiver may have written them. Team and metric
    stay unchanged; requests use them."""
    return replace(
        card,
        text=clean(card.text, _LONGEST_TEXT),
        delta=clean(card.delta, _LONGEST_TEXT),
        title=clean(card.title, _LONGEST_TEXT),
        short=clean(card.short, _LONGEST_TEXT),
        wanted=clean(card.wanted, _LONGEST_TEXT),
        tally=clean(card.tally, _LONGEST_TEXT),
    )
