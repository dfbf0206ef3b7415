"""Sends recorded deliveries to a receiver, signed with the token; the token itself is never
sent."""

from __future__ import annotations

import asyncio

import aiohttp
import orjson
from yarl import URL

from vs_tui.api.otlp_answers import PROTOBUF
from vs_tui.log.recording import Delivery
from vs_tui.model.request_signing import signed_delivery
from vs_tui.store.queries.reader_protocol import Unreachable

_ATTEMPTS = 5
_NOT_SENT = frozenset({"authorization", "content-length", "host"})


class HttpTarget:
    """One keep-alive session; retries 503 as the receiver asks."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token

    async def __aenter__(self) -> HttpTarget:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, delivery: Delivery) -> str:
        """The verdict in the answer, or `refused`. Raises Unreachable if the receiver does not
        answer, cannot store or refuses the token, because every other delivery would fail, too."""
        path = URL("/" + delivery.path.lstrip("/")).raw_path_qs
        sent = {n: v for n, v in delivery.headers.items() if n.lower() not in _NOT_SENT}
        headers = {**sent, **signed_delivery(self._token, path, sent, delivery.body)}
        why = "it cannot store now"
        for attempt in range(_ATTEMPTS):
            try:
                async with self._session.post(
                    URL(self._url + path, encoded=True),
                    data=delivery.body,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    if response.status == 503:
                        await asyncio.sleep(0.2 * 2**attempt)
                        continue
                    if response.status == 401:
                        raise Unreachable(
                            f"{self._url} refuses the token; set VS_TOKEN or --token to what "
                            "`vs-tui secret show token` prints there"
                        )
                    if 300 <= response.status < 400:
                        raise Unreachable(f"{self._url} redirects; name the address it leads to")
                    return self._verdict(response, await response.read())
            except (aiohttp.ClientError, TimeoutError) as error:
                why = str(error) or type(error).__name__
                await asyncio.sleep(0.2 * 2**attempt)
        raise Unreachable(f"{self._url} does not answer ({why}); start it with `vs-tui serve`")

    def _verdict(self, response: aiohttp.ClientResponse, body: bytes) -> str:
        """The verdict in a receiver's answer. Raises Unreachable if the answer is not a
        receiver's."""
        if response.status >= 400:
            return "refused"
        if response.content_type == PROTOBUF:
            return "accepted"
        try:
            said = orjson.loads(body)
            if said["result"] == "success":
                return str(said["verdict"])
        except (ValueError, KeyError, TypeError):
            pass
        raise Unreachable(
            f"{self._url} answered {response.status}, but not as a receiver does: something else "
            "listens there"
        )
