"""The deliveries that one span was made from, on top of the screen that named it."""

from __future__ import annotations

import shlex

from vs_tui.tui.screens.events import EventsView
from vs_tui.tui.theme import Look


class SpanDeliveriesView(EventsView):
    """All of them, whenever they came: the list, and the body of the selected one."""

    ranged = False
    filterable = False
    DEFAULT_CSS = """
    SpanDeliveriesView #list { height: 1fr; }
    SpanDeliveriesView #detail { height: 2fr; display: block; }
    """

    def __init__(self, look: Look, span_key: str, name: str) -> None:
        super().__init__(look)
        self._span_key = span_key
        self.heading = f"Deliveries of {name}"
        self.title_text = "deliveries"

    def question(self) -> str:
        return f"span:{shlex.quote(self._span_key)}"
