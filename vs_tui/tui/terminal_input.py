"""Parses terminal input into messages, and goes on after input it cannot parse.

Terminals send more than Textual's parser knows: key releases and alternate keys of the kitty
protocol, code points beyond Unicode, sizes of 0 pixels. On these Textual's parser raises an error,
which would end the dashboard. This one parses or ignores them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Iterator
from typing import Final

from textual import events
from textual._xterm_parser import XTermParser
from textual.keys import Keys
from textual.message import Message

__all__ = ["MAX_CELLS", "TerminalParser"]

_log = logging.getLogger(__name__)

MAX_CELLS: Final = 5_000
"""Most columns or lines of a terminal; a larger size is taken for an error and ignored."""
MAX_CODE_POINT: Final = 0x10FFFF
_EXTENDED_KEY: Final = re.compile(r"\x1b\[([\d:;]*)([u~ABCDEFHPQRS])\Z")
_RELEASE: Final = "3"
"""Event type of a key release in the kitty protocol."""


class TerminalParser(XTermParser):
    """Textual's parser, which also survives input it cannot parse."""

    def feed(self, data: str) -> Iterable[Message]:
        # One character at a time, so that input after an error is still read.
        for character in data:
            yield from self._guarded(super().feed(character))

    def tick(self) -> Iterable[Message]:
        yield from self._guarded(super().tick())

    def _guarded(self, messages: Iterable[Message]) -> Iterator[Message]:
        """The usable messages, up to an error; after an error the parser is reset."""
        try:
            for message in messages:
                if not isinstance(message, events.Resize) or _is_possible(message):
                    yield message
        except Exception:
            _log.warning("the terminal sent something that cannot be read", exc_info=True)
            self._tokens.clear()
            self._gen = self.parse(self._tokens.append)
            self._awaiting = next(self._gen)
            self._timeout_time = None

    def parse_mouse_code(self, code: str) -> Message | None:
        # A terminal that does not know its size in pixels reports the mouse in cells.
        known = (*(self.terminal_size or (0, 0)), *(self.terminal_pixel_size or (0, 0)))
        if not all(known):
            self.mouse_pixels = False
        return super().parse_mouse_code(code)

    def _sequence_to_key_events(self, sequence: str, alt: bool = False) -> Iterable[events.Key]:
        match = _EXTENDED_KEY.match(sequence)
        understood = sequence if match is None else _understood(match)
        if understood:
            yield from super()._sequence_to_key_events(understood, alt)
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
