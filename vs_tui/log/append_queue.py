"""Deliveries that wait for their commit: bounded, taken in batches, and answered in time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from vs_tui.log.delivery import Intake, Outcome
from vs_tui.model.errors import Explained
from vs_tui.model.limits import fits

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500
MAX_WAITING: Final = 5_000
"""Deliveries waiting for a commit; beyond it senders are told to come again."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Bytes of bodies that wait for a commit, also those whose sender was told to come again."""
ANSWER_SECONDS: Final = 8.0
"""A sender is answered within this: GitHub and GitLab hang up after ten seconds."""

QUIET_SECONDS: Final = 0.003
"""Without a delivery for so long, no sender is likely to wait for what is done next."""


class Unavailable(Explained):
    """The store cannot commit now; the message says why. Senders get 503 and Retry-After."""


Tell = Callable[[Outcome | Unavailable], None]


class Waiting:
    """A delivery until it is committed, and whoever waits for that; who is told once."""

    __slots__ = ("_tell", "intake", "until")

    def __init__(self, intake: Intake, tell: Tell, until: float) -> None:
        self.intake = intake
        self.until = until
        self._tell: Tell | None = tell

    def tell(self, result: Outcome | Unavailable) -> None:
        tell, self._tell = self._tell, None
        if tell is None:
            return
        try:
            tell(result)
        except Exception:
            log.exception("a sender could not be answered; its delivery is not affected")


class WaitingLine:
    """First come, first committed."""

    def __init__(self, too_late: str) -> None:
        """`too_late`: what those are told for whom it takes too long."""
        self._too_late = too_late
        self._line: deque[Waiting] = deque()
        self._taken: Sequence[Waiting] = ()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._active_at = 0.0
        """When a delivery came or was answered last."""

    def __len__(self) -> int:
        return len(self._line)

    def put(self, intake: Intake, tell: Tell) -> None:
        """Unavailable when too much waits already."""
        size = len(intake.body)
        # One body is always taken, however large.
        too_large = self._bytes and not fits(self._bytes, size, MAX_WAITING_BYTES, whole=size)
        if too_large or len(self) >= MAX_WAITING:
            raise Unavailable("too many deliveries are waiting to be stored; send it again")
        loop = asyncio.get_running_loop()
        entry = Waiting(intake, tell, loop.time() + ANSWER_SECONDS)
        self._line.append(entry)
        self._bytes += size
        self._active_at = loop.time()
        self._arrived.set()
        self._empty.clear()
        if self._timer is None:
            self._timer = loop.call_at(entry.until, self._tell_late)

    async def take(self) -> Sequence[Waiting]:
        """What has arrived, at most MAX_BATCH; `done` must follow."""
        await self._arrived.wait()
        self._taken = [self._line.popleft() for _ in range(min(len(self._line), MAX_BATCH))]
        if not self._line:
            self._arrived.clear()
        return self._taken

    def done(self) -> None:
        """What was taken is committed or given up."""
        self._bytes -= sum(len(entry.intake.body) for entry in self._taken)
        self._taken = ()
        self._active_at = asyncio.get_running_loop().time()
        if not self._line:
            self._empty.set()

    async def empty(self) -> None:
        """Returns when nothing waits."""
        await self._empty.wait()

    async def quiet(self, seconds: float, unless: Callable[[], object]) -> None:
        """Returns when nothing waits and nothing has come for a moment, after `seconds`, or when
        `unless` holds."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        left = self._until_quiet()
        while left > 0 and not unless() and loop.time() < until:
            await asyncio.sleep(min(left, until - loop.time()))
            left = self._until_quiet()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing waits and nothing has come for a moment."""
        return self._until_quiet() <= 0

    def _until_quiet(self) -> float:
        """Seconds until it is quiet, if nothing comes."""
        now = asyncio.get_running_loop().time()
        return (self._active_at if self._empty.is_set() else now) + QUIET_SECONDS - now

    def _tell_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for entry in chain(self._taken, self._line):
            if entry.until > loop.time():
                self._timer = loop.call_at(entry.until, self._tell_late)
                break
            entry.tell(Unavailable(self._too_late))
