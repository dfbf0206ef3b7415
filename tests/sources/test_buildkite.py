"""Buildkite: builds and jobs by the state in the body, whatever the event is called."""

from __future__ import annotations

import hmac
import json

import pytest

from tests.sources.alert_payloads import BUILD, buildkite_story, kite, kite_build, kite_job
from tests.sources.api_payloads import SHA, post, stamp
from tests.sources.webhook_tools import RECEIVED, answers, at, fold_deliveries, offered, sought
from vs_tui.model.time import SECOND
from vs_tui.model.vocabulary import Status, Verdict
from vs_tui.sources.base import Inbound, Unauthorized, Unreadable
from vs_tui.sources.buildkite import SOURCE

BODY = json.dumps(kite("build.scheduled", kite_build())).encode()
PIPELINE = f"vstrace-buildkite-pipeline-{BUILD}"
JOB = "vstrace-buildkite-build-b63254c0-3271-4a98-8270-7cfbd6c2f14e"
NOW = str(RECEIVED // SECOND)


def signed(timestamp: str = NOW, secret: bytes = b"s3cret", body: bytes = BODY) -> str:
    message = timestamp.encode("utf-8", "surrogateescape") + b"." + body
    return f"timestamp={timestamp},signature={hmac.new(secret, message, 'sha256').hexdigest()}"


def parse(build, job=None, event=""):
    return SOURCE.parse(
        post("/buildkite", kite(event or ("job.x" if job else "build.x"), build, job))
    )


def folded(key, *parsed):
    return fold_deliveries(parsed)[key]


# -- proof of origin ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"x-buildkite-token": "s3cret"}, True),
        ({"x-buildkite-token": "old"}, True),
        ({"x-buildkite-token": "s3cre"}, False),
        ({"x-buildkite-token": ""}, False),
        ({"x-buildkite-token": "é"}, False),
        ({}, False),
        ({"x-buildkite-signature": signed()}, True),
        ({"x-buildkite-signature": signed(secret=b"old")}, True),
        ({"x-buildkite-signature": signed().replace(",", ", ")}, True),
        ({"x-buildkite-signature": signed(secret=b"other")}, False),
        ({"x-buildkite-signature": signed(body=BODY + b" ")}, False),
        ({"x-buildkite-signature": signed().partition(",")[0]}, False),
        ({"x-buildkite-signature": "nonsense"}, False),
        ({"x-buildkite-signature": "timestamp=é,signature=é"}, False),
        # A wrong signature is not rescued by a right token.
        ({"x-buildkite-signature": signed()[:-1], "x-buildkite-token": "s3cret"}, False),
    ],
)
def test_token_or_signature(headers, accepted):
    inbound = Inbound("/buildkite", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(inbound, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="Buildkite"):
            SOURCE.verify(inbound, [b"s3cret", b"old"])


@pytest.mark.parametrize(("seconds", "accepted"), [(-299, True), (299, True), (-301, False)])
def test_a_signed_timestamp_is_fresh(seconds, accepted):
    headers = {"x-buildkite-signature": signed(str(RECEIVED // SECOND + seconds))}
    inbound = Inbound("/buildkite", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(inbound, [b"s3cret"])
    else:
        with pytest.raises(Unauthorized, match="5 minutes"):
            SOURCE.verify(inbound, [b"s3cret"])


# -- builds ------------------------------------------------------------------------------------


def test_a_build_queues_runs_and_passes():
    begun = {"started_at": stamp("10:00:30")}
    found = folded(
        PIPELINE,
        parse(kite_build("passed", **begun, finished_at=stamp("10:05:00"))),
        parse(kite_build("running", **begun)),
        parse(kite_build()),
    )
    span = found.span
    assert (span.operation, span.status, span.name) == ("pipeline", Status.OK, "cart #23")
    # The project is written as GitHub writes it, so that it is one whichever tool tells of it.
    assert (span.ref, span.project) == ("vstrace-buildkite-pipeline-cart-23", "Acme/cart")
    names = [span.attributes[f"vcs.{part}.name"] for part in ("owner", "repository")]
    assert names == ["Acme", "cart"]
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:05:00"))
    assert [(s.name, s.started_at) for s in found.stages] == [
        ("queued", at("10:00:00")),
        ("running", at("10:00:30")),
    ]
    assert span.attributes["vcs.ref.head.revision"] == SHA
    assert span.attributes["cicd.pipeline.result"] == "success"


def test_the_body_counts_not_the_events_name():
    late = kite_build("failed", started_at=stamp("10:00:30"), finished_at=stamp("10:05:00"))
    span = folded(PIPELINE, parse(late, event="build.scheduled")).span
    assert (span.status, span.error, span.ended_at) == (Status.ERROR, "failure", at("10:05:00"))


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        ("creating", Status.IN_FLIGHT, ""),
        ("failing", Status.IN_FLIGHT, ""),
        ("canceling", Status.IN_FLIGHT, ""),
        ("passed", Status.OK, ""),
        ("failed", Status.ERROR, "failure"),
        ("canceled", Status.CANCELLED, ""),
        ("skipped", Status.CANCELLED, ""),
        ("not_run", Status.CANCELLED, ""),
        ("PASSED", Status.OK, ""),
    ],
)
def test_states_of_builds(state, status, error):
    span = folded(PIPELINE, parse(kite_build(state, finished_at=stamp("10:05:00")))).span
    assert (span.status, span.error) == (status, error)


def test_a_build_at_a_block_step_waits():
    deliveries = [SOURCE.parse(delivery) for delivery in buildkite_story()]
    found = folded(PIPELINE, *deliveries)
    assert [(s.name, s.started_at) for s in found.stages] == [
        ("queued", at("10:00:00")),
        ("running", at("10:00:30")),
        ("blocked", at("10:04:00")),
        ("running", at("10:20:10")),
    ]
    assert (found.span.status, found.span.ended_at) == (Status.OK, at("10:30:00"))
    waiting = folded(PIPELINE, *deliveries[:7])
    assert (waiting.span.status, waiting.span.stage) == (Status.IN_FLIGHT, "blocked")
    # The next job that starts shows that it goes on, long before it is finished.
    going_on = folded(PIPELINE, *deliveries[:8])
    assert (going_on.span.status, going_on.span.stage) == (Status.IN_FLIGHT, "running")


def test_a_rebuild_and_a_triggered_build_name_the_other_one():
    again = parse(kite_build(id="again", rebuilt_from={"id": BUILD, "number": 23})).events[0]
    (link,) = [seek for seek in again.seeks if seek.link_only]
    assert (link.rule.value, link.key.value) == ("attempt", PIPELINE)
    below = parse(kite_build(id="below", triggered_from={"build_id": BUILD})).events[0]
    assert "structure" in answers(below, parse(kite_build()).events[0])


# -- jobs --------------------------------------------------------------------------------------

RAN = {"started_at": stamp("10:00:40"), "finished_at": stamp("10:03:00")}


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"exit_status": 0}, Status.OK, ""),
        ({"exit_status": "0"}, Status.OK, ""),
        ({"exit_status": 1}, Status.ERROR, "failure"),
        ({"exit_status": -1}, Status.ERROR, "failure"),
        ({"exit_status": 1, "soft_failed": True}, Status.OK, ""),
        ({"state": "timed_out"}, Status.ERROR, "timeout"),
        ({"state": "canceled"}, Status.CANCELLED, ""),
        ({"state": "broken"}, Status.CANCELLED, ""),
        ({"state": "expired"}, Status.ERROR, "timeout"),
    ],
)
def test_states_of_jobs(changes, status, error):
    job = kite_job("finished", **RAN) | changes
    span = folded(JOB, parse(kite_build("running"), job)).span
    assert (span.status, span.error) == (status, error)
    assert (span.started_at, span.ended_at) == (at("10:00:02"), at("10:03:00"))


