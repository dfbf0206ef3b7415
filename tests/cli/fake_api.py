"""A tool's REST API on loopback: lists in pages, rate limits and outages on demand."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class FakeApi:
    """Answers GET requests from `routes`: path -> a value, or a list of pages."""

    routes: dict[str, Any]
    style: str = "link"
    """How pages follow each other: by the Link header, or as Jira counts."""
    troubles: dict[str, list[web.Response]] = field(default_factory=dict)
    """path -> answers given before the real one."""
    hold: str = ""
    """`path?query` part of a request that is answered only when `released` is set."""
    requests: list[web.Request] = field(default_factory=list)
    held: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.handle)
        return app

    def asked(self, path: str) -> int:
        """How often a path was requested."""
        return sum(request.path == path for request in self.requests)

    async def handle(self, request: web.Request) -> web.Response:
        self.requests.append(request)
        if self.hold and self.hold in request.path_qs:
            self.held.set()
            await self.released.wait()
        if self.troubles.get(request.raw_path.partition("?")[0]):
            return self.troubles[request.path].pop(0)
        found = self.routes.get(request.raw_path.partition("?")[0])
        if found is None:
            return web.json_response({"message": "Not Found"}, status=404)
        if isinstance(found, Callable):
            return found(request)
        if not isinstance(found, Pages):
            return web.json_response(found)
        page = int(request.query.get("page", 1))
        headers = {}
        if page < len(found.pages):
            query = dict(request.query)
            urls = {
                rel: str(request.url.with_query({**query, "page": number}))
                for rel, number in (("next", page + 1), ("last", len(found.pages)))
            }
            headers["Link"] = ", ".join(f'<{url}>; rel="{rel}"' for rel, url in urls.items())
        return web.json_response(found.pages[page - 1], headers=headers)


class Pages:
    """A list in parts."""

    def __init__(self, *pages: Any) -> None:
        self.pages = pages


def limited(status: int, **headers: str) -> web.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return web.json_response({"message": "API rate limit exceeded"}, status=status, headers=named)
