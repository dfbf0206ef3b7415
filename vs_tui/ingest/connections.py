"""Connections: the plain requests on them, their number and their idle time.

Nearly every webhook is one POST that arrives whole, with ordinary header lines and a small body.
Only that form is answered here, without aiohttp and without a task. A request that is unfinished,
compressed, chunked, pipelined or doubtful in any way goes to aiohttp from its first byte, and
aiohttp keeps the connection. `webhooks` checks the requests of both paths in the same way. Without
this path a custom event costs the receiver 1.51 times the CPU time and a GitHub body 1.48 times
(medians of three pairs of runs of wrk, 32 connections, folding not counted).

aiohttp closes a connection that sends no whole request head within its keep-alive time. This module
also bounds the number of connections, so that a slowloris attack cannot use up all file
descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
import resource
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from aiohttp import web

from vs_tui.ingest.http_errors import JSON_TYPE, Answer, Refused, refusal, unavailable
from vs_tui.model.limits import Limits

log = logging.getLogger(__name__)

RESERVED_FILES: Final = 64
"""File descriptors kept for the database, logs and exports."""
MOST_BYTES: Final = 64 * 1024
"""Most bytes that are read at once, and so the largest request that the fast path accepts. asyncio
reads 256 KiB, for which the C library maps and unmaps memory each time: 24 of the 30 microseconds
that it takes to read a small request and to answer it."""
MOST_HEAD: Final = 8 * 1024
LEAST_READ: Final = 16 * 1024
"""Bytes of its answers that a peer reads within the idle time, if that many wait; about 1 KiB a
second."""
_HEAD: Final = re.compile(r"POST (/[\w./-]*) HTTP/1\.1((?:\r\n[A-Za-z0-9-]+:[ -~]*)+)", re.ASCII)
_NOT_PLAIN: Final = frozenset(
    {"content-encoding", "expect", "te", "trailer", "transfer-encoding", "upgrade"}
)
"""Headers that change how a request is read or answered."""


class Plain(NamedTuple):
    """A request that has arrived whole."""

    path: str
    headers: Mapping[str, str]
    """Lower-case names; none is repeated."""
    body: bytes
    peer: str = ""
    """The address it came from; empty if it came by no network."""


Reply = Callable[[Answer], None]
Handler = Callable[[Plain, Reply], None]


def plain_request(data: bytes, peer: str = "") -> Plain | None:
    """The request, if `data` is exactly one plain request; else None."""
    head, _, body = data.partition(b"\r\n\r\n")
    if len(data) > MOST_BYTES or len(head) > MOST_HEAD:
        return None
    match = _HEAD.fullmatch(head.decode("latin-1"))
    if match is None:
        return None
    lines = match[2].split("\r\n")[1:]
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    is_plain = (
        len(headers) == len(lines)  # no header is repeated
        and headers.get("content-length") == str(len(body))
        and headers.get("connection", "keep-alive").lower() == "keep-alive"
        and "host" in headers
        and _NOT_PLAIN.isdisjoint(headers)
    )
    return Plain(match[1], headers, body, peer) if is_plain else None


def written(answer: Answer) -> bytes:
    """The bytes of the answer, for a connection that stays open."""
    body = answer.body
    more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
    head = (
        f"{_status_line(answer.status)}\r\n"
        f"Content-Type: {JSON_TYPE}\r\nContent-Length: {len(body)}\r\n"
        f"Date: {_date(int(time.time()))}\r\n{more}\r\n"
    )
    return head.encode("latin-1", "replace") + body


@cache
def _status_line(status: int) -> str:
    return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"


@lru_cache(maxsize=1)
def _date(second: int) -> str:
    return formatdate(second, usegmt=True)


class Connections:
    """Makes the protocol of each new connection, and closes an idle one if all are in use."""

    def __init__(self, server: web.Server, limits: Limits, plain: dict[str, Handler]) -> None:
        self._server = server
        self._limits = limits
        self._plain = plain
        self._open: dict[PlainConnection | Connection, None] = {}
        self.most = min(limits.connections, max(_raise_file_limit() - RESERVED_FILES, 16))
        self.idle_seconds = limits.idle_seconds
        self.malformed = 0
        """Number of requests that were not valid HTTP; they are not logged one by one."""

    def __len__(self) -> int:
        return len(self._open)

    @property
    def busy(self) -> int:
        """Connections whose request is being handled."""
        return sum(connection.busy for connection in self._open)

    def __call__(self) -> asyncio.Protocol:
        """The factory that the listening socket calls."""
        if len(self._open) >= self.most:
            idle = next((each for each in self._open if not each.busy), None)
            if idle is None:
                return _Full()
            idle.force_close()
            self._open.pop(idle, None)
        return PlainConnection(self)

    def handler(self, path: str) -> Handler | None:
        """The handler of plain requests at this path."""
        return self._plain.get(path)

    def general(self) -> Connection:
        """The protocol that takes over a connection that is no longer plain."""
        return Connection(self, self._server, self._limits)

    def opened(self, connection: PlainConnection | Connection) -> None:
        self._open[connection] = None

    def closed(self, connection: PlainConnection | Connection) -> None:
        self._open.pop(connection, None)

    async def finish(self) -> None:
        """Answer the pending requests of plain connections and close these; aiohttp's server closes
        the others."""
        plain = [each.finish() for each in self._open if isinstance(each, PlainConnection)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._limits.stop_seconds):
                await asyncio.gather(*plain)


class _Unread:
    """Ends a connection whose peer does not read what it was answered: else whoever asks and never
    reads holds its answers in memory, and its descriptor, for ever."""

    def __init__(self, transport: asyncio.Transport, seconds: float) -> None:
        self._transport = transport
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Note that answers wait to be read."""
        left = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._seconds, self._look, left)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self, before: int) -> None:
        if self._transport.get_write_buffer_size() > before - LEAST_READ:
            self._transport.abort()
        else:
            self.begin()


