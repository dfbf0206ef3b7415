"""The terminal: input that no parser understands, and slow, silent or broken lines.

The dashboard ends when its terminal goes away, as with a closed window or a dropped ssh connection.
In Textual the writer thread fails then, its queue fills up and the process hangs, while the reader
spins on end-of-file. Textual's reader also polls ten times a second, a fifth of the CPU of an idle
dashboard; this one sleeps until a key comes.

Terminals send more than Textual's parser knows: key releases and alternate keys of the kitty
protocol, code points beyond Unicode, sizes of 0 pixels. On these Textual's parser raises an error,
which would end the dashboard. Ours parses or ignores them and goes on. Answers of the terminal to
another program are no keys, and a paste without an end ends by itself.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import logging
import os
import re
import select
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Final

from textual import events
from textual.keys import Keys
from textual.message import Message

from vs_tui.tui.textual_internals import Parser, TextualDriver, Writer

_log = logging.getLogger(__name__)

SLOW_SECONDS: Final = 0.15
"""A line is slow if writing a text takes longer."""
KEY_SECONDS: Final = 0.1
"""Seconds between checks whether an unfinished key sequence is complete."""
AT_ONCE: Final = 700
"""Most characters sent at once on a slow line."""
STRING_SECONDS: Final = 0.5
"""A control string without an end is over after this time without a character."""
PASTE_SECONDS: Final = 2.0
"""A paste without an end is over after this time without a character."""
_STRING_BEGINS: Final = "]P_^X"
"""What follows an escape at the begin of a control string: OSC, DCS, APC, PM, SOS."""
_STRING_ENDS: Final = "\a\x18\x1a"
_PASTE_BEGINS: Final = "\x1b[200~"
_PASTE_ENDS: Final = "\x1b[201~"
MAX_CELLS: Final = 5_000
"""Most columns or lines of a terminal; a larger size is taken for an error and ignored."""
MAX_CODE_POINT: Final = 0x10FFFF
_EXTENDED_KEY: Final = re.compile(r"\x1b\[([\d:;]*)([u~ABCDEFHPQRS])\Z")
_RELEASE: Final = "3"
"""Event type of a key release in the kitty protocol."""


class Output(Writer):
    """Writes until the terminal is gone, then discards the queue so that nothing blocks."""

    def __init__(self, file: IO[str], gone: Callable[[], None]) -> None:
        super().__init__(file)
        self._gone = gone
        self._untaken = 0
        self._asked: Callable[[], None] | None = None
        self._counting = threading.Lock()
        self.slow = False
        """Whether the last text was written slowly."""

    @property
    def behind(self) -> bool:
        """Whether queued texts are not written yet."""
        return self._untaken > 0

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns False if everything is written; otherwise this thread calls `callback` once it
        is."""
        with self._counting:
            self._asked = callback if self._untaken else None
            return self._asked is not None

    def write(self, text: str) -> None:
        with self._counting:
            self._untaken += 1
        super().write(text)

    def run(self) -> None:
        try:
            while (text := self.next_text()) is not None:
                began = time.monotonic()
                self.file.write(text)
                self.file.flush()
                self.slow = time.monotonic() - began > SLOW_SECONDS
                self._taken()
        except (OSError, ValueError):
            self._gone()
            while self.next_text() is not None:
                pass

    def _taken(self) -> None:
        with self._counting:
            self._untaken -= 1
            if self._untaken or self._asked is None:
                return
            callback, self._asked = self._asked, None
        callback()


class TerminalDriver(TextualDriver):
    """Textual's driver, which also ends the app when the terminal hangs up."""

    _waker: int | None = None
    """File descriptor; writing to it ends the thread that reads keys."""

    def make_writer(self, file: IO[str]) -> Output:
        loop = asyncio.get_running_loop()

        def gone() -> None:
            loop.call_soon_threadsafe(self.app.exit)

        return Output(file, gone)

    def terminal_size(self) -> tuple[int, int] | None:
        # COLUMNS and LINES may belong to another terminal, so they are only a fallback.
        for number in (self.fileno, 1, 2):
            with contextlib.suppress(OSError):
                size = os.get_terminal_size(number)
                if size.columns and size.lines:
                    return size.columns, size.lines
        return None

    def read_keys(self) -> None:
        """Read keys until the driver stops the thread or the terminal is gone."""
        woken, self._waker = os.pipe()
        parser = TerminalParser(self.debug)
        decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        try:
            while not self.exit_event.is_set():
                # A lone escape is a key if nothing follows it for a while.
                wait = KEY_SECONDS if parser.is_unfinished else None
                ready, _, _ = select.select([self.fileno, woken], [], [], wait)
                if woken in ready:
                    return
                if self.fileno in ready:
                    # SIGHUP does not reach a process that has no controlling terminal.
                    read = self._read()
                    if not read:
                        self.app.call_later(self.app.exit)
                        return
                    for message in parser.feed(decode(read)):
                        self.process_message(message)
                for message in parser.tick():
                    self.process_message(message)
        finally:
            waker, self._waker = self._waker, None
            os.close(woken)
            os.close(waker)

    def _read(self) -> bytes:
        try:
            return os.read(self.fileno, 4_096)
        except OSError:
            return b""

    def disable_input(self) -> None:
        if self._waker is not None:
            with contextlib.suppress(OSError):  # the thread has just ended
                os.write(self._waker, b"x")
        super().disable_input()

    @property
    def behind(self) -> bool:
        """Whether the line has not yet taken everything painted."""
        return isinstance(self.writer, Output) and self.writer.behind

    @property
    def at_once(self) -> int | None:
        """Most characters to send before checking for newer content; None unless the line is
        slow."""
        slow = isinstance(self.writer, Output) and self.writer.slow
        return AT_ONCE if slow else None

    def call_when_taken(self, callback: Callable[[], None]) -> bool:
        """Returns whether output is still waiting for the line; if so, calls `callback` in the
        event loop once it is taken."""
        loop, writer = asyncio.get_running_loop(), self.writer

        def call() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(callback)

        return isinstance(writer, Output) and writer.call_when_taken(call)


