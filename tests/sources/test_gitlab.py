"""GitLab: proof of origin, and issues, merge requests, pipelines, jobs, deploys, refs."""

from __future__ import annotations

import base64
import hmac
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import gitlab_payloads as gl
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
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.gitlab import SOURCE

ISSUE = "vstrace-gitlab-issue-acme/api-12"
CHANGE = "vstrace-gitlab-pull_request-acme/api-34"
PIPELINE = "vstrace-gitlab-pipeline-acme/api-555"
JOB = "vstrace-gitlab-job-acme/api-900"
DEPLOY = "vstrace-gitlab-deploy-acme/api-15"


def events(*bodies) -> list[Event]:
    return [event for body in bodies for event in SOURCE.parse(gl.inbound(body)).events]


def folded(key, *bodies):
    return fold_all(events(*bodies))[key]


def span_of(key, *bodies):
    return folded(key, *bodies).span


SECRETS = [b"s3cret", b"old"]
BODY = b'{"object_kind":"push"}'


@pytest.mark.parametrize(
    ("token", "accepted"),
    [
        ("s3cret", True),
        ("old", True),
        (None, False),
        ("", False),
        ("s3cre", False),
        ("s3crets3cret", False),
        ("s3cret,old", False),
        (" s3cret", False),
        ("s3crét", False),
        ("\udcff", False),
        ("S3CRET", False),
        ("no", False),
    ],
)
def test_the_secret_token(token, accepted):
    headers = {} if token is None else {"x-gitlab-token": token}
    request = Inbound("/gitlab", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(request, SECRETS)
    else:
        with pytest.raises(Unauthorized, match="X-Gitlab-Token"):
            SOURCE.verify(request, SECRETS)


def test_no_configured_secret_accepts_nothing():
    with pytest.raises(Unauthorized):
        SOURCE.verify(Inbound("/gitlab", {"x-gitlab-token": ""}, BODY, RECEIVED), [b""])


def test_what_counts_as_a_proof():
    assert SOURCE.signature_headers == ("x-gitlab-token", "webhook-signature")
    # GitLab can send a header, so the URL, which ends in logs, need not hold a secret.
    assert not SOURCE.token_in_url
    assert not set(SOURCE.signature_headers) & set(SOURCE.stored_headers)


def signed(secret=b"old", body=BODY, seconds=RECEIVED // 1_000_000, **more):
    mac = hmac.new(secret, b"id-1." + str(seconds).encode() + b"." + body, "sha256").digest()
    headers = {
        "webhook-id": "id-1",
        "webhook-timestamp": str(seconds),
        "webhook-signature": "v1," + base64.b64encode(mac).decode(),
    }
    return Inbound("/gitlab", headers | more, BODY, RECEIVED)


@pytest.mark.parametrize(
    ("request_", "accepted"),
    [
        (signed(), True),
        (signed(b"s3cret"), True),
        (signed(b"wrong"), False),
        (signed(body=b"{}"), False),
        (signed(seconds=RECEIVED // 1_000_000 - 301), False),
        (signed(**{"webhook-signature": "v1,é"}), False),
        (signed(**{"webhook-signature": "v1"}), False),
        (signed(b"wrong", **{"x-gitlab-token": "s3cret"}), True),
        (signed(b"wrong", **{"x-gitlab-token": "wrong"}), False),
    ],
)
def test_standard_webhooks_signatures(request_, accepted):
    if accepted:
        SOURCE.verify(request_, SECRETS)
    else:
        with pytest.raises(Unauthorized):
            SOURCE.verify(request_, SECRETS)


def test_retries_share_a_dedupe_key_and_recursive_hooks_do_not():
    def dedupe(body=b"{}", **headers):
        return SOURCE.dedupe_key(Inbound("/gitlab", headers, body, 1))

    keyed = {"idempotency-key": "k", "x-gitlab-event-uuid": "u"}
    assert dedupe(**keyed) == dedupe(b"[]", **keyed) == "k"
    assert dedupe(**{"x-gitlab-event-uuid": "u"}) == dedupe(**{"x-gitlab-event-uuid": "u"}) != ""
    assert dedupe(**{"x-gitlab-event-uuid": "u"}) != dedupe(b"[]", **{"x-gitlab-event-uuid": "u"})
    assert dedupe() == ""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gl.body("note"), "comment"),
        (gl.body("note", object_attributes={"noteable_type": "Issue"}), "comment"),
        (
            gl.body("note", object_attributes={"noteable_type": "MergeRequest", "system": True}),
            "comment",
        ),
        (gl.body("wiki_page"), "wiki_page"),
        ({"event_name": "project_create"}, "project_create"),
        (gl.issue("explode"), "explode"),
        (gl.merge_request("explode"), "explode"),
        (gl.push(after="0" * 40, checkout_sha=None), "deleted"),
        (gl.push(commits=[]), "without new commits"),
        (gl.tag_push(after="0" * 40, checkout_sha=None), "deleting"),
        (gl.release("delete"), "delete"),
    ],
)
def test_unwanted_events_are_ignored_with_a_reason(body, reason):
    parsed = SOURCE.parse(gl.inbound(body))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert reason in parsed.reason


def test_an_event_without_a_kind():
    parsed = SOURCE.parse(gl.inbound({}, x_gitlab_event="Brand New Hook"))
    assert parsed.verdict is Verdict.IGNORED
    for body in (b"{}", b"[]", b"nope"):
        with pytest.raises(BadBody):
            SOURCE.parse(Inbound("/gitlab", {}, body, RECEIVED))


@pytest.mark.parametrize(
    "body",
    [
        gl.issue("open", iid=None),
        gl.merge_request("open", iid="x"),
        gl.body("note", object_attributes={"noteable_type": "MergeRequest"}),
        gl.pipeline("success", id=None),
        gl.pipeline("exploded"),
        gl.job_hook("exploded"),
        gl.job_hook("success", build_id=None),
        gl.deployment("exploded", "12:00:00"),
        gl.deployment("success", "12:00:00", deployment_id=None),
        gl.release(tag=None),
        gl.issue("open") | {"project": None, "object_attributes": {"iid": 1}},
    ],
)
def test_undocumented_bodies_are_quarantined(body):
    with pytest.raises(Unreadable, match="compare the body"):
        SOURCE.parse(gl.inbound(body))


# Issues


def test_an_issue_is_one_span_however_often_it_is_updated():
    """ValueStream's bug 3: every update (state opened) started it again."""
    span = span_of(
        ISSUE,
        gl.issue("close", "11:31:00"),
        gl.issue("open"),
        gl.issue("update", "09:10:00"),
        gl.issue("update", "09:20:00"),
    )
    assert (span.status, span.reopens) == (Status.OK, 0)
    assert (span.started_at, span.ended_at) == (at("09:00:00"), at("11:31:00"))
    assert (span.ref, span.actor) == ("vstrace-gitlab-issue-api-12", "bob")
    assert span.attributes["vs.issue.labels"] == "perf"


def test_a_reopened_issue_and_an_edit_after_the_end():
    reopened = [gl.issue("open"), gl.issue("close", "10:00:00"), gl.issue("reopen", "11:00:00")]
    assert span_of(ISSUE, *reopened).status is Status.IN_FLIGHT
    assert span_of(ISSUE, *reopened).reopens == 1
    edited = gl.issue("update", "12:00:00", state="closed", closed_at=None)
    span = span_of(ISSUE, gl.issue("open"), gl.issue("close", "10:00:00"), edited)
    assert span.ended_at == at("10:00:00")
    assert span_of(ISSUE, edited).ended_at == at("12:00:00")


@pytest.mark.parametrize("field", ["moved_to_id", "duplicated_to_id"])
def test_moved_and_duplicate_issues_are_cancelled(field):
    assert span_of(ISSUE, gl.issue("close", "10:00:00", **{field: 8})).status is Status.CANCELLED


def test_incidents_tasks_and_epics():
    incident = span_of(ISSUE, gl.issue("open", kind="work_item", type="Incident"))
    assert (incident.operation, incident.service) == ("incident", "api")
    assert span_of(ISSUE, gl.issue("open", kind="work_item", type="Task")).operation == "issue"
    epic = gl.issue(
        "open", kind="work_item", type="Epic", url="https://x.example/groups/acme/-/epics/2"
    )
    (event,) = events(epic | {"project": None})
    assert (event.key, event.project) == ("vstrace-gitlab-epic-acme-12", "acme")


def test_valuestreams_refs_of_issues_resolve():
    (event,) = events(gl.issue("open"))
    refs = {value for kind, value, _ in offered(event) if kind == "ref"}
    assert "vstrace-gitlab-issue-Billing API-12" in refs
    assert "vstrace-gitlab-issue-Billing%20API-12" in refs
    assert ("issue", "12", "acme/api") in offered(event)
    assert ("reference", "ref", "vstrace-github-issue-web-4", "") in sought(event)


# Merge requests


@pytest.mark.parametrize(
    ("end", "status", "word"),
    [("merge", Status.OK, "merged"), ("close", Status.CANCELLED, "closed")],
)
def test_a_merge_request_ends(end, status, word):
    """ValueStream's bugs 2 and 4: `merged` never ended, closed counted as merged."""
    span = span_of(
        CHANGE,
        gl.merge_request(end, "11:30:00", user=gl.CID),
        gl.merge_request("open"),
        gl.merge_request("update", "10:20:00", last_commit={"id": gl.HEAD_2}, oldrev=gl.HEAD),
    )
    assert (span.status, span.started_at, span.ended_at) == (status, at("10:00:00"), at("11:30:00"))
    assert (span.ref, span.actor) == ("vstrace-gitlab-pull_request-api-34", "bob")
    assert span.attributes["vcs.change.state"] == word
    assert span.attributes["vs.pr.reviewers"] == "cid"
    assert span.attributes.get("vs.pr.merged_at") == (
        "2026-03-02T11:30:00Z" if end == "merge" else None
    )
    assert span.attributes.get("vs.pr.merged_by") == ("cid" if end == "merge" else None)


def test_locked_is_in_flight_and_a_late_edit_does_not_move_the_merge():
    assert span_of(CHANGE, gl.merge_request("update", state="locked")).in_flight
    late = gl.merge_request("update", "12:00:00", state="merged", merge_commit_sha=gl.MERGE)
    span = span_of(CHANGE, late, gl.merge_request("merge", "11:30:00"))
    assert span.ended_at == at("11:30:00")


def test_a_reopened_merge_request_keeps_its_span():
    course = [
        gl.merge_request("open"),
        gl.merge_request("close", "10:30:00"),
        gl.merge_request("reopen", "11:00:00"),
        gl.merge_request("merge", "11:30:00"),
    ]
    span = span_of(CHANGE, *course)
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("11:30:00"))
    assert span.active == at("11:30:00") - at("11:00:00") + at("10:30:00") - at("10:00:00")


