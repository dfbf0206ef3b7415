"""How far an import came: on the screen, and in a file for the next time."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final, TextIO

_WIDTH: Final = 24
"""Cells of the bar."""


class Bar:
    """One line that is written over on a terminal; elsewhere one line a step."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._label = ""
        self._shown = ""

    def step(self, label: str) -> None:
        """The next step begins."""
        self._label = label
        self.page(0, 0, 0)

    def page(self, done: int, pages: int, sent: int) -> None:
        """`done` of `pages` (0: nobody knows) are read, `sent` deliveries sent in this step."""
        if not self._live:
            return
        if pages:
            filled = min(done, pages) * _WIDTH // pages
            bar = f"[{'#' * filled}{'-' * (_WIDTH - filled)}] {done}/{pages} pages"
        else:
            bar = f"[{'.' * _WIDTH}] page {done}"
        self._write(f"{self._label} {bar}, {sent} deliveries")

    def end(self, sent: int) -> None:
        """The step is over."""
        self._line(f"{self._label}: {sent} deliveries")

    def notice(self, text: str) -> None:
        """Something that people should know while they wait."""
        if self._live:
            self._write(f"{self._label} {text}")
        else:
            self._line(text)

    def skipped(self, why: str) -> None:
        self._line(f"{self._label}: left out, {why}")

    def _write(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        self._stream.write(f"\r{text.ljust(len(self._shown))}")
        self._stream.flush()
        self._shown = text

    def _line(self, text: str) -> None:
        before = "\r" if self._live else ""
        self._stream.write(f"{before}{text.ljust(len(self._shown))}\n")
        self._stream.flush()
        self._shown = ""


@dataclass(slots=True)
class Progress:
    """What of an import is done; kept in a file after every page."""

    path: Path
    since: str
    """Where this import begins, RFC 3339."""
    began: str
    """When it was first started; the next import begins here. `` when it is finished."""
    asked: str = ""
    """--since in the words of the command line."""
    cursors: dict[str, str] = field(default_factory=dict)
    """`project step` -> where its list goes on."""
    done: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Replace the file at once."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
        values = asdict(self)
        del values["path"]
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
            json.dump(values, out)
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """The progress in a file; None when there is none that can be read."""
    try:
        fields = json.loads(path.read_text("utf-8"))
        return Progress(
            path,
            str(fields["since"]),
            str(fields["began"]),
            str(fields["asked"]),
            {str(name): str(value) for name, value in fields["cursors"].items()},
            [str(name) for name in fields["done"]],
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
