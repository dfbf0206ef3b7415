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
from vs_tui.domain.limits import MIB, Limits
from vs_tui.domain.model import Verdict
from vs_tui.intaking import intake_of, kept_headers
from vs_tui.receiver.admission import Admission, Load
from vs_tui.receiver.apart import SIZE_AT_ONCE, Apart, is_large
from vs_tui.receiver.auth import Gate
from vs_tui.receiver.errors import REQUEST_ID, Refused, answer, unavailable
from vs_tui.sources.base import BadBody, Inbound, Parsed, Source, Unauthorized
from vs_tui.store.intake import Outcome, Rejection
from vs_tui.store.writer import Unavailable, Writer

KEPT_REJECTED_BODY: Final = 64 * 1024
_ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
_REFUSED_TYPES: Final = ("multipart/", "image/", "audio/", "video/", "text/html", "text/xml")
Prepare = Callable[[Inbound], Awaitable[Inbound]]
_REFUSED_EXACT: Final = frozenset({"application/xml", "application/pdf", "application/zip"})


class Receiving:
    """The handler of every receiving path."""

    def __init__(
        self,
        writer: Writer,
        gate: Gate,
        clock: Callable[[], Instant],
        limits: Limits,
        admission: Admission,
    ) -> None:
        self._writer = writer
        self._gate = gate
        self._clock = clock
        self._limits = limits
        self._admission = admission
        self._apart = Apart()

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
        note = _Note(source.name, clean(request.path), self._clock())
        try:
            with self._admission.request(source.name) as load:
                inbound = await self._admit(source, request, note, load)
                if prepare is not None:
                    if is_large(inbound):
                        raise _too_large(f"{SIZE_AT_ONCE / MIB:g} MiB here")
                    inbound = await prepare(inbound)
                outcome, parsed = await self._accept(source, inbound, note)
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
        self, source: Source, request: web.Request, note: _Note, load: Load
    ) -> Inbound:
        _check_head(request, self._limits)
        headers = {name.lower(): clean(value) for name, value in request.headers.items()}
        try:
            self._gate.admit_head(source, headers, request.query)
            body = await _read(request, load, self._limits)
            note.size = len(body)
            inbound = Inbound(
                path=note.path.removeprefix("/api/v1"),
                headers=headers,
                body=body,
                received_at=note.at,
                query=dict(request.query),
                url=f"{request.scheme}://{request.host}{request.raw_path}",
            )
            self._gate.admit_body(source, inbound)
        except Unauthorized as error:
            raise Refused(401, "unauthorized", str(error)) from None
        note.keep(inbound, source)
        return inbound

    async def _accept(
        self, source: Source, inbound: Inbound, note: _Note
    ) -> tuple[Outcome, Parsed]:
        try:
            parsed = await self._apart.read(source, inbound)
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


def clean(text: str) -> str:
    """Header and path bytes as UTF-8; aiohttp hands over what is not UTF-8 as lone surrogates,
    which neither SQLite nor JSON can hold."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _check_head(request: web.Request, limits: Limits) -> None:
    """What the request line and headers alone can tell, before the body is read."""
    if (request.content_length or 0) > limits.body:
        raise _too_large(_limit(limits))
    if request.headers.get("Sec-Fetch-Site") == "cross-site" or request.headers.get("Origin"):
        raise Refused(403, "forbidden", "webhooks do not come from web pages")
    encoding = request.headers.get("Content-Encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise Refused(415, "unsupported", "send the body plain or with Content-Encoding: gzip")
    content_type = request.content_type.lower()
    if content_type in _REFUSED_EXACT or content_type.startswith(_REFUSED_TYPES):
        raise Refused(415, "unsupported", "send JSON: Content-Type: application/json")


async def _read(request: web.Request, load: Load, limits: Limits) -> bytes:
    """The body after decompression; every piece is accounted for as it comes, so that neither a
    large Content-Length nor a small bomb takes more than arrived."""
    if request.content.is_eof() and not request.content.exception():
        # A small body comes with its head: there is nothing to wait for.
        whole = request.content.read_nowait()
        if len(whole) > limits.body:
            raise _too_large(_limit(limits))
        load.add(len(whole))
        return whole
    body = bytearray()
    try:
        async with asyncio.timeout(limits.read_seconds):
            async for piece in request.content.iter_any():
                if len(body) + len(piece) > limits.body:
                    raise _too_large(_limit(limits))
                load.add(len(piece))
                body += piece
    except TimeoutError:
        raise Refused(408, "timeout", "the body did not arrive in time; send it again") from None
    except (ContentEncodingError, web.RequestPayloadError, ValueError, OSError, RuntimeError):
        # aiohttp raises all of these, depending on when the sender hung up.
        raise Refused(400, "bad_request", "the body is cut or its encoding is broken") from None
    return bytes(body)


def _limit(limits: Limits) -> str:
    return f"{limits.body / MIB:g} MiB; see [limits] body"


def _too_large(limit: str) -> Refused:
    return Refused(413, "too_large", f"the body is larger than {limit}")


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
            headers={**(self.headers or {}), REQUEST_ID.lower(): refused.request_id},
            body=self.body,
        )
