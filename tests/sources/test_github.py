"""GitHub: what each event makes of a span, and that the order of arrival changes nothing."""

from __future__ import annotations

import hmac
from collections import defaultdict
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
from vs_tui.model.time import MINUTE, SECOND
from vs_tui.model.vocabulary import Event, Key, State, Status, Verdict
from vs_tui.sources.base import BadBody, Inbound, Parsed, Unauthorized, Unreadable
from vs_tui.sources.github import SOURCE
from vs_tui.store.rows import token
from vs_tui.traces.correlation import Match, Node, links_of

ISSUE = "vstrace-github-issue-acme/api-12"
PULL = "vstrace-github-pull_request-acme/api-34"
RUN = "vstrace-github-pipeline-acme/api-555"
JOB = "vstrace-github-build-acme/api-7001"
DEPLOY = "vstrace-github-deploy-acme/api-42"


def parse(event, body) -> Parsed:
    return SOURCE.parse(gh.inbound(event, body))


def events(*deliveries) -> list[Event]:
    return [event for name, body in deliveries for event in parse(name, body).events]


def span_of(key, *deliveries):
    return fold_all(events(*deliveries))[key].span


def last(event, body) -> Event:
    return parse(event, body).events[-1]


# -- proof of origin ---------------------------------------------------------------------------

SECRET, OLD = b"s3cret", b"before rotation"
BODY = b'{"zen":"Keep it logically awesome."}'


def signed(secret: bytes = SECRET, body: bytes = BODY, algorithm: str = "sha256") -> str:
    return f"{algorithm}={hmac.new(secret, body, algorithm).hexdigest()}"


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        pytest.param({"x-hub-signature-256": signed()}, True, id="right"),
        pytest.param({"x-hub-signature-256": signed(OLD)}, True, id="right-under-second-secret"),
        pytest.param(
            {"x-hub-signature-256": signed().upper().replace("SHA", "sha")},
            True,
            id="upper-case-hex",
        ),
        pytest.param(
            {"x-hub-signature-256": signed(), "x-hub-signature": signed(algorithm="sha1")},
            True,
            id="both-algorithms",
        ),
        pytest.param({}, False, id="missing"),
        pytest.param({"x-hub-signature-256": ""}, False, id="empty"),
        pytest.param({"x-hub-signature-256": "sha256="}, False, id="prefix-only"),
        pytest.param({"x-hub-signature-256": signed(b"other")}, False, id="wrong-secret"),
        pytest.param({"x-hub-signature-256": signed(body=BODY + b" ")}, False, id="other-body"),
        pytest.param({"x-hub-signature-256": signed()[:-1]}, False, id="truncated"),
        pytest.param({"x-hub-signature-256": f"{signed()},{signed()}"}, False, id="doubled"),
        pytest.param(
            {"x-hub-signature-256": signed().removeprefix("sha256=")}, False, id="no-prefix"
        ),
        pytest.param({"x-hub-signature-256": "sha256=" + "é" * 64}, False, id="non-ascii"),
        pytest.param({"x-hub-signature-256": "sha256=\udcff\udcfe"}, False, id="surrogates"),
        pytest.param(
            {"x-hub-signature-256": signed(algorithm="sha1")}, False, id="sha1-in-the-sha256-header"
        ),
        pytest.param({"x-hub-signature": signed(algorithm="sha1")}, False, id="sha1-only"),
        pytest.param({"x-hub-signature-256": signed(b"")}, False, id="empty-secret"),
    ],
)
def test_signature(headers, accepted):
    inbound = Inbound("/github", headers, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(inbound, [SECRET, OLD])
    else:
        with pytest.raises(Unauthorized, match="Signature"):
            SOURCE.verify(inbound, [SECRET, OLD])


def test_an_empty_configured_secret_proves_nothing():
    inbound = Inbound("/github", {"x-hub-signature-256": signed(b"")}, BODY, RECEIVED)
    with pytest.raises(Unauthorized):
        SOURCE.verify(inbound, [b""])


def test_githubs_published_signature_vector():
    # https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    inbound = Inbound("/github", {"x-hub-signature-256": f"sha256={digest}"}, b"Hello, World!", 1)
    SOURCE.verify(inbound, [b"It's a Secret to Everybody"])


def test_deliveries_are_told_apart_by_githubs_id():
    assert SOURCE.dedupe_key(gh.inbound("ping", {}, x_github_delivery="72d3-11ee")) == "72d3-11ee"
    assert SOURCE.dedupe_key(gh.inbound("ping", {})) == ""


# -- bodies ------------------------------------------------------------------------------------


def test_form_encoded_bodies_are_read_too():
    body = gh.inbound("issues", gh.issue("opened", title="50 % + x & ü")).body.decode()
    form = urlencode({"payload": body}).encode()
    content_type = "application/x-www-form-urlencoded; charset=utf-8"
    parsed = SOURCE.parse(gh.inbound("issues", form, content_type=content_type))
    assert parsed.events[0].full_ref == ISSUE
    assert parsed.events[0].name == "50 % + x & ü"


def test_json_that_is_called_a_form_as_curl_does_is_json():
    form = "application/x-www-form-urlencoded"
    body = gh.inbound("issues", gh.issue("opened")).body
    parsed = SOURCE.parse(gh.inbound("issues", body, content_type=form))
    assert parsed.events[0].full_ref == ISSUE


@pytest.mark.parametrize(
    ("raw", "content_type", "field"),
    [
        (b"nonsense", "application/json", "body"),
        (b"", "application/json", "body"),
        (b"[]", "application/json", "body"),
        (b"[" * 100_000, "application/json", "body"),
        (b"a=b", "application/x-www-form-urlencoded", "payload"),
        (b"payload=%7B", "application/x-www-form-urlencoded", "body"),
        (b"\xff\xfe", "application/x-www-form-urlencoded", "body"),
        (b"&".join(b"a=b" for _ in range(50)), "application/x-www-form-urlencoded", "body"),
    ],
)
def test_what_is_no_json_object_is_a_bad_body(raw, content_type, field):
    with pytest.raises(BadBody) as refusal:
        SOURCE.parse(gh.inbound("issues", raw, content_type=content_type))
    assert refusal.value.field == field


def test_a_body_without_an_event_header_says_which_header():
    with pytest.raises(BadBody, match="X-GitHub-Event"):
        SOURCE.parse(Inbound("/github", {}, b"{}", RECEIVED))


@pytest.mark.parametrize(
    ("event", "body", "reason"),
    [
        ("ping", {"zen": "x", "hook_id": 1}, "connected"),
        ("issue_comment", gh.hook("created"), "comment"),
        ("workflow_dispatch", gh.hook(None), "workflow_run"),
        ("merge_group", gh.hook("checks_requested"), "merge queue"),
        ("star", gh.hook("created"), "star"),
        ("sponsorship", {}, "sponsorship"),
        ("made_up_next_year", {"action": "exploded"}, "made_up_next_year"),
        ("issues", gh.issue("frobnicated"), "frobnicated"),
        ("pull_request", gh.pull("frobnicated"), "frobnicated"),
        ("pull_request_review", gh.review("frobnicated"), "frobnicated"),
        ("workflow_run", gh.run("frobnicated"), "frobnicated"),
        ("workflow_job", gh.job("frobnicated"), "frobnicated"),
        ("check_run", gh.check_run("frobnicated"), "frobnicated"),
        ("check_suite", gh.check_suite("frobnicated"), "frobnicated"),
        ("release", gh.release("frobnicated"), "frobnicated"),
        ("deployment", gh.deploy() | {"action": "frobnicated"}, "frobnicated"),
        ("deployment_status", gh.deploy_status("success", "11:00:00") | {"action": "x"}, "'x'"),
        ("check_run", gh.check_run("completed", "github-actions"), "workflow_job"),
        ("check_suite", gh.check_suite("completed", "github-actions"), "workflow_run"),
        ("check_suite", gh.check_suite("requested", status="queued", conclusion=None), "asked"),
        # (De)milestoning a pull request sends `issues` as well.
        ("issues", gh.issue("milestoned", pull_request={"url": "x"}), "pull request"),
        ("create", gh.hook(None, ref="feature/x", ref_type="branch"), "pushes"),
        ("delete", gh.hook(None, ref="feature/x", ref_type="branch"), "branch"),
        ("push", gh.push(after="0" * 40, deleted=True), "deleted"),
        ("push", gh.push(commits=[]), "without new commits"),
        ("push", gh.push("refs/heads/gh-readonly-queue/main/pr-34-" + gh.BASE), "merge queue"),
        ("release", gh.release("created", draft=True, published_at=None), "draft"),
    ],
)
def test_unwanted_events_are_ignored_with_a_reason(event, body, reason):
    parsed = parse(event, body)
    assert parsed.verdict is Verdict.IGNORED
    assert parsed.status == 200
    assert not parsed.events
    assert reason in parsed.reason


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("issues", {"action": "opened", "issue": {"number": 1}}),
        ("issues", gh.issue("opened", number=None)),
        ("pull_request", gh.hook("opened")),
        ("workflow_run", gh.run("completed", id="x")),
        ("workflow_run", gh.run("completed", conclusion="vanished")),
        ("workflow_run", gh.run("in_progress", status="finished")),
        ("workflow_job", gh.job("completed", run_id=None)),
        ("deployment_status", gh.deploy_status("levitating", "11:00:00")),
        ("status", gh.status("levitating", "11:00:00")),
        ("push", gh.push(ref=None)),
    ],
)
def test_undocumented_bodies_are_quarantined(event, body):
    with pytest.raises(Unreadable, match=event):
        parse(event, body)


