"""plyzen: both schemas, chunks and amendments, and the rules of its guide."""

from __future__ import annotations

import itertools

import pytest

from tests.sources.api_payloads import RELEASE, activity, moment, plyzen_story, post, record
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    at,
    fold_deliveries,
    offered,
    same_spans,
    sought,
)
from vs_tui.config import DEFAULT_TIMEOUTS
from vs_tui.model.time import HOUR, MINUTE
from vs_tui.model.vocabulary import State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.dispatch import signing_sources
from vs_tui.sources.plyzen import SOURCE, type_in
from vs_tui.traces.folding import with_timeout

ACTIVITY = "vstrace-plyzen-activity-deploy-1337"


def parse(body, minutes=0):
    return SOURCE.parse(post("/plyzen", body, minutes))


def spans(*bodies):
    """Folded from bodies that arrived one a minute."""
    return fold_deliveries([parse(body, n) for n, body in enumerate(bodies)])


def only(*bodies):
    (folded,) = spans(*bodies).values()
    return folded.span


# -- proof of origin, answer -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "accepted"),
    [
        ("s3cret", True),
        ("old", True),
        ("", False),
        ("s3cret ", False),
        ("S3CRET", False),
        ("é", False),
        ("\udcff", False),
    ],
)
def test_the_api_key_of_plyzens_scripts(key, accepted):
    request = Inbound("/plyzen", {"x-api-key": key}, b"{}", RECEIVED)
    if accepted:
        SOURCE.verify(request, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="x-api-key"):
            SOURCE.verify(request, [b"s3cret", b"old"])


def test_a_secret_is_made_for_the_api_key():
    assert SOURCE.name in signing_sources()


def test_the_answer_is_plyzens():
    for delivery in plyzen_story():
        assert SOURCE.parse(delivery).answer == {"result": "success"}


# -- the basic schema --------------------------------------------------------------------------


def test_a_deploy_from_start_to_finish():
    span = only(record("start", "09:30:00"), record("finish", "09:32:00"))
    assert (span.operation, span.status) == ("deploy", Status.OK)
    assert (span.started_at, span.ended_at) == (at("09:30:00"), at("09:32:00"))
    assert (span.name, span.project, span.service) == ("cart 2.4.3 to prod", "shop", "cart")
    assert (span.environment, span.attributes["vs.instance"]) == ("prod", "green")
    assert span.attributes["deployment.environment.name"] == "prod"
    assert span.attributes["vs.version"] == span.attributes["service.version"] == "2.4.3"


def test_a_finish_alone_is_a_span_without_a_start():
    span = only(record())
    assert (span.started_at, span.ended_at, span.status) == (None, at("10:00:00"), Status.OK)


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("success", Status.OK),
        (None, Status.OK),
        ("", Status.OK),
        ("failure", Status.ERROR),
        ("fail", Status.ERROR),
        ("FAILURE", Status.ERROR),
    ],
)
def test_results(result, status):
    assert only(record("finish", result=result)).status is status


def test_a_result_on_a_start_says_nothing():
    assert only(record("start", result="success")).status is Status.IN_FLIGHT


@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("build", "build"),
        ("Nightly-Build", "build"),
        ("prod-deploy", "deploy"),
        ("deployment", "deploy"),
        ("smoke-test", "test"),
        ("alarm-latency", "incident"),
        ("test-deploy", "deploy"),
        ("post-deploy-test", "test"),
    ],
)
def test_an_activitys_name_implies_its_type(name, operation):
    assert only(record(activity=name)).operation == operation
    assert only(record(activity=None, activityName=name)).operation == operation
    assert only(activity(name=name, artifacts=[{"name": "cart"}])).operation == operation


def test_a_stated_type_beats_the_name():
    assert only(record(activity="deploy", activityType="test")).operation == "test"
    assert type_in("release") == ""


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (record(artifact=None), "artifact"),
        (record(artifact=""), "artifact"),
        (record(environment=None), "environment"),
        (record(event="middle"), "event"),
        (record(event="finish", result="odd"), "result"),
        (record(activity="release"), "activity"),
        (record(activity=None), "activity"),
        (record(activity=None, activityType="release"), "activityType"),
        (record(timestamp="yesterday"), "timestamp"),
        (record(extensions={"changeRequest": {}}), "extensions.changeRequest.id"),
        ({"activities": [{"name": "build"}]}, "activities.0.correlationId"),
        ({"activities": {}}, "activities"),
        (activity(events=[{"type": "pause"}]), "activities.0.events.0.type"),
        (activity(artifacts=[{"version": "1"}]), "activities.0.artifacts.0.name"),
        (activity(result="maybe"), "activities.0.result"),
    ],
)
def test_what_breaks_the_schema_names_its_field(body, field):
    with pytest.raises(BadBody) as refusal:
        parse(body)
    assert refusal.value.field == field
    assert refusal.value.why


def test_one_bad_activity_of_several_refuses_them_all():
    body = {"activities": [*activity(**RELEASE)["activities"], {"name": "no id"}]}
    with pytest.raises(BadBody):
        parse(body)


