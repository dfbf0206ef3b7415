"""Asks for the time range of a view: a short list with number keys, and a text field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, Final

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input

from vs_tui.tui.filtering import PRESETS, parse_range
from vs_tui.tui.paint import fit
from vs_tui.tui.session import Session
from vs_tui.tui.theme import Look
from vs_tui.tui.widgets.inputs import FilterNote, Line

_WORDS: Final = {
    "1h": "the last hour",
    "24h": "the last day",
    "7d": "the last week",
    "30d": "the last 30 days",
    "all": "all time",
}
HOW: Final = "1-5 or enter chooses, tab writes another, esc keeps it as it is"


class RangePicker(ModalScreen[str]):
    """Returns the range as text; empty keeps the current one."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "dismiss('')", show=False),
        Binding("tab,slash", "write", show=False, priority=True),
        Binding("down,j", "move(1)", show=False),
        Binding("up,k", "move(-1)", show=False),
        Binding("enter", "choose", show=False),
        *(Binding(str(n + 1), f"pick({n})", show=False) for n in range(len(PRESETS))),
    ]
    AUTO_FOCUS = ""
    DEFAULT_CSS = """
    RangePicker { align: center middle; }
    RangePicker Vertical { height: auto; width: 76; max-width: 100%; background: $panel; }
    RangePicker Line, RangePicker FilterNote { background: $panel; }
    RangePicker Input, RangePicker Input:focus { height: 1; border: none; padding: 0 1; }
    """

    def __init__(self, look: Look, current: str, problem: Callable[[str], str]) -> None:
        super().__init__()
        self.look = look
        self._current = current
        self._problem = problem
        self._cursor = PRESETS.index(current) if current in PRESETS else len(PRESETS)

    def compose(self) -> ComposeResult:
        field = Input(
            "" if self._current in PRESETS else self._current,
            placeholder="since..until, as 2026-11-01..2026-11-08 or 2026-11-01..",
        )
        field.cursor_blink = False
        with Vertical():
            yield Line(self.look, id="title")
            for name in PRESETS:
                yield Line(self.look, id=f"range-{name}")
            yield field
            yield FilterNote(self.look, id="note")

    def on_mount(self) -> None:
        self.query_one("#note", FilterNote).say(HOW, "dim")
        self._show()

    def _show(self) -> None:
        self.query_one("#title", Line).show([(" Time range of this view", "title")])
        for number, name in enumerate(PRESETS):
            sign = self.look.glyphs.cursor if number == self._cursor else " "
            chosen = self.look.glyphs.ok if name == self._current else " "
            self.query_one(f"#range-{name}", Line).show(
                [
                    (f"{sign} ", "key"),
                    (f"{number + 1}  ", "key"),
                    (fit(name, 5), "text"),
                    (f"{fit(_WORDS[name], 20)}{chosen}", "dim"),
                ],
                (),
                dict.fromkeys(range(4), name),
            )
        field = self.query_one(Input)
        if self._cursor == len(PRESETS):
            field.focus()
        else:
            self.set_focus(None)

    def action_move(self, step: int) -> None:
        self._cursor = max(0, min(self._cursor + step, len(PRESETS)))
        self._show()

    def action_write(self) -> None:
        self._cursor = len(PRESETS)
        self._show()

    def action_pick(self, number: int) -> None:
        self.dismiss(PRESETS[number])

    def action_choose(self) -> None:
        if self._cursor < len(PRESETS):
            self.dismiss(PRESETS[self._cursor])

    def on_line_pressed(self, message: Line.Pressed) -> None:
        message.stop()
        self.dismiss(message.value)

    def on_input_changed(self, event: Input.Changed) -> None:
        event.stop()
        text = event.value.strip()
        problem = self._problem(text) if text else ""
        self.query_one("#note", FilterNote).say(problem or HOW, "fail" if problem else "dim")

    def on_input_submitted(self, event: Input.Submitted) -> None:
        event.stop()
        text = event.value.strip()
        if text and not self._problem(text):
            self.dismiss(text)


def ask(app: Session) -> None:
    """Open the list of time ranges for the view at the bottom of the stack."""
    base = app.navigation.base
    if base is None or not base.ranged:
        app.notify_text("this view has no time range")
        return

    def problem(text: str) -> str:
        try:
            parse_range(text, app.now(), app.zone)
        except ValueError as error:
            return str(error)
        return ""

    def chosen(text: str | None) -> None:
        view = app.navigation.ranged
        if text and view is not None:
            view.range = parse_range(text, app.now(), app.zone)
            app.remember()
            app.reload_view()

    app.push_screen(RangePicker(app.look, app.range.text, problem), chosen)
