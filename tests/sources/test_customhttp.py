"""Custom HTTP: ValueStream's own format, its proofs, and what senders get wrong."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources.webhook_tools import (
    RECEIVED,
    assert_survives,
    at,
    fold_all,
    malformed,
    offered,
    same_spans,
    sought,
)
from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.customhttp import SOURCE, checked_body, plain_body

SECRETS = [b"new-secret", b"old-secret"]
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def inbound(body: Any, **headers: str) -> Inbound:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Inbound("/customhttp", names, raw, RECEIVED)


def body(action: str = "start", **more: Any) -> dict[str, Any]:
    return {"type": "build", "id": "42", "action": action, **more}


def only(payload: dict[str, Any], **headers: str) -> Any:
    """The event that says it, behind the defaults of an end."""
    return SOURCE.parse(inbound(payload, **headers)).events[-1]


# Proofs.

RAW = json.dumps(body()).encode()
MAC = hmac.new(b"old-secret", RAW, hashlib.sha256).digest()


@pytest.mark.parametrize(
    ("given_", "accepted"),
    [
        (MAC.hex(), True),
        (f"sha256={MAC.hex()}", True),
        (base64.b64encode(MAC).decode(), True),
        (MAC.hex().upper(), True),
        (MAC.hex()[:-2] + "00", False),
        (MAC.decode("latin-1"), False),
        ("", False),
        ("sha256=", False),
        ("é" * 64, False),
    ],
)
def test_signatures_as_hex_or_base64_under_any_valid_secret(given_, accepted) -> None:
    request = inbound(RAW, x_vs_signature=given_)
    if accepted:
        SOURCE.verify(request, SECRETS)
    else:
        with pytest.raises(Unauthorized):
            SOURCE.verify(request, SECRETS)


def test_another_body_or_no_secret_proves_nothing() -> None:
    for request, secrets in (
        (inbound(RAW + b" ", x_vs_signature=MAC.hex()), SECRETS),
        (inbound(RAW, x_vs_signature=MAC.hex()), []),
        (inbound(RAW, x_vs_signature=hmac.new(b"", RAW, "sha256").hexdigest()), [b""]),
    ):
        with pytest.raises(Unauthorized):
            SOURCE.verify(request, secrets)


def standard(seconds: int, secret: bytes = b"old-secret") -> dict[str, str]:
    """Standard Webhooks headers, signed so many seconds before now."""
    stamp = str(RECEIVED // 1_000_000 - seconds)
    signed = hmac.new(secret, b"msg_1." + stamp.encode() + b"." + RAW, hashlib.sha256).digest()
    proof = "v1," + base64.b64encode(signed).decode()
    return {"webhook_id": "msg_1", "webhook_timestamp": stamp, "webhook_signature": proof}


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (299, True), (-299, True), (301, False), (-301, False)]
)
def test_a_signed_timestamp_is_good_for_five_minutes(seconds, accepted) -> None:
    request = inbound(RAW, **standard(seconds))
    if accepted:
        SOURCE.verify(request, SECRETS)
    else:
        with pytest.raises(Unauthorized, match="5 minutes"):
            SOURCE.verify(request, SECRETS)


def test_a_replayed_id_with_a_fresh_timestamp_is_no_proof() -> None:
    headers = standard(0)
    headers["webhook_timestamp"] = str(RECEIVED // 1_000_000 - 1)
    with pytest.raises(Unauthorized, match="webhook-signature"):
        SOURCE.verify(inbound(RAW, **headers), SECRETS)


def test_the_senders_id_tells_a_repeat() -> None:
    assert SOURCE.dedupe_key(inbound(RAW, idempotency_key="k1")) == "k1"
    assert SOURCE.dedupe_key(inbound(RAW, webhook_id="w1")) == "w1"
    assert SOURCE.dedupe_key(inbound(RAW)) == ""


# Bodies.


@pytest.mark.parametrize("spelled", ["parentid", "parent_id", "parentId", "ParentID", "parent"])
def test_every_spelling_of_the_parent(spelled) -> None:
    event = only(body(**{spelled: "vstrace-customhttp-pipeline-default-1"}))
    assert ("explicit", "ref", "vstrace-customhttp-pipeline-default-1", "") in sought(event)


def test_a_span_from_start_to_end() -> None:
    start = body("start", name="docker", timestamp="2026-03-02T10:00:00Z", tags={"a": 1})
    end = body("end", timestamp="2026-03-02T10:05:00+01:00", tags=["b|2", "flag", ""])
    end["timestamp"] = "2026-03-02T11:05:00+01:00"
    events = [e for payload in (end, start) for e in SOURCE.parse(inbound(payload)).events]
    (folded,) = fold_all(events).values()
    span = folded.span
    assert (span.key, span.name, span.project) == (
        "vstrace-customhttp-build-default-42",
        "docker",
        "default",
    )
    assert (span.started_at, span.ended_at, span.status) == (
        at("10:00:00"),
        at("10:05:00"),
        Status.OK,
    )
    assert span.attributes == {"a": 1, "b": "2", "flag": True}


def test_an_end_alone_has_a_name_and_a_project_but_gives_way_to_its_start() -> None:
    end = SOURCE.parse(inbound(body("end", namespace="shop"))).events
    (alone,) = fold_all(end).values()
    assert (alone.span.name, alone.span.project) == ("build 42", "shop")
    assert alone.span.started_at is None
    tags = {"repository": "https://github.com/Acme/API.git"}
    start = SOURCE.parse(inbound(body("start", namespace="shop", name="docker", tags=tags))).events
    for order in ([*end, *start], [*start, *end]):
        (both,) = fold_all(order).values()
        assert (both.span.name, both.span.project) == ("docker", "Acme/API")


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({}, "build 42"),
        ({"tags": {"name": "docker"}}, "docker"),
        ({"tags": ["type|docker"]}, "build docker"),
        ({"tags": {"service": "shop"}}, "build shop"),
        ({"type": "deploy", "tags": {"service": "shop", "environment": "prod"}}, "shop to prod"),
        ({"type": "deploy", "tags": {"service": "shop"}}, "deploy shop"),
        ({"id": "1a1fdbdf5e6c225df66b5"}, "build"),
        ({"id": "0190046e-e199-453b-a302-a21a4d649d31"}, "build"),
        ({"id": "2fZ5mW8rJq3vK1xT7bN9cL4dYhA"}, "build"),
        ({"id": "release-of-the-shop-2026"}, "build release-of-the-shop-2026"),
        ({"id": "20261121"}, "build 20261121"),
    ],
)
def test_a_name_that_runs_of_one_thing_share(more, name) -> None:
    for action in ("start", "end"):
        (folded,) = fold_all(SOURCE.parse(inbound(body(action, **more))).events).values()
        assert folded.span.name == name


@pytest.mark.parametrize(
    ("actions", "status", "reopens"),
    [
        (("end", "start"), Status.OK, 0),  # the start arrived late
        (("end", "start", "start"), Status.OK, 0),
        (("start", "end", "start"), Status.IN_FLIGHT, 1),
        (("start", "end", "start", "end"), Status.OK, 1),
    ],
)
def test_an_id_without_times_starts_again_only_after_it_was_seen_to_start(
    actions, status, reopens
) -> None:
    events = [
        event
        for minute, action in enumerate(actions)
        for event in SOURCE.parse(
            inbound(body(action))._replace(received_at=RECEIVED + minute * MINUTE)
        ).events
    ]
    for order in (events, events[::-1]):
        (folded,) = fold_all(order).values()
        assert (folded.span.status, folded.span.reopens) == (status, reopens)


def test_an_id_that_starts_again_goes_on_and_an_end_said_twice_does_not() -> None:
    said = [
        body("start", timestamp="2026-03-02T10:00:00Z"),
        body("end", timestamp="2026-03-02T10:10:00Z"),
        body("end", timestamp="2026-03-02T10:11:00Z", error="a trap at the script's exit"),
        body("start", timestamp="2026-03-03T10:00:00Z"),
        body("end", timestamp="2026-03-03T10:05:00Z", error="exit code 2"),
    ]
    events = [SOURCE.parse(inbound(payload)).events for payload in said]
    spans = [
        next(iter(fold_all(e for each in events[:count] for e in each).values())).span
        for count in range(1, 6)
    ]
    assert [span.status for span in spans] == [
        Status.IN_FLIGHT,
        Status.OK,
        Status.OK,
        Status.IN_FLIGHT,
        Status.ERROR,
    ]
    assert (spans[-1].error, spans[-1].reopens) == ("exit code 2", 1)
    assert spans[-1].active == 15 * 60 * 1_000_000


@pytest.mark.parametrize(
    ("more", "status", "error"),
    [
        ({}, Status.OK, ""),
        ({"error": True}, Status.ERROR, "failure"),
        ({"error": "exit code 2"}, Status.ERROR, "exit code 2"),
        ({"status": "cancelled"}, Status.CANCELLED, ""),
        ({"status": "timed_out"}, Status.ERROR, "timeout"),
        ({"status": "ok"}, Status.OK, ""),
    ],
)
def test_ends(more, status, error) -> None:
    (folded,) = fold_all(SOURCE.parse(inbound(body("end", **more))).events).values()
    assert (folded.span.status, folded.span.error) == (status, error)


def test_an_annotation_moves_nothing() -> None:
    start = SOURCE.parse(inbound(body("start", timestamp="2026-03-02T10:00:00Z"))).events
    note = body("annotate", timestamp="2026-03-02T10:09:00Z", tags={"k": "v"})
    (folded,) = fold_all([*start, *SOURCE.parse(inbound(note)).events]).values()
    assert folded.span.in_flight
    assert folded.span.attributes == {"k": "v"}


def test_what_a_deploy_offers_and_seeks() -> None:
    tags = {
        "vcs.repository.url.full": "git@github.com:Acme/API.git",
        "vcs.ref.head.revision": "A" * 40,
        "vcs.ref.head.name": "refs/pull/7/merge",
        "version": "1.4",
        "deployment.environment.name": "production",
        "actor": "bob",
    }
    event = only(body("start", type="deploy", tags=tags), traceparent=TRACEPARENT)
    assert (event.project, event.service, event.environment, event.actor) == (
        "Acme/API",
        "api",
        "production",
        "bob",
    )
    assert ("artifact", "api@1.4", "default") in offered(event)
    assert not [key for key in offered(event) if key[0] == "built"], "a deploy builds nothing"
    assert sought(event) >= {
        ("change_number", "change", "7", "acme/api"),
        ("commit", "commit", "a" * 40, "acme/api"),
        ("built", "built", "a" * 40, "acme/api"),
        ("version", "artifact", "api@1.4", "default"),
        ("traceparent", "w3c", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", ""),
    }


def test_a_run_offers_the_context_it_gave_its_command() -> None:
    event = only(body("start", tags={"vs.traceparent": TRACEPARENT}))
    key = ("w3c", "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7", "")
    assert key in offered(event)


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        ({}, "type"),
        ({"type": "build"}, "id"),
        ({"type": "build", "id": "1"}, "action"),
        ({"type": "", "id": "1", "action": "start"}, "type"),
        ({"type": "build", "id": "", "action": "start"}, "id"),
        ({"type": "build", "id": "1", "action": "start", "timestamp": "soon"}, "timestamp"),
        ({"type": "build", "id": "1", "action": "start", "tags": 5}, "tags"),
        ({"type": "build", "id": "1", "action": "end", "status": "fine"}, "status"),
        ([], "body"),
        (b"{", "body"),
    ],
)
def test_a_wrong_body_names_the_field(payload, field) -> None:
    with pytest.raises(BadBody) as refused:
        SOURCE.parse(inbound(payload))
    assert refused.value.field == field
    assert refused.value.why


STORY = [
    body("start", name="docker", timestamp="2026-03-02T10:00:00Z", tags={"a": "1"}),
    body("annotate", timestamp="2026-03-02T10:01:00Z", tags={"a": "2"}),
    body("end", timestamp="2026-03-02T10:05:00Z", error="exit code 1"),
    body("end", timestamp="2026-03-02T10:06:00Z"),
    body("start", timestamp="2026-03-02T10:08:00Z"),
    body("start", id="43", parentid="vstrace-customhttp-build-default-42", tags=["x|y"]),
    body("end", id="43", status="cancelled", timestamp="2026-03-02T10:04:00Z"),
    body("start", type="deploy", id="7", tags={"service": "api", "version": "1"}),
    body("end", type="deploy", id="7", namespace="shop"),
]
EVENTS = [SOURCE.parse(inbound(payload)).events for payload in STORY]
WHOLE = fold_all(event for events in EVENTS for event in events)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng) -> None:
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for index in order for e in EVENTS[index]), WHOLE)


def test_valuestreams_own_spelling_is_read() -> None:
    """Names in any case, nulls, and Metadata for tags, as its vscli (Go) sends them."""
    body = {
        "id": "a1",
        "Action": "start",
        "ParentID": None,
        "Error": False,
        "Namespace": "default",
        "Type": "pipeline",
        "Metadata": {"source": "gcloud"},
    }
    child = body | {
        "id": "a2",
        "Type": "build",
        "ParentID": "vstrace-customhttp-pipeline-default-a1",
    }
    end = child | {"Action": "end", "Error": True, "Metadata": None, "ParentID": None}
    spans = fold_all(e for b in (body, child, end) for e in SOURCE.parse(inbound(b)).events)
    one = spans["vstrace-customhttp-pipeline-default-a1"].span
    two = spans["vstrace-customhttp-build-default-a2"]
    assert (one.operation, one.status) == ("pipeline", Status.IN_FLIGHT)
    assert one.attributes["source"] == two.span.attributes["source"] == "gcloud"
    assert (two.span.status, two.span.error) == (Status.ERROR, "failure")
    assert {seek.key.value for seek in two.seeks} == {one.key}
    plain = {
        "type": "build",
        "id": "1",
        "action": "start",
        "metadata": {"k": "v"},
        "Tags": {"a": 1},
    }
    (event,) = SOURCE.parse(inbound(plain)).events
    assert event.attributes == {"k": "v", "a": 1}


@pytest.mark.parametrize("action", ["stop", "restarted", "STATUS"])
def test_an_action_that_is_neither_start_nor_end_is_ignored(action) -> None:
    parsed = SOURCE.parse(inbound({"type": "build", "id": "1", "Action": action}))
    assert (parsed.verdict, parsed.status) == (Verdict.IGNORED, 200)
    assert action in parsed.reason


def test_malformed_bodies_are_read_or_refused() -> None:
    seen = assert_survives(
        SOURCE,
        (inbound(malformed(payload, seed)) for seed in range(160) for payload in STORY),
    )
    assert sum(seen.values()) == 160 * len(STORY) >= 1_000
    assert seen["BadBody"] > 100
    assert seen["accepted"] > 100
    assert set(seen) <= {"BadBody", "accepted", "ignored"}, (
        "an endpoint of our own quarantines nothing"
    )


# The plainest form is read without the schema; what comes out is the schema's.

PLAIN = [
    body(),
    body("end", error=True),
    body("end", error="timeout", status="timed_out", tags=["type|docker", "fast", ""]),
    body(" START ", type=" Build", namespace="", parentid="vstrace-customhttp-pipeline-x-1"),
    body(tags={"a": None, "b": 2**70, "c": {"d": [1]}, "e": "x" * 3000}, extra={"deep": {}}),
    body(timestamp="2026-03-02T10:00:00Z", traceparent=TRACEPARENT),
    body(timestamp="", name="compile", status=None),
]
TEXT = st.sampled_from(
    ["", " ", "x", " Start ", "END", "ok", "build", "x" * 201, "x" * 501, "\0", "İ" * 150]
)
VALUE = st.one_of(
    TEXT, st.none(), st.booleans(), st.integers(-2, 2**64 - 1), st.floats(0, 9), st.just([]),
    st.lists(TEXT, max_size=3), st.dictionaries(TEXT, TEXT | st.integers(0, 9), max_size=3),
)  # fmt: skip
NAMES = st.sampled_from(
    ["type", "id", "ID", "event_id", "action", "namespace", "name", "parent", "parentid", "error",
     "parent_id", "status", "timestamp", "tags", "traceparent", "service", "other"]
)  # fmt: skip


def told(payload: dict[str, Any]) -> str:
    """What the schema makes of it; orders and types count."""
    try:
        return repr(checked_body(payload))
    except BadBody as error:
        return f"BadBody: {error}"


@pytest.mark.parametrize("payload", PLAIN)
def test_plain_bodies_need_no_schema(payload):
    assert repr(plain_body(payload, json.dumps(payload).encode())) == told(payload)


@given(st.dictionaries(NAMES, VALUE, max_size=6), st.sampled_from(PLAIN))
def test_whatever_is_read_without_the_schema_is_read_as_by_it(changed, plain):
    payload = {**plain, **changed}
    found = plain_body(payload, json.dumps(payload).encode())
    assert found is None or repr(found) == told(payload)


@pytest.mark.parametrize(
    "payload",
    [
        body(name="a\0b"),
        body(tags={"a": [[[[[[[[[[]]]]]]]]] for _ in range(9)]}),
        body(type="İ" * 150),
        body(action="stop"),
        body(status="fine"),
        body(timestamp="soon"),
        body(id=42),
        body(ID="43"),
        {"action": "start"},
    ],
)
def test_doubtful_bodies_are_left_to_the_schema(payload):
    assert plain_body(payload, json.dumps(payload).encode()) is None


@pytest.mark.parametrize("name", ["vercel", "opsgenie", "sonarqube"])
def test_a_tools_own_body_is_read_as_that_tools(name):
    from tests.sources.test_presets import inbounds
    from vs_tui.sources.mapped import presets

    preset = presets()[name]
    for inbound in inbounds(name):
        parsed = SOURCE.parse(inbound._replace(path="/customhttp"))
        assert parsed.events == preset.parse(inbound).events
        assert parsed.reason == f"read as a body of {preset.title}; send it to {preset.paths[0]}"


def test_devlakes_deployment_is_read_as_devlakes():
    from tests.sources.test_devlake import NEW

    body = json.dumps(NEW).encode()
    parsed = SOURCE.parse(Inbound("/customhttp", {}, body, RECEIVED))
    assert [event.source for event in parsed.events] == ["devlake"]


@pytest.mark.parametrize("body", [{"pipelineRun": {"metadata": {"name": "x"}}}, {"id": "1"}, {}])
def test_a_body_that_is_nobodys_is_refused_with_what_to_do(body):
    with pytest.raises(BadBody, match=r"to the path of that tool .*docs/sources/mapped\.md"):
        SOURCE.parse(Inbound("/customhttp", {}, json.dumps(body).encode(), RECEIVED))


def test_a_preset_that_is_switched_off_recognises_nothing():
    from tests.sources.test_presets import inbounds
    from vs_tui.config.model import configure

    (inbound, *_) = inbounds("vercel")
    configure({"vercel": {"enabled": False}})
    try:
        with pytest.raises(BadBody):
            SOURCE.parse(inbound._replace(path="/customhttp"))
    finally:
        configure({})
