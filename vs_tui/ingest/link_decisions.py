"""Resolves span names in link decisions to span keys before a decision is stored.

A short ref may become ambiguous later and an alias may move; a stored decision must mean the same
spans at every rebuild.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from vs_tui.ingest.http_errors import Refused
from vs_tui.model.display import clean
from vs_tui.sources.base import Inbound
from vs_tui.store.queries.reader_protocol import Reader


class Resolver:
    """Rewrites `child` and `parent` in the body of POST /api/links to full keys."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def __call__(self, inbound: Inbound) -> Inbound:
        """The rewritten request. Refused with 404 if there is no such span, with 400 if it cannot
        be moved."""
        try:
            body = orjson.loads(inbound.body)
        except orjson.JSONDecodeError:
            return inbound  # the source reports the error
        if not isinstance(body, dict):
            return inbound
        found = {role: await self._key(body, role) for role in ("child", "parent")}
        try:
            return inbound._replace(body=orjson.dumps({**body, **found}))
        except TypeError:  # orjson reads deeper nesting than it writes
            raise Refused(400, "bad_request", "body: is nested too deep; send it flatter") from None

    async def _key(self, body: Mapping[str, Any], role: str) -> str:
        name = body.get(role)
        if not isinstance(name, str) or not name.strip():
            return ""
        span = await self._reader.span(name.strip())
        if span is None:
            raise Refused(
                404,
                "not_found",
                f"{role}: there is no span {clean(name)[:100]}; `vs-tui ls` lists them by ref",
            )
        if role == "child" and span.operation == "stage":
            raise Refused(
                400, "bad_request", "child: a stage belongs to its span; name that span instead"
            )
        return span.key
