"""One HTTP connection, kept open between requests, for every command that waits for its answers.

`http.client` is imported with the first request, because the commands that stand in scripts start
fast.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from http.client import HTTPConnection

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:[^@/]*@)?(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:/?#\[\]\s]+))"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[!-\"$-~]*)?",
    re.IGNORECASE,
)
_LOOPBACK: Final = re.compile(r"127(\.\d{1,3}){3}")
MAX_ANSWER: Final = 1024 * 1024
"""Bytes of an answer that are read, where a caller does not say more."""


class HttpError(Exception):
    """The address is none, or the other side broke the protocol or the connection; the message says
    how."""


class Address(NamedTuple):
    """Where to connect, and the path to request."""

    secure: bool
    host: str
    port: int
    path: str

    @property
    def name(self) -> str:
        """The Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"


def address(url: str) -> Address:
    """The parts of a URL; HttpError says what is wrong with it."""
    match = _URL.fullmatch(url)
    if not match or int(match["port"] or 0) > 65_535:
        shown = url.rpartition("@")[2][:100]  # never a password
        raise HttpError(f"'{shown}' is not an address; set VS_URL to http://HOST:PORT")
    secure = match["scheme"].lower() == "https"
    port = int(match["port"] or (443 if secure else 80))
    return Address(secure, match["six"] or match["host"], port, match["path"] or "/")


class Proxy(NamedTuple):
    """An HTTP proxy, and the headers that prove who we are to it."""

    where: Address
    headers: Mapping[str, str]


def proxy(url: str) -> Proxy:
    """The proxy at a URL, which may hold a user and a password; HttpError says what is wrong."""
    from base64 import b64encode

    try:
        where = address(url)
    except HttpError:
        shown = url.rpartition("@")[2][:100]
        raise HttpError(f"the proxy '{shown}' is not of the kind http://HOST:PORT") from None
    user = unquote(url.partition("://")[2].rpartition("@")[0])
    proof = f"Basic {b64encode(user.encode()).decode()}"
    return Proxy(where, {"Proxy-Authorization": proof} if user else {})


def is_loopback(url: str) -> bool:
    """Whether a URL means this machine without asking a name server."""
    try:
        host = address(url).host.lower()
    except HttpError:
        return False
    return host in ("localhost", "::1") or _LOOPBACK.fullmatch(host) is not None


class Response(NamedTuple):
    """What a server answered, with any status."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes


class Connection:
    """A connection to the server of an address; it opens with the first request. Follows no
    redirect, which could send a token to another host."""

    def __init__(self, where: Address, proxy: Proxy | None = None) -> None:
        self._where = where
        self._proxy = proxy
        self._connection: HTTPConnection | None = None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None = None,
        *,
        timeout: float,
        repeat: bool = True,
        limit: int = MAX_ANSWER,
    ) -> Response:
        """The answer, of at most `limit` bytes. A server may have closed a kept connection; with
        `repeat` such a request is sent again. TimeoutError after `timeout` seconds without a byte,
        HttpError for every other failure."""
        from http.client import BadStatusLine, HTTPException, IncompleteRead, RemoteDisconnected

        kept = self._connection is not None
        try:
            return self._request(method, path, headers, body, timeout, limit)
        except TimeoutError:
            self.close()
            raise
        except (OSError, HTTPException) as error:
            self.close()
            if kept and repeat:
                return self.request(method, path, headers, body, timeout=timeout, limit=limit)
            why = getattr(error, "strerror", "") or str(error) or type(error).__name__
            if isinstance(error, RemoteDisconnected):
                why = "it closed the connection"
            elif isinstance(error, BadStatusLine):
                why = "what answers there does not speak HTTP"
            elif isinstance(error, IncompleteRead):
                why = "its answer ended early"
            raise HttpError(why) from None

    def _request(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: float,
        limit: int,
    ) -> Response:
        from http.client import IncompleteRead

        connection = self._connection or self._connect()
        self._connection = connection
        connection.timeout = timeout
        if connection.sock is not None:
            connection.sock.settimeout(timeout)
        if self._proxy is not None and not self._where.secure:
            path, headers = f"http://{self._where.name}{path}", {**headers, **self._proxy.headers}
        connection.request(method, path, body, dict(headers))
        response = connection.getresponse()
        answer = response.read(limit)
        if response.length and len(answer) < limit:
            raise IncompleteRead(answer, response.length)
        if not response.isclosed():  # the rest is longer than anybody cares for
            self.close()
        named = {name.lower(): value for name, value in response.getheaders()}
        return Response(response.status, named, answer)

    def _connect(self) -> HTTPConnection:
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._where.secure else HTTPConnection
        if self._proxy is None:
            return kind(self._where.host, self._where.port)
        connection = kind(self._proxy.where.host, self._proxy.where.port)
        if self._where.secure:
            connection.set_tunnel(self._where.host, self._where.port, dict(self._proxy.headers))
        return connection
