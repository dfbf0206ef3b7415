"""One transaction: many deliveries in, their spans and links folded, all or nothing.

Synchronous on purpose: it runs as a whole on the writer's thread, so that no two transactions
interleave (400 acknowledged rows became 200 when handlers shared a connection).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import orjson

from vs_tui.log.delivery import UNKNOWN_SOURCE, Intake, Outcome, Rejection
from vs_tui.log.same_bodies import SameBodies, flagged
from vs_tui.model.time import DAY, Instant
from vs_tui.model.vocabulary import Event, Rule, State, Verdict
from vs_tui.store import rows
from vs_tui.store.span_folding import Change, Context, EventCache, fold_events, refold
from vs_tui.traces.folding import WAITING_LIMIT

REJECTIONS_KEPT: Final = 5_000
UNKNOWN_KEPT: Final = 100
"""Refused requests to paths that no source has."""
BODY_DEDUPE_WINDOW: Final = DAY
"""Bodies without a sender's id count as repeats for this long."""

T = TypeVar("T")
Hook = Callable[[sqlite3.Connection, Sequence[str]], None]


@dataclass(slots=True)
class Folding:
    """What every transaction of one writer shares."""

    context: Context
    cache: EventCache = field(default_factory=EventCache)
    bodies: SameBodies = field(default_factory=SameBodies)
    disabled_rules: frozenset[Rule] = frozenset()
    after_fold: Sequence[Hook] = ()
    """Read models kept up to date within the same transaction: (connection, changed keys)."""
    after_rebuild: Sequence[Callable[[sqlite3.Connection], None]] = ()
    """The same read models made anew, once all spans are; without any they are kept up to date."""


def next_seq(connection: sqlite3.Connection) -> int:
    """Number this transaction in the change feed."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'seq'").fetchone()
    seq = 1 if row is None else int(row[0]) + 1
    # A third of what an upsert that returns the value costs.
    connection.execute("REPLACE INTO meta VALUES ('seq', ?)", (seq,))
    return seq


def in_transaction(
    db: sqlite3.Connection,
    folding: Folding,
    now: Instant,
    work: Callable[[sqlite3.Connection, Folding], T],
) -> T:
    """Run `work` as one transaction; whatever it raises undoes all of it."""
    folding.context.now = now
    db.execute("BEGIN IMMEDIATE")
    try:
        result = work(db, folding)
        db.execute("COMMIT")
    except BaseException:
        folding.cache.clear()
        folding.bodies.drop()
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    folding.bodies.keep()
    return result


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a transaction did, to hand out once it is committed."""

    outcomes: Sequence[Outcome]
    changes: Sequence[Change]


def ingest(connection: sqlite3.Connection, intakes: Sequence[Intake], folding: Folding) -> Ingested:
    """Store deliveries and fold their events; the caller has begun and will commit.

    The number of statements is the same for one delivery and for five hundred.
    """
    folding.context.seq = next_seq(connection)
    admitted = _admit(connection, intakes, folding.bodies)
    connection.executemany(_INSERT_DELIVERY, [_delivery_row(*entry) for entry in admitted.fresh])
    _count_repeats(connection, admitted.repeats)
    tallies: dict[tuple[str, Verdict], tuple[int, Instant, str]] = {}
    for intake, outcome in zip(intakes, admitted.outcomes, strict=True):
        if outcome.verdict is not Verdict.REJECTED:
            n, at, _ = tallies.get((intake.source, outcome.verdict), (0, 0, ""))
            latest = max(at, intake.received_at)
            tallies[intake.source, outcome.verdict] = (n + 1, latest, intake.kind)
    count(connection, tallies)
    events = [event for _, intake, *_ in admitted.fresh for event in intake.events]
    changes = fold_and_link(connection, events, folding)
    refs = {change.new.key: change.new.ref for change in changes}
    return Ingested(_with_refs(connection, admitted.outcomes, refs), changes)


@dataclass(slots=True)
class _Admitted:
    """The deliveries of a transaction: those that are new, and what becomes of each."""

    outcomes: list[Outcome] = field(default_factory=list)
    fresh: list[tuple[int, Intake, list[str], bytes, str]] = field(default_factory=list)
    """(id, delivery, span keys, hash of the body, reason)."""
    repeats: dict[int, int] = field(default_factory=dict)


