"""What each request of the reading API passes: the proof, the names of its parameters, and the
team of its token. Spans of other teams are hidden as if they did not exist."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Final

from aiohttp import web

from vs_tui.api.openapi import parameters
from vs_tui.ingest.auth import Gate
from vs_tui.ingest.http_errors import Refused
from vs_tui.model.display import clean
from vs_tui.model.time import MINUTE, Instant, parse_instant
from vs_tui.model.vocabulary import Span
from vs_tui.store.freed_memory import give_back_memory
from vs_tui.store.maintenance.backup import TOKEN_USE
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.store.writer import Writer

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
LASTS: Final[web.RequestKey[Callable[[], bool]]] = web.RequestKey("vs.lasts")
"""Request key of a function that returns whether the request's token is still valid."""

TEAM: Final = "vs.team"
"""Request key: the only team that its token sees. Absent if it sees all."""
_FILTERED: Final = frozenset({"/api/spans", "/api/traces", "/api/counts"})
_OF_A_TEAM: Final = frozenset({"/api/dora", "/api/dora/detail", "/api/cards"})
_OPEN: Final = frozenset(
    {
        *("/api/spans/{ref}", "/api/traces/{trace_id}", "/api/teams", "/api/baselines"),
        *("/api/board", "/api/past-runs", "/api/changes", "/api/stream"),
        *("/api/health", "/openapi.json"),
    }
)
"""Paths without another query: their handlers leave out what the team does not own."""


FEW_ROWS: Final = 500
UNSENT: Final = 8
"""Most large answers in memory that their readers have not read yet; further ones wait. A reader
that reads nothing is cut off (`connections.LEAST_READ`)."""
_ALL_ROWS: Final = frozenset(
    {"/api/board", *(f"{v}/{p}" for v in ("", "/api/v1") for p in ("deployments", "incidents"))}
)
"""Paths whose answers have many rows unless a limit is given."""
_WHOLE: Final = ("/api/traces/", "/api/deliveries/")
NOTED_EVERY: Final = MINUTE
_OUT_OF_RANGE: Final = "a number or time is out of range"


class Guard:
    """Wraps the handlers of reading paths."""

    def __init__(self, gate: Gate, writer: Writer) -> None:
        self._gate = gate
        self._writer = writer
        self._large = asyncio.Semaphore(1)
        """Makes one large answer at a time, because each is held in memory whole."""
        self._unsent = asyncio.Semaphore(UNSENT)

    def __call__(self, handler: Handler, *, waits: bool = True) -> Handler:
        """The handler, guarded by the token and by a check of the parameters: an unknown one is
        400, because ignoring it would answer another question. ValueError becomes 400. It `waits`
        until what was acknowledged before is folded; a screen says `quick` in its query."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            headers = {k.lower(): v for k, v in request.headers.items()}
            if len(request.headers.getall("Authorization", ())) > 1:
                headers.pop("authorization")  # which one is meant is a guess
            token = self._gate.admit_reader(headers, request.method, request.raw_path)
            try:
                _check_parameters(request)
                if token is not None and token.team:
                    request = of_team(request, token.team)
                request[LASTS] = self._gate.lasting(token)
                if waits and not is_quick(request.query):
                    # A script sees what it sent before; a screen is repainted as it changes.
                    await self._writer.caught_up()
                if not _is_large(request):
                    return await handler(request)
                async with self._unsent:
                    async with self._large:
                        try:
                            response = await handler(request)
                        finally:
                            give_back_memory()
                    with contextlib.suppress(ConnectionError):  # aiohttp sees it, too
                        await response.prepare(request)
                        await response.write_eof()
                    if isinstance(response, web.Response):
                        response.body = None  # the connection keeps it until the next request
                    return response
            except ValueError as error:
                raise Refused(400, "bad_request", str(error)) from None
            except OverflowError:
                raise Refused(400, "bad_request", _OUT_OF_RANGE) from None

        return guarded


def of_team(request: web.Request, team: str) -> web.Request:
    """The request narrowed to a token's team. Refused with 403 if it shows more, such as
    deliveries, whose bodies belong to all teams."""
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    if path in _FILTERED:
        query = request.rel_url.update_query(
            filter=f'{request.query.get("filter", "")} team:"{team}"'.strip()
        )
        request = request.clone(rel_url=query)
    elif path in _OF_A_TEAM:
        if request.query.get("team", team) != team:
            raise Refused(403, "forbidden", f"this token sees the team {team} only")
        request = request.clone(rel_url=request.rel_url.update_query(team=team))
    elif path not in _OPEN:
        raise Refused(403, "forbidden", f"this token sees the team {team} only, and this shows all")
    request[TEAM] = team
    return request


def is_seen(request: web.Request, span: Span) -> bool:
    """Whether the request's token may see a span."""
    return TEAM not in request or span.team == request[TEAM]


