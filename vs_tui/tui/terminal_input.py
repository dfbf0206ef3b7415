"""What a terminal sends, as messages: whatever it is, reading goes on.

Terminals send more than Textual's parser knows: key releases and alternate keys of the kitty
protocol, code points beyond Unicode, sizes of 0 pixels. Its parser raises an error on those, which
would end the dashboard. This one understands them or ignores them.
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
"""Columns or lines that a terminal can have; a larger size is a fault of who sends it."""
MAX_CODE_POINT: Final = 0x10FFFF
_EXTENDED_KEY: Final = re.compile(r"\x1b\[([\d:;]*)([u~ABCDEFHPQRS])\Z")
_RELEASE: Final = "3"
"""The event type of the kitty protocol for a key that is let go."""


class TerminalParser(XTermParser):
    """Textual's parser, which survives what it cannot read."""

    def feed(self, data: str) -> Iterable[Message]:
        # One character at a time: what follows a fault is still read.
        for character in data:
            yield from self._guarded(super().feed(character))

    def tick(self) -> Iterable[Message]:
        yield from self._guarded(super().tick())

    def _guarded(self, messages: Iterable[Message]) -> Iterator[Message]:
        """Messages that can be used, up to a fault; the parser begins again after one."""
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
    """A sequence of the kitty protocol as Textual's parser reads it; empty for one that is no key
    press."""
    fields = match[1].split(";")
    if len(fields) == 1 and match[2] != "u":
        return match[0]
    code, modifiers, text = (*fields[:3], "", "", "")[:3]
    modifier, _, event_type = modifiers.partition(":")
    # The first of alternate keys is the key itself.
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
    """Whether it is the number of a character: not beyond Unicode, and no half of a surrogate."""
    number = int(digits) if digits.isdecimal() and len(digits) < 10 else MAX_CODE_POINT + 1
    return number <= MAX_CODE_POINT and not 0xD800 <= number <= 0xDFFF
