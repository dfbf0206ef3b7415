"""Receives webhooks: request -> limits -> proof -> parse -> commit -> 2xx.

Sources parse the payloads; this module knows none of them. Every refusal is recorded for the Events
view.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any, Final

from aiohttp import web

from vs_tui.ingest.admission import Admission, Load, too_many
from vs_tui.ingest.auth import Gate
from vs_tui.ingest.bodies import (
    ENCODINGS,
    PIECE,
    RATIO_UNPROVEN,
    SIZE_AT_ONCE,
    Broken,
    SubprocessParser,
    decoded,
    is_large,
)
from vs_tui.ingest.connections import Plain, Reply
from vs_tui.ingest.http_errors import (
    REQUEST_ID,
    Answer,
    Refused,
    refusal,
    unavailable,
    unexpected,
)
from vs_tui.log.append_queue import Unavailable
from vs_tui.log.delivery import Receipt, Rejection
from vs_tui.model.limits import MIB, Limits
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import BadBody, Inbound, Source, Unauthorized
from vs_tui.sources.dispatch import intake_of, kept_headers, outline
from vs_tui.store.writer import Writer

KEPT_REJECTED_BODY: Final = 64 * 1024
_PLAIN_ENCODINGS: Final = frozenset({"", "identity"})
_REFUSED_TYPES: Final = ("multipart/", "image/", "audio/", "video/", "text/html", "text/xml")
Prepare = Callable[[Inbound], Awaitable[Inbound]]
_REFUSED_EXACT: Final = frozenset({"application/xml", "application/pdf", "application/zip"})


class Receiving:
    """The handlers of all receiving paths."""

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
        self._subprocess_parser = SubprocessParser()
        self._arriving: set[asyncio.Timeout] = set()
        self._stopped: asyncio.Event | None = None

    async def stop(self) -> None:
        """Wait a moment for bodies that are still arriving, because some senders send only once.
        Requests that are still incomplete then get 503."""
        if self._arriving:
            self._stopped = asyncio.Event()
            last = asyncio.get_running_loop().time() + self._limits.stop_seconds / 2
            for patience in self._arriving:
                patience.reschedule(last)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), self._limits.stop_seconds)

    def handler(
        self, source: Source, prepare: Prepare | None = None
    ) -> Callable[[web.Request], Any]:
        """The handler of a source; `prepare` may complete a proven request before it is parsed."""

        async def receive(request: web.Request) -> web.Response:
            note = _Note(source, tidy(clean(request.path)), self._clock())
            try:
                arriving = not request.content.is_eof()
                with self._admission.request(source.name, arriving=arriving) as load:
                    inbound = await self._admit(note, request, load)
                    if prepare is not None:
                        # It may need a span that was sent just before.
                        await self._writer.caught_up()
                        if is_large(inbound):
                            raise _too_large(f"{SIZE_AT_ONCE / MIB:g} MiB here")
                        inbound = await prepare(inbound)
                    parsed = await self._subprocess_parser.read(source, inbound)
                    note.kind = parsed.kind
                    receipt = await self._writer.submit(
                        intake_of(source, inbound, parsed, note.proof)
                    )
                return _accepted(receipt, parsed.answer, parsed.status).response
            except _REFUSALS as error:
                raise self._refuse(note, error) from None

        return receive

    def plain_handler(self, source: Source) -> Callable[[Plain, Reply], None]:
        """The handler of a source for requests that have arrived whole. It never waits: it calls
        `reply` at once with a refusal, or after the commit with the answer."""

        def receive(request: Plain, reply: Reply) -> None:
            note = _Note(source, request.path, self._clock())

            def refuse(error: Exception) -> None:
                if isinstance(error, _REFUSALS):
                    reply(refusal(self._refuse(note, error)))
                else:
                    reply(refusal(unexpected(error, self._writer.path)))

            def tell(result: Receipt | Unavailable) -> None:
                load.end()
                try:
                    if isinstance(result, Unavailable):
                        raise result
                    reply(_accepted(result, answer, status))
                except Exception as error:
                    refuse(error)

            try:
                load = self._admission.request(source.name)
            except Refused as error:
                refuse(error)
                return
            try:
                inbound = self._admit_plain(note, request, load)
                parsed = outline(source, inbound)
                note.kind = parsed.kind
                # Not `parsed`, which keeps the decoded body, five times its size, however large.
                answer, status = parsed.answer, parsed.status
                self._writer.put(intake_of(source, inbound, parsed, note.proof), tell)
            except Exception as error:
                load.end()
                refuse(error)

        return receive

    async def _admit(self, note: _Note, request: web.Request, load: Load) -> Inbound:
        headers = {name.lower(): clean(value) for name, value in request.headers.items()}
        _check_head(headers, request.content_length or 0, self._limits)
        note.peer = request.remote or ""
        if len(request.headers.getall("Authorization", ())) > 1:
            raise Unauthorized("the Authorization header is there twice; send one")
        note.proof = self._gate.admit_head(note.source, headers, request.query)
        self._pay(note)
        body = await self._read(request, load, proven=bool(note.proof))
        if (encoding := _encoding(headers)) not in _PLAIN_ENCODINGS:
            body = await self._decode(encoding, body, load, proven=bool(note.proof))
        load.arrived()
        url = f"{request.scheme}://{request.host}{request.raw_path}"
        return self._admit_body(note, headers, body, dict(request.query), url)

    async def _decode(self, encoding: str, raw: bytes, load: Load, *, proven: bool) -> bytes:
        """The decompressed body. A small body that expands a lot uses no more memory than the
        limit, and little time without a proof."""
        body = bytearray()
        most, said = self._limits.body, _limit(self._limits)
        if not proven and len(raw) * RATIO_UNPROVEN < most:
            most, said = len(raw) * RATIO_UNPROVEN, f"{RATIO_UNPROVEN} times its packed size"
        try:
            for piece in decoded(encoding, raw, min(most + 1, PIECE)):
                if len(body) + len(piece) > most:
                    raise _too_large(said)
                load.add(len(piece), most)
                body += piece
                await asyncio.sleep(0)  # other requests go on between two pieces
        except Broken as error:
            raise Refused(400, "bad_request", str(error)) from None
        return bytes(body)

    async def _read(self, request: web.Request, load: Load, *, proven: bool) -> bytes:
        """The body as sent. Each piece is counted when it arrives, so that a large Content-Length
        reserves no memory for bytes that have not arrived. A sender that is not `proven` by its
        head may have to give way to another."""
        limits = self._limits
        body = bytearray()
        gave_way = False

        def give_way() -> None:
            nonlocal gave_way
            gave_way = True
            patience.reschedule(asyncio.get_running_loop().time())

        # A chunked body has no announced size and may grow up to the limit.
        announced = limits.body if request.content_length is None else request.content_length
        try:
            async with asyncio.timeout(limits.read_seconds) as patience:
                self._arriving.add(patience)
                load.give_way = None if proven else give_way
                async for piece in request.content.iter_any():
                    if len(body) + len(piece) > limits.body:
                        raise _too_large(_limit(limits))
                    load.add(len(piece), announced)
                    body += piece
        except TimeoutError:
            if self._stopped:
                raise unavailable("the receiver is being stopped; send it again") from None
            if gave_way:
                raise too_many(load.source) from None
            raise Refused(
                408, "timeout", "the body did not arrive in time; send it again"
            ) from None
        except (web.RequestPayloadError, ValueError, OSError, RuntimeError):
            # aiohttp raises all of these, depending on when the sender hung up.
            raise Refused(400, "bad_request", "the body is cut") from None
        finally:
            load.give_way = None
            self._arriving.discard(patience)
            if self._stopped and not self._arriving:
                self._stopped.set()
        return bytes(body)

    def _admit_plain(self, note: _Note, request: Plain, load: Load) -> Inbound:
        headers, body = request.headers, request.body
        _check_head(headers, len(body), self._limits)
        note.peer = request.peer
        note.proof = self._gate.admit_head(note.source, headers, {})
        load.add(len(body), len(body))
        return self._admit_body(note, headers, body, {}, f"http://{headers['host']}{request.path}")

    def _admit_body(
        self,
        note: _Note,
        headers: Mapping[str, str],
        body: bytes,
        query: Mapping[str, str],
        url: str,
    ) -> Inbound:
        note.size = len(body)
        path = note.path.removeprefix("/api/v1")
        inbound = Inbound(path, headers, body, note.at, query, url)
        note.proof = self._gate.admit_body(note.source, inbound) or note.proof
        self._pay(note)
        note.proven = inbound
        return inbound

    def _pay(self, note: _Note) -> None:
        """Spend one request of the source's rate, once the request has a proof."""
        if note.proof and not note.paid:
            note.paid = True
            self._admission.pay(note.source.name)

    def _unproven(self, note: _Note, error: Unauthorized) -> Refused:
        try:
            self._admission.pay_as_stranger(note.peer)
        except Refused as refused:
            return refused
        return Refused(401, "unauthorized", str(error))

    def _refuse(self, note: _Note, error: Exception) -> Refused:
        """The refusal to send; it is also recorded for the Events view."""
        if isinstance(error, Refused):
            refused = error
        elif isinstance(error, Unauthorized):
            refused = self._unproven(note, error)
        elif isinstance(error, BadBody):
            note.kind = error.kind or note.kind
            refused = Refused(400, "bad_request", str(error))
        else:
            # Senders must not see the path of the database.
            refused = unavailable(str(error).replace(str(self._writer.path), "the database"))
        self._writer.reject(note.rejection(refused))
        return refused


