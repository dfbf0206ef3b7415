"""What can be read over HTTP: the paths, their query parameters, and the shape of each answer.

The OpenAPI document shows this table, and requests are checked for parameters that are not in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.model.vocabulary import Rule, State, Status, Verdict
from vs_tui.traces.next_action import Section

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
MAYBE_TEXT: Final[Schema] = {"type": ["string", "null"]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
SECONDS: Final[Schema] = {"type": ["number", "null"]}
TRUTH: Final[Schema] = {"type": "boolean"}
TIME: Final[Schema] = {"type": ["string", "null"], "description": "RFC 3339, UTC"}
COUNTS: Final[Schema] = {"type": "object", "additionalProperties": COUNT}
ANY: Final[Schema] = {"type": "object"}


def object_of(properties: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "properties": {**properties, **(optional or {})},
        "required": sorted(properties),
        "additionalProperties": False,
    }


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def ref_to(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _page(of: Schema) -> Schema:
    """With `quick` also how far was looked, and how many match as far as is known."""
    found = {"searched": TIME, "matched": COUNT, "more": TRUTH}
    return object_of({"items": _list(of), "next": MAYBE_TEXT}, found)


def _words(values: type[Status] | type[Verdict] | type[Rule] | type[Section]) -> Schema:
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

_NULL: Final[Schema] = {"type": "null"}

SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": object_of({"error": TEXT, "detail": TEXT, "request_id": TEXT}),
    "Accepted": {
        **object_of(
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
    "Link": object_of(
        {
            "child": TEXT,
            "parent": TEXT,
            "rule": _words(Rule),
            "confidence": {"type": ["string", "number"]},
            "why": TEXT,
            "primary": TRUTH,
        }
    ),
    "Span": object_of(
        {
            **dict.fromkeys(("span_id", "key", "trace_id", "operation", "name", "source"), TEXT),
            **dict.fromkeys(("otel_trace_id", "otel_span_id"), TEXT),
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
            "links": _list(ref_to("Link")),
        }
    ),
    "TraceSummary": object_of(
        {
            "trace_id": TEXT,
            "root": ref_to("Span"),
            **dict.fromkeys(("spans", "in_flight", "failed"), COUNT),
            **dict.fromkeys(("started_at", "ended_at", "last_event_at"), TIME),
            "next": {"oneOf": [ref_to("Next"), _NULL]},
        }
    ),
    "Next": object_of(
        {
            "section": _words(Section),
            "rule": TEXT,
            **dict.fromkeys(("verb", "what", "nobody", "step", "why", "label"), MAYBE_TEXT),
            "who": _list(TEXT),
            **dict.fromkeys(("since", "began_at", "last_sign_at"), TIME),
            **dict.fromkeys(("for_s", "over_usual"), SECONDS),
            "usual": {
                "oneOf": [object_of({"n": COUNT, "p50_s": SECONDS, "p90_s": SECONDS}), _NULL]
            },
            "more": COUNT,
            "title": TEXT,
            "cells": _list(
                object_of({"station": TEXT, "mark": MAYBE_TEXT, "done": COUNT, "all": COUNT})
            ),
        }
    ),
    "Standing": object_of(
        {
            "trace_id": TEXT,
            **dict.fromkeys(("project", "team"), MAYBE_TEXT),
            "next": ref_to("Next"),
            "root": ref_to("Span"),
            "step": {"oneOf": [ref_to("Span"), _NULL]},
        }
    ),
    "Totals": object_of(
        {"sections": COUNTS, **dict.fromkeys(("long", "jobs_done", "jobs", "deploys"), COUNT)}
    ),
    "Trace": object_of(
        {
            "trace_id": TEXT,
            "root": TEXT,
            "spans": _list(ref_to("Span")),
            "links": _list(ref_to("Link")),
            "linked": _list(ref_to("Span")),
        }
    ),
    "Delivery": object_of(_DELIVERY),
    "DeliveryDetail": object_of(
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
    "Source": object_of(
        {"source": TEXT, "last_received_at": TIME, "last_kind": TEXT, "counts": COUNTS}
    ),
    "Card": object_of(
        {
            **dict.fromkeys(("team", "metric", "text", "delta", "direction", "level"), TEXT),
            "n": COUNT,
            "buckets": _list(SECONDS),
        }
    ),
    "Changes": object_of(
        {"seq": COUNT, "keys": _list(TEXT), "deliveries": COUNT, "truncated": TRUTH}
    ),
    "Health": object_of({"ready": TRUTH, "trouble": TEXT, "spans": COUNT, "deliveries": COUNT}),
    "Deployment": object_of(
        {
            **dict.fromkeys(("id", "project_id"), MAYBE_TEXT),
            **dict.fromkeys(("first_commit_at", "deploy_start_at", "deployed_at"), TIME),
        }
    ),
    "Incident": object_of(
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
        _page(ref_to("Span")),
    ),
    "/api/spans/{ref}": ("one span with its links, by any of its refs", {}, ref_to("Span")),
    "/api/traces": (
        "traces that match, in flight first; `at` with quick=1 only",
        {**_FILTER, **_PAGED, **_QUICK, "at": TEXT},
        _page(ref_to("TraceSummary")),
    ),
    "/api/board": (
        "the traces that are open or have just ended, and who acts next in each",
        {**_FILTER, "limit": _PAGED["limit"], "finished_for": TEXT, "at": TEXT},
        object_of(
            {
                "items": _list(ref_to("Standing")),
                **dict.fromkeys(("matched", "everything"), ref_to("Totals")),
                "outside": _list(TEXT),
                "terms": COUNTS,
            }
        ),
    ),
    "/api/traces/{trace_id}": ("one trace with spans and links", {}, ref_to("Trace")),
    "/api/deliveries": (
        "what was received, newest first",
        {**_FILTER, **_PAGED, **_QUICK},
        _page(ref_to("Delivery")),
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
        object_of(
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
        object_of({"counts": {"type": "object", "additionalProperties": COUNTS}, "until": TIME}),
    ),
    "/api/health": ("what the dashboard's banners say", {}, ref_to("Health")),
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
    "/api/changes": ("what changed since", {"since": COUNT}, ref_to("Changes")),
    "/api/dora": (
        "the four keys and rework",
        dict.fromkeys(("team", "since", "until", "by", "tz"), TEXT),
        object_of(
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
        object_of({"items": _list(ref_to("Card"))}),
    ),
    "/deployments": ("em-metrics' deployments", {}, _list(ref_to("Deployment"))),
    "/deployments/{id}": ("one of em-metrics' deployments", {}, ref_to("Deployment")),
    "/incidents": (
        "em-metrics' incidents",
        dict.fromkeys(("type", "filter"), _IN_PROGRESS),
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


def parameters(path: str) -> Mapping[str, Schema] | None:
    """The query parameters of a reading path of our own; None for other paths, whose clients may
    send more."""
    found = READS.get(path) or TEXTS.get(path)
    return found[1] if found is not None and path.startswith("/api/") else None
