"""An app that sends its terminal only what differs, and nothing while the terminal is behind.

On a slow line a picture that is late is of no use: what was painted meanwhile is laid together,
and sent when the line has taken what came before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar, runtime_checkable

from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import CompositorUpdate
from textual.app import App
from textual.geometry import Offset
from textual.screen import Screen

from vs_tui.tui.screen_buffer import Sheet

Result = TypeVar("Result")


@runtime_checkable
class Patient(Protocol):
    """A driver that knows whether its terminal keeps up."""

    @property
    def at_once(self) -> int | None:
        """Characters to send at once; None: any number."""
        ...

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Whether the terminal has still to take what was written; calls when it has."""
        ...


class SparingApp(App[Result]):
    """Between Textual's compositor and the driver."""

    def __init__(self) -> None:
        super().__init__()
        self._sheet = Sheet()
        self._cursor = Offset(-1, -1)
        """Where the terminal's cursor was put last: an input method opens there."""

    @property
    def behind(self) -> bool:
        """Whether the terminal has not yet taken what was painted before: a slow line. Reading and
        painting what is new can wait then."""
        return bool(getattr(self._driver, "behind", False))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            # Also the first event after a stop by ctrl+z; terminals move what they show.
            self._sheet.forget()
            self._cursor = Offset(-1, -1)
        await super().on_event(event)

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if not isinstance(renderable, CompositorUpdate) or self.is_headless or self.is_inline:
            super()._display(screen, renderable)
            return
        if self._running and not self._closed and not self._batch_count:
            self._sheet.take(renderable, self.console)
            self.send_changes()
        self.post_display_hook()

    def redraw(self) -> None:
        """Send the whole screen again: another program has written over it."""
        if self._driver is not None and not self.is_headless:
            self._driver.write("\x1b[0m")
        self._sheet.forget()
        self._cursor = Offset(-1, -1)
        self.screen.refresh()

    def send_changes(self) -> None:
        """Send what was painted and not sent yet; a terminal that is behind gets it when it has
        taken what it was sent before."""
        driver = self._driver
        while driver is not None and self._running and not self._closed:
            if isinstance(driver, Patient) and driver.call_when_taken(self.send_changes):
                return
            text = self._sheet.changes(driver.at_once if isinstance(driver, Patient) else None)
            cursor = self.screen.outer_size.clamp_offset(self.cursor_position)
            if text or cursor != self._cursor:
                self._cursor = cursor
                text += f"\x1b[{cursor.y + 1};{cursor.x + 1}H"
                driver.write(f"{SYNC_START}{text}{SYNC_END}" if self._sync_available else text)
                driver.flush()
            if not self._sheet.changed:
                return
