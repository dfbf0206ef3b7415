"""Jenkins: builds and deploys of both plugins, queue items, steps and checkouts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import jenkins_payloads as jk
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    assert_survives,
    at,
    fold_all,
    malformed,
    offered,
    real_bodies,
    same_spans,
    sought,
)
from vs_tui.model import keys
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.jenkins import SOURCE

KEY = "vstrace-jenkins-build-ci.example.com/jenkins/backend/build-api-7"
QUEUE = "vstrace-jenkins-queue-ci.example.com/jenkins-99"


def events(*bodies) -> list[Event]:
    return [event for body in bodies for event in SOURCE.parse(jk.inbound(body)).events]


def folded(*bodies, key=KEY):
    return fold_all(events(*bodies))[key]


def whole(*bodies) -> Event:
    """The telling event of the last body."""
    return events(*bodies)[-1]


def refs(*bodies):
    return {value for e in events(*bodies) for kind, value, _ in offered(e) if kind == "ref"}


def test_there_is_no_signature_only_the_token_in_the_url():
    assert (SOURCE.signature_headers, SOURCE.token_in_url) == ((), True)
    assert SOURCE.paths == ("/jenkins", "/jenkins/*")
    for headers in ({}, {"authorization": "x"}, {"x-hub-signature": "sha256=00"}):
        with pytest.raises(Unauthorized, match="token"):
            SOURCE.verify(Inbound("/jenkins", headers, b"{}", RECEIVED), [b"s3cret"])
    assert SOURCE.dedupe_key(jk.inbound({})) == ""


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (jk.start(), "build.started"),
        (jk.end(), "build.finished"),
        (jk.queue("ENTERED", "10:30:00"), "queue.entered"),
        (jk.queue(None, "10:30:00"), "queue.state"),
        (jk.step("10:31:00", None), "step"),
        (jk.checkout("10:31:00", None), "checkout"),
        (jk.notification("STARTED", "10:30:10"), "build.started"),
    ],
)
def test_bodies_are_told_apart_by_their_fields(body, kind):
    parsed = SOURCE.parse(jk.inbound(body, "/jenkins/any/path"))
    assert parsed.kind == kind
    assert parsed.events


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({"name": "aJob", "createdDate": 1469455391674, "status": "ACTIVE"}, "project"),
        ({"name": "aJob", "updatedDate": 1469455391674, "status": "DELETED"}, "project"),
        (jk.notification("NONE", "10:30:00"), "none"),
        (jk.notification("SPLIT", "10:30:00"), "SPLIT"),
    ],
)
def test_unwanted_bodies_are_ignored_with_a_reason(body, reason):
    parsed = SOURCE.parse(jk.inbound(body))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert reason.lower() in parsed.reason.lower()


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"hello": 1},
        jk.start(number=None),
        jk.start(jobName=None, fullJobName=None),
        jk.end("EXPLODED"),
        jk.queue("LEFT", "10:30:00", jenkinsQueueId=None),
        jk.step("10:31:00", None, buildUrl=None),
        jk.notification("STARTED", "10:30:10", number=None),
        jk.notification("COMPLETED", "10:35:10", "EXPLODED"),
    ],
)
def test_undocumented_bodies_are_quarantined(body):
    with pytest.raises(Unreadable, match="compare the body"):
        SOURCE.parse(jk.inbound(body))


def test_other_json_is_refused():
    for body in (b"[]", b"nope", b""):
        with pytest.raises(BadBody):
            SOURCE.parse(Inbound("/jenkins", {}, body, RECEIVED))


BOTH = pytest.mark.parametrize(
    "bodies",
    [
        (jk.start(), jk.end()),
        (
            jk.notification("QUEUED", "10:30:00"),
            jk.notification("STARTED", "10:30:10"),
            jk.notification("COMPLETED", "10:35:10", "SUCCESS"),
            jk.notification("FINALIZED", "10:35:40", "SUCCESS"),
        ),
        (jk.start(), jk.notification("COMPLETED", "10:35:10", "SUCCESS")),
    ],
    ids=["statistics", "notification", "mixed"],
)


@BOTH
def test_both_plugins_tell_of_one_span(bodies):
    found = folded(*bodies)
    span = found.span
    assert (span.status, span.operation) == (Status.OK, "build")
    assert (span.started_at, span.ended_at) == (at("10:30:00"), at("10:35:10"))
    assert [(s.name, s.started_at) for s in found.stages] == [
        ("queued", at("10:30:00")),
        ("running", at("10:30:10")),
    ]
    assert (span.name, span.project) == ("backend/build-api #7", "acme/api")
    assert span.attributes["cicd.pipeline.name"] == "backend/build-api"
    assert span.attributes["cicd.pipeline.result"] == "success"
    assert span.url == f"{jk.CI}job/backend/job/build-api/7/"
    assert span.ref == "vstrace-jenkins-build-build-api-7"


@pytest.mark.parametrize(
    ("word", "status", "error", "result"),
    [
        ("SUCCESS", Status.OK, "", "success"),
        ("UNSTABLE", Status.ERROR, "unstable", "failure"),
        ("FAILURE", Status.ERROR, "failure", "failure"),
        ("ABORTED", Status.CANCELLED, "", "cancellation"),
        ("NOT_BUILT", Status.CANCELLED, "", "skip"),
        ("UNKNOWN", Status.CANCELLED, "", None),
        ("", Status.CANCELLED, "", None),
    ],
)
def test_results(word, status, error, result):
    for body in (jk.end(word), jk.notification("COMPLETED", "10:35:10", word)):
        span = folded(body).span
        assert (span.status, span.error) == (status, error)
        assert span.attributes.get("cicd.pipeline.result") == result
        assert span.attributes.get("vs.warn") == (True if word == "UNSTABLE" else None)


# ValueStream's bug 10: an end has no parameters, so it got another id than its start.

DEPLOY = jk.start(parameters={"type": "deploy", "ENVIRONMENT": "production", "Version": "1.2.0"})


@pytest.mark.parametrize(
    "finish",
    [
        jk.end(),
        # Newer versions of the plugin add the checkout to an end.
        jk.end(scmInfo=dict(jk.SCM)),
        jk.end("FAILURE"),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_an_end_lands_on_the_deploy_it_ends(finish, order):
    span = folded(*(DEPLOY, finish)[::order]).span
    assert (span.operation, span.environment) == ("deploy", "production")
    assert span.service == "api"
    assert not span.in_flight
    assert span.ref == "vstrace-jenkins-deploy-build-api-7"


def test_a_deploy_by_the_jobs_name():
    named = {"jobName": "deploy:api", "fullJobName": "ops/deploy:api"}
    key = "vstrace-jenkins-build-ci.example.com/jenkins/ops/deploy:api-7"
    for bodies in ((jk.end(**named),), (jk.start(**named, scmInfo={}), jk.end(**named))):
        span = folded(*bodies, key=key).span
        assert (span.operation, span.service) == ("deploy", "api")
        # Nobody said where to.
        assert span.environment == ""


@pytest.mark.parametrize(
    ("job", "parameters", "name"),
    [
        # Jobs are called so wherever nobody knows of ValueStream's prefix.
        ("deploy-api", {"ENVIRONMENT": "production"}, "api to production"),
        ("deploy-staging", {}, "api to staging"),
        ("Deploy to QA", {"service": "cart"}, "cart to qa"),
        # It does not say where, or it says that it is something else.
        ("deploy-api", {}, ""),
        ("deploy-staging", {"type": "test"}, ""),
        ("build-api", {"ENVIRONMENT": "production"}, ""),
        # The name of a branch, not of a job.
        ("feature%2Fdeploy-staging", {}, ""),
    ],
)
def test_a_job_whose_name_and_environment_say_so_is_a_deploy(job, parameters, name):
    named = {"jobName": job, "fullJobName": f"ops/{job}"}
    key = keys.reference("jenkins", "build", f"ci.example.com/jenkins/ops/{job}", 7)
    span = folded(jk.start(**named, parameters=parameters), jk.end(**named), key=key).span
    if name:
        assert (span.operation, span.name) == ("deploy", name)
        assert span.environment == span.attributes["deployment.environment.name"]
    else:
        assert (span.operation, span.environment) == ("build", "")
    assert not span.in_flight


def test_an_end_alone_is_a_build():
    span = folded(jk.end()).span
    assert (span.operation, span.project) == ("build", "backend/build-api")
    assert (span.started_at, span.ended_at) == (at("10:30:10"), at("10:35:10"))
    assert span.ref == "vstrace-jenkins-build-build-api-7"


@pytest.mark.parametrize("body", [DEPLOY, jk.start(), jk.end()])
def test_valuestreams_refs_resolve_whatever_the_operation(body):
    assert {
        "vstrace-jenkins-build-build-api-7",
        "vstrace-jenkins-deploy-build-api-7",
    } <= refs(body)
    assert "vstrace-jenkins-build-build api-7" in refs(jk.end(jobName="build api"))


def test_jobs_of_one_name_in_two_folders_or_servers_do_not_collide():
    """In a multibranch project jobName is the branch's."""
    places = [
        {"fullJobName": "acme/api/main", "jobName": "main"},
        {"fullJobName": "acme/web/main", "jobName": "main"},
        {"fullJobName": "acme/web/main", "jobName": "main", "ciUrl": "https://other.example/"},
        {"fullJobName": "acme/web/main", "jobName": "main", "ciUrl": "https://other.example/two"},
    ]
    assert len({whole(jk.end(**place)).key for place in places}) == 4