def test_drafts_are_a_phase():
    ready = {"draft": {"previous": True, "current": False}}
    course = [
        gl.merge_request("open", draft=True),
        gl.merge_request("update", "10:20:00", changes=ready),
    ]
    whole = folded(CHANGE, *course)
    assert [stage.name for stage in whole.stages] == ["draft", "ready"]
    assert whole.span.attributes["vs.pr.draft"] is False
    old = gl.merge_request("open", work_in_progress=True)
    del old["object_attributes"]["draft"]
    assert span_of(CHANGE, old).attributes["vcs.change.state"] == "wip"


def test_what_a_merge_request_offers_and_seeks():
    (merged,) = events(gl.merge_request("merge", "11:30:00", oldrev=gl.HEAD_2))
    assert {k for k in offered(merged) if k[0] != "ref"} == {
        ("change", "34", "acme/api"),
        ("branch", "feature/cache", "acme/api"),
        ("commit", gl.HEAD, "acme/api"),
        ("commit", gl.HEAD_2, "acme/api"),
        ("commit", gl.MERGE, "acme/api"),
    }
    assert ("closes", "issue", "12", "acme/api") in sought(merged)
    assert ("issue_key", "issue_key", "TP-3", "") in sought(merged)
    assert answers(merged, events(gl.issue("open"))[0]) == {"closes"}
    # GitLab's merge_commit_sha counts only when merged.
    (open_,) = events(gl.merge_request("update", merge_commit_sha=gl.MERGE))
    assert ("commit", gl.MERGE, "acme/api") not in offered(open_)
    (fork,) = events(gl.merge_request("open", source=gl.project("mallory/api")))
    assert ("branch", "feature/cache", "mallory/api") in offered(fork)


