"""The HTTP interface as an OpenAPI 3.1 document, served at /openapi.json.

What is received comes from the sources' registry and their models; what can be read is the table
below. A test walks every operation of it against a running receiver, and compares it with the
routes: what is not in it is no route, and the other way round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from pydantic import BaseModel

from vs_tui.domain.model import Rule, State, Status, Verdict
from vs_tui.sources import emmetrics
from vs_tui.sources.customhttp import CustomEvent
from vs_tui.sources.registry import sources

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SECONDS: Final[Schema] = {"type": ["number", "null"]}
TRUTH: Final[Schema] = {"type": "boolean"}
TIME: Final[Schema] = {"type": ["string", "null"], "description": "RFC 3339, UTC"}
COUNTS: Final[Schema] = {"type": "object", "additionalProperties": COUNT}
ANY: Final[Schema] = {"type": "object"}


def _object(properties: Schema, optional: Schema | None = None, **more: Any) -> Schema:
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": sorted(properties),
        "additionalProperties": False,
        **more,
    }


def _list(of: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": of, **more}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(of: Schema) -> Schema:
    """With `quick` also how far was looked, and how many match as far as is known."""
    found = {"searched": TIME, "matched": COUNT, "more": TRUTH}
    return _object({"items": _list(of), "next": MAYBE_TEXT}, found)


def _words(values: type[Status] | type[Verdict] | type[Rule]) -> Schema:
    return {"type": "string", "enum": [value.value for value in values]}


_DELIVERY: Final[Schema] = {
    "id": {"type": "integer"},
    "source": TEXT,
    "kind": TEXT,
    "received_at": TIME,
    "verdict": _words(Verdict),
    "reason": MAYBE_TEXT,
    "size": COUNT,
    "duplicates": COUNT,
    "status": {"type": "integer"},
}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": _object({"error": TEXT, "detail": TEXT, "request_id": TEXT}),
    "Accepted": {
        **_object(
            {
                "result": {"const": "success"},
                "delivery": {"type": "integer"},
                "verdict": _words(Verdict),
                "spans": _list(TEXT),
            },
            {"reason": TEXT},
        ),
        "additionalProperties": True,  # what the tool itself expects in an answer
    },
    "Link": _object(
        {
            "child": TEXT,
            "parent": TEXT,
            "rule": _words(Rule),
            "confidence": {"type": ["string", "number"]},
            "why": TEXT,
            "primary": TRUTH,
        }
    ),
    "Span": _object(
        {
            **dict.fromkeys(("span_id", "key", "trace_id", "operation", "name", "source"), TEXT),
            **dict.fromkeys(("parent_span_id", "parent_key", "project", "team"), MAYBE_TEXT),
            **dict.fromkeys(("service", "environment", "actor", "url"), MAYBE_TEXT),
            **dict.fromkeys(("stage", "error"), MAYBE_TEXT),
            **dict.fromkeys(("started_at", "ended_at", "last_event_at"), TIME),
            **dict.fromkeys(("duration_s", "active_s"), SECONDS),
            "status": _words(Status),
            "state": {"type": "string", "enum": [state.name.lower() for state in State]},
            "attempt": COUNT,
            "reopens": COUNT,
            "attributes": ANY,
            "links": _list(_ref("Link")),
        }
    ),
    "TraceSummary": _object(
        {
            "trace_id": TEXT,
            "root": _ref("Span"),
            **dict.fromkeys(("spans", "in_flight", "failed"), COUNT),
            **dict.fromkeys(("started_at", "ended_at", "last_event_at"), TIME),
        }
    ),
    "Trace": _object(
        {
            "trace_id": TEXT,
            "root": TEXT,
            "spans": _list(_ref("Span")),
            "links": _list(_ref("Link")),
            "linked": _list(_ref("Span")),
        }
    ),
    "Delivery": _object(_DELIVERY),
    "DeliveryDetail": _object(
        {
            **_DELIVERY,
            "path": TEXT,
            "headers": {"type": "object", "additionalProperties": TEXT},
            "body": TEXT,
            "body_base64": MAYBE_TEXT,
            "sha256": TEXT,
            "spans": _list(TEXT),
        }
    ),
    "Source": _object(
        {"source": TEXT, "last_received_at": TIME, "last_kind": TEXT, "counts": COUNTS}
    ),
    "Card": _object(
        {
            **dict.fromkeys(("team", "metric", "text", "delta", "direction", "level"), TEXT),
            "n": COUNT,
            "buckets": _list(SECONDS),
        }
    ),
    "Changes": _object(
        {"seq": COUNT, "keys": _list(TEXT), "deliveries": COUNT, "truncated": TRUTH}
    ),
    "Health": _object({"ready": TRUTH, "trouble": TEXT, "spans": COUNT, "deliveries": COUNT}),
    "Deployment": _object(
        {
            **dict.fromkeys(("id", "project_id"), MAYBE_TEXT),
            **dict.fromkeys(("first_commit_at", "deploy_start_at", "deployed_at"), TIME),
        }
    ),
    "Incident": _object(
        {
            **dict.fromkeys(("id", "project_id", "deployment_id", "team_id"), MAYBE_TEXT),
            **dict.fromkeys(("started_at", "restored_at", "finished_at"), TIME),
        }
    ),
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

_IN_PROGRESS: Final[Schema] = {"type": "string", "enum": ["", "in-progress"]}

# path -> (what it is, query parameters, schema of its 200)
READS: Final[Mapping[str, tuple[str, Mapping[str, Schema], Schema]]] = {
    "/api/spans": (
        "spans that match",
        {**_FILTER, **_PAGED, **_QUICK, "sort": TEXT, "at": TEXT},
        _page(_ref("Span")),
    ),
    "/api/spans/{ref}": ("one span with its links, by any of its refs", {}, _ref("Span")),
    "/api/traces": (
        "traces that match, in flight first; `at` with quick=1 only",
        {**_FILTER, **_PAGED, **_QUICK, "at": TEXT},
        _page(_ref("TraceSummary")),
    ),
    "/api/traces/{trace_id}": ("one trace with spans and links", {}, _ref("Trace")),
    "/api/deliveries": (
        "what was received, newest first",
        {**_FILTER, **_PAGED, **_QUICK},
        _page(_ref("Delivery")),
    ),
    "/api/deliveries/{id}": ("one delivery, without secrets", {}, _ref("DeliveryDetail")),
    "/api/teams": ("names of the teams", {}, _object({"items": _list(_object({"name": TEXT}))})),
    "/api/sources": (
        "each source's last delivery and its counts by verdict",
        {},
        _object({"items": _list(_ref("Source"))}),
    ),
    "/api/counts": (
        "how many spans match, in flight and failed",
        {**_FILTER, "at": TEXT},
        _object(
            {
                **dict.fromkeys(("matched", "total", "in_flight", "failed"), COUNT),
                **dict.fromkeys(("more", "more_in_all"), TRUTH),
                "searched": TIME,
            }
        ),
    ),
    "/api/received": (
        "how many deliveries came in a time, by source and verdict",
        {"since": TEXT, "until": TEXT},
        _object({"counts": {"type": "object", "additionalProperties": COUNTS}, "until": TIME}),
    ),
    "/api/health": ("what the dashboard's banners say", {}, _ref("Health")),
    "/api/baselines": (
        "how long spans of the same series took",
        {"key": _list(TEXT)},
        {"type": "object", "additionalProperties": ANY},
    ),
    "/api/past-runs": (
        "the steps of the latest runs of the same series",
        {"key": _list(TEXT), "at": TEXT},
        {"type": "object", "additionalProperties": _list(_list(ANY))},
    ),
    "/api/changes": ("what changed since", {"since": COUNT}, _ref("Changes")),
    "/api/dora": (
        "the four keys and rework",
        dict.fromkeys(("team", "since", "until", "by", "tz"), TEXT),
        _object(
            {
                "window": ANY,
                "production": _list(TEXT),
                "not_counted": COUNTS,
                "hints": _list(TEXT),
                "items": _list(ANY),
            }
        ),
    ),
    "/api/dora/detail": (
        "what stands behind one figure",
        {"team": TEXT, "metric": TEXT, "window": _MICROSECONDS, "at": TEXT},
        {"type": "object", "required": ["metric", "figure", "behind", "window"]},
    ),
    "/api/cards": (
        "the figures of the dashboard's cards",
        {"team": TEXT, "window": _MICROSECONDS, "at": TEXT},
        _object({"items": _list(_ref("Card"))}),
    ),
    "/deployments": ("em-metrics' deployments", {}, _list(_ref("Deployment"))),
    "/deployments/{id}": ("one of em-metrics' deployments", {}, _ref("Deployment")),
    "/incidents": (
        "em-metrics' incidents",
        dict.fromkeys(("type", "filter"), _IN_PROGRESS),
        _list(_ref("Incident")),
    ),
    "/openapi.json": ("this document", {}, ANY),
    "/healthz": ("whether it is alive; open to all", {}, _object({"status": TEXT})),
    "/readyz": ("whether it can store; open to all", {}, _object({"status": TEXT})),
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
"""em-metrics' paths are answered below it as well."""
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
    **_object(
        {"action": {"type": "string", "enum": ["pin", "cut", "clear"]}, "child": TEXT},
        {"parent": TEXT},
    ),
    "additionalProperties": True,
}


