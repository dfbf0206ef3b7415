"""Help: every key, from the table of actions; and the filter language."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable

from textual.widget import Widget

from vs_tui.domain.filters import FLAGS, STATES, TEXT_KEYS
from vs_tui.tui.actions import PLACES, display_key
from vs_tui.tui.paint import Piece
from vs_tui.tui.screens.base import View
from vs_tui.tui.widgets.text import TextBox


class HelpView(View):
    """All keys as they are bound now."""

    where = "help"
    title_text = "Help"
    offered = ("back", "page_down", "bottom", "palette")

    def body(self) -> Iterable[Widget]:
        self.box = TextBox(self.look, id="box")
        yield self.box

    def on_mount(self) -> None:
        self.box.focus()

    async def load(self) -> None:
        lines: list[list[Piece]] = []
        for place, heading in PLACES.items():
            lines += [[("", "text")], [(heading, "title")]]
            for action in self.dash.actions:
                if action.where == place:
                    keys = " ".join(display_key(key) for key in action.keys.split(","))
                    lines.append([(f"  {keys:<14}", "key"), (action.help, "text")])
        width = max(self.size.width - 6, 30)
        lines += [[("", "text")], [("Filters", "title")]]
        for name, values in (
            ("words, or", " ".join(f"{key}:" for key in TEXT_KEYS)),
            ("state:", ", ".join(STATES)),
            ("is:", ", ".join(FLAGS)),
        ):
            for line in textwrap.wrap(values, width - 12):
                lines.append([(f"  {name:<10}", "key"), (line, "text")])
                name = ""  # noqa: PLW2901
        lines += [
            [("  dur>10m age<7d since:2026-11-01 until:2026-11-30", "key")],
            [('  a,b is either, -term is not, * is anything, "two words"', "text")],
        ]
        self.box.set_heading([("Help", "title")], self.dash.worded("{back}: back"))
        self.box.set_lines(lines)

    def act(self, action: str) -> bool:
        return self.box.act(action)
