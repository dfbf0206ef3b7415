"""OTLP: JSON and protobuf say the same, and spans of CI tools become ours."""

from __future__ import annotations

import json
from importlib import import_module

import pytest

from tests.sources.api_payloads import (
    CHILD,
    RESOURCE,
    ROOT,
    SHA,
    TRACE,
    nanos,
    otlp,
    otlp_span,
    otlp_story,
    post,
)
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    at,
    fold_all,
    fold_deliveries,
    offered,
    same_spans,
    sought,
)
from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Event, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.otlp import SOURCE

KEY = f"vstrace-otlp-span-{TRACE}-{ROOT}"
PROTOBUF = {"content-type": "application/x-protobuf"}


def parse(body, **headers):
    return SOURCE.parse(post("/v1/traces", body, **headers))


def one(span, resource=None) -> Event:
    (event,) = parse(otlp(span, resource=resource)).events
    return event


def protobuf(request) -> bytes:
    """The request as an exporter of protobuf sends it: ids are bytes there."""
    messages = import_module("opentelemetry.proto.collector.trace.v1.trace_service_pb2")
    message = messages.ExportTraceServiceRequest()
    for group in request["resourceSpans"]:
        out = message.resource_spans.add()
        _attributes(out.resource.attributes, group["resource"]["attributes"])
        for scope in group["scopeSpans"]:
            spans = out.scope_spans.add()
            for span in scope["spans"]:
                _span(spans.spans.add(), span)
    return message.SerializeToString()


def _span(out, span):
    out.trace_id, out.span_id = bytes.fromhex(span["traceId"]), bytes.fromhex(span["spanId"])
    out.parent_span_id = bytes.fromhex(span.get("parentSpanId", ""))
    out.name, out.kind = span["name"], span["kind"]
    out.start_time_unix_nano = int(span["startTimeUnixNano"])
    out.end_time_unix_nano = int(span.get("endTimeUnixNano", 0))
    out.status.code = span["status"].get("code", 0)
    _attributes(out.attributes, span["attributes"])
    for link in span.get("links", ()):
        added = out.links.add()
        added.trace_id, added.span_id = (
            bytes.fromhex(link["traceId"]),
            bytes.fromhex(link["spanId"]),
        )


def _attributes(out, pairs):
    for pair in pairs:
        value = out.add(key=pair["key"]).value
        for name, given in pair["value"].items():
            if name == "arrayValue":
                for item in given["values"]:
                    value.array_value.values.add(string_value=item["stringValue"])
            else:
                field = name.replace("Value", "_value")
                setattr(value, field, int(given) if name == "intValue" else given)


# -- proof of origin, formats ------------------------------------------------------------------


def test_it_proves_itself_by_the_token_in_a_header_only():
    assert not SOURCE.token_in_url
    with pytest.raises(Unauthorized, match="token"):
        SOURCE.verify(post("/v1/traces", {}), [b"x"])


@pytest.mark.parametrize("content_type", ["application/x-protobuf", "application/protobuf; v=1"])
def test_protobuf_and_json_say_the_same(content_type):
    for delivery in otlp_story():
        body = protobuf(json.loads(delivery.body))
        binary = Inbound("/v1/traces", {"content-type": content_type}, body, delivery.received_at)
        found, expected = (fold_all(SOURCE.parse(d).events) for d in (binary, delivery))
        assert same_spans(found, expected)


@pytest.mark.parametrize("body", [b"\xff\xff\xff", b"{}", b"\x0a\xff\x01\x00", b"\x0a"])
def test_a_broken_protobuf_is_a_bad_body(body):
    with pytest.raises(BadBody, match="ExportTraceServiceRequest"):
        SOURCE.parse(Inbound("/v1/traces", PROTOBUF, body, RECEIVED))


def test_malformed_protobuf_is_parsed_or_refused():
    whole = protobuf(otlp(otlp_span(attributes={"a": ["x"]}), otlp_span(CHILD, ROOT)))
    refused = 0
    for seed in range(1_000):
        position = seed % len(whole)
        broken = bytes([*whole[:position], (whole[position] + 1 + seed) % 256])
        body = broken + whole[position + 1 :] if seed % 2 else broken
        try:
            parsed = SOURCE.parse(Inbound("/v1/traces", PROTOBUF, body, RECEIVED))
        except BadBody:
            refused += 1
        else:
            assert parsed.events or parsed.reason
            assert fold_all(parsed.events) is not None
    assert 0 < refused < 1_000


# -- spans -------------------------------------------------------------------------------------


