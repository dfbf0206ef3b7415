"""Follows the change feed: repaints the current screen after commits, and announces the end of
watched spans."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from vs_tui.model.display import clean
from vs_tui.model.time import MINUTE, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.tui import header
from vs_tui.tui.session import Session

if TYPE_CHECKING:
    from vs_tui.store.queries.reader_protocol import Health

_log = logging.getLogger(__name__)

POLL_SECONDS: Final = 0.15
QUIET_POLL_SECONDS: Final = 0.5
TOLD_POLL_SECONDS: Final = 2.0
"""Longest poll interval beside a receiver in the same process, which wakes the feed."""
BLURRED_POLL_SECONDS: Final = 5.0
BEHIND_POLL_SECONDS: Final = 1.0
"""Interval while folding is behind: what is read is old already, and reading takes time from
folding: a tenth of the CPU time after a burst of custom events (medians of paired runs)."""
_UPGRADED: Final = "the files of vs-tui changed while it runs: quit and start it again"
LOOK_SECONDS: Final = 2.0
"""Seconds between checks of the store's health; it may be the reason why nothing is committed."""


class Watching:
    """Watches spans until the dashboard ends, also while the screen is frozen."""

    def __init__(self, app: Session) -> None:
        self._app = app
        self.names: dict[str, str] = {}
        """Key -> name of each watched span."""

    def toggle(self, span: Span) -> None:
        """Watch a span, or stop watching it."""
        if span.key in self.names:
            del self.names[span.key]
            self._app.notify_text(f"not watching {span.name} any more")
        elif not span.in_flight:
            self._app.notify_text(f"{span.name} has ended already")
        else:
            self.names[span.key] = span.name
            self._app.notify_text(f"watching {span.name}: toast and bell when it ends")

    async def check(self, changed: Sequence[str]) -> None:
        """Announce the watched spans among the changed ones that have ended."""
        for key in [key for key in self.names if key in changed]:
            span = await self._app.reader.span(key)
            if span is not None and not span.in_flight:
                name = self.names.pop(key)
                severity = "error" if span.status.failed else "information"
                self._app.notify_text(f"{name}: {span.status.value}", severity)
                self._app.bell()
                self._app.output.run_watch_command(span, self._app.setup.watch_command)


class Feed:
    """Repaints at most once per 150 ms, however fast events come, and less often without the focus
    or while folding is behind."""

    def __init__(self, app: Session, watching: Watching) -> None:
        self._app = app
        self._watching = watching
        self.seq = 0
        """Number of the last change on screen."""
        self.shown = asyncio.Event()
        """Set once the first rows are shown."""
        self.resting = False
        """Whether all that the last look met is read and painted."""
        self._minute = 0
        """Minute of the last look. At the next one, rows fall silent or leave the list."""
        self._dirty = asyncio.Event()
        self._told = app.setup.after_paint is not None
        self._looked = 0.0
        self._compared = -1
        """Number of the change at the last comparison of clocks."""
        self._compared_at: Instant = 0

    def wake(self) -> None:
        """Look for changes now: something was committed, or the window has the focus again."""
        self._dirty.set()

    async def run(self) -> None:
        """Follow the feed until the app ends."""
        quiet = POLL_SECONDS
        while True:
            wait = BLURRED_POLL_SECONDS if self._app.blurred else quiet
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._dirty.wait()
            if self._app.behind:
                await asyncio.sleep(POLL_SECONDS)
                continue
            self._dirty.clear()
            before = self.seq
            await self._turn()
            # A receiver in this process wakes the feed; a quiet file needs few polls.
            longest = TOLD_POLL_SECONDS if self._told else QUIET_POLL_SECONDS
            if self.seq != before:
                quiet = POLL_SECONDS
                is_behind = header.is_behind(self._app)
                await asyncio.sleep(BEHIND_POLL_SECONDS if is_behind else POLL_SECONDS)
            else:
                quiet = min(1.5 * quiet, longest)

    async def _turn(self) -> None:
        app, self.resting = self._app, False
        try:
            await self._follow()
            if app.unreadable:
                app.unreadable = ""
                await self.read_status()
                app.reload_view()
            await self._look_around()
        except Exception as error:
            # After any error of the reader the dashboard goes on and tries again.
            if not app.unreadable:
                _log.exception("what is stored cannot be read")
            told = _UPGRADED if isinstance(error, ImportError) else str(error)
            app.unreadable = clean(told, 300) or type(error).__name__
            app.paint_frame()
        self.resting = True

    async def _look_around(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            app = self._app
            before = list(header.concerns(app))
            health = await self._read_health()
            await self._compare(health)
            if before != list(header.concerns(app)):
                app.paint_frame()

    async def _follow(self) -> None:
        app = self._app
        changes = await app.reader.changes(self.seq)
        minute, before = app.setup.clock() // MINUTE, self._minute
        self._minute = minute
        if not self._app.begun:
            await self._begin(changes.seq)
            return
        if changes.seq == self.seq:
            if minute != before and app.frozen_at is None:
                await self.reread()
            return
        self.seq = changes.seq
        if app.frozen_at is not None:
            app.pending += max(len(changes.keys), 1)
            await self._read_health()
            app.paint_frame()
            await self._watching.check(changes.keys)
        else:
            await self._watching.check(changes.keys)
            await self.reread()

    async def reread(self) -> None:
        """Read the header's data and the view."""
        await self.read_status()
        if (view := self._app.shown) is not None:
            await view.reload()

    async def _begin(self, seq: int) -> None:
        """First read: rows first, because users wait for them; then the header's counts."""
        app = self._app
        read = None
        while (view := app.shown) is not None and view is not read:
            # Another view may have been opened meanwhile; read it too.
            read = view
            await view.reload()
        self.seq, app.begun = seq, True
        self.shown.set()
        await self.read_status()
        app.paint_frame()

    async def read_status(self) -> None:
        """Read the data of the header and the banners."""
        app = self._app
        app.health = await app.reader.sources()
        if not app.by_trace or app.totals is None:  # else the header shows the totals of traces
            counts = await app.reader.counts()
            app.in_flight, app.failed = counts.in_flight, counts.failed
        view = app.shown
        if app.by_trace and app.frozen_at is None and (view is None or view.tab != "live"):
            # Live reads all traces itself, and so their counts.
            app.totals = (await app.reader.board()).everything
        await self._compare(await self._read_health())

    async def _read_health(self) -> Health:
        app = self._app
        health = await app.reader.health()
        app.trouble, app.lag, app.unfolded = health.trouble, health.lag, health.behind
        app.waits_for_clock = health.clock
        app.export_trouble = health.export_trouble
        return health

    async def _compare(self, health: Health) -> None:
        """Compare the clocks and read the teams, at most once per `LOOK_EVERY`. The last change is
        compared too, even if none follows it."""
        app, now = self._app, self._app.setup.clock()
        if self._compared == self.seq or abs(now - self._compared_at) < header.LOOK_EVERY:
            return
        self._compared, self._compared_at = self.seq, now
        app.teams = await app.reader.teams()
        newest = await app.reader.spans("", limit=1)
        app.clock_trouble = header.clock_trouble(
            now,
            app.health,
            next(iter(newest.items), None),
            health.clock_ahead,
        )
