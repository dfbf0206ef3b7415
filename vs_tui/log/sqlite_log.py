"""The delivery log in SQLite: deliveries are appended, and read in order from a position.

The functions run inside the writer's transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import orjson

from vs_tui.log.delivery import (
    PRUNE_PATH,
    UNKNOWN_SOURCE,
    Intake,
    Receipt,
    Rejection,
    SameBodies,
    flagged,
    flagged_id,
    makes,
    receipt_of_repeat,
    receipt_without,
    with_body,
)
from vs_tui.log.sqlite_position import KEYS, as_json, head
from vs_tui.model.time import DAY, Instant
from vs_tui.model.vocabulary import Verdict

BODY_DEDUPE_WINDOW: Final = DAY
"""The same body without a sender's id counts as a repeat within this time."""
REJECTIONS_KEPT: Final = 5_000
UNKNOWN_KEPT: Final = 100
"""Most refused requests that are kept for paths that no source has."""


class Tallies(dict[tuple[str, Verdict], tuple[int, Instant, str]]):
    """Deliveries to count: (source, verdict) -> (number, time and kind of the latest)."""

    def add(self, source: str, verdict: Verdict, at: Instant, kind: str, number: int = 1) -> None:
        before, latest, _ = self.get((source, verdict), (0, 0, ""))
        self[source, verdict] = before + number, max(latest, at), kind


class StoredDelivery(NamedTuple):
    """A stored delivery, as the projector reads it."""

    id: int
    source: str
    kind: str
    path: str
    headers: str
    """JSON."""
    body: bytes
    received_at: Instant
    verdict: str
    reason: str


class Correction(NamedTuple):
    """What a stored delivery turned out to be."""

    kind: str
    verdict: str
    reason: str
    keys: str = "[]"
    """JSON: the keys of its spans."""


_STORED: Final = ", ".join(StoredDelivery._fields)


@dataclass(slots=True)
class Appended:
    """The result of an append; use it once the append is committed."""

    receipts: list[Receipt] = field(default_factory=list)
    fresh: list[tuple[int, Intake]] = field(default_factory=list)
    """The stored deliveries, each with its id."""


def append(
    db: sqlite3.Connection,
    intakes: Sequence[Intake],
    bodies: SameBodies,
    exists: Callable[[str], bool],
) -> Appended:
    """Store deliveries; a repeat of a stored one is only counted. The caller commits.

    The number of statements is the same for one delivery and for five hundred. `exists` returns
    whether a span exists, for a delivery that requires one.
    """
    digests = [intake.digest for intake in intakes]
    known = _known(db, intakes, digests)
    next_id = head(db) + 1
    appended = Appended()
    stored: list[tuple[object, ...]] = []
    tallies = Tallies()
    repeats: dict[int, int] = {}
    runs: dict[tuple[str, bytes], _Stored] = {}
    for given, digest in zip(intakes, digests, strict=True):
        intake = given
        original = known.get((intake.source, intake.dedupe))
        if original is not None and _has_another_body(intake, digest, original):
            reason = flagged_id(intake.reason, original.id)
            intake = intake._replace(dedupe=with_body(intake.dedupe, digest), reason=reason)
            original = known.get((intake.source, intake.dedupe))
        if original is not None and intake.dedupe.startswith("run:") and digest != original.digest:
            original = _replayed(db, intake, digest, original, runs)
        if original is not None and _is_repeat(intake, original):
            repeats[original.id] = repeats.get(original.id, 0) + 1
            tallies.add(intake.source, Verdict.DUPLICATE, intake.received_at, intake.kind)
            appended.receipts.append(receipt_of_repeat(intake, original.id, original.keys))
            continue
        wanted = intake.requires
        if wanted and not (makes((each for _, each in appended.fresh), wanted) or exists(wanted)):
            appended.receipts.append(receipt_without(intake))
            continue
        reason = intake.reason
        if earlier := bodies.first(intake.path, digest, next_id):
            reason = flagged(reason, earlier)
        if intake.dedupe.startswith("body:") and (earlier := bodies.other(intake, digest, next_id)):
            reason = flagged_id(reason, earlier)
        refs = intake.refs
        latest = _Stored(next_id, list(refs), intake.received_at, digest)
        known[intake.source, intake.dedupe] = runs[intake.dedupe, digest] = latest
        stored.append((next_id, None, *intake.columns(digest, reason, latest.keys)))
        tallies.add(intake.source, intake.verdict, intake.received_at, intake.kind)
        appended.fresh.append((next_id, intake))
        appended.receipts.append(Receipt(next_id, intake.verdict, reason, [*refs.values()]))
        next_id += 1
    insert(db, stored)
    if repeats:
        db.executemany(
            "UPDATE deliveries SET duplicates = duplicates + ? WHERE id = ?",
            [(n, delivery_id) for delivery_id, n in repeats.items()],
        )
    count(db, tallies)
    return appended


