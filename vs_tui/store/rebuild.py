"""Folding everything again from the deliveries, after an adapter changed or out of doubt.

One transaction: readers see the old state until the new one is complete, and a kill in the
middle leaves the old one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import orjson

from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Event, Verdict
from vs_tui.store import batch, metrics_members
from vs_tui.store.schema import DERIVED_TABLES

CHUNK: Final = 1_000


class Reading(Protocol):
    """What an adapter made of a stored delivery."""

    @property
    def kind(self) -> str: ...
    @property
    def events(self) -> Sequence[Event]: ...
    @property
    def verdict(self) -> Verdict: ...
    @property
    def reason(self) -> str: ...


Parse = Callable[[str, str, Mapping[str, str], bytes, Instant], Reading]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild found."""

    deliveries: int
    spans: int
    quarantined: int
    kept: int
    """Deployments whose traces were pruned: they count as they were judged."""


def rebuild(
    connection: sqlite3.Connection,
    folding: batch.Folding,
    parse: Parse,
    progress: Progress = lambda _done, _total: None,
) -> Rebuilt:
    """Drop all that is derived and fold every delivery again, oldest first.

    Quarantined deliveries that can be read now become accepted. The caller's transaction.
    """
    kept = metrics_members.forget(connection)
    for table in DERIVED_TABLES:
        connection.execute(f"DELETE FROM {table}")
    folding.cache.clear()
    folding.context.seq = batch.next_seq(connection)
    total = connection.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0]
    done, last = 0, 0
    while found := connection.execute(
        "SELECT id, source, kind, path, headers, body, received_at, verdict, reason "
        "FROM deliveries WHERE id > ? ORDER BY id LIMIT ?",
        (last, CHUNK),
    ).fetchall():
        events: list[Event] = []
        for row in found:
            events.extend(_reread(connection, row, parse))
        batch.fold_and_link(connection, events, folding)
        last = found[-1][0]
        done += len(found)
        progress(done, total)
    return Rebuilt(
        deliveries=done,
        spans=connection.execute("SELECT COUNT(*) FROM spans").fetchone()[0],
        quarantined=connection.execute(
            "SELECT COUNT(*) FROM deliveries WHERE verdict = 'quarantined'"
        ).fetchone()[0],
        kept=kept,
    )


def refold_one(
    connection: sqlite3.Connection, folding: batch.Folding, parse: Parse, delivery_id: int
) -> str:
    """Read one delivery again; says what came of it. The caller's transaction."""
    row = connection.execute(
        "SELECT id, source, kind, path, headers, body, received_at, verdict, reason "
        "FROM deliveries WHERE id = ?",
        (delivery_id,),
    ).fetchone()
    if row is None:
        return "refused requests are not kept whole; ask the sender to send it again"
    folding.context.seq = batch.next_seq(connection)
    events = _reread(connection, row, parse)
    batch.fold_and_link(connection, events, folding)
    verdict = connection.execute(
        "SELECT verdict FROM deliveries WHERE id = ?", (delivery_id,)
    ).fetchone()[0]
    return f"delivery {delivery_id}: {verdict}, {len(events)} events"


def _reread(connection: sqlite3.Connection, row: tuple[object, ...], parse: Parse) -> list[Event]:
    delivery_id, source, kind, path, headers, body, received_at, verdict, reason = row
    reading = parse(source, path, orjson.loads(headers), body, received_at)  # type: ignore[arg-type]
    accepted = reading.verdict is Verdict.ACCEPTED
    events = list(reading.events) if accepted else []
    if (reading.kind, reading.verdict.value, reading.reason) != (kind, verdict, reason):
        keys = orjson.dumps(list(dict.fromkeys(event.key for event in events))).decode()
        connection.execute(
            "UPDATE deliveries SET kind = ?, verdict = ?, reason = ?, keys = ? WHERE id = ?",
            (reading.kind, reading.verdict.value, reading.reason, keys, delivery_id),
        )
        _recount(connection, str(source), str(verdict), reading.verdict.value)
    return events


def _recount(connection: sqlite3.Connection, source: str, before: str, after: str) -> None:
    if before == after:
        return
    connection.execute(
        "UPDATE counts SET n = n - 1 WHERE source = ? AND verdict = ?", (source, before)
    )
    connection.execute(
        "INSERT INTO counts SELECT source, ?, 1, last_at, last_kind FROM counts "
        "WHERE source = ? AND verdict = ? "
        "ON CONFLICT (source, verdict) DO UPDATE SET n = n + 1",
        (after, source, before),
    )