def _admit(
    connection: sqlite3.Connection, intakes: Sequence[Intake], bodies: SameBodies
) -> _Admitted:
    known = _originals(connection, intakes)
    next_id = connection.execute("SELECT COALESCE(MAX(id), 0) + 1 FROM deliveries").fetchone()[0]
    admitted = _Admitted()
    for intake in intakes:
        name = (intake.source, intake.dedupe)
        original = known.get(name)
        if original is not None and _is_repeat(intake, original[2]):
            delivery_id, keys, _ = original
            admitted.repeats[delivery_id] = admitted.repeats.get(delivery_id, 0) + 1
            reason = f"the same as delivery {delivery_id}"
            admitted.outcomes.append(Outcome(delivery_id, Verdict.DUPLICATE, reason, keys))
            continue
        if intake.requires and not _exists(connection, intake.requires, admitted):
            reason = f"there is no {intake.requires}; create it first"
            admitted.outcomes.append(Outcome(0, Verdict.REJECTED, reason))
            continue
        keys = list(dict.fromkeys(event.key for event in intake.events))
        known[name] = (next_id, keys, intake.received_at)
        digest, reason = intake.digest, intake.reason
        if earlier := bodies.first(intake.path, digest, next_id):
            reason = flagged(reason, earlier)
        admitted.fresh.append((next_id, intake, keys, digest, reason))
        admitted.outcomes.append(Outcome(next_id, intake.verdict, reason, keys))
        next_id += 1
    return admitted


def _originals(
    connection: sqlite3.Connection, intakes: Sequence[Intake]
) -> dict[tuple[str, str], tuple[int, list[str], Instant]]:
    """The latest stored delivery under each of these names: id, span keys, when."""
    sql = (
        "SELECT source, dedupe, id, keys, received_at FROM deliveries "
        "WHERE dedupe IN (SELECT value FROM json_each(?)) ORDER BY id"
    )
    found = rows.select_in(connection, sql, dict.fromkeys(intake.dedupe for intake in intakes))
    return {(row[0], row[1]): (row[2], orjson.loads(row[3]), row[4]) for row in found}


def _is_repeat(intake: Intake, first_at: Instant) -> bool:
    by_body = intake.dedupe.startswith("sha:")
    return not by_body or abs(intake.received_at - first_at) <= BODY_DEDUPE_WINDOW


_INSERT_DELIVERY: Final = (
    "INSERT INTO deliveries (id, source, kind, path, headers, body, sha256, received_at, dedupe, "
    "verdict, reason, status, adapter, keys) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


def _delivery_row(
    delivery_id: int, intake: Intake, keys: list[str], digest: bytes, reason: str
) -> tuple[object, ...]:
    return (
        delivery_id,
        intake.source,
        intake.kind,
        intake.path,
        orjson.dumps(dict(intake.headers)).decode(),
        intake.body,
        digest,
        intake.received_at,
        intake.dedupe,
        intake.verdict.value,
        reason,
        intake.status,
        intake.adapter,
        orjson.dumps(keys).decode(),
    )


def _count_repeats(connection: sqlite3.Connection, repeats: dict[int, int]) -> None:
    if repeats:
        connection.executemany(
            "UPDATE deliveries SET duplicates = duplicates + ? WHERE id = ?",
            [(n, delivery_id) for delivery_id, n in repeats.items()],
        )


def fold_and_link(
    connection: sqlite3.Connection, events: Sequence[Event], folding: Folding
) -> list[Change]:
    """Fold events, bring links up to date, then the read models."""
    changes = fold_events(connection, events, folding.context, folding.cache)
    _after(connection, changes, folding)
    return changes


def refold_and_link(
    connection: sqlite3.Connection, keys: Sequence[str], folding: Folding
) -> list[Change]:
    """Fold stored spans again, after a timeout passed or the teams changed."""
    changes = refold(connection, keys, folding.context, folding.cache)
    _after(connection, changes, folding)
    return changes


def _after(connection: sqlite3.Connection, changes: Sequence[Change], folding: Folding) -> None:
    if not changes:
        return
    from vs_tui.store.linker import relink  # with the first span, not before the first rows

    relink(connection, changes, folding.context.seq, folding.disabled_rules)
    keys = [change.new.key for change in changes]
    for hook in folding.after_fold:
        hook(connection, keys)


def _exists(connection: sqlite3.Connection, name: str, admitted: _Admitted) -> bool:
    for _, intake, *_ in admitted.fresh:
        if any(name in (event.key, event.ref, event.full_ref) for event in intake.events):
            return True
    sql = (
        "SELECT 1 FROM spans WHERE key = ?1 OR (short_ref = ?1 AND short_ref <> key) "
        "OR (full_ref = ?1 AND full_ref <> '')"
    )
    return connection.execute(sql, (name,)).fetchone() is not None


def count(
    connection: sqlite3.Connection, tallies: dict[tuple[str, Verdict], tuple[int, Instant, str]]
) -> None:
    """Add to the counters of the sources: received is always the sum of the verdicts.

    `tallies`: (source, verdict) -> (how many, when the latest, its kind).
    """
    connection.executemany(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, verdict) DO UPDATE SET "
        "n = n + excluded.n, last_at = MAX(last_at, excluded.last_at), "
        "last_kind = excluded.last_kind",
        [(source, verdict.value, *tally) for (source, verdict), tally in tallies.items()],
    )


