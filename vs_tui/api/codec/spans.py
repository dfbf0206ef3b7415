"""The JSON shapes of spans, traces, deliveries and the store's state. The receiver and `--json`
write them, the remote reader reads them, and OpenAPI describes them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from vs_tui.api.codec import (
    COUNT,
    COUNTS,
    INSTANT,
    MAYBE_TEXT,
    NUMBER,
    OBJECT,
    RATIO,
    SECONDS,
    TEXT,
    TEXTS,
    TIME,
    TRUTH,
    Field,
    Shape,
    T,
    Type,
    computed,
    list_of,
    table_of,
    word_of,
    written,
)
from vs_tui.metrics.cards import Card
from vs_tui.model.time import Instant
from vs_tui.model.vocabulary import (
    Link,
    Rule,
    Span,
    State,
    Status,
    Verdict,
    otel_span_id,
    otel_trace_id,
)
from vs_tui.store.queries.reader_protocol import (
    Changes,
    Counts,
    DeliveryDetail,
    DeliveryPage,
    DeliveryRow,
    Health,
    SourceHealth,
    SpanPage,
    Tally,
    Trace,
    TraceSummary,
)
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.steps import PastStep

_STATE: Final = Type(
    {"type": "string", "enum": [state.name.lower() for state in State]},
    lambda state: state.name.lower(),
    lambda word: State[word.upper()],
)

LINK: Final = Shape(
    "Link",
    Link,
    {
        "child": TEXT,
        "parent": TEXT,
        "rule": word_of(Rule),
        "confidence": computed(TEXT, lambda link: link.confidence),
        "why": TEXT,
        "primary": TRUTH,
    },
)
SPAN: Final = Shape(
    "Span",
    Span,
    {
        "span_id": Field(TEXT, "ref"),
        "key": TEXT,
        "trace_id": TEXT,
        "otel_trace_id": computed(TEXT, lambda span: otel_trace_id(span.trace_id).hex()),
        "otel_span_id": computed(TEXT, lambda span: otel_span_id(span.key).hex()),
        "parent_span_id": computed(MAYBE_TEXT, lambda span: span.parent_key),
        "parent_key": MAYBE_TEXT,
        "operation": TEXT,
        "name": TEXT,
        "source": TEXT,
        "status": word_of(Status),
        "state": _STATE,
        "started_at": TIME,
        "ended_at": TIME,
        "duration_s": computed(SECONDS, lambda span: span.duration),
        "active_s": Field(SECONDS, "active"),
        "project": MAYBE_TEXT,
        "team": MAYBE_TEXT,
        "service": MAYBE_TEXT,
        "environment": MAYBE_TEXT,
        "actor": MAYBE_TEXT,
        "url": MAYBE_TEXT,
        "attempt": COUNT,
        "last_event_at": INSTANT,
        "reopens": COUNT,
        "stage": MAYBE_TEXT,
        "error": MAYBE_TEXT,
        "attributes": OBJECT,
        "links": computed(list_of(LINK.type), lambda _: ()),
    },
)


def span_json(
    span: Span, links: Iterable[Link] = (), refs: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """A span with the API's field names; missing values are null, durations are seconds. `refs`
    maps keys of other spans to their refs: parents and links are named by ref, or by key if the ref
    is unknown."""
    refs = refs or {}
    found = SPAN.write(span)
    found["parent_span_id"] = refs.get(span.parent_key, span.parent_key) or None
    found["links"] = [link_json(link, refs) for link in links]
    return found


def link_json(link: Link, refs: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A link; both ends by ref if known, else by key."""
    refs = refs or {}
    child, parent = link.child, link.parent
    return LINK.write(link._replace(child=refs.get(child, child), parent=refs.get(parent, parent)))


def _trace(trace_id: str, root: str, spans: Any, links: Any, linked: Any) -> Trace:
    keys = {span.ref: span.key for span in (*spans, *linked)}
    first = next((span for span in spans if span.ref == root), spans[0])
    ends = [
        link._replace(
            child=keys.get(link.child, link.child), parent=keys.get(link.parent, link.parent)
        )
        for link in links
    ]
    return Trace(trace_id, first, spans, ends, linked)


