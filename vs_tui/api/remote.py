"""Requests of a dashboard to a receiver: the connection to a remote one, and deliveries that are
sent again.

The stream (`/api/stream`, server-sent events) reports changes, so nothing is polled over the
network; it reconnects by itself. While it is lost, earlier answers are given again and `stale` says
since when. What we send is signed with the token, which is never sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

import aiohttp
import orjson
from yarl import URL

from vs_tui.model.request_signing import signed_delivery, signed_head
from vs_tui.model.time import SECOND, Duration, format_duration
from vs_tui.store.queries.reader_protocol import Changes, DeliveryDetail, Unreachable

ANSWER_SECONDS: Final = 15.0
LOST_ANSWER_SECONDS: Final = 3.0
"""Longest wait for an answer while the stream is lost, so that keys do not hang."""
SILENCE_SECONDS: Final = 40.0
"""The receiver sends something every 15 s; after this many seconds of silence the stream is
lost."""
GRACE_SECONDS: Final = 2.0
"""Shortest interruption that is worth a banner."""
FIRST_WAIT: Final = 0.25
LONGEST_WAIT: Final = 5.0
KEPT_ANSWERS: Final = 64
MAX_KEYS: Final = 5_000
_MAX_MESSAGE: Final = 8 * 1024 * 1024


def parse_address(text: str) -> tuple[str, str]:
    """(URL to show and to request, token that it contained as user, password or ?token=).
    ValueError says how to write one."""
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write the receiver's address as http://HOST:PORT")
    token = unquote(parts.password or parts.username or "")
    token = token or next(iter(parse_qs(parts.query).get("token", [])), "")
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path.rstrip('/')}", token


class Remote:
    """A session with one receiver."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self._token = token
        self._answers: OrderedDict[str, tuple[float, Any]] = OrderedDict()
        self._changed: OrderedDict[str, int] = OrderedDict()
        self._seq = 0
        self._truncated_at = 0
        self._lost_at: float | None = None
        self._why = ""
        self._tell: Callable[[], None] = lambda: None
        self._ahead: Duration = 0

    async def open(self) -> None:
        """Make one request, so that a wrong address or token is reported at the start; then
        listen."""
        self._session = aiohttp.ClientSession()
        try:
            found = await self.get("/api/changes", since=0)
            self._seq = int(found["seq"])
        except BaseException:
            await self._session.close()
            raise
        self._listener = asyncio.create_task(self._listen())

    async def close(self) -> None:
        self._listener.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._listener
        await self._session.close()

    def on_change(self, tell: Callable[[], None]) -> None:
        """Register a callback for changes and for a lost or restored connection."""
        self._tell = tell

    @property
    def clock_ahead(self) -> Duration:
        """How far the receiver's clock is ahead of ours, to the second."""
        return self._ahead

    @property
    def is_lost(self) -> bool:
        """Whether the stream is interrupted, even for a moment."""
        return self._lost_at is not None

    @property
    def stale(self) -> str:
        """Since when the connection is lost, and why; empty while it is up."""
        if self._lost_at is None:
            return ""
        gone = time.monotonic() - self._lost_at
        if gone < GRACE_SECONDS:
            return ""
        ago = format_duration(int(gone) * SECOND)
        return f"stale: no word from {self.url} for {ago} ({self._why}); it tries again by itself"

    def changes(self, since: int) -> Changes:
        """The changes that the stream has reported. Raises Unreachable while it is lost."""
        if self.stale:
            raise Unreachable(self.stale)
        truncated = since <= 0 or since < self._truncated_at
        keys = [] if truncated else [key for key, seq in self._changed.items() if seq > since]
        return Changes(self._seq, keys, 0, truncated=truncated)

    # Requests.

    async def get(
        self, path: str, *, fresh_for: float = 0.0, missing: bool = False, **query: object
    ) -> Any:
        """As `fetch`, but an answer younger than `fresh_for` seconds is used again; while the
        stream is lost the last one is."""
        name = f"{path}?{sorted(_given(query).items())}"
        at, kept = self._answers.get(name, (0.0, None))
        if kept is not None and (self.is_lost or time.monotonic() - at < fresh_for):
            return kept
        body = await self.fetch(path, query, missing=missing)
        if body is not None:
            self._answers[name] = (time.monotonic(), body)
            self._answers.move_to_end(name)
            while len(self._answers) > KEPT_ANSWERS:
                self._answers.popitem(last=False)
        return body

    async def fetch(self, path: str, query: Mapping[str, object], *, missing: bool = False) -> Any:
        """The JSON at a path; None for 404 if `missing` allows it. Raises ValueError for a request
        that the receiver does not understand, Unreachable for other failures."""
        seconds = LOST_ANSWER_SECONDS if self.is_lost else ANSWER_SECONDS
        body = await self._ask(path, _given(query), seconds)
        if body is None and not missing:
            raise Unreachable(f"{self.url} does not know {path}: is it an older vs-tui?")
        return body

    async def _ask(self, path: str, query: Mapping[str, str], seconds: float) -> Any:
        url, proof = self._signed(path, query)
        try:
            async with self._session.get(
                url,
                headers=proof,
                timeout=aiohttp.ClientTimeout(total=seconds),
                allow_redirects=False,
            ) as response:
                return await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(
                f"{self.url} does not answer ({_reason(error)}); is the receiver up?"
            ) from None

    def _signed(self, path: str, query: Mapping[str, str]) -> tuple[URL, dict[str, str]]:
        """The URL and the proof of one request; the token itself is never sent. A path prefix of a
        proxy is not signed."""
        own = URL(path).extend_query(query)
        return URL(self.url + str(own)), signed_head(self._token, "GET", own.raw_path_qs)

    async def _read(self, response: aiohttp.ClientResponse) -> Any:
        self._compare_clocks(response.headers.get("Date", ""))
        if response.status == 404:
            return None
        self._refuse(response)
        try:
            body = orjson.loads(await response.read())
        except orjson.JSONDecodeError:
            raise Unreachable(f"{self.url} is no vs-tui receiver; is the address right?") from None
        detail = str(body.get("detail", response.status)) if isinstance(body, dict) else ""
        if response.status == 400:
            raise ValueError(detail)
        if response.status != 200:
            raise Unreachable(f"{self.url}: {detail}")
        return body

    def _refuse(self, response: aiohttp.ClientResponse) -> None:
        """Raise for a status that no retry changes."""
        if response.status == 403:
            raise Unreachable(f"{self.url}: the token does not allow this")
        if response.status == 401:
            raise Unreachable(
                f"{self.url} refuses the token; set VS_TOKEN to what `vs-tui secret show token` "
                "prints on its machine; vs-tui there must be 0.2 or later"
            )
        if 300 <= response.status < 400:
            place = urlsplit(response.headers.get("Location", ""))
            raise Unreachable(
                f"{self.url} redirects to {place.scheme}://{place.netloc}; use that address"
            )

    def _compare_clocks(self, date: str) -> None:
        with contextlib.suppress(TypeError, ValueError):
            self._ahead = round(parsedate_to_datetime(date).timestamp() - time.time()) * SECOND

    # The stream.

    async def _listen(self) -> None:
        wait = FIRST_WAIT
        while True:
            try:
                async for seq, keys in self._messages():
                    wait = FIRST_WAIT
                    self._note(seq, keys)
            except (aiohttp.ClientError, Unreachable, TimeoutError, OSError, ValueError) as error:
                self._lose(_reason(error))
            else:
                self._lose("it closed the line")
            # Many viewers of one receiver must not all come back in the same moment.
            await asyncio.sleep(wait * random.uniform(0.75, 1.25))  # noqa: S311
            wait = min(2 * wait, LONGEST_WAIT)

    def _lose(self, why: str) -> None:
        if self._lost_at is None:
            self._lost_at = time.monotonic()
        self._why = why
        self._tell()

    def _note(self, seq: int | None, keys: list[str] | None) -> None:
        """Record a sign of life; with a number if something changed, and its keys unless there are
        too many."""
        self._lost_at = None
        if seq is not None and seq != self._seq:
            if keys is None or seq < self._seq:
                # Too much to name, or another database: all is to be read again.
                self._changed.clear()
                self._truncated_at = seq
            for key in keys or ():
                self._changed[key] = seq
                self._changed.move_to_end(key)
            while len(self._changed) > MAX_KEYS:
                self._truncated_at = self._changed.popitem(last=False)[1]
            self._seq = seq
        self._tell()

    async def _messages(self) -> AsyncIterator[tuple[int | None, list[str] | None]]:
        """(number, keys) of each message; (None, None) for a mere sign of life."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=SILENCE_SECONDS)
        url, proof = self._signed("/api/stream", {"brief": "1"})
        async with self._session.get(
            url,
            headers={"Last-Event-ID": str(self._seq), **proof},
            timeout=timeout,
            allow_redirects=False,
        ) as response:
            self._refuse(response)
            if response.status != 200:
                raise Unreachable(f"it answered {response.status}")
            yield None, None
            pending = b""
            async for chunk in response.content.iter_any():
                pending += chunk
                *messages, pending = pending.split(b"\n\n")
                for message in messages:
                    yield _message(message)
                if len(pending) > _MAX_MESSAGE:
                    raise Unreachable("it sends what is no event stream")


def _given(query: Mapping[str, object]) -> dict[str, str]:
    return {name: str(value) for name, value in query.items() if value not in (None, "")}


def _message(text: bytes) -> tuple[int | None, list[str] | None]:
    for line in text.split(b"\n"):
        if line.startswith(b"data:"):
            data = orjson.loads(line[5:])
            if data.get("truncated"):
                return int(data["seq"]), None
            keys = data["keys"] if "keys" in data else [span["key"] for span in data["spans"]]
            return int(data["seq"]), keys
    return None, None


def _reason(error: BaseException) -> str:
    """The error in a few words, without the address."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        return os.strerror(number) if number and number > 0 else "no connection"
    if isinstance(error, aiohttp.ClientError):
        return "the line broke"
    return str(error)[:200] or type(error).__name__


