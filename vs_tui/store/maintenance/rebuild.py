"""Folds the log again from the beginning, after an adapter changed or to check the result.

A projector starts at position 0 and writes to a file of its own beside the database, whose log it
reads. Once it has caught up, its tables replace those of the database. A running receiver goes on
meanwhile; in its next transaction it detects the new tables and folds the deliveries that came
since. A rebuild that dies changes nothing.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from vs_tui.log import sqlite_log, sqlite_position
from vs_tui.log.sqlite_log import Correction, StoredDelivery
from vs_tui.model.limits import Retention
from vs_tui.model.request_advice import NOT_KEPT
from vs_tui.model.time import Instant
from vs_tui.store import rows
from vs_tui.store.folding import transaction
from vs_tui.store.folding.projector import Parse, Projector
from vs_tui.store.lock import DatabaseLock, InUse
from vs_tui.store.maintenance import retention, table_swap
from vs_tui.store.maintenance.sweeper import WriterSettings
from vs_tui.store.maintenance.table_swap import small_transaction
from vs_tui.store.metrics import judged_rows
from vs_tui.store.queries.read_deliveries import own_id
from vs_tui.store.schema import (
    LOG_TABLES,
    StoreError,
    check_version,
    open_reader,
    open_writer,
)
from vs_tui.store.writer import Writer

NEAR: Final = 500
"""The tables are replaced when at most this many deliveries are not folded; a receiver folds them
later."""
LOOK_SECONDS: Final = 0.2
_AHEAD: Final = 1_000_000_000
"""Distance of the new change numbers: more than a receiver's transactions during a rebuild, so that
the change feed goes on."""
_CORRECTED: Final = (
    "CREATE TABLE corrected (id INTEGER PRIMARY KEY, kind TEXT, verdict TEXT, reason TEXT, "
    "keys TEXT)"
)
Progress = Callable[[str, int, int], None]
"""(task, amount done, amount in total)."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The result of a rebuild."""

    deliveries: int
    spans: int
    quarantined: int
    kept: int
    """Deployments whose traces were pruned; they keep their verdicts."""


async def rebuild(
    path: Path,
    clock: Callable[[], Instant],
    settings: WriterSettings,
    progress: Progress = lambda _what, _done, _of: None,
) -> Rebuilt:
    """Fold every delivery again; quarantined deliveries that can be parsed now become accepted.

    A receiver may use the database meanwhile. StoreError says why it cannot start.
    """
    await asyncio.to_thread(_migrate, path)
    side = _Side(path, clock, settings)
    try:
        await side.open()
    except InUse as error:
        raise StoreError(f"{path} is being rebuilt already, by process {error.holder}") from None
    try:
        await side.catch_up(progress)
        await asyncio.to_thread(_take_place, path, side.path, side.generation, progress)
    finally:
        await side.remove()
    with closing(open_reader(path)) as reader:
        quarantined = "SELECT COUNT(*) FROM deliveries WHERE verdict = 'quarantined'"
        return Rebuilt(
            deliveries=rows.number(reader, "SELECT COUNT(*) FROM deliveries"),
            spans=rows.number(reader, "SELECT COUNT(*) FROM spans"),
            quarantined=rows.number(reader, quarantined),
            kept=side.kept,
        )


def _migrate(path: Path) -> None:
    """Migrate an older database, unless a receiver has it open; then it is migrated already."""
    lock = DatabaseLock(path)
    try:
        lock.take()
    except InUse:
        with closing(open_reader(path)) as reader:
            check_version(reader, path)
        return
    try:
        open_writer(path, used=lock.held_data).close()
    finally:
        lock.release()