def test_a_pipeline_span():
    span = fold_all(
        [
            one(
                otlp_span(
                    name="ship",
                    attributes={
                        "cicd.pipeline.name": "ship",
                        "cicd.pipeline.run.id": "7",
                        "cicd.pipeline.run.url.full": "https://ci.example/7",
                        "vs.n": 3,
                        "ok": True,
                        "ratio": 0.5,
                        "tags": ["a", "b"],
                    },
                )
            )
        ]
    )[KEY].span
    assert (span.operation, span.status, span.duration) == ("pipeline", Status.OK, 5 * MINUTE)
    assert (span.name, span.project, span.service) == ("ship", "Acme/Cart", "cart")
    assert span.url == "https://ci.example/7"
    expected = {
        "vs.n": 3,
        "ok": True,
        "ratio": 0.5,
        "tags": "a, b",
        "vcs.ref.head.revision": SHA,
        "vs.trace_id": TRACE,
    }
    assert expected.items() <= span.attributes.items()


@pytest.mark.parametrize(
    ("attributes", "operation"),
    [
        ({"cicd.pipeline.task.type": "build"}, "build"),
        ({"cicd.pipeline.task.type": "TEST"}, "test"),
        ({"cicd.pipeline.task.type": "deploy"}, "deploy"),
        ({"deployment.name": "x", "cicd.pipeline.name": "y"}, "deploy"),
        ({"test.suite.name": "x"}, "test"),
        ({"cicd.pipeline.task.name": "x"}, "build"),
        ({"ci.pipeline.id": "x"}, "pipeline"),
        ({"vs.operation": "approval", "deployment.id": "1"}, "approval"),
        ({"http.method": "GET"}, "span"),
        ({}, "span"),
    ],
)
def test_operations(attributes, operation):
    assert one(otlp_span(attributes=attributes)).operation == operation


@pytest.mark.parametrize(
    ("attributes", "status", "expected", "error"),
    [
        ({}, {}, Status.OK, ""),
        ({}, {"code": 2}, Status.ERROR, "failure"),
        ({}, {"code": "STATUS_CODE_ERROR"}, Status.ERROR, "failure"),
        (
            {},
            {"code": 2, "message": "exit 2: no such table"},
            Status.ERROR,
            "exit 2: no such table",
        ),
        ({"error.type": "timeout"}, {"code": 2}, Status.ERROR, "timeout"),
        ({"error.type": "timeout"}, {"code": 2, "message": "after 1h"}, Status.ERROR, "timeout"),
        ({"cicd.pipeline.result": "timeout"}, {}, Status.ERROR, "timeout"),
        ({"cicd.pipeline.task.run.result": "failure"}, {}, Status.ERROR, "failure"),
        ({"deployment.status": "failed"}, {}, Status.ERROR, "failed"),
        ({"cicd.pipeline.result": "cancellation"}, {"code": 2}, Status.CANCELLED, ""),
        ({"cicd.pipeline.result": "skip"}, {}, Status.CANCELLED, ""),
        ({"cicd.pipeline.result": "success"}, {"code": 1}, Status.OK, ""),
    ],
)
def test_results(attributes, status, expected, error):
    (folded,) = fold_all([one(otlp_span(attributes=attributes, status=status))]).values()
    assert (folded.span.status, folded.span.error) == (expected, error)
    said = folded.span.attributes.get("otel.status_description")
    assert said == status.get("message"), "what the status says is never lost"


def test_a_span_without_an_end_is_in_flight_until_it_comes():
    opened, ended = parse(otlp(otlp_span(end=""))), parse(otlp(otlp_span()))
    assert fold_deliveries([opened])[KEY].span.status is Status.IN_FLIGHT
    span = fold_deliveries([ended, opened])[KEY].span
    assert (span.status, span.started_at, span.ended_at) == (
        Status.OK,
        at("10:00:00"),
        at("10:05:00"),
    )


def test_times_beyond_reason_are_none():
    for wrong in ("0", "-5", "9" * 30, None, [], "soon", 1.5):
        event = one(
            otlp_span() | {"startTimeUnixNano": wrong, "endTimeUnixNano": nanos("10:05:00")}
        )
        assert event.started_at is None
        assert event.occurred_at == at("10:05:00")


# -- ids, partial success ----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["", "0" * 32, "xyz", None, 7, "a" * 31, "é" * 32])
def test_spans_without_a_valid_id_are_refused_or_told_of(wrong):
    bad = otlp_span() | {"traceId": wrong}
    with pytest.raises(BadBody, match="32 and 16 hex digits"):
        parse(otlp(bad))
    parsed = parse(otlp(bad, otlp_span()))
    assert len(parsed.events) == 1
    assert parsed.answer["partialSuccess"]["rejectedSpans"] == "1"


def test_all_well_is_an_empty_partial_success():
    assert parse(otlp(otlp_span())).answer == {"partialSuccess": {}}


