"""Copies a delivery log between SQLite and PostgreSQL; ids, times, verdicts and bytes stay the
same."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from vs_tui.log import sqlite_log
from vs_tui.log.postgres import BEGINNING, REPEAT, Entry, PostgresLog
from vs_tui.model.errors import Explained
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.lock import refuse_neighbour
from vs_tui.store.schema import open_reader, open_writer

AT_ONCE: Final = 200
_BYTES_AT_ONCE: Final = 32 * 1024 * 1024
Progress = Callable[[int], None]
# A body without an id may be stored again after a day; the COUNT numbers rows of one name.
_SELECT: Final = """
SELECT COALESCE(log_id, id), source, kind, path, headers, body, sha256, received_at, dedupe,
    verdict, reason, status, duplicates, adapter, keys,
    (SELECT COUNT(*) FROM deliveries e
     WHERE e.dedupe = d.dedupe AND e.source = d.source AND e.id < d.id), id
FROM deliveries d WHERE id > ? ORDER BY id LIMIT ?
"""


class CopyError(Explained):
    """The target holds other data; the message says what to do."""


async def to_postgres(source: Path, target: PostgresLog, progress: Progress) -> int:
    """Copy all deliveries; returns how many. Deliveries of an interrupted copy are not copied
    again. CopyError if the target holds other deliveries."""
    done = last = 0
    with contextlib.closing(open_reader(source)) as db:
        while rows := _some(db, last):
            last = rows[-1][-1]
            entries = [Entry(*row[:15]) for row in rows]
            if not await target.copy(entries, [row[15] for row in rows]):
                raise CopyError(
                    f"{target.address} holds other deliveries: copy into an empty database, or "
                    "choose another [log] schema"
                )
            done += len(rows)
            progress(done)
    return done


def _some(db: sqlite3.Connection, after: int) -> list[sqlite3.Row]:
    """The next deliveries; fewer if they are large."""
    found, size = [], 0
    for row in db.execute(_SELECT, (after, AT_ONCE)):
        found.append(row)
        size += len(row[5])
        if size > _BYTES_AT_ONCE:
            break
    return found


async def to_sqlite(source: PostgresLog, target: Path, progress: Progress) -> int:
    """Copy all deliveries into a new database; returns how many. They are folded when it is next
    opened. CopyError if the file exists."""
    if await asyncio.to_thread(target.exists):
        raise CopyError(f"{target} exists; name a file that does not")
    refuse_neighbour(target)
    done, position = 0, BEGINNING
    db = open_writer(target)
    try:
        db.execute("BEGIN IMMEDIATE")
        while entries := await source.read(position):
            position = entries[-1].position
            insert_entries(db, ((entry.id, None, entry) for entry in entries))
            done += sum(entry.verdict != REPEAT for entry in entries)
            progress(done)
        db.execute("COMMIT")
    except BaseException:
        db.close()
        for part in ("", "-wal", "-shm"):
            target.with_name(target.name + part).unlink(missing_ok=True)
        raise
    db.close()
    return done


def insert_entries(
    db: sqlite3.Connection, entries: Iterable[tuple[int, int | None, Entry]], by: str = "id"
) -> None:
    """Store entries of a shared log as deliveries, each with its id here and in the log. `by` is
    the column with the ids that repeats name."""
    tallies = sqlite_log.Tallies()
    repeats: Counter[int] = Counter()
    fresh = []
    for number, log_id, entry in entries:
        at, kind = entry.received_at, entry.kind
        tallies.add(entry.source, Verdict(entry.verdict), at, kind)
        if entry.duplicates:
            tallies.add(entry.source, Verdict.DUPLICATE, at, kind, entry.duplicates)
        if entry.verdict == REPEAT:
            repeats[entry.original] += 1
        else:
            fresh.append((number, log_id, *entry[1:15]))
    sqlite_log.insert(db, fresh)
    db.executemany(
        f"UPDATE deliveries SET duplicates = duplicates + ? WHERE {by} = ?",
        [(n, original) for original, n in repeats.items()],
    )
    sqlite_log.count(db, tallies)
