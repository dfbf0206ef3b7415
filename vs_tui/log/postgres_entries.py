"""The types of a PostgreSQL log's entries and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from vs_tui.model.errors import Explained

REPEAT: Final = "duplicate"
"""Verdict of an entry that only counts a repeat of an earlier delivery."""


class Position(NamedTuple):
    """A position in the log; everything up to and including it was read."""

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
    """The delivery that this entry repeats; 0 for none."""
    xid: int = 0

    @property
    def position(self) -> Position:
        return Position(self.xid, self.id)


STORED_FIELDS: Final = Entry._fields[:-1]
COLUMNS: Final = ", ".join(STORED_FIELDS)


class Appended(NamedTuple):
    """The result of appending one entry."""

    id: int
    """The entry's id, or the id of the delivery that it repeats."""
    repeated: bool
    keys: str
    """Keys of the stored delivery, as JSON."""
    sha256: bytes = b""
    """Hash of the stored body."""
    reason: str = ""
    """The reason of the verdict, with a flag if the id was used with another body."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of the log; a follower compares it with its own notes to see whether it can go
    on."""

    epoch: str
    prune: int
    """Number of the newest deletion."""
    complete: bool
    """Whether no entries were deleted or lost that the follower has not read."""


class LogAway(Explained):
    """The log cannot be reached or refuses to commit; the message says why, without secrets."""