# -- issues ------------------------------------------------------------------------------------


def test_an_issue_from_opened_to_closed():
    span = span_of(
        ISSUE,
        ("issues", gh.issue("opened")),
        ("issues", gh.issue("edited", title="Invoices are quick", updated_at=gh.stamp("09:30:00"))),
        (
            "issues",
            gh.issue(
                "closed",
                title="Invoices are quick",
                state="closed",
                closed_at=gh.stamp("11:00:00"),
                updated_at=gh.stamp("11:00:00"),
            ),
        ),
    )
    assert (span.status, span.started_at, span.ended_at) == (
        Status.OK,
        at("09:00:00"),
        at("11:00:00"),
    )
    assert span.ref == "vstrace-github-issue-api-12"
    assert (span.name, span.project, span.actor) == ("Invoices are quick", "acme/api", "ann")
    assert span.url == "https://github.com/acme/api/issues/12"
    assert span.attributes["vs.issue.labels"] == "bug,p1"
    assert span.attributes["vs.issue.assignees"] == "bob"
    assert span.attributes["vcs.owner.name"] == "acme"
    assert span.attributes["vcs.repository.name"] == "api"
    assert span.attributes["vcs.repository.url.full"] == "https://github.com/acme/api"
    assert span.attributes["vcs.provider.name"] == "github"


def test_a_reopened_issue_still_carries_closed_at_and_is_one_span():
    closed = gh.issue(
        "closed", state="closed", closed_at=gh.stamp("10:00:00"), updated_at=gh.stamp("10:00:00")
    )
    reopened = gh.issue("reopened", closed_at=gh.stamp("10:00:00"), updated_at=gh.stamp("11:00:00"))
    span = span_of(ISSUE, ("issues", gh.issue("opened")), ("issues", closed), ("issues", reopened))
    assert (span.status, span.ended_at, span.reopens) == (Status.IN_FLIGHT, None, 1)
    again = gh.issue(
        "closed", state="closed", closed_at=gh.stamp("12:00:00"), updated_at=gh.stamp("12:00:00")
    )
    span = span_of(ISSUE, ("issues", again), ("issues", reopened), ("issues", closed))
    assert (span.status, span.ended_at, span.reopens) == (Status.OK, at("12:00:00"), 1)
    assert span.active == 2 * 60 * MINUTE


def test_a_label_edit_neither_restarts_nor_ends_an_issue():
    span = span_of(
        ISSUE,
        ("issues", gh.issue("opened")),
        ("issues", gh.issue("labeled", updated_at=gh.stamp("09:10:00"))),
        ("issues", gh.issue("unlabeled", labels=[], updated_at=gh.stamp("09:11:00"))),
    )
    assert (span.status, span.started_at) == (Status.IN_FLIGHT, at("09:00:00"))
    assert span.attributes["vs.issue.labels"] == ""


