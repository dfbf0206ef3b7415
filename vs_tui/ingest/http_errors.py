"""JSON answers, and errors in the form of the API contract: `{"error": code, "detail": what to do,
"request_id"}`."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

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
    headers = {**refused.headers, REQUEST_ID: refused.request_id}
    return Answer(error_body(refused), refused.status, headers)


def error_body(refused: Refused) -> dict[str, str]:
    return {
        "error": refused.error,
        "detail": refused.detail,
        "request_id": refused.request_id,
    }


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
