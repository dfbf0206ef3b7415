"""One-line widgets: header, tabs, footer, banner; the filter box and its notes, and a question."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Final

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.geometry import Size
from textual.message import Message
from textual.screen import ModalScreen
from textual.strip import Strip
from textual.suggester import Suggester
from textual.widget import Widget
from textual.widgets import Input

from vs_tui.model.display import clean
from vs_tui.tui.paint import Piece, fit, strip_of, width_of
from vs_tui.tui.theme import Look


class Line(Widget):
    """A line of pieces; `right` pieces are at the right edge."""

    DEFAULT_CSS = "Line { height: 1; width: 1fr; }"

    class Pressed(Message):
        """A click on a piece; `value` is its target."""

        def __init__(self, value: str) -> None:
            super().__init__()
            self.value = value

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self._left: tuple[Piece, ...] = ()
        self._right: tuple[Piece, ...] = ()
        self._targets: dict[int, str] = {}

    def show(
        self,
        left: Sequence[Piece],
        right: Sequence[Piece] = (),
        targets: dict[int, str] | None = None,
    ) -> None:
        """Show these pieces; repaints only if they changed. `targets` maps a piece's index to the
        value of a click; the indexes of `right` follow those of `left`."""
        self._targets = targets or {}
        if (tuple(left), tuple(right)) != (self._left, self._right):
            self._left, self._right = tuple(left), tuple(right)
            self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y:
            return Strip.blank(width, self.look["text"])
        room = width - width_of(self._right) - 1
        left = list(self._left)
        used = width_of(left)
        if used < room:
            left.append((" " * (room - used), "text"))
            return strip_of([*left, *self._right], self.look, width)
        # Too narrow for both: the left part matters more.
        return strip_of([*left, (" ", "text"), *self._right], self.look, width)

    def on_click(self, event: events.Click) -> None:
        right = self.size.width - width_of(self._right) - 1
        pieces, position, offset = self._left, 0, 0
        if event.x >= max(right, width_of(self._left)):
            pieces, position, offset = self._right, right, len(self._left)
        for index, (text, _) in enumerate(pieces, offset):
            position += width_of([(text, "")])
            if event.x < position:
                if index in self._targets:
                    self.post_message(self.Pressed(self._targets[index]))
                return


class Ask(ModalScreen[str]):
    """Returns the answer; empty if the user cancels."""

    BINDINGS: ClassVar[list[Any]] = [Binding("escape", "dismiss('')", show=False)]
    DEFAULT_CSS = """
    Ask { align: center bottom; }
    Ask Vertical { height: 2; width: 1fr; margin-bottom: 1; }
    Ask Line { background: $panel; }
    Ask Input, Ask Input:focus { height: 1; border: none; padding: 0 1; }
    """

    def __init__(self, look: Look, question: str, answer: str = "") -> None:
        super().__init__()
        self.look = look
        self._question = question
        self._answer = answer

    def compose(self) -> ComposeResult:
        line = Line(self.look)
        line.show([(" " + fit(self._question, 400).rstrip(), "title")])
        field = Input(self._answer)
        field.cursor_blink = False
        yield Vertical(line, field)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.dismiss(event.value.strip())


Complete = Callable[[str], Sequence[str]]
"""Partial filter -> whole filters that it could become."""
MAX_LINES = 3
MAX_USED: Final = 20
"""Most texts of a filter box that are kept."""


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

    BINDINGS: ClassVar[list[Any]] = [
        Binding("tab", "complete", show=False),
        Binding("up", "recall(-1)", show=False),
        Binding("down", "recall(1)", show=False),
    ]

    def __init__(
        self, complete: Complete, example: str, used: list[str], *, id: str | None = None
    ) -> None:
        super().__init__(placeholder=example, suggester=Completer(complete), id=id)
        self.cursor_blink = False
        self._used = used
        """Texts that the box had when it was closed, the newest last."""
        self._place = 0

    def on_focus(self) -> None:
        self._place = len(self._used) - (self._used[-1:] == [self.value])

    def on_blur(self) -> None:
        # While only the window loses the focus, the box stays open.
        if self.value and not self.display:
            self._used[:] = [text for text in self._used if text != self.value][1 - MAX_USED :]
            self._used.append(self.value)

    def action_recall(self, step: int) -> None:
        """Show the text before this one, or the one after it; after the last one, none."""
        self._place = max(0, min(self._place + step, len(self._used)))
        self.value = (*self._used, "")[self._place]
        self.cursor_position = len(self.value)

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
