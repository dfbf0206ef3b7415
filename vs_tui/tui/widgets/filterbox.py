"""The filter box: an input with completion, and below it the error or the completions."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from textual.binding import Binding
from textual.geometry import Size
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widgets import Input

from vs_tui.model.display import clean
from vs_tui.tui.paint import Piece, fit, strip_of
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.lines import Line

Complete = Callable[[str], Sequence[str]]
"""Partial filter -> whole filters that it could become."""
MAX_LINES = 3


class Completer(Suggester):
    """Suggests the first completion; the right arrow or tab accepts it."""

    def __init__(self, complete: Complete) -> None:
        # No cache, because teams and services change.
        super().__init__(use_cache=False, case_sensitive=True)
        self._complete = complete

    async def get_suggestion(self, value: str) -> str | None:
        return next((text for text in self._complete(value) if text.startswith(value)), None)


class FilterBox(Input):
    """An input of one line without a border."""

    DEFAULT_CSS = """
    FilterBox { height: 1; border: none; padding: 0 1; display: none; }
    FilterBox:focus { border: none; }
    """

    BINDINGS: ClassVar[list[Any]] = [Binding("tab", "complete", show=False)]

    def __init__(self, complete: Complete, *, id: str | None = None) -> None:
        super().__init__(
            placeholder="team:core kind:deploy state:failed dur>10m age<7d",
            suggester=Completer(complete),
            id=id,
        )
        self.cursor_blink = False

    def action_complete(self) -> None:
        """Accept the suggestion; without one, only move to the end."""
        self.cursor_position = len(self.value)
        self.action_cursor_right()


class FilterNote(Line):
    """The lines below the box: the error, else the completions."""

    DEFAULT_CSS = "FilterNote { height: auto; display: none; }"

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(look, id=id)
        self._text = ""
        self._role = "dim"

    def say(self, text: str, role: str = "fail") -> None:
        """Show a text in at most three lines; an empty text hides the note."""
        if (text, role) == (self._text, self._role):
            return
        self._text, self._role = clean(text), role
        self.display = bool(text)
        self.refresh(layout=True)

    @property
    def text(self) -> str:
        return self._text

    def wrapped(self, width: int) -> list[str]:
        """The text wrapped to a width."""
        lines = textwrap.wrap(self._text, max(width - 2, 10)) or [""]
        if len(lines) > MAX_LINES:
            lines = [*lines[: MAX_LINES - 1], " ".join(lines[MAX_LINES - 1 :])]
        return lines

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.wrapped(width))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        lines = self.wrapped(width)
        text = lines[y] if y < len(lines) else ""
        ellipsis = self.look.glyphs.ellipsis
        pieces: list[Piece] = [(" ", "text"), (fit(text, width - 2, ellipsis=ellipsis), self._role)]
        return strip_of(pieces, self.look, width)


def unharmed(options: Sequence[str], limit: int = 12) -> list[str]:
    """The completions that cleaning does not change. Team names come from events and may contain
    control characters."""
    return [text for text in options if clean(text) == text][:limit]