# Times


def test_seconds_and_milliseconds_and_unset_times():
    seconds = jk.start(startTime=at("10:30:10") // 1_000_000)
    assert folded(seconds).span.started_at == at("10:30:00")
    unset = jk.end(endTime=0, startTime=jk.millis("10:30:10"))
    assert folded(unset).span.ended_at == at("10:35:10")
    nothing = jk.end(endTime=0, duration=None)
    assert folded(nothing).span.ended_at == RECEIVED
    assert folded(nothing).span.started_at is None
    absurd = jk.start(queueTime=2**62)
    assert folded(absurd).span.started_at == at("10:30:10")


def test_a_queueing_without_executor_has_no_time():
    course = [jk.notification("STARTED", "10:30:10"), jk.notification("QUEUED", None)]
    found = folded(*course)
    assert found.span.state is State.RUNNING
    assert found.span.started_at == at("10:30:10")


def test_the_end_is_completed_not_finalized():
    found = folded(jk.notification("FINALIZED", "10:35:40", "SUCCESS"))
    assert found.span.ended_at == at("10:35:40")


def test_test_results_are_attributes():
    summary = {"total": 12, "failed": 2, "skipped": 1, "passed": 9}
    body = jk.notification("COMPLETED", "10:35:10", "UNSTABLE", test_summary=summary)
    attributes = folded(body).span.attributes
    assert (attributes["vs.test.total"], attributes["vs.test.failed"]) == (12, 2)


def test_failure_causes():
    causes = [{"name": "oom", "description": "Out of memory"}, None, {"description": "Disk full"}]
    span = folded(jk.end("FAILURE", buildFailureCauses=causes)).span
    assert span.attributes["vs.failure_reason"] == "Out of memory; Disk full"


# What a build belongs to


def test_a_build_finds_its_change_by_commit_and_branch():
    wishes = sought(whole(jk.start()))
    assert ("commit", "commit", jk.HEAD, "acme/api") in wishes
    assert ("branch", "branch", "feature/cache", "acme/api") in wishes
    assert ("built", jk.HEAD, "acme/api") in offered(whole(jk.start()))
    assert ("built", jk.HEAD, "acme/api") not in offered(whole(DEPLOY))
    assert ("built", "built", jk.HEAD, "acme/api") in sought(whole(DEPLOY))


@pytest.mark.parametrize(
    ("job", "number"),
    [("acme/api/PR-34", "34"), ("acme/api/MR-34", "34"), ("acme/api/PR-34-head", "34")],
)
def test_multibranch_jobs_name_the_change(job, number):
    leaf = job.rpartition("/")[2]
    # A pipeline job has no checkout when it starts; the folders name the repository.
    for scm in ({}, {**jk.SCM, "branch": leaf}):
        body = jk.start(fullJobName=job, jobName=leaf, scmInfo=scm)
        wishes = sought(whole(body))
        assert ("change_number", "change", number, "acme/api") in wishes
        assert not [wish for wish in wishes if wish[0] == "branch"]
        assert whole(body).attributes["cicd.pipeline.name"] == "acme/api"


def test_a_multibranch_job_names_its_branch():
    body = jk.start(fullJobName="acme/api/feature%2Fcache", jobName="feature%2Fcache", scmInfo={})
    assert ("branch", "branch", "feature/cache", "acme/api") in sought(whole(body))
    ended = jk.end(fullJobName="acme/api/feature%2Fcache", scmInfo=dict(jk.SCM))
    assert whole(ended).attributes["cicd.pipeline.name"] == "acme/api"
    # An end knows no branch, and must not make a pipeline of its own of each.
    key = whole(ended).key
    span = folded(body, jk.end(fullJobName="acme/api/feature%2Fcache"), key=key).span
    assert span.attributes["cicd.pipeline.name"] == "acme/api"
    assert span.name == "acme/api/feature/cache #7"
    sent = jk.notification("STARTED", "10:30:10")
    sent["url"] = "job/acme/job/api/job/feature%252Fcache/"
    assert whole(sent).key == whole(ended).key


@pytest.mark.parametrize(
    "text_",
    [
        'Started by upstream project "backend/trigger" build number 41',
        'Started by upstream project "Backend » trigger" build number 41\noriginally caused by:',
    ],
)
def test_the_upstream_build_is_the_parent(text_):
    name = "Backend" if "»" in text_ else "backend"
    upstream = whole(
        jk.start(fullJobName=f"{name}/trigger", jobName="trigger", number=41, scmInfo={})
    )
    assert answers(whole(jk.start(buildCause=text_)), upstream) == {"structure"}


def test_parameters_name_the_parent():
    trace, span = "ab" * 16, "cd" * 8
    parameters = {
        "vstrace-trace-id": "vstrace-github-issue-api-4",
        "traceparent": f"00-{trace}-{span}-01",
        "note": "for vstrace-jira-issue-TP-3",
    }
    wishes = sought(whole(jk.start(parameters=parameters)))
    assert ("explicit", "ref", "vstrace-github-issue-api-4", "") in wishes
    assert ("traceparent", "w3c", f"{trace}-{span}", "") in wishes
    assert ("reference", "ref", "vstrace-jira-issue-TP-3", "") in wishes
    branch = {**jk.SCM, "branch": "origin/vstrace-github-issue-api-4"}
    by_branch = sought(whole(jk.start(scmInfo=branch)))
    assert ("reference", "ref", "vstrace-github-issue-api-4", "") in by_branch


def test_a_deploy_offers_its_version():
    assert ("artifact", "api@1.2.0", "acme/api") in offered(whole(DEPLOY))


# Queue, steps, checkouts


def test_a_queue_item_is_a_stage_of_its_build():
    course = [
        jk.queue("LEFT", "10:30:10", contextId=4711),
        jk.queue("ENTERED", "10:30:00", queueCauses=[jk.cause("waiting", "10:30:00")]),
        jk.queue(None, "10:30:05", queueCauses=[jk.cause("blocked", "10:30:05")]),
    ]
    found = folded(*course, key=QUEUE)
    assert (found.span.operation, found.span.status) == ("stage", Status.OK)
    assert (found.span.started_at, found.span.ended_at) == (at("10:30:00"), at("10:30:10"))
    assert [s.name for s in found.stages] == ["waiting", "blocked"]
    assert answers(whole(course[0]), whole(jk.start())) == {"structure"}
    assert not whole(course[1]).seeks
    other = jk.queue("LEFT", "10:30:10", contextId=4711, ciUrl="https://other.example/")
    assert answers(whole(other), whole(jk.start())) == set()


def test_steps_and_checkouts_join_by_url():
    for begun, done in (
        (jk.step("10:31:00", None), jk.step(None, "10:32:00")),
        (jk.checkout("10:31:00", None), jk.checkout(None, "10:32:00")),
    ):
        (found,) = fold_all(events(done, begun)).values()
        assert (found.span.operation, found.span.status) == ("stage", Status.OK)
        assert (found.span.started_at, found.span.ended_at) == (at("10:31:00"), at("10:32:00"))
        for build in (jk.start(), jk.notification("STARTED", "10:30:10")):
            assert answers(whole(begun), whole(build)) == {"structure"}
    assert {f.span.name for f in fold_all(events(jk.step("10:31:00", None))).values()} == {"Shell"}


def test_a_second_checkout_of_a_build():
    course = [
        jk.checkout("10:31:00", None),
        jk.checkout(None, "10:31:05"),
        jk.checkout("10:33:00", None),
        jk.checkout(None, "10:33:02"),
    ]
    (found,) = fold_all(events(*course)).values()
    assert (found.span.status, found.span.active) == (Status.OK, 7_000_000)


DELIVERIES = [
    jk.queue("ENTERED", "10:30:00", queueCauses=[jk.cause("waiting", "10:30:00")]),
    jk.queue(None, "10:30:05", queueCauses=[jk.cause("blocked", "10:30:05")]),
    jk.queue("LEFT", "10:30:10", contextId=4711),
    DEPLOY,
    jk.checkout("10:30:20", None),
    jk.checkout(None, "10:30:30"),
    jk.checkout("10:31:20", None),
    jk.checkout(None, "10:31:30"),
    jk.step("10:31:00", None),
    jk.step(None, "10:32:00"),
    jk.end("UNSTABLE", scmInfo=dict(jk.SCM)),
    jk.notification("QUEUED", "10:30:00", parameters={"type": "deploy"}),
    jk.notification("STARTED", "10:30:10", parameters={"type": "deploy"}),
    jk.notification("COMPLETED", "10:35:10", "UNSTABLE", parameters={"type": "deploy"}),
    jk.notification("FINALIZED", "10:35:40", "UNSTABLE", parameters={"type": "deploy"}),
    jk.start(number=8),
    jk.end("ABORTED", number=8),
]
STORY = [SOURCE.parse(jk.inbound(delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)


def test_the_whole_story():
    assert not [key for key, found in WHOLE.items() if found.span.in_flight]
    assert (WHOLE[KEY].span.operation, WHOLE[KEY].span.error) == ("deploy", "unstable")
    assert WHOLE[KEY].span.ended_at == at("10:35:10")


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [jk.inbound(malformed(body, seed)) for seed in range(65) for body in DELIVERIES]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("jenkins"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/jenkins", {}, path.read_bytes(), RECEIVED))
    assert bool(parsed.events) != path.stem.startswith("statsgatherer_project")
    assert parsed.events or parsed.reason
    assert fold_all(parsed.events) is not None
