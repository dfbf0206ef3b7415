"""A dashboard on a real pseudo-terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time


class Terminal:
    """A dashboard on a pty of 120x40, and all that it has written."""

    def __init__(self, *command: str, env: dict[str, str]) -> None:
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        self.process = subprocess.Popen(
            command, stdin=slave, stdout=slave, stderr=slave, env=env, start_new_session=True
        )
        os.close(slave)
        self.written = b""

    def read_until(self, words: bytes) -> None:
        """Until something new holds the words."""
        start = len(self.written)
        deadline = time.monotonic() + 30
        while words not in self.written[start:]:
            assert time.monotonic() < deadline, (words, self.written[start:][-2_000:])
            if select.select([self.master], [], [], 0.1)[0]:
                self.written += os.read(self.master, 65_536)

    def press(self, key: bytes) -> None:
        os.write(self.master, key)

    def close(self) -> int:
        """Quit and read to the end."""
        self.press(b"q")
        try:
            while chunk := os.read(self.master, 65_536):
                self.written += chunk
        except OSError:
            pass  # the other end is closed
        os.close(self.master)
        return self.process.wait(15)
