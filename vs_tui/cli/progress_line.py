"""Progress of a long command: one line on stderr that is overwritten, on a terminal only."""

from __future__ import annotations

import shutil
from typing import Final, TextIO

_WIDTH: Final = 24
"""Cells of the gauge."""


class Line:
    """The progress line. Without a terminal only finished lines are written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.live = stream.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        """Overwrite the line."""
        if self.live:
            text = text[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r{text.ljust(len(self._shown))}")
            self._stream.flush()
            self._shown = text

    def finish(self, text: str = "") -> None:
        """Replace the line by a final text; without one, clear it."""
        if not text and not self._shown:
            return
        before = "\r" if self.live else ""
        after = "\n" if text else "\r"
        self._stream.write(f"{before}{text.ljust(len(self._shown))}{after}")
        self._stream.flush()
        self._shown = ""


def gauge(done: int, total: int, unit: str) -> str:
    """`[######------------------] 3/12 pages`; without a total the count only."""
    if total <= 0:
        return f"[{'.' * _WIDTH}] {done} {unit}"
    filled = min(done, total) * _WIDTH // total
    return f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {done}/{total} {unit}"
