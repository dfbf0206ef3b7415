"""Reads deliveries: the list, a single delivery, the totals of each source, and recordings."""

from __future__ import annotations

import heapq
import re
import sqlite3
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from vs_tui.log.delivery import DECISIONS
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.store import rows
from vs_tui.store.queries.reader_protocol import DeliveryDetail, DeliveryRow, SourceHealth

if TYPE_CHECKING:
    from vs_tui.log.recording import Delivery

DELIVERY: Final = (
    "SELECT id, source, kind, received_at, verdict, reason, length(body) AS size, duplicates, "
    "status, keys, log_id "
    "FROM deliveries"
)
REJECTION: Final = (
    "SELECT -id AS id, source, kind, received_at, 'rejected' AS verdict, reason, size, "
    "repeats AS duplicates, status, '[]' AS keys, NULL AS log_id "
    "FROM rejections"
)
_BEYOND: Final = 10**18 - 1
_CURSOR: Final = re.compile(r"\d{1,18}\.\d{1,18}\.\d{1,18}", re.ASCII)


def delivery_row(row: Sequence[Any]) -> DeliveryRow:
    """The row of a SELECT by DELIVERY or REJECTION. The id of a delivery from a shared log is its
    id in the log."""
    values = list(row[:9])
    values[0] = row[10] or row[0]
    values[4] = Verdict(values[4])
    return DeliveryRow(*values)


def read_all_deliveries(
    db: sqlite3.Connection, where: str, parameters: Sequence[Any], limit: int, cursor: str = ""
) -> tuple[list[DeliveryRow], str]:
    """(stored and refused deliveries, newest first; cursor of the next page, empty after the last).
    ValueError if the cursor is not from an earlier page."""
    limit = max(1, min(limit, 10_000))
    place = _place(cursor)
    sql = f"SELECT * FROM ({DELIVERY}) WHERE ({where}) AND id < ? ORDER BY id DESC LIMIT ?"
    found_rows = db.execute(sql, (*parameters, place[0], limit + 1)).fetchall()
    stored = [delivery_row(r) for r in found_rows]
    own_ids = {shown.id: row[0] for shown, row in zip(stored, found_rows, strict=True)}
    sql = (
        f"SELECT * FROM ({REJECTION}) WHERE ({where}) AND (received_at, id) < (?, ?) "
        "ORDER BY received_at DESC, id DESC LIMIT ?"
    )
    bounds = (place[1], -place[2], limit + 1)
    refused = [delivery_row(r) for r in db.execute(sql, (*parameters, *bounds))]
    # Only the heads are compared: ids and times disagree after a clock was set back.
    both = list(heapq.merge(stored, refused, key=lambda r: -r.received_at))
    for row in (found := both[:limit]):
        place = (
            (own_ids[row.id], *place[1:]) if row.id > 0 else (place[0], row.received_at, -row.id)
        )
    return found, ".".join(map(str, place)) if len(both) > limit else ""


def own_id(db: sqlite3.Connection, shown: int) -> int:
    """The id of a delivery in this database. In a cache of a shared log the displayed id is the
    log's; -1 if it has no such delivery."""
    row = db.execute("SELECT id FROM deliveries WHERE log_id = ?", (shown,)).fetchone()
    if row is not None:
        return int(row[0])
    cache = db.execute("SELECT 1 FROM meta WHERE name = 'log_cache'").fetchone()
    return -1 if cache else shown


def _place(cursor: str) -> tuple[int, int, int]:
    """The last rows of a page: id of the stored one, time and id of the refused one."""
    if not cursor:
        return _BEYOND, _BEYOND, _BEYOND
    if _CURSOR.fullmatch(cursor) is None:
        raise ValueError("cursor must be one that an answer before this one told")
    stored, at, refused = map(int, cursor.split("."))
    return stored, at, refused


def read_delivery(db: sqlite3.Connection, delivery_id: int) -> DeliveryDetail | None:
    """One delivery with its body, and the refs of the spans it touched."""
    if delivery_id < 0:
        row = db.execute(f"{REJECTION} WHERE rejections.id = ?", (-delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, x'', '', '[]' FROM rejections WHERE id = ?",
            (-delivery_id,),
        ).fetchone()
    else:
        delivery_id = own_id(db, delivery_id)
        row = db.execute(f"{DELIVERY} WHERE id = ?", (delivery_id,)).fetchone()
        more = db.execute(
            "SELECT path, headers, body, sha256, dedupe, keys FROM deliveries WHERE id = ?",
            (delivery_id,),
        ).fetchone()
    if row is None or more is None:
        return None
    path, headers, body, sha256, dedupe, keys = more
    sql = f"SELECT key, ref FROM spans WHERE key {rows.KEYS}"
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
    """The totals of each source since the database was created."""
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
    from vs_tui.log.recording import Delivery  # not for the first rows of a dashboard

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
