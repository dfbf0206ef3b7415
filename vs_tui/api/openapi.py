"""The paths of the HTTP interface, and the OpenAPI 3.1 document of them, served at /openapi.json.

The tables have the reading paths with their query parameters and the shape of each answer; a
parameter that is not in them is refused. Receiving paths come from the registry of sources and
their models. A test calls every operation on a running receiver and compares the document with the
routes in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from vs_tui import __version__
from vs_tui.api import codec
from vs_tui.api.codec import Schema, metrics, object_of, ref_to, spans, traces
from vs_tui.log.delivery import DECISION_SOURCE
from vs_tui.metrics.windows import BUCKETS
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources import emmetrics
from vs_tui.sources.customhttp import CustomEvent
from vs_tui.sources.dispatch import sources

TEXT: Final = codec.TEXT.schema
COUNT: Final = codec.COUNT.schema
SECONDS: Final = codec.SECONDS.schema
ANY: Final = codec.OBJECT.schema


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": object_of({"error": TEXT, "detail": TEXT, "request_id": TEXT}),
    "Accepted": {
        **object_of(
            {
                "result": {"const": "success"},
                "delivery": {"type": "integer"},
                "verdict": codec.word_of(Verdict).schema,
                "spans": _list(TEXT),
            },
            {"reason": TEXT},
        ),
        "additionalProperties": True,  # what the tool itself expects in an answer
    },
    **{each.name: each.schema for each in (*spans.SHAPES, *traces.SHAPES, *metrics.SHAPES)},
}

_FILTER: Final = {"filter": TEXT}
_QUICK: Final[Mapping[str, Schema]] = {
    "quick": {
        "type": "string",
        "enum": ["", "1"],
        "description": "1: answer within a screen's patience, with what was found so far; "
        "ask again while `searched` is not null",
    }
}
_PAGED: Final = {"limit": {"type": "integer", "minimum": 1, "maximum": 10_000}, "cursor": TEXT}
_MICROSECONDS: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 10**18 - 1}
_BACK: Final[Mapping[str, Schema]] = {
    **dict.fromkeys(("team", "at"), TEXT),
    "window": _MICROSECONDS,
    "bucket": {"type": "string", "enum": ["", *BUCKETS]},
}
"""Query parameters of the dashboard's metrics."""

_INCIDENTS: Final[Schema] = {"type": "string", "enum": ["", "in-progress", "unfinished"]}

