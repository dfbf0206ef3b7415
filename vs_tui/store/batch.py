"""One transaction: many deliveries in, their spans and links folded, all or nothing.

Synchronous on purpose: it runs as a whole on the writer's thread, so that no two transactions
interleave (400 acknowledged rows became 200 when handlers shared a connection).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import orjson

from vs_tui.domain.instants import DAY, Instant
from vs_tui.domain.model import Event, Rule, Verdict
from vs_tui.store import rows
from vs_tui.store.folder import Change, Context, EventCache, fold_events, refold
from vs_tui.store.intake import Intake, Outcome, Rejection
from vs_tui.store.linker import relink

REJECTIONS_KEPT: Final = 5_000
BODY_DEDUPE_WINDOW: Final = DAY
"""Bodies without a sender's id count as repeats for this long."""

Hook = Callable[[sqlite3.Connection, Sequence[str]], None]


@dataclass(slots=True)
class Folding:
    """What every transaction of one writer shares."""

    context: Context
    cache: EventCache = field(default_factory=EventCache)
    disabled_rules: frozenset[Rule] = frozenset()
    after_fold: Sequence[Hook] = ()
    """Read models kept up to date within the same transaction: (connection, changed keys)."""


def next_seq(connection: sqlite3.Connection) -> int:
    """Number this transaction in the change feed."""
    row = connection.execute(
        "INSERT INTO meta VALUES ('seq', 1) "
        "ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()
    return int(row[0])


@dataclass(frozen=True, slots=True)
class Ingested:
    """What a transaction did, to hand out once it is committed."""

    outcomes: Sequence[Outcome]
    changes: Sequence[Change]


def ingest(connection: sqlite3.Connection, intakes: Sequence[Intake], folding: Folding) -> Ingested:
    """Store deliveries and fold their events; the caller has begun and will commit."""
    outcomes: list[Outcome] = []
    events: list[Event] = []
    folding.context.seq = next_seq(connection)
    for intake in intakes:
        outcome = _store(connection, intake, events)
        outcomes.append(outcome)
    changes = fold_and_link(connection, events, folding)
    refs = {change.new.key: change.new.ref for change in changes}
    outcomes = [_with_refs(connection, outcome, refs) for outcome in outcomes]
    return Ingested(outcomes, changes)


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
    relink(connection, changes, folding.context.seq, folding.disabled_rules)
    keys = [change.new.key for change in changes]
    for hook in folding.after_fold:
        hook(connection, keys)


def _store(connection: sqlite3.Connection, intake: Intake, events: list[Event]) -> Outcome:
    if intake.requires and not _exists(connection, intake.requires, events):
        reason = f"there is no {intake.requires}; create it first"
        return Outcome(0, Verdict.REJECTED, reason)
    original = _original(connection, intake)
    if original is not None:
        delivery_id, stored = original
        connection.execute(
            "UPDATE deliveries SET duplicates = duplicates + 1 WHERE id = ?", (delivery_id,)
        )
        _count(connection, intake, Verdict.DUPLICATE)
        reason = f"the same as delivery {delivery_id}"
        return Outcome(delivery_id, Verdict.DUPLICATE, reason, orjson.loads(stored))
    keys = list(dict.fromkeys(event.key for event in intake.events))
    row = (
        intake.source,
        intake.kind,
        intake.path,
        orjson.dumps(dict(intake.headers)).decode(),
        intake.body,
        intake.digest,
        intake.received_at,
        intake.dedupe,
        intake.verdict.value,
        intake.reason,
        intake.status,
        intake.adapter,
        orjson.dumps(keys).decode(),
    )
    cursor = connection.execute(
        "INSERT INTO deliveries (source, kind, path, headers, body, sha256, received_at, dedupe, "
        "verdict, reason, status, adapter, keys) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        row,
    )
    _count(connection, intake, intake.verdict)
    events.extend(intake.events)
    return Outcome(cursor.lastrowid or 0, intake.verdict, intake.reason, keys)


def _original(connection: sqlite3.Connection, intake: Intake) -> tuple[int, str] | None:
    row = connection.execute(
        "SELECT id, keys, received_at FROM deliveries WHERE source = ? AND dedupe = ? "
        "ORDER BY id DESC LIMIT 1",
        (intake.source, intake.dedupe),
    ).fetchone()
    if row is None:
        return None
    by_body = intake.dedupe.startswith("sha:")
    if by_body and abs(intake.received_at - row[2]) > BODY_DEDUPE_WINDOW:
        return None
    return row[0], row[1]


def _exists(connection: sqlite3.Connection, name: str, pending: Sequence[Event]) -> bool:
    if any(name in (event.key, event.ref) for event in pending):
        return True
    sql = "SELECT 1 FROM spans WHERE key = ? OR (short_ref = ? AND short_ref <> key)"
    return connection.execute(sql, (name, name)).fetchone() is not None


def _count(connection: sqlite3.Connection, intake: Intake, verdict: Verdict) -> None:
    count(connection, intake.source, verdict, 1, intake.received_at, intake.kind)


def count(
    connection: sqlite3.Connection, source: str, verdict: Verdict, n: int, at: Instant, kind: str
) -> None:
    """Add to the counters of a source: received is always the sum of the verdicts."""
    connection.execute(
        "INSERT INTO counts VALUES (?, ?, ?, ?, ?) ON CONFLICT (source, verdict) DO UPDATE SET "
        "n = n + excluded.n, last_at = MAX(last_at, excluded.last_at), "
        "last_kind = excluded.last_kind",
        (source, verdict.value, n, at, kind),
    )


def _with_refs(connection: sqlite3.Connection, outcome: Outcome, refs: dict[str, str]) -> Outcome:
    if not outcome.span_keys:
        return outcome
    missing = [key for key in outcome.span_keys if key not in refs]
    sql = "SELECT key, ref FROM spans WHERE key IN (SELECT value FROM json_each(?))"
    refs.update(dict(rows.select_in(connection, sql, missing)))
    return replace(outcome, span_refs=[refs.get(key, key) for key in outcome.span_keys])


def record_rejections(connection: sqlite3.Connection, rejections: Sequence[Rejection]) -> None:
    """Keep refused requests for the Events view: the newest 5,000, repeats counted."""
    for rejection in rejections:
        count(
            connection,
            rejection.source,
            Verdict.REJECTED,
            1,
            rejection.received_at,
            rejection.kind,
        )
        updated = connection.execute(
            "UPDATE rejections SET repeats = repeats + 1, received_at = ? WHERE id = "
            "(SELECT MAX(id) FROM rejections) AND source = ? AND path = ? AND reason = ?",
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
    connection.execute(
        "DELETE FROM rejections WHERE id <= (SELECT MAX(id) FROM rejections) - ?",
        (REJECTIONS_KEPT,),
    )


def due_timeouts(
    connection: sqlite3.Connection, timeouts: dict[str, int], now: Instant
) -> list[str]:
    """Keys of spans in flight whose timeout has passed."""
    due: list[str] = []
    for operation, limit in timeouts.items():
        sql = (
            "SELECT key FROM spans WHERE status = 'in_flight' AND derived = 0 "
            "AND operation = ? AND started_at <= ? LIMIT 1000"
        )
        due.extend(key for (key,) in connection.execute(sql, (operation, now - limit)))
    return due
