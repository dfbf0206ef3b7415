"""Keep events on disk until the receiver has them: private, bounded, in order, sent once.

Every event is written here before it is sent and removed after the receiver has committed it, so
nothing is lost if the receiver is down or this process is killed. An event sent twice after a kill
carries the same idempotency key and is stored once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

MAX_EVENTS: Final = 5_000
"""Most events kept; beyond it the oldest are dropped."""
MAX_BODY: Final = 64 * 1024
"""Most bytes of one event's body."""
SLOW_SECONDS: Final = 60
"""Seconds for which a receiver that timed out is not waited for again."""

_MAX_FILE: Final = 8 * MAX_BODY
"""Most bytes of an event's file; JSON encodes some characters with six bytes."""
_WAITING: Final = ".event"
_REFUSED: Final = ".refused"
_ORPHAN_SECONDS: Final = 60


class Entry(NamedTuple):
    """One event: its URL, its idempotency key, and the exact bytes to send and sign."""

    url: str
    key: str
    body: str


class Spool:
    """A folder of events. Every method may raise OSError: a read-only home, a full disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dropped = 0
        """Events deleted to make room for newer ones."""

    def add(self, entry: Entry) -> Path:
        """Write an event atomically."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        name = f"{time.time_ns():020d}-{os.getpid()}-{os.urandom(4).hex()}"
        temporary, path = self.folder / f"{name}.tmp", self.folder / f"{name}{_WAITING}"
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW
        try:
            with os.fdopen(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as out:
                json.dump({"url": entry.url, "key": entry.key, "body": entry.body}, out)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        # Whether it can be sent or not: the limit always holds.
        self.dropped += self.prune()
        return path

    def waiting(self) -> list[Path]:
        """Events not sent yet, oldest first."""
        return [self.folder / name for name in self._names() if name.endswith(_WAITING)]

    def refused(self) -> list[Path]:
        """Events that the receiver refused for good, kept for inspection."""
        return [self.folder / name for name in self._names() if name.endswith(_REFUSED)]

    def read(self, path: Path) -> Entry | None:
        """The event in a file; None if another process has sent it or it is not an event."""
        try:
            fields = json.loads(_content(path))
            entry = Entry(str(fields["url"]), str(fields["key"]), str(fields["body"]))
            if not (entry.key.isascii() and entry.key.isprintable()):
                raise ValueError("the key goes into a header")
            return entry
        except OSError:
            return None  # sent by another process, or another user's: it holds nobody up
        except (ValueError, KeyError, TypeError, RecursionError):
            with contextlib.suppress(OSError):
                self.refuse(path)
            return None

    def remove(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def refuse(self, path: Path) -> Path:
        """Move an event aside so that it does not block later ones."""
        aside = path.with_suffix(_REFUSED)
        path.replace(aside)
        return aside

    def prune(self) -> int:
        """Drop the oldest events beyond MAX_EVENTS and leftovers of killed writers; returns the
        number of dropped events."""
        names = self._names()
        kept = [name for name in names if name.endswith((_WAITING, _REFUSED))]
        dropped = kept[: max(0, len(kept) - MAX_EVENTS)]
        for name in dropped:
            with contextlib.suppress(OSError):
                self.remove(self.folder / name)
        horizon = time.time() - _ORPHAN_SECONDS
        for name in names:
            orphan = self.folder / name
            if name.endswith(".tmp") and _modified(orphan) < horizon:
                with contextlib.suppress(OSError):
                    self.remove(orphan)
        return len(dropped)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Allow one sender at a time; waits for another one."""
        # The folder itself: a file in it may be another user's, after one `sudo vs-tui event`.
        descriptor = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    @property
    def slow(self) -> bool:
        """Whether the receiver timed out lately."""
        return time.time() - _modified(self.folder / ".slow") < SLOW_SECONDS

    def mark_slow(self, slow: bool) -> None:
        marker = self.folder / ".slow"
        if slow:
            marker.touch(mode=0o600)
        else:
            marker.unlink(missing_ok=True)

    def _names(self) -> list[str]:
        try:
            return sorted(os.listdir(self.folder))  # noqa: PTH208 - names are enough, and faster
        except FileNotFoundError:
            return []


def _content(path: Path) -> bytes:
    """The bytes of a file. OSError for a link, pipe or device, which could block for ever;
    ValueError if it is larger than an event can be."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is no file")
        content = file.read(_MAX_FILE + 1)
    if len(content) > _MAX_FILE:
        raise ValueError("it is larger than an event")
    return content


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