@pytest.mark.parametrize("reason", ["not_planned", "duplicate"])
def test_an_issue_closed_undone_is_cancelled(reason):
    body = gh.issue("closed", state="closed", state_reason=reason, closed_at=gh.stamp("10:00:00"))
    assert last("issues", body).state is State.CANCELLED


@pytest.mark.parametrize("action", ["deleted", "transferred"])
@pytest.mark.parametrize("state", ["open", "closed"])
def test_an_issue_that_is_gone_is_cancelled(action, state):
    closed_at = gh.stamp("10:00:00") if state == "closed" else None
    gone = gh.issue(action, state=state, closed_at=closed_at, updated_at=gh.stamp("10:00:00"))
    span = span_of(ISSUE, ("issues", gh.issue("opened")), ("issues", gone))
    assert (span.status, span.ended_at) == (Status.CANCELLED, at("10:00:00"))


def test_an_issue_closed_without_closed_at_ends_when_it_was_updated():
    body = gh.issue("closed", state="closed", closed_at=None, updated_at=gh.stamp("10:00:00"))
    assert last("issues", body).occurred_at == at("10:00:00")
    body["issue"]["updated_at"] = None
    assert last("issues", body).occurred_at == RECEIVED


def test_a_transferred_issue_is_found_under_its_old_number():
    body = gh.issue("opened", number=90)
    body["changes"] = {"old_issue": {"number": 4}, "old_repository": {"full_name": "Acme/Legacy"}}
    assert ("issue", "4", "acme/legacy") in offered(last("issues", body))


def test_a_sub_issue_seeks_its_parent():
    body = gh.issue("opened", parent_issue_url="https://ghe.test/api/v3/repos/acme/plan/issues/7")
    assert ("hierarchy", "issue", "7", "acme/plan") in sought(last("issues", body))


# -- pull requests -----------------------------------------------------------------------------


def test_a_merged_pull_request():
    span = span_of(PULL, ("pull_request", gh.pull("opened")), ("pull_request", gh.merged()))
    assert (span.status, span.started_at, span.ended_at) == (
        Status.OK,
        at("10:00:00"),
        at("11:30:00"),
    )
    assert (span.ref, span.actor) == ("vstrace-github-pull_request-api-34", "bob")
    expected = {
        "vcs.change.id": "34",
        "vcs.change.title": "Cache invoices",
        "vcs.change.state": "merged",
        "vcs.ref.head.name": "feature/cache",
        "vcs.ref.head.revision": gh.HEAD_2,
        "vcs.ref.base.name": "main",
        "vs.pr.additions": 120,
        "vs.pr.deletions": 30,
        "vs.pr.changed_files": 4,
        "vs.pr.commits": 2,
        "vs.pr.comments": 2,
        "vs.pr.review_comments": 5,
        "vs.pr.reviewers": "cid,platform",
        "vs.pr.draft": False,
        "vs.pr.merged_at": "2026-03-02T11:30:00Z",
        "vs.pr.merged_by": "cid",
    }
    assert expected.items() <= span.attributes.items()


@pytest.mark.parametrize(("kind", "said"), [("Bot", "bot"), ("User", None), (None, None)])
def test_a_pull_request_of_an_app_says_that_its_author_is_a_bot(kind, said):
    author = gh.user("Copilot") | {"type": kind}
    told = last("pull_request", gh.pull("opened", user=author))
    assert told.attributes.get("vs.actor.type") == said


def test_a_pull_request_closed_unmerged_is_cancelled_and_offers_no_merge_commit():
    closed = gh.pull("closed", state="closed", closed_at=gh.stamp("11:00:00"))
    event = last("pull_request", closed)
    assert event.state is State.CANCELLED
    assert event.attributes["vcs.change.state"] == "closed"
    # The body has a merge_commit_sha all the same: GitHub's test merge.
    assert closed["pull_request"]["merge_commit_sha"]
    assert {v for k, v, _ in offered(event) if k == "commit"} == {gh.HEAD_1}
    assert ("commit", gh.MERGE, "acme/api") in offered(last("pull_request", gh.merged()))


def test_a_reopened_pull_request_is_one_span():
    closed = gh.pull(
        "closed", state="closed", closed_at=gh.stamp("10:30:00"), updated_at=gh.stamp("10:30:00")
    )
    reopened = gh.pull("reopened", updated_at=gh.stamp("11:00:00"))
    span = span_of(
        PULL,
        ("pull_request", gh.merged()),
        ("pull_request", closed),
        ("pull_request", reopened),
        ("pull_request", gh.pull("opened")),
    )
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("11:30:00"))
    assert span.active == 60 * MINUTE


def test_a_late_snapshot_does_not_reopen_an_ended_pull_request():
    stale = gh.pull("labeled", updated_at=gh.stamp("11:29:00"))
    span = span_of(PULL, ("pull_request", gh.merged()), ("pull_request", stale))
    assert (span.status, span.reopens) == (Status.OK, 0)


def test_draft_and_merge_queue_are_stages():
    seconds_before = {"updated_at": gh.stamp("11:29:58")}
    folded = fold_all(
        events(
            ("pull_request", gh.pull("opened", draft=True)),
            ("pull_request", gh.pull("ready_for_review", updated_at=gh.stamp("10:20:00"))),
            ("pull_request", gh.pull("enqueued", updated_at=gh.stamp("11:20:00"))),
            # Merging takes it out of the queue just before it is merged.
            ("pull_request", gh.pull("dequeued", extra={"reason": "MERGE"}, **seconds_before)),
            ("pull_request", gh.merged()),
        )
    )[PULL]
    assert [(s.name, s.started_at, s.ended_at) for s in folded.stages] == [
        ("draft", at("10:00:00"), at("10:20:00")),
        ("ready", at("10:20:00"), at("11:20:00")),
        ("merge queue", at("11:20:00"), at("11:30:00")),
    ]
    failed = gh.pull("dequeued", extra={"reason": "CI_FAILURE"}, **seconds_before)
    assert last("pull_request", failed).stage == "ready"
    draft = last("pull_request", gh.pull("opened", draft=True))
    assert draft.attributes["vcs.change.state"] == "wip"