def test_a_job_is_below_its_build_and_a_retry_beside_it():
    build = parse(kite_build()).events[0]
    job = parse(kite_build(), kite_job("finished", **RAN, exit_status=1)).events[0]
    assert answers(job, build) == {"structure"}
    again = parse(
        kite_build(),
        kite_job(id="again", retries_count=1, retry_source={"job_id": kite_job()["id"]}),
    ).events[0]
    assert (again.attempt, answers(again, job)) == (2, {"attempt"})


def test_a_job_that_deploys():
    job = kite_job("finished", name=":rocket: Deploy to production", exit_status=0, **RAN)
    found = parse(kite_build("running"), job).events[0]
    assert (found.operation, found.service, found.environment) == ("deploy", "cart", "production")
    assert ("artifact", f"cart@{SHA}", "acme/cart") in offered(found)
    assert ("change_number", "change", "34", "acme/cart") in sought(found)


def test_a_running_job_tells_that_its_build_runs():
    job = kite_job("running", started_at=stamp("10:00:40"))
    build = folded(PIPELINE, parse(kite_build("running", started_at=stamp("10:00:30")), job))
    assert (build.span.status, build.span.stage) == (Status.IN_FLIGHT, "running")
    # It never opens a build that has ended.
    over = parse(kite_build("passed", finished_at=stamp("10:00:35")))
    late = parse(kite_build("running"), kite_job("running", started_at=stamp("10:00:40")))
    assert folded(PIPELINE, over, late).span.status is Status.OK


# -- correlation -------------------------------------------------------------------------------


def test_what_finds_the_change():
    event = parse(kite_build()).events[0]
    wishes = sought(event)
    assert ("change_number", "change", "34", "acme/cart") in wishes
    assert ("commit", "commit", SHA, "acme/cart") in wishes
    assert ("branch", "branch", "feature/cache", "acme/cart") in wishes
    assert ("built", SHA, "acme/cart") in offered(event)
    fork = parse(kite_build(branch="mallory:patch-1", pull_request=None, message="x")).events[0]
    assert not [wish for wish in sought(fork) if wish[0] == "branch"]
    unresolved = parse(kite_build(commit="HEAD")).events[0]
    assert not unresolved.offers
    assert "vcs.ref.head.revision" not in unresolved.attributes


def test_meta_data_carries_a_parent_or_a_trace():
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    meta = {"traceparent": trace, "vstrace-trace-id": "vstrace-github-issue-cart-1"}
    wishes = sought(parse(kite_build(meta_data=meta)).events[0])
    assert ("explicit", "ref", "vstrace-github-issue-cart-1", "") in wishes
    assert ("traceparent", "w3c", trace[3:52], "") in wishes


@pytest.mark.parametrize("event", ["ping", "agent.connected", "cluster_token.x", ""])
def test_other_events_are_ignored(event):
    parsed = SOURCE.parse(post("/buildkite", {"event": event}))
    assert parsed.verdict is Verdict.IGNORED
    assert parsed.reason


def test_wait_and_block_steps_are_ignored():
    for kind in ("waiter", "manual"):
        assert parse(kite_build(), kite_job(type=kind)).verdict is Verdict.IGNORED


@pytest.mark.parametrize(
    ("build", "job"),
    [
        (kite_build(id=None), None),
        (kite_build("levitating"), None),
        (kite_build(), kite_job(id=None)),
        (kite_build(), kite_job("levitating")),
    ],
)
def test_undocumented_bodies_are_quarantined(build, job):
    with pytest.raises(Unreadable):
        parse(build, job)
