"""Flags deliveries whose body came before under another delivery id.

Few tools sign the id of a delivery, so a recorded signed body can be sent again under a new id.
Folding it again changes nothing; the flag makes it visible. It proves no attack: a tool may send
the same body twice (a heartbeat, an alert that still fires).
"""

from __future__ import annotations

import re
import sqlite3
from itertools import islice
from typing import Final

from vs_tui.log.delivery import Intake
from vs_tui.model.limits import MIB

REMEMBERED: Final = 20_000
"""Number of bodies that are remembered, about 2 MB. Older ones are not recognised."""
AT_THE_START: Final = 2_000
"""Most bodies that are loaded when the database is opened; fewer if they are large, because SQLite
reads the whole body to reach the hash stored behind it."""
READ_AT_THE_START: Final = 4 * MIB
_FLAGS: Final = re.compile(
    r"(?:same id as delivery \d+, another body|same body as delivery \d+|; )+$"
)


def flagged(reason: str, delivery_id: int) -> str:
    """The reason with the flag that an earlier delivery had the same body."""
    return _joined(reason, f"same body as delivery {delivery_id}")


def flagged_id(reason: str, delivery_id: int) -> str:
    """The reason with the flag that an earlier delivery had the same id and another body."""
    return _joined(reason, f"same id as delivery {delivery_id}, another body")


def with_flag_of(reason: str, stored: str) -> str:
    """The new reason of a delivery, with the flags of its stored reason."""
    found = _FLAGS.search(stored)
    return _joined(reason, found[0].removeprefix("; ")) if found else reason


def _joined(reason: str, flag: str) -> str:
    return f"{reason}; {flag}" if reason else flag


class SameBodies:
    """The latest bodies by path and hash, each with the first delivery that had it.

    Call `keep` or `drop` when the transaction ends; additions count after `keep`.
    """

    def __init__(self) -> None:
        self._first: dict[int, int] = {}
        self._added: dict[int, int] = {}

    def load(self, connection: sqlite3.Connection) -> None:
        """Load the newest stored bodies."""
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
        """The earlier delivery with this body at this path; 0 if there is none, and then this
        delivery is remembered."""
        return self._remembered((path, digest), delivery_id)

    def other(self, intake: Intake, digest: bytes, delivery_id: int) -> int:
        """The first delivery with the same sender's id, if it had another body; else 0. It is for
        deliveries whose name is their body, and forgets with the process."""
        own = (intake.source, intake.sender_id)
        first = self._remembered(own, delivery_id)
        return 0 if self._remembered((*own, digest), delivery_id) else first

    def _remembered(self, what: tuple[str | bytes, ...], delivery_id: int) -> int:
        # Python's hash takes a third of the memory; a collision only sets a wrong flag.
        name = hash(what)
        known = self._first.get(name) or self._added.get(name, 0)
        if not known:
            self._added[name] = delivery_id
        return known

    def keep(self) -> None:
        """Keep the additions: the transaction is committed."""
        self._first.update(self._added)
        self._added.clear()
        over = len(self._first) - REMEMBERED
        for name in list(islice(self._first, max(over, 0))):
            del self._first[name]

    def clear(self) -> None:
        """Forget all bodies: everything was deleted."""
        self._first.clear()
        self._added.clear()

    def drop(self) -> None:
        """Forget the additions: the transaction is rolled back."""
        self._added.clear()