def test_no_activities_are_ignored():
    parsed = parse({"activities": []})
    assert (parsed.verdict, parsed.answer) == (Verdict.IGNORED, {"result": "success"})
    assert parsed.reason


def test_the_old_name_of_the_environment_is_read():
    body = record(environment=None) | {"stage": "prod"}
    assert only(body).environment == "prod"


def test_a_record_without_a_time_happened_when_it_came():
    assert only(record(timestamp=None)).ended_at == RECEIVED


@pytest.mark.parametrize(
    "change",
    [
        {"namespace": "other"},
        {"artifact": "pay"},
        {"version": "2.4.4"},
        {"environment": "qa"},
        {"instance": "blue"},
        {"activity": "eu-deploy"},
        {"namespace": "shop/cart", "artifact": "x"},
    ],
)
def test_what_tells_two_activities_apart(change):
    assert len(spans(record(), record(**change))) == 2


def test_the_namespace_is_default_unless_it_is_named():
    assert only(record(namespace=None), record(namespace="default")).project == "default"


def test_the_same_activity_again_reopens_it_and_keeps_each_run():
    span = only(
        record("start", "10:00:00"),
        record("finish", "10:01:00", result="failure"),
        record("start", "10:30:00"),
        record("finish", "10:32:00"),
    )
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("10:32:00"))
    assert span.active == 3 * MINUTE
    assert span.attributes["vs.run.2026-03-02T10:01:00Z"] == "failure"
    assert span.attributes["vs.run.2026-03-02T10:32:00Z"] == "success"


def test_replayed_events_change_nothing():
    once = spans(record("start", "09:30:00"), record("finish", "09:32:00"))
    later = [parse(record(e, t), 500) for e, t in (("start", "09:30:00"), ("finish", "09:32:00"))]
    first = [parse(record(e, t), n) for n, (e, t) in enumerate((("start", "09:30:00"),))]
    replayed = fold_deliveries([*first, *later, *later])
    assert same_spans(replayed, once)


def test_a_start_without_a_finish_fails_after_its_timeout():
    started = at("09:30:00")
    span = only(record("start", "09:30:00"))
    waiting = with_timeout(span, started + HOUR, DEFAULT_TIMEOUTS)
    failed = with_timeout(span, started + 3 * HOUR, DEFAULT_TIMEOUTS)
    assert waiting.status is Status.IN_FLIGHT
    assert (failed.status, failed.ended_at) == (Status.TIMED_OUT, started + 2 * HOUR)
    assert failed.status.failed
    late = only(record("start", "09:30:00"), record("finish", "12:00:00"))
    assert with_timeout(late, started + 3 * HOUR, DEFAULT_TIMEOUTS).status is Status.OK
    for kind in ("build", "test"):
        body = record("start", "09:30:00", activity=kind)
        assert with_timeout(only(body), started + 99 * HOUR, DEFAULT_TIMEOUTS).status.failed


def test_an_alarm_is_an_incident_that_its_finish_ends_whatever_the_result():
    alarm = {"activity": None, "activityName": "error rate", "activityType": "alarm"}
    span = only(record("start", "11:00:00", **alarm))
    assert (span.operation, span.status) == ("incident", Status.IN_FLIGHT)
    span = only(
        record("start", "11:00:00", **alarm), record("finish", "11:20:00", result="fail", **alarm)
    )
    assert (span.status, span.duration) == (Status.OK, 20 * MINUTE)


def test_tests_and_alarms_find_the_deploy_of_their_version():
    (deploy,) = parse(record()).events
    for kind in ("smoke-test", "alarm"):
        (child,) = parse(record(activity=kind)).events
        assert answers(child, deploy) == {"version"}
        assert not child.offers
    (build,) = parse(record(activity="build", environment="ci")).events
    assert answers(deploy, build) == {"version"}
    assert ("artifact", "cart@2.4.3", "shop") in offered(build)


def test_a_missing_version_is_marked_and_makes_no_key():
    (event,) = parse(record(activity="smoke-test", version=None)).events
    assert event.attributes["vs.version_missing"] is True
    assert "vs.version" not in event.attributes
    assert not event.seeks


def test_a_change_request_names_the_ticket():
    body = record(extensions={"changeRequest": {"id": " tp-3 ", "type": "jira"}})
    (event,) = parse(body).events
    assert ("issue_key", "issue_key", "TP-3", "") in sought(event)
    assert event.attributes["vs.change_request.id"] == " tp-3 "
    body = record(extensions={"changeRequest": {"id": "vstrace-jira-issue-TP-3"}})
    assert ("reference", "ref", "vstrace-jira-issue-TP-3", "") in sought(parse(body).events[0])


# -- correlationId: upsert, amend, chunks ------------------------------------------------------


def test_with_a_correlation_id_the_last_record_received_counts():
    def told(*results):
        return only(
            *(
                record("finish", clock, correlationId="c-9", result=result)
                for clock, result in results
            )
        )

    amended = told(("13:09:00", "failure"), ("13:08:00", "success"))
    assert (amended.status, amended.ended_at) == (Status.OK, at("13:08:00"))
    amended = told(("13:08:00", "success"), ("13:09:00", "failure"))
    assert (amended.status, amended.ended_at) == (Status.ERROR, at("13:09:00"))


