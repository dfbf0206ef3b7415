"""Replaces the database by a backup; the old database is kept beside it.

The copy is made and checked under another name and takes the database's name in one step, so that
an interruption at any moment leaves either the old or the new database, whole.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from vs_tui.store.lock import DatabaseLock
from vs_tui.store.maintenance.backup import backup, bodies, structure
from vs_tui.store.schema import StoreError, open_reader

_LOGS = ("-wal", "-shm", "-journal")


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore."""

    deliveries: int
    kept: Path | None
    """The old database; None if there was none."""


def restore(copy: Path, path: Path) -> Restored:
    """Check a backup, copy it beside the database and replace the database by it. The next start
    migrates an older schema. StoreError leaves everything as it was; InUse if a receiver runs."""
    if path.exists() and copy.exists() and path.samefile(copy):
        raise StoreError(f"{copy} is the database itself; name a backup of it")
    if path.is_symlink():  # it would be replaced, and the real file left as it is
        raise StoreError(f"{path} is a symbolic link; name the real file with --db")
    deliveries = _check(copy)
    lock = DatabaseLock(path)
    lock.take()
    try:
        fresh = path.with_name(path.name + ".restoring")
        _remove(fresh)
        try:
            backup(copy, fresh, older=True)
            _sync(fresh)
            kept = _keep(path)
            fresh.replace(path)
        except OSError as error:
            raise StoreError(f"{path} cannot be replaced ({error.strerror})") from error
        finally:
            _remove(fresh)
        _sync(path.parent)
        lock.opened()
    finally:
        lock.release()
    return Restored(deliveries, kept)


def _check(copy: Path) -> int:
    """The number of deliveries in a backup; StoreError if it is damaged."""
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


def _keep(path: Path) -> Path | None:
    """Give the database a second name and keep the first; returns it, None if there is no
    database."""
    if not any(_beside(path, part).exists() for part in ("", *_LOGS)):
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.replaced-{number}")).exists():
        number += 1
    whole = _without_logs(path)
    if path.exists():
        os.link(path, kept)
    # Logs that a damaged database could not take in move with it; the new one would read them.
    for part in _LOGS:
        with contextlib.suppress(FileNotFoundError):
            if whole:
                _beside(path, part).unlink()
            else:
                _beside(path, part).rename(_beside(kept, part))
    _sync(path.parent)
    return kept


def _without_logs(path: Path) -> bool:
    """Merge the write-ahead log or a journal into the file. Returns whether that worked."""
    if not path.exists():
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA schema_version").fetchone()
            busy, _, _ = database.execute("PRAGMA main.wal_checkpoint(TRUNCATE)").fetchone()
            return not busy
    except sqlite3.Error:
        return False


def _beside(path: Path, part: str) -> Path:
    return path.with_name(path.name + part)


def _remove(path: Path) -> None:
    for part in ("", *_LOGS):
        _beside(path, part).unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
