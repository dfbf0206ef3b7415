"""Help: all keys, from the table of actions, and the filter language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from typing import Final

from textual.widget import Widget

from vs_tui.model.filters import FLAGS, STATES, TEXT_KEYS
from vs_tui.tui.actions import PLACES, VIEWS, Action, display_key, places
from vs_tui.tui.paint import Piece, width_of
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.framed import TextBox

GROUPS: Final = {
    "Where to go": (
        *VIEWS,
        *("last_view", "back", "palette", "help", "quit"),
    ),
    "Moving": (
        *("down", "up", "page_down", "page_up", "top", "bottom"),
        *("next_failed", "previous_failed", "next_panel"),
    ),
    "With the selected row": (*("open", "deliveries", "watch", "yank", "browser", "compare"),),
    "The screen": (*("filter", "freeze", "team", "zoom", "export", "theme", "redraw", "suspend"),),
}
"""Heading -> ids of actions that apply everywhere."""
_KEYS: Final = 16
"""Cells of the keys before the text."""
_COLUMN: Final = 54
"""Cells of a comfortable column; on a screen with room for two there are two."""

Block = list[list[Piece]]
"""A heading and its lines."""


class HelpView(View):
    """All keys as bound now; first those of the screen below."""

    where = "help"
    title_text = "Help"
    offered = ("back", "page_down", "bottom", "palette")

    def body(self) -> Iterable[Widget]:
        self.box = TextBox(self.look, id="box")
        yield self.box

    def on_mount(self) -> None:
        self.box.focus()

    def on_resize(self) -> None:
        self.start_reload()

    async def load(self) -> None:
        width = self.size.width - 4
        columns = 2 if width >= 2 * _COLUMN else 1
        cells = max(width // columns - (columns - 1), 30)
        self.box.set_heading([("Help", "title")], self.dash.worded("{back}: back"))
        self.box.set_lines(_set(self._blocks(cells), columns, cells))

    def _blocks(self, width: int) -> list[Block]:
        by_id = {action.id: action for action in self.dash.actions}
        found = [
            _block(PLACES[place], [a for a in by_id.values() if a.where == place], width)
            for place in self._special_places()
        ]
        own = sum(place in places(self._opened_on()) for place in self._special_places())
        general = [_block(name, [by_id[id] for id in ids], width) for name, ids in GROUPS.items()]
        return [*found[:own], *general, *found[own:], _filters(width)]

    def _opened_on(self) -> str:
        below = [view.where for view in self.dash.screen_stack if isinstance(view, View)]
        return below[-2] if len(below) > 1 else ""

    def _special_places(self) -> list[str]:
        """Places with their own keys; first those of the screen below."""
        here = places(self._opened_on())
        special = [place for place in PLACES if place != "everywhere"]
        return sorted(special, key=lambda p: here.index(p) if p in here else len(here))

    def act(self, action: str) -> bool:
        return self.box.act(action)


def _block(heading: str, actions: Iterable[Action], width: int) -> Block:
    lines: Block = [[(heading, "title")]]
    for action in actions:
        keys = " or ".join(display_key(key) for key in action.keys.split(",")) or ":"
        what = f"{action.label}: {action.help}" if action.id in VIEWS else action.help
        lines += _entry(keys, what, _KEYS, width)
    return lines


def _filters(width: int) -> Block:
    lines: Block = [[("Filters", "title")]]
    for name, values in (
        ("words, or", " ".join(f"{key}:" for key in TEXT_KEYS)),
        ("state:", ", ".join(STATES)),
        ("is:", ", ".join(FLAGS)),
        ("times", "dur>10m age<7d since:2026-11-01 until:2026-11-30"),
        ("and", 'a,b is either, -term is not, * is anything, "two words"'),
    ):
        lines += _entry(name, values, 10, width)
    return lines


def _entry(name: str, text: str, indent: int, width: int) -> Block:
    """`name text`, with the text wrapped beside the name."""
    parts = textwrap.wrap(text, max(width - indent - 2, 10), break_on_hyphens=False)
    names = [name, *[""] * (len(parts) - 1)]
    return [
        [(f"  {shown:<{indent}}", "key"), (part, "text")]
        for shown, part in zip(names, parts, strict=True)
    ]


def _set(blocks: Sequence[Block], columns: int, width: int) -> Block:
    """The blocks as lines, in one column or in two of about the same length."""
    half = sum(len(block) + 1 for block in blocks) / columns
    stacks: list[Block] = [[] for _ in range(columns)]
    used = 0
    for block in blocks:
        stacks[min(int((used + len(block) / 2) / half), columns - 1)] += [*block, []]
        used += len(block) + 1
    first, *others = stacks
    for other in others:
        for index, line in enumerate(other):
            if index == len(first):
                first.append([])
            first[index] = [
                *first[index],
                (" " * max(width - width_of(first[index]), 0) + " ", "text"),
                *line,
            ]
    return first[:-1] if first and not first[-1] else first
