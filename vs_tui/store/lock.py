"""Allows one receiver for each database: a kernel lock on a file beside it, released when its
process ends."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import Final

from vs_tui.store.schema import StoreError

_NEIGHBOURS: Final = ("-wal", "-shm", "-journal", ".lock", ".rebuild", ".restoring")
"""Endings of the files that SQLite and this program make beside a database."""


class InUse(StoreError):
    """Another receiver has the database; the message names its process."""

    def __init__(self, path: Path, holder: str) -> None:
        super().__init__(
            f"{path} is in use by process {holder}; open it read-only with `vs-tui view {path}`, "
            "or give this receiver its own file with --db"
        )
        self.path = path
        self.holder = holder
        """Its process id; `unknown` when the lock file does not say."""


class DatabaseLock:
    """The lock of a database, held from `take` to `release` or until the process ends, even by kill
    -9."""

    def __init__(self, path: Path, *, temporary: bool = False) -> None:
        """`temporary` removes the lock's file on release."""
        self.path = path
        self._temporary = temporary
        self._file = path.with_name(path.name + ".lock")
        self._descriptor: int | None = None
        self._file_lock: _FileLock | None = None
        self.held_data = False
        """Whether a receiver opened the database before; an empty file is an error then."""

    def take(self) -> None:
        """Take the lock. InUse with the holder's pid if another receiver has it; StoreError if the
        folder cannot be written."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
            descriptor = os.open(self._file, flags, 0o600)
        except OSError as error:
            raise StoreError(
                f"{self._file} cannot be written ({error.strerror}); make the folder writable for "
                "this user, or choose another file with --db"
            ) from error
        written = os.pread(descriptor, 40, 0).decode("ascii", "replace").split()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise InUse(self.path, written[0] if written else "unknown") from None
        self._descriptor = descriptor
        try:
            self._take_file()
        except InUse:
            self.release()
            raise
        self.held_data = "opened" in written
        # Keep the mark until opening succeeds: a refused start must not hide lost data.
        self._write(f"{os.getpid()}{' opened' if self.held_data else ''}")

    def _take_file(self) -> None:
        """Lock the database file itself: a hard link is the same database with another lock
        file."""
        if self._file_lock is None:
            self._file_lock = _FileLock.take(self.path)

    def opened(self) -> None:
        """Note that the database was opened and holds data from now on. InUse if another process
        has the same file open under another name."""
        self._take_file()
        self._write(f"{os.getpid()} opened")

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            return
        # The lock works without the text, and a full disk must not prevent pruning.
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, text.encode().ljust(40), 0)

    def release(self) -> None:
        if self._file_lock is not None:
            self._file_lock.release()
            self._file_lock = None
        if self._descriptor is not None:
            if self._temporary:
                self._file.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None


def holder(path: Path) -> str:
    """The process id of the receiver that has a database; empty without one."""
    try:
        descriptor = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return ""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return ""
    except OSError:
        written = os.pread(descriptor, 40, 0).decode("ascii", "replace").split()
        return written[0] if written else "unknown"
    finally:
        os.close(descriptor)


class _FileLock:
    """A lock on a file independent of its name. The lock file is named by device and inode, in this
    user's folder for temporary files. The database file itself cannot be used, because SQLite locks
    it."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, database: Path) -> _FileLock | None:
        """The lock; None if there is no database file yet or no folder for the lock. InUse if it is
        taken."""
        try:
            found = database.stat()
            folder = Path(tempfile.gettempdir()) / f"vs-tui-{os.getuid()}"
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                return None
            path = folder / f"{found.st_dev}-{found.st_ino}.lock"
            while True:
                flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
                descriptor = os.open(path, flags, 0o600)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    holder = os.pread(descriptor, 40, 0).decode("ascii", "replace").strip()
                    os.close(descriptor)
                    raise InUse(database, holder or "unknown") from None
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(path.stat(), os.fstat(descriptor)):
                        os.pwrite(descriptor, str(os.getpid()).encode().ljust(40), 0)
                        return cls(path, descriptor)
                os.close(descriptor)  # its holder has just released and removed it
        except OSError:
            return None

    def release(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink()
        os.close(self._descriptor)


def refuse_neighbour(path: Path) -> None:
    """StoreError if a file of this name would belong to a database: SQLite or this program would
    delete it, or read it as a part of that database."""
    if owner := _owner(path):
        raise StoreError(f"{path} is a name that belongs to {owner}; choose another")


def _owner(path: Path) -> Path | None:
    for ending in _NEIGHBOURS if path.name else ():  # a root has no name
        owner = path.with_name(path.name.removesuffix(ending) or path.name)
        if owner != path and (owner.is_file() or _owner(owner)):
            return owner
    return None