def _spans(trace: Trace) -> list[dict[str, Any]]:
    refs, by_child = refs_of(trace), dict[str, list[Link]]()
    for link in trace.links:
        by_child.setdefault(link.child, []).append(link)
    return [span_json(span, by_child.get(span.key, ()), refs) for span in trace.spans]


def _links(trace: Trace) -> list[dict[str, Any]]:
    refs = refs_of(trace)
    return [link_json(link, refs) for link in trace.links]


def _linked(trace: Trace) -> list[dict[str, Any]]:
    refs = refs_of(trace)
    return [span_json(span, refs=refs) for span in trace.linked]


def refs_of(trace: Trace) -> Mapping[str, str]:
    """Key -> ref of the spans of a trace and of the spans that its links name."""
    return {span.key: span.ref for span in (*trace.spans, *trace.linked)}


_ALL_SPANS: Final = written(list_of(SPAN.type))
TRACE: Final = Shape(
    "",
    _trace,
    {
        "trace_id": TEXT,
        "root": Field(TEXT, "root", lambda trace, *_: trace.root.ref),
        "spans": Field(_ALL_SPANS, "spans", lambda trace, *_: _spans(trace)),
        "links": Field(written(list_of(LINK.type)), "links", lambda trace, *_: _links(trace)),
        "linked": Field(_ALL_SPANS, "linked", lambda trace, *_: _linked(trace)),
    },
)
"""Spans in time order; parents and links by the refs of spans."""
SUMMARY: Final = Shape(
    "",
    TraceSummary,
    {
        "trace_id": TEXT,
        "root": SPAN.type,
        "spans": COUNT,
        "in_flight": COUNT,
        "failed": COUNT,
        "started_at": INSTANT,
        "ended_at": TIME,
        "last_event_at": INSTANT,
    },
)
BASELINE: Final = Shape("Baseline", Baseline, {"n": COUNT, "p50": COUNT, "p90": COUNT})
"""Durations in microseconds."""
PAST_STEP: Final = Shape(
    "PastStep", PastStep, {"operation": TEXT, "name": TEXT, "offset": NUMBER, "length": COUNT}
)
"""Durations in microseconds."""
DELIVERY: Final = Shape(
    "Delivery",
    DeliveryRow,
    {
        "id": NUMBER,
        "source": TEXT,
        "kind": TEXT,
        "received_at": INSTANT,
        "verdict": word_of(Verdict),
        "reason": MAYBE_TEXT,
        "size": COUNT,
        "duplicates": COUNT,
        "status": NUMBER,
    },
)


def _text_of(detail: DeliveryDetail) -> str:
    return detail.body.decode("utf-8", "replace")


def _encoded(detail: DeliveryDetail) -> str:
    """The body in base64 if it is not text (protobuf)."""
    binary = _text_of(detail).encode() != detail.body
    return base64.b64encode(detail.body).decode() if binary else ""


def _delivery(row: dict[str, Any], body: str, encoded: str = "", **more: Any) -> DeliveryDetail:
    raw = base64.b64decode(encoded) if encoded else body.encode()
    return DeliveryDetail(row=DeliveryRow(**row), body=raw, dedupe_key="", **more)


