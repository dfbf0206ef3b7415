"""The receiver's address and our proof to it, and one HTTP connection, kept open between requests,
for every command that waits for its answers.

The commands that stand in scripts start fast: `http.client` is imported with the first request, and
only what a sender needs is read of the settings, because `vs_tui.config` takes longer than sending
an event. A test checks that both agree. The token in secrets.toml belongs to this machine's
receiver and is never sent to another address.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple
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

    @property
    def fields(self) -> dict[str, Any]:
        """The JSON object in the body; empty for anything else."""
        import json

        try:
            found = json.loads(self.body)
        except ValueError:
            return {}
        return found if isinstance(found, dict) else {}


def get(url: str, seconds: float) -> Response:
    """The answer to one GET, asked without a proxy. TimeoutError or HttpError without an answer."""
    where = address(url)
    connection = Connection(where)
    try:
        return connection.request("GET", where.path, {"User-Agent": "vs-tui"}, timeout=seconds)
    finally:
        connection.close()


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

    def abort(self) -> None:
        """Break off the request that another thread waits for; it fails with HttpError."""
        sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            from socket import SHUT_RDWR

            with suppress(OSError):  # it is closed already
                sock.shutdown(SHUT_RDWR)

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


_TOKENS: Final = (
    "VS_TOKEN",
    # em-metrics' own names, as the receiver takes them.
    "EM_METRICS_TOKEN_AUTH",
    "EM_METRICS_BASIC_AUTH_PASSWORD",
    "EM_METRICS_BASIC_AUTH_USERNAME",
)
_APP: Final = "vs-tui"
_MOST_TEXT: Final = 1_000_000
"""Most characters of a file with settings or a secret, as in `config.loading`."""


class ReceiverAccess(NamedTuple):
    """What a sender needs; its repr holds secrets."""

    url: str
    """The receiver's base URL, or the whole URL from ValueStream's variable."""
    token: str
    secret: str
    """Signs bodies in place of the token."""
    withheld: bool = False
    """There is a token, but it is not meant for this URL."""

    @property
    def refusal(self) -> str:
        """Why nothing may be sent without another proof, and what to do; empty if it may."""
        if not self.withheld:
            return ""
        try:
            name = address(self.url).name
        except HttpError as error:
            return str(error)
        return (
            f"{name} is not this machine, so it does not get this machine's token; set "
            "VS_TOKEN to what `vs-tui secret show token` prints there"
        )


def sender_settings(
    env: Mapping[str, str] | None = None, *, url: str = "", token: str = ""
) -> ReceiverAccess:
    """The receiver's URL, our token and the secret of custom events; `url` and `token` come from
    the command line. A configuration that cannot be read counts as empty: the event is spooled, and
    `vs-tui doctor` says what is wrong."""
    env = os.environ if env is None else env
    url = url or _value(env, "VS_URL") or _value(env, "VS_CUSTOM_HTTP_EVENT_SOURCE_URL")
    token = token or next((found for name in _TOKENS if (found := _value(env, name))), "")
    withheld = False
    if not (url and token):
        config, secrets = _files(env)
        own = "" if token else str(_toml(secrets).get("token", ""))
        withheld = bool(own and url) and not is_loopback(url)
        url = url or _local_url(env, _toml(config))
        token = token or ("" if withheld else own)
    secret = _value(env, "VS_CUSTOM_HTTP_EVENT_SOURCE_SECRET")
    return ReceiverAccess(url, token, secret, withheld)


def data_folder() -> str:
    """Like `vs_tui.config.data_dir`, but does not import platformdirs if the answer is known."""
    return os.environ.get("VS_DATA_DIR") or _folder("XDG_DATA_HOME", "~/.local/share", "data")


def _files(env: Mapping[str, str]) -> tuple[str, str]:
    """config.toml and the secrets.toml beside it."""
    chosen = env.get("VS_CONFIG")
    if not chosen:
        folder = os.environ.get("VS_CONFIG_DIR") or _folder(
            "XDG_CONFIG_HOME", "~/.config", "config"
        )
        chosen = f"{folder}/config.toml"
    return chosen, f"{chosen.rpartition('/')[0] or '.'}/secrets.toml"


def _folder(variable: str, default: str, kind: str) -> str:
    if sys.platform == "linux":
        base = os.environ.get(variable, "").strip() or os.path.expanduser(default)  # noqa: PTH111
        return f"{base}/{_APP}"
    from vs_tui import config

    return str(config.data_dir() if kind == "data" else config.config_dir())


def _local_url(env: Mapping[str, str], document: Mapping[str, Any]) -> str:
    server = document.get("server")
    table = server if isinstance(server, dict) else {}
    host, port = str(table.get("host", "127.0.0.1")), str(table.get("port", 5000))
    if listening := _value(env, "VS_ADDR"):
        given, _, port = listening.rpartition(":")
        host = given.strip("[]") or "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _value(env: Mapping[str, str], name: str) -> str:
    """As `config.loading` reads it: a variable, or the content of the file that NAME_FILE names,
    without blanks around it."""
    if found := env.get(name, "").strip():
        return found
    return _text(env.get(f"{name}_FILE", "")).strip()


def _toml(path: str) -> dict[str, Any]:
    if not (found := _text(path)):
        return {}
    import tomllib

    try:
        return tomllib.loads(found)
    except ValueError:
        return {}


def _text(path: str) -> str:
    """The content of a file; empty if it cannot be read, or is too long: a device may have no
    end."""
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - fast
            found = file.read(_MOST_TEXT + 1)
    except (OSError, UnicodeDecodeError):
        return ""
    return found if len(found) <= _MOST_TEXT else ""