@pytest.mark.parametrize(
    ("action", "word"),
    [("approved", "approved"), ("approval", "approved"), ("unapproved", "dismissed")],
)
def test_approvals_are_reviews(action, word):
    review, change = events(gl.merge_request(action, "11:00:00", user=gl.CID))
    assert (review.operation, review.actor, review.state) == ("review", "cid", State.OK)
    assert (review.occurred_at, review.attributes["vs.review.state"]) == (at("11:00:00"), word)
    assert answers(review, change) == {"structure"}
    assert change.state is State.RUNNING


OPENED = gl.merge_request("open")


def note(clock="11:00:00", user=gl.CID, pull=None, **changes):
    found = gl.merge_request("update", clock)["object_attributes"]
    said = {"id": 3, "note": "Why?", "noteable_type": "MergeRequest", "author_id": user["id"]}
    said |= {"system": False, "action": "create", "created_at": gl.stamp(clock), **changes}
    whole = {name: value for name, value in found.items() if name != "action"} | (pull or {})
    return gl.body("note", object_attributes=said, merge_request=whole) | {"user": user}


def test_a_comment_by_another_person_is_a_review():
    review, change = events(note())
    assert (review.operation, review.actor) == ("review", gl.CID["username"])
    assert (review.started_at, change.key) == (at("11:00:00"), events(OPENED)[0].key)
    assert review.attributes["vs.review.state"] == "commented"
    assert answers(review, change) == {"structure"}
    assert change.attributes["vcs.change.state"] == "open"


