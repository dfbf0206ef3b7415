"""A dashboard on a real pseudo-terminal."""

from __future__ import annotations

import codecs
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time

from tests.patience import PATIENCE, Stopwatch
from tests.tui.emulator import Emulator


class Terminal:
    """A dashboard on a pty of 120 columns, and all that it has written."""

    def __init__(self, *command: str, env: dict[str, str], rows: int = 40) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, 120, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.written = b""
        self.seconds_to_close = 0.0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._screen = Emulator(120, rows)

    def read_until(self, words: bytes, again: bytes = b"") -> None:
        """Until something new holds the words: what was written, or the screen, where they may
        have been put together of what differed from the words that stood there. `again`: a key
        that does nothing until the rows are there, pressed once a second."""
        start, wanted = len(self.written), words.decode()
        stood = wanted in self._screen.text
        pressed = time.monotonic()
        deadline = pressed + PATIENCE
        while words not in self.written[start:] and (stood or wanted not in self._screen.text):
            now = time.monotonic()
            assert now < deadline, f"{wanted!r} not in\n{self._screen.text}"
            if again and now - pressed > 1:
                self.press(again)
                pressed = now
            self._read()

    def read_until_gone(self, words: str) -> None:
        """Until the screen does not hold the words any more."""
        deadline = time.monotonic() + PATIENCE
        while words in self._screen.text:
            assert time.monotonic() < deadline, f"{words!r} still in\n{self._screen.text}"
            self._read()

    def settle(self) -> None:
        """Until nothing more comes: a picture may come in several pieces."""
        while self._read():
            pass

    def _read(self) -> bool:
        """Whether something came."""
        if not select.select([self.master], [], [], 0.1)[0]:
            return False
        read = os.read(self.master, 65_536)
        self.written += read
        self._screen.feed(self._decoder.decode(read))
        return True

    @property
    def text(self) -> str:
        """What is on the screen."""
        return self._screen.text

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process.send_signal(signal.SIGWINCH)

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def close(self) -> int:
        """Quit and read to the end; where a receiver stops with it, that is asked for twice."""
        watch = Stopwatch(self.process.pid)
        self.press(b"qq")
        try:
            while chunk := os.read(self.master, 65_536):
                self.written += chunk
        except OSError:
            pass  # the other end is closed
        os.close(self.master)
        self.seconds_to_close = watch.until_end(self.process)
        return self.process.wait()
