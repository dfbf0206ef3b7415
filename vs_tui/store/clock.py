"""Decides which time to use, so that a clock that was set wrong neither deletes nor times out
anything. It also gives deliveries their time of receipt.

The clock is compared with the time that has passed since it was last trusted. The kernel counts
that time by itself, including sleep, so a quiet weekend does not look like a wrong clock. While the
machine is off nothing is counted; then the newest delivery gives the earliest possible time. A
clock that differs is trusted again after an hour; until then timeouts use the expected time.
Deleting cannot be undone, so it waits for a day and until then never uses the later of the two
times, as Prometheus measures its retention from its newest block.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from vs_tui.model.time import DAY, HOUR, SECOND, Duration, Instant, format_duration, iso

if TYPE_CHECKING:
    from vs_tui.store.folding.transaction import Transact

log = logging.getLogger(__name__)

TOLERANCE: Final = HOUR
"""Largest difference between the clock and the expected time."""
BELIEVED_AFTER: Final = HOUR
"""Time until a different clock is trusted for timeouts; time services correct a wrong clock within
minutes."""
DELETES_AFTER: Final = DAY
"""Time until a different clock is trusted for deleting."""
_NAME: Final = "clock"
_NEWEST: Final = (
    "SELECT MAX(received_at) FROM (SELECT received_at FROM deliveries ORDER BY id DESC LIMIT 100) "
    "WHERE received_at <= ?"
)


class Uptime(NamedTuple):
    """The uptime that the kernel counts, independent of the clock."""

    boot: str
    """Id of this start of the machine."""
    up: Duration
    """Time since that start, including sleep."""


_SINCE_BOOT: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The clock that includes sleep: Linux has one of its own, macOS's monotonic clock does."""
_LINUX_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


def uptime() -> Uptime:
    """The uptime now."""
    return Uptime(_boot(), time.clock_gettime_ns(_SINCE_BOOT) // 1_000)


@cache
def _boot() -> str:
    with suppress(OSError):
        return _LINUX_BOOT.read_text("ascii").strip()
    from subprocess import SubprocessError, check_output  # not needed on Linux

    with suppress(OSError, SubprocessError):  # macOS
        return check_output(["sysctl", "-n", "kern.bootsessionuuid"], text=True, timeout=5).strip()
    return f"process {time.time_ns()}"  # the uptime restarts with each process


@dataclass(frozen=True, slots=True)
class Mark:
    """The last trusted time, and the clock's difference since then. Stored in `meta`."""

    wall: Instant
    """The clock at that moment, or the latest time that is known to have passed."""
    boot: str
    up: Duration
    doubted: Duration | None = None
    """The uptime at which the clock began to differ; None while it is trusted."""
    ahead: Duration = 0
    """How far the clock is ahead; negative if it is behind."""
    holds: bool = False
    """Whether an action waits because of the difference."""


class Believed(NamedTuple):
    """The times to use at a moment."""

    mark: Mark
    timing: Instant
    """The time for timeouts."""
    deleting: Instant
    """The time for retention."""


def judged(mark: Mark, wall: Instant, now: Uptime) -> Believed:
    """The times to use when the clock says `wall`, and the mark to store."""
    other = mark.boot != now.boot or now.up < mark.up
    if other:
        # How long the machine was off is unknown.
        mark = replace(mark, boot=now.boot, up=now.up, doubted=None if mark.doubted is None else 0)
    expected = mark.wall + now.up - mark.up
    ahead = wall - expected
    if abs(ahead) <= TOLERANCE:
        return Believed(Mark(wall, *now) if other or mark.doubted is not None else mark, wall, wall)
    if mark.doubted is None or abs(ahead - mark.ahead) > TOLERANCE:
        mark = replace(mark, doubted=now.up, ahead=ahead, holds=False)
    since = now.up - (mark.doubted or 0)
    if since >= DELETES_AFTER:
        return Believed(Mark(wall, *now), wall, wall)
    # A clock that is behind may be right, and the count of the uptime wrong: a container that was
    # moved gets another one. So only what was old when the clock was last trusted is deleted.
    deleting = expected if ahead > 0 else min(wall, mark.wall)
    return Believed(mark, wall if since >= BELIEVED_AFTER else expected, deleting)


def read(db: sqlite3.Connection, wall: Instant, now: Uptime) -> Mark:
    """The mark in a database; a new one if it has none."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    newest = db.execute(_NEWEST, (wall + TOLERANCE,)).fetchone()[0]
    if row is None:
        # The time since the newest delivery is unknown; an empty database trusts the clock.
        return Mark(wall, *now) if newest is None else Mark(newest, "", 0)
    mark = Mark(**orjson.loads(row[0]))
    if mark.boot == now.boot or mark.doubted is not None:
        return mark
    return replace(mark, wall=max(mark.wall, newest or 0))


def write(db: sqlite3.Connection, mark: Mark) -> None:
    """Store the mark, in the caller's transaction."""
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_NAME, orjson.dumps(mark).decode()))