@pytest.mark.parametrize("said", [note(user=gl.BOB), note(action="update")])
def test_a_comment_by_the_author_and_an_edit_are_none(said):
    (change,) = events(said)
    assert (change.operation, change.key) == ("pull_request", events(OPENED)[0].key)


def test_a_comment_after_the_merge_moves_no_end():
    merged, late = gl.merge_request("merge", "11:30:00"), note("12:00:00", pull={"state": "merged"})
    for told in ((merged, late), (late, merged)):
        assert span_of(CHANGE, *told).ended_at == at("11:30:00")


@pytest.mark.parametrize("changes", [{"author_id": "x"}, {"created_at": []}, {"note": {}}])
def test_a_comment_of_another_shape_is_a_review_all_the_same(changes):
    review, change = events(note(**changes))
    assert (review.operation, change.operation) == ("review", "pull_request")


def test_approval_is_a_phase():
    course = [
        gl.merge_request("open", draft=True),
        gl.merge_request("approval", "10:40:00", user=gl.CID),
        gl.merge_request("approved", "10:50:00", user=gl.BOB),
        gl.merge_request("unapproved", "11:00:00", user=gl.BOB),
        gl.merge_request("approved", "11:10:00", user=gl.BOB),
        gl.merge_request("merge", "11:30:00"),
    ]
    stages = folded(CHANGE, *reversed(course)).stages
    assert [(stage.name, stage.started_at) for stage in stages] == [
        ("draft", at("10:00:00")),
        ("approved", at("10:50:00")),
        ("ready", at("11:00:00")),
        ("approved", at("11:10:00")),
    ]
    assert stages[-1].ended_at == at("11:30:00")


# Pipelines and jobs

RUNNING_JOB = gl.build(900, "running", started="10:30:12")
FAILED_JOB = gl.build(900, "failed", started="10:30:12", finished="10:35:00")
SKIPPED = gl.build(901, "skipped", stage="deploy", name="ship")


@pytest.mark.parametrize(
    ("status", "state", "stage"),
    [
        ("pending", State.QUEUED, "queued"),
        ("preparing", State.QUEUED, "queued"),
        ("waiting_for_resource", State.WAITING, "waiting"),
        ("manual", State.WAITING, "waiting"),
        ("scheduled", State.WAITING, "waiting"),
        ("running", State.RUNNING, "running"),
        ("canceling", State.RUNNING, "running"),
        ("success", State.OK, ""),
        ("failed", State.ERROR, ""),
        ("canceled", State.CANCELLED, ""),
        ("skipped", State.CANCELLED, ""),
    ],
)
def test_every_status_of_pipelines_and_jobs(status, state, stage):
    """ValueStream's bug 1: failed, skipped, manual and others never ended or were unknown."""
    whole = events(gl.pipeline(status))[-1]
    assert (whole.state, whole.stage) == (state, stage)
    job = events(gl.job_hook(status))[-1]
    assert job.state is state
    assert bool(whole.error) == bool(job.error) == (state is State.ERROR)


def test_a_pipeline_is_one_span_with_its_queue_as_a_phase():
    """ValueStream's bug 14 split it in two."""
    whole = folded(
        PIPELINE,
        gl.pipeline("success", "10:36:00", [gl.build(900, "success", "10:30:00", "10:30:12")]),
        gl.pipeline("running", None, [RUNNING_JOB]),
        gl.pipeline("pending"),
    )
    span = whole.span
    assert (span.status, span.operation, span.name) == (Status.OK, "pipeline", "api #21")
    assert (span.started_at, span.ended_at) == (at("10:30:00"), at("10:36:00"))
    assert [(s.name, s.started_at) for s in whole.stages] == [
        ("queued", at("10:30:00")),
        ("running", at("10:30:10")),
    ]
    assert span.attributes["cicd.pipeline.name"] == "acme/api"
    assert span.attributes["cicd.pipeline.result"] == "success"
    assert span.ref == "vstrace-gitlab-pipeline-api-555"