# path -> (what it is, query parameters, schema of its 200)
READS: Final[Mapping[str, tuple[str, Mapping[str, Schema], Schema]]] = {
    "/api/spans": (
        "spans that match",
        {**_FILTER, **_PAGED, **_QUICK, "sort": TEXT, "at": TEXT},
        spans.SPANS.schema,
    ),
    "/api/spans/{ref}": ("one span with its links, by any of its refs", {}, ref_to("Span")),
    "/api/traces": (
        "traces that match, in flight first; `at` with quick=1 only",
        {**_FILTER, **_PAGED, **_QUICK, "at": TEXT},
        traces.TRACES.schema,
    ),
    "/api/board": (
        "the traces that are open or have just ended, and who acts next in each",
        {
            **_FILTER,
            "limit": _PAGED["limit"],
            **dict.fromkeys(("finished_for", "at", "since"), TEXT),
        },
        ref_to("Board"),
    ),
    "/api/traces/{trace_id}": ("one trace with spans and links", {}, ref_to("Trace")),
    "/api/deliveries": (
        "what was received, newest first",
        {**_FILTER, **_PAGED, **_QUICK},
        spans.DELIVERIES.schema,
    ),
    "/api/deliveries/{id}": ("one delivery, without secrets", {}, ref_to("DeliveryDetail")),
    "/api/teams": (
        "names of the teams",
        {},
        object_of({"items": _list(object_of({"name": TEXT}))}),
    ),
    "/api/sources": (
        "each source's last delivery and its counts by verdict",
        {},
        object_of({"items": _list(ref_to("Source"))}),
    ),
    "/api/counts": (
        "how many spans match, in flight and failed",
        {**_FILTER, "at": TEXT},
        ref_to("Counts"),
    ),
    "/api/received": (
        "how many deliveries came in a time, by source and verdict",
        {"since": TEXT, "until": TEXT},
        ref_to("Received"),
    ),
    "/api/health": ("what the dashboard's banners say", {}, ref_to("Health")),
    "/api/baselines": (
        "how long spans of the same series took",
        {"key": _list(TEXT), "at": TEXT},
        {"type": "object", "additionalProperties": ref_to("Baseline")},
    ),
    "/api/past-runs": (
        "the steps of the latest runs of the same series",
        {"key": _list(TEXT), "at": TEXT},
        {"type": "object", "additionalProperties": _list(_list(ref_to("PastStep")))},
    ),
    "/api/changes": ("what changed since", {"since": COUNT}, ref_to("Changes")),
    "/api/dora": (
        "the four keys and rework",
        {
            **dict.fromkeys(("team", "since", "until", "by", "tz"), TEXT),
            "by_period": {"type": "string", "enum": ["", "week", "month"]},
        },
        metrics.DORA.schema,
    ),
    "/api/dora/detail": (
        "what stands behind one figure",
        {**_BACK, "metric": TEXT},
        ref_to("Detail"),
    ),
    "/api/cards": (
        "the figures of the dashboard's cards",
        _BACK,
        object_of({"items": _list(ref_to("Card"))}),
    ),
    "/deployments": (
        "em-metrics' deployments, newest first",
        {"project_id": TEXT, "limit": COUNT},
        _list(ref_to("Deployment")),
    ),
    "/deployments/{id}": (
        "one of em-metrics' deployments",
        {"project_id": TEXT},
        ref_to("Deployment"),
    ),
    "/incidents": (
        "em-metrics' incidents",
        dict.fromkeys(("type", "filter"), _INCIDENTS),
        _list(ref_to("Incident")),
    ),
    "/grafana/": (
        "whether Grafana's JSON data source reaches us",
        {},
        object_of({"status": TEXT}),
    ),
    "/openapi.json": ("this document", {}, ANY),
    "/healthz": ("whether it is alive; open to all", {}, object_of({"status": TEXT})),
    "/readyz": (
        "whether it can store, and how many deliveries are not folded yet; open to all",
        {},
        object_of({"status": TEXT, "behind": COUNT}, {"lag_seconds": SECONDS}),
    ),
}
_ROW: Final[Schema] = {"type": "array", "items": {"type": ["number", "string", "null"]}}
# path -> (what it is, schema of the question, schema of the answer)
QUESTIONS: Final[Mapping[str, tuple[str, Schema, Schema]]] = {
    "/grafana/search": ("the targets of /grafana/query", ANY, _list(TEXT)),
    "/grafana/metrics": ("the same, as newer plugins ask", ANY, _list(TEXT)),
    "/grafana/query": (
        "series of the delivery metrics over a range",
        {"type": "object", "required": ["range", "targets"]},
        _list(
            object_of(
                {},
                {
                    "target": TEXT,
                    "datapoints": _list(_ROW),
                    "type": TEXT,
                    "columns": _list(ANY),
                    "rows": _list(_ROW),
                },
            )
        ),
    ),
    "/grafana/annotations": (
        "deploys and incidents of a range",
        {"type": "object", "required": ["range"]},
        _list({"type": "object", "required": ["time", "title", "tags"]}),
    ),
}
# path -> (what it is, query parameters, media type of its 200)
TEXTS: Final[Mapping[str, tuple[str, Mapping[str, Schema], str]]] = {
    "/api/stream": (
        "what changes, as server-sent events, from now on or since a seq; brief=1: keys only",
        {"since": COUNT, "brief": {"type": "string", "enum": ["", "1"]}},
        "text/event-stream",
    ),
    "/metrics": ("Prometheus' text format", {}, "text/plain"),
}


OPEN: Final = ("/healthz", "/readyz")
PREFIX: Final = "/api/v1"
"""em-metrics' paths are served below this prefix, too."""
_EM: Final = ("/deployments", "/incidents", "/pull-requests")