def test_what_finds_a_pull_request():
    body = gh.pull(
        "synchronize", extra={"before": gh.HEAD_1, "after": gh.HEAD_2}, head={"sha": gh.HEAD_2}
    )
    assert offered(last("pull_request", body)) == {
        ("change", "34", "acme/api"),
        ("ref", "vstrace-github-pull_request-api-1500000034", ""),
        ("commit", gh.HEAD_1, "acme/api"),
        ("commit", gh.HEAD_2, "acme/api"),
        ("branch", "feature/cache", "acme/api"),
    }


def test_a_forks_branch_belongs_to_the_fork():
    fork = gh.repo("mallory/api-fork") | {"default_branch": "main"}
    event = last("pull_request", gh.pull("opened", head={"ref": "patch-1", "repo": fork}))
    assert ("branch", "patch-1", "mallory/api-fork") in offered(event)
    assert ("branch", "patch-1", "acme/api") not in offered(event)
    assert ("commit", gh.HEAD_1, "acme/api") in offered(event)
    assert ("commit", gh.HEAD_1, "mallory/api-fork") in offered(event)
    gone = last(
        "pull_request",
        gh.pull("opened", head={"ref": "patch-1", "repo": None, "user": gh.user("mallory")}),
    )
    assert ("branch", "patch-1", "mallory/api") in offered(gone)
    of_main = last("pull_request", gh.pull("opened", head={"ref": "main", "repo": fork}))
    assert not [key for key in offered(of_main) if key[0] == "branch"]


def test_what_a_pull_request_seeks():
    body = gh.pull(
        "opened",
        title="WEB-42: cache",
        head={"ref": "feature/tp-3-12-cache"},
        body="Closes #12, fixes acme/web#3 and resolves https://github.com/acme/ops/issues/4\n"
        "vstrace-customhttp-pipeline-default-9\n<!-- Closes #99 -->",
    )
    wishes = sought(last("pull_request", body))
    assert {w[2:] for w in wishes if w[0] == "closes"} == {
        ("12", "acme/api"),
        ("3", "acme/web"),
        ("4", "acme/ops"),
    }
    assert {w[2] for w in wishes if w[0] == "issue_key"} >= {"WEB-42", "TP-3"}
    assert ("reference", "ref", "vstrace-customhttp-pipeline-default-9", "") in wishes
    numbered = gh.pull("opened", head={"ref": "12-cache"})
    assert ("branch_number", "issue", "12", "acme/api") in sought(last("pull_request", numbered))


@pytest.mark.parametrize("place", ["ref", "title", "body"])
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("vstrace-github-issue-api-12", "vstrace-github-issue-api-12"),
        ("vstrace-github-issue-valuestream-1-fix-typo", "vstrace-github-issue-valuestream-1"),
        ("vstrace-github-issue-my_repo-7", "vstrace-github-issue-my_repo-7"),
        ("vstrace-github-issue-site.io-7", "vstrace-github-issue-site.io-7"),
        ("vstrace-github-issue-acme/api-12", "vstrace-github-issue-acme/api-12"),
        ("vstrace-jiracloud-sprint-1", "vstrace-jiracloud-sprint-1"),
        ("vstrace-jiracloud-issue-TP-3", "vstrace-jira-issue-TP-3"),
    ],
)
def test_references_are_read_in_branch_title_and_body(place, written, meant):
    changes = {"head": {"ref": written}} if place == "ref" else {place: f"see {written}, please"}
    body = gh.pull("opened", **changes)
    assert ("reference", "ref", meant, "") in sought(last("pull_request", body))


def test_same_named_repositories_do_not_collide():
    ours, theirs = gh.issue("opened"), gh.issue("opened")
    theirs["repository"] = gh.repo("mallory/api")
    first, second = last("issues", ours), last("issues", theirs)
    assert first.key != second.key
    assert first.ref == second.ref


def test_a_review_is_an_instant_below_its_pull_request():
    found, change = parse("pull_request_review", gh.review()).events
    assert (found.operation, found.state, found.started_at, found.occurred_at) == (
        "review",
        State.OK,
        at("11:00:00"),
        at("11:00:00"),
    )
    assert (found.actor, found.attributes["vs.review.state"]) == ("cid", "approved")
    assert answers(found, change) == {"structure"}
    assert change.full_ref == PULL
    # The short form of the pull request says nothing of its size, so it overwrites nothing.
    span = span_of(PULL, ("pull_request", gh.pull("opened")), ("pull_request_review", gh.review()))
    assert (span.status, span.attributes["vs.pr.additions"]) == (Status.IN_FLIGHT, 120)


def test_an_authors_own_comment_is_no_review():
    """GitHub makes a review of an answer in one's own pull request: nobody picked it up by that."""
    own = parse("pull_request_review", gh.review(state="commented", user=gh.user("bob"))).events
    assert [event.operation for event in own] == ["pull_request"]
    others = parse("pull_request_review", gh.review(state="commented")).events
    assert [event.operation for event in others] == ["review", "pull_request"]


@pytest.mark.parametrize("state", ["approved", "changes_requested", "commented", "dismissed"])
def test_no_review_is_an_error(state):
    found = parse("pull_request_review", gh.review(state=state)).events[0]
    assert (found.state, found.attributes["vs.review.state"]) == (State.OK, state)


# -- pushes, tags, releases --------------------------------------------------------------------


def test_a_push_offers_its_commits_and_seeks_its_change():
    event = last("push", gh.push())
    assert (event.operation, event.occurred_at) == ("push", at("10:15:00"))
    assert (event.name, event.actor) == ("TP-3 finish", "octocat")
    assert offered(event) == {("commit", gh.HEAD_1, "acme/api"), ("commit", gh.HEAD_2, "acme/api")}
    wishes = sought(event)
    assert ("commit", "commit", gh.HEAD_2, "acme/api") in wishes
    assert ("branch", "branch", "feature/cache", "acme/api") in wishes
    assert ("issue_key", "issue_key", "TP-3", "") in wishes
    assert event.attributes["vs.commit.first_at"] == "2026-03-02T09:30:00Z"


