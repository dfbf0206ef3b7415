"""What keeps tests apart from the load of the machine: how long to wait for what must happen, ports
that nobody else gets, and time without that in which a process waited for its turn."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

PATIENCE = 60
"""Seconds to wait for what must happen. Nothing is proved by a shorter wait: a machine that is busy
with other work is ten times as slow. A test may take twice as long (pyproject.toml)."""

T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str) -> T:
    """Ask until something is there."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.01)
    return found


def free_port() -> int:
    """A port that stays free until it is used: the system opens connections from 32768 on."""
    chance = random.SystemRandom()
    while True:
        port = chance.randrange(20_000, 32_768)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


class Stopwatch:
    """Measures what takes time by itself, and not because the machine does other work: the time
    in which a thread of this process, or of `others` and their children, could run and had no
    processor is left out (of each process the longest, as its threads wait for one another).

    Where the system does not tell it (not Linux), nothing is left out.
    """

    def __init__(self, *others: int) -> None:
        self._processes = [os.getpid()]
        for other in others:
            self._processes += [other, *_children(other)]
        self._delayed = {process: _delays(process) for process in self._processes}
        self._began = time.monotonic()

    @property
    def seconds(self) -> float:
        elapsed = time.monotonic() - self._began
        return max(0.0, elapsed - sum(map(self._delay, self._processes)))

    def until_end(self, process: subprocess.Popen[Any]) -> float:
        """Seconds until a process has ended; its `wait` is still to be called."""
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        return self.seconds

    def _delay(self, process: int) -> float:
        before = self._delayed[process]
        now = _delays(process)
        return max((delay - before.get(thread, 0.0) for thread, delay in now.items()), default=0.0)


def _delays(process: int) -> dict[str, float]:
    """Seconds each thread of a process has waited for a processor."""
    found = {}
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):  # it ended
            found[thread.name] = int((thread / "schedstat").read_text().split()[1]) / 1e9
    return found


def _children(process: int) -> list[int]:
    """Of every generation."""
    found = []
    for thread in Path(f"/proc/{process}/task").glob("*"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in (thread / "children").read_text().split()]
    return found + [further for child in found for further in _children(child)]
