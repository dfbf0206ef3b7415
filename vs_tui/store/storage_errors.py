"""Classifies storage errors and explains them to people."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Final

_STORAGE: Final = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_AUTH,
    }
)
_DAMAGE: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_REOPEN: Final = _DAMAGE | {
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_PROTOCOL,
}
RECOVER: Final = (
    "stop the receiver and run `vs-tui db restore BACKUP`; without a backup see Recover in "
    "docs/operations.md"
)
"""Advice for a damaged file."""
_ADVICE: Final = {
    sqlite3.SQLITE_FULL: "the disk is full; free some space, it goes on by itself",
    sqlite3.SQLITE_READONLY: "it cannot be written (read-only); make it writable, it goes on by "
    "itself (an error of the disk makes a file system read-only: `dmesg` tells)",
    sqlite3.SQLITE_BUSY: "another process holds the database; end it, it goes on by itself",
    sqlite3.SQLITE_LOCKED: "another process holds the database; end it, it goes on by itself",
    sqlite3.SQLITE_CORRUPT: f"the database is damaged; {RECOVER}",
    sqlite3.SQLITE_NOTADB: "the file is no vs-tui database; choose another with --db, or stop "
    "the receiver and run `vs-tui db restore BACKUP`",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened; check the folder and its mode",
}


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; 0 for errors that Python raises."""
    return int(getattr(error, "sqlite_errorcode", 0) or 0) & 0xFF


def is_storage(error: BaseException) -> bool:
    """Whether the storage failed, rather than refused a value."""
    return isinstance(error, sqlite3.Error) and _code(error) in _STORAGE


def is_damage(error: BaseException) -> bool:
    """Whether the file itself is damaged; waiting does not help."""
    return isinstance(error, sqlite3.Error) and _code(error) in _DAMAGE


def needs_reopening(error: BaseException) -> bool:
    """Whether the connection may hold a state that differs from the file."""
    return isinstance(error, sqlite3.Error) and _code(error) in _REOPEN


def explain(error: BaseException, path: Path) -> str:
    """A message for a storage error, with advice."""
    if isinstance(error, sqlite3.Error):
        if advice := _ADVICE.get(_code(error)):
            return f"{path}: {advice}"
        name = getattr(error, "sqlite_errorname", "") or type(error).__name__
        return (
            f"{path}: {error} ({name}); check the disk, deliveries are refused until it is mended"
        )
    return str(error)


def free_bytes(path: Path) -> int:
    """Bytes that this user may still write on the file system of `path`."""
    found = os.statvfs(path.parent)
    return found.f_bavail * found.f_frsize


def sizes(path: Path) -> tuple[int, int]:
    """Bytes of the database file and of its WAL; 0 for a missing file."""
    return _size(path), _size(path.with_name(path.name + "-wal"))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def file_at(path: Path) -> tuple[int, int]:
    """(device, inode) of the file at the path; (0, 0) if there is none."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_dev, found.st_ino)


def is_displaced(path: Path, opened: tuple[int, int]) -> bool:
    """Whether the path no longer names the opened file. The inode of an open file is not reused, so
    a new file of the same name is detected."""
    found = file_at(path)
    return found == (0, 0) or found != opened
