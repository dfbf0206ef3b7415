"""Answers of `/v1/traces` in the encoding of the request.

The OTLP specification requires an `ExportTraceServiceResponse` or, for an error, a
`google.rpc.Status`, in protobuf if the request was protobuf
(https://opentelemetry.io/docs/specs/otlp/#otlphttp-response). A client that cannot read the answer
reports its own failure: `otel-cli exec` then loses the exit code of its command.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import orjson
from aiohttp import web

PROTOBUF: Final = "application/x-protobuf"
_PROTOBUF_TYPES: Final = frozenset({PROTOBUF, "application/protobuf"})
_CODES: Final = {
    400: 3,  # INVALID_ARGUMENT
    401: 16,  # UNAUTHENTICATED
    403: 7,  # PERMISSION_DENIED
    404: 5,  # NOT_FOUND
    408: 4,  # DEADLINE_EXCEEDED
    413: 8,  # RESOURCE_EXHAUSTED
    415: 3,
    429: 8,
    503: 14,  # UNAVAILABLE
}
_UNKNOWN: Final = 2

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def in_kind(response: web.StreamResponse, content_type: str) -> web.StreamResponse:
    """A handler's JSON response, as protobuf if the request was protobuf."""
    if not isinstance(response, web.Response) or not is_protobuf(content_type):
        return response
    payload = orjson.loads(bytes(response.body or b"{}"))  # type: ignore[arg-type]
    if response.status < 400:
        body = success(payload.get("partialSuccess") or {})
    else:
        body = status_message(response.status, str(payload.get("detail", "")))
    kept = {
        name: value
        for name, value in response.headers.items()
        if name.lower() not in ("content-type", "content-length")
    }
    answer = web.Response(body=body, status=response.status, content_type=PROTOBUF)
    answer.headers.update(kept)
    return answer


def is_protobuf(content_type: str) -> bool:
    return content_type.partition(";")[0].strip().lower() in _PROTOBUF_TYPES


def success(partial: dict[str, Any]) -> bytes:
    """An ExportTraceServiceResponse; empty if every span was accepted."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceResponse,
    )

    response = ExportTraceServiceResponse()
    if partial:
        response.partial_success.rejected_spans = int(partial.get("rejectedSpans", 0))
        response.partial_success.error_message = str(partial.get("errorMessage", ""))
    return bytes(response.SerializeToString())


def status_message(http_status: int, message: str) -> bytes:
    """A google.rpc.Status: field 1 is the code, field 2 the message."""
    text = message.encode()[:4000]
    return (
        b"\x08" + _varint(_CODES.get(http_status, _UNKNOWN)) + b"\x12" + _varint(len(text)) + text
    )


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