def _with_refs(
    connection: sqlite3.Connection, outcomes: Sequence[Outcome], refs: dict[str, str]
) -> list[Outcome]:
    missing = {key for outcome in outcomes for key in outcome.span_keys if key not in refs}
    sql = "SELECT key, ref FROM spans WHERE key IN (SELECT value FROM json_each(?))"
    refs.update(dict(rows.select_in(connection, sql, missing)))
    for outcome in outcomes:
        if outcome.span_keys:
            outcome.span_refs = [refs.get(key, key) for key in outcome.span_keys]
    return list(outcomes)


def record_rejections(
    connection: sqlite3.Connection,
    rejections: Sequence[Rejection],
    counted: Mapping[str, int],
    now: Instant,
) -> None:
    """Keep refused requests for the Events view: the newest 5,000, repeats counted. Those
    `counted` by source came in a flood and are only counted."""
    tallies = {(name, Verdict.REJECTED): (n, now, "request") for name, n in counted.items()}
    count(connection, tallies)
    for rejection in rejections:
        tally = (1, rejection.received_at, rejection.kind)
        count(connection, {(rejection.source, Verdict.REJECTED): tally})
        # A repeat is one of the latest; strangers try many paths again and again, in any order.
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
        connection.execute(
            "INSERT INTO rejections (source, kind, path, received_at, status, reason, size, "
            "headers, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                rejection.source,
                rejection.kind,
                rejection.path,
                rejection.received_at,
                rejection.status,
                rejection.reason,
                rejection.size,
                orjson.dumps(dict(rejection.headers)).decode(),
                rejection.body,
            ),
        )
    # Apart, so that scanners do not push out what tools were refused.
    for those, kept in (("<>", REJECTIONS_KEPT), ("=", UNKNOWN_KEPT)):
        connection.execute(
            f"DELETE FROM rejections WHERE source {those} ?1 AND id <= (SELECT id FROM rejections "
            f"WHERE source {those} ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
            (UNKNOWN_SOURCE, kept),
        )


def due_timeouts(
    connection: sqlite3.Connection, timeouts: dict[str, int], now: Instant
) -> list[str]:
    """Keys of spans in flight whose timeout has passed."""
    due: list[str] = []
    for operation, limit in timeouts.items():
        sql = (
            "SELECT key FROM spans WHERE status = 'in_flight' AND derived = 0 AND operation = ?1 "
            "AND started_at <= ?2 AND MAX(started_at, COALESCE(stage_at, 0)) "
            "<= CASE state WHEN ?3 THEN ?4 ELSE ?2 END LIMIT 1000"
        )
        before, long_before = now - limit, now - max(limit, WAITING_LIMIT)
        values = (operation, before, int(State.WAITING), long_before)
        due.extend(key for (key,) in connection.execute(sql, values))
    return due
