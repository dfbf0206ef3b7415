"""Send a stored delivery again to any receiver, or a trial run to ours, which gets them signed with
the token, which is never sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

import aiohttp
import orjson
from yarl import URL

from vs_tui.model.request_signing import signed_delivery
from vs_tui.store.queries.reader_protocol import DeliveryDetail

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
