"""What a PostgreSQL log holds and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from vs_tui.model.errors import Explained

REPEAT: Final = "duplicate"
"""Verdict of an entry that only counts a repeat of an earlier delivery."""


class Position(NamedTuple):
    """A place in the log: everything up to and including it was read."""

    xid: int = 0
    id: int = 0

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"

    @classmethod
    def parse(cls, text: str) -> Position:
        xid, _, number = text.partition("-")
        return cls(int(xid), int(number))


BEGINNING: Final = Position()


class Entry(NamedTuple):
    """A row of the log."""

    id: int
    source: str
    kind: str
    path: str
    headers: str
    """JSON"""
    body: bytes
    sha256: bytes
    received_at: int
    dedupe: str
    verdict: str
    reason: str
    status: int
    duplicates: int
    adapter: int
    keys: str
    """JSON"""
    original: int = 0
    """The delivery that this one repeats; 0: none."""
    xid: int = 0

    @property
    def position(self) -> Position:
        return Position(self.xid, self.id)


STORED_FIELDS: Final = Entry._fields[:-1]
COLUMNS: Final = ", ".join(STORED_FIELDS)


class Appended(NamedTuple):
    """What became of one entry."""

    id: int
    """Its own, or that of the delivery that it repeats."""
    repeated: bool
    keys: str
    """JSON; of the delivery that is stored."""
    sha256: bytes = b""
    """Of the body that is stored."""
    reason: str = ""
    """Why it is accepted or ignored, with the flag of an id that had another body."""


@dataclass(frozen=True, slots=True)
class State:
    """What a follower compares with its own notes, to see whether it can go on."""

    epoch: str
    prune: int
    """Number of the newest deletion."""
    complete: bool
    """Whether nothing was deleted or lost that the follower has not read."""


class LogAway(Explained):
    """The log cannot be reached, or refuses to commit; the message says why, without secrets."""
