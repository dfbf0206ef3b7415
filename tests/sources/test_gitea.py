"""Gitea and Forgejo: their headers, and what differs from GitHub's bodies."""

from __future__ import annotations

import hmac
import json
from contextlib import nullcontext
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sources import github_payloads as gh
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
from vs_tui.model.limits import MIB
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources import github
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.gitea import SOURCE

PULL = "vstrace-gitea-pull_request-acme/api-34"
RUN = "vstrace-gitea-pipeline-acme/api-555"


def inbound(event, body, header="x-gitea-event") -> Inbound:
    return Inbound("/gitea", {header: event}, json.dumps(body).encode(), RECEIVED)


def events(*deliveries) -> list[Event]:
    return [e for name, body in deliveries for e in SOURCE.parse(inbound(name, body)).events]


def pull(action, **changes):
    """Gitea's pull request: small ids, no merge commit before the merge."""
    return gh.pull(action, **{"id": 3, "merge_commit_sha": None, **changes})


def merged():
    return pull(
        "closed",
        state="closed",
        merged=True,
        merge_commit_sha=gh.MERGE,
        merged_at=gh.stamp("11:30:00"),
        closed_at=gh.stamp("11:30:00"),
        updated_at=gh.stamp("11:30:00"),
        head={"sha": gh.HEAD_2},
    )


def review(clock="11:00:00"):
    body = pull("reviewed", updated_at=gh.stamp(clock), head={"sha": gh.HEAD_2})
    return body | {
        "review": {"type": "pull_request_review_approved", "content": "good"},
        "sender": {"login": "cid", "username": "cid", "id": 9},
    }


def run(action, **changes):
    """Gitea's run: started_at and completed_at, Go's zero time where unset."""
    body = gh.run(action)
    found = body["workflow_run"]
    for name in ("run_started_at", "created_at", "updated_at", "head_commit", "run_attempt"):
        del found[name]
    found |= {"started_at": gh.stamp("10:30:00"), "completed_at": "0001-01-01T00:00:00Z"}
    if action == "completed":
        found["completed_at"] = gh.stamp("10:35:00")
    body["workflow_run"] = found | changes
    return body


def forgejo_run(**changes):
    found = {
        "id": 555,
        "title": "Cache invoices",
        "workflow_id": "ci.yml",
        "index_in_repo": 12,
        "trigger_user": gh.user("bob"),
        "prettyref": "#34",
        "commit_sha": gh.HEAD_2,
        "event": "pull_request",
        "status": "failure",
        "started": gh.stamp("10:30:00"),
        "stopped": gh.stamp("10:35:00"),
        "created": gh.stamp("10:29:00"),
        "updated": gh.stamp("10:35:00"),
        "repository": gh.repo(),
        "html_url": "https://git.acme.test/acme/api/actions/runs/12",
    }
    return {"action": "failure", "run": {**found, **changes}, "prior_status": "success"}


SECRET, OLD = b"s3cret", b"old"
BODY = b'{"action":"opened"}'
GOOD = hmac.new(SECRET, BODY, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"x-gitea-signature": GOOD}, True),
        ({"x-forgejo-signature": GOOD}, True),
        ({"x-forgejo-signature": GOOD, "x-gitea-signature": GOOD}, True),
        ({"x-gitea-signature": hmac.new(OLD, BODY, "sha256").hexdigest()}, True),
        ({}, False),
        ({"x-gitea-signature": ""}, False),
        ({"x-gitea-signature": GOOD[:-2]}, False),
        ({"x-gitea-signature": GOOD * 2}, False),
        ({"x-gitea-signature": f"sha256={GOOD}"}, False),
        ({"x-gitea-signature": "é" * 64}, False),
        ({"x-gitea-signature": hmac.new(b"no", BODY, "sha256").hexdigest()}, False),
        ({"x-gitea-signature": hmac.new(SECRET, BODY, "sha1").hexdigest()}, False),
        ({"x-gitea-signature": hmac.new(SECRET, BODY + b"\n", "sha256").hexdigest()}, False),
        ({"x-hub-signature": "sha1=" + hmac.new(SECRET, BODY, "sha1").hexdigest()}, False),
    ],
)
def test_signature(headers, accepted):
    request = Inbound("/gitea", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(request, [SECRET, OLD])
    else:
        with pytest.raises(Unauthorized, match="X-Gitea-Signature"):
            SOURCE.verify(request, [SECRET, OLD])


@pytest.mark.parametrize(
    ("padding", "accepted"), [(0, True), (MIB, False)], ids=["small", "too large to decode"]
)
def test_a_form_is_signed_by_the_json_in_it(padding, accepted):
    """Seen with Gitea 1.25; GitHub signs the form."""
    payload = json.dumps({"action": "opened", "text": "é &=+" + " " * padding})
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "x-gitea-event": "push",
        "x-gitea-signature": hmac.new(SECRET, payload.encode(), "sha256").hexdigest(),
    }
    request = Inbound("/gitea", headers, urlencode({"payload": payload}).encode(), RECEIVED)
    with nullcontext() if accepted else pytest.raises(Unauthorized):
        SOURCE.verify(request, [SECRET])
    with pytest.raises(Unauthorized):
        SOURCE.verify(request._replace(body=request.body.replace(b"opened", b"closed")), [SECRET])


