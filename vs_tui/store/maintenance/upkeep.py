"""The writer's tasks between deliveries: store refused requests, delete old traces."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, TypeVar

from vs_tui.log.delivery import UNKNOWN_SOURCE, Rejection
from vs_tui.model.limits import Retention
from vs_tui.model.time import Instant
from vs_tui.store.folding import batch
from vs_tui.store.folding.batch import Run, Transact
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.maintenance import retention
from vs_tui.store.maintenance.retention import Pruned

_OLDER: Final = (
    "SELECT EXISTS (SELECT 1 FROM spans WHERE parent_key = '' AND last_event_at < ?) "
    "OR EXISTS (SELECT 1 FROM deliveries WHERE received_at < ?)"
)
MAX_REJECTIONS: Final = 1_000
"""Most refused requests that are kept between two sweeps; beyond it they are only counted."""
MAX_UNKNOWN: Final = 100
"""Most of these to unknown paths, so that scanners leave room for the refused requests of tools."""

P = TypeVar("P")


class Rejections:
    """Refused requests that wait to be stored; bounded in memory."""

    def __init__(self) -> None:
        self._waiting: list[Rejection] = []
        self._uncounted: Counter[str] = Counter()
        self._unknown = 0

    def add(self, rejection: Rejection) -> None:
        unknown = rejection.source == UNKNOWN_SOURCE
        self._unknown += unknown
        if len(self._waiting) < MAX_REJECTIONS and not (unknown and self._unknown > MAX_UNKNOWN):
            self._waiting.append(rejection)
        else:
            self._uncounted[rejection.source] += 1

    async def store(self, transact: Transact, now: Instant) -> bool:
        """Store the waiting requests; returns whether there were any. They stay in the queue if
        that fails. The transaction gets a change number, so that viewers see a wrong secret even
        before the first valid delivery."""
        if not (self._waiting or self._uncounted):
            return False
        waiting, self._waiting = self._waiting, []
        self._unknown = 0
        counted, self._uncounted = self._uncounted, Counter()

        def record(db: sqlite3.Connection, _: batch.Folding) -> None:
            batch.next_seq(db)
            batch.record_rejections(db, waiting, counted, now)

        try:
            await transact(record)
        except BaseException:
            self._waiting = (waiting + self._waiting)[:MAX_REJECTIONS]
            self._uncounted += counted
            raise
        return True


async def prune(run: Run, transact: Transact, before: Instant) -> Pruned:
    """Delete old finished traces and their deliveries in small transactions; deliveries are stored
    and folded in between."""
    await run(retention.overwrite_freed)
    traces = await prune_traces(run, transact, before)
    deliveries = await _to_the_end(transact, retention.prune_deliveries, before)
    left = -1
    while (free := await run(retention.give_back)) and free != left:
        left = free
    await run(lambda db: db.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchall())
    return traces + deliveries


async def prune_traces(run: Run, transact: Transact, before: Instant) -> Pruned:
    """Delete old finished traces, but keep the log."""
    held = retention.Held(before)
    while await run(held.look):
        pass
    kept = await run(held.traces)

    def some(
        db: sqlite3.Connection, before: Instant, place: retention.Place | None
    ) -> tuple[Pruned, retention.Place | None]:
        return retention.prune_traces(db, before, place, kept)

    traces = await _to_the_end(transact, some, before)
    await transact(retention.relink_scattered)
    return traces + Pruned(held=held.count)


async def _to_the_end(
    transact: Transact,
    step: Callable[[sqlite3.Connection, Instant, P | None], tuple[Pruned, P | None]],
    before: Instant,
) -> Pruned:
    def work(db: sqlite3.Connection, folding: batch.Folding) -> tuple[Pruned, P | None]:
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
        await transact(lambda db, _: retention.prune_rejections(db, before))
        if not await run(lambda db: has_older(db, before)):
            before = 0
    if kept.size and await run(retention.used_bytes) > kept.size:
        further = await run(partial(retention.next_tenth, after=after))
        return max(before, further), further > after
    return before, False


def has_older(db: sqlite3.Connection, before: Instant) -> bool:
    """Whether any trace or delivery is older than an instant."""
    return bool(db.execute(_OLDER, (before, before)).fetchone()[0])


def time_out(
    db: sqlite3.Connection, folding: batch.Folding, due: Sequence[str]
) -> Sequence[Change]:
    """Fold spans again whose timeout has passed."""
    folding.context.seq = batch.next_seq(db)
    return batch.refold_and_link(db, due, folding)