def parameters(path: str) -> Mapping[str, Schema] | None:
    """The query parameters of a reading path of our own; None for other paths, whose clients may
    send more."""
    found = READS.get(path) or TEXTS.get(path)
    return found[1] if found is not None and path.startswith("/api/") else None


def document() -> dict[str, Any]:
    """The whole document, as JSON types."""
    bodies: list[type[BaseModel]] = [CustomEvent, *EM_BODIES.values()]
    models = {model.__name__: _model(model) for model in bodies}
    paths: dict[str, dict[str, Any]] = {}
    for path, (summary, query, schema) in READS.items():
        for full in _also_below_prefix(path):
            paths.setdefault(full, {})["get"] = _read(path, summary, query, schema)
    for path, (summary, query, media) in TEXTS.items():
        paths.setdefault(path, {})["get"] = _text(summary, query, media)
    for path, title, body in _receiving():
        for full in _also_below_prefix(path):
            paths.setdefault(full, {})["post"] = _post(full, title, body)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vs-tui",
            "version": _version(),
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
    """(path, the tool, schema of its body). Only our own formats have one: tools add fields."""
    found = [
        (_named(path), source.title, _ref("CustomEvent") if source.name == "customhttp" else {})
        for source in sources().values()
        if source.name not in ("emmetrics", "user")
        for path in source.paths
    ]
    found += [(path, "em-metrics", _ref(model.__name__)) for path, model in EM_BODIES.items()]
    return [*found, ("/api/links", "a decision about a link", _LINK)]


