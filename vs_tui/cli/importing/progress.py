"""The progress of an import: on the screen, and in a file for the next run."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TextIO

from vs_tui.cli.progress import Bar


class ImportBar(Bar):
    """The progress on the screen."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._label = ""
        self.quiet = False
        """Whether steps are not reported; those of a follow come every minute."""

    def step(self, label: str) -> None:
        """The next step begins."""
        self._label = label
        if not self.quiet:
            self.show(label)

    def page(self, done: int, pages: int, sent: int) -> None:
        """`done` of `pages` (0 if unknown) are read; this step has sent `sent` deliveries."""
        if not self.quiet:
            self.show(self._label, done, pages, f"pages, {sent} deliveries")

    def end(self, said: str) -> None:
        """The step is over."""
        if not self.quiet:
            self.finish(f"{self._label}: {said}")

    def say(self, text: str) -> None:
        """One line, with the time."""
        self.finish(f"{time.strftime('%H:%M:%S')} {text}")

    def notice(self, text: str) -> None:
        """Print a message while people wait."""
        if self.live:
            self.show(f"{self._label} {text}")
        else:
            self.finish(text)


@dataclass(slots=True)
class Progress:
    """How much of an import is done; saved after every page."""

    path: Path
    since: str
    """Where this import begins, RFC 3339."""
    began: str
    """When it was first started; the next import begins here. Empty once finished."""
    asked: str = ""
    """--since as typed."""
    cursors: dict[str, str] = field(default_factory=dict)
    """`project step` -> the cursor of its next page."""
    done: list[str] = field(default_factory=list)

    def save(self) -> None:
        """Replace the file atomically."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self.path.with_suffix(f".{os.getpid()}")
        flags = os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW
        values = asdict(self)
        del values["path"]
        with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
            json.dump(values, out)
        temporary.replace(self.path)


def read_progress(path: Path) -> Progress | None:
    """The progress in a file; None if there is none or it cannot be read."""
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