def within_team(trace: Trace, team: str) -> Trace | None:
    """A trace with the spans of one team; None if there are none."""
    spans = [span for span in trace.spans if span.team == team]
    keys = {span.key for span in spans}
    links = [link for link in trace.links if link.child in keys and link.parent in keys]
    if not spans:
        return None
    root = trace.root if trace.root.key in keys else spans[0]
    linked = [span for span in trace.linked if span.team == team]
    spans = [span if span.parent_key in keys else span._replace(parent_key="") for span in spans]
    return replace(trace, root=root, spans=spans, links=links, linked=linked)


class Uses:
    """When each named token was last used, for `vs-tui secret list`. Recorded on the event loop,
    and written in the background at most once a minute."""

    def __init__(self, writer: Writer, clock: Callable[[], Instant]) -> None:
        self._writer = writer
        self._clock = clock
        self._noted: dict[str, Instant] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def note(self, name: str) -> None:
        """Record that a token proved a request."""
        now = self._clock()
        if now - self._noted.get(name, 0) < NOTED_EVERY:
            return
        self._noted[name] = now
        task = asyncio.get_running_loop().create_task(self._store(name, now))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _store(self, name: str, now: Instant) -> None:
        try:
            await self._writer.transaction(
                lambda db, _: db.execute("REPLACE INTO meta VALUES (?, ?)", (TOKEN_USE + name, now))
            )
        except Exception as error:
            log.debug("the use of a token was not noted: %s", error)


def _check_parameters(request: web.Request) -> None:
    """Raise ValueError for a query parameter that is unknown, given twice, or none of its words."""
    resource = request.match_info.route.resource
    known = parameters(resource.canonical) if resource is not None else None
    if known is None:
        return
    for name in dict.fromkeys(request.query):
        if name not in known:
            others = ", ".join(known) or "none"
            raise ValueError(f"{clean(name)[:40]}: is not known here; use {others}")
        values, schema = request.query.getall(name), known[name]
        if len(values) > 1 and schema.get("type") != "array":
            raise ValueError(f"{name}: is given {len(values)} times; give it once")
        words = schema.get("enum", values)
        if values[0] not in words:
            shown = ", ".join(word for word in words if word)
            raise ValueError(f"{name}: '{clean(values[0])[:40]}' is not known; use {shown}")


def is_quick(query: Mapping[str, str]) -> bool:
    """Whether the request comes from a screen, which gets the rows found so far after a short
    time."""
    return query.get("quick", "") == "1"


def team_of(request: web.Request) -> str:
    """The only team that the request's token may see; empty for all."""
    return str(request.get(TEAM, ""))


def _is_large(request: web.Request) -> bool:
    """Whether the answer may have many rows, or a whole body."""
    limit = request.query.get("limit", "")
    if not limit:
        return request.path in _ALL_ROWS or request.path.startswith(_WHOLE)
    return is_number(limit) and int(limit) > FEW_ROWS


def is_number(text: str) -> bool:
    """Whether the text can be a number of the database: fewer than 19 digits."""
    return text.isascii() and text.isdigit() and len(text) < 19


def number(query: Mapping[str, str], name: str) -> str:
    """A cursor from an earlier answer; empty without one."""
    text = query.get(name, "")
    if text and not is_number(text):
        raise ValueError(f"{name} must be a number that an answer before this one told")
    return text


def limit_of(text: str) -> int:
    if not is_number(text) or not 0 < int(text) <= 10_000:
        raise ValueError("limit must be a whole number from 1 to 10000")
    return int(text)


def instant(query: Mapping[str, str], name: str) -> Instant | None:
    """The instant in a query parameter; None without one."""
    text = query.get(name, "")
    found = parse_instant(text) if text else None
    if text and found is None:
        raise ValueError(f"{name} must be a time such as 2026-03-02T10:00:00Z")
    return found
