"""Errors as the JSON of the contract: `{"error": code, "detail": what to do, "request_id"}`."""

from __future__ import annotations

from secrets import token_hex
from typing import Final

import orjson
from aiohttp import web

JSON_TYPE: Final = "application/json"
REQUEST_ID: Final = "X-Request-Id"


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


def answer(payload: object, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=orjson.dumps(payload), status=status, content_type=JSON_TYPE)


def refusal(refused: Refused) -> web.Response:
    body = orjson.dumps(error_body(refused))
    response = _Nameless(body=body, status=refused.status, content_type=JSON_TYPE)
    response.headers.update(refused.headers)
    response.headers[REQUEST_ID] = refused.request_id
    return response


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


def not_found(detail: str = "there is nothing at this path; the README lists all paths") -> Refused:
    # Constant texts on purpose: nothing of the request is echoed to strangers.
    return Refused(404, "not_found", detail)


def unavailable(detail: str) -> Refused:
    return Refused(503, "unavailable", detail, Retry_After="15")
