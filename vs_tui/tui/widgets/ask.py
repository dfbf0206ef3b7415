"""A question with one line for the answer, over the current screen."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from vs_tui.tui.paint import fit
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.lines import Line


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
