"""Input and output of the writer: deliveries with their events, and outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex
from typing import Final, NamedTuple

import orjson

from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Verdict

UNKNOWN_SOURCE = "unknown"
"""The source name of refused requests to paths that no source has."""
LONGEST_ID: Final = 300
"""Longest sender's id that is stored, in characters; a longer one is replaced by its hash."""

PRUNE_PATH: Final = "/api/prune"
FORGET_PATH: Final = "/api/forget"
DECISIONS: Final = {
    PRUNE_PATH: ("prune", "finished traces from before this were deleted"),
    FORGET_PATH: ("forget", "a person's names were replaced in all deliveries"),
}
"""Log entries that no sender can make: path -> (kind, reason). Every node that folds the log prunes
by them; names are replaced in the log itself."""


class Intake(NamedTuple):
    """A verified delivery and the events that its adapter parsed."""

    source: str
    kind: str
    path: str
    headers: Mapping[str, str]
    """Only the headers worth keeping; never a secret."""
    body: bytes
    received_at: Instant
    dedupe: str
    """The name that identifies repeats; see `dedupe_key`."""
    verdict: Verdict
    reason: str = ""
    status: int = 200
    adapter: int = 1
    events: Sequence[Event] = ()
    requires: str = ""
    """Key or ref of a span that must exist; without it the delivery is refused (404)."""
    sender_id: str = ""
    """The sender's own id of the delivery, which `dedupe` may not contain."""

    @property
    def digest(self) -> bytes:
        return sha256(self.body).digest()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refused request, kept in a bounded list for the Events view."""

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
    """The result of an intake; available only after its COMMIT returned."""

    delivery_id: int
    verdict: Verdict
    reason: str
    span_keys: Sequence[str] = ()
    span_refs: Sequence[str] = ()


def decision(path: str, content: Mapping[str, object], now: Instant) -> Intake:
    """The log entry of a decision (see `DECISIONS`)."""
    kind, what = DECISIONS[path]
    return Intake(
        source="user",
        kind=kind,
        path=path,
        headers={},
        body=orjson.dumps(content),
        received_at=now,
        dedupe=f"id:{kind}-{token_hex(8)}",
        verdict=Verdict.IGNORED,
        reason=what,
    )


def dedupe_key(
    path: str, body: bytes, sender_id: str, runs: Sequence[str] = (), *, replayable: bool = False
) -> str:
    """The name that identifies repeats of a delivery.

    - `id:`, the sender's own id: the same id with the same body is a repeat.
    - `sha:`, the hash of path and body, without an id: the same body within a day is a repeat.
    - `run:`, the spans (`runs`) of a delivery without an id and a time: it repeats the latest
      delivery of these spans, within a day. Start, end, start, end is two runs.
    - `body:`, for a delivery without a time whose id proves nothing (`replayable`): the same body
      is a repeat under any id, so that a recorded body cannot reopen a span.
    """
    if replayable and sender_id and runs:
        return "body:" + _digest(path.encode(), body)
    if sender_id:
        is_short = len(sender_id) <= LONGEST_ID
        return f"id:{sender_id if is_short else _digest(sender_id.encode('utf-8', 'replace'))}"
    if runs:
        return "run:" + _digest(*(key.encode("utf-8", "replace") for key in sorted(set(runs))))
    return "sha:" + _digest(path.encode(), body)


def with_body(dedupe: str, digest: bytes) -> str:
    """The name of a delivery whose id was used before with another body."""
    return f"{dedupe}\n{digest.hex()}"


def _digest(*parts: bytes) -> str:
    return sha256(b"\n".join(parts)).hexdigest()
