"""Tells whether the store can commit now, and if not why: file moved, storage failed, space low."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from vs_tui.model.limits import format_size
from vs_tui.store.storage_errors import explain, file_at, is_damage, is_displaced, needs_reopening

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