def ids_after(db: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, bool]]:
    """The ids of the next deliveries, each with a flag for a decision to prune."""
    sql = "SELECT id, path = ? AND source = 'user' FROM deliveries WHERE id > ? ORDER BY id LIMIT ?"
    return [
        (number, bool(is_prune)) for number, is_prune in db.execute(sql, (PRUNE_PATH, after, limit))
    ]


def read(db: sqlite3.Connection, ids: Iterable[int]) -> list[StoredDelivery]:
    """The stored deliveries with these ids, in order of id."""
    sql = f"SELECT {_STORED} FROM deliveries WHERE id {KEYS} ORDER BY id"
    return [StoredDelivery._make(row) for row in db.execute(sql, (as_json(ids),))]


def read_one(db: sqlite3.Connection, number: int) -> StoredDelivery:
    """The stored delivery with this id, which is there."""
    row = db.execute(f"SELECT {_STORED} FROM deliveries WHERE id = ?", (number,)).fetchone()
    return StoredDelivery._make(row)


def insert(db: sqlite3.Connection, rows: Iterable[tuple[object, ...]]) -> None:
    """Store deliveries: each its id here, its id in a shared log or None, and the columns of
    `Intake.columns`."""
    db.executemany(
        "INSERT INTO deliveries (id, log_id, source, kind, path, headers, body, sha256, "
        "received_at, dedupe, verdict, reason, status, duplicates, adapter, keys) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )


def count(db: sqlite3.Connection, tallies: Tallies) -> None:
    """Add to the counters of the sources. The number received is always the sum of the verdicts."""
    db.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, verdict) DO UPDATE SET "
        "n = n + excluded.n, last_at = MAX(last_at, excluded.last_at), "
        "last_kind = excluded.last_kind",
        [(source, verdict.value, *tally) for (source, verdict), tally in tallies.items()],
    )


def correct(db: sqlite3.Connection, entry: StoredDelivery, new: Correction) -> None:
    """Store what a delivery is now, if it is parsed differently than when it was appended."""
    db.execute(
        "UPDATE deliveries SET kind = ?, verdict = ?, reason = ?, keys = ? WHERE id = ?",
        (*new, entry.id),
    )
    if entry.verdict != new.verdict:
        db.execute(
            "UPDATE counts SET n = n - 1 WHERE source = ? AND verdict = ?",
            (entry.source, entry.verdict),
        )
        tallies = Tallies()
        tallies.add(entry.source, Verdict(new.verdict), entry.received_at, new.kind)
        count(db, tallies)


