"""JSON answers, and errors in the form of the API contract: `{"error": code, "detail": what to do,
"request_id"}`; those of `/v1/traces` in the encoding of the request.

The OTLP specification requires an `ExportTraceServiceResponse` or, for an error, a
`google.rpc.Status`, in protobuf if the request was protobuf
(https://opentelemetry.io/docs/specs/otlp/#otlphttp-response). A client that cannot read the answer
reports its own failure: `otel-cli exec` then loses the exit code of its command.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Any, Final, NamedTuple

import orjson
from aiohttp import web

from vs_tui.log.delivery import UNKNOWN_SOURCE, Rejection
from vs_tui.model.time import Instant
from vs_tui.store.storage_errors import explain, is_storage

log = logging.getLogger(__name__)

JSON_TYPE: Final = "application/json"
REQUEST_ID: Final = "X-Request-Id"
_NONE: Final[Mapping[str, str]] = {}
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="deliveries"'}
"""The header that RFC 9110 requires for every 401. It does not offer Basic, although we accept it,
because browsers would then ask for a password."""
METHODS: Final = frozenset({"POST", "PUT", "PATCH"})
"""Methods that tools use; a browser's GET for an icon is not recorded."""
_TOKEN: Final = re.compile(r"(?=[^/]*[0-9])(?=[^/]*[A-Za-z])[^/]{16,}")
"""A path segment of 16 or more characters with letters and digits."""
_REASON: Final = "not_found: no source receives at this path; `vs-tui source list` lists the paths"


class Refused(Exception):
    """A request that is answered with an error. Its `request_id` is in the answer, in Events and,
    for a bug of ours, in the log, so that the three can be matched."""

    def __init__(self, status: int, error: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail
        self.request_id = token_hex(6)
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if status == 401:
            self.headers |= CHALLENGE


class Answer(NamedTuple):
    """An answer to a sender, independent of how it is written to the connection."""

    payload: object
    status: int = 200
    headers: Mapping[str, str] = _NONE

    @property
    def body(self) -> bytes:
        return orjson.dumps(self.payload)

    @property
    def response(self) -> web.Response:
        """The answer as an aiohttp response."""
        response = _Nameless(body=self.body, status=self.status, content_type=JSON_TYPE)
        response.headers.update(self.headers)
        return response


def answer(payload: object, status: int = 200) -> web.Response:
    """A JSON response."""
    return Answer(payload, status).response


def refusal(refused: Refused) -> Answer:
    body = {"error": refused.error, "detail": refused.detail, "request_id": refused.request_id}
    headers = {**refused.headers, REQUEST_ID: refused.request_id}
    return Answer(body, refused.status, headers)


class _Nameless(web.Response):
    """A response without the `Server` header, so that it does not show the versions of server and
    Python. An application cannot remove that header everywhere."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


def not_found(detail: str = "there is nothing here; /openapi.json lists all paths") -> Refused:
    # A constant text: nothing of the request is echoed to strangers.
    return Refused(404, "not_found", detail)


def unavailable(detail: str) -> Refused:
    return Refused(503, "unavailable", detail, Retry_After="15")


def unexpected(error: Exception, database: Path) -> Refused:
    """The answer to an unexpected error: 503 for a storage error, else 500 and a line in the
    log."""
    if is_storage(error):
        return unavailable(explain(error, database).replace(str(database), "the database"))
    refused = Refused(500, "internal", "this is a bug in vs-tui; see its log")
    log.exception("request %s failed; please report it", refused.request_id, exc_info=error)
    return refused


def unknown_path(
    path: str,
    headers: Mapping[str, str],
    at: Instant,
    refused: Refused,
    secrets: Iterable[str] = (),
) -> Rejection:
    """The row for Events of a request to a path that no source has, so that a webhook with a wrong
    URL can be seen. Its sender is not authenticated: only the path and the name of the program are
    kept. Secrets, and text that looks like one, are masked, because people paste tokens into
    paths."""
    path = path[:2_000]
    for secret in secrets:
        path = path.replace(secret, "(secret)")
    path = _TOKEN.sub("(masked)", path)
    program = headers.get("User-Agent", "").encode("utf-8", "replace").decode()[:200]
    kept = {"user-agent": program} if program else {}
    return Rejection(
        source=UNKNOWN_SOURCE,
        kind="request",
        path=path[:200],
        received_at=at,
        status=refused.status,
        reason=_REASON,
        size=0,
        headers={**kept, REQUEST_ID.lower(): refused.request_id},
    )


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
    response.body, response.content_type = body, PROTOBUF
    return response


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