def test_valuestreams_refs_of_pipelines_and_jobs_resolve_and_do_not_collide():
    """It calls both `build`; pipeline 900 and job 900 of one project are different spans."""
    pipeline = events(gl.pipeline("pending", id=900))[-1]
    (job,) = events(gl.job_hook("pending"))
    refs = [{v for k, v, _ in offered(e) if k == "ref"} | {e.key, e.ref} for e in (pipeline, job)]
    assert "vstrace-gitlab-build-Billing API-900" in refs[0]
    assert "vstrace-gitlab-build-api-900" in refs[0]
    assert "vstrace-gitlab-build-Acme / Billing API-900" in refs[1]
    assert not refs[0] & refs[1]


def test_a_failed_pipeline_is_retried_under_the_same_id():
    retried = gl.build(902, "running", created="10:50:00", started="10:50:06")
    passed = gl.build(902, "success", "10:50:00", "10:50:06", "10:54:00")
    course = [
        gl.pipeline("running", None, [RUNNING_JOB]),
        gl.pipeline("failed", "10:35:00", [FAILED_JOB, SKIPPED]),
        # GitLab keeps the former finished_at until the pipeline ends again.
        gl.pipeline("running", "10:35:00", [retried, SKIPPED]),
    ]
    span = span_of(PIPELINE, *course)
    assert (span.status, span.reopens, span.error) == (Status.IN_FLIGHT, 1, "")
    assert span.attributes["cicd.pipeline.result"] == ""
    course.append(gl.pipeline("success", "10:55:00", [passed]))
    span = span_of(PIPELINE, *course)
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("10:55:00"))
    assert span.active == at("10:35:00") - at("10:30:00") + at("10:55:00") - at("10:50:06")
    # The running delivery may be lost: the second end counts all the same.
    span = span_of(PIPELINE, course[1], course[3])
    assert (span.status, span.ended_at) == (Status.OK, at("10:55:00"))


def test_a_manual_job_makes_the_pipeline_wait():
    done = gl.build(900, "success", "10:30:00", "10:30:12", "10:33:00")
    gate = gl.build(903, "manual", when="manual")
    played = gl.build(903, "running", started="11:00:05", when="manual")
    whole = folded(
        PIPELINE,
        gl.pipeline("running", None, [RUNNING_JOB]),
        gl.pipeline("manual", None, [done, gate]),
        gl.pipeline("running", None, [done, played]),
    )
    assert [(s.name, s.started_at) for s in whole.stages][1:] == [
        ("running", at("10:30:10")),
        ("waiting", at("10:33:00")),
        ("running", at("11:00:05")),
    ]
    assert whole.span.in_flight


def test_a_job_that_waits_for_those_before_it_is_none_yet():
    """A pipeline that is blocked by a manual job may stay so: what comes after it never begins."""
    later = gl.build(904, "created", name="smoke", stage="verify")
    blocked = gl.pipeline("manual", None, [gl.build(903, "manual", when="manual"), later])
    assert {event.full_ref for event in events(blocked) if event.full_ref} == {
        PIPELINE,
        "vstrace-gitlab-job-acme/api-903",
    }
    parsed = SOURCE.parse(gl.inbound(gl.job_hook("created")))
    assert (parsed.verdict, parsed.events) == (Verdict.IGNORED, ())
    assert "queued" in parsed.reason


@pytest.mark.parametrize("status", ["manual", "scheduled", "waiting_for_resource"])
def test_a_job_that_its_pipeline_ended_without_has_ended(status):
    left = gl.build(903, status, name="ship")
    span = span_of("vstrace-gitlab-job-acme/api-903", gl.pipeline("success", "10:36:00", [left]))
    assert (span.status, span.ended_at) == (Status.CANCELLED, at("10:36:00"))


def test_an_optional_manual_job_ends_with_its_pipeline_and_can_be_played_later():
    key = "vstrace-gitlab-job-acme/api-903"
    gate = gl.build(903, "manual", name="ship", when="manual", allow_failure=True)
    waits = gl.pipeline("running", None, [gate])
    passed = gl.pipeline("success", "10:36:00", [gate])
    hooked = gl.job_hook("manual", number=903, build_name="ship")
    assert span_of(key, waits, hooked).state is State.WAITING
    for course in ([waits, passed], [passed, hooked], [passed]):
        span = span_of(key, *course)
        assert (span.status, span.ended_at) == (Status.CANCELLED, at("10:36:00"))
        assert span.attributes["cicd.pipeline.task.run.result"] == "skip"
    runs = gl.build(903, "running", "10:30:00", "14:00:05", name="ship")
    span = span_of(key, gl.pipeline("running", "10:36:00", [runs]), passed)
    assert (span.in_flight, span.attributes["cicd.pipeline.task.run.result"]) == (True, "")
    played = gl.build(903, "success", "10:30:00", "14:00:05", "14:02:00", name="ship")
    again = gl.pipeline("success", "14:02:00", [played])
    for course in ([passed, again], [again, hooked, waits, passed]):
        span = span_of(key, *course)
        assert (span.status, span.started_at, span.ended_at) == (
            Status.OK,
            at("14:00:00"),
            at("14:02:00"),
        )
        assert span.attributes["cicd.pipeline.task.run.result"] == "success"
    # One that blocks keeps its pipeline, and itself, waiting.
    assert span_of(key, gl.pipeline("manual", None, [gate])).in_flight