def test_githubs_path_names_the_right_one():
    """Gitea and Forgejo send GitHub's headers as well; reviews and runs would be lost there."""
    headers = {"x-github-event": "pull_request", "x-gitea-event": "pull_request"}
    with pytest.raises(BadBody, match="/gitea"):
        github.SOURCE.parse(Inbound("/github", headers, json.dumps(merged()).encode(), RECEIVED))


def test_deliveries_are_told_apart_by_either_header():
    for header in ("x-gitea-delivery", "x-forgejo-delivery"):
        assert SOURCE.dedupe_key(Inbound("/gitea", {header: "f6266f16"}, b"", 1)) == "f6266f16"


def test_forgejos_header_names_the_event_too():
    request = inbound("issues", gh.issue("opened"), "x-forgejo-event")
    (event,) = SOURCE.parse(request).events
    assert (event.full_ref, event.source) == ("vstrace-gitea-issue-acme/api-12", "gitea")
    assert event.attributes["vcs.provider.name"] == "gitea"


def test_no_event_header_is_a_bad_body():
    with pytest.raises(BadBody, match="X-Gitea-Event"):
        SOURCE.parse(Inbound("/gitea", {}, b"{}", RECEIVED))


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("issue_comment", gh.issue("created")),
        ("repository", gh.hook("created")),
        ("wiki", gh.hook("edited")),
        ("package", gh.hook("created")),
        ("fork", {}),
        ("pull_request", pull("frobnicated")),
        ("release", gh.release("deleted")),
    ],
)
def test_other_events_are_ignored_with_a_reason(event, body):
    parsed = SOURCE.parse(inbound(event, body))
    assert (parsed.verdict, parsed.status, parsed.events) == (Verdict.IGNORED, 200, ())
    assert parsed.reason


def test_a_pull_request_from_opened_to_merged():
    deliveries = [
        ("pull_request", pull("opened")),
        (
            "pull_request",
            pull("synchronized", head={"sha": gh.HEAD_2}, updated_at=gh.stamp("10:20:00")),
        ),
        (
            "pull_request",
            pull("label_updated", labels=[{"name": "perf"}], updated_at=gh.stamp("10:21:00")),
        ),
        ("pull_request", merged()),
    ]
    folded = fold_all(events(*deliveries))[PULL]
    assert (folded.span.status, folded.span.started_at, folded.span.ended_at) == (
        Status.OK,
        at("10:00:00"),
        at("11:30:00"),
    )
    commits = {k.value for k in folded.offers if k.kind == "commit"}
    assert commits == {gh.HEAD_1, gh.HEAD_2, gh.MERGE}


def test_a_draft_begins_and_ends_by_its_title():
    def retitled(before, now, clock):
        changes = {"title": {"from": before}, "added_labels": None, "removed_labels": None}
        body = pull("edited", title=now, draft=now.startswith("WIP"), updated_at=gh.stamp(clock))
        return "pull_request", body | {"changes": changes}

    deliveries = [
        ("pull_request", pull("opened", title="WIP: Cache", draft=True)),
        retitled("WIP: Cache", "WIP: Caches", "10:05:00"),
        retitled("WIP: Caches", "Caches", "10:20:00"),
        retitled("Caches", "Faster caches", "10:25:00"),
        retitled("Faster caches", "WIP: caches", "10:30:00"),
        retitled("WIP: caches", "Caches", "10:40:00"),
        ("pull_request", merged()),
    ]
    folded = fold_all(events(*deliveries))[PULL]
    assert [(stage.name, stage.started_at, stage.ended_at) for stage in folded.stages] == [
        ("draft", at("10:00:00"), at("10:20:00")),
        ("ready", at("10:20:00"), at("10:30:00")),
        ("draft", at("10:30:00"), at("10:40:00")),
        ("ready", at("10:40:00"), at("11:30:00")),
    ]


def test_small_ids_are_not_offered_as_they_are_other_changes_numbers():
    (event,) = events(("pull_request", pull("opened")))
    assert not [key for key in offered(event) if key[0] == "ref"]


@pytest.mark.parametrize(
    ("event", "state"),
    [
        ("pull_request_approved", "approved"),
        ("pull_request_rejected", "changes_requested"),
        ("pull_request_comment", "commented"),
    ],
)
def test_a_review_has_neither_id_nor_time_of_its_own(event, state):
    found, change = events((event, review()))
    assert found.full_ref == f"vstrace-gitea-review-acme/api-34.cid.{at('11:00:00') // 1_000_000}"
    assert (found.actor, found.occurred_at, found.state) == ("cid", at("11:00:00"), State.OK)
    assert found.attributes["vs.review.state"] == state
    assert answers(found, change) == {"structure"}


