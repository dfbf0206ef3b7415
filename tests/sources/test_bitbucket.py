"""Bitbucket Cloud and Server: changes, reviews, pushes, statuses, issues."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import bitbucket_payloads as bb
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
from vs_tui.model.time import iso
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable
from vs_tui.sources.bitbucket import SOURCE

CLOUD_PULL = "vstrace-bitbucket-pull_request-acme/api-34"
SERVER_PULL = "vstrace-bitbucket-pull_request-ACME/api-34"
ISSUE = "vstrace-bitbucket-issue-acme/api-12"


def events(*deliveries) -> list[Event]:
    return [e for name, body in deliveries for e in SOURCE.parse(bb.inbound(name, body)).events]


def span_of(key, *deliveries):
    return fold_all(events(*deliveries))[key].span


SECRET, OLD = b"s3cret", b"old"
BODY = b'{"push":{}}'
GOOD = "sha256=" + hmac.new(SECRET, BODY, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("given_header", "accepted"),
    [
        (GOOD, True),
        ("sha256=" + hmac.new(OLD, BODY, "sha256").hexdigest(), True),
        (None, False),
        ("", False),
        ("sha256=", False),
        (GOOD[:-1], False),
        (f"{GOOD},{GOOD}", False),
        (GOOD.removeprefix("sha256="), False),
        ("sha256=" + "é" * 64, False),
        ("sha256=" + hmac.new(b"no", BODY, "sha256").hexdigest(), False),
        ("sha1=" + hmac.new(SECRET, BODY, "sha1").hexdigest(), False),
        ("sha256=" + hmac.new(SECRET, BODY + b" ", "sha256").hexdigest(), False),
    ],
)
def test_signature(given_header, accepted):
    headers = {} if given_header is None else {"x-hub-signature": given_header}
    request = Inbound("/bitbucket", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(request, [SECRET, OLD])
    else:
        with pytest.raises(Unauthorized, match="X-Hub-Signature"):
            SOURCE.verify(request, [SECRET, OLD])


def test_a_retry_of_cloud_and_of_server_keeps_its_id():
    cloud = Inbound("/bitbucket", {"x-request-uuid": "u1", "x-attempt-number": "2"}, b"", 1)
    server = Inbound("/bitbucket", {"x-request-id": "r1"}, b"", 1)
    assert (SOURCE.dedupe_key(cloud), SOURCE.dedupe_key(server)) == ("u1", "r1")


def test_two_events_with_one_body_are_two_deliveries():
    """Only the header says which event a body is of."""
    body = bb.cloud_pull()
    merged, again = (
        bb.inbound("pullrequest:fulfilled", body),
        bb.inbound("pullrequest:fulfilled", body),
    )
    declined = bb.inbound("pullrequest:rejected", body)
    assert SOURCE.dedupe_key(merged) == SOURCE.dedupe_key(again) != SOURCE.dedupe_key(declined)


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("diagnostics:ping", {"test": True}, "connected"),
        ("pullrequest:comment_updated", bb.cloud_pull(), "comment_updated"),
        ("pr:comment:edited", bb.server_pull("pr:comment:edited"), "comment:edited"),
        ("repo:fork", bb.cloud(), "repo:fork"),
        ("made:up", {}, "made:up"),
        ("repo:push", bb.cloud_push(new=None, closed=True), "deletes"),
        ("repo:refs_changed", bb.server_push(type="DELETE", toHash="0" * 40), "deletes"),
    ],
)
def test_unwanted_events_are_ignored_with_a_reason(event, body, reason):
    parsed = SOURCE.parse(bb.inbound(event, body))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert reason in parsed.reason


@pytest.mark.parametrize(
    ("headers", "body", "field"),
    [
        ({}, b"{}", "X-Event-Key"),
        ({"x-event-key": "repo:push"}, b"[]", "body"),
        ({"x-event-key": "repo:push"}, b"{", "body"),
    ],
)
def test_bad_bodies(headers, body, field):
    with pytest.raises(BadBody) as refusal:
        SOURCE.parse(Inbound("/bitbucket", headers, body, RECEIVED))
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("pullrequest:created", bb.cloud_pull(id=None)),
        ("pullrequest:created", bb.cloud_pull() | {"repository": None}),
        ("pr:opened", {"pullRequest": {"id": 3}}),
        ("pr:opened", bb.server_pull("pr:opened", id="x")),
        ("repo:commit_status_updated", bb.commit_status("EXPLODED", "10:31:00")),
        ("repo:commit_status_updated", bb.commit_status("FAILED", "10:31:00", links={})),
        ("issue:created", bb.cloud_issue("new", id=None)),
    ],
)
def test_undocumented_bodies_are_quarantined(event, body):
    with pytest.raises(Unreadable, match=event):
        SOURCE.parse(bb.inbound(event, body))


@pytest.mark.parametrize(
    ("end", "state", "status", "word"),
    [
        ("pullrequest:fulfilled", "MERGED", Status.OK, "merged"),
        ("pullrequest:rejected", "DECLINED", Status.CANCELLED, "closed"),
    ],
)
def test_a_cloud_pull_request(end, state, status, word):
    span = span_of(
        CLOUD_PULL,
        (end, bb.cloud_pull(state, "11:30:00")),
        ("pullrequest:created", bb.cloud_pull()),
        ("pullrequest:updated", bb.cloud_pull(clock="10:20:00")),
    )
    assert span.status is status
    assert (span.started_at, span.ended_at) == (at("10:00:00") + 123_456, at("11:30:00") + 123_456)
    assert (span.ref, span.project, span.actor) == (
        "vstrace-bitbucket-pull_request-api-34",
        "acme/api",
        "bob",
    )
    assert span.attributes["vcs.change.state"] == word
    assert span.attributes["vs.pr.reviewers"] == "cid,dan"
    assert span.attributes["vs.pr.comments"] == 4
    assert span.attributes["vcs.provider.name"] == "bitbucket"


def test_an_edit_after_the_merge_moves_no_end():
    done = {"state": "MERGED", "merge_commit": {"hash": bb.MERGE[:12]}}
    merge = ("pullrequest:fulfilled", bb.cloud_pull(updated_on=bb.stamp("11:00:00"), **done))
    edit = ("pullrequest:updated", bb.cloud_pull(updated_on=bb.stamp("15:00:00"), **done))
    for deliveries in ((merge, edit), (edit, merge)):
        (folded,) = fold_all(events(*deliveries)).values()
        ended = at("11:00:00") + 123_456
        assert (folded.span.status, folded.span.ended_at) == (Status.OK, ended)
        assert folded.span.attributes["vs.pr.merged_at"] == iso(ended)


def test_what_a_cloud_pull_request_offers_and_seeks():
    (merged,) = events(("pullrequest:fulfilled", bb.cloud_pull("MERGED", "11:30:00")))
    assert offered(merged) == {
        ("change", "34", "acme/api"),
        ("branch", "feature/cache", "acme/api"),
        ("commit", bb.HEAD[:12], "acme/api"),
        ("commit", bb.MERGE[:12], "acme/api"),
    }
    assert ("closes", "issue", "12", "acme/api") in sought(merged)
    assert ("issue_key", "issue_key", "TP-3", "") in sought(merged)
    source = {
        "branch": {"name": "patch-1"},
        "commit": {"hash": bb.HEAD[:12]},
        "repository": bb.cloud_repo("mallory/api"),
    }
    (fork,) = events(("pullrequest:created", bb.cloud_pull(source=source)))
    assert ("branch", "patch-1", "mallory/api") in offered(fork)


@pytest.mark.parametrize(
    ("event", "field", "word"),
    [
        ("pullrequest:approved", "approval", "approved"),
        ("pullrequest:changes_request_created", "changes_request", "changes_requested"),
    ],
)
def test_a_cloud_review(event, field, word):
    given_by = {field: {"date": bb.stamp("11:00:00"), "user": bb.account("dan")}}
    review, change = events((event, bb.cloud_pull(clock="11:00:00", extra=given_by)))
    assert (review.operation, review.actor, review.state) == ("review", "dan", State.OK)
    assert review.attributes["vs.review.state"] == word
    assert answers(review, change) == {"structure"}


def cloud_comment(user, made="11:00:00", **changes):
    comment = {"id": 7, "content": {"raw": "Why?"}, "created_on": bb.stamp(made), "user": user}
    body = bb.cloud_pull(extra={"comment": comment, "actor": user}, **changes)
    return "pullrequest:comment_created", body


def server_comment(user, **changes):
    comment = {"id": 9, "text": "Why?", "author": user, "createdDate": bb.millis("11:00:00")}
    told = {"comment": comment, "actor": user, "commentParentId": 8}
    body = bb.server_pull("pr:comment:added", extra=told, **changes)
    return "pr:comment:added", body | {"date": "2026-03-02T12:00:01+0100"}


DAN = {"name": "dan", "type": "NORMAL"}


@pytest.mark.parametrize("delivery", [cloud_comment(bb.account("dan")), server_comment(DAN)])
def test_a_comment_by_another_person_is_a_review(delivery):
    review, change = events(delivery)
    assert (review.operation, review.actor, review.state) == ("review", "dan", State.OK)
    assert review.attributes["vs.review.state"] == "commented"
    assert review.started_at // 1_000_000 == at("11:00:00") // 1_000_000
    assert answers(review, change) == {"structure"}
    assert change.state is State.RUNNING


@pytest.mark.parametrize(
    "delivery",
    [
        cloud_comment(bb.account("bob")),
        cloud_comment({"type": "app_user", "display_name": "Sonar"}),
        server_comment({"name": "bob", "type": "NORMAL"}),
        server_comment({"name": "access-token-user/4/7", "type": "SERVICE"}),
    ],
)
def test_a_comment_by_the_author_or_an_app_is_none(delivery):
    (change,) = events(delivery)
    assert change.operation == "pull_request"


@pytest.mark.parametrize("comment", [None, [], "x", {"user": 7, "created_on": "soon"}, {"id": {}}])
def test_a_comment_of_another_shape_is_the_actors(comment):
    for name, body in (cloud_comment(bb.account("dan")), server_comment(DAN)):
        review, change = events((name, body | {"comment": comment}))
        assert (review.actor, change.operation) == ("dan", "pull_request")


def test_a_comment_after_the_merge_moves_no_end():
    merged = ("pullrequest:fulfilled", bb.cloud_pull("MERGED", "11:30:00"))
    late = cloud_comment(bb.account("dan"), "12:00:00", state="MERGED", clock="12:00:00")
    for told in ((merged, late), (late, merged)):
        assert span_of(CLOUD_PULL, *told).ended_at == at("11:30:00") + 123_456
    merged = ("pr:merged", bb.server_pull("pr:merged", "MERGED", "10:30:00"))
    late = server_comment(DAN, state="MERGED", closedDate=bb.millis("10:30:00"))
    for told in ((merged, late), (late, merged)):
        assert span_of(SERVER_PULL, *told).ended_at == at("10:30:00")


def test_a_cloud_push_of_a_branch_and_of_a_tag():
    (push,) = events(("repo:push", bb.cloud_push()))
    assert (push.operation, push.name, push.actor) == ("push", "Finish", "cid")
    assert {k[1] for k in offered(push)} == {bb.HEAD, "c0" * 20}
    assert ("branch", "branch", "feature/cache", "acme/api") in sought(push)
    assert push.attributes["vs.commit.first_at"] == "2026-03-02T09:30:00.123456Z"
    (tag,) = events(("repo:push", bb.cloud_push("v1.2.0", "tag")))
    assert offered(tag) == {("tag", "v1.2.0", "acme/api")}
    assert ("commit", "commit", bb.HEAD, "acme/api") in sought(tag)


@pytest.mark.parametrize(
    "message",
    [
        "Merged in feature/cache (pull request #34)\n\nTP-3",
        "Pull request #34: TP-3 cache",
        "Merge pull request #34 in ACME/api from feature/cache to main",
    ],
)
def test_merge_messages_name_the_change(message):
    (push,) = events(("repo:push", bb.cloud_push("main", message=message)))
    assert ("change_number", "change", "34", "acme/api") in sought(push)


@pytest.mark.parametrize(
    ("word", "status", "error"),
    [
        ("INPROGRESS", Status.IN_FLIGHT, ""),
        ("SUCCESSFUL", Status.OK, ""),
        ("FAILED", Status.ERROR, "failure"),
        ("STOPPED", Status.CANCELLED, ""),
    ],
)
def test_commit_statuses(word, status, error):
    (event,) = events(("repo:commit_status_updated", bb.commit_status(word, "10:35:00")))
    span = fold_all([event])[event.key].span
    assert (span.status, span.error, span.operation) == (status, error, "build")
    assert span.started_at == at("10:30:00") + 123_456
    # The name holds the build's number; the key is the same for all builds.
    assert span.attributes["cicd.pipeline.task.name"] == "api-build"
    wishes = sought(event)
    assert ("commit", "commit", bb.HEAD, "acme/api") in wishes
    assert ("branch", "branch", "feature/cache", "acme/api") in wishes


@pytest.mark.parametrize(
    ("key", "name", "branch", "label"),
    [
        ("-150947", "Pipeline #42 for main", "main", "Pipeline"),
        ("8126", "Pipeline #43 for feature/cache", "feature/cache", "Pipeline"),
        ("8126", "Nightly #7", "main", "Nightly"),
        ("8126", "", "main", "8126"),
        ("api-build", "api #12", "main", "api-build"),
    ],
)
def test_runs_of_bitbucket_pipelines_have_one_history(key, name, branch, label):
    """Their keys are a number of the one run, and their names hold its ordinal and its branch."""
    body = bb.commit_status("INPROGRESS", "10:31:00", key=key, name=name, refname=branch)
    (event,) = events(("repo:commit_status_created", body))
    assert event.attributes["cicd.pipeline.task.name"] == label


def test_a_second_build_of_a_commit_reopens_its_status():
    folded = fold_all(
        events(
            ("repo:commit_status_updated", bb.commit_status("SUCCESSFUL", "10:55:00")),
            ("repo:commit_status_created", bb.commit_status("INPROGRESS", "10:30:00")),
            ("repo:commit_status_updated", bb.commit_status("FAILED", "10:35:00")),
            ("repo:commit_status_updated", bb.commit_status("INPROGRESS", "10:50:00")),
        )
    )
    ((_, found),) = folded.items()
    assert (found.span.status, found.span.reopens, found.span.error) == (Status.OK, 1, "")


@pytest.mark.parametrize(
    ("word", "state"),
    [
        ("new", State.RUNNING),
        ("open", State.RUNNING),
        ("on hold", State.WAITING),
        ("resolved", State.OK),
        ("closed", State.OK),
        ("wontfix", State.CANCELLED),
        ("duplicate", State.CANCELLED),
        ("invalid", State.CANCELLED),
        ("galactic", State.NOTE),
    ],
)
def test_issue_states(word, state):
    (event,) = events(("issue:updated", bb.cloud_issue(word, "09:30:00")))
    assert event.state is state


def test_an_issues_states_are_its_stages():
    folded = fold_all(
        events(
            ("issue:updated", bb.cloud_issue("resolved", "11:00:00")),
            ("issue:updated", bb.cloud_issue("open", "10:00:00")),
            ("issue:created", bb.cloud_issue("new")),
        )
    )[ISSUE]
    assert [stage.name for stage in folded.stages] == ["new", "open"]
    assert (folded.span.status, folded.span.actor) == (Status.OK, "ann")


@pytest.mark.parametrize(
    ("end", "state", "status"),
    [
        ("pr:merged", "MERGED", Status.OK),
        ("pr:declined", "DECLINED", Status.CANCELLED),
        ("pr:deleted", "OPEN", Status.CANCELLED),
    ],
)
def test_a_server_pull_request(end, state, status):
    span = span_of(
        SERVER_PULL,
        ("pr:opened", bb.server_pull("pr:opened")),
        ("pr:modified", bb.server_pull("pr:modified", clock="10:20:00")),
        (end, bb.server_pull(end, state, "11:30:00")),
    )
    assert (span.status, span.started_at, span.ended_at) == (status, at("10:00:00"), at("11:30:00"))
    assert (span.actor, span.attributes["vcs.ref.head.name"]) == ("bob", "feature/cache")
    assert span.url.endswith("/pull-requests/34")


def test_a_server_pull_requests_commits():
    moved = bb.server_pull("pr:from_ref_updated", extra={"previousFromHash": "dd" * 20})
    (event,) = events(("pr:from_ref_updated", moved))
    assert {k[1] for k in offered(event) if k[0] == "commit"} == {bb.HEAD, "dd" * 20}
    (merged,) = events(("pr:merged", bb.server_pull("pr:merged", "MERGED", "11:30:00")))
    assert ("commit", bb.MERGE, "acme/api") in offered(merged)


def test_a_server_review():
    body = bb.server_pull(
        "pr:reviewer:approved",
        clock="11:00:00",
        extra={"participant": {"user": {"name": "dan"}, "status": "APPROVED"}},
    )
    review, change = events(("pr:reviewer:approved", body))
    assert (review.actor, review.occurred_at) == ("dan", at("11:00:00"))
    assert answers(review, change) == {"structure"}


def test_a_server_push_has_a_time_of_its_own():
    (push,) = events(("repo:refs_changed", bb.server_push()))
    assert push.occurred_at == at("10:20:00")
    assert {k[1] for k in offered(push)} == {bb.HEAD, "c0" * 20}
    assert ("issue_key", "issue_key", "TP-5", "") in sought(push)
    (change,) = events(("pr:opened", bb.server_pull("pr:opened")))
    assert answers(push, change) == {"commit", "branch"}
    (tag,) = events(("repo:refs_changed", bb.server_push("refs/tags/v1")))
    assert offered(tag) == {("tag", "v1", "acme/api")}


APPROVAL = {"approval": {"date": bb.stamp("11:00:00"), "user": bb.account("dan")}}
DELIVERIES = [
    ("issue:created", bb.cloud_issue("new")),
    ("issue:updated", bb.cloud_issue("open", "09:30:00")),
    ("issue:updated", bb.cloud_issue("resolved", "11:31:00")),
    ("repo:push", bb.cloud_push()),
    ("repo:push", bb.cloud_push("v1.2.0", "tag", bb.MERGE)),
    ("pullrequest:created", bb.cloud_pull()),
    ("pullrequest:updated", bb.cloud_pull(clock="10:20:00")),
    ("pullrequest:approved", bb.cloud_pull(clock="11:00:00", extra=APPROVAL)),
    cloud_comment(bb.account("dan"), "10:40:00", clock="10:40:00"),
    ("pullrequest:fulfilled", bb.cloud_pull("MERGED", "11:30:00")),
    ("repo:commit_status_created", bb.commit_status("INPROGRESS", "10:30:00")),
    ("repo:commit_status_updated", bb.commit_status("FAILED", "10:35:00")),
    ("repo:commit_status_updated", bb.commit_status("INPROGRESS", "10:50:00")),
    ("repo:commit_status_updated", bb.commit_status("SUCCESSFUL", "10:55:00")),
    ("repo:refs_changed", bb.server_push()),
    ("pr:opened", bb.server_pull("pr:opened")),
    ("pr:modified", bb.server_pull("pr:modified", clock="10:20:00")),
    ("pr:reviewer:approved", bb.server_pull("pr:reviewer:approved", clock="11:00:00")),
    server_comment(DAN),
    ("pr:merged", bb.server_pull("pr:merged", "MERGED", "11:30:00")),
]
STORY = [SOURCE.parse(bb.inbound(*delivery)).events for delivery in DELIVERIES]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=8), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    assert same_spans(fold_all(e for position in order for e in STORY[position]), WHOLE)
    assert not [key for key, folded in WHOLE.items() if folded.span.in_flight]


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    inbounds = [
        bb.inbound(name, malformed(body, seed)) for seed in range(60) for name, body in DELIVERIES
    ]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("bitbucket", "bitbucket-server"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/bitbucket", {header: value}, path.read_bytes(), RECEIVED))
    assert parsed.events or parsed.reason
    assert fold_all(parsed.events) is not None
