"""The reading paths with their query parameters and the shape of each answer.

The OpenAPI document shows this table, and requests with a parameter that is not in it are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vs_tui.api import codec, figures, json_shape, standings
from vs_tui.api.json_shape import Schema, Shape, object_of, ref_to
from vs_tui.metrics.windows import BUCKETS
from vs_tui.model.vocabulary import Verdict

TEXT: Final = json_shape.TEXT.schema
MAYBE_TEXT: Final = json_shape.MAYBE_TEXT.schema
COUNT: Final = json_shape.COUNT.schema
SECONDS: Final = json_shape.SECONDS.schema
TRUTH: Final = json_shape.TRUTH.schema
TIME: Final = json_shape.TIME.schema
COUNTS: Final = json_shape.COUNTS.schema
ANY: Final = json_shape.OBJECT.schema


def _list(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def _page(of: Shape[Any]) -> Schema:
    """A page; with `quick` also how far the search got, and how many match as far as known."""
    found = {"searched": TIME, "matched": COUNT, "more": TRUTH}
    return object_of({"items": _list(of.type.schema), "next": MAYBE_TEXT}, found)


SCHEMAS: Final[Mapping[str, Schema]] = {
    "Error": object_of({"error": TEXT, "detail": TEXT, "request_id": TEXT}),
    "Accepted": {
        **object_of(
            {
                "result": {"const": "success"},
                "delivery": {"type": "integer"},
                "verdict": json_shape.word_of(Verdict).schema,
                "spans": _list(TEXT),
            },
            {"reason": TEXT},
        ),
        "additionalProperties": True,  # what the tool itself expects in an answer
    },
    **{each.name: each.schema for each in (*codec.SHAPES, *standings.SHAPES, *figures.SHAPES)},
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
"""Query parameters of the dashboard's figures."""

_IN_PROGRESS: Final[Schema] = {"type": "string", "enum": ["", "in-progress"]}

# path -> (what it is, query parameters, schema of its 200)
READS: Final[Mapping[str, tuple[str, Mapping[str, Schema], Schema]]] = {
    "/api/spans": (
        "spans that match",
        {**_FILTER, **_PAGED, **_QUICK, "sort": TEXT, "at": TEXT},
        _page(codec.SPAN),
    ),
    "/api/spans/{ref}": ("one span with its links, by any of its refs", {}, ref_to("Span")),
    "/api/traces": (
        "traces that match, in flight first; `at` with quick=1 only",
        {**_FILTER, **_PAGED, **_QUICK, "at": TEXT},
        _page(standings.LISTED),
    ),
    "/api/board": (
        "the traces that are open or have just ended, and who acts next in each",
        {**_FILTER, "limit": _PAGED["limit"], "finished_for": TEXT, "at": TEXT},
        ref_to("Board"),
    ),
    "/api/traces/{trace_id}": ("one trace with spans and links", {}, ref_to("Trace")),
    "/api/deliveries": (
        "what was received, newest first",
        {**_FILTER, **_PAGED, **_QUICK},
        _page(codec.DELIVERY),
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
        {"key": _list(TEXT)},
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
        object_of(
            {
                "window": ref_to("Window"),
                "production": _list(TEXT),
                "not_counted": COUNTS,
                "hints": _list(TEXT),
                "items": _list(ANY),
            },
            {"periods": _list(ANY)},
        ),
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
    """The query parameters of one of our reading paths; None for other paths, whose clients may
    send more."""
    found = READS.get(path) or TEXTS.get(path)
    return found[1] if found is not None and path.startswith("/api/") else None
