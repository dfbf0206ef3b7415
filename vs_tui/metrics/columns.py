"""Numbers stored as bytes."""

from __future__ import annotations

from array import array
from typing import Any


def column_of(code: str, data: bytes | memoryview) -> Any:
    """The numbers that were stored as these bytes; `code` is `array`'s for their type."""
    found = array(code)
    found.frombytes(data)
    return found
