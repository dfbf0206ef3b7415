"""Places in a list: a cursor names the last row of a page; the next page is what comes after it.

What is stored meanwhile moves no place, as it would a number of rows to skip. Only a row that moves
itself, such as a span that ends, is met again at its new place.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands."""

    part: int
    """Of a list of several parts, one after the other."""
    value: int | str | None
    """What the part is sorted by; rows without a value come last."""
    key: str
    """Tells rows of the same value apart, from A to Z."""

    def after(self, column: str, way: str) -> tuple[str, list[Any]]:
        """SQL for the rows after this one, of its part: sorted by `column`, DESC or ASC."""
        if self.value is None:
            return f"{column} IS NULL AND key > ?", [self.key]
        beyond = "<" if way == "DESC" else ">"
        rest = f"{column} {beyond}= ? AND ({column} {beyond} ? OR key > ?)"
        return f"({rest}) OR {column} IS NULL", [self.value, self.value, self.key]

    def is_before(self, other: Place) -> bool:
        """In a list that is sorted DESC by numbers."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, bool, int, str]:
        value = self.value if isinstance(self.value, int) else 0
        return self.part, self.value is None, -value, self.key


def cursor_of(order: str, place: Place) -> str:
    """A place of a list in this order, as a word that fits into a URL."""
    told = orjson.dumps([order, place.part, place.value, place.key])
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def place_of(order: str, cursor: str) -> Place | None:
    """The place that a cursor names, None for the beginning. ValueError when no list in this order
    told it."""
    if not cursor:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        told = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        told = None
    match told:
        case [str(its), int(part), int() | str() | None as value, str(key)] if its == order:
            if not isinstance(value, int) or abs(value) < 1 << 63:  # what SQLite can compare
                return Place(part, value, key)
    raise ValueError("cursor must be one that an answer before this one told, to the same question")