# path below -> the model of its body
EM_BODIES: Final[Mapping[str, type[BaseModel]]] = {
    "/deployments": emmetrics.NewDeployment,
    "/deployments/{id}/deployed": emmetrics.Deployed,
    "/incidents": emmetrics.NewIncident,
    "/incidents/{id}/restored": emmetrics.IncidentDate,
    "/incidents/{id}/finished": emmetrics.IncidentDate,
    "/pull-requests": emmetrics.NewPullRequest,
    "/pull-requests/{id}/reviewed": emmetrics.PullRequestChange,
    "/pull-requests/{id}/closed": emmetrics.PullRequestChange,
    "/pull-requests/{id}/merged": emmetrics.PullRequestChange,
}
_LINK: Final = {
    **object_of(
        {"action": {"type": "string", "enum": ["pin", "cut", "clear"]}, "child": TEXT},
        {"parent": TEXT},
    ),
    "additionalProperties": True,
}


_READING: Final = ("400", "401", "403", "503")
_RECEIVING: Final = ("400", "401", "403", "404", "408", "413", "415", "417", "503")


def document() -> dict[str, Any]:
    """The whole document, as JSON types."""
    paths: dict[str, dict[str, Any]] = {}

    def add(path: str, method: str, operation: Schema) -> None:
        for full in (path, f"{PREFIX}{path}") if path.startswith(_EM) else (path,):
            paths.setdefault(full, {})[method] = operation

    for path, (summary, query, schema) in READS.items():
        answer = _content("success", schema)
        errors = (*_READING, "404") if "{" in path else _READING
        security: Schema = {"security": []} if path in OPEN else {}
        add(path, "get", _operation(path, summary, {"200": answer}, errors, query) | security)
    for path, (summary, query, media) in TEXTS.items():
        answer = _content("success", TEXT, media)
        add(path, "get", _operation(path, summary, {"200": answer}, _READING, query))
    for path, (summary, question, schema) in QUESTIONS.items():
        answer = _content("success", schema)
        body = {"requestBody": _content("", question)}
        add(path, "post", _operation(path, summary, {"200": answer}, _READING) | body)
    accepted = dict.fromkeys(("200", "201"), _content("success", ref_to("Accepted")))
    for path, title, schema in _receiving():
        body = {"requestBody": _content("", schema)}
        add(path, "post", _operation(path, f"receives {title}", accepted, _RECEIVING) | body)
    bodies: list[type[BaseModel]] = [CustomEvent, *EM_BODIES.values()]
    models = {model.__name__: _model(model) for model in bodies}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vs-tui",
            "version": __version__,
            "description": "Deliveries in, delivery traces and DORA metrics out.",
        },
        "security": [{"token": []}],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": {**SCHEMAS, **models},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _receiving() -> list[tuple[str, str, Schema]]:
    """(path, tool, schema of its body). Only our own formats have a schema, because tools add
    fields."""
    found = [
        (_named(path), source.title, ref_to("CustomEvent") if source.name == "customhttp" else {})
        for source in sources().values()
        if source.name not in ("emmetrics", DECISION_SOURCE)
        for path in source.paths
    ]
    found += [(path, "em-metrics", ref_to(model.__name__)) for path, model in EM_BODIES.items()]
    return [*found, ("/api/links", "a decision about a link", _LINK)]


def _named(path: str) -> str:
    return f"{path[:-1]}{{rest}}" if path.endswith("/*") else path


def _operation(
    path: str,
    summary: str,
    answers: Mapping[str, Schema],
    errors: Sequence[str],
    query: Mapping[str, Schema] | None = None,
) -> Schema:
    """An operation with the parameters that its path names and those of its query."""
    in_path = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    error = _content("error, see its detail", ref_to("Error"))
    return {
        "summary": summary,
        "parameters": [
            *({"name": n, "in": "path", "required": True, "schema": TEXT} for n in in_path),
            *({"name": n, "in": "query", "schema": each} for n, each in (query or {}).items()),
        ],
        "responses": {**answers, **dict.fromkeys(errors, error)},
    }


def _content(description: str, schema: Schema, media: str = "application/json") -> Schema:
    described = {"description": description} if description else {}
    return {**described, "content": {media: {"schema": schema}}}


def _model(model: type[BaseModel]) -> Schema:
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.pop("$defs", None)
    return found


def parameters(path: str) -> Mapping[str, Schema] | None:
    """The query parameters of one of our reading paths; None for other paths, whose clients may
    send more."""
    found = READS.get(path) or TEXTS.get(path)
    return found[1] if found is not None and path.startswith("/api/") else None
