"""When each named token was last used, for `vs-tui secret list`; written at most once a minute."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from vs_tui.model.time import MINUTE, Instant
from vs_tui.store.maintenance.backup import TOKEN_USE
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)
EVERY: Final = MINUTE


class Uses:
    """Records uses on the event loop and writes the database in the background."""

    def __init__(self, writer: Writer, clock: Callable[[], Instant]) -> None:
        self._writer = writer
        self._clock = clock
        self._noted: dict[str, Instant] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, name: str) -> None:
        """Record that a token proved a request."""
        now = self._clock()
        if now - self._noted.get(name, 0) < EVERY:
            return
        self._noted[name] = now
        task = asyncio.get_running_loop().create_task(self._store(name, now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, name: str, now: Instant) -> None:
        try:
            await self._writer.transaction(
                lambda db, _: db.execute("REPLACE INTO meta VALUES (?, ?)", (TOKEN_USE + name, now))
            )
        except Exception as error:
            log.debug("the use of a token was not noted: %s", error)
