"""The dashboard on a stage: started on a fake reader, driven by keys, read as text."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import textual.app
import textual.pilot
from textual.pilot import Pilot
from textual.worker import WorkerCancelled

from tests.patience import PATIENCE
from tests.tui.fakes import Clock, FakeReader, busy_reader, cards
from vs_tui.metrics.cards import Card
from vs_tui.tui import session
from vs_tui.tui.app import Setup, VsTuiApp
from vs_tui.tui.output import screen_text

WIDE = (120, 40)
NARROW = (80, 24)


async def some_cards(*_: object) -> Sequence[Card]:
    """The fake's cards, whatever is asked."""
    return cards()


TESTED: dict[str, list[str]] = {}
"""Action id -> names of the tests that press its key."""

Test = TypeVar("Test", bound=Callable[..., Any])


def does(*ids: str) -> Callable[[Test], Test]:
    """Says which actions a test is about; `test_every_action_has_a_test` counts them."""

    def note(test: Test) -> Test:
        for action_id in ids:
            TESTED.setdefault(action_id, []).append(test.__name__)
        return test

    return note


async def quiet(*_: object) -> None:
    """Return as soon as no task of the loop is ready to run.

    Textual's own waits send a message through every widget and sleep 20 ms at a time, several times
    a key, and take a busy machine for a busy dashboard. Here a task that waits for time, a thread
    or a socket is idle.
    """
    loop: Any = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    await asyncio.sleep(0)
    while loop._ready and loop.time() < deadline:
        await asyncio.sleep(0)


textual.app.wait_for_idle = textual.pilot.wait_for_idle = quiet
Pilot._wait_for_screen = quiet
session.NOTICE_SECONDS = PATIENCE  # a notice is read before it goes


class Stage:
    """A running dashboard."""

    def __init__(self, app: VsTuiApp, pilot: Pilot[int], reader: FakeReader, clock: Clock) -> None:
        self.app = app
        self.pilot = pilot
        self.reader = reader
        self.clock = clock

    @property
    def text(self) -> str:
        """What is on screen, right-trimmed lines."""
        return screen_text(self.app)

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    @property
    def list(self) -> Any:
        """The list of the current screen."""
        return self.app.screen.list  # type: ignore[attr-defined]

    async def press(self, *keys: str) -> None:
        """Press keys and wait until the screen has settled."""
        for key in keys:
            await self.pilot.press(key)
        await self.settle()

    async def settle(self) -> None:
        """Wait until no worker reads and no message waits, three times in a row: what was read
        may start another read."""
        async with asyncio.timeout(PATIENCE):
            idle = 0
            while idle < 3:
                await self.pilot.pause()
                busy = [w for w in self.app.workers if w.group != "pump" and not w.is_finished]
                idle = 0 if busy else idle + 1
                if busy:
                    with suppress(WorkerCancelled):  # a later read takes its place
                        await self.app.workers.wait_for_complete(busy)

    async def until(self, condition: Callable[[], bool], what: str = "") -> None:
        """Wait until something is so; the text of the screen says what was there instead."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not condition():
                    await self.pilot.pause(0.01)
        except TimeoutError:
            raise AssertionError(f"never came: {what}\n{self.text}") from None

    async def sees(self, *words: str) -> None:
        """Wait until all words are on the screen."""
        await self.until(lambda: all(word in self.text for word in words), repr(words))

    async def no_longer_sees(self, *words: str) -> None:
        """Wait until none of the words is on the screen."""
        await self.until(lambda: not any(word in self.text for word in words), f"gone: {words!r}")


@asynccontextmanager
async def stage(
    reader: FakeReader | None = None,
    *,
    size: tuple[int, int] = WIDE,
    remember_to: str = "",
    **options: Any,
) -> AsyncIterator[Stage]:
    """A dashboard at the world's NOW, in UTC, with the first screen read."""
    reader = reader if reader is not None else busy_reader()
    settings: dict[str, Any] = {
        "cards": some_cards,
        "theme": "dark",
        "zone": "UTC",
        "by_trace": False,
        "url": "http://127.0.0.1:8787",
        "state_path": remember_to,
    }
    settings.update(options)
    app = VsTuiApp(Setup(reader=reader, clock=reader.clock, **settings))
    async with app.run_test(size=size, notifications=True) as pilot:
        on = Stage(app, pilot, reader, reader.clock)
        await on.until(lambda: app.view is not None and app.begun, "the first read")
        await on.settle()
        yield on
