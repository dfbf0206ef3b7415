"""Folding the log again from the beginning, after an adapter changed or out of doubt.

The same projector that folds live traffic starts again at position 0, on empty tables. The read
models of the metrics are made once at the end.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from vs_tui.log import sqlite_log
from vs_tui.store import batch, metrics_rows, rows
from vs_tui.store.projector import Parse, Projector
from vs_tui.store.read_deliveries import own_id
from vs_tui.store.schema import DERIVED_TABLES

AT_ONCE: Final = 500
"""Deliveries that are folded together."""
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
    """Empty all that is derived and fold every delivery again. The caller's transaction.

    Quarantined deliveries that can be read now become accepted.
    """
    kept = metrics_rows.forget(connection)
    folding.cache.clear()
    for table in DERIVED_TABLES:
        connection.execute(f"DELETE FROM {table}")
    total = rows.number(connection, "SELECT COUNT(*) FROM deliveries")
    sqlite_log.set_position(connection, 0)
    projector = Projector(parse=parse)
    projector.opened(connection)
    alone = replace(folding, after_fold=())
    done = 0
    while projector.behind:
        folded = projector.fold_some(connection, alone, AT_ONCE)
        projector.committed(folded)
        done += folded.deliveries
        progress(done, total)
    _read_models(connection, folding)
    return Rebuilt(
        deliveries=total,
        spans=rows.number(connection, "SELECT COUNT(*) FROM spans"),
        quarantined=rows.number(
            connection, "SELECT COUNT(*) FROM deliveries WHERE verdict = 'quarantined'"
        ),
        kept=kept,
    )


def _read_models(connection: sqlite3.Connection, folding: batch.Folding) -> None:
    for work in folding.after_rebuild:
        work(connection)
    if folding.after_rebuild:
        return
    last = 0
    sql = "SELECT rowid, key FROM spans WHERE derived = 0 AND rowid > ? ORDER BY rowid LIMIT ?"
    while found := connection.execute(sql, (last, AT_ONCE)).fetchall():
        last = found[-1][0]
        for hook in folding.after_fold:
            hook(connection, [key for _, key in found])


def refold_one(
    connection: sqlite3.Connection, folding: batch.Folding, parse: Parse, delivery_id: int
) -> str:
    """Read one delivery again; says what came of it. The caller's transaction."""
    own = own_id(connection, delivery_id)
    entries = sqlite_log.read(connection, [own])
    if not entries:
        return "refused requests are not kept whole; ask the sender to send it again"
    folding.context.seq = batch.next_seq(connection)
    events = Projector(parse=parse).reread(connection, entries[0])
    batch.fold_and_link(connection, events, folding)
    verdict = sqlite_log.read(connection, [own])[0].verdict
    return f"delivery {delivery_id}: {verdict}, {len(events)} events"