def test_a_push_to_the_default_branch_seeks_the_changes_its_messages_name():
    commits = [
        gh.commit("3" * 40, "Merge pull request #34 from acme/feature/cache", "11:30:00"),
        gh.commit("4" * 40, "Quick fix (#35)\n\nFixes #12", "11:31:00"),
        gh.commit("5" * 40, "Old news (#1)", "08:00:00", distinct=False),
    ]
    wishes = sought(last("push", gh.push("refs/heads/main", "4" * 40, commits)))
    assert {w[2] for w in wishes if w[0] == "change_number"} == {"34", "35"}
    assert ("closes", "issue", "12", "acme/api") in wishes
    assert not [w for w in wishes if w[0] == "branch"]


def test_a_trailer_in_a_commit_message_carries_a_trace():
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    message = f"Fix\n\nTraceparent: 00-{trace}-{span}-01"
    wishes = sought(last("push", gh.push(commits=[gh.commit(gh.HEAD_2, message, "10:00:00")])))
    assert {w[2] for w in wishes if w[0] == "traceparent"} == {f"{trace}-{span}", trace}


def test_a_tag_is_one_span_whether_created_or_pushed():
    pushed = gh.push("refs/tags/v1.2.0", gh.MERGE, [])
    created = gh.hook(None, ref="v1.2.0", ref_type="tag")
    one, two = last("push", pushed), last("create", created)
    assert one.full_ref == two.full_ref == "vstrace-github-tag-acme/api-v1.2.0"
    assert ("commit", "commit", gh.MERGE, "acme/api") in sought(one)
    published = last("release", gh.release())
    assert answers(published, one) == {"version"}
    assert (published.operation, published.occurred_at) == ("release", at("11:45:00"))


# -- Actions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conclusion", "status", "error", "result"),
    [
        ("success", Status.OK, "", "success"),
        ("neutral", Status.OK, "", "success"),
        ("stale", Status.OK, "", None),
        ("failure", Status.ERROR, "failure", "failure"),
        ("timed_out", Status.ERROR, "timeout", "timeout"),
        ("startup_failure", Status.ERROR, "startup_failure", "error"),
        ("cancelled", Status.CANCELLED, "", "cancellation"),
        ("skipped", Status.CANCELLED, "", "skip"),
        ("action_required", Status.IN_FLIGHT, "", None),
    ],
)
def test_conclusions(conclusion, status, error, result):
    run = span_of(RUN, ("workflow_run", gh.run("completed", conclusion=conclusion)))
    assert (run.status, run.error) == (status, error)
    assert run.attributes.get("cicd.pipeline.result") == result
    job = span_of(JOB, ("workflow_job", gh.job("completed", conclusion=conclusion)))
    assert (job.status, job.error) == (status, error)
    assert job.attributes.get("cicd.pipeline.task.run.result") == result
    check = ("check_run", gh.check_run("completed", conclusion=conclusion))
    (folded,) = fold_all(events(check)).values()
    assert (folded.span.status, folded.span.error) == (status, error)


def test_a_run_is_one_span_with_a_queue_phase():
    folded = fold_all(
        events(
            ("workflow_run", gh.run("requested", "10:30:00")),
            ("workflow_run", gh.run("in_progress", "10:30:31")),
            ("workflow_run", gh.run("completed", "10:35:00")),
        )
    )[RUN]
    assert (folded.span.started_at, folded.span.ended_at) == (at("10:30:00"), at("10:35:00"))
    assert [(s.name, s.started_at, s.ended_at) for s in folded.stages] == [
        ("queued", at("10:30:00"), at("10:30:31")),
        ("running", at("10:30:31"), at("10:35:00")),
    ]


def test_an_attempt_begins_at_run_started_at_and_links_to_the_one_before():
    again = gh.run("completed", "10:44:00", attempt=2, run_started_at=gh.stamp("10:40:00"))
    event = last("workflow_run", again)
    assert event.full_ref == f"{RUN}.2"
    assert (event.started_at, event.attempt) == (at("10:40:00"), 2)
    (link,) = [seek for seek in event.seeks if seek.rule == "attempt"]
    former = last("workflow_run", gh.run("completed", "10:36:00"))
    assert (link.key.value, link.link_only) == (former.key, True)
    third = last("workflow_run", gh.run("completed", "10:50:00", attempt=3))
    assert answers(third, event) == {"attempt"}
    first = last("workflow_run", gh.run("completed"))
    assert not [seek for seek in first.seeks if seek.rule == "attempt"]


def test_a_pipelines_name_is_its_workflows_whatever_the_run_is_called():
    plain = last("workflow_run", gh.run("completed", name="CI"))
    titled = last("workflow_run", gh.run("completed", name="Deploy #34 by bob"))
    assert plain.attributes["cicd.pipeline.name"] == titled.attributes["cicd.pipeline.name"] == "CI"
    assert plain.name == "CI #163"
    nameless = gh.run("completed") | {"workflow": None}
    assert last("workflow_run", nameless).attributes["cicd.pipeline.name"] == (
        ".github/workflows/ci.yml"
    )


def test_a_run_finds_its_pull_request():
    change = last("pull_request", gh.pull("opened", head={"sha": gh.HEAD_2}))
    run = last("workflow_run", gh.run("completed"))
    assert answers(run, change) == {"change_number", "commit", "branch"}
    assert ("built", gh.HEAD_2, "acme/api") in offered(run)


def test_a_forks_run_lists_no_pull_request_and_finds_it_by_commit_and_branch():
    fork = gh.repo("mallory/api")
    body = gh.run("completed", pull_requests=[], head_branch="patch-1", head_repository=fork)
    change = last(
        "pull_request", gh.pull("opened", head={"sha": gh.HEAD_2, "ref": "patch-1", "repo": fork})
    )
    assert answers(last("workflow_run", body), change) == {"commit", "branch"}


def test_a_run_lists_pull_requests_of_their_own_repository():
    body = gh.run("completed")
    body["workflow_run"]["pull_requests"][0]["base"]["repo"] = {
        "url": "https://ghe.test/api/v3/repos/Upstream/API"
    }
    assert ("change_number", "change", "34", "upstream/api") in sought(last("workflow_run", body))


