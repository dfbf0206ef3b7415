"""What a read token of one team sees: the spans of other teams are hidden as if they did not
exist."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiohttp import web

from vs_tui.ingest.http_errors import Refused
from vs_tui.model.vocabulary import Span
from vs_tui.store.queries.reader_protocol import Trace

TEAM: Final = "vs.team"
"""Request key: the only team that its token sees. Absent if it sees all."""
_FILTERED: Final = frozenset({"/api/spans", "/api/traces", "/api/counts"})
_OF_A_TEAM: Final = frozenset({"/api/dora", "/api/dora/detail", "/api/cards"})
_OPEN: Final = frozenset(
    {
        *("/api/spans/{ref}", "/api/traces/{trace_id}", "/api/teams", "/api/baselines"),
        *(
            "/api/board",
            "/api/past-runs",
            "/api/changes",
            "/api/stream",
            "/api/health",
            "/openapi.json",
        ),
    }
)
"""Paths without another query: their handlers leave out what the team does not own."""


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