class PlainConnection(asyncio.Protocol):
    """A connection while all its requests are plain."""

    def __init__(self, owner: Connections) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._early = b""
        self._blocked = False
        self._finished: asyncio.Future[None] | None = None
        self.busy = False
        """Whether one of its requests is being handled; idle connections may be closed for room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if hasattr(transport, "max_size"):
            transport.max_size = MOST_BYTES
        address = transport.get_extra_info("peername")
        self._peer = str(address[0]) if isinstance(address, tuple) else ""
        self._unread = _Unread(transport, self._owner.idle_seconds)
        self._owner.opened(self)
        self._idle_from = self._loop.time()
        self._close_if_idle()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
        self._unread.end()
        self._owner.closed(self)

    def data_received(self, data: bytes) -> None:
        if self.busy or self._blocked:
            # Sent before our answer: one piece is kept, the rest waits at the sender.
            self._early += data
            self._transport.pause_reading()
            return
        request = plain_request(data, self._peer)
        handler = None if request is None else self._owner.handler(request.path)
        if request is None or handler is None:
            self._hand_over(data)
        else:
            self.busy = True
            handler(request, self._reply)

    def pause_writing(self) -> None:
        """Stop reading requests while the sender does not read our answers."""
        self._blocked = True
        self._transport.pause_reading()
        self._unread.begin()

    def resume_writing(self) -> None:
        self._blocked = False
        self._unread.end()
        self._go_on()

    def force_close(self) -> None:
        """Close it to make room for another connection, also if answers wait to be read."""
        self._transport.abort()

    async def finish(self) -> None:
        """Answer the pending request, then close the connection."""
        if self.busy:
            self._finished = self._loop.create_future()
            await self._finished
        self._transport.close()

    def _reply(self, answer: Answer) -> None:
        self.busy = False
        self._idle_from = self._loop.time()
        if not self._transport.is_closing():
            self._transport.write(written(answer))
        if self._finished is not None and not self._finished.done():
            self._finished.set_result(None)
        elif self._early:
            self._go_on()

    def _go_on(self) -> None:
        if self.busy or self._blocked:
            return
        data, self._early = self._early, b""
        self._transport.resume_reading()
        if data:
            self.data_received(data)

    def _hand_over(self, data: bytes) -> None:
        """Give the connection to aiohttp, which keeps it."""
        self._timer.cancel()
        self._owner.closed(self)
        general = self._owner.general()
        self._transport.set_protocol(general)
        general.connection_made(self._transport)
        general.data_received(data)

    def _close_if_idle(self) -> None:
        allowed = self._owner.idle_seconds
        idle = 0.0 if self.busy else self._loop.time() - self._idle_from
        if idle >= allowed:
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(allowed - idle, self._close_if_idle)


class Connection(web.RequestHandler):
    """A connection whose requests aiohttp parses."""

    def __init__(self, owner: Connections, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            lingering_time=min(limits.read_seconds, 1.0),
            access_log=None,  # type: ignore[arg-type]
            # aiohttp accepts a body without its checksum; see `bodies`.
            auto_decompress=False,
        )
        self._owner = owner
        self.busy = False
        """Whether one of its requests is being handled; idle connections may be closed for room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._unread = _Unread(transport, self._owner.idle_seconds)
        self._owner.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.closed(self)
        super().connection_lost(exc)  # closes it by force
        self._unread.end()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread.begin()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread.end()

    def force_close(self) -> None:
        """Close it; it is not waited for ever that its answers are read."""
        super().force_close()
        self._unread.end()
        self._unread.begin()

    def close(self) -> None:
        """Close it unless a request is being handled: aiohttp would not read the rest of that
        request."""
        if not self.busy:
            super().close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes the request
    ) -> web.StreamResponse:
        """Answer a request that the HTTP parser refused. The text is constant, because the request
        may hold secrets."""
        if status >= 500:
            log.error("a request failed before its handler: %s", type(exc).__name__)
        else:
            self._owner.malformed += 1
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        refused = Refused(status, "bad_request", "this is not a valid HTTP request")
        response = refusal(refused).response
        response.force_close()
        return response

    def log_exception(self, *_: Any, **kw: Any) -> None:
        """Log the kind of the error of a broken connection, without the request. Errors that a
        sender can cause are counted, not logged."""
        error = kw.get("exc_info")
        if isinstance(error, web.RequestPayloadError | OSError):
            self._owner.malformed += 1
        else:
            log.warning("a connection failed: %s", type(error).__name__)


class _Full(asyncio.Protocol):
    """Answers 503 and closes: every connection is handling a request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(written(refusal(unavailable("too many connections; send it again"))))
            transport.close()


def _raise_file_limit() -> int:
    """Raise the limit of open files as far as the system allows, at most to 4,096. Returns the
    limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 4_096 if hard == resource.RLIM_INFINITY else min(hard, 4_096)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft  # a sandbox may forbid it; then there are fewer connections
        soft = wanted
    return wanted if soft == resource.RLIM_INFINITY else soft
