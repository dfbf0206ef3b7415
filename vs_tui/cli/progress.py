"""Progress of a long command: a bar on a terminal, elsewhere only the lines that are final."""

from __future__ import annotations

import time
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn
from rich.text import Text


class _Gauge(BarColumn):
    """A bar, where something is counted."""

    def render(self, task: Task) -> Text:  # type: ignore[override]  # a bar can be rendered, too
        return super().render(task) if task.fields["counted"] else Text()  # type: ignore[return-value]


class Bar:
    """The progress of a command, below what it prints. Leave it as a context, so that the terminal
    has its cursor back."""

    def __init__(self, stream: TextIO) -> None:
        self.live = stream.isatty()
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            _Gauge(24),
            TextColumn("{task.fields[counted]}", markup=False),
            console=self._console,
            transient=True,
            disable=not self.live,
        )
        self._task = self._progress.add_task("", total=None, counted="")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def show(self, text: str, done: int = 0, total: int = 0, unit: str = "") -> None:
        """What is being done, and how much of it: `done` of `total` (0 if unknown) of a unit."""
        counted = f"{done}/{total} {unit}" if total else f"{done} {unit}" if unit else ""
        self._progress.start()
        self._progress.update(
            self._task,
            description=text,
            completed=done,
            total=total or None,
            counted=counted,
            refresh=True,
        )

    def finish(self, text: str = "") -> None:
        """Replace the bar by a final line; without one, clear it."""
        self._progress.stop()
        if text:
            self._console.print(Text(text), soft_wrap=True)


class ImportBar(Bar):
    """The progress of an import: a step after the other."""

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
