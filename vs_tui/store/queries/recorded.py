"""Exports stored deliveries in the form of a recording."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

import orjson

from vs_tui.log.delivery import DECISIONS
from vs_tui.log.recording import Delivery
from vs_tui.model.time import Instant


def recorded(
    connection: sqlite3.Connection,
    *,
    since: Instant | None = None,
    until: Instant | None = None,
    source: str | None = None,
    delivery_id: int | None = None,
) -> Iterator[Delivery]:
    """Deliveries as they arrived, in order of receipt, without those at `until`. None does not
    filter. Decisions about this store's data are left out, because they mean nothing to another
    receiver."""
    asked = {
        "received_at >= ?": since,
        "received_at < ?": until,
        "source = ?": source,
        "id = ?": delivery_id,
    }
    narrowed = {condition: value for condition, value in asked.items() if value is not None}
    where = " AND ".join(narrowed) or "1"
    rows = connection.execute(
        f"SELECT received_at, path, headers, body FROM deliveries WHERE {where} "
        "AND NOT (source = 'user' AND path IN (?, ?)) ORDER BY id",
        (*narrowed.values(), *DECISIONS),
    )
    for received_at, path, headers, body in rows:
        kept = orjson.loads(headers)
        kept.pop("vs-proof", None)  # our own header about the original receipt
        yield Delivery(received_at, path, body, kept)