DELIVERY_DETAIL: Final = Shape(
    "DeliveryDetail",
    _delivery,
    {
        **DELIVERY.inside("row"),
        "path": TEXT,
        "headers": TEXTS,
        "body": Field(TEXT, "body", _text_of),
        "body_base64": Field(MAYBE_TEXT, "encoded", _encoded),
        "sha256": TEXT,
        "spans": Field(list_of(TEXT), "span_refs"),
    },
)
SOURCE: Final = Shape(
    "Source",
    SourceHealth,
    {"source": TEXT, "last_received_at": TIME, "last_kind": TEXT, "counts": COUNTS},
)
COUNTED: Final = Shape(
    "Counts",
    Counts,
    {
        **dict.fromkeys(("matched", "total", "in_flight", "failed"), COUNT),
        **dict.fromkeys(("more", "more_in_all"), TRUTH),
        "searched": TIME,
    },
)
TALLY: Final = Shape("Received", Tally, {"counts": table_of(COUNTS), "until": TIME})
CHANGES: Final = Shape(
    "Changes",
    Changes,
    {"seq": COUNT, "keys": list_of(TEXT), "deliveries": COUNT, "truncated": TRUTH},
)
HEALTH: Final = Shape(
    "Health",
    Health,
    {
        **{"ready": TRUTH, "trouble": TEXT, "spans": COUNT, "deliveries": COUNT},
        **{"behind": COUNT, "lag_s": Field(SECONDS, "lag"), "export_trouble": TEXT},
        "clock": TEXT,
    },
)
CARD: Final = Shape(
    "Card",
    Card,
    {
        **dict.fromkeys(("team", "metric", "text"), TEXT),
        "n": COUNT,
        **dict.fromkeys(("delta", "direction", "level"), TEXT),
        "buckets": list_of(RATIO),
        **dict.fromkeys(("goal", "title", "short"), TEXT),
        **dict.fromkeys(("is_count", "small"), TRUTH),
        "since": TIME,
        "before_n": COUNT,
        **dict.fromkeys(("wanted", "tally"), TEXT),
    },
)


def page_of(kind: Shape[Any], make: Callable[..., T], **told: Type) -> Shape[T]:
    """A page of a list. Arguments to write: the page of a screen, or None; the items as JSON; the
    cursor of the next page. A screen's page also has the fields `told`, such as how far the search
    got."""
    return Shape(
        "",
        make,
        {
            "items": Field(written(list_of(kind.type)), "items", lambda _, items, __: items),
            "next": Field(MAYBE_TEXT, "next", lambda _, __, cursor: cursor),
            **{
                name: Field(each, name, _told(name), lambda page, *_: page is not None)
                for name, each in told.items()
            },
        },
    )


def _told(name: str) -> Callable[..., Any]:
    return lambda page, *_: getattr(page, name)


def _deliveries(
    items: Sequence[DeliveryRow],
    next: str,
    matched: int = 0,
    more: bool = False,
    searched: Instant | None = None,
) -> DeliveryPage:
    return DeliveryPage(items, matched or len(items), more or bool(next), searched)


SPANS: Final = page_of(SPAN, SpanPage, searched=TIME)
DELIVERIES: Final = page_of(DELIVERY, _deliveries, matched=COUNT, more=TRUTH, searched=TIME)


def _attribute(name: str) -> Callable[[Span], Any]:
    return lambda span: span.attributes.get(name)


def _over_at(span: Span) -> Instant | None:
    return span.ended_at if span.state.terminal else None


DEPLOYMENT: Final = Shape(
    "Deployment",
    dict[str, Any],
    {
        "id": computed(MAYBE_TEXT, _attribute("deployment.id")),
        "project_id": Field(MAYBE_TEXT, "project"),
        "first_commit_at": computed(written(TIME), _attribute("vs.commit.first_at")),
        "deploy_start_at": Field(TIME, "started_at"),
        "deployed_at": computed(TIME, _over_at),
    },
)
"""A deployment with em-metrics' fields."""
INCIDENT: Final = Shape(
    "Incident",
    dict[str, Any],
    {
        "id": computed(MAYBE_TEXT, _attribute("vs.incident.id")),
        "project_id": Field(MAYBE_TEXT, "project"),
        "deployment_id": computed(MAYBE_TEXT, _attribute("deployment.id")),
        "team_id": Field(MAYBE_TEXT, "team"),
        "started_at": TIME,
        "restored_at": computed(TIME, _over_at),
        "finished_at": computed(written(TIME), _attribute("vs.incident.finished_at")),
    },
)
"""An incident with em-metrics' fields; finishing one restores it as well."""
SHAPES: Final[Sequence[Shape[Any]]] = (
    *(LINK, SPAN, BASELINE, PAST_STEP, DELIVERY, DELIVERY_DETAIL, SOURCE),
    *(COUNTED, TALLY, CHANGES, HEALTH, CARD),
    *(DEPLOYMENT, INCIDENT),
)
