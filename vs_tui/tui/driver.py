"""The terminal as a slow or broken line.

One that goes away ends the dashboard: a closed window, a dropped ssh connection.

Textual's own writer ends with an error then, the queue before it fills up, and the whole process
waits for it without an end, while the reader spins on end-of-file.
"""

from __future__ import annotations

import asyncio
import os
import select
from collections.abc import Callable
from typing import IO

from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver


class Output(WriterThread):
    """Writes until the terminal is gone; then swallows, so that nobody waits for it."""

    def __init__(self, file: IO[str], gone: Callable[[], None]) -> None:
        super().__init__(file)
        self._gone = gone

    @property
    def waiting(self) -> int:
        """Texts that wait behind the one being written."""
        return self._queue.qsize()

    def run(self) -> None:
        try:
            super().run()
        except (OSError, ValueError):
            self._gone()
            while self._queue.get() is not None:
                pass


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
        return isinstance(self._writer_thread, Output) and self._writer_thread.waiting > 0

    def _leave_if_gone(self) -> None:
        # SIGHUP does not reach a process that has no controlling terminal.
        if self._watched is not None and self._watched.poll(0):
            self._app.exit()