def test_the_snapshot_and_the_job_hook_tell_of_the_same_job():
    snapshot = folded(JOB, gl.pipeline("failed", "10:35:00", [FAILED_JOB]))
    hooked = folded(JOB, gl.job_hook("failed", "10:30:12", "10:35:00"))
    for name in ("key", "ref", "status", "started_at", "ended_at", "error", "name", "project"):
        assert getattr(snapshot.span, name) == getattr(hooked.span, name)
    assert snapshot.span.status is Status.ERROR
    assert snapshot.span.attributes["cicd.pipeline.task.name"] == "unit"
    assert [(s.name, s.started_at) for s in hooked.stages] == [
        ("queued", at("10:30:07")),
        ("running", at("10:30:12")),
    ]
    assert [s.name for s in snapshot.stages] == ["queued", "running"]


def test_a_job_is_part_of_its_pipeline():
    pipeline = events(gl.pipeline("running"))[-1]
    job = events(gl.job_hook("running", "10:30:12"))[-1]
    assert "structure" in answers(job, pipeline)
    old = gl.job_hook("running", "10:30:12")
    del old["pipeline_id"]  # older versions: commit.id is the pipeline's id
    assert "structure" in answers(events(old)[-1], pipeline)


@pytest.mark.parametrize("form", ["snapshot", "hook"])
def test_an_allowed_failure_is_ok_and_says_so(form):
    tolerated = gl.build(900, "failed", "10:30:00", "10:30:12", "10:35:00", allow_failure=True)
    body = (
        gl.pipeline("success", "10:36:00", [tolerated])
        if form == "snapshot"
        else gl.job_hook("failed", "10:30:12", "10:35:00", build_allow_failure=True)
    )
    span = span_of(JOB, body)
    assert (span.status, span.error) == (Status.OK, "")
    assert span.attributes["vs.allow_failure"] is True
    assert span.attributes["cicd.pipeline.task.run.result"] == "failure"


@pytest.mark.parametrize(
    ("reason", "error", "result"),
    [
        ("script_failure", "failure", "failure"),
        ("job_execution_timeout", "timeout", "timeout"),
        ("stuck_or_timeout_failure", "timeout", "timeout"),
        ("runner_system_failure", "runner_system_failure", "error"),
        (None, "failure", "failure"),
    ],
)
def test_failure_reasons(reason, error, result):
    body = gl.job_hook("failed", "10:30:12", "10:35:00", build_failure_reason=reason)
    span = span_of(JOB, body)
    assert (span.error, span.attributes["cicd.pipeline.task.run.result"]) == (error, result)


def test_a_retried_job_is_linked_to_the_attempt_before():
    first = events(gl.job_hook("failed", "10:30:12", "10:35:00"))[-1]
    second = events(gl.job_hook("running", "10:50:06", number=902, retries_count=1))[-1]
    assert (second.attempt, second.full_ref) == (2, "vstrace-gitlab-job-acme/api-902")
    assert "attempt" in answers(second, first)
    assert [s.link_only for s in second.seeks if s.rule == "attempt"] == [True]


def test_a_skipped_job_runs_after_all_when_its_pipeline_is_retried():
    key = "vstrace-gitlab-job-acme/api-901"
    ran = gl.build(901, "success", started="10:56:05", finished="10:57:00", name="ship")
    span = span_of(
        key, gl.pipeline("success", "10:57:00", [ran]), gl.pipeline("failed", "10:35:00", [SKIPPED])
    )
    assert (span.status, span.started_at, span.ended_at) == (
        Status.OK,
        at("10:56:00"),
        at("10:57:00"),
    )


