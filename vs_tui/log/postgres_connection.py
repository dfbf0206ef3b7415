"""Connections to PostgreSQL that reconnect after an error."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection

from vs_tui.log.address import LogAddress
from vs_tui.log.postgres_sql import LogAway, LogSchemaError

APPLICATION: Final = "vs-tui"
CONNECT_SECONDS: Final = 5
STATEMENT_SECONDS: Final = 6.0
"""Longest wait for one statement; a sender is answered within eight seconds."""
FIRST_PAUSE: Final = 0.1
LONGEST_PAUSE: Final = 5.0
RETRIED: Final = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Errors after which the same statement is retried at once."""


@dataclass
class LogServer:
    """What the connections of one node to the log share."""

    address: LogAddress
    connect: Callable[[str], Awaitable[AsyncConnection[Any]]]
    first_pause: float
    failures: int = 0
    """Number of lost connections; after each the others are most likely lost, too."""


class LogConnection:
    """One connection that reconnects after an error, with growing pauses between the tries."""

    def __init__(self, server: LogServer, listen: str = "") -> None:
        self._server = server
        self._listen = listen
        self._connection: AsyncConnection[Any] | None = None
        self._lock = asyncio.Lock()
        self._pause = 0.0
        self._not_before = 0.0
        self._why = ""
        self._made_after = 0

    @contextlib.asynccontextmanager
    async def use(
        self, seconds: float = 2 * STATEMENT_SECONDS
    ) -> AsyncIterator[AsyncConnection[Any]]:
        """The connection, for one caller at a time. LogAway if it cannot be made."""
        async with self._lock:
            connection = await self._open()
            try:
                async with asyncio.timeout(seconds):
                    yield connection
            except RETRIED:
                raise
            except (psycopg.Error, OSError, TimeoutError) as error:
                self._server.failures += 1
                await self.close()
                raise self._away(error) from None
            except BaseException:
                await self.close()  # a cancelled statement leaves the connection unusable
                raise

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
                await connection.close()

    async def _open(self) -> AsyncConnection[Any]:
        if self._connection is not None:
            if self._made_after == self._server.failures and not self._connection.broken:
                return self._connection
            await self.close()
        now = asyncio.get_running_loop().time()
        if now < self._not_before:
            raise LogAway(self._why)
        try:
            async with asyncio.timeout(2 * CONNECT_SECONDS):
                self._made_after = self._server.failures
                self._connection = await self._server.connect(self._listen)
        except (psycopg.Error, OSError, TimeoutError, LogSchemaError) as error:
            self._pause = min(max(2 * self._pause, self._server.first_pause), LONGEST_PAUSE)
            self._not_before = asyncio.get_running_loop().time() + self._pause
            raise self._away(error) from None
        self._pause = self._not_before = 0.0
        return self._connection

    def _away(self, error: BaseException) -> LogAway:
        self._why = f"{self._server.address.shown}: {reason(error, self._server.address)}"
        return LogAway(self._why)


def connection_options(address: LogAddress) -> Mapping[str, Any]:
    """Connection settings that the URL does not have. A dead server is detected in seconds, and a
    node that dies in a transaction does not block the log."""
    seconds = int(STATEMENT_SECONDS * 1000)
    options: dict[str, Any] = {
        "connect_timeout": CONNECT_SECONDS,
        "application_name": APPLICATION,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": seconds,
        "options": f"-c statement_timeout={seconds} -c idle_in_transaction_session_timeout=10000",
    }
    return {name: value for name, value in options.items() if f"{name}=" not in address.url}


def reason(error: BaseException, address: LogAddress) -> str:
    """Why the log cannot be used and what to do, in one line without the password. A receiver goes
    on by itself; commands that end with this line do not, so it promises neither."""
    if isinstance(error, TimeoutError | psycopg.errors.QueryCanceled):
        return "the server does not answer in time; check it and the network"
    if isinstance(error, psycopg.ProgrammingError) and error.sqlstate is None:
        # The error quotes the text it cannot parse, which may be the password.
        return "the URL cannot be read; write postgresql://USER@HOST/DATABASE"
    words = " ".join(address.redact(str(error)).split())[:300] or type(error).__name__
    if isinstance(error, LogSchemaError):
        return words
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return f"{words}; grant this role the schema, or let its owner start vs-tui once"
    return f"{words}; it works again once the server answers"
