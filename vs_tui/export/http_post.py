"""Sends one POST to a collector or chat and interprets the answer.

Source: https://opentelemetry.io/docs/specs/otlp/#otlphttp (retryable statuses, Retry-After, partial
success, endpoint paths).
"""

from __future__ import annotations

import gzip
import socket
from collections.abc import Collection, Mapping
from contextlib import suppress
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv6Address, ip_address
from random import uniform
from time import time
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from aiohttp import BasicAuth, ClientError, ClientSession, ClientTimeout

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
    """Post a body. Network errors are returned, not raised."""
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