@pytest.mark.parametrize(
    ("branch", "title", "message", "numbers"),
    [
        ("main", "Cache invoices (#34)", "Cache invoices (#34)", {"34"}),
        ("main", "Merge pull request #34 from acme/x", "", {"34"}),
        ("gh-readonly-queue/main/pr-104-" + gh.BASE, "x", "x", {"104"}),
        # A merge from main into a change's own branch names another change.
        ("feature/cache", "Cache more (#7)", "Merge pull request #8 from acme/y", set()),
    ],
)
def test_runs_of_shared_branches_read_the_changes_number(branch, title, message, numbers):
    body = gh.run(
        "completed",
        pull_requests=[],
        event="push",
        head_branch=branch,
        display_title=title,
        head_commit={"message": message},
    )
    wishes = sought(last("workflow_run", body))
    assert {w[2] for w in wishes if w[0] == "change_number"} == numbers
    assert bool([w for w in wishes if w[0] == "branch"]) is (branch == "feature/cache")


def test_a_job_waits_runs_and_is_below_its_run():
    folded = fold_all(
        events(
            ("workflow_job", gh.job("queued")),
            ("workflow_job", gh.job("in_progress")),
            ("workflow_job", gh.job("completed")),
            ("workflow_run", gh.run("completed")),
        )
    )
    job = folded[JOB].span
    assert (job.operation, job.started_at, job.ended_at) == (
        "build",
        at("10:30:01"),
        at("10:35:00"),
    )
    assert [(s.name, s.duration) for s in folded[JOB].stages] == [
        ("queued", 30 * SECOND),
        ("running", 4 * MINUTE + 29 * SECOND),
    ]
    assert job.attributes["cicd.pipeline.task.name"] == "build (3.11)"
    assert job.attributes["cicd.pipeline.name"] == "CI"
    assert job.attributes["cicd.worker.name"] == "GitHub Actions 5"
    found = last("workflow_job", gh.job("queued"))
    assert answers(found, last("workflow_run", gh.run("completed"))) == {"structure"}
    second = last("workflow_job", gh.job("queued", 7002, attempt=2))
    assert answers(second, last("workflow_run", gh.run("completed"))) == set()
    assert answers(second, last("workflow_run", gh.run("completed", attempt=2))) == {"structure"}
    assert answers(second, found) == {"attempt"}


def test_a_completed_job_alone_is_a_whole_span_with_its_phases():
    alone = fold_all(events(("workflow_job", gh.job("completed"))))[JOB]
    whole = fold_all(
        events(*[("workflow_job", gh.job(a)) for a in ("queued", "in_progress", "completed")])
    )[JOB]
    assert (alone.span, alone.stages) == (whole.span, whole.stages)


def test_steps_are_stages_with_keys_of_their_own():
    steps = [
        gh.step(1, "Same", "10:30:31", "10:30:33"),
        gh.step(2, "Same", "10:30:33", "10:30:30"),
        gh.step(3, "Skipped", None, None, "skipped"),
        gh.step(4, "Now", "10:30:40", None),
    ]
    folded = fold_all(events(("workflow_job", gh.job("in_progress", steps=steps))))
    first, second, now = (folded[f"{JOB}/{number}"] for number in (1, 2, 4))
    assert (first.span.operation, first.span.name) == ("stage", "Same")
    assert first.span.duration == 2 * SECOND
    # A step may end a second before it began: its duration is nothing, never negative.
    assert (second.span.status, second.span.duration) == (Status.OK, 0)
    assert (now.span.status, now.span.ended_at) == (Status.IN_FLIGHT, None)
    assert f"{JOB}/3" not in folded
    assert [s.key.value for s in first.seeks] == [folded[JOB].span.key]
    assert first.span.attributes["cicd.pipeline.task.name"] == "build (3.11) / Same"


def test_a_step_that_ran_when_its_runner_was_lost_ends_with_its_job():
    steps = [gh.step(1, "Set up job", "10:30:31", "10:30:33"), gh.step(2, "Test", "10:30:33", None)]
    lost = gh.job("completed", conclusion="failure", steps=steps, completed_at=gh.stamp("10:50:00"))
    running = gh.job("in_progress", steps=steps)
    for deliveries in ([running, lost], [lost, running]):
        spans = fold_all(events(*(("workflow_job", body) for body in deliveries)))
        step = next(folded.span for folded in spans.values() if folded.span.name == "Test")
        assert (step.status, step.error) == (Status.ERROR, "failure")
        assert (step.started_at, step.ended_at) == (at("10:30:33"), at("10:50:00"))


def test_a_skipped_job_completed_before_it_started_has_no_negative_time():
    body = gh.job(
        "completed",
        conclusion="skipped",
        started_at=gh.stamp("10:30:02"),
        completed_at=gh.stamp("10:30:00"),
        steps=[],
        runner_id=None,
    )
    folded = fold_all(events(("workflow_job", body)))[JOB]
    assert (folded.span.status, folded.span.duration) == (Status.CANCELLED, 0)
    assert folded.stages == ()


def test_a_skipped_job_never_ran():
    """GitHub gives it a start all the same."""
    same = gh.stamp("10:31:00")
    body = gh.job("completed", conclusion="skipped", started_at=same, completed_at=same, steps=[])
    folded = fold_all(events(("workflow_job", body)))[JOB]
    assert folded.span.status is Status.CANCELLED
    assert [
        event.stage for event in events(("workflow_job", body)) if event.stage == "running"
    ] == []
    ran = gh.job("completed", conclusion="success", started_at=same, completed_at=same, steps=[])
    assert "running" in [event.stage for event in events(("workflow_job", ran))]


def test_a_gated_job_waits_and_names_its_deployment():
    gated = gh.job("waiting", status="waiting", extra={"deployment": gh.deployment()})
    event = last("workflow_job", gated)
    assert (event.state, event.stage) == (State.WAITING, "waiting")
    assert answers(last("deployment", gh.deploy()), event) >= {"structure"}