def _named(path: str) -> str:
    return f"{path[:-1]}{{rest}}" if path.endswith("/*") else path


def _also_below_prefix(path: str) -> Sequence[str]:
    return (path, f"{PREFIX}{path}") if path.startswith(_EM) else (path,)


def _read(path: str, summary: str, query: Mapping[str, Schema], schema: Schema) -> Schema:
    known = ["400", "401", "403", "503", *(["404"] if "{" in path else [])]
    found: Schema = {
        "summary": summary,
        "parameters": [
            *_in_path(path),
            *_in_query(query),
        ],
        "responses": {"200": _content("application/json", schema), **_errors(known)},
    }
    return {**found, "security": []} if path in OPEN else found


def _text(summary: str, query: Mapping[str, Schema], media: str) -> Schema:
    return {
        "summary": summary,
        "parameters": _in_query(query),
        "responses": {"200": _content(media, TEXT), **_errors(["400", "401", "403", "503"])},
    }


def _post(path: str, title: str, body: Schema) -> Schema:
    known = ["400", "401", "403", "404", "408", "413", "415", "417", "503"]
    accepted = _content("application/json", _ref("Accepted"))
    return {
        "summary": f"receives {title}",
        "parameters": _in_path(path),
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"200": accepted, "201": accepted, **_errors(known)},
    }


def _in_path(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _in_query(query: Mapping[str, Schema]) -> list[Schema]:
    return [{"name": name, "in": "query", "schema": each} for name, each in query.items()]


def _content(media: str, schema: Schema) -> Schema:
    return {"description": "well", "content": {media: {"schema": schema}}}


def _errors(statuses: Sequence[str]) -> Schema:
    content = {"application/json": {"schema": _ref("Error")}}
    return {status: {"description": "see detail", "content": content} for status in statuses}


def _model(model: type[BaseModel]) -> Schema:
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.pop("$defs", None)
    return found


def _version() -> str:
    try:
        return version("vs-tui")
    except PackageNotFoundError:
        return "0"
