"""Sends notices to people and tools, by `[[notify]]`: one task finds events, another checks traces
and teams, and one task per target sends.

The receiver never waits for a target. Unsent notices wait in the database for at most a day. A
target gets at most one message in 10 seconds, with all notices since the last one. Nodes of a
shared log find the same notices; the one that claims a notice in the log's database sends it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

from aiohttp import ClientSession

from vs_tui.config.model import NotifyRule
from vs_tui.export import notices, sending
from vs_tui.export.notices import POSTED, Notice, command_of
from vs_tui.export.sending import Read, Repeated, Round, Store
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
READ_AT_ONCE: Final = 2_000
RETRYABLE: Final = sending.RETRYABLE | {500}

Find = Callable[[NotifyRule], Awaitable[Sequence[Notice]]]


class NoticeStore(Store, Protocol):
    """The part of the writer that the notifier uses."""

    async def claim_notices(self, hashes: Sequence[int]) -> tuple[set[int], set[int]]:
        """(notices that this node may send now, notices that a node has sent)."""

    async def settle_notices(self, hashes: Sequence[int], *, sent: bool) -> None:
        """End the claims: no node sends these notices again, or any node may try now."""


@dataclass
class Notifier:
    """The tasks that find and send notices, beside the receiver. `waiting` and `of_teams` find the
    notices that are not in the change feed."""

    rules: Sequence[NotifyRule]
    read: Read
    store: NoticeStore
    clock: Callable[[], Instant]
    waiting: Find
    of_teams: Find
    _finding: Sequence[Repeated] = field(default=(), init=False)
    _sending: dict[str, Repeated] = field(default_factory=dict, init=False)
    """Target -> the task that sends to it."""
    _unsettled: set[int] = field(default_factory=set, init=False)
    """Notices that were sent although their claims could not be ended."""
    _position: int | None = field(default=None, init=False)
    """Number of the last change that was read."""
    _teams_due: float = field(default=0.0, init=False)
    """Seconds until the teams' metrics are checked."""

    def start(self) -> None:
        self._session = sending.new_session()
        self._sending = {
            target: Repeated("telling", partial(self._send_waiting, rule))
            for target, rule in {rule.target: rule for rule in self.rules}.items()
        }
        self._finding = (
            Repeated("looking for news", self._queue_news),
            Repeated("looking who waits", self._queue_standing),
        )
        for task in (*self._finding, *self._sending.values()):
            task.start()

    async def stop(self) -> None:
        """Stop after the messages that are being sent."""
        await asyncio.gather(*(task.stop() for task in (*self._finding, *self._sending.values())))
        await self._session.close()

    async def _queue_news(self) -> Round:
        """Queue notices for events in the change feed."""
        if self._position is None:
            position = await self.read(notices.read_position)
            await self._keep((), position)
            self._position = position
        more = True
        while more:
            ask = partial(
                notices.read_news,
                after=self._position,
                rules=self.rules,
                now=self.clock(),
                limit=READ_AT_ONCE,
            )
            found, read_to, more = await self.read(ask)
            if found or read_to - self._position > READ_AT_ONCE:
                await self._keep(found, read_to)
            self._position = read_to
        return Round(LOOK_SECONDS)

    async def _queue_standing(self) -> Round:
        """Queue notices for waiting traces, regressions and missed goals."""
        found: list[Notice] = []
        for rule in self.rules:
            if "waiting" in rule.on:
                found += await self.waiting(rule)
        if self._teams_due <= 0:
            self._teams_due = TEAMS_SECONDS
            for rule in self.rules:
                if {"regressed", "goal_missed"} & set(rule.on):
                    found += await self.of_teams(rule)
            await self.store.transaction(lambda db, _: notices.forget_old(db, self.clock()))
        if found:
            await self._keep(found)
        self._teams_due -= BOARD_SECONDS
        return Round(BOARD_SECONDS)

    async def _keep(self, found: Sequence[Notice], position: int | None = None) -> None:
        now = self.clock()
        await self.store.transaction(lambda db, _: notices.keep_notices(db, found, now, position))
        for target in {notice.target for notice in found}:
            self._sending[target].wake()

    async def _send_waiting(self, rule: NotifyRule) -> Round:
        """Send the waiting notices of one target that no other node sends, in one message."""
        waiting: dict[int, int] = await self.read(partial(notices.waiting, target=rule.target))
        if not waiting:
            return Round()
        claimed, sent = await self.store.claim_notices(list(waiting.values()))
        if again := claimed & self._unsettled:
            await self._settle(again, sent=True)
        own = [id_ for id_, notice in waiting.items() if notice in claimed - again]
        over = [id_ for id_, notice in waiting.items() if notice in sent | again]
        posted = sending.Posted(True)
        if own:
            shown = await self.read(partial(notices.bodies, ids=own[:AT_ONCE]))
            posted = await _send(self._session, rule, shown, len(own) - len(shown))
            over += own if posted.done else []
            await self._settle({waiting[id_] for id_ in own}, sent=posted.done)
        if over:
            await self.store.transaction(lambda db, _: notices.forget_sent(db, over))
        return Round(BETWEEN_SECONDS, not posted.done, posted.retry_after)

    async def _settle(self, hashes: set[int], *, sent: bool) -> None:
        self._unsettled |= hashes if sent else set()
        await self.store.settle_notices(list(hashes), sent=sent)
        self._unsettled -= hashes


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