def test_a_push_without_githubs_extras():
    body = gh.push(
        pusher={"login": "bob", "username": "bob"},
        compare=None,
        compare_url="https://git.acme.test/acme/api/compare/a...b",
        total_commits=7,
    )
    del body["repository"]["pushed_at"], body["deleted"], body["created"], body["forced"]
    for commit in body["commits"]:
        del commit["distinct"]
    (event,) = events(("push", body))
    assert event.occurred_at == at("10:20:00")
    assert event.attributes["vs.push.commits"] == 7
    assert event.url.startswith("https://git.acme.test/")
    deleted = SOURCE.parse(inbound("push", body | {"after": "0" * 40}))
    assert deleted.verdict is Verdict.IGNORED


def test_a_run_with_gos_zero_time_is_in_flight():
    folded = fold_all(events(("workflow_run", run("in_progress"))))[RUN]
    assert (folded.span.status, folded.span.started_at) == (Status.IN_FLIGHT, at("10:30:00"))
    folded = fold_all(
        events(
            ("workflow_run", run("in_progress")),
            ("workflow_run", run("completed", conclusion="failure")),
        )
    )[RUN]
    assert (folded.span.status, folded.span.ended_at) == (Status.ERROR, at("10:35:00"))


def test_a_rerun_keeps_its_id_and_ends_anew():
    again = {"started_at": gh.stamp("10:50:00")}
    deliveries = [
        ("workflow_run", run("in_progress")),
        ("workflow_run", run("completed", conclusion="failure")),
        ("workflow_run", run("in_progress", **again)),
        ("workflow_run", run("completed", completed_at=gh.stamp("10:55:00"), **again)),
    ]
    span = fold_all(events(*deliveries))[RUN].span
    assert (span.status, span.ended_at, span.reopens, span.error) == (
        Status.OK,
        at("10:55:00"),
        1,
        "",
    )


def test_a_job_is_below_its_run():
    (_, job) = events(("workflow_job", gh.job("in_progress")))
    assert answers(job, events(("workflow_run", run("in_progress")))[-1]) == {"structure"}


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ("action_run_failure", Status.ERROR),
        ("action_run_success", Status.OK),
        ("action_run_recover", Status.OK),
    ],
)
def test_forgejo_tells_only_of_a_runs_end(event, status):
    (found,) = events((event, forgejo_run()))
    span = fold_all([found])[RUN].span
    assert (span.status, span.started_at, span.ended_at) == (status, at("10:30:00"), at("10:35:00"))
    assert span.attributes["cicd.pipeline.name"] == "ci.yml"
    assert ("change_number", "change", "34", "acme/api") in sought(found)
    (on_branch,) = events((event, forgejo_run(prettyref="feature/cache")))
    assert ("branch", "branch", "feature/cache", "acme/api") in sought(on_branch)


@pytest.mark.parametrize(
    ("word", "status"),
    [("warning", Status.OK), ("error", Status.ERROR), ("skipped", Status.CANCELLED)],
)
def test_commit_statuses_know_more_words(word, status):
    (event,) = events(("status", gh.status(word, "10:30:00")))
    assert fold_all([event])[event.full_ref].span.status is status


DELIVERIES = [
    ("issues", gh.issue("opened")),
    ("push", gh.push()),
    ("pull_request", pull("opened", draft=True)),
    (
        "pull_request",
        pull("synchronized", head={"sha": gh.HEAD_2}, updated_at=gh.stamp("10:20:00")),
    ),
    (
        "workflow_run",
        run(
            "requested",
            status="queued",
            started_at="1970-01-01T00:00:00Z",
            created_at=gh.stamp("10:29:00"),
        ),
    ),
    ("workflow_run", run("in_progress")),
    ("workflow_job", gh.job("queued")),
    ("workflow_job", gh.job("completed")),
    ("workflow_run", run("completed")),
    ("action_run_success", forgejo_run(id=556)),
    ("status", gh.status("pending", "10:32:00")),
    ("status", gh.status("success", "10:38:00")),
    ("pull_request_approved", review()),
    ("pull_request", merged()),
    ("issues", gh.issue("closed", state="closed", closed_at=gh.stamp("11:30:00"))),
    ("create", gh.hook(None, ref="v1", ref_type="tag", sha=gh.MERGE)),
    ("release", gh.release("updated")),
]
STORY = [SOURCE.parse(inbound(*delivery)).events for delivery in DELIVERIES]
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
        inbound(name, malformed(body, seed)) for seed in range(60) for name, body in DELIVERIES
    ]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("gitea"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/gitea", {header: value}, path.read_bytes(), RECEIVED))
    assert parsed.events
    assert fold_all(parsed.events)
