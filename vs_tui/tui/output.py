"""What leaves the dashboard: clipboard, browser, files, and the watch command."""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vs_tui.domain.display import clean
from vs_tui.domain.model import Span
from vs_tui.exporters.table import csv_text

if TYPE_CHECKING:
    from vs_tui.tui.app import VsTuiApp
    from vs_tui.tui.screens.base import View

_TURNS: Final = ("id", "link", "row as JSON")


class Output:
    """Bound to one app."""

    def __init__(self, app: VsTuiApp) -> None:
        self._app = app
        self._turn = 0
        self._last_key = ""

    def yank(self, span: Span) -> None:
        """Copy the id; again the link; again the row as JSON."""
        from vs_tui.exporters.jsonable import span_json

        self._turn = (self._turn + 1) % len(_TURNS) if span.key == self._last_key else 0
        self._last_key = span.key
        what = _TURNS[self._turn]
        if what == "link" and not span.url:
            self._turn, what = 2, "row as JSON"
        if what == "id":
            text = span.ref
        elif what == "link":
            text = span.url
        else:
            import orjson

            text = orjson.dumps(span_json(span)).decode()
        self.copy(text)
        self._app.notify_text(f"copied {what}; also written to {self._fallback(text)}")

    def yank_in_turns(self, texts: Sequence[tuple[str, str]]) -> None:
        """Copy the first of these texts; the next one when they are the same as the last time."""
        key = repr(texts)
        self._turn = (self._turn + 1) % len(texts) if key == self._last_key else 0
        self._last_key = key
        what, text = texts[self._turn]
        self.copy(text)
        self._app.notify_text(f"copied {what}; also written to {self._fallback(text)}")

    def copy(self, text: str) -> None:
        """OSC 52, wrapped for tmux: it reaches the terminal in front of the user, over ssh too."""
        driver = self._app._driver
        if driver is None:
            return
        sequence = f"\x1b]52;c;{base64.b64encode(text.encode()).decode()}\a"
        if os.environ.get("TMUX"):
            sequence = "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
        driver.write(sequence)

    def _fallback(self, text: str) -> Path:
        """A file, for terminals without OSC 52 (macOS Terminal)."""
        path = Path(self._app.setup.state_path or "vs-tui").parent / "yanked.txt"
        self._write(path, text)
        return path

    def browse(self, span: Span) -> None:
        """Open the span's page; the URL is shown where there is no browser."""
        url = span.url
        if not url.startswith(("https://", "http://")):
            self._app.notify_text("this span has no page to open")
            return
        headless = sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        )
        if headless or not webbrowser.open(url):
            self.copy(url)
            self._app.notify_text(f"no browser here; copied {url}")

    def export(self, view: View) -> None:
        """Write what is listed as CSV and JSON, and the screen as text and SVG."""
        titles, rows = view.export_rows()
        folder = Path.cwd()
        stem = f"vs-tui-{view.where}"
        written = []
        if titles:
            self._write(folder / f"{stem}.csv", csv_text(titles, rows))
            import orjson

            listed = [dict(zip(titles, row, strict=True)) for row in rows]
            json_text = orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode()
            self._write(folder / f"{stem}.json", json_text)
            written += ["csv", "json"]
        self._write(folder / f"{stem}.txt", screen_text(self._app))
        self._write(folder / f"{stem}.svg", self._app.export_screenshot())
        written += ["txt", "svg"]
        self._app.notify_text(f"wrote {stem}.{{{','.join(written)}}} to {folder}")

    def run_watch_command(self, span: Span, command: str) -> None:
        """The user's own command with name and status as arguments: never through a shell."""
        if not command:
            return
        try:
            subprocess.Popen(
                [*shlex.split(command), clean(span.name, 200), span.status.value],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._app.notify_text(f"watch_command failed: {error}", "error")

    def _write(self, path: Path, text: str) -> None:
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as out:
                out.write(text)
        except OSError as error:
            self._app.notify_text(f"{path} cannot be written: {error.strerror}", "error")


def screen_text(app: VsTuiApp) -> str:
    """What is on screen as plain text."""
    # The compositor is the only one that knows the composed lines; its name is private.
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips) + "\n"
