"""Base of the trace and metric exporters: a task that sends, waits and retries."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any, ClassVar, Final, Protocol, TypeVar

from aiohttp import ClientSession, DummyCookieJar

from vs_tui.export import http_post
from vs_tui.model.display import clean, shown_url
from vs_tui.model.settings import ExportSettings
from vs_tui.model.time import Instant
from vs_tui.store.export_queue import ExportState, keep_state

log = logging.getLogger(__name__)
T = TypeVar("T")

STOP_SECONDS: Final = 2.0
"""How long a stopping receiver waits for a request being sent, and for the last push."""
LOOK_AGAIN_SECONDS: Final = 0.005
QUIET_LOOKS: Final = 3
GIVE_WAY_SECONDS: Final = 2.0
"""How long the next part of an export waits for deliveries; after that it is sent anyway."""

Read = Callable[[Callable[[sqlite3.Connection], Any]], Awaitable[Any]]


class Store(Protocol):
    """The part of the writer that an exporter uses."""

    async def transaction(self, work: Callable[[sqlite3.Connection, Any], T]) -> T: ...

    @property
    def waiting(self) -> int: ...

    @property
    def behind(self) -> int: ...


@dataclass
class OtlpExporter(ABC):
    """Sends one signal to a collector, in a task beside the receiver."""

    signal: ClassVar[str]
    """`traces` or `metrics`."""

    settings: ExportSettings
    read: Read
    store: Store
    clock: Callable[[], Instant]
    state: ExportState = field(default_factory=ExportState)
    _kept: ExportState = field(default_factory=ExportState, init=False)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _task: asyncio.Task[None] | None = field(default=None, init=False)

    @abstractmethod
    async def _begin(self) -> None:
        """Called once before the first round."""

    @abstractmethod
    async def _round(self, session: ClientSession) -> float | None:
        """Send everything that is due, and set or clear the state's trouble. Returns the seconds
        that the collector asks to wait, if any."""

    @abstractmethod
    def _pause(self) -> float:
        """Seconds until the next round after a successful one."""

    def start(self) -> None:
        self._stopping.clear()
        self._task = asyncio.create_task(self._run(), name=f"otlp {self.signal}")

    async def stop(self) -> None:
        """Stop after the current request, so that its result is stored."""
        if self._task is not None:
            self._stopping.set()
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def _session(self) -> ClientSession:
        return ClientSession(cookie_jar=DummyCookieJar())

    @property
    def url(self) -> str:
        return http_post.signal_url(self.settings.otlp, self.signal)

    async def _run(self) -> None:
        log.info("%s are sent to %s", self.signal, shown_url(self.url, parameters=()))
        await self._begin()
        failures = 0
        async with self._session() as session:
            while not self._stopping.is_set():
                asked = None
                try:
                    asked = await self._round(session)
                except sqlite3.Error as error:
                    self._failed(type(error).__name__)
                except Exception:
                    log.exception("sending %s failed; it is tried again", self.signal)
                    self._failed("a bug, see the log")
                await self._keep_state()
                if self.state.trouble:
                    failures += 1
                    await self._wait(http_post.delay(failures, asked))
                else:
                    failures = 0
                    await self._wait(self._pause())

    async def _keep_state(self) -> None:
        """Store the state for doctor if it changed."""
        shown = replace(self.state, waiting=0)
        if shown == self._kept:
            return
        with suppress(Exception):  # the database is in trouble: that is shown elsewhere
            await self.store.transaction(
                lambda db, _: keep_state(db, self.signal, replace(self.state))
            )
            self._kept = shown

    async def _wait(self, seconds: float) -> None:
        """Sleep for some seconds or until the exporter is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _give_way(self) -> None:
        """Wait until no delivery is being stored or folded, because deliveries have priority over
        the export, which can stay in the database. Between two of many deliveries the queue is
        empty for a moment, so it must be empty in several checks in a row."""
        until, quiet = monotonic() + GIVE_WAY_SECONDS, 0
        while quiet < QUIET_LOOKS and monotonic() < until and not self._stopping.is_set():
            await self._wait(LOOK_AGAIN_SECONDS)
            quiet = 0 if self.store.waiting or self.store.behind else quiet + 1

    async def _post(self, session: ClientSession, body: bytes) -> http_post.Posted:
        return await http_post.post(session, self.url, body, self.settings.headers)

    def _count(self, n: int, rejected: int, message: str) -> None:
        """Count a request's items and log the collector's reason for rejecting some. The same
        reason is not logged again: a collector without metrics rejects every push."""
        self.state.sent += n - rejected
        self.state.refused += rejected
        told, refusal = self.state.refusal, clean(message, 300)
        if (rejected or message) and refusal != told:
            self.state.refusal = refusal
            log.warning(
                "the collector refused %d of %d %s: %s",
                rejected,
                n,
                "spans" if self.signal == "traces" else "data points",
                refusal,
            )

    @property
    def told(self) -> str:
        """A message for the user if the collector does not accept data; empty if it does."""
        if not self.state.trouble:
            return ""
        return f"the OTLP collector {self.state.trouble}: {self.signal} wait here until it is back"

    def _failed(self, error: str) -> None:
        if not self.state.trouble:
            self.state.trouble_since = self.clock()
            log.warning(
                "the collector %s; %s wait in the database until it is back", error, self.signal
            )
        self.state.trouble = error

    def _recovered(self) -> None:
        if self.state.trouble:
            log.info("the collector takes %s again", self.signal)
        self.state.trouble, self.state.trouble_since = "", None


def refused(posted: http_post.Posted, n: int, response: Any, count: str) -> tuple[int, str]:
    """(number of rejected items, the collector's message) of a finished request. `response` is an
    empty message of the answer's type, `count` its field with the number of rejected items."""
    if posted.error:
        return n, posted.error
    from google.protobuf.message import DecodeError

    try:
        response.ParseFromString(posted.answer)
    except DecodeError:
        return 0, ""  # a 2xx with another body, such as JSON or nothing, accepts all
    partial = response.partial_success
    return min(max(getattr(partial, count), 0), n), partial.error_message
