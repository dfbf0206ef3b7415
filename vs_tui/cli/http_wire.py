"""One HTTP connection to a receiver, kept open, with a deadline.

Plain HTTP is written on a bare socket here, because importing the standard library's client takes a
third of the whole time of `vscli event`. https uses that client.
"""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Mapping
from typing import Final, NamedTuple

_URL: Final = re.compile(
    r"(?P<scheme>https?)://(?:[^@/]*@)?(?:\[(?P<six>[0-9a-fA-F:.]+)\]|(?P<host>[^:/?#\[\]\s]+))"
    r"(?::(?P<port>\d{1,5}))?(?P<path>/[!-\"$-~]*)?",
    re.IGNORECASE,
)
_LOOPBACK: Final = re.compile(r"127(\.\d{1,3}){3}")
MAX_HEAD: Final = 64 * 1024
MAX_ANSWER: Final = 1024 * 1024


class WireError(Exception):
    """The other side broke the protocol or the connection; the message says how."""


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
    """The parts of a URL; WireError says what is wrong with it."""
    match = _URL.fullmatch(url)
    if not match or int(match["port"] or 0) > 65_535:
        shown = url.rpartition("@")[2][:100]  # never a password
        raise WireError(f"'{shown}' is not an address; set VS_URL to http://HOST:PORT")
    secure = match["scheme"].lower() == "https"
    port = int(match["port"] or (443 if secure else 80))
    return Address(secure, match["six"] or match["host"], port, match["path"] or "/")


def is_loopback(url: str) -> bool:
    """Whether a URL means this machine without asking a name server."""
    try:
        host = address(url).host.lower()
    except WireError:
        return False
    return host in ("localhost", "::1") or _LOOPBACK.fullmatch(host) is not None


class PlainConnection:
    """HTTP/1.1 over TCP. Every method may raise OSError, TimeoutError or WireError."""

    def __init__(self, where: Address, deadline: float) -> None:
        self._where = where
        self._deadline = deadline
        self._socket = socket.create_connection((where.host, where.port), self._remaining())
        self._buffer = b""
        self.reusable = True

    def close(self) -> None:
        self._socket.close()

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        lines = [f"POST {self._where.path} HTTP/1.1", f"Host: {self._where.name}"]
        for name, value in headers.items():
            if not (value.isascii() and value.isprintable()):
                raise WireError(f"{name} holds characters that no header may; set it again")
            lines.append(f"{name}: {value}")
        lines += [f"Content-Length: {len(body)}", "", ""]
        self._socket.settimeout(self._remaining())
        self._socket.sendall("\r\n".join(lines).encode("latin-1") + body)
        status = 100
        answered: dict[str, str] = {}
        while 100 <= status < 200:  # an interim answer announces the final one
            status, answered = self._head()
        return status, self._body(status, answered)

    def _head(self) -> tuple[int, dict[str, str]]:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD:
                raise WireError("it answers with endless headers")
            if not self._receive():
                raise WireError("it closed the connection" if not self._buffer else "no HTTP")
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        version, _, words = first.partition(" ")
        if not version.startswith("HTTP/1.") or not words[:3].isdigit():
            raise WireError("what answers there does not speak HTTP")
        pairs = (line.partition(":") for line in rest)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self.reusable = version != "HTTP/1.0" and headers.get("connection", "").lower() != "close"
        return int(words[:3]), headers

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in (204, 304):
            return b""
        if headers.get("transfer-encoding", "").lower() == "chunked":
            return self._chunks()
        length = headers.get("content-length", "")
        if length.isdigit() and int(length) <= MAX_ANSWER:
            return self._exactly(int(length))
        self.reusable = False  # it ends with the connection, or is larger than we care for
        while len(self._buffer) < MAX_ANSWER and self._receive():
            pass
        return self._buffer

    def _chunks(self) -> bytes:
        body = b""
        while len(body) <= MAX_ANSWER:
            size = self._line().partition(b";")[0].strip()
            try:
                length = int(size, 16)
            except ValueError:
                raise WireError("it answers with broken chunks") from None
            if length == 0:
                while self._line():
                    pass
                return body
            body += self._exactly(min(length, MAX_ANSWER))
            self._line()
        raise WireError("its answer is too long")

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            if len(self._buffer) > MAX_HEAD or not self._receive():
                raise WireError("its answer ends early")
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self._receive():
                raise WireError("its answer ends early")
        found, self._buffer = self._buffer[:length], self._buffer[length:]
        return found

    def _receive(self) -> bool:
        self._socket.settimeout(self._remaining())
        chunk = self._socket.recv(65_536)
        self._buffer += chunk
        return bool(chunk)

    def _remaining(self) -> float:
        return _remaining(self._deadline)


class SecureConnection:
    """The same for https, by the standard library and the machine's certificates."""

    def __init__(self, where: Address, deadline: float) -> None:
        from http.client import HTTPSConnection

        self._where = where
        self._deadline = deadline
        self._connection = HTTPSConnection(where.host, where.port, timeout=_remaining(deadline))
        self.reusable = True

    def close(self) -> None:
        self._connection.close()

    def post(self, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer."""
        from http.client import HTTPException

        if self._connection.sock is not None:
            self._connection.sock.settimeout(_remaining(self._deadline))
        try:
            self._connection.request("POST", self._where.path, body, dict(headers))
            response = self._connection.getresponse()
            answer = response.read(MAX_ANSWER)
        except HTTPException as error:
            raise WireError(str(error) or type(error).__name__) from None
        self.reusable = not response.will_close
        return response.status, answer


Connection = PlainConnection | SecureConnection


def connect(where: Address, deadline: float) -> Connection:
    """Open a connection; OSError if nothing listens there."""
    kind = SecureConnection if where.secure else PlainConnection
    return kind(where, deadline)


def _remaining(deadline: float) -> float:
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("no time left")
    return remaining