class TerminalParser(Parser):
    """Textual's parser, which also survives input it cannot parse, and drops control strings: to
    Textual each character of a terminal's late answer, such as its background colour, is a key. So
    is each character of an escape sequence within a paste, so the text is read here."""

    def __init__(self, debug: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(debug)
        self._clock = clock
        self._latest = ""
        """The last characters."""
        self._latest_at = 0.0
        self._in_string = False
        self._pasted: list[str] | None = None
        """The characters of an unfinished paste."""

    @property
    def is_unfinished(self) -> bool:
        return self._in_string or self._pasted is not None or super().is_unfinished

    def feed(self, data: str) -> Iterable[Message]:
        # One character at a time, so that input after an error is still read.
        for character in data:
            escaped = self._latest.endswith("\x1b")
            self._latest = (self._latest + character)[-len(_PASTE_BEGINS) :]
            if self._pasted is not None:
                yield from self._paste(self._pasted, character)
            elif escaped and character in _STRING_BEGINS:
                self._in_string = True
                self.reset()
            elif self._latest == _PASTE_BEGINS:
                self._pasted, self._in_string = [], False
                self.reset()
            elif not self._in_string:
                yield from self._guarded(super().feed(character))
            elif escaped and character != "\\":
                self._in_string = False  # another sequence began instead
                yield from self._guarded(super().feed(f"\x1b{character}"))
            else:
                self._in_string = not escaped and character not in _STRING_ENDS
        self._latest_at = self._clock()

    def tick(self) -> Iterable[Message]:
        quiet = self._clock() - self._latest_at
        if quiet > STRING_SECONDS:
            self._in_string = False
        if self._pasted is not None and quiet > PASTE_SECONDS:
            yield from self.feed(_PASTE_ENDS)
        yield from self._guarded(super().tick())

    def _paste(self, pasted: list[str], character: str) -> Iterator[Message]:
        """The paste, if this character ends it."""
        pasted.append(character)
        if self._latest == _PASTE_ENDS:
            self._pasted = None
            yield events.Paste("".join(pasted)[: -len(_PASTE_ENDS)].replace("\0", ""))

    def _guarded(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The usable messages, up to an error; after an error the parser is reset."""
        try:
            for message in messages:
                if not isinstance(message, events.Resize) or _is_possible(message):
                    yield message
        except Exception:
            _log.warning("the terminal sent something that cannot be read", exc_info=True)
            self.reset()

    def parse_mouse_code(self, code: str) -> Message | None:
        # A terminal that does not know its size in pixels reports the mouse in cells.
        known = (*(self.terminal_size or (0, 0)), *(self.terminal_pixel_size or (0, 0)))
        if not all(known):
            self.mouse_pixels = False
        return super().parse_mouse_code(code)

    def keys_of(self, sequence: str, alt: bool) -> Iterable[events.Key]:
        match = _EXTENDED_KEY.match(sequence)
        understood = sequence if match is None else _understood(match)
        if understood:
            yield from super().keys_of(understood, alt)
        else:
            yield events.Key(Keys.Ignore, sequence)


def _understood(match: re.Match[str]) -> str:
    """A sequence of the kitty protocol in the form that Textual's parser accepts; empty if it is
    not a key press."""
    fields = match[1].split(";")
    if len(fields) == 1 and match[2] != "u":
        return match[0]
    code, modifiers, text = (*fields[:3], "", "", "")[:3]
    modifier, _, event_type = modifiers.partition(":")
    # The first alternate key is the key itself.
    code = code.partition(":")[0]
    characters = [part for part in text.split(":") if part]
    known = all(_is_character(part) for part in (code or "1", modifier or "1", *characters))
    if event_type == _RELEASE or len(fields) > 3 or not known:
        return ""
    plain = ";".join((code, modifier, ":".join(characters))).rstrip(";")
    return f"\x1b[{plain}{'' if ';' in plain else ';1'}{match[2]}"


def _is_possible(event: events.Resize) -> bool:
    return 0 < event.size.width <= MAX_CELLS and 0 < event.size.height <= MAX_CELLS


def _is_character(digits: str) -> bool:
    """Whether the digits are a valid code point: within Unicode and not a surrogate."""
    number = int(digits) if digits.isdecimal() and len(digits) < 10 else MAX_CODE_POINT + 1
    return number <= MAX_CODE_POINT and not 0xD800 <= number <= 0xDFFF