def test_equal_times_completed_first_and_in_progress_last():
    same = gh.stamp("10:31:00")
    first = ("workflow_run", gh.run("completed", same, run_started_at=same))
    late = ("workflow_run", gh.run("in_progress", same, run_started_at=same))
    assert span_of(RUN, first, late).status is Status.OK


# -- checks and statuses -----------------------------------------------------------------------


def test_a_check_run_of_another_tool_is_below_its_suite():
    suite = last("check_suite", gh.check_suite())
    check = last("check_run", gh.check_run("completed"))
    assert answers(check, suite) == {"structure"}
    assert (suite.operation, check.operation) == ("pipeline", "build")
    change = last("pull_request", gh.pull("opened", head={"sha": gh.HEAD_2}))
    assert answers(check, change) == {"commit", "branch"}
    # A suite says that all checks are done, not that anything was built.
    assert not offered(suite)


def test_suites_and_statuses_without_a_page_of_their_own_lead_to_their_commits():
    suite = last("check_suite", gh.check_suite())
    assert suite.url == f"https://github.com/acme/api/commit/{gh.HEAD_2}/checks?check_suite_id=2001"
    commit = {"html_url": f"https://github.com/acme/api/commit/{gh.HEAD_2}"}
    status = last("status", gh.status("success", "10:41:00", target_url=None, commit=commit))
    assert status.url == commit["html_url"]


def test_a_suite_whose_app_has_begun_is_in_flight():
    body = gh.check_suite(
        "rerequested", status="queued", conclusion=None, latest_check_runs_count=1
    )
    assert last("check_suite", body).state is State.QUEUED


def test_a_check_run_again_under_its_id_ends_anew():
    early = gh.check_run("completed", conclusion="failure")
    late = gh.check_run("completed", completed_at=gh.stamp("10:50:00"))
    (folded,) = fold_all(events(("check_run", late), ("check_run", early))).values()
    assert (folded.span.status, folded.span.ended_at) == (Status.OK, at("10:50:00"))


def test_a_status_is_one_span_for_each_commit_and_context():
    deliveries = [
        ("status", gh.status("pending", "10:32:00")),
        ("status", gh.status("failure", "10:33:00")),
        ("status", gh.status("pending", "10:40:00")),
        ("status", gh.status("success", "10:41:00")),
        ("status", gh.status("success", "10:41:00", context="lint")),
    ]
    spans = sorted((f.span for f in fold_all(events(*deliveries)).values()), key=lambda s: s.name)
    assert [(s.name, s.status, s.reopens) for s in spans] == [
        ("ci/jenkins", Status.OK, 1),
        ("lint", Status.OK, 0),
    ]
    # An end alone is a span whose start is unknown.
    assert (spans[1].started_at, spans[1].ended_at) == (None, at("10:41:00"))


# -- deploys -----------------------------------------------------------------------------------


def test_a_deploy_from_creation_to_success():
    folded = fold_all(
        events(
            ("deployment_status", gh.deploy_status("success", "11:48:00")),
            ("deployment_status", gh.deploy_status("in_progress", "11:41:00")),
            ("deployment_status", gh.deploy_status("queued", "11:40:05")),
            ("deployment", gh.deploy()),
        )
    )[DEPLOY]
    span = folded.span
    assert (span.status, span.started_at, span.ended_at) == (
        Status.OK,
        at("11:40:00"),
        at("11:48:00"),
    )
    assert (span.operation, span.service, span.environment, span.name) == (
        "deploy",
        "api",
        "production",
        "api to production",
    )
    assert [s.name for s in folded.stages] == ["pending", "queued", "running"]
    assert span.attributes["deployment.status"] == "succeeded"
    assert span.attributes["deployment.environment.name"] == "production"
    assert span.attributes["deployment.id"] == "42"
    assert "vs.task" not in span.attributes


@pytest.mark.parametrize(
    ("state", "status", "error"),
    [
        ("failure", Status.ERROR, "failure"),
        ("error", Status.ERROR, "error"),
        ("success", Status.OK, ""),
        ("pending", Status.IN_FLIGHT, ""),
        ("waiting", Status.IN_FLIGHT, ""),
        ("inactive", Status.CANCELLED, ""),
    ],
)
def test_deployment_states(state, status, error):
    span = span_of(DEPLOY, ("deployment_status", gh.deploy_status(state, "11:48:00")))
    assert (span.status, span.error) == (status, error)


def test_the_last_verdict_on_a_deploy_stands():
    first, last = "11:48:00", "12:00:00"
    for words, ended in (
        (("failure", "success"), last),
        (("success", "error"), last),
        (("success", "success"), first),
        (("failure", "failure"), first),
    ):
        told = [gh.deploy_status(word, at_) for word, at_ in zip(words, (first, last), strict=True)]
        span = span_of(DEPLOY, *(("deployment_status", body) for body in told))
        assert span.status is (Status.OK if words[1] == "success" else Status.ERROR)
        assert (span.ended_at, span.reopens) == (at(ended), 0)


def test_a_superseded_deploy_keeps_its_verdict():
    for verdict in ("failure", "success"):
        span = span_of(
            DEPLOY,
            ("deployment_status", gh.deploy_status("inactive", "12:30:00")),
            ("deployment_status", gh.deploy_status(verdict, "11:48:00")),
        )
        assert span.ended_at == at("11:48:00")
        assert span.status is (Status.OK if verdict == "success" else Status.ERROR)
        assert span.attributes["vs.deploy.superseded"] is True


def test_a_deploy_that_is_superseded_in_the_second_of_its_end_has_ended_before():
    span = span_of(
        DEPLOY,
        ("deployment_status", gh.deploy_status("inactive", "11:48:00")),
        ("deployment_status", gh.deploy_status("success", "11:48:00")),
    )
    assert (span.status, span.ended_at) == (Status.OK, at("11:48:00"))


def test_a_deploy_finds_its_job_run_and_change():
    extra = {"workflow_run": {"id": 555, "run_attempt": 2}, "check_run": {"id": 7001}}
    event = last("deployment_status", gh.deploy_status("success", "11:48:00", extra=extra))
    assert answers(event, last("workflow_job", gh.job("queued"))) >= {"structure"}
    second = last("workflow_run", gh.run("completed", attempt=2, head_sha=gh.MERGE))
    assert answers(event, second) == {"structure", "built"}
    assert answers(event, last("pull_request", gh.merged())) == {"commit"}
    without = last("deployment", gh.deploy())
    assert answers(without, last("workflow_run", gh.run("completed", head_sha=gh.MERGE))) == {
        "built"
    }


