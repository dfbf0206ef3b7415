"""Follows the change feed: what was committed becomes a repaint of the current screen."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

from vs_tui.domain.display import clean

if TYPE_CHECKING:
    from vs_tui.tui.app import VsTuiApp

POLL_SECONDS: Final = 0.15
BLURRED_POLL_SECONDS: Final = 5.0


class Feed:
    """At most a repaint every 150 ms, however fast events come; slower behind other windows."""

    def __init__(self, app: VsTuiApp) -> None:
        self._app = app
        self.seq = 0
        """Of the change feed, as far as it is on screen."""
        self._dirty = asyncio.Event()

    def wake(self) -> None:
        """Something was committed, or the window has the focus again."""
        self._dirty.set()

    async def run(self) -> None:
        """Until the app ends."""
        while True:
            wait = BLURRED_POLL_SECONDS if self._app.blurred else POLL_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self._dirty.wait()
            self._dirty.clear()
            try:
                await self._follow()
            except Exception as error:
                # Whatever the reader met, the dashboard goes on and tries again.
                self._app.trouble = f"cannot read: {clean(str(error), 200)}"
                self._app.paint_frame()
            await asyncio.sleep(POLL_SECONDS)

    async def _follow(self) -> None:
        app = self._app
        changes = await app.reader.changes(self.seq)
        if changes.seq == self.seq:
            return
        first, self.seq = self.seq == 0, changes.seq
        if app.frozen_at is not None:
            if first:
                await self.read_status()
            else:
                app.pending += max(len(changes.keys), 1)
            app.trouble = (await app.reader.health()).trouble
            app.paint_frame()
        else:
            await self.read_status()
        await app.watching.check(changes.keys)
        if app.frozen_at is None and (view := app.view) is not None:
            await view.reload()

    async def read_status(self) -> None:
        """What the header and the banners show."""
        app = self._app
        app.health = await app.reader.sources()
        app.teams = await app.reader.teams()
        counts = await app.reader.counts()
        app.in_flight, app.failed = counts.in_flight, counts.failed
        app.trouble = (await app.reader.health()).trouble
