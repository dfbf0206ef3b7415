"""Folds deliveries beside the writer's appends, one small transaction after the other.

Both need the interpreter and the one writing connection, and a fold costs more than a receipt. So
receiving goes first while deliveries keep coming. Folding waits for a quiet moment, but gets a
minimum share of the time, and does not wait while a reader waits for it. Its transactions are short
enough that nobody waits 50 ms for one. Under a flood of GitHub
bodies 0.40 of a bare handler's rate were acknowledged this way, and 0.20 without it (medians of
paired runs of wrk, 32 connections). The backlog is folded after the flood.
"""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
from collections.abc import Callable, Sequence
from typing import Final

from vs_tui.log.append_queue import AppendQueue
from vs_tui.log.delivery import Intake
from vs_tui.store.folding import batch
from vs_tui.store.folding.batch import Transact
from vs_tui.store.folding.projector import ALONE_SECONDS, WAITED_SECONDS, Folded, Projector
from vs_tui.store.folding.span_folding import Change
from vs_tui.store.storage_errors import Condition, is_storage

log = logging.getLogger(__name__)

LEAST_SHARE: Final = 0.1
"""Minimum share of the time that folding gets, however many deliveries come."""
PAUSE_SECONDS: Final = 1.0
"""Pause after a storage error before the next try."""


class Projection:
    """Applies the log, and lets callers wait for it."""

    def __init__(
        self,
        transact: Transact,
        condition: Condition,
        line: AppendQueue,
        notify: Callable[[Sequence[Change]], None],
    ) -> None:
        """`line` is the queue of deliveries, which go first. `notify` gets the changes of each
        transaction."""
        self._transact = transact
        self._condition = condition
        self._line = line
        self._notify = notify
        self.is_private = False
        """Whether nobody else uses the database, so that transactions may be long."""
        self.projector = Projector()
        self._wanted = asyncio.Event()
        self._counted = False
        """Whether new deliveries or repeats were counted since the last fold."""
        self._folded = asyncio.Condition()
        self._readers = 0

    def wake(self) -> None:
        """Note that deliveries wait to be folded."""
        self._wanted.set()

    def appended(self, fresh: Sequence[tuple[int, Intake]]) -> None:
        """Note that deliveries were committed to the log: new ones (`fresh`), or repeats."""
        self.projector.appended(fresh)
        self._counted = True
        self.wake()

    def stored(self, head: int) -> None:
        """Note that the log has deliveries up to `head`; they are parsed when they are folded."""
        self.projector.stored(head)
        self._counted = True
        self.wake()

    async def run(self) -> None:
        """Fold waiting deliveries, forever."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wanted.wait()
            began = loop.time()
            try:
                self.projector.seconds = self._target()
                await self.fold()
                took = loop.time() - began
                await self._line.quiet(took * (1 / LEAST_SHARE - 1), lambda: self._readers)
            except Exception as error:
                if is_storage(error):
                    self._condition.fail(error)
                else:
                    log.exception("the projector failed; it tries again")
                await asyncio.sleep(PAUSE_SECONDS)

    def _target(self) -> float:
        """Target for the CPU time of the next transaction."""
        if self.is_private:
            return math.inf
        return WAITED_SECONDS if self._readers or not self._line.is_quiet else ALONE_SECONDS

    async def fold(self) -> None:
        """Fold the next deliveries in one transaction."""
        if not self._condition.check_file() or self._condition.failed:
            await asyncio.sleep(PAUSE_SECONDS)
            return
        self._counted = False
        try:
            await self._fold_some()
        except Exception as error:
            tried = self.projector.tried
            if is_storage(error) or not tried:
                raise
            log.exception("deliveries could not be folded; each is tried alone")
            while self.projector.position < tried:
                await self._fold_one()

    async def _fold_one(self) -> None:
        """Fold one delivery, after a bug in folding. A delivery that cannot be folded is
        quarantined."""
        try:
            await self._fold_some(1)
        except Exception as error:
            if is_storage(error):
                raise
            why = type(error).__name__
            log.error("delivery after %d quarantined: %s", self.projector.position, why)
            await self._commit(lambda db, f: self.projector.pass_over(db, f, why))

    async def _fold_some(self, limit: int = 0) -> None:
        await self._commit(lambda db, f: self.projector.fold_some(db, f, limit))

    async def _commit(self, work: Callable[[sqlite3.Connection, batch.Folding], Folded]) -> None:
        folded = await self._transact(work, synced=False)
        self.projector.committed(folded)
        if not (self.projector.behind or self._counted):
            self._wanted.clear()
        async with self._folded:
            self._folded.notify_all()
        self._notify(folded.changes)

    async def caught_up(self, seconds: float) -> bool:
        """Wait until everything acknowledged by now is folded. Returns False after `seconds`."""
        projector, wanted = self.projector, self.projector.head
        if not projector.behind:
            return True
        self._readers += 1
        try:
            async with asyncio.timeout(seconds), self._folded:
                await self._folded.wait_for(
                    lambda: wanted <= projector.position and not projector.spans_wait
                )
        except TimeoutError:
            return False
        finally:
            self._readers -= 1
        return True
