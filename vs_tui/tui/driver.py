"""The terminal as a slow or broken line.

One that goes away ends the dashboard: a closed window, a dropped ssh connection.

Textual's own writer ends with an error then, the queue before it fills up, and the whole process
waits for it without an end, while the reader spins on end-of-file.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import IO, Final

from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver

SLOW_SECONDS: Final = 0.15
"""A text that took longer was taken slowly."""
AT_ONCE: Final = 700
"""Characters that a slow line is given at once."""


class Output(WriterThread):
    """Writes until the terminal is gone; then swallows, so that nobody waits for it."""

    def __init__(self, file: IO[str], gone: Callable[[], None]) -> None:
        super().__init__(file)
        self._gone = gone
        self._untaken = 0
        self._asked: Callable[[], None] | None = None
        self._counting = threading.Lock()
        self.slow = False
        """Whether the last text was taken slowly."""

    @property
    def behind(self) -> bool:
        """Whether texts were not taken yet."""
        return self._untaken > 0

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """False when all was taken; otherwise this thread calls once it was."""
        with self._counting:
            self._asked = callback if self._untaken else None
            return self._asked is not None

    def write(self, text: str) -> None:
        with self._counting:
            self._untaken += 1
        super().write(text)

    def run(self) -> None:
        try:
            while (text := self._queue.get()) is not None:
                began = time.monotonic()
                self._file.write(text)
                self._file.flush()
                self.slow = time.monotonic() - began > SLOW_SECONDS
                self._taken()
        except (OSError, ValueError):
            self._gone()
            while self._queue.get() is not None:
                pass

    def _taken(self) -> None:
        with self._counting:
            self._untaken -= 1
            if self._untaken or self._asked is None:
                return
            callback, self._asked = self._asked, None
        callback()


class TerminalDriver(LinuxDriver):
    """Textual's driver, which ends the app when its terminal has hung up."""

    _watched: select.poll | None = None

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        loop, begun = asyncio.get_running_loop(), self._writer_thread

        def gone() -> None:
            loop.call_soon_threadsafe(self._app.exit)

        if begun is not None and self._file is not None:
            self._writer_thread = Output(self._file, gone)
            self._writer_thread.start()
            begun.stop()
        if self._watched is None and os.isatty(self.fileno):
            self._watched = select.poll()
            self._watched.register(self.fileno, select.POLLHUP)
            self._app.set_interval(1.0, self._leave_if_gone)

    @property
    def behind(self) -> bool:
        """Whether the line is slower than what is painted."""
        return isinstance(self._writer_thread, Output) and self._writer_thread.behind

    @property
    def at_once(self) -> int | None:
        """Characters that a slow line takes before it is asked whether there is something newer."""
        slow = isinstance(self._writer_thread, Output) and self._writer_thread.slow
        return AT_ONCE if slow else None

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Whether the line has still to take what was written; calls in the loop when it has."""
        loop, writer = asyncio.get_running_loop(), self._writer_thread

        def call() -> None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(callback)

        return isinstance(writer, Output) and writer.call_when_taken(call)

    def _leave_if_gone(self) -> None:
        # SIGHUP does not reach a process that has no controlling terminal.
        if self._watched is not None and self._watched.poll(0):
            self._app.exit()
