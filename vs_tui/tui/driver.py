"""A terminal driver for slow, silent or broken lines.

The dashboard ends when its terminal goes away, as with a closed window or a dropped ssh connection.
In Textual the writer thread fails then, its queue fills up and the process hangs, while the reader
spins on end-of-file. Textual's reader also polls ten times a second, a fifth of the CPU of an idle
dashboard; this one sleeps until a key comes.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import select
import threading
import time
from collections.abc import Callable
from typing import IO, Final

from textual.drivers._writer_thread import WriterThread
from textual.drivers.linux_driver import LinuxDriver

from vs_tui.tui.terminal_input import TerminalParser

SLOW_SECONDS: Final = 0.15
"""A line is slow if writing a text takes longer."""
KEY_SECONDS: Final = 0.1
"""Seconds between checks whether an unfinished key sequence is complete."""
AT_ONCE: Final = 700
"""Most characters sent at once on a slow line."""


class Output(WriterThread):
    """Writes until the terminal is gone, then discards the queue so that nothing blocks."""

    def __init__(self, file: IO[str], gone: Callable[[], None]) -> None:
        super().__init__(file)
        self._gone = gone
        self._untaken = 0
        self._asked: Callable[[], None] | None = None
        self._counting = threading.Lock()
        self.slow = False
        """Whether the last text was written slowly."""

    @property
    def behind(self) -> bool:
        """Whether queued texts are not written yet."""
        return self._untaken > 0

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns False if everything is written; otherwise this thread calls `callback` once it
        is."""
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
    """Textual's driver, which also ends the app when the terminal hangs up."""

    _waker: int | None = None
    """File descriptor; writing to it ends the thread that reads keys."""

    def start_application_mode(self) -> None:
        super().start_application_mode()  # type: ignore[no-untyped-call]
        loop, begun = asyncio.get_running_loop(), self._writer_thread

        def gone() -> None:
            loop.call_soon_threadsafe(self._app.exit)

        if begun is not None and self._file is not None:
            self._writer_thread = Output(self._file, gone)
            self._writer_thread.start()
            begun.stop()

    def _get_terminal_size(self) -> tuple[int, int]:
        """Columns and lines from the terminal itself. COLUMNS and LINES may belong to another
        terminal and are only a fallback."""
        for number in (self.fileno, 1, 2):
            with contextlib.suppress(OSError):
                size = os.get_terminal_size(number)
                if size.columns and size.lines:
                    return size.columns, size.lines
        return super()._get_terminal_size()

    def _run_input_thread(self) -> None:
        """Read keys; an error ends the dashboard with a report and exit status 1."""
        try:
            self.run_input_thread()
        except Exception as error:
            self._app.call_later(self._app._handle_exception, error)

    def run_input_thread(self) -> None:
        """Read keys until the driver stops the thread or the terminal is gone."""
        woken, self._waker = os.pipe()
        parser = TerminalParser(self._debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        try:
            while not self.exit_event.is_set():
                # A lone escape is a key if nothing follows it for a while.
                wait = KEY_SECONDS if parser._timeout_time is not None else None
                ready, _, _ = select.select([self.fileno, woken], [], [], wait)
                if woken in ready:
                    return
                if self.fileno in ready:
                    # SIGHUP does not reach a process that has no controlling terminal.
                    read = self._read()
                    if not read:
                        self._app.call_later(self._app.exit)
                        return
                    for message in parser.feed(decode(read)):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
        finally:
            waker, self._waker = self._waker, None
            os.close(woken)
            os.close(waker)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4_096)
        except OSError:
            return b""

    def disable_input(self) -> None:
        if self._waker is not None:
            with contextlib.suppress(OSError):  # the thread has just ended
                os.write(self._waker, b"x")
        super().disable_input()

    @property
    def behind(self) -> bool:
        """Whether the line has not yet taken everything painted."""
        return isinstance(self._writer_thread, Output) and self._writer_thread.behind

    @property
    def at_once(self) -> int | None:
        """Most characters to send before checking for newer content; None unless the line is
        slow."""
        slow = isinstance(self._writer_thread, Output) and self._writer_thread.slow
        return AT_ONCE if slow else None

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns whether output is still waiting for the line; if so, calls `callback` in the
        event loop once it is taken."""
        loop, writer = asyncio.get_running_loop(), self._writer_thread

        def call() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(callback)

        return isinstance(writer, Output) and writer.call_when_taken(call)
