"""Cursors of lists: a cursor names the last row of a page, and the next page begins after it.

Rows that are added meanwhile do not shift the pages, unlike an offset. Only a row that moves
itself, such as a span that ends, may appear again at its new place.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True, slots=True)
class Place:
    """The place of a row in a list."""

    part: int
    """Number of the part, in a list of several parts one after the other."""
    value: int | str | None
    """The value by which the part is sorted; rows without a value come last."""
    key: str
    """Sorts rows with the same value, from A to Z."""

    def after(self, column: str, way: str) -> tuple[str, list[Any]]:
        """SQL condition for the rows of this part after this one, sorted by `column`, DESC or
        ASC."""
        if self.value is None:
            return f"{column} IS NULL AND key > ?", [self.key]
        beyond = "<" if way == "DESC" else ">"
        rest = f"{column} {beyond}= ? AND ({column} {beyond} ? OR key > ?)"
        return f"({rest}) OR {column} IS NULL", [self.value, self.value, self.key]

    def is_before(self, other: Place) -> bool:
        """Whether this place comes before another, in a list sorted DESC by numbers."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, bool, int, str]:
        value = self.value if isinstance(self.value, int) else 0
        return self.part, self.value is None, -value, self.key


def cursor_of(order: str, place: Place) -> str:
    """The cursor for a place in a list of this order; safe in a URL."""
    told = orjson.dumps([order, place.part, place.value, place.key])
    return base64.urlsafe_b64encode(told).decode().rstrip("=")


def place_of(order: str, cursor: str) -> Place | None:
    """The place of a cursor; None for an empty cursor, the beginning. ValueError if the cursor is
    not from a list of this order."""
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
