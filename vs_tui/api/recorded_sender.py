"""Send recorded deliveries to a receiver."""

from __future__ import annotations

import asyncio

import aiohttp

from vs_tui.log.recording import Delivery
from vs_tui.store.reader_protocol import Unreachable

_ATTEMPTS = 5


class HttpTarget:
    """One keep-alive session; retries 503 as the receiver asks."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    async def __aenter__(self) -> HttpTarget:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def send(self, delivery: Delivery) -> str:
        """The verdict in the answer, or `refused`. Raises Unreachable if the receiver does not
        answer, cannot store or refuses the token, because every other delivery would fail, too."""
        headers = {**delivery.headers, **self._headers}
        headers.pop("content-length", None)
        headers.pop("host", None)
        why = "it cannot store now"
        for attempt in range(_ATTEMPTS):
            try:
                async with self._session.post(
                    self._url + delivery.path,
                    data=delivery.body,
                    headers=headers,
                    allow_redirects=False,  # our token stays with the host it was given for
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
                    body = await response.json(content_type=None)
                    return str(body.get("verdict", "refused"))
            except (aiohttp.ClientError, TimeoutError) as error:
                why = str(error) or type(error).__name__
                await asyncio.sleep(0.2 * 2**attempt)
        raise Unreachable(f"{self._url} does not answer ({why}); start it with `vs-tui serve`")
