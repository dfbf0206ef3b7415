"""Reading deliveries: the list, one of them, and what each source has sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

import orjson

from vs_tui.domain.model import Verdict
from vs_tui.store import rows
from vs_tui.store.api import DeliveryDetail, DeliveryRow, SourceHealth

DELIVERY: Final = (
    "SELECT id, source, kind, received_at, verdict, reason, length(body) AS size, duplicates, "
    "status, keys "
    "FROM deliveries"
)
REJECTION: Final = (
    "SELECT -id AS id, source, kind, received_at, 'rejected' AS verdict, reason, size, "
    "repeats AS duplicates, status, '[]' AS keys "
    "FROM rejections"
)


def delivery_row(row: Sequence[Any]) -> DeliveryRow:
    """A row selected with DELIVERY or REJECTION."""
    values = list(row[:9])
    values[4] = Verdict(values[4])
    return DeliveryRow(*values)


def read_all_deliveries(
    db: sqlite3.Connection,
    where: str,
    parameters: Sequence[Any],
    limit: int,
    before: int | None,
) -> list[DeliveryRow]:
    """Stored and refused ones in one list, newest first; `before` pages through the stored."""
    limit = max(1, min(limit, 10_000))
    sql = f"SELECT * FROM ({DELIVERY}) WHERE ({where}) AND id < ? ORDER BY id DESC LIMIT ?"
    newest = before if before is not None else 1 << 62
    found = [delivery_row(r) for r in db.execute(sql, (*parameters, newest, limit))]
    until, since = 1 << 62, 0
    if before is not None:
        row = db.execute("SELECT received_at FROM deliveries WHERE id = ?", (before,)).fetchone()
        until = row[0] if row is not None else until
    if len(found) == limit:
        since = found[-1].received_at
    sql = (
        f"SELECT * FROM ({REJECTION}) WHERE ({where}) AND received_at >= ? AND received_at < ? "
        "ORDER BY received_at DESC LIMIT ?"
    )
    bounds = (since, until, limit)
    found += [delivery_row(r) for r in db.execute(sql, (*parameters, *bounds))]
    found.sort(key=lambda r: (r.received_at, r.id), reverse=True)
    return found[:limit]


def read_delivery(db: sqlite3.Connection, delivery_id: int) -> DeliveryDetail | None:
    """One of them whole, with the refs of the spans it touched."""
    if delivery_id < 0:
        row = db.execute(f"{REJECTION} WHERE rejections.id = ?", (-delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, x'', '', '[]' FROM rejections WHERE id = ?",
            (-delivery_id,),
        ).fetchone()
    else:
        row = db.execute(f"{DELIVERY} WHERE id = ?", (delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, sha256, dedupe, keys FROM deliveries WHERE id = ?",
            (delivery_id,),
        ).fetchone()
    if row is None or more is None:
        return None
    path, headers, body, sha256, dedupe, keys = more
    sql = "SELECT key, ref FROM spans WHERE key IN (SELECT value FROM json_each(?))"
    refs = dict(rows.select_in(db, sql, orjson.loads(keys)))
    return DeliveryDetail(
        row=delivery_row(row),
        path=path,
        headers=orjson.loads(headers),
        body=body,
        sha256=sha256.hex(),
        dedupe_key=dedupe,
        span_refs=[refs.get(key, key) for key in orjson.loads(keys)],
    )


def read_sources(db: sqlite3.Connection) -> list[SourceHealth]:
    """What each source has sent since the database exists."""
    found: dict[str, tuple[int, str, dict[str, int]]] = {}
    for source, verdict, n, last_at, last_kind in db.execute(
        "SELECT source, verdict, n, last_at, last_kind FROM counts ORDER BY source"
    ):
        at, kind, counts = found.get(source, (0, "", {}))
        counts[verdict] = n
        found[source] = (last_at, last_kind, counts) if last_at >= at else (at, kind, counts)
    return [
        SourceHealth(name, at or None, kind, counts) for name, (at, kind, counts) in found.items()
    ]
