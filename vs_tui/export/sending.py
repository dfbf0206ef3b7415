"""Sends to collectors and chats: one POST and the meaning of its answer, when to try again, and the
base of the exporters, a task that sends, waits and retries.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (retryable statuses, Retry-After, partial
success, endpoint paths).
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import uniform
from time import monotonic, time
from typing import Any, ClassVar, Final, NamedTuple, Protocol, TypeVar
from urllib.parse import urlsplit, urlunsplit

from aiohttp import BasicAuth, ClientError, ClientSession, ClientTimeout, DummyCookieJar

from vs_tui.config.loading import proxy_for
from vs_tui.config.model import ExportSettings
from vs_tui.model.display import clean, shown_url
from vs_tui.model.time import Instant
from vs_tui.store.export_queue import ExportState, keep_state

RETRYABLE: Final = frozenset({429, 502, 503, 504})
FIRST_DELAY: Final = 1.0
LONGEST_DELAY: Final = 60.0
_TIMEOUT: Final = ClientTimeout(total=20, connect=5)
_PORTS: Final = {"http": 80, "https": 443}
_KEPT_ANSWER: Final = 64 * 1024


class Posted(NamedTuple):
    """The outcome of one request."""

    done: bool
    """Whether the batch needs no retry: it was accepted, or rejected for good."""
    answer: bytes = b""
    error: str = ""
    """Why it was not accepted; empty if it was. Contains no URL and no header."""
    retry_after: float | None = None
    """Seconds that the collector asks to wait; None if it does not say."""


def signal_url(base: str, signal: str) -> str:
    """The URL of `traces` or `metrics` below a collector's base URL. A `/v1/...` path that the URL
    already has is replaced."""
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    for known in ("/v1/traces", "/v1/metrics"):
        path = path.removesuffix(known)
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/v1/{signal}", parts.query, ""))


def leads_to(url: str, listener: str, public: str = "") -> bool:
    """Whether a URL leads back to this receiver: to the address of `listener` (http://HOST:PORT)
    under any host name, or to its public URL. Resolves the host names if the ports are equal."""
    if public and signal_url(url, "traces") == signal_url(public, "traces"):
        return True
    target, own = urlsplit(url), urlsplit(listener)
    if (target.port or _PORTS.get(target.scheme)) != own.port:
        return False
    theirs, ours = _addresses(target.hostname), _addresses(own.hostname)
    if any(address.is_unspecified for address in ours):
        return any(map(_is_here, theirs))
    # A name of loopback may resolve to another of its addresses.
    loopback = any(a.is_loopback for a in theirs) and any(a.is_loopback for a in ours)
    return loopback or bool(theirs & ours)


def _addresses(host: str | None) -> set[IPv4Address | IPv6Address]:
    with suppress(OSError, UnicodeError, ValueError):
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return {ip_address(str(address[0]).partition("%")[0]) for *_, address in found}
    return set()


def _is_here(address: IPv4Address | IPv6Address) -> bool:
    """Whether the address belongs to this machine, tested by binding it."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    with suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as tried:
        tried.bind((str(address), 0))
        return True
    return False


def new_session() -> ClientSession:
    """A session for `send`. It keeps no cookies."""
    return ClientSession(cookie_jar=DummyCookieJar())


async def post(session: ClientSession, url: str, body: bytes, headers: Mapping[str, str]) -> Posted:
    """Send one protobuf request, compressed with gzip. Network errors are returned, not raised."""
    encoding = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
    return await send(session, url, gzip.compress(body, 1), {**encoding, **headers})


async def send(
    session: ClientSession,
    url: str,
    body: bytes,
    headers: Mapping[str, str],
    retryable: Collection[int] = RETRYABLE,
) -> Posted:
    """Post a body, through the proxy of the environment if there is one. Network errors are
    returned, not raised."""
    parts = urlsplit(url)
    auth = None
    if parts.username:
        auth = BasicAuth(parts.username, parts.password or "")
        url = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    try:
        async with session.post(
            url,
            data=body,
            headers=headers,
            auth=auth,
            proxy=proxy_for(url),
            timeout=_TIMEOUT,
            allow_redirects=False,
        ) as response:
            answer = await response.content.read(_KEPT_ANSWER)
            if 200 <= response.status < 300:
                return Posted(True, answer)
            error = f"answered {response.status}"
            if response.status in retryable:
                after = retry_after(response.headers.get("Retry-After", ""), time())
                return Posted(False, answer, error, after)
            return Posted(True, answer, error)
    except (ClientError, TimeoutError, OSError, ValueError) as error:
        return Posted(False, error=_reason(error))


def _reason(error: BaseException) -> str:
    """Why a request failed, without its URL, which may contain a password."""
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def retry_after(value: str, now: float) -> float | None:
    """Seconds of a Retry-After header (seconds or a date), at most 3600; None if it cannot be
    read."""
    value = value.strip()
    if value.isascii() and value.isdigit():
        return float(min(int(value[:9]), 3600))
    try:
        return min(max(parsedate_to_datetime(value).timestamp() - now, 0.0), 3600.0)
    except ValueError:
        return None


def delay(failures: int, asked: float | None) -> float:
    """Seconds until the next try: the collector's wish, or else doubling with jitter."""
    if asked is not None:
        return asked
    longest = min(FIRST_DELAY * 2 ** min(failures - 1, 16), LONGEST_DELAY)
    return uniform(longest / 2, longest)  # noqa: S311


log = logging.getLogger(__name__)
T = TypeVar("T")

STOP_SECONDS: Final = 2.0
"""How long a stopping receiver waits for a request being sent, and for the last push."""
LOOK_AGAIN_SECONDS: Final = 0.005
QUIET_LOOKS: Final = 3
GIVE_WAY_SECONDS: Final = 2.0
"""How long the next part of an export waits for deliveries; after that it is sent anyway."""


class Round(NamedTuple):
    """What a task does after a round."""

    pause: float | None = None
    """Seconds until the next round; None: it waits until it is woken."""
    failed: bool = False
    """Whether to try again after a delay that doubles, in place of the pause."""
    asked: float | None = None
    """Seconds that the other side asks to wait after a failure."""


class Repeated:
    """A task beside the receiver that does rounds until it is stopped."""

    def __init__(self, doing: str, do: Callable[[], Awaitable[Round]]) -> None:
        """`doing` names it in the log."""
        self._doing, self._do = doing, do
        self._stopping, self._woken = asyncio.Event(), asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=self._doing)

    def wake(self) -> None:
        """Begin the next round if the task waits to be woken."""
        self._woken.set()

    async def stop(self) -> None:
        """Stop after the current round, so that the result of a request is stored."""
        self._stopping.set()
        self._woken.set()
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=STOP_SECONDS)
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def wait(self, seconds: float) -> None:
        """Sleep for some seconds or until the task is stopped."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _run(self) -> None:
        failures = 0
        while not self.stopping:
            self._woken.clear()
            try:
                then = await self._do()
            except Exception as error:  # its text may hold a URL, which is a secret
                log.error("%s failed: %s; it is tried again", self._doing, type(error).__name__)
                then = Round(failed=True)
            failures = failures + 1 if then.failed else 0
            if then.failed:
                await self.wait(delay(failures, then.asked))
            elif then.pause is not None:
                await self.wait(then.pause)
            elif not self.stopping:
                await self._woken.wait()


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
    _session: ClientSession | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self._task = Repeated(f"sending {self.signal}", self._attempt)

    @abstractmethod
    async def _round(self, session: ClientSession) -> float | None:
        """Send everything that is due, and set or clear the state's trouble. Returns the seconds
        that the collector asks to wait, if any."""

    @abstractmethod
    def _pause(self) -> float:
        """Seconds until the next round after a successful one."""

    def start(self) -> None:
        log.info("%s are sent to %s", self.signal, shown_url(self.url))
        self._session = new_session()
        self._task.start()

    async def stop(self) -> None:
        """Stop after the current request."""
        await self._task.stop()
        if self._session is not None:
            await self._last_round(self._session)
            await self._session.close()
            self._session = None

    async def _last_round(self, session: ClientSession) -> None:
        """What a signal sends when the receiver stops."""

    @property
    def url(self) -> str:
        return signal_url(self.settings.otlp, self.signal)

    async def _attempt(self) -> Round:
        assert self._session is not None
        asked = None
        try:
            asked = await self._round(self._session)
        except sqlite3.Error as error:
            self._failed(type(error).__name__)
        except Exception:
            log.exception("sending %s failed; it is tried again", self.signal)
            self._failed("a bug, see the log")
        await self._keep_state()
        return Round(self._pause(), bool(self.state.trouble), asked)

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

    async def _give_way(self) -> None:
        """Wait until no delivery is being stored or folded, because deliveries have priority over
        the export, which can stay in the database. Between two of many deliveries the queue is
        empty for a moment, so it must be empty in several checks in a row."""
        until, quiet = monotonic() + GIVE_WAY_SECONDS, 0
        while quiet < QUIET_LOOKS and monotonic() < until and not self._task.stopping:
            await self._task.wait(LOOK_AGAIN_SECONDS)
            quiet = 0 if self.store.waiting or self.store.behind else quiet + 1

    async def _post(self, session: ClientSession, body: bytes) -> Posted:
        return await post(session, self.url, body, self.settings.headers)

    def _count(self, n: int, rejected: int, message: str) -> None:
        """Count a request's items and log the collector's reason for rejecting some. The same
        reason is not logged again: a collector without metrics rejects every push."""
        self.state.sent += n - rejected
        self.state.refused += rejected
        logged, refusal = self.state.refusal, clean(message, 300)
        if (rejected or message) and refusal != logged:
            self.state.refusal = refusal
            log.warning(
                "the collector refused %d of %d %s: %s",
                rejected,
                n,
                "spans" if self.signal == "traces" else "data points",
                refusal,
            )

    @property
    def trouble_message(self) -> str:
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


def refused(posted: Posted, n: int, response: Any, count: str) -> tuple[int, str]:
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
