"""Input and output of the writer: deliveries with their events, and receipts; and when a delivery
repeats an earlier one.

Few tools sign the id of a delivery, so a recorded signed body can be sent again under a new id.
Folding it again changes nothing; a flag makes it visible. It proves no attack: a tool may send the
same body twice (a heartbeat, an alert that still fires).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from secrets import token_hex
from typing import Any, Final, NamedTuple

import orjson

from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Event, Verdict

UNKNOWN_SOURCE = "unknown"
"""The source name of refused requests to paths that no source has."""
DECISION_SOURCE: Final = "user"
"""The source name of what people decide in vs-tui itself; stored logs have it."""
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
REMEMBERED: Final = 20_000
"""Number of bodies that are remembered, about 2 MB. Older ones are not recognised."""
AT_THE_START: Final = 2_000
"""Most bodies that are loaded when the database is opened; fewer if they are large, because SQLite
reads the whole body to reach the hash stored behind it."""
READ_AT_THE_START: Final = 4 * MIB
_NONE: Final[Mapping[str, str]] = {}
_FLAGS: Final = re.compile(
    r"(?:same id as delivery \d+, another body|same body as delivery \d+|; )+$"
)


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
    are_outlines: bool = False
    """Whether `events` only name their spans; to fold it, `finish` or a second parse makes whole
    ones."""
    finish: Callable[[], Sequence[Event]] | None = None
    """Makes the whole events of a small body. It keeps the decoded body, which takes three to
    twelve times the memory of the bytes; so larger ones have none."""
    requires: str = ""
    """Key or ref of a span that must exist; without it the delivery is refused (404)."""
    sender_id: str = ""
    """The sender's own id of the delivery, which `dedupe` may not contain."""

    @property
    def digest(self) -> bytes:
        return sha256(self.body).digest()

    @property
    def refs(self) -> dict[str, str]:
        """Span key -> displayed ref, in order and each once."""
        return {event.key: event.ref or event.full_ref or event.key for event in self.events}

    def columns(self, digest: bytes, reason: str, keys: Iterable[str]) -> tuple[Any, ...]:
        """The values of a log's columns, from the source to the `keys` of its spans."""
        return (
            self.source,
            self.kind,
            self.path,
            orjson.dumps(dict(self.headers)).decode(),
            self.body,
            digest,
            self.received_at,
            self.dedupe,
            self.verdict.value,
            reason,
            self.status,
            0,  # duplicates
            self.adapter,
            orjson.dumps(list(keys)).decode(),
        )


class Rejection(NamedTuple):
    """A refused request, kept in a bounded list for the Events view."""

    source: str
    kind: str
    path: str
    received_at: Instant
    status: int
    reason: str
    size: int
    headers: Mapping[str, str] = _NONE
    body: bytes = b""


class Receipt(NamedTuple):
    """What the sender of an intake is told; available only after its COMMIT returned."""

    delivery_id: int
    verdict: Verdict
    reason: str
    span_refs: Sequence[str] = ()


def receipt_of_repeat(intake: Intake, original: int, keys: Sequence[str]) -> Receipt:
    """The receipt of a delivery that repeats a stored one with these span keys."""
    refs = intake.refs
    reason = f"the same as delivery {original}"
    return Receipt(original, Verdict.DUPLICATE, reason, [refs.get(key, key) for key in keys])


def receipt_without(intake: Intake) -> Receipt:
    """The receipt of a delivery that requires a span which does not exist."""
    return Receipt(0, Verdict.REJECTED, f"there is no {intake.requires}; create it first")


def makes(intakes: Iterable[Intake], name: str) -> bool:
    """Whether one of the deliveries reports on the span with this key or ref."""
    return any(
        name in (event.key, event.ref, event.full_ref)
        for intake in intakes
        for event in intake.events
    )


def decision(path: str, content: Mapping[str, object], now: Instant) -> Intake:
    """The log entry of a decision (see `DECISIONS`)."""
    kind, what = DECISIONS[path]
    return Intake(
        source=DECISION_SOURCE,
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
        return "run:" + _digest("\n".join(sorted(set(runs))).encode("utf-8", "replace"))
    return "sha:" + _digest(path.encode(), body)


def with_body(dedupe: str, digest: bytes) -> str:
    """The name of a delivery whose id was used before with another body."""
    return f"{dedupe}\n{digest.hex()}"


def _digest(*parts: bytes) -> str:
    return sha256(b"\n".join(parts)).hexdigest()


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
