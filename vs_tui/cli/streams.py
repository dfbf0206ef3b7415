"""Make the standard streams safe: closed ones, closed pipes and full disks."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TextIO


def fill_descriptors() -> None:
    """Open /dev/null for each closed standard stream. Otherwise the next opened file gets its
    number, and output could be written into the database."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number is this one
            os.set_inheritable(number, True)


class Lossy:
    """A text stream whose writes never fail: after an error all further output is dropped."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def _give_up(self) -> None:
        """Redirect it to /dev/null, so that flushing at exit does not fail again."""
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def never_fail() -> None:
    """From now on let no printed or logged text stop this process."""
    if sys.stdout is not None:
        sys.stdout = Lossy(sys.stdout)
    if sys.stderr is not None:
        sys.stderr = Lossy(sys.stderr)
