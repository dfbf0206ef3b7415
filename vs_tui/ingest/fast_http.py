"""The fast path: plain webhooks are answered without aiohttp and without a task.

Nearly every webhook is one POST that arrives whole, with ordinary header lines and a small body.
This module accepts only that form. A request that is unfinished, compressed, chunked, pipelined or
doubtful in any way goes to aiohttp from its first byte, and aiohttp keeps the connection.
`webhooks` checks the requests of both paths in the same way.

Without the fast path a custom event costs the receiver 1.51 times the CPU time and a GitHub body
1.48 times (medians of three pairs of runs of wrk, 32 connections, folding not counted).
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from functools import cache, lru_cache
from http import HTTPStatus
from typing import Final, NamedTuple, Protocol

from vs_tui.ingest.http_errors import JSON_TYPE, Answer

MOST_BYTES: Final = 64 * 1024
"""Most bytes that are read at once, and so the largest request that the fast path accepts. asyncio
reads 256 KiB, for which the C library maps and unmaps memory each time: 24 of the 30 microseconds
that it takes to read a small request and to answer it."""
MOST_HEAD: Final = 8 * 1024
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


class Owner(Protocol):
    """The factory of the connections, and the settings that they need."""

    @property
    def idle_seconds(self) -> float:
        """Longest time that a connection may be idle."""

    def handler(self, path: str) -> Handler | None:
        """The handler of plain requests at this path."""

    def general(self) -> asyncio.Protocol:
        """The protocol that takes over a connection that is no longer plain."""

    def opened(self, connection: PlainConnection) -> None: ...
    def closed(self, connection: PlainConnection) -> None: ...


class PlainConnection(asyncio.Protocol):
    """A connection while all its requests are plain."""

    def __init__(self, owner: Owner) -> None:
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
        self._owner.opened(self)
        self._idle_from = self._loop.time()
        self._close_if_idle()

    def connection_lost(self, _: Exception | None) -> None:
        self._timer.cancel()
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

    def resume_writing(self) -> None:
        self._blocked = False
        self._go_on()

    def force_close(self) -> None:
        """Close it to make room for another connection."""
        self._transport.close()

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
            self._transport.close()
        else:
            self._timer = self._loop.call_later(allowed - idle, self._close_if_idle)
