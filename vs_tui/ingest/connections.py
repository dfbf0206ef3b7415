"""Connections: their number, their idle time, and the answer to a malformed request.

aiohttp closes a connection that sends no whole request head within its keep-alive time. This module
also bounds the number of connections, so that a slowloris attack cannot use up all file
descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import resource
from typing import Any, Final

import orjson
from aiohttp import web

from vs_tui.ingest.fast_http import Handler, PlainConnection
from vs_tui.ingest.http_errors import Refused, error_body, refusal, unavailable
from vs_tui.model.limits import Limits

log = logging.getLogger(__name__)

RESERVED_FILES: Final = 64
"""File descriptors kept for the database, logs and exports."""
_FULL: Final = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\nConnection: close\r\n\r\n%s"
)


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


class Connection(web.RequestHandler):
    """A connection whose requests aiohttp parses."""

    def __init__(self, owner: Connections, server: web.Server, limits: Limits) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=limits.idle_seconds,
            lingering_time=min(limits.read_seconds, 1.0),
            access_log=None,  # type: ignore[arg-type]
            # aiohttp accepts a body without its checksum; see `decoding`.
            auto_decompress=False,
        )
        self._owner = owner
        self.busy = False
        """Whether one of its requests is being handled; idle connections may be closed for room."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._owner.opened(self)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._owner.closed(self)
        super().connection_lost(exc)

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
            body = orjson.dumps(error_body(unavailable("too many connections; send it again")))
            transport.write(_FULL % (len(body), body))
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
