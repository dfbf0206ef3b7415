"""An app that sends the terminal only the cells that changed, and nothing while the terminal is
behind.

On a slow line late pictures are useless: changes are merged and sent after the line has taken the
previous output.
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
    """A driver that knows whether the terminal has taken its output."""

    @property
    def at_once(self) -> int | None:
        """Most characters to send at once; None: no limit."""
        ...

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns whether output is still waiting for the terminal; if so, calls `callback` once it
        is taken."""
        ...


class SparingApp(App[Result]):
    """An app with a diff between Textual's compositor and the driver."""

    def __init__(self) -> None:
        super().__init__()
        self._sheet = Sheet()
        self._cursor = Offset(-1, -1)
        """Position last sent for the terminal's cursor; input methods open there."""

    @property
    def behind(self) -> bool:
        """Whether the terminal has not yet taken earlier output (a slow line). Reading and painting
        can wait then."""
        return bool(getattr(self._driver, "behind", False))

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Resize):
            # Also the first event after ctrl+z and fg; a resize makes terminals move their content.
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
        """Send the whole screen again, for example after another program wrote over it."""
        if self._driver is not None and not self.is_headless:
            self._driver.write("\x1b[0m")
        self._sheet.forget()
        self._cursor = Offset(-1, -1)
        self.screen.refresh()

    def send_changes(self) -> None:
        """Send the painted changes that were not sent yet. If the terminal is behind, send them
        after it has taken the earlier output."""
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