def test_a_pipeline_of_a_merge_request_finds_it():
    change = {"iid": 34, "url": f"{gl.WEB}/-/merge_requests/34"}
    fork = {"project": gl.project("mallory/api"), "merge_request": change}
    (merge_request,) = events(gl.merge_request("open"))
    assert "change_number" in answers(events(gl.pipeline("pending", extra=fork))[-1], merge_request)
    by_ref = events(gl.pipeline("pending", ref="refs/merge-requests/34/head"))[-1]
    assert "change_number" in answers(by_ref, merge_request)
    plain = events(gl.pipeline("pending"))[-1]
    assert answers(plain, merge_request) == {"commit", "branch"}
    on_main = events(
        gl.pipeline(
            "pending",
            ref="main",
            sha=gl.MERGE,
            extra={"commit": {"message": "Merge\n\nSee merge request acme/api!34"}},
        )
    )[-1]
    assert ("change_number", "change", "34", "acme/api") in sought(on_main)
    assert not [w for w in sought(on_main) if w[0] == "branch"]


def test_a_downstream_pipeline_belongs_to_the_one_that_triggered_it():
    source = {
        "source_pipeline": {
            "project": gl.project("acme/api"),
            "pipeline_id": 555,
            "job_id": 900,
        }
    }
    child = events(
        gl.pipeline("pending", id=556, extra={**source, "project": gl.project("ops/env")})
    )
    parent = events(gl.pipeline("running"))[-1]
    assert "structure" in answers(child[-1], parent)
    assert child[-1].full_ref == "vstrace-gitlab-pipeline-ops/env-556"


def test_variables_name_a_parent():
    trace, span = "ab" * 16, "cd" * 8
    variables = [
        {"key": "VS_PARENT", "value": "vstrace-customhttp-pipeline-default-9"},
        {"key": "TRACEPARENT", "value": f"00-{trace}-{span}-01"},
    ]
    wishes = sought(events(gl.pipeline("pending", variables=variables))[-1])
    assert ("explicit", "ref", "vstrace-customhttp-pipeline-default-9", "") in wishes
    assert ("traceparent", "w3c", f"{trace}-{span}", "") in wishes


def test_a_tag_pipeline_seeks_the_tag():
    (tag,) = events(gl.tag_push())
    run = events(gl.pipeline("pending", ref="v1.2.0", tag=True, sha=gl.MERGE))[-1]
    assert "version" in answers(run, tag)


# Deployments, pushes, releases


def test_a_deployment():
    whole = folded(
        DEPLOY,
        gl.deployment("success", "12:05:00"),
        gl.deployment("running", "12:01:00"),
        gl.deployment("blocked", "11:50:00"),
    )
    span = whole.span
    assert (span.status, span.operation, span.service) == (Status.OK, "deploy", "api")
    assert (span.started_at, span.ended_at) == (at("11:50:00"), at("12:05:00"))
    assert (span.environment, span.actor) == ("production", "bob")
    assert [s.name for s in whole.stages] == ["waiting", "running"]
    assert span.attributes["vs.environment.production"] is True
    assert span.attributes["deployment.status"] == "succeeded"
    # short_sha has eight digits; the commit's URL has all of them.
    assert span.attributes["vcs.ref.head.revision"] == gl.MERGE


def test_a_deployment_finds_its_job_and_its_merge_request():
    (deploy,) = events(gl.deployment("failed", "12:05:00"))
    assert (deploy.state, deploy.error) == (State.ERROR, "failure")
    job = events(gl.job_hook("success", "12:01:00", "12:05:00", number=901, sha=gl.MERGE))[-1]
    assert answers(deploy, job) == {"structure", "built"}
    (change,) = events(gl.merge_request("merge", "11:30:00"))
    assert "commit" in answers(deploy, change)
    (short,) = events(gl.deployment("success", "12:05:00", commit_url=None))
    assert ("commit", "commit", gl.MERGE[:8], "acme/api") in sought(short)


def test_a_push():
    (push,) = events(gl.push())
    assert (push.operation, push.name, push.actor) == ("push", "Finish TP-5", "cid")
    assert {k[1] for k in offered(push)} == {gl.HEAD, gl.HEAD_2}
    assert push.attributes["vs.commit.first_at"] == "2026-03-02T09:30:00Z"
    assert push.occurred_at == at("10:10:00")
    (change,) = events(gl.merge_request("open"))
    assert answers(push, change) == {"commit", "branch"}
    assert ("closes", "issue", "12", "acme/api") in sought(push)


def test_a_system_hook_has_no_object_kind():
    body = gl.push()
    del body["object_kind"]
    assert [e.operation for e in events(body)] == ["push"]