def test_a_deploy_of_a_tag_or_a_branch():
    tagged = last("deployment", gh.deploy(ref="v1.2.0"))
    assert answers(tagged, last("release", gh.release())) == {"version"}
    assert {k[1] for k in offered(tagged) if k[0] == "artifact"} == {
        "api@1.2.0",
        "api@v1.2.0",
        f"api@{gh.MERGE}",
    }
    preview = last("deployment", gh.deploy(ref="feature/cache", environment="preview"))
    assert answers(preview, last("pull_request", gh.pull("opened"))) == {"branch"}
    pull_ref = last("deployment", gh.deploy(ref="refs/pull/34/merge"))
    assert ("change_number", "change", "34", "acme/api") in sought(pull_ref)
    of_main = last("deployment", gh.deploy(ref="main"))
    assert not [w for w in sought(of_main) if w[0] in ("branch", "version")]
    by_sha = last("deployment", gh.deploy(ref=gh.MERGE))
    assert not [w for w in sought(by_sha) if w[0] in ("branch", "version")]


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_one_of_several_parts_that_vercel_deploys():
    part = last("deployment", gh.deploy(environment="Production \u2013 shop"))
    assert (part.service, part.environment, part.name) == (
        "shop",
        "Production",
        "shop to Production",
    )
    assert part.attributes["deployment.environment.name"] == "Production"
    plain = last("deployment", gh.deploy(environment="eu-1 - blue"))
    assert (plain.service, plain.environment) == ("api", "eu-1 - blue")


@pytest.mark.parametrize(
    "payload",
    [
        {"service": "billing", "traceparent": TRACE},
        f'{{"service": "billing", "deep": {{"traceparent": "{TRACE}"}}}}',
    ],
)
def test_a_deployments_payload_names_its_service_and_its_trace(payload):
    event = last("deployment", gh.deploy(payload=payload))
    assert (event.service, event.name) == ("billing", "billing to production")
    assert ("traceparent", "w3c", TRACE[3:52], "") in sought(event)


@pytest.mark.parametrize("payload", ["", "not json", "[]", [], None, {"service": {"a": 1}}, 7])
def test_other_payloads_leave_the_service_the_repository(payload):
    assert last("deployment", gh.deploy(payload=payload)).service == "api"


def test_a_rollback_is_rework():
    named = last("deployment", gh.deploy(task="rollback")).attributes
    assert named["deployment.name"] == "rollback"


def test_only_web_addresses_become_links():
    status = {"log_url": "javascript:alert(1)", "target_url": "file:///etc/passwd"}
    event = last("deployment_status", gh.deploy_status("success", "11:48:00", status=status))
    assert event.url == "https://github.com/acme/api/deployments"


# -- any order, any duplication ----------------------------------------------------------------

STORY = [parse(name, body).events for name, body in gh.story()]
WHOLE = fold_all(event for delivery in STORY for event in delivery)


def test_the_story_is_whole():
    spans = {key: folded.span for key, folded in WHOLE.items()}
    assert {key: span.status for key, span in spans.items() if span.in_flight} == {}
    assert spans[ISSUE].reopens == 1
    assert spans[RUN].error == "failure"
    assert spans[f"{RUN}.2"].status is Status.OK
    assert len(spans) == 23


def test_the_story_is_one_trace_without_any_reference():
    offering: dict[str, list[Match]] = defaultdict(list)
    for folded in WHOLE.values():
        for offer in (*folded.offers, Key("ref", folded.span.key), Key("ref", folded.span.ref)):
            node = Node.of(folded.span)
            offering[token(offer)].append(Match(node, offer))
    parents = {}
    names = {folded.span.key: name for name, folded in WHOLE.items()} | {"": ""}
    for name, folded in WHOLE.items():
        links = links_of(Node.of(folded.span), folded.seeks, lambda sought: offering[token(sought)])
        parents[name] = names[next((link.parent for link in links if link.primary), "")]
    assert [key for key, parent in parents.items() if not parent] == [ISSUE]
    assert parents[DEPLOY] == "vstrace-github-build-acme/api-8001", "the job, not its whole run"
    assert parents["vstrace-github-pipeline-acme/api-600"] == PULL
    assert parents[PULL] == ISSUE


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, len(STORY) - 1), max_size=12), st.randoms(use_true_random=False))
def test_any_order_and_duplication_folds_to_the_same_spans(repeated, rng):
    order = [*range(len(STORY)), *repeated]
    rng.shuffle(order)
    shuffled = [event for position in order for event in STORY[position]]
    assert same_spans(fold_all(shuffled), WHOLE)


# -- hostile and real bodies -------------------------------------------------------------------


def test_malformed_bodies_are_parsed_refused_or_quarantined():
    bodies = [
        *gh.story(),
        ("issues", gh.issue("transferred")),
        ("pull_request", gh.pull("review_requested")),
        ("check_suite", gh.check_suite()),
    ]
    inbounds = [
        gh.inbound(name, malformed(body, seed))
        for seed in range(1_000 // len(bodies) + 1)
        for name, body in bodies
    ]
    assert len(inbounds) >= 1_000
    seen = assert_survives(SOURCE, inbounds)
    assert seen["accepted"] > 500
    assert seen["Unreadable"] > 10


def test_long_and_repetitive_text_is_read_in_linear_time():
    body = gh.pull("opened", title="a-1-" * 50_000, body="<!--" * 100_000 + "closes " * 100_000)
    assert parse("pull_request", body).events[0].full_ref == PULL
    many = [gh.commit(f"{n:040x}", "x (#1)", "10:00:00") for n in range(1, 3_000)]
    pushed = last("push", gh.push(commits=many))
    assert len(pushed.offers) <= 101


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("github"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/github", {header: value}, path.read_bytes(), RECEIVED))
    assert parsed.events or parsed.reason
    assert fold_all(parsed.events) is not None
