"""Putting a backup in the place of the database; what was there before is kept beside it."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from vs_tui.store.lock import DatabaseLock
from vs_tui.store.maintenance import backup, bodies, structure
from vs_tui.store.schema import StoreError, open_reader

_PARTS = ("", "-wal", "-shm")


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did."""

    deliveries: int
    kept: Path | None
    """The database as it was before; None when there was none."""


def restore(copy: Path, path: Path) -> Restored:
    """Check a backup, move the database aside and copy the backup to its path. An older schema is
    migrated by the next start. StoreError leaves everything as it was; InUse: a receiver runs."""
    if path.exists() and copy.exists() and path.samefile(copy):
        raise StoreError(f"{copy} is the database itself; name a backup of it")
    deliveries = _check(copy)
    lock = DatabaseLock(path)
    lock.take()
    try:
        kept = _move_aside(path)
        try:
            backup(copy, path, older=True)
        except BaseException:
            if kept is not None:
                _rename(kept, path)
            raise
        lock.opened()
    finally:
        lock.release()
    return Restored(deliveries, kept)


def _check(copy: Path) -> int:
    """How many deliveries a backup holds; StoreError when it is not whole."""
    connection = open_reader(copy, older=True)
    try:
        problems = [*structure(connection), *bodies(connection)]
        count: int = connection.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0]
    except sqlite3.DatabaseError as error:
        problems, count = [str(error)], 0
    finally:
        connection.close()
    if problems:
        raise StoreError(
            f"{copy} is damaged itself ({problems[0]}); nothing was changed, choose another backup"
        )
    return count


def _move_aside(path: Path) -> Path | None:
    if not any(path.with_name(path.name + part).exists() for part in _PARTS):
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    _rename(path, kept)
    return kept


def _rename(old: Path, new: Path) -> None:
    """The database with its WAL: apart they are worth nothing."""
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            old.with_name(old.name + part).rename(new.with_name(new.name + part))
