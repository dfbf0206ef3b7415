"""The queue of deliveries that wait for their commit: bounded, taken in batches, answered in
time."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain
from typing import Final

from vs_tui.log.delivery import Intake, Receipt
from vs_tui.model.errors import Explained
from vs_tui.model.limits import fits

log = logging.getLogger(__name__)

MAX_BATCH: Final = 500
MAX_WAITING: Final = 5_000
"""Most deliveries that wait for a commit; senders get 503 beyond it."""
MAX_WAITING_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of bodies that wait for a commit, including those whose sender already got 503."""
ANSWER_SECONDS: Final = 8.0
"""Longest time until a sender is answered; GitHub and GitLab hang up after ten seconds."""

QUIET_SECONDS: Final = 0.003
"""After this time without a delivery, no sender is likely to wait for the next task."""


class Unavailable(Explained):
    """The store cannot commit now; the message says why. Senders get 503 and Retry-After."""


Tell = Callable[[Receipt | Unavailable], None]


class Queued:
    """A delivery that waits for its commit, with the callback that gets the result once."""

    __slots__ = ("_tell", "intake", "until")

    def __init__(self, intake: Intake, tell: Tell, until: float) -> None:
        self.intake = intake
        self.until = until
        self._tell: Tell | None = tell

    def tell(self, result: Receipt | Unavailable) -> None:
        tell, self._tell = self._tell, None
        if tell is None:
            return
        try:
            tell(result)
        except Exception:
            log.exception("a sender could not be answered; its delivery is not affected")


class AppendQueue:
    """The queue; the first delivery in is the first committed."""

    def __init__(self, too_late: str) -> None:
        """`too_late` is the message for senders whose delivery takes too long."""
        self._too_late = too_late
        self._line: deque[Queued] = deque()
        self._taken: Sequence[Queued] = ()
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._arrived = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()
        self._active_at = 0.0
        """Time at which a delivery last came or was answered."""
        self._idle = 0.0
        """Seconds that the queue was empty, until it last became so."""

    def __len__(self) -> int:
        return len(self._line)

    def put(self, intake: Intake, tell: Tell) -> None:
        """Add a delivery. Unavailable if too many or too large deliveries wait already."""
        size = len(intake.body)
        # A single body is always accepted, however large.
        too_large = self._bytes and not fits(self._bytes, size, MAX_WAITING_BYTES, whole=size)
        if too_large or len(self) >= MAX_WAITING:
            raise Unavailable("too many deliveries are waiting to be stored; send it again")
        loop = asyncio.get_running_loop()
        now = loop.time()
        entry = Queued(intake, tell, now + ANSWER_SECONDS)
        self._line.append(entry)
        self._bytes += size
        self._idle, self._active_at = self.idle_seconds, now
        self._arrived.set()
        self._empty.clear()
        if self._timer is None:
            self._timer = loop.call_at(entry.until, self._tell_late)

    async def take(self) -> Sequence[Queued]:
        """The next deliveries, at most MAX_BATCH; waits until there are some. Call `done`
        afterwards."""
        await self._arrived.wait()
        self._taken = [self._line.popleft() for _ in range(min(len(self._line), MAX_BATCH))]
        if not self._line:
            self._arrived.clear()
        return self._taken

    def done(self) -> None:
        """Note that the taken deliveries are committed or given up."""
        self._bytes -= sum(len(entry.intake.body) for entry in self._taken)
        self._taken = ()
        self._active_at = asyncio.get_running_loop().time()
        if not self._line:
            self._empty.set()

    async def empty(self) -> None:
        """Wait until the queue is empty."""
        await self._empty.wait()

    async def quiet(self, seconds: float, unless: Callable[[], object]) -> None:
        """Wait until no delivery came for `QUIET_SECONDS`, `seconds` have passed, or `unless` is
        true."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while (left := QUIET_SECONDS - self.quiet_seconds) > 0 and not unless():
            if (most := until - loop.time()) <= 0:
                break
            await asyncio.sleep(min(left, most))

    @property
    def idle_seconds(self) -> float:
        """The time in which no delivery waited for its commit, in all."""
        if not self._empty.is_set():
            return self._idle
        return self._idle + asyncio.get_running_loop().time() - self._active_at

    @property
    def quiet_seconds(self) -> float:
        """Seconds since a delivery last came or was answered; 0 while one waits."""
        return asyncio.get_running_loop().time() - self._active_at if self._empty.is_set() else 0.0

    def _tell_late(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        for entry in chain(self._taken, self._line):
            if entry.until > loop.time():
                self._timer = loop.call_at(entry.until, self._tell_late)
                break
            entry.tell(Unavailable(self._too_late))