def deleting(db: sqlite3.Connection, wall: Instant) -> Instant:
    """The time from which ages count in a person's command to delete: the clock, unless it is known
    to be ahead."""
    now = uptime()
    mark = read(db, wall, now)
    believed = judged(mark, wall, now)
    return believed.deleting if mark.boot == now.boot and believed.mark.ahead > 0 else wall


def trouble(db: sqlite3.Connection, wall: Instant) -> str:
    """Describes the actions that wait because of the clock; empty if none waits."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    if row is None or not Mark(**orjson.loads(row[0])).holds:
        return ""
    now = uptime()
    return words(judged(read(db, wall, now), wall, now).mark, wall, now)


def words(mark: Mark, wall: Instant, now: Uptime) -> str:
    """Describes the difference, the actions that wait and until when; empty for a trusted clock."""
    if mark.doubted is None:
        return ""
    since = now.up - mark.doubted
    waiting = [
        f"{what} until {iso((wall + after - since) // SECOND * SECOND)}"
        for what, after in (("timeouts", BELIEVED_AFTER), ("retention", DELETES_AFTER))
        if since < after
    ]
    far = format_duration(abs(mark.ahead))
    return (
        f"the clock is {far} {'ahead' if mark.ahead > 0 else 'behind'}: "
        f"{' and '.join(waiting)} wait for it to be set right (timedatectl)"
    )


class Watch:
    """The clock of a process that deletes and times out."""

    def __init__(self, wall: Callable[[], Instant], uptime: Callable[[], Uptime]) -> None:
        self._wall = wall
        self._uptime = uptime
        self._mark = Mark(wall(), *uptime())
        self._seen = self._mark.wall
        """The clock at the last receipt."""
        self._behind: Duration = 0
        """How far the clock is behind what is known to have passed; 0 while it is trusted."""

    def receipt_time(self) -> Instant:
        """The time of receipt for a delivery that arrives now: the clock, but never before the time
        that is known to have passed. Retention would take a delivery that is dated back for an old
        one as soon as the clock is right again."""
        wall = self._wall()
        if abs(wall - self._seen) > TOLERANCE:
            self._note(self.judged().mark)
        self._seen = wall
        return wall + self._behind

    def _note(self, mark: Mark) -> None:
        self._behind = 0 if mark.doubted is None else max(-mark.ahead, 0)

    @property
    def doubted(self) -> bool:
        return self._mark.doubted is not None

    def judged(self) -> Believed:
        """The times to use now."""
        return judged(self._mark, self._wall(), self._uptime())

    def recall(self, db: sqlite3.Connection) -> None:
        """Load the stored mark and update it, in the caller's transaction."""
        wall, now = self._wall(), self._uptime()
        self._mark = judged(read(db, wall, now), wall, now).mark
        self._note(self._mark)
        write(db, self._mark)

    async def look(self, transact: Transact) -> Believed:
        """The times to use now; stores the mark if it changed."""
        believed = self.judged()
        self._note(believed.mark)
        if believed.mark != self._mark:
            await self._keep(believed.mark, transact)
        return believed

    async def hold_back(self, transact: Transact) -> None:
        """Log once that an action waits because of the clock."""
        if self.doubted and not self._mark.holds:
            log.warning("%s", words(self._mark, self._wall(), self._uptime()))
            await self._keep(replace(self._mark, holds=True), transact)

    async def _keep(self, mark: Mark, transact: Transact) -> None:
        self._mark = mark
        await transact(lambda db, _: write(db, mark))
