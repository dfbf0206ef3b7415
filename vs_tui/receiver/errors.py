"""Errors as the JSON of the contract: `{"error": code, "detail": what to do}`."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

JSON_TYPE: Final = "application/json"


class Refused(Exception):
    """A request that is answered with an error; `reason` is shown in Events, too."""

    def __init__(self, status: int, error: str, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.error = error
        self.detail = detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def answer(payload: object, status: int = 200) -> web.Response:
    """A JSON response."""
    return web.Response(body=orjson.dumps(payload), status=status, content_type=JSON_TYPE)


def refusal(refused: Refused) -> web.Response:
    response = answer({"error": refused.error, "detail": refused.detail}, refused.status)
    response.headers.update(refused.headers)
    return response


def not_found(detail: str = "there is nothing at this path; the README lists all paths") -> Refused:
    # Constant texts on purpose: nothing of the request is echoed to strangers.
    return Refused(404, "not_found", detail)


def unavailable(detail: str) -> Refused:
    return Refused(503, "unavailable", detail, Retry_After="15")