TRIAL_SECONDS = 20.0
"""Seconds that the trial run takes, so that there is time to look at it."""
_SECONDS = 20
_ANSWER_BYTES = 64 * 1024
_NOT_SENT = frozenset({"content-length", "host", "content-encoding", "transfer-encoding"})


async def resend(detail: DeliveryDetail, target: str, own_url: str, token: str) -> str:
    """POST the stored headers and body to `target`, or to `own_url` if it is empty. For our own
    receiver it is signed with our token; for another one, write its token into the address, as
    http://:TOKEN@HOST:PORT. Redirects are not followed. Never raises for what the other side
    does."""
    try:
        url, given = _address(target or own_url, detail.path)
    except ValueError as error:
        return str(error)
    headers = {n: v for n, v in detail.headers.items() if n.lower() not in _NOT_SENT}
    if given:
        headers["authorization"] = f"Bearer {given}"
    elif _origin(url) == _origin(own_url):
        headers |= signed_delivery(token, URL(url).raw_path, headers, detail.body)
    where = "this receiver" if not target else _origin(url)
    return await _post(url, detail.body, headers, where)


async def send_trial(own_url: str, token: str, say: Callable[[str], None]) -> None:
    """Send a run with one job to our own receiver over HTTP, and end both after TRIAL_SECONDS.
    `say` gets the answer to the first event, and any refusal."""
    number = f"{time.time():.0f}"
    run = f"vstrace-customhttp-pipeline-trial-{number}"
    events: tuple[tuple[float, dict[str, object]], ...] = (
        (0, {"type": "pipeline", "action": "start", "name": "trial run"}),
        (0, {"type": "build", "action": "start", "name": "first job", "parentid": run}),
        (TRIAL_SECONDS, {"type": "build", "action": "end"}),
        (0, {"type": "pipeline", "action": "end"}),
    )
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    for place, (pause, event) in enumerate(events):
        await asyncio.sleep(pause)
        body = orjson.dumps({"id": number, "namespace": "trial", **event})
        told = await _post(f"{own_url}/customhttp", body, headers, "this receiver")
        if not place or " 200 " not in told:
            say(told)


async def _post(url: str, body: bytes, headers: Mapping[str, str], where: str) -> str:
    try:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as response,
        ):
            answer = await response.content.read(_ANSWER_BYTES)
            return f"{where} answered {response.status} {_gist(answer)}".rstrip()
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        why = type(error).__name__ if not str(error) else str(error)
        return f"{where} could not be reached ({why}); is the address right, and is it up?"


def _address(target: str, path: str) -> tuple[str, str]:
    """(URL without its user, the token that stood there)."""
    parts = urlsplit(target)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("write the address as http://HOST:PORT; nothing was sent")
    host = parts.netloc.rpartition("@")[2]
    own_path = parts.path if parts.path not in ("", "/") else path
    given = unquote(parts.password or parts.username or "")
    return f"{parts.scheme}://{host}{own_path}", given


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _gist(answer: bytes) -> str:
    """The answer in a few words; empty if it is not a receiver's."""
    try:
        body = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(body, Mapping):
        return ""
    verdict, why = body.get("verdict"), body.get("reason") or body.get("detail")
    words = [str(word) for word in (verdict or body.get("error"), why) if word]
    return ": ".join(words)[:200]