def record_rejections(
    connection: sqlite3.Connection,
    rejections: Sequence[Rejection],
    counted: Mapping[str, int],
    now: Instant,
) -> None:
    """Store refused requests for the Events view: the newest 5,000, with repeats counted. `counted`
    has the numbers, by source, of further requests that are only counted."""
    tallies = Tallies()
    for source, number in counted.items():
        tallies.add(source, Verdict.REJECTED, now, "request", number)
    for rejection in rejections:
        tallies.add(rejection.source, Verdict.REJECTED, rejection.received_at, rejection.kind)
        # A repeat repeats the latest row; scanners try many paths in any order.
        latest = "MAX(id) FROM rejections"
        if rejection.source == UNKNOWN_SOURCE:
            latest += " WHERE source = ?2 AND path = ?3"
        updated = connection.execute(
            "UPDATE rejections SET repeats = repeats + 1, received_at = ?1 WHERE id = "
            f"(SELECT {latest}) AND source = ?2 AND path = ?3 AND reason = ?4",
            (rejection.received_at, rejection.source, rejection.path, rejection.reason),
        )
        if updated.rowcount:
            continue
        *told, headers, body = rejection
        connection.execute(
            "INSERT INTO rejections (source, kind, path, received_at, status, reason, size, "
            "headers, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (*told, orjson.dumps(dict(headers)).decode(), body),
        )
    count(connection, tallies)
    # Separate limits, so that scanners do not displace refused requests of tools.
    for those, kept in (("<>", REJECTIONS_KEPT), ("=", UNKNOWN_KEPT)):
        connection.execute(
            f"DELETE FROM rejections WHERE source {those} ?1 AND id <= (SELECT id FROM rejections "
            f"WHERE source {those} ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (UNKNOWN_SOURCE, kept),
        )


class _Stored(NamedTuple):
    """The latest stored delivery of a name."""

    id: int
    keys: list[str]
    received_at: Instant
    digest: bytes


_Known = dict[tuple[str, str], _Stored]
"""(source, name) -> delivery."""
_LATEST: Final = (
    "SELECT d.source, d.dedupe, d.id, d.keys, d.received_at, d.sha256 FROM json_each(?) n "
    "CROSS JOIN deliveries d ON d.id = (SELECT id FROM deliveries WHERE dedupe = n.value ->> 1 "
    "AND source = n.value ->> 0 ORDER BY id DESC LIMIT 1)"
)
"""The latest delivery of each source and name; a run may have very many."""


def _known(db: sqlite3.Connection, intakes: Sequence[Intake], digests: Sequence[bytes]) -> _Known:
    """The latest stored delivery of each name, also of the names of ids with another body."""
    names = {(intake.source, intake.dedupe) for intake in intakes}
    for intake, digest in zip(intakes, digests, strict=True):
        if intake.dedupe.startswith("id:"):
            names.add((intake.source, with_body(intake.dedupe, digest)))
    return {
        (source, name): _Stored(delivery_id, orjson.loads(keys), at, digest)
        for source, name, delivery_id, keys, at, digest in db.execute(_LATEST, (as_json(names),))
    }


def _has_another_body(intake: Intake, digest: bytes, original: _Stored) -> bool:
    return intake.dedupe.startswith("id:") and digest != original.digest


def _is_repeat(intake: Intake, original: _Stored) -> bool:
    by_id = intake.dedupe.startswith(("id:", "body:"))
    return by_id or abs(intake.received_at - original.received_at) <= BODY_DEDUPE_WINDOW


def _replayed(
    db: sqlite3.Connection,
    intake: Intake,
    digest: bytes,
    latest: _Stored,
    added: Mapping[tuple[str, bytes], _Stored],
) -> _Stored | None:
    """The delivery that this one repeats, even if a newer delivery of its run came since. This
    applies only to a replayed history, whose times are not newer than the latest."""
    if intake.received_at > latest.received_at:
        return None
    if found := added.get((intake.dedupe, digest)):
        return found
    at = intake.received_at
    row = db.execute(
        "SELECT id, keys, received_at, sha256 FROM deliveries WHERE dedupe = ? "
        "AND received_at BETWEEN ? AND ? AND sha256 = ? LIMIT 1",
        (intake.dedupe, at - BODY_DEDUPE_WINDOW, at + BODY_DEDUPE_WINDOW, digest),
    ).fetchone()
    return None if row is None else _Stored(row[0], orjson.loads(row[1]), *row[2:])
