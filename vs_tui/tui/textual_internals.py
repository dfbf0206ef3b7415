"""The private names of Textual and rich that the dashboard needs, behind names of ours.

No other module of the dashboard uses a private name of theirs. tests/tui/test_textual_internals.py
checks this, and fails when a new version of Textual or rich changes one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Any, TypeVar

from rich.color import ColorSystem
from rich.console import Console
from rich.style import Style
from textual import events
from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._compositor import ChopsUpdate, CompositorUpdate, LayoutUpdate
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.driver import Driver
from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver
from textual.screen import Screen
from textual.strip import Strip

__all__ = ["ChopsUpdate", "CompositorUpdate", "LayoutUpdate"]

Result = TypeVar("Result")


def painted_lines(screen: Screen[Any]) -> Sequence[Strip]:
    """The lines of a screen as they are shown."""
    return screen._compositor.render_strips()


def driver_of(app: App[Any]) -> Driver | None:
    """The driver of the app's terminal; None before it starts."""
    return app._driver


def color_system(console: Console) -> ColorSystem:
    """The colours that the terminal has."""
    return console._color_system or ColorSystem.TRUECOLOR


def link_opening(style: Style) -> str:
    """The escape sequence that opens a style's hyperlink; empty without one."""
    return f"\x1b]8;id={style._link_id};{style.link}\x1b\\" if style.link else ""


class UpdatingApp(App[Result]):
    """An app that sends updates of the screen to the terminal itself, in `take_update`."""

    def take_update(self, update: CompositorUpdate) -> None:
        """Show an update of the screen on the terminal."""
        raise NotImplementedError

    @property
    def runs(self) -> bool:
        """Whether the app has begun and not ended."""
        return self._running and not self._closed

    def synchronised(self, text: str) -> str:
        """A text that the terminal shows at once, if it can."""
        return f"{SYNC_START}{text}{SYNC_END}" if self._sync_available else text

    def _display(self, screen: Screen[Any], renderable: Any) -> None:
        if not isinstance(renderable, CompositorUpdate) or self.is_headless or self.is_inline:
            super()._display(screen, renderable)
            return
        if self.runs and not self._batch_count:
            self.take_update(renderable)
        self.post_display_hook()


class Writer(WriterThread):
    """A thread that writes queued texts to the terminal."""

    @property
    def file(self) -> IO[str]:
        return self._file

    def next_text(self) -> str | None:
        """The next queued text, when there is one; None: end."""
        return self._queue.get()


class Parser(XTermParser):
    """A parser of terminal input that can be reset."""

    @property
    def is_unfinished(self) -> bool:
        """Whether a key sequence may be unfinished, so that `tick` should be called soon."""
        return self._timeout_time is not None

    def reset(self) -> None:
        """Forget the unfinished sequence."""
        self._tokens.clear()
        self._gen = self.parse(self._tokens.append)
        self._awaiting = next(self._gen)
        self._timeout_time = None

    def keys_of(self, sequence: str, alt: bool) -> Iterable[events.Key]:
        """The keys of an escape sequence."""
        return super()._sequence_to_key_events(sequence, alt)

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        return self.keys_of(sequence, alt)


class TextualDriver(LinuxDriver):
    """Textual's driver with replaceable parts."""

    def make_writer(self, file: IO[str]) -> Writer:
        """The thread that writes to the terminal."""
        raise NotImplementedError

    def read_keys(self) -> None:
        """Read input until the driver is stopped; runs in a thread."""
        raise NotImplementedError

    def terminal_size(self) -> tuple[int, int] | None:
        """(columns, lines) of the terminal; None if it does not tell."""
        raise NotImplementedError

    @property
    def app(self) -> App[Any]:
        return self._app

    @property
    def debug(self) -> bool:
        return self._debug

    @property
    def writer(self) -> Writer | None:
        return self._writer_thread if isinstance(self._writer_thread, Writer) else None

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        begun = self._writer_thread
        if begun is not None and self._file is not None:
            self._writer_thread = self.make_writer(self._file)
            self._writer_thread.start()
            begun.stop()

    def end_with(self, error: Exception) -> None:
        """End the app with a report of an error and exit status 1; for other threads."""
        self._app.call_later(self._app._handle_exception, error)

    def _get_terminal_size(self) -> tuple[int, int]:
        return self.terminal_size() or super()._get_terminal_size()

    def _run_input_thread(self) -> None:
        try:
            self.read_keys()
        except Exception as error:
            self.end_with(error)