class _Side(Writer):
    """Folds the log of another file into its own tables."""

    def __init__(self, live: Path, clock: Callable[[], Instant], settings: WriterSettings) -> None:
        super().__init__(table_swap.side_of(live), clock, replace(settings, retention=Retention()))
        self._live = live
        self._lock = DatabaseLock(self.path, temporary=True)
        self._projector.correct = _note
        self._fold_loop.is_private = True
        self.kept = 0
        self.generation = 0

    def _connect(self) -> sqlite3.Connection:
        table_swap.remove_side(self._live)
        db = open_writer(self.path)
        for table in LOG_TABLES:
            if table != "meta":
                db.execute(f"DROP TABLE {table}")
        # After a power cut the rebuild starts again, so checkpoints can be rare.
        db.execute("PRAGMA wal_autocheckpoint = 16384")
        db.execute(_CORRECTED)
        db.execute("ATTACH ? AS live", (f"{self._live.absolute().as_uri()}?mode=ro",))
        return db

    def _check(self, db: sqlite3.Connection) -> None:
        """Copy the rows that are kept of pruned traces."""
        db.execute("BEGIN")
        found = dict(db.execute("SELECT name, value FROM live.meta").fetchall())
        self.generation = int(found.get("generation", 0))
        seq = int(found.get("seq", 0)) + _AHEAD
        db.execute("INSERT INTO meta VALUES ('seq', ?)", (seq,))
        db.execute("INSERT INTO meta SELECT * FROM live.meta WHERE name = 'clock'")
        remade = {*table_swap.remade_tables(db, "live"), "corrected"}
        for table in table_swap.model_tables(db):
            if table not in remade:
                db.execute(f"INSERT INTO main.{table} SELECT * FROM live.{table}")
        # Pruned data is data without a span in the live tables.
        db.execute("CREATE TEMP VIEW spans AS SELECT * FROM live.spans")
        self.kept = judged_rows.forget(db)
        db.execute("DROP VIEW temp.spans")
        db.execute("COMMIT")

    async def _carry_out(self) -> None:
        """Do nothing: the log has no pruned deliveries any more, and the process that uses the
        database does the pending pruning."""

    async def _try_again(self) -> None:
        """Do nothing: a rebuild that fails has changed nothing, and a person starts it again."""

    async def catch_up(self, progress: Progress) -> None:
        """Wait until at most the latest deliveries of the growing log are not folded."""
        while True:
            self._fold_loop.stored(await self._run(sqlite_position.head))
            near = self.behind <= NEAR
            if await self.caught_up(LOOK_SECONDS) and near:
                break
            if self._condition.failed:
                raise StoreError(self._condition.failed)
            progress("deliveries", self._projector.position, self._projector.head)
        await self._stop()

    async def remove(self) -> None:
        """Delete the file, whether the rebuild worked or not."""
        await self.close()
        table_swap.remove_side(self._live)


def _note(db: sqlite3.Connection, entry: StoredDelivery, new: Correction) -> None:
    """Keep what a delivery is now until the end."""
    db.execute("REPLACE INTO corrected VALUES (?, ?, ?, ?, ?)", (entry.id, *new))


def _take_place(path: Path, side: Path, generation: int, progress: Progress) -> None:
    """Copy the new tables in small transactions, and replace the used ones by them."""
    with closing(open_writer(path)) as db, closing(open_reader(side)) as made:
        table_swap.copy_fresh(db, made, progress)
        _correct(db, made)
        table_swap.exchange(db, dict(made.execute("SELECT * FROM meta").fetchall()), generation)
    with closing(open_writer(path)) as db:
        table_swap.drop_fresh(db)
        left = -1
        while (free := retention.give_back(db)) and free != left:
            left = free


def _correct(db: sqlite3.Connection, made: sqlite3.Connection) -> None:
    """Write the verdicts of today's adapters to the log."""
    reading = made.execute("SELECT * FROM corrected ORDER BY id")
    while found := reading.fetchmany(table_swap.ROWS_AT_ONCE):
        with small_transaction(db):
            known = {entry.id: entry for entry in sqlite_log.read(db, [row[0] for row in found])}
            for number, *new in found:
                if number in known:
                    sqlite_log.correct(db, known[number], Correction(*new))


def refold_one(
    connection: sqlite3.Connection, folding: transaction.Folding, parse: Parse, delivery_id: int
) -> str:
    """Parse and fold one delivery again, in the caller's transaction. Returns the result as
    text."""
    own = own_id(connection, delivery_id)
    entries = sqlite_log.read(connection, [own])
    if not entries:
        return NOT_KEPT
    folding.context.seq = transaction.next_seq(connection)
    events = Projector(parse=parse).reread(connection, entries[0])
    transaction.fold_and_link(connection, events, folding)
    verdict = sqlite_log.read_one(connection, own).verdict
    return f"delivery {delivery_id}: {verdict}, {len(events)} events"
