"""Which time is acted on: a clock that was set wrong must neither delete nor time out anything.

The clock is compared with the time that has passed since it was believed last. The kernel counts
that by itself, sleep included, so a quiet weekend is no wrong clock. Nobody counts while a machine
is off: then the newest delivery says what is known. A clock that says something else is believed
again when it goes on for an hour; until then timeouts count from what is known. Deleting, which
nothing undoes, waits for a day and counts from the earlier one of the two until then, as Prometheus
measures its retention from its newest block.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from vs_tui.model.time import DAY, HOUR, SECOND, Duration, Instant, format_duration, iso

if TYPE_CHECKING:
    from vs_tui.store.upkeep import Transact

log = logging.getLogger(__name__)

TOLERANCE: Final = HOUR
"""How far the clock may be from what is known."""
BELIEVED_AFTER: Final = HOUR
"""How long it goes on before it times something out: time services mend it within minutes."""
DELETES_AFTER: Final = DAY
"""And before it deletes something."""
_NAME: Final = "clock"
_NEWEST: Final = (
    "SELECT MAX(received_at) FROM (SELECT received_at FROM deliveries ORDER BY id DESC LIMIT 100) "
    "WHERE received_at <= ?"
)


class Uptime(NamedTuple):
    """What the kernel counts, whatever the clock says."""

    boot: str
    """Which start of the machine."""
    up: Duration
    """Since then, sleep included."""


def uptime() -> Uptime:
    """Now."""
    try:
        seconds = float(Path("/proc/uptime").read_bytes().split()[0])
    except (OSError, ValueError, IndexError):
        # Elsewhere than on Linux: it begins anew with each process.
        return Uptime(_boot(), time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000)
    return Uptime(_boot(), round(seconds * SECOND))


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return f"process {time.time_ns()}"


@dataclass(frozen=True, slots=True)
class Mark:
    """When the clock was believed last, and what it says otherwise since. Kept in `meta`."""

    wall: Instant
    """What it said then, or what is known to have been reached."""
    boot: str
    up: Duration
    doubted: Duration | None = None
    """The uptime when it began to say something else."""
    ahead: Duration = 0
    """By how much; below 0 behind."""
    holds: bool = False
    """Whether something is not done because of that."""


class Believed(NamedTuple):
    """What the clock is good for at a moment."""

    mark: Mark
    timing: Instant
    """What timeouts count from."""
    deleting: Instant
    """What retention counts from."""


def judged(mark: Mark, wall: Instant, now: Uptime) -> Believed:
    """How far a clock is believed that says `wall`; the mark is what is to be kept."""
    other = mark.boot != now.boot or now.up < mark.up
    if other:
        # Of the time in which the machine was off nothing is known.
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
    return Believed(mark, wall if since >= BELIEVED_AFTER else expected, min(wall, expected))


def read(db: sqlite3.Connection, wall: Instant, now: Uptime) -> Mark:
    """The mark that a database holds; a new one where it holds none."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    newest = db.execute(_NEWEST, (wall + TOLERANCE,)).fetchone()[0]
    if row is None:
        # Nothing is known of the time since the newest delivery; of an empty database nothing.
        return Mark(wall, *now) if newest is None else Mark(newest, "", 0)
    mark = Mark(**orjson.loads(row[0]))
    if mark.boot == now.boot or mark.doubted is not None:
        return mark
    return replace(mark, wall=max(mark.wall, newest or 0))


def write(db: sqlite3.Connection, mark: Mark) -> None:
    """The caller's transaction."""
    db.execute("REPLACE INTO meta VALUES (?, ?)", (_NAME, orjson.dumps(mark).decode()))


def deleting(db: sqlite3.Connection, wall: Instant) -> Instant:
    """What ages count from where a person says what to delete: the clock, unless it is known to be
    ahead."""
    now = uptime()
    mark = read(db, wall, now)
    return judged(mark, wall, now).deleting if mark.boot == now.boot else wall


def trouble(db: sqlite3.Connection, wall: Instant) -> str:
    """What is not done because of the clock, in words; empty when nothing is held back."""
    row = db.execute("SELECT value FROM meta WHERE name = ?", (_NAME,)).fetchone()
    if row is None or not Mark(**orjson.loads(row[0])).holds:
        return ""
    now = uptime()
    return words(judged(read(db, wall, now), wall, now).mark, wall, now)


def words(mark: Mark, wall: Instant, now: Uptime) -> str:
    """What is wrong, what waits, and until when; empty for a clock that is believed."""
    if mark.doubted is None:
        return ""
    since = now.up - mark.doubted
    waiting = [
        f"{what} until {iso((wall + after - since) // SECOND * SECOND)}"
        for what, after in (("timeouts", BELIEVED_AFTER), ("retention", DELETES_AFTER))
        if since < after
    ]
    far = format_duration(abs(mark.ahead)).strip()
    return (
        f"the clock is {far} {'ahead' if mark.ahead > 0 else 'behind'}: "
        f"{' and '.join(waiting)} wait for it to be set right (timedatectl)"
    )


class Watch:
    """The clock of a process that may delete and time out."""

    def __init__(self, wall: Callable[[], Instant], uptime: Callable[[], Uptime]) -> None:
        self._wall = wall
        self._uptime = uptime
        self._mark = Mark(wall(), *uptime())

    @property
    def doubted(self) -> bool:
        return self._mark.doubted is not None

    def judged(self) -> Believed:
        """How far the clock is believed now."""
        return judged(self._mark, self._wall(), self._uptime())

    def recall(self, db: sqlite3.Connection) -> None:
        """Take up what is known from before. The caller's transaction."""
        wall, now = self._wall(), self._uptime()
        self._mark = judged(read(db, wall, now), wall, now).mark
        write(db, self._mark)

    async def look(self, transact: Transact) -> Believed:
        """As `judged`, and keep what is new."""
        believed = self.judged()
        if believed.mark != self._mark:
            await self._keep(believed.mark, transact)
        return believed

    async def hold_back(self, transact: Transact) -> None:
        """Say once that something is not done because of the clock."""
        if self.doubted and not self._mark.holds:
            log.warning("%s", words(self._mark, self._wall(), self._uptime()))
            await self._keep(replace(self._mark, holds=True), transact)

    async def _keep(self, mark: Mark, transact: Transact) -> None:
        self._mark = mark
        await transact(lambda db, _: write(db, mark))
