"""Output other than the screen: clipboard, browser, files, and the watch command."""

from __future__ import annotations

import base64
import io
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from vs_tui.model.display import clean
from vs_tui.model.vocabulary import Span
from vs_tui.tui.dashboard_settings import Shown
from vs_tui.tui.session import Session
from vs_tui.tui.textual_internals import driver_of, painted_lines
from vs_tui.tui.widgets.inputs import Ask

MAX_CLIPBOARD: Final = 74_000
"""Most characters of base64. xterm accepts 74,994; other terminals drop longer texts silently."""
_SCREEN_PIECE: Final = 700
"""Most characters that GNU screen passes through in one piece."""


class Output:
    """The outputs of one app."""

    def __init__(self, app: Session) -> None:
        self._app = app
        self._turn = 0
        self._last: object = None

    def suspend(self) -> None:
        """Give the terminal back to the shell until `fg`."""
        app, shell, driver = self._app, os.getppid(), driver_of(self._app)
        is_job = os.getsid(shell) == os.getsid(0) and os.getpgid(shell) != os.getpgid(0)
        if not is_job or driver is None or not driver.can_suspend:
            app.notify_text("no shell here could resume it")
        elif app.setup.stops_receiver and not app.asked_twice("suspend"):
            told = "{suspend} again suspends the receiver, too, until `fg`: tools get no answer"
            app.notify_text(app.worded(told), "warning")
        else:
            app.action_suspend_process()

    # The clipboard.

    def yank(self, span: Span) -> None:
        """Copy the id; pressed again: the link, the row as JSON, the panel as text."""
        from vs_tui.api.codec.spans import span_json

        texts = [("the id", span.ref)]
        if span.url:
            texts.append(("the link", span.url))
        texts.append(("the row as JSON", orjson.dumps(span_json(span)).decode()))
        self._yank(texts, span.key)

    def yank_in_turns(self, texts: Sequence[tuple[str, str]]) -> None:
        """Copy the first of the (name, text) pairs; called again with the same pairs, copy the next
        one."""
        self._yank(list(texts), tuple(texts))

    def _yank(self, texts: list[tuple[str, str]], same: object) -> None:
        texts.append(("the panel as text", panel_text(self._app)))
        self._turn = (self._turn + 1) % len(texts) if same == self._last else 0
        self._last = same
        what, text = texts[self._turn]
        if self._app.is_web:
            # The terminal of a web page has no clipboard.
            self._app.deliver_text(io.StringIO(text), save_filename="copied.txt")
            return
        copied = self.copy(text)
        file = self._fallback(text)
        if copied:
            also = f"; also in {file}" if file else ""
            self._app.notify_text(f"copied {what}{also}")
        elif file:
            self._app.notify_text(f"{what} is too long for a terminal's clipboard; it is in {file}")

    def copy(self, text: str) -> bool:
        """Copy a text with OSC 52, which reaches the user's terminal, also over ssh. For tmux and
        GNU screen the sequence is wrapped. Returns False if the text is too long."""
        driver = driver_of(self._app)
        encoded = base64.b64encode(text.encode("utf-8", "replace")).decode()
        if driver is None or len(encoded) > MAX_CLIPBOARD:
            return False
        driver.write(wrapped(f"\x1b]52;c;{encoded}\a", os.environ.get("TMUX", ""), _screen()))
        return True

    def _fallback(self, text: str) -> Path | None:
        """Write the text to a file, for terminals without OSC 52 (macOS Terminal)."""
        if not self._app.setup.state_path:
            return None
        path = Path(self._app.setup.state_path).parent / "yanked.txt"
        return path if self._write(path, text) else None

    # The browser.

    def browse(self, span: Span) -> None:
        """Open the span's page; without a browser, copy its URL."""
        url = span.url
        if not is_page(url):
            self._app.notify_text("this span has no page to open")
            return
        if self._app.is_web:
            self._app.open_url(url)
            return
        headless = sys.platform == "linux" and not (
            os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
        )
        import webbrowser

        if headless or not webbrowser.open(url):
            self.copy(url)
            self._app.notify_text(f"no browser here; copied {url}")

    # Files.

    def export(self, view: Shown) -> None:
        """Ask for a format, then write the listed rows as CSV or JSON, or the screen as text or
        SVG. A secret that is shown is hidden first."""
        view.conceal()
        self._app.call_after_refresh(self._ask_format, view)

    def _ask_format(self, view: Shown) -> None:
        files = dict(self._files(view))
        name = view.tab or view.where
        question = f"write {', '.join(files)} or all to {Path.cwd()}? esc: nothing"

        def answered(answer: str | None) -> None:
            words = (answer or "").lower().replace(",", " ").split()
            chosen = files if "all" in words else {w: files[w] for w in words if w in files}
            if chosen:
                self._write_files(name, chosen)
            elif words:
                self._app.notify_text(f"{answer}: use one of {', '.join(files)} or all")

        self._app.push_screen(Ask(self._app.look, question, next(iter(files))), answered)

    def _write_files(self, name: str, files: dict[str, str]) -> None:
        if self._app.is_web:
            for ending, text in files.items():
                self._app.deliver_text(io.StringIO(text), save_filename=f"vs-tui.{ending}")
            return
        for folder in self._folders():
            stem = _free_name(folder, f"vs-tui-{name}", files)
            if all(self._write(folder / f"{stem}.{e}", t, new=True) for e, t in files.items()):
                self._app.notify_text(
                    f"wrote {', '.join(f'{stem}.{e}' for e in files)} to {folder}"
                )
                return

    def _files(self, view: Shown) -> Iterator[tuple[str, str]]:
        """(file ending, content) of each format."""
        titles, rows = view.export_rows()
        if titles:
            from vs_tui.export.report_writer import csv_text

            yield "csv", csv_text(titles, rows)
            listed = [dict(zip(titles, map(clean, row), strict=True)) for row in rows]
            yield "json", orjson.dumps(listed, option=orjson.OPT_INDENT_2).decode() + "\n"
        yield "txt", screen_text(self._app)
        yield "svg", self._app.export_screenshot()

    def _folders(self) -> Iterator[Path]:
        """Folders to try in turn: the current one, that of our own files, the temporary one."""
        yield Path.cwd()
        if self._app.setup.state_path:
            yield Path(self._app.setup.state_path).parent
        yield Path(tempfile.gettempdir())

    # The watch command.

    def run_watch_command(self, span: Span, command: str) -> None:
        """Run the user's command with the span's name and status as arguments, without a shell."""
        if not command:
            return
        try:
            subprocess.Popen(
                [*shlex.split(command), "--", clean(span.name, 200), span.status.value],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            self._app.notify_text(f"watch_command failed: {error}", "error")

    def _write(self, path: Path, text: str, *, new: bool = False) -> bool:
        """Write a file with mode 0600; with `new` never replace an existing one. On an error, show
        it and return False."""
        flags = os.O_EXCL if new else os.O_TRUNC
        try:
            descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | flags, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", errors="replace") as out:
                out.write(text)
        except OSError as error:
            self._app.notify_text(f"{path} cannot be written: {error.strerror}", "error")
            return False
        return True


def wrapped(sequence: str, tmux: str, screen: str) -> str:
    """An escape sequence, wrapped so that it reaches the terminal outside tmux or GNU screen. For
    tmux it is sent twice: plain for `set-clipboard on`, wrapped for `allow-passthrough on`."""
    if tmux:
        return sequence + "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + "\x1b\\"
    if screen:
        pieces = range(0, len(sequence), _SCREEN_PIECE)
        return "".join(f"\x1bP{sequence[i : i + _SCREEN_PIECE]}\x1b\\" for i in pieces)
    return sequence


def _screen() -> str:
    return os.environ.get("STY", "")


def is_page(url: str) -> bool:
    """Whether a browser may open the URL. Texts of events can also name files and options; those
    may not."""
    plain = clean(url) == url and not any(character.isspace() for character in url)
    return plain and url.startswith(("https://", "http://"))


def _free_name(folder: Path, stem: str, endings: Sequence[str] | dict[str, str]) -> str:
    """The first of stem, stem-2, stem-3 .. for which none of the files exists."""
    number = 1
    name = stem
    while any((folder / f"{name}.{ending}").exists() for ending in endings):
        number += 1
        name = f"{stem}-{number}"
    return name


def screen_text(app: Session) -> str:
    """The whole screen as plain text."""
    return "\n".join(strip.text.rstrip() for strip in painted_lines(app.screen)) + "\n"


def panel_text(app: Session) -> str:
    """The focused panel as plain text; the whole screen if no panel has the focus."""
    focused = app.screen.focused
    if focused is None:
        return screen_text(app)
    region = focused.region
    strips = painted_lines(app.screen)[region.y : region.bottom]
    cut = (strip.crop(region.x, region.right).text.rstrip() for strip in strips)
    return "\n".join(cut) + "\n"
