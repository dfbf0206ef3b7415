"""Telling that a body came before under another delivery id.

Few tools sign the id of a delivery, so one who recorded a signed body can send it again under a
new one. Folding it again changes nothing; here it is made visible. It accuses nobody: a tool may
say the same thing twice (a heartbeat, an alert that still fires).
"""

from __future__ import annotations

import re
import sqlite3
from itertools import islice
from typing import Final

from vs_tui.model.limits import MIB

REMEMBERED: Final = 20_000
"""Bodies, about 2 MB. Older ones than these are not recognised."""
AT_THE_START: Final = 2_000
"""Of them looked up when the database is opened, or fewer, where they are large: a hash lies behind
its body, which has to be read to come to it."""
READ_AT_THE_START: Final = 4 * MIB
_FLAGS: Final = re.compile(
    r"(?:same id as delivery \d+, another body|same body as delivery \d+|; )+$"
)


def flagged(reason: str, delivery_id: int) -> str:
    """A delivery's reason with the flag that its body is that of an earlier delivery."""
    return _joined(reason, f"same body as delivery {delivery_id}")


def flagged_id(reason: str, delivery_id: int) -> str:
    """A delivery's reason with the flag that its id is that of an earlier one with another body."""
    return _joined(reason, f"same id as delivery {delivery_id}, another body")


def with_flag_of(reason: str, stored: str) -> str:
    """What a delivery reads as now, with the flags that it was stored with."""
    found = _FLAGS.search(stored)
    return _joined(reason, found[0].removeprefix("; ")) if found else reason


def _joined(reason: str, flag: str) -> str:
    return f"{reason}; {flag}" if reason else flag


class SameBodies:
    """The latest bodies by path and hash, and the delivery that was the first to bring each.

    What a transaction adds counts once it is committed: `keep`, or `drop`.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._added: dict[int, int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Remember the newest stored bodies."""
        newest = (
            "SELECT COALESCE(log_id, id), path, sha256, length(body) FROM deliveries "
            "ORDER BY id DESC LIMIT ?"
        )
        stored, size = [], 0
        for *row, length in connection.execute(newest, (AT_THE_START,)):
            stored.append(row)
            size += length
            if size > READ_AT_THE_START:
                break
        for delivery_id, path, digest in reversed(stored):
            self.first(path, digest, delivery_id)
        self.keep()

    def first(self, path: str, digest: bytes, delivery_id: int) -> int:
        """The delivery that brought this body to this path before; 0, and remembered, if none."""
        # Python's hash takes a third of the memory; that two of them meet is no risk worth more.
        name = hash((path, digest))
        known = self._first.get(name) or self._added.get(name, 0)
        if not known:
            self._added[name] = delivery_id
        return known

    def keep(self) -> None:
        """The transaction is committed."""
        self._first.update(self._added)
        self._added.clear()
        over = len(self._first) - REMEMBERED
        for name in list(islice(self._first, max(over, 0))):
            del self._first[name]

    def clear(self) -> None:
        """Everything was deleted."""
        self._first.clear()
        self._added.clear()

    def drop(self) -> None:
        """The transaction is undone."""
        self._added.clear()
