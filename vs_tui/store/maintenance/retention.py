"""Deletes old finished traces in small transactions, so that a receiver goes on between them.

A span in flight is never deleted, nor any other part of its trace.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

import orjson

from vs_tui.model.limits import MIB, Retention
from vs_tui.model.time import Instant
from vs_tui.store.folding import crowded_keys, transaction
from vs_tui.store.folding.transaction import Run, Transact
from vs_tui.store.maintenance.old_traces import DELIVERIES_AT_ONCE, IS_OVER, OVER, TOLD

TRACES_AT_ONCE: Final = 200
PAGES_AT_ONCE: Final = 2_000
LARGE_WAL: Final = 16 * MIB
"""Size in bytes from which the WAL is emptied with a short wait for readers. SQLite tries at every
12 MiB, but gives up while a reader is active, as a busy dashboard mostly is."""

_OLDER: Final = (
    "SELECT EXISTS (SELECT 1 FROM spans WHERE parent_key = '' AND last_event_at < ?) "
    "OR EXISTS (SELECT 1 FROM deliveries WHERE received_at < ?)"
)
# A folded delivery is spent when none of its spans is left, whatever its age, because a rebuild
# would bring them back. A delivery without spans is spent when it is old.
_FOLDED: Final = (
    "(received_at < :before OR keys <> '[]') "
    "AND id <= COALESCE((SELECT value FROM meta WHERE name = 'position'), 0)"
)
_SPENT: Final = f"{_FOLDED} AND NOT EXISTS (SELECT 1 FROM {TOLD})"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted, or would be."""

    traces: int = 0
    spans: int = 0
    deliveries: int = 0
    held: int = 0
    """Old finished traces that stay because a trace that stays needs them in a rebuild: they share
    a delivery, which is read as a whole, or a deployment was judged by what is in the other."""
    latest: Instant = field(default=0, compare=False)
    """Time of receipt of the newest deleted delivery."""

    def __add__(self, other: Pruned) -> Pruned:
        return Pruned(
            self.traces + other.traces,
            self.spans + other.spans,
            self.deliveries + other.deliveries,
            self.held + other.held,
            max(self.latest, other.latest),
        )


def count_prunable(connection: sqlite3.Connection, before: Instant) -> Pruned:
    """What pruning would delete, without changing anything."""
    from vs_tui.store.maintenance.held_traces import Held  # imported for a prune, not at the start

    held = Held(before)
    while held.look(connection):
        pass
    gone = f"{OVER} AND trace_id NOT IN (SELECT value FROM json_each(:held))"
    at = {"before": before, "held": orjson.dumps(sorted(held.traces(connection))).decode()}
    traces, spans = connection.execute(
        f"SELECT COUNT(DISTINCT trace_id), COUNT(*) FROM spans WHERE trace_id IN ({gone})", at
    ).fetchone()
    deliveries = connection.execute(
        f"SELECT COUNT(*) FROM deliveries WHERE {_FOLDED} "
        f"AND NOT EXISTS (SELECT 1 FROM {TOLD} WHERE s.trace_id NOT IN ({gone}))",
        at,
    ).fetchone()[0]
    return Pruned(traces, spans, deliveries, held.count)


P = TypeVar("P")
RootPlace = tuple[Instant, int]
"""(time of the last event, rowid) of a root, the order in which roots are read."""


def prune_traces(
    connection: sqlite3.Connection,
    before: Instant,
    after: RootPlace | None,
    held: frozenset[str] = frozenset(),
) -> tuple[Pruned, RootPlace | None]:
    """Delete finished traces among the next 200 whose root has an older last event, except held
    ones. Returns the place to continue from, None at the end. Runs in the caller's transaction."""
    at, rowid = after or (0, 0)
    found = connection.execute(
        f"SELECT last_event_at, rowid, trace_id, {IS_OVER} FROM spans r WHERE parent_key = '' "
        "AND last_event_at < :before AND (last_event_at, rowid) > (:at, :rowid) "
        "ORDER BY last_event_at, rowid LIMIT :n",
        {"before": before, "at": at, "rowid": rowid, "n": TRACES_AT_ONCE},
    ).fetchall()
    over = [trace_id for _, _, trace_id, is_over in found if is_over and trace_id not in held]
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


def relink_scattered(connection: sqlite3.Connection, folding: transaction.Folding) -> None:
    """Link spans again whose keys are no longer crowded after the deletion."""
    keys = crowded_keys.scattered(connection)
    if keys:
        seq = transaction.next_seq(connection)
        from vs_tui.store.folding.linker import (
            relink,  # imported with the first prune, not at the start
        )

        relink(connection, (), seq, folding.links, also=keys)


def prune_deliveries(
    connection: sqlite3.Connection, before: Instant, after: int | None
) -> tuple[Pruned, int | None]:
    """Delete spent deliveries among the next 2,000 after an id. Returns the id to continue from,
    None at the end. The first step also deletes old refusals. Runs in the caller's transaction."""
    if after is None:
        prune_rejections(connection, before)
    last, count = connection.execute(
        "SELECT MAX(id), COUNT(*) FROM "
        "(SELECT id FROM deliveries WHERE id > ? ORDER BY id LIMIT ?)",
        (after or 0, DELIVERIES_AT_ONCE),
    ).fetchone()
    if last is None:
        return Pruned(), None
    deleted = connection.execute(
        f"DELETE FROM deliveries WHERE id > :after AND id <= :last AND {_SPENT} "
        "RETURNING received_at",
        {"before": before, "after": after or 0, "last": last},
    ).fetchall()
    latest = max((at for (at,) in deleted), default=0)
    pruned = Pruned(deliveries=len(deleted), latest=latest)
    # Deliveries that go on arriving must not keep it going.
    return pruned, last if count == DELIVERIES_AT_ONCE else None