def test_the_artifacts_of_one_basic_correlation_are_spans_of_their_own():
    found = spans(
        record(correlationId="r-1", product="webshop"),
        record(correlationId="r-1", product="webshop", artifact="pay", version="1.9"),
    )
    assert len(found) == 2
    assert {f.span.attributes["vs.product"] for f in found.values()} == {"webshop"}
    assert {f.span.attributes["vs.correlation_id"] for f in found.values()} == {"r-1"}


def test_a_product_release_is_one_span_of_all_its_artifacts():
    body = activity(
        **RELEASE,
        events=[moment("start", "12:00:00"), moment("finish", "12:10:00")],
        result="success",
    )
    span = only(body)
    assert span.key == ACTIVITY
    assert (span.operation, span.name, span.service) == ("deploy", "webshop to prod", "webshop")
    assert (span.environment, span.duration) == ("prod", 10 * MINUTE)
    assert span.attributes["vs.artifact.shop/cart"] == "2.4.3"
    assert span.attributes["vs.artifact.shop/pay"] == "1.9"
    keys = {(k.value, k.via) for e in parse(body).events for k in e.offers}
    # The next release may bring one of them unchanged and is no repeat of this one.
    versions = {("cart@2.4.3", "part"), ("pay@1.9", "part")}
    assert keys == versions | {("cart", "artifact"), ("pay", "artifact")}


CHUNKS = [
    activity(name="prod-deploy", type="deployment", product={"name": "webshop"}),
    activity(environment={"name": "prod"}, artifacts=[{"name": "cart", "version": "1"}]),
    activity(events=[moment("start", "12:00:00")]),
    activity(events=[moment("finish", "12:10:00")]),
    activity(result="failure"),
]


def test_chunks_add_up_in_any_order():
    parsed = [parse(body, n) for n, body in enumerate(CHUNKS)]
    for order in itertools.permutations(parsed):
        (folded,) = fold_deliveries(order).values()
        span = folded.span
        assert (span.operation, span.service, span.environment) == ("deploy", "webshop", "prod")
        assert (span.status, span.error) == (Status.ERROR, "failure")
        assert (span.started_at, span.ended_at) == (at("12:00:00"), at("12:10:00"))
        assert span.attributes["vs.artifact.default/cart"] == "1"


def test_a_chunk_alone_is_in_flight_until_more_is_known():
    span = only(activity(result="failure"))
    assert (span.status, span.error) == (Status.IN_FLIGHT, "")


@pytest.mark.parametrize(
    ("chunks", "status", "error"),
    [
        ([{"result": "failure"}, {"result": "success"}], Status.OK, ""),
        ([{"result": "success"}, {"result": "diverse"}], Status.ERROR, "diverse"),
        ([{"artifacts": [("cart", "failure")]}], Status.ERROR, "failure"),
        ([{"artifacts": [("cart", "failure"), ("pay", "success")]}], Status.ERROR, "failure"),
        (
            [{"artifacts": [("cart", "failure")]}, {"artifacts": [("pay", "success")]}],
            Status.ERROR,
            "failure",
        ),
        (
            [{"artifacts": [("cart", "failure")]}, {"artifacts": [("cart", "success")]}],
            Status.OK,
            "",
        ),
        ([{"artifacts": [("cart", "failure")]}, {"result": "success"}], Status.OK, ""),
        ([{"result": "success"}, {"artifacts": [("cart", "failure")]}], Status.OK, ""),
        ([{}], Status.OK, ""),
    ],
)
def test_the_result_is_the_stated_one_else_the_artifacts_together(chunks, status, error):
    bodies = [activity(name="prod-deploy", events=[moment("finish", "12:10:00")])]
    for chunk in chunks:
        parts = dict(chunk)
        if "artifacts" in parts:
            parts["artifacts"] = [
                {"name": name, "version": "1", "result": result}
                for name, result in parts["artifacts"]
            ]
        bodies.append(activity(**parts))
    span = only(*bodies)
    assert (span.status, span.error, span.ended_at) == (status, error, at("12:10:00"))


def test_an_amended_version_is_the_one_that_counts():
    span = only(
        activity(**RELEASE, events=[moment("finish", "12:10:00")]),
        activity(artifacts=[{"namespace": "shop", "name": "pay", "version": "1.9.1"}]),
    )
    assert span.attributes["vs.artifact.shop/pay"] == "1.9.1"
    assert (span.service, span.name) == ("webshop", "webshop to prod")


def test_events_without_times_happened_when_they_came():
    (event, *_) = parse(activity(name="build", events=[{"type": "finish"}])).events
    assert (event.state, event.occurred_at) == (State.OK, RECEIVED)


def test_no_correlation_id_gives_the_key_of_another():
    ids = ["a/b", "a%2Fb", "a b", "ä", "a-b", "A-b"]
    keys = {parse(activity(i, name="build")).events[0].key for i in ids}
    assert len(keys) == len(ids)
