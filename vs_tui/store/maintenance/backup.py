"""Backup, verify and stats, which only read and also work beside a running receiver, and restore.

A restore replaces the database by a backup and keeps the old database beside it. The copy is made
and checked under another name and takes the database's name in one step, so that an interruption at
any moment leaves either the old or the new database, whole.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, Final

from vs_tui.model.time import Instant, iso
from vs_tui.store.lock import DatabaseLock
from vs_tui.store.schema import SCHEMA_VERSION, StoreError, open_reader
from vs_tui.store.storage_errors import RECOVER, explain, sizes

_CHECK_LIMIT: Final = 20
TOKEN_USE: Final = "token:"  # noqa: S105 - the beginning of a name
"""Prefix of the rows in `meta` that hold the time of the last use of a named token."""


def backup(source: Path, target: Path, *, older: bool = False) -> None:
    """Copy a database that may be in use, and check the copy. On StoreError no partial copy is
    left. `older` also copies a database of an older schema."""
    if target.exists():
        raise StoreError(f"{target} exists; choose another name or remove it first")
    if not target.parent.exists():  # perhaps a disk for backups that is not mounted
        raise StoreError(f"the folder {target.parent} does not exist; create it, or mount its disk")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written ({error.strerror}); choose another"
        ) from error
    try:
        with (
            closing(open_reader(source, older=older)) as reader,
            closing(sqlite3.connect(target)) as copy,
        ):
            reader.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise StoreError(f"{source}: the database is damaged ({found}); {RECOVER}")
    except BaseException as error:  # ctrl-c leaves no partial copy either
        target.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            why = f"the backup failed, {target} was removed. {explain(error, source)}"
            raise StoreError(why) from error
        raise


def verify(path: Path) -> list[str]:
    """The problems of a database: structure, bodies and spans without events. Empty if there are
    none."""
    try:
        connection = open_reader(path)
    except StoreError as error:
        return [str(error)]
    problems: list[str] = []
    try:
        problems += structure(connection)
        problems += islice(bodies(connection), _CHECK_LIMIT)
        orphans = connection.execute(
            "SELECT COUNT(*) FROM spans WHERE derived = 0 "
            "AND key NOT IN (SELECT DISTINCT key FROM events)"
        ).fetchone()[0]
        if orphans:
            problems.append(f"{orphans} spans have no events; run `vs-tui db rebuild`")
    except sqlite3.DatabaseError as error:
        problems.append(f"cannot be read to its end: {error}")
    finally:
        connection.close()
    return problems


def structure(connection: sqlite3.Connection) -> list[str]:
    """The problems that SQLite's integrity check finds."""
    rows = connection.execute(f"PRAGMA integrity_check({_CHECK_LIMIT})")
    return [f"structure: {row[0]}" for row in rows if row[0] != "ok"]


def bodies(connection: sqlite3.Connection) -> Iterator[str]:
    """Deliveries whose body does not match its hash. SQLite has no checksums, and a flipped bit
    inside a value passes its own check."""
    for delivery_id, body, digest in connection.execute(
        "SELECT id, body, sha256 FROM deliveries WHERE length(sha256) > 0"
    ):
        if sha256(body).digest() != digest:
            yield f"delivery {delivery_id}: the body does not match its hash"


def stats(path: Path) -> dict[str, Any]:
    """Counts, sizes and versions."""
    connection = open_reader(path)
    try:
        counts = {
            table: connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
            for table in ("deliveries", "rejections", "events", "spans", "links")
        }
        verdicts = dict(connection.execute("SELECT verdict, SUM(n) FROM counts GROUP BY verdict"))
        oldest, newest = connection.execute(
            "SELECT MIN(received_at), MAX(received_at) FROM deliveries"
        ).fetchone()
        free = connection.execute("PRAGMA freelist_count").fetchone()[0]
        page = connection.execute("PRAGMA page_size").fetchone()[0]
    finally:
        connection.close()
    size, wal = sizes(path)
    return {
        "database": str(path),
        "bytes": size,
        "wal_bytes": wal,
        "free_bytes": free * page,
        "schema": SCHEMA_VERSION,
        "sqlite": sqlite3.sqlite_version,
        **counts,
        "received": sum(verdicts.values()),
        "verdicts": dict(sorted(verdicts.items())),
        "oldest": iso(oldest),
        "newest": iso(newest),
    }


def token_uses(path: Path) -> dict[str, Instant]:
    """Named token -> time of its last use; empty if there is no database yet."""
    if not path.is_file():
        return {}
    with closing(open_reader(path)) as db:
        rows = db.execute(
            "SELECT name, value FROM meta WHERE name >= ? AND name < 'token;'", (TOKEN_USE,)
        )
        return {str(name).removeprefix(TOKEN_USE): int(value) for name, value in rows}


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
