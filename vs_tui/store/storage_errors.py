"""Classifies storage errors, explains them to people, and tells whether commits work now."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vs_tui.model.limits import format_size

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


log = logging.getLogger(__name__)


class Condition:
    """The writer's state of its file. `changed` is called when `trouble` changes."""

    def __init__(
        self,
        path: Path,
        low_space: int,
        free_bytes: Callable[[Path], int],
        changed: Callable[[], None],
    ) -> None:
        self._path = path
        self.low_space = low_space
        """Bytes that stay free on the disk."""
        self._free_bytes = free_bytes
        self._changed = changed
        self._file = (0, 0)
        self._displaced = ""
        self._low = ""
        self.failed = ""
        """The last storage error, until a commit works again."""
        self.damaged = False
        self.reopen = False
        """Whether the connection may hold a state that differs from the file."""

    @property
    def trouble(self) -> str:
        """The problem and what to do; empty if commits work."""
        return self._displaced or self.failed or self._low

    def opened(self) -> None:
        """Note that the connection is new and writes the file at the path."""
        self._file = file_at(self._path)
        self.reopen = False

    def fail(self, error: BaseException) -> None:
        """Note a storage error."""
        before = self.failed
        self.failed = explain(error, self._path)
        self.damaged = is_damage(error)
        self.reopen = self.reopen or needs_reopening(error)
        if self.failed != before:
            log.error("%s", self.failed)
        self._changed()

    def recover(self) -> None:
        """Note that a commit worked."""
        log.warning("%s: deliveries are stored again", self._path)
        self.failed = ""
        self.damaged = False
        self._changed()

    def check_space(self) -> None:
        """Compare the free space with the low-space mark."""
        free = self._free_bytes(self._path)
        low = ""
        if free < self.low_space:
            low = (
                f"{self._path}: only {format_size(free)} are free on its disk; free some "
                "space or set [retention] age, it goes on by itself"
            )
        if bool(low) != bool(self._low):
            log.warning("%s", low or f"{self._path}: there is space again")
            self._low = low
            self._changed()

    def check_file(self) -> bool:
        """Whether the path still names the open file. SQLite goes on writing into a moved file, and
        the path would lose deliveries that were acknowledged."""
        before = self._displaced
        self._displaced = ""
        if is_displaced(self._path, self._file):
            self._displaced = (
                f"{self._path} was moved, deleted or replaced while in use; put it back, or "
                "restart to begin a new one"
            )
        if before != self._displaced:
            log.warning("%s", self._displaced or f"{self._path} is back")
            self._changed()
        return not self._displaced