def test_a_tag_and_its_release():
    (tag,), (release,) = events(gl.tag_push()), events(gl.release())
    assert offered(tag) == {
        ("tag", "v1.2.0", "acme/api"),
        ("ref", "vstrace-gitlab-tag-acme/api-v1.2.0", ""),
    }
    # `after` of an annotated tag is no commit.
    assert ("commit", "commit", gl.MERGE, "acme/api") in sought(tag)
    assert (release.occurred_at, release.service) == (at("11:50:00"), "api")
    assert "version" in answers(release, tag)
    assert events(gl.release("update", name="Summer"))[0].key == release.key


@pytest.mark.parametrize("made", [gl.tag_push, lambda tag, **more: gl.release(tag=tag, **more)])
def test_tags_of_projects_with_dashes_do_not_collide(made):
    (one,) = events(made("web-1.0"))
    (other,) = events(made("1.0", project=gl.project("acme/api-web")))
    assert one.ref == other.ref
    assert one.key != other.key
    # Both can be typed without the mark that keeps them apart.
    assert ("ref", one.full_ref.replace("@", ""), "") in offered(one)


def test_groups_and_spellings_of_projects():
    nested = gl.pipeline("pending", extra={"project": gl.project("Acme/Core/Api.io")})
    event = events(nested)[-1]
    assert (event.full_ref, event.ref, event.project) == (
        "vstrace-gitlab-pipeline-Acme/Core/Api.io-555",
        "vstrace-gitlab-pipeline-Api.io-555",
        "Acme/Core/Api.io",
    )
    urls = {"git_ssh_url": "ssh://git@gitlab.example.com:2222/Acme/Core/Api.io.git"}
    unique = gl.project("Acme/Core/Api.io")["id"]
    job = events(gl.job_hook("pending", repository=urls, project_id=unique))[-1]
    assert "structure" in answers(job, event)
    # The web URL of an instance below a path begins with that path.
    installed = {"homepage": "https://x.example/gitlab/acme/api", **urls}
    assert events(gl.job_hook("pending", repository=installed))[-1].project == "Acme/Core/Api.io"


# Order, malformed and real bodies

DELIVERIES = [
    gl.issue("open"),
    gl.issue("update", "09:20:00"),
    gl.issue("close", "10:00:00"),
    gl.issue("reopen", "10:05:00"),
    gl.issue("close", "11:31:00"),
    gl.push(),
    gl.merge_request("open", draft=True),
    gl.merge_request("update", "10:20:00", oldrev=gl.HEAD, last_commit={"id": gl.HEAD_2}),
    gl.merge_request("approved", "11:00:00", user=gl.CID),
    gl.merge_request("merge", "11:30:00", user=gl.CID),
    gl.pipeline("pending", None, [gl.build(900, "pending"), gl.build(901, "created", name="ship")]),
    gl.job_hook("manual", number=904, build_name="promote"),
    gl.pipeline("running", None, [RUNNING_JOB, gl.build(901, "created", name="ship")]),
    gl.pipeline("failed", "10:35:00", [FAILED_JOB, SKIPPED]),
    gl.pipeline("running", "10:35:00", [gl.build(902, "running", "10:50:00", "10:50:06"), SKIPPED]),
    gl.pipeline(
        "success",
        "10:57:00",
        [
            gl.build(902, "success", "10:50:00", "10:50:06", "10:54:00"),
            gl.build(901, "success", "10:30:00", "10:56:05", "10:57:00", name="ship"),
            gl.build(904, "manual", name="promote", allow_failure=True),
        ],
    ),
    gl.job_hook("created"),
    gl.job_hook("pending"),
    gl.job_hook("running", "10:30:12"),
    gl.job_hook("failed", "10:30:12", "10:35:00"),
    gl.job_hook("running", "10:50:06", number=902, retries_count=1),
    gl.job_hook("success", "10:50:06", "10:54:00", number=902, retries_count=1),
    gl.deployment("running", "12:01:00"),
    gl.deployment("success", "12:05:00"),
    gl.tag_push(),
    gl.release(),
]
STORY = [SOURCE.parse(gl.inbound(delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)


def test_the_whole_story_has_ended():
    assert not [key for key, found in WHOLE.items() if found.span.in_flight]
    assert WHOLE[PIPELINE].span.reopens == WHOLE[ISSUE].span.reopens == 1


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [
        gl.inbound(malformed(body, seed), x_gitlab_event="Hook")
        for seed in range(44)
        for body in DELIVERIES
    ]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("gitlab"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/gitlab", {header: value}, path.read_bytes(), RECEIVED))
    assert parsed.events or "queued" in parsed.reason
    assert json.loads(path.read_bytes())["object_kind"] in parsed.kind
    assert fold_all(parsed.events) or parsed.verdict is Verdict.IGNORED
