"""Sends notices to people and tools, by `[[notify]]`: one task finds events, another checks traces
and teams, and one task per target sends.

The receiver never waits for a target. Unsent notices wait in the database for at most a day. A
target gets at most one message in 10 seconds, with all notices since the last one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import ClientSession

from vs_tui.config.model import NotifyRule
from vs_tui.export import notices, sending
from vs_tui.export.notices import POSTED, Notice, command_of
from vs_tui.export.sending import Read, Store
from vs_tui.model.display import clean
from vs_tui.model.time import Instant

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
BOARD_SECONDS: Final = 60.0
"""Seconds between two checks of the board for waiting traces."""
TEAMS_SECONDS: Final = 3600.0
"""Seconds between two checks of the teams' metrics."""
BETWEEN_SECONDS: Final = 10.0
"""Fewest seconds between two messages to a target."""
AT_ONCE: Final = 10
"""Most notices in a message; for the rest it gives only their number."""
COMMAND_SECONDS: Final = 15.0
STOP_SECONDS: Final = 2.0
"""How long a stopping receiver waits for messages being sent."""
READ_AT_ONCE: Final = 2_000
RETRYABLE: Final = sending.RETRYABLE | {500}

Find = Callable[[NotifyRule], Awaitable[Sequence[Notice]]]


@dataclass
class Notifier:
    """The tasks that find and send notices, beside the receiver. `waiting` and `of_teams` find the
    notices that are not in the change feed."""

    rules: Sequence[NotifyRule]
    read: Read
    store: Store
    clock: Callable[[], Instant]
    waiting: Find
    of_teams: Find
    _tasks: list[asyncio.Task[None]] = field(default_factory=list, init=False)
    _in_flight: set[asyncio.Future[sending.Posted]] = field(default_factory=set, init=False)
    _wake: dict[str, asyncio.Event] = field(default_factory=dict, init=False)

    def start(self) -> None:
        self._session = sending.new_session()
        targets = {rule.target: rule for rule in self.rules}
        self._wake = {target: asyncio.Event() for target in targets}
        for name, run in (("news", self._queue_news), ("standing", self._queue_standing)):
            self._begin(name, run())
        for target, rule in targets.items():
            self._begin(target, self._deliver(rule))

    def _begin(self, name: str, run: Any) -> None:
        self._tasks.append(asyncio.create_task(run, name=f"notify {name}"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=STOP_SECONDS)
        await self._session.close()

    async def _queue_news(self) -> None:
        """Queue notices for events in the change feed."""
        position: int | None = None
        while True:
            with _logged("looking for news"):
                if position is None:
                    position = await self.read(notices.read_position)
                    await self._keep((), position)
                more = True
                while more:
                    ask = partial(
                        notices.read_news,
                        after=position,
                        rules=self.rules,
                        now=self.clock(),
                        limit=READ_AT_ONCE,
                    )
                    found, read_to, more = await self.read(ask)
                    if found or read_to - position > READ_AT_ONCE:
                        await self._keep(found, read_to)
                    position = read_to
            await asyncio.sleep(LOOK_SECONDS)

    async def _queue_standing(self) -> None:
        """Queue notices for waiting traces, regressions and missed goals."""
        looked = 0.0
        while True:
            with _logged("looking who waits"):
                found = [
                    notice
                    for rule in self.rules
                    if "waiting" in rule.on
                    for notice in await self.waiting(rule)
                ]
                if looked <= 0:
                    looked = TEAMS_SECONDS
                    for rule in self.rules:
                        if {"regressed", "goal_missed"} & set(rule.on):
                            found += await self.of_teams(rule)
                    await self.store.transaction(lambda db, _: notices.forget_old(db, self.clock()))
                if found:
                    await self._keep(found)
            looked -= BOARD_SECONDS
            await asyncio.sleep(BOARD_SECONDS)

    async def _keep(self, found: Sequence[Notice], position: int | None = None) -> None:
        now = self.clock()
        await self.store.transaction(lambda db, _: notices.keep_notices(db, found, now, position))
        for target in {notice.target for notice in found}:
            self._wake[target].set()

    async def _deliver(self, rule: NotifyRule) -> None:
        """Send the queued notices of one target, one message at a time."""
        target, failures = rule.target, 0
        while True:
            pause = BETWEEN_SECONDS
            with _logged("telling"):
                ask = partial(notices.waiting, target=target, limit=AT_ONCE)
                found, n = await self.read(ask)
                if not found:
                    failures = 0
                    self._wake[target].clear()
                    await self._wake[target].wait()
                    continue
                # Shielded so that a sent message is recorded even while the receiver stops.
                message = asyncio.ensure_future(self._send_message(rule, found, n))
                self._in_flight.add(message)
                message.add_done_callback(self._in_flight.discard)
                posted = await asyncio.shield(message)
                failures = 0 if posted.done else failures + 1
                if failures:
                    pause = sending.delay(failures, posted.retry_after)
            await asyncio.sleep(pause)

    async def _send_message(
        self, rule: NotifyRule, found: Sequence[tuple[int, dict[str, Any]]], n: int
    ) -> sending.Posted:
        """Send one message with these notices; `n` is the number of all queued ones."""
        last = (
            found[-1][0]
            if n <= AT_ONCE
            else await self.read(partial(notices.newest, target=rule.target))
        )
        posted = await _send(self._session, rule, [body for _, body in found], n - len(found))
        if posted.done:
            await self.store.transaction(lambda db, _: notices.forget_sent(db, rule.target, last))
        return posted


class _logged(suppress):
    """Logs an exception and suppresses it; the next round tries again."""

    def __init__(self, doing: str) -> None:
        super().__init__(Exception)
        self._doing = doing

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if isinstance(error, Exception):
            log.error("%s failed: %s; it is tried again", self._doing, type(error).__name__)
        return bool(super().__exit__(kind, error, trace))


async def _send(
    session: ClientSession, rule: NotifyRule, bodies: Sequence[dict[str, Any]], more: int
) -> sending.Posted:
    """Send one message. A message that is rejected for good is logged and dropped."""
    if rule.format in POSTED:
        body = POSTED[rule.format](bodies, more)
        headers = {"Content-Type": "application/json", **rule.headers}
        posted = await sending.send(session, rule.url, body, headers, RETRYABLE)
        target = urlsplit(rule.url).hostname or ""
    else:
        posted = await _run(command_of(rule.command, bodies, more))
        target = rule.command[0] if rule.command else "the desktop"
    if posted.error:
        again = "it is dropped" if posted.done else "it is tried again"
        log.warning(
            "a notice to %s (%s) %s; %s", clean(target, 100), rule.format, posted.error, again
        )
    return posted


async def _run(command: Sequence[str]) -> sending.Posted:
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except (OSError, ValueError) as error:
        return sending.Posted(True, error=f"could not be run: {type(error).__name__}")
    try:
        async with asyncio.timeout(COMMAND_SECONDS):
            code = await process.wait()
    except TimeoutError:
        code = -1
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return sending.Posted(True, error=f"ended with {code}" if code else "")