_REFUSALS: Final = (Refused, Unauthorized, BadBody, Unavailable)


def _accepted(receipt: Receipt, answer: Mapping[str, Any], status: int) -> Answer:
    if receipt.verdict is Verdict.REJECTED:
        raise Refused(404, "not_found", receipt.reason)
    body: dict[str, Any] = {
        "result": "success",
        "delivery": receipt.delivery_id,
        "verdict": receipt.verdict.value,
        "spans": receipt.span_refs,
    }
    if receipt.reason:
        body["reason"] = receipt.reason
    body.update(answer)
    return Answer(body, status)


def clean(text: str) -> str:
    """Header and path text as valid UTF-8. aiohttp gives invalid bytes as lone surrogates, which
    neither SQLite nor JSON can hold."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def tidy(path: str) -> str:
    """The path without doubled and trailing slashes, which come from senders' settings."""
    return re.sub("/{2,}", "/", path).rstrip("/") or "/"


def _check_head(headers: Mapping[str, str], size: int, limits: Limits) -> None:
    """Refuse a request by its headers alone, before the body is read."""
    if size > limits.body:
        raise _too_large(_limit(limits))
    if headers.get("sec-fetch-site") == "cross-site" or headers.get("origin"):
        raise Refused(403, "forbidden", "webhooks do not come from web pages")
    if (encoding := _encoding(headers)) not in _PLAIN_ENCODINGS and encoding not in ENCODINGS:
        known = f"send the body plain or with Content-Encoding: {', '.join(ENCODINGS)}"
        raise Refused(415, "unsupported", known)
    if _is_refused(headers.get("content-type", "")):
        raise Refused(415, "unsupported", "send JSON: Content-Type: application/json")


