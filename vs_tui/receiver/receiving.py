"""The way in: request -> limits -> proof -> parse -> commit -> 2xx.

Knows nothing of any tool's payload; sources do. Every refusal is noted for the Events view.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import ContentEncodingError

from vs_tui.domain.instants import Instant
from vs_tui.domain.model import Verdict
from vs_tui.intaking import intake_of, kept_headers, read
from vs_tui.receiver.auth import Gate, missing_proof
from vs_tui.receiver.errors import Refused, answer, unavailable
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unauthorized
from vs_tui.store.intake import Outcome, Rejection
from vs_tui.store.writer import Unavailable, Writer

MAX_BODY: Final = 25 * 1024 * 1024
"""GitHub and GitLab send up to 25 MB."""
MAX_BODIES: Final = 64 * 1024 * 1024
"""Bytes of bodies in memory at once, all requests together."""
READ_SECONDS: Final = 20.0
KEPT_REJECTED_BODY: Final = 64 * 1024
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
_REFUSED_TYPES: Final = ("multipart/", "image/", "audio/", "video/", "text/html", "text/xml")
Prepare = Callable[[Inbound], Awaitable[Inbound]]
_REFUSED_EXACT: Final = frozenset({"application/xml", "application/pdf", "application/zip"})


@dataclass(slots=True)
class Budget:
    """Bytes of bodies that are being handled."""

    used: int = 0

    def take(self, size: int) -> None:
        if self.used + size > MAX_BODIES:
            raise unavailable("too many large bodies at once; send it again")
        self.used += size

    def give(self, size: int) -> None:
        self.used -= size


class Receiving:
    """The handler of every receiving path."""

    def __init__(self, writer: Writer, gate: Gate, clock: Callable[[], Instant]) -> None:
        self._writer = writer
        self._gate = gate
        self._clock = clock
        self._budget = Budget()

    def handler(
        self, source: Source, prepare: Prepare | None = None
    ) -> Callable[[web.Request], Any]:
        """The handler of a source; `prepare` may complete a proven request before it is read."""

        async def receive(request: web.Request) -> web.Response:
            return await self._receive(source, request, prepare)

        return receive

    async def _receive(
        self, source: Source, request: web.Request, prepare: Prepare | None
    ) -> web.Response:
        note = _Note(source.name, request.path, self._clock())
        try:
            outcome, parsed = await self._admit(source, request, note, prepare)
        except Refused as refused:
            self._writer.reject(note.rejection(refused))
            raise
        body: dict[str, Any] = {
            "result": "success",
            "delivery": outcome.delivery_id,
            "verdict": outcome.verdict.value,
            "spans": list(outcome.span_refs),
        }
        if outcome.reason:
            body["reason"] = outcome.reason
        return answer({**body, **parsed.answer}, parsed.status)

    async def _admit(
        self, source: Source, request: web.Request, note: _Note, prepare: Prepare | None
    ) -> tuple[Outcome, Parsed]:
        _check_head(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        if not self._gate.may_have_proof(source, headers, "token" in request.query):
            raise Refused(401, "unauthorized", missing_proof(source))
        declared = request.content_length or 0
        self._budget.take(declared)
        taken = declared
        try:
            body = await _read(request)
            note.size = len(body)
            self._budget.take(len(body) - declared)
            taken = len(body)
            inbound = Inbound(
                path=request.path.removeprefix("/api/v1"),
                headers=headers,
                body=body,
                received_at=note.at,
                query=dict(request.query),
                url=str(request.url),
            )
            return await self._accept(source, inbound, note, prepare)
        finally:
            self._budget.give(taken)

    async def _accept(
        self, source: Source, inbound: Inbound, note: _Note, prepare: Prepare | None
    ) -> tuple[Outcome, Parsed]:
        try:
            self._gate.admit_sender(source, inbound)
        except Unauthorized as error:
            raise Refused(401, "unauthorized", str(error)) from None
        note.keep(inbound, source)
        if prepare is not None:
            inbound = await prepare(inbound)
        try:
            parsed = read(source, inbound)
        except BadBody as error:
            note.kind = error.kind or note.kind
            raise Refused(400, "bad_request", str(error)) from None
        note.kind = parsed.kind
        try:
            outcome = await self._writer.submit(intake_of(source, inbound, parsed))
        except Unavailable as error:
            raise unavailable(str(error)) from None
        if outcome.verdict is Verdict.REJECTED:
            raise Refused(404, "not_found", outcome.reason)
        return outcome, parsed


def _check_head(request: web.Request) -> None:
    """What the request line and headers alone can tell, before the body is read."""
    if (request.content_length or 0) > MAX_BODY:
        raise _too_large()
    if request.headers.get("Sec-Fetch-Site") == "cross-site" or request.headers.get("Origin"):
        raise Refused(403, "forbidden", "webhooks do not come from web pages")
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise Refused(415, "unsupported", "send the body plain or with Content-Encoding: gzip")
    content_type = request.content_type.lower()
    if content_type in _REFUSED_EXACT or content_type.startswith(_REFUSED_TYPES):
        raise Refused(415, "unsupported", "send JSON: Content-Type: application/json")


async def _read(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(READ_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Refused(408, "timeout", "the body did not arrive in time; send it again") from None
    except web.HTTPRequestEntityTooLarge:
        raise _too_large() from None
    except (ContentEncodingError, web.RequestPayloadError, ValueError):
        raise Refused(400, "bad_request", "the body is cut or its encoding is broken") from None


def _too_large() -> Refused:
    return Refused(413, "too_large", f"the body is larger than {MAX_BODY // 1024 // 1024} MiB")


@dataclass(slots=True)
class _Note:
    """What is known so far of a request that may be refused."""

    source: str
    path: str
    at: Instant
    kind: str = "request"
    size: int = 0
    body: bytes = b""
    headers: Mapping[str, str] | None = None

    def keep(self, inbound: Inbound, source: Source) -> None:
        """Once the sender is proven, its body helps to see what was wrong."""
        self.body = inbound.body[:KEPT_REJECTED_BODY]
        self.headers = kept_headers(source, inbound.headers)

    def rejection(self, refused: Refused) -> Rejection:
        return Rejection(
            source=self.source,
            kind=self.kind,
            path=self.path[:200],
            received_at=self.at,
            status=refused.status,
            reason=f"{refused.error}: {refused.detail}"[:500],
            size=self.size,
            headers=self.headers or {},
            body=self.body,
        )