def prune_rejections(connection: sqlite3.Connection, before: Instant) -> None:
    """Delete old refused requests."""
    connection.execute("DELETE FROM rejections WHERE received_at < ?", (before,))


def decided(connection: sqlite3.Connection) -> Instant:
    """The instant before which finished traces must be deleted, while that is pending; 0 for
    none."""
    row = connection.execute("SELECT value FROM meta WHERE name = 'pruning'").fetchone()
    return 0 if row is None else int(row[0])


def set_done(connection: sqlite3.Connection, before: Instant) -> None:
    """Clear the pending pruning, unless a later instant was decided since."""
    connection.execute("DELETE FROM meta WHERE name = 'pruning' AND value <= ?", (before,))


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of pages with data; free pages are reused and do not count."""
    pages, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((pages - free) * size)


def next_tenth(connection: sqlite3.Connection, after: Instant) -> Instant:
    """An instant after `after`, so that about a tenth of all traces had their last event between
    the two."""
    count = connection.execute("SELECT COUNT(*) FROM spans WHERE parent_key = ''").fetchone()[0]
    row = connection.execute(
        "SELECT last_event_at FROM spans WHERE parent_key = '' AND last_event_at >= ? "
        "ORDER BY last_event_at LIMIT 1 OFFSET ?",
        (after, count // 10),
    ).fetchone()
    return row[0] + 1 if row else after


def overwrite_freed(connection: sqlite3.Connection) -> None:
    """Overwrite deleted data if free pages stay in the file (see `give_back`)."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        connection.execute("PRAGMA secure_delete = ON").fetchall()


def give_back(connection: sqlite3.Connection) -> int:
    """Return up to 2,000 free pages to the file system; returns how many are still free. Call it
    outside a transaction. Databases made before this was possible keep their free pages for new
    data."""
    if connection.execute("PRAGMA auto_vacuum").fetchone()[0] != 2:
        return 0
    # A script, because `execute` stops this statement after its first step, which is one page.
    connection.executescript(f"PRAGMA incremental_vacuum({PAGES_AT_ONCE})")
    return int(connection.execute("PRAGMA freelist_count").fetchone()[0])


def empty_wal(connection: sqlite3.Connection) -> None:
    """Move the WAL into the database and truncate it. Readers are waited for a tenth of a second,
    so that a long read does not block senders."""
    (before,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute("PRAGMA busy_timeout = 100")
    try:
        connection.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {before}")


async def prune(run: Run, transact: Transact, before: Instant) -> Pruned:
    """Delete old finished traces and their deliveries in small transactions; deliveries are stored
    and folded in between."""
    await run(overwrite_freed)
    traces = await prune_all_traces(run, transact, before)
    deliveries = await _to_the_end(transact, prune_deliveries, before)
    left = -1
    while (free := await run(give_back)) and free != left:
        left = free
    await run(lambda db: db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall())
    return traces + deliveries


async def prune_all_traces(run: Run, transact: Transact, before: Instant) -> Pruned:
    """Delete old finished traces, but keep the log."""
    from vs_tui.store.maintenance.held_traces import Held  # imported for a prune, not at the start

    held = Held(before)
    while await run(held.look):
        pass
    kept = await run(held.traces)

    def some(
        db: sqlite3.Connection, before: Instant, place: RootPlace | None
    ) -> tuple[Pruned, RootPlace | None]:
        return prune_traces(db, before, place, kept)

    traces = await _to_the_end(transact, some, before)
    await transact(relink_scattered)
    return traces + Pruned(held=held.count)


async def _to_the_end(
    transact: Transact,
    step: Callable[[sqlite3.Connection, Instant, P | None], tuple[Pruned, P | None]],
    before: Instant,
) -> Pruned:
    def work(db: sqlite3.Connection, folding: transaction.Folding) -> tuple[Pruned, P | None]:
        folding.cache.clear()  # it may hold events that the step deletes
        return step(db, before, place)

    total = Pruned()
    place: P | None = None
    while True:
        pruned, place = await transact(work)
        total += pruned
        if place is None:
            return total


async def retain(
    run: Run, transact: Transact, kept: Retention, now: Instant, after: Instant
) -> tuple[Instant, bool]:
    """(instant before which finished traces are to be deleted, 0 for none; whether more may have to
    be deleted). Traces go because of their age, or because the file is too large. Pass the instant
    as `after` the next time: the oldest traces may all be in flight, as tickets are."""
    before = 0
    if kept.age and not after:
        before = now - kept.age
        await transact(lambda db, _: prune_rejections(db, before))
        if not await run(lambda db: has_older(db, before)):
            before = 0
    if kept.size and await run(used_bytes) > kept.size:
        further = await run(partial(next_tenth, after=after))
        return max(before, further), further > after
    return before, False


def has_older(db: sqlite3.Connection, before: Instant) -> bool:
    """Whether any trace or delivery is older than an instant."""
    return bool(db.execute(_OLDER, (before, before)).fetchone()[0])
