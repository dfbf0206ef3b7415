"""What goes into the writer and what comes back: deliveries with their events, and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import NamedTuple

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Verdict

UNKNOWN_SOURCE = "unknown"
"""What refused requests to paths that no source has are listed under."""


class Intake(NamedTuple):
    """A verified delivery and what its adapter read."""

    source: str
    kind: str
    path: str
    headers: Mapping[str, str]
    """Only those worth keeping; never a secret."""
    body: bytes
    received_at: Instant
    dedupe: str
    """The sender's delivery id after `id:`, or `sha:` and the hash of path and body."""
    verdict: Verdict
    reason: str = ""
    status: int = 200
    adapter: int = 1
    events: Sequence[Event] = ()
    requires: str = ""
    """Key or ref of a span that must exist, else the delivery is refused (404)."""

    @property
    def digest(self) -> bytes:
        return sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request that was refused: kept in a bounded list, for the Events view."""

    source: str
    kind: str
    path: str
    received_at: Instant
    status: int
    reason: str
    size: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True)
class Outcome:
    """What became of an intake; only handed out after its COMMIT returned."""

    delivery_id: int
    verdict: Verdict
    reason: str
    span_keys: Sequence[str] = ()
    span_refs: Sequence[str] = ()


def dedupe_key(path: str, body: bytes, sender_id: str) -> str:
    """How a repeat is told: the sender's own id, else the hash of path and body."""
    if sender_id:
        return f"id:{sender_id[:300]}"
    return "sha:" + sha256(path.encode() + b"\n" + body).hexdigest()
