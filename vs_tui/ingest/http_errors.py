"""Answers as JSON; errors as the contract has them: `{"error": code, "detail": what to do,
"request_id"}`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from secrets import token_hex
from typing import Final, NamedTuple

import orjson
from aiohttp import web

from vs_tui.ingest.decoding import ENCODINGS as DECODED
from vs_tui.store.storage_errors import explain, is_storage

log = logging.getLogger(__name__)

JSON_TYPE: Final = "application/json"
REQUEST_ID: Final = "X-Request-Id"
_NONE: Final[Mapping[str, str]] = {}
CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="deliveries"'}
"""What RFC 9110 asks of every 401. Not Basic, which we take as well: browsers would ask people."""
ENCODINGS: Final = f"send the body plain or with Content-Encoding: {', '.join(DECODED)}"


class Refused(Exception):
    """A request that is answered with an error. Its `request_id` is in the answer, in Events and,
    for a bug of ours, in the log: by it the three are brought together."""

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
    """What a sender is told, however it is written to the connection."""

    payload: object
    status: int = 200
    headers: Mapping[str, str] = _NONE

    @property
    def body(self) -> bytes:
        return orjson.dumps(self.payload)

    @property
    def response(self) -> web.Response:
        """As aiohttp writes it."""
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
    """Does not tell which server and Python this is, also where no application could hide it."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


def not_found(detail: str = "there is nothing here; /openapi.json lists all paths") -> Refused:
    # Constant texts on purpose: nothing of the request is echoed to strangers.
    return Refused(404, "not_found", detail)


def unavailable(detail: str) -> Refused:
    return Refused(503, "unavailable", detail, Retry_After="15")


def unexpected(error: Exception, database: Path) -> Refused:
    """What a sender is told of an error that nobody foresaw: trouble with the disk, or a bug."""
    if is_storage(error):
        return unavailable(explain(error, database).replace(str(database), "the database"))
    refused = Refused(500, "internal", "this is a bug in vs-tui; see its log")
    log.exception("request %s failed; please report it", refused.request_id, exc_info=error)
    return refused
