"""The HTTP interface as an OpenAPI 3.1 document, served at /openapi.json.

Receiving paths come from the registry of sources and their models; reading paths from the table in
`schema`. A test calls every operation on a running receiver and compares the document with the
routes in both directions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel

from vs_tui import __version__
from vs_tui.api.json_shape import Schema, object_of, ref_to
from vs_tui.api.schema import QUESTIONS, READS, SCHEMAS, TEXT, TEXTS
from vs_tui.sources import emmetrics
from vs_tui.sources.customhttp import CustomEvent
from vs_tui.sources.registry import sources

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
    for path, (summary, question, schema) in QUESTIONS.items():
        paths[path] = {"post": _asked(summary, question, schema)}
    for path, title, body in _receiving():
        for full in _also_below_prefix(path):
            paths.setdefault(full, {})["post"] = _post(full, title, body)
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
        if source.name not in ("emmetrics", "user")
        for path in source.paths
    ]
    found += [(path, "em-metrics", ref_to(model.__name__)) for path, model in EM_BODIES.items()]
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
    accepted = _content("application/json", ref_to("Accepted"))
    return {
        "summary": f"receives {title}",
        "parameters": _in_path(path),
        "requestBody": {"content": {"application/json": {"schema": body}}},
        "responses": {"200": accepted, "201": accepted, **_errors(known)},
    }


def _asked(summary: str, question: Schema, schema: Schema) -> Schema:
    content = {"application/json": {"schema": question}}
    answers = {"200": _content("application/json", schema)}
    return {
        "summary": summary,
        "requestBody": {"content": content},
        "responses": {**answers, **_errors(["400", "401", "403", "503"])},
    }


def _in_path(path: str) -> list[Schema]:
    names = [part[1:-1] for part in path.split("/") if part.startswith("{")]
    return [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]


def _in_query(query: Mapping[str, Schema]) -> list[Schema]:
    return [{"name": name, "in": "query", "schema": each} for name, each in query.items()]


def _content(media: str, schema: Schema) -> Schema:
    return {"description": "well", "content": {media: {"schema": schema}}}


def _errors(statuses: Sequence[str]) -> Schema:
    content = {"application/json": {"schema": ref_to("Error")}}
    return {status: {"description": "see detail", "content": content} for status in statuses}


def _model(model: type[BaseModel]) -> Schema:
    found = model.model_json_schema(ref_template="#/components/schemas/{model}")
    found.pop("$defs", None)
    return found
