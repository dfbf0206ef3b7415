"""Deleting what is over and old, in small transactions, so that a receiver goes on between them.

Nothing in flight is ever deleted, nor any part of a trace in which something is.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Final

from vs_tui.model.limits import MIB
from vs_tui.model.time import Instant
from vs_tui.store import batch, crowds

TRACES_AT_ONCE: Final = 200
DELIVERIES_AT_ONCE: Final = 2_000
PAGES_AT_ONCE: Final = 2_000
LARGE_WAL: Final = 16 * MIB
"""Bytes after which the WAL is emptied with a little force. SQLite tries by itself at each 4 MiB,
but gives up when a reader is at work just then, as a busy dashboard mostly is."""

# A trace is as young as its youngest span; its oldest root only tells where to look.
_IS_OVER: Final = (
    "NOT EXISTS (SELECT 1 FROM spans t WHERE t.trace_id = r.trace_id "
    "AND (t.last_event_at >= :before OR t.status = 'in_flight'))"
)
_OVER: Final = (
    f"SELECT trace_id FROM spans r WHERE parent_key = '' AND last_event_at < :before AND {_IS_OVER}"
)
# A delivery is over when it is old, folded, and no span is left that it told of.
_SPENT: Final = (
    "received_at < :before "
    "AND id <= COALESCE((SELECT value FROM meta WHERE name = 'position'), 0) AND NOT EXISTS "
    "(SELECT 1 FROM json_each(deliveries.keys) k JOIN spans s ON s.key = k.value)"
)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was (or would be) deleted."""

    traces: int = 0
    spans: int = 0
    deliveries: int = 0

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            self.traces + other.traces,
            self.spans + other.spans,
            self.deliveries + other.deliveries,
        )


def count_prunable(connection: sqlite3.Connection, before: Instant) -> Pruned:
    """What `prune_traces` and `prune_deliveries` would delete, changing nothing."""
    at = {"before": before}
    traces, spans = connection.execute(
        f"SELECT COUNT(DISTINCT trace_id), COUNT(*) FROM spans WHERE trace_id IN ({_OVER})", at
    ).fetchone()
    deliveries = connection.execute(
        "SELECT COUNT(*) FROM deliveries WHERE received_at < :before AND NOT EXISTS "
        "(SELECT 1 FROM json_each(deliveries.keys) k JOIN spans s ON s.key = k.value "
        f"WHERE s.trace_id NOT IN ({_OVER}))",
        at,
    ).fetchone()[0]
    return Pruned(traces, spans, deliveries)


Place = tuple[Instant, int]
"""Of a root among all by their last event."""


def prune_traces(
    connection: sqlite3.Connection, before: Instant, after: Place | None
) -> tuple[Pruned, Place | None]:
    """Delete the finished ones among the next 200 traces whose last event is older; returns where
    to go on, None at the end. The caller's transaction."""
    at, rowid = after or (0, 0)
    found = connection.execute(
        f"SELECT last_event_at, rowid, trace_id, {_IS_OVER} FROM spans r WHERE parent_key = '' "
        "AND last_event_at < :before AND (last_event_at, rowid) > (:at, :rowid) "
        "ORDER BY last_event_at, rowid LIMIT :n",
        {"before": before, "at": at, "rowid": rowid, "n": TRACES_AT_ONCE},
    ).fetchall()
    over = [trace_id for _, _, trace_id, is_over in found if is_over]
    spans = 0
    for trace_id in over:
        keys = connection.execute("SELECT key FROM spans WHERE trace_id = ?", (trace_id,))
        for (key,) in keys.fetchall():
            spans += 1
            for table, column in (
                ("events", "key"),
                ("offers", "key"),
                ("seeks", "key"),
                ("links", "child"),
                ("links", "parent"),
                ("spans", "key"),
            ):
                connection.execute(f"DELETE FROM {table} WHERE {column} = ?", (key,))
    return Pruned(len(over), spans), found[-1][:2] if found else None


def relink_scattered(connection: sqlite3.Connection, folding: batch.Folding) -> None:
    """Link anew what seeks a key that is crowded no more, now that much was deleted."""
    keys = crowds.scattered(connection)
    if keys:
        seq = batch.next_seq(connection)
        from vs_tui.store.linker import relink  # with the first prune, not at the start

        relink(connection, (), seq, folding.disabled_rules, also=keys)


def prune_deliveries(
    connection: sqlite3.Connection, before: Instant, after: int | None
) -> tuple[Pruned, int | None]:
    """Delete spent deliveries among the next 2,000 after an id; returns where to go on, None at the
    end. Old refusals go with the first step. The caller's transaction."""
    if after is None:
        connection.execute("DELETE FROM rejections WHERE received_at < ?", (before,))
    last = connection.execute(
        "SELECT MAX(id) FROM (SELECT id FROM deliveries WHERE id > ? ORDER BY id LIMIT ?)",
        (after or 0, DELIVERIES_AT_ONCE),
    ).fetchone()[0]
    if last is None:
        return Pruned(), None
    deleted = connection.execute(
        f"DELETE FROM deliveries WHERE id > :after AND id <= :last AND {_SPENT}",
        {"before": before, "after": after or 0, "last": last},
    ).rowcount
    return Pruned(deliveries=deleted), last


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of pages that hold data; free pages are used again and do not count."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def next_tenth(connection: sqlite3.Connection, after: Instant) -> Instant:
    """An instant before which about a tenth of the traces had their last event, since another."""
    count = connection.execute("SELECT COUNT(*) FROM spans WHERE parent_key = ''").fetchone()[0]
    row = connection.execute(
        "SELECT last_event_at FROM spans WHERE parent_key = '' AND last_event_at >= ? "
        "ORDER BY last_event_at LIMIT 1 OFFSET ?",
        (after, count // 10),
    ).fetchone()
    return row[0] + 1 if row else after


def overwrite_freed(connection: sqlite3.Connection) -> None:
    """Where free pages stay in the file (`give_back`), what was in them must not."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        connection.execute("PRAGMA secure_delete = ON").fetchall()


def give_back(connection: sqlite3.Connection) -> int:
    """Return up to 2,000 free pages to the file system; how many are still free. Outside a
    transaction. Databases made before this was possible keep their free pages for new data."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return 0
    connection.execute(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})").fetchall()
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def empty_wal(connection: sqlite3.Connection) -> None:
    """Put the WAL into the database and begin it anew. Readers are waited for a tenth of a second:
    one that holds on to an old state for long must not keep senders waiting."""
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 100")
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")