def _encoding(headers: Mapping[str, str]) -> str:
    return headers.get("content-encoding", "").strip().lower()


@lru_cache(maxsize=64)
def _is_refused(content_type: str) -> bool:
    """Whether no tool sends this content type."""
    media_type = content_type.partition(";")[0].strip().lower()
    return media_type in _REFUSED_EXACT or media_type.startswith(_REFUSED_TYPES)


def _limit(limits: Limits) -> str:
    return f"{limits.body / MIB:g} MiB; see [limits] body"


def _too_large(limit: str) -> Refused:
    return Refused(413, "too_large", f"the body is larger than {limit}")


class _Note:
    """The known facts about a request that may be refused."""

    __slots__ = ("at", "kind", "paid", "path", "peer", "proof", "proven", "size", "source")

    def __init__(self, source: Source, path: str, at: Instant) -> None:
        self.source = source
        self.path = path
        self.at = at
        self.kind = "request"
        self.size = 0
        self.proof = ""
        self.paid = False
        self.peer = ""
        self.proven: Inbound | None = None
        """The request of a proven sender: its headers and body help to find the error."""

    def rejection(self, refused: Refused) -> Rejection:
        proven = self.proven
        kept = {} if proven is None else kept_headers(self.source, proven.headers)
        return Rejection(
            source=self.source.name,
            kind=self.kind,
            path=self.path[:200],
            received_at=self.at,
            status=refused.status,
            reason=f"{refused.error}: {refused.detail}"[:500],
            size=self.size,
            headers={**kept, REQUEST_ID.lower(): refused.request_id},
            body=b"" if proven is None else proven.body[:KEPT_REJECTED_BODY],
        )