def test_no_span_of_a_large_batch_is_left_out():
    """The Collector's batches have 8,192 spans, which may be those of one scope."""
    spans = [otlp_span() | {"spanId": f"{number:016x}"} for number in range(1, 8_193)]
    assert len({event.key for event in parse(otlp(*spans)).events}) == 8_192


@pytest.mark.parametrize("body", [{}, {"resourceSpans": []}, {"resourceSpans": [{}]}, otlp()])
def test_no_spans_are_ignored(body):
    parsed = parse(body)
    assert (parsed.verdict, parsed.reason) == (Verdict.IGNORED, "no spans in it")


# -- correlation -------------------------------------------------------------------------------


def test_a_child_finds_its_parent_and_else_its_trace():
    root = one(otlp_span())
    child = one(otlp_span(CHILD, ROOT))
    assert answers(child, root) == {"explicit", "traceparent"}
    orphan = one(otlp_span(CHILD, "f" * 16))
    assert answers(orphan, root) == {"traceparent"}
    linked = one(otlp_span(CHILD, "f" * 16, links=[{"traceId": TRACE, "spanId": ROOT}]))
    (link,) = [seek for seek in linked.seeks if seek.link_only]
    assert link.key.value == f"{TRACE}-{ROOT}"


def test_a_repository_may_be_told_in_two_names():
    bare = {name: value for name, value in RESOURCE.items() if "url.full" not in name}
    names = {"vcs.owner.name": "Acme", "vcs.repository.name": "Cart"}
    assert one(otlp_span(), bare | names).project == "Acme/Cart"


def test_a_root_seeks_the_change_it_built():
    attributes = {"cicd.pipeline.name": "ship", "vcs.change.id": "34"}
    wishes = sought(one(otlp_span(attributes=attributes)))
    assert ("change_number", "change", "34", "acme/cart") in wishes
    assert ("commit", "commit", SHA, "acme/cart") in wishes
    assert ("branch", "branch", "feature/cache", "acme/cart") in wishes
    tagged = one(otlp_span(attributes=attributes), {**RESOURCE, "vcs.ref.head.type": "tag"})
    assert not [wish for wish in sought(tagged) if wish[0] == "branch"]


def test_a_pipeline_offers_what_it_built_and_a_deploy_what_it_ships():
    pipeline = one(otlp_span(attributes={"cicd.pipeline.name": "ship"}))
    assert ("built", SHA, "acme/cart") in offered(pipeline)
    deploy = one(
        otlp_span("a" * 16, attributes={"deployment.id": "d", "service.version": "1.2.0"}),
    )
    assert ("artifact", "cart@1.2.0", "") in offered(deploy)
    assert "built" in answers(deploy, pipeline)


def test_hostile_attributes_stay_bounded():
    deep = {"arrayValue": {"values": []}}
    for _ in range(200):
        deep = {"arrayValue": {"values": [deep]}}
    span = otlp_span(attributes={"a": "x" * 10_000})
    span["attributes"] += [{"key": "deep", "value": deep}, {"key": "n" * 500, "value": {}}]
    span["attributes"] += [{"key": f"k{n}", "value": {"boolValue": True}} for n in range(1_000)]
    event = one(span)
    assert len(event.attributes["a"]) == 2000
    assert len(event.attributes) < 160


def test_events_of_a_span_are_kept_in_order_of_time():
    exception = {
        "timeUnixNano": "1772445660000000000",
        "name": "exception",
        "attributes": [
            {"key": "exception.type", "value": {"stringValue": "ValueError"}},
            {"key": "exception.message", "value": {"stringValue": "no such voucher"}},
        ],
    }
    retry = {"timeUnixNano": "1772445650000000000", "name": "retry"}
    odd = [7, {"timeUnixNano": [], "attributes": "x"}]
    span = {**otlp_span(), "events": [exception, retry, *odd, *[retry] * 9]}
    event = parse(otlp(span)).events[0]
    assert event.attributes["vs.event.2"] == "2026-03-02T10:00:50Z retry"
    lines = [event.attributes[f"vs.event.{n}"] for n in range(1, 11)]
    assert len(lines) == 10 and event.attributes["vs.events"] == 12
    short = parse(otlp({**otlp_span(), "events": [exception]})).events[0]
    assert short.attributes["vs.event.1"] == (
        "2026-03-02T10:01:00Z exception ValueError no such voucher"
    )


def test_a_span_of_pytest_is_a_test():
    attributes = [{"key": "pytest.span_type", "value": {"stringValue": "test"}}]
    span = {**otlp_span(), "attributes": attributes}
    assert parse(otlp(span)).events[0].operation == "test"
