"""A command on a pseudo-terminal: what it writes, when, and what it costs."""

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
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.tui.emulator import Emulator


@dataclass
class Terminal:
    """Reads all the time it is asked to wait, as a terminal does."""

    process: subprocess.Popen[bytes]
    master: int
    began: float
    screen: Emulator
    received: bytearray = field(default_factory=bytearray)
    _decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )

    @classmethod
    def start(
        cls, command: list[str], env: dict[str, str], size: tuple[int, int] = (120, 40)
    ) -> Terminal:
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**os.environ, "TERM": "xterm-256color", "COLORTERM": "truecolor", **env},
            start_new_session=True,
        )
        os.close(slave)
        return cls(process, master, began, Emulator(*size))

    def read(self, seconds: float, until: Callable[[bytearray], bool] | None = None) -> float:
        """Read for so long, or until what was read satisfies; how long that took."""
        began = time.perf_counter()
        end = began + seconds
        while (left := end - time.perf_counter()) > 0:
            ready, _, _ = select.select([self.master], [], [], left)
            if ready:
                read = os.read(self.master, 1 << 16)
                self.received += read
                self.screen.feed(self._decoder.decode(read))
                if until is not None and until(self.received):
                    return time.perf_counter() - began
        if until is not None:
            tail = bytes(self.received[-2_000:])
            raise AssertionError(f"never came within {seconds} s; last bytes: {tail!r}")
        return time.perf_counter() - began

    def quiet(self, seconds: float = 0.5, limit: float = 30) -> None:
        """Read until nothing has come for so long."""
        end = time.perf_counter() + limit
        while time.perf_counter() < end:
            before = len(self.received)
            self.read(seconds)
            if len(self.received) == before:
                return
        raise AssertionError(f"still writing after {limit} s")

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def cpu(self) -> float:
        """Seconds of processor time so far, of all its threads."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Resident megabytes."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def cost(self, seconds: float) -> tuple[float, float]:
        """(percent of a core, bytes a second) over so long."""
        cpu, received = self.cpu(), len(self.received)
        took = self.read(seconds)
        return 100 * (self.cpu() - cpu) / took, (len(self.received) - received) / took

    def close(self) -> int:
        """Ask it to end as a terminal that goes does; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        end = time.perf_counter() + 10
        while self.process.poll() is None and time.perf_counter() < end:
            ready, _, _ = select.select([self.master], [], [], 0.05)
            if ready:
                try:
                    self.received += os.read(self.master, 1 << 16)
                except OSError:
                    break
        code = self.process.wait(5)
        os.close(self.master)
        return code
