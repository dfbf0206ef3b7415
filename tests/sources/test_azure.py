"""Azure DevOps: what each service hook makes of a span."""

from __future__ import annotations

import pytest

from tests.sources import deploy_payloads as az
from tests.sources.api_payloads import post, stamp
from tests.sources.deploy_payloads import CHANGED, CLOSED, HEAD, MERGE, ORG
from tests.sources.webhook_tools import (
    RECEIVED,
    answers,
    at,
    fold_deliveries,
    offered,
    real_bodies,
    sought,
)
from vs_tui.model.vocabulary import State, Status, Verdict
from vs_tui.sources.azure import SOURCE
from vs_tui.sources.azure.hook import web_url
from vs_tui.sources.base import BadBody, Inbound, Unauthorized, Unreadable

REPO = "acme/shop/_git/cart"
RUN = f"vstrace-azure-pipeline-{ORG}-11"
PULL = f"vstrace-azure-pull_request-{ORG}-{REPO}/34"
ITEM = f"vstrace-azure-issue-{ORG}-12"


def parse(body):
    return SOURCE.parse(post("/azure", body))


def last(body):
    return parse(body).events[0]


def folded(key, *bodies):
    return fold_deliveries([parse(body) for body in bodies])[key]


# -- envelope ----------------------------------------------------------------------------------


def test_it_proves_itself_by_the_token_only():
    with pytest.raises(Unauthorized, match="token"):
        SOURCE.verify(post("/azure", {}), [b"x"])


def test_repeats_are_told_by_the_events_id():
    assert SOURCE.dedupe_key(post("/azure", az.azure_push())) == "git.push-09:40:01"
    assert SOURCE.dedupe_key(post("/azure", b"[]")) == ""


def test_a_body_without_an_event_says_so():
    with pytest.raises(BadBody) as refusal:
        parse({"resource": {}})
    assert refusal.value.field == "eventType"


@pytest.mark.parametrize(
    "kind", ["workitem.commented", "tfvc.checkin", "ms.vss-release.release-created-event", "x"]
)
def test_other_events_are_ignored(kind):
    parsed = parse(az.azure(kind, {}, "10:00:00"))
    assert parsed.verdict is Verdict.IGNORED
    assert kind in parsed.reason


@pytest.mark.parametrize(
    "body",
    [
        az.azure_pull("updated", "10:00:00", "levitating"),
        az.azure_pull("updated", "10:00:00", pullRequestId=None),
        az.azure_comment(pull={}),
        az.azure_comment(pull=[7]),
        az.azure_build(result="levitating"),
        az.azure_build(id=None),
        az.azure_run("10:00:00", "levitating"),
        az.azure_run("10:00:00", "completed", "levitating"),
        az.azure_part("stage", "10:00:00", "running", name=None),
        az.azure_release("10:00:00", "levitating"),
        az.azure_release("10:00:00", environment={"id": 5}),
        az.azure("workitem.updated", {"workItemId": 12}, "10:00:00"),
        az.azure("workitem.created", {"fields": {"System.Title": "x"}}, "10:00:00"),
    ],
)
def test_undocumented_bodies_are_quarantined(body):
    with pytest.raises(Unreadable, match=body["eventType"]):
        parse(body)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://acme@dev.azure.com/acme/x", "https://dev.azure.com/acme/x"),
        ("https://u:secret@dev.azure.com/x", "https://dev.azure.com/x"),
        ("javascript:alert(1)", ""),
        ("ssh://git@ssh.dev.azure.com/v3", ""),
        ("", ""),
    ],
)
def test_only_web_addresses_are_shown_and_no_user_of_theirs(url, shown):
    assert web_url(url) == shown


# -- code --------------------------------------------------------------------------------------


def test_a_push_offers_its_commits():
    event = last(az.azure_push())
    assert (event.operation, event.occurred_at, event.actor) == ("push", at("09:40:00"), "Ann Lee")
    assert (event.name, event.project) == ("Cache carts #12", "Shop/Cart")
    assert offered(event) == {("commit", HEAD, REPO)}
    wishes = sought(event)
    assert ("branch", "branch", "feature/cache", REPO) in wishes
    assert ("issue_key", "issue", "12", f"azure:{ORG}") in wishes
    assert ("reference", "ref", "vstrace-jira-issue-TP-3", "") in wishes
    assert event.attributes["vs.commit.first_at"] == "2026-03-02T09:30:00Z"


def test_a_push_to_the_default_branch_names_the_change_it_merged():
    commits = [{"commitId": MERGE, "comment": "Merged PR 34: Cache carts\n\nRelated work items"}]
    wishes = sought(last(az.azure_push("refs/heads/main", commits=commits)))
    assert ("change_number", "change", "34", REPO) in wishes
    assert not [wish for wish in wishes if wish[0] == "branch"]


def test_a_tag_and_a_deleted_branch():
    tag = last(az.azure_push("refs/tags/v1.2.0", commits=[]))
    assert (tag.name, offered(tag)) == ("tag v1.2.0", {("tag", "v1.2.0", REPO)})
    assert ("commit", "commit", HEAD, REPO) in sought(tag)
    gone = [{"name": "refs/heads/x", "newObjectId": "0" * 40}]
    assert parse(az.azure_push(refUpdates=gone)).verdict is Verdict.IGNORED


def test_a_pull_request_from_created_to_completed():
    span = folded(
        PULL,
        az.azure_pull("updated", "10:00:00", "completed", closedDate=stamp("09:59:00")),
        az.azure_pull("created", "09:50:00"),
    ).span
    assert (span.operation, span.status, span.name) == ("pull_request", Status.OK, "Cache carts")
    assert (span.started_at, span.ended_at) == (at("09:50:00"), at("09:59:00"))
    assert (span.ref, span.actor) == ("vstrace-azure-pull_request-cart-34", "Ann Lee")
    assert span.url == "https://dev.azure.com/acme/Shop/_git/Cart/pullrequest/34"
    assert span.attributes["vcs.change.state"] == "merged"
    assert span.attributes["vs.pr.approvals"] == 1


def test_an_abandoned_pull_request_is_cancelled_unless_it_was_completed_later():
    abandoned = az.azure_pull("updated", "09:58:00", "abandoned", closedDate=stamp("09:57:00"))
    completed = az.azure_pull("updated", "10:00:00", "completed", closedDate=stamp("09:59:00"))
    assert folded(PULL, abandoned).span.status is Status.CANCELLED
    span = folded(PULL, completed, abandoned).span
    assert (span.status, span.ended_at) == (Status.OK, at("09:59:00"))
    assert ("commit", MERGE, REPO) not in offered(last(abandoned))
    assert ("commit", MERGE, REPO) in offered(last(completed))


def test_a_reactivated_pull_request_is_one_span():
    abandoned = az.azure_pull("updated", "09:58:00", "abandoned", closedDate=stamp("09:57:00"))
    again = az.azure_pull("updated", "10:30:00")
    span = folded(PULL, again, abandoned).span
    assert (span.status, span.reopens, span.ended_at) == (Status.IN_FLIGHT, 1, None)
    completed = az.azure_pull("updated", "11:00:00", "completed", closedDate=stamp("10:59:00"))
    # A trial merge told late, or an update from before the end, opens nothing.
    late = [az.azure_pull("merged", "11:00:01"), az.azure_pull("updated", "10:58:00")]
    span = folded(PULL, completed, *late, again, abandoned).span
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("10:59:00"))


def test_a_comment_by_another_person_is_a_review():
    said = az.azure_comment()
    review, change = parse(said).events
    assert (review.operation, review.actor, review.started_at) == ("review", "Bob", at("10:05:00"))
    assert review.attributes["vs.review.state"] == "commented"
    assert answers(review, change) == {"structure"}
    assert change.key == last(az.azure_pull("created", "09:50:00")).key
    edited = az.azure_comment("11:30:00", lastUpdatedDate=stamp("11:30:00"))
    assert folded(review.key, edited, said).span.started_at == at("10:05:00")


@pytest.mark.parametrize(
    "changes",
    [
        {"author": {"displayName": "Ann Lee"}},
        {"author": {"displayName": "Shop Build Service (acme)", "uniqueName": "Build\\0b3c"}},
        {"commentType": "system"},
    ],
)
def test_a_comment_by_the_author_a_pipeline_or_azure_itself_is_none(changes):
    (change,) = parse(az.azure_comment(**changes)).events
    assert change.operation == "pull_request"


@pytest.mark.parametrize("changes", [{"author": 7}, {"author": {}}, {"publishedDate": [1]}])
def test_a_comment_of_another_shape_is_a_review_all_the_same(changes):
    review, change = parse(az.azure_comment(**changes)).events
    assert (review.operation, change.operation) == ("review", "pull_request")


def test_a_comment_after_the_end_moves_it_not():
    ended = {"status": "completed", "closedDate": stamp("10:30:00")}
    completed = az.azure_pull("updated", "10:30:05", **ended)
    for known in ({}, {"closedDate": None}):
        late = az.azure_comment("12:00:00", {**ended, **known}, publishedDate=stamp("12:00:00"))
        for told in ((completed, late), (late, completed)):
            assert folded(PULL, *told).span.ended_at == at("10:30:00")
    own = az.azure_comment(pull=ended | {"closedDate": None}, author={"displayName": "Ann Lee"})
    assert parse(own).verdict is Verdict.IGNORED


def test_a_trial_merge_is_no_merge():
    event = last(az.azure_pull("merged", "09:51:00"))
    assert event.state is State.RUNNING
    assert ("commit", MERGE, REPO) not in offered(event)


def test_what_finds_and_what_is_sought_by_a_pull_request():
    event = last(az.azure_pull("created", "09:50:00"))
    assert offered(event) == {
        ("change", "34", REPO),
        ("commit", HEAD, REPO),
        ("branch", "feature/cache", REPO),
    }
    assert {w[2] for w in sought(event) if w[1] == "issue"} == {"12", "13"}
    item = last(az.azure_item("created", "08:00:00"))
    assert answers(event, item) == {"issue_key"}
    assert answers(last(az.azure_push()), event) == {"commit", "branch"}
    draft = last(az.azure_pull("created", "09:50:00", isDraft=True))
    assert draft.attributes["vcs.change.state"] == "wip"


# -- pipelines ---------------------------------------------------------------------------------


def test_a_run_and_its_build_are_one_span():
    span = folded(
        RUN,
        az.azure_build(),
        az.azure_run("10:00:05", "inProgress"),
        az.azure_run("10:10:02", "completed", "succeeded"),
    ).span
    assert (span.operation, span.status, span.project) == ("pipeline", Status.OK, "Shop/Cart")
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:10:00"))
    assert (span.name, span.actor) == ("ship #20260302.1", "Ann Lee")
    assert span.attributes["cicd.pipeline.name"] == "ship"
    assert span.attributes["vcs.ref.head.revision"] == MERGE


def test_a_build_knows_its_queue():
    found = folded(RUN, az.azure_build())
    assert [(s.name, s.started_at) for s in found.stages] == [
        ("queued", at("10:00:00")),
        ("running", at("10:00:20")),
    ]


@pytest.mark.parametrize(
    ("status", "result", "expected", "error"),
    [
        ("completed", "succeeded", Status.OK, ""),
        ("completed", "partiallySucceeded", Status.ERROR, "partially_succeeded"),
        ("completed", "failed", Status.ERROR, "failure"),
        ("completed", "canceled", Status.CANCELLED, ""),
        # Classic builds say it in their status.
        ("succeeded", None, Status.OK, ""),
        ("failed", None, Status.ERROR, "failure"),
        ("stopped", None, Status.CANCELLED, ""),
    ],
)
def test_results_of_builds(status, result, expected, error):
    span = folded(RUN, az.azure_build(status, result)).span
    assert (span.status, span.error) == (expected, error)


@pytest.mark.parametrize(
    ("api", "page"),
    [
        (
            "https://dev.azure.com/acme/71777fbc/_apis/build/Builds/11",
            "https://dev.azure.com/acme/71777fbc/_build/results?buildId=11",
        ),
        ("https://dev.azure.com/acme/71777fbc/_apis/git/repositories/11", ""),
        ("javascript:alert(1)", ""),
    ],
)
def test_a_build_that_links_its_api_only_has_a_page_all_the_same(api, page):
    assert last(az.azure_build(_links=None, url=api)).url == page


def test_a_build_of_the_first_version_names_its_commit_in_one_field():
    body = az.azure_build(
        sourceBranch=None,
        sourceVersion=None,
        repository=None,
        sourceGetVersion=f"LG:refs/heads/feature/cache:{MERGE}",
    )
    event = last(body)
    assert ("built", MERGE, "") in offered(event)
    assert event.attributes["vcs.ref.head.name"] == "feature/cache"
    assert event.project == "Shop"
    assert answers(event, last(az.azure_pull("updated", "10:00:00", "completed"))) == set()
    # Without a repository only the whole commit is compared, see correlation.fits.
    assert ("commit", "commit", MERGE, "") in sought(event)


def test_a_run_finds_the_change_it_builds():
    run = last(az.azure_run("10:00:05", "inProgress"))
    done = last(az.azure_pull("updated", "10:00:00", "completed"))
    assert answers(run, done) == {"commit"}
    self_ = {"repositories": {"self": {"refName": "refs/pull/34/merge", "version": HEAD}}}
    own = last(az.azure_run("10:00:05", "inProgress", resources=self_))
    assert ("commit", "commit", HEAD, REPO) in sought(own)
    assert ("change_number", "change", "34", REPO) in sought(own)


def test_stages_and_jobs_are_below_their_run():
    run = last(az.azure_run("10:00:05", "inProgress"))
    stage = last(az.azure_part("stage", "10:00:30", "running"))
    job = last(az.azure_part("job", "10:00:35", "running", name="Compile"))
    assert (stage.operation, job.operation) == ("stage", "build")
    assert answers(stage, run) == answers(job, stage) == {"structure"}
    assert job.attributes["cicd.pipeline.task.name"] == "Build / Compile"
    default = last(az.azure_part("stage", "10:00:30", "running", name="__default"))
    assert default.name == "ship"


def test_a_stage_that_ran_again_has_its_later_result():
    failed = az.azure_part("stage", "10:03:05", "completed", "failed")
    again = az.azure_part("stage", "10:06:00", "completed", "succeeded")
    running = az.azure_part("stage", "10:00:30", "running")
    key = last(running).key
    assert folded(key, running, failed).span.status is Status.ERROR
    span = folded(key, again, failed, running).span
    assert (span.status, span.error, span.ended_at) == (Status.OK, "", at("10:06:00"))


@pytest.mark.parametrize(
    ("result", "status"),
    [
        ("succeeded", Status.OK),
        ("succeededWithIssues", Status.OK),
        ("failed", Status.ERROR),
        ("canceled", Status.CANCELLED),
        ("skipped", Status.CANCELLED),
        ("rejected", Status.CANCELLED),
    ],
)
def test_results_of_stages(result, status):
    body = az.azure_part("stage", "10:03:05", "completed", result)
    assert folded(last(body).key, body).span.status is status


def test_a_stage_that_deploys_is_a_deploy():
    stage = {"name": "Deploy_QA", "displayName": "Deploy to QA"}
    waiting = az.azure_part("stage", "10:07:00", "waiting", **stage)
    ended = az.azure_part("stage", "10:09:00", "completed", "succeeded", **stage)
    span = folded(last(ended).key, waiting, ended).span
    assert (span.operation, span.service, span.environment) == ("deploy", "cart", "qa")
    assert (span.name, span.attributes["vs.version"]) == ("cart to qa", MERGE)
    assert ("artifact", f"cart@{MERGE}", REPO) in offered(last(ended))


@pytest.mark.parametrize(
    ("stage", "operation", "name"),
    [
        ("Production", "deploy", "cart to production"),
        ("UAT", "deploy", "cart to uat"),
        # These may test there or for there.
        ("Test", "stage", "Test"),
        ("Check staging", "stage", "Check staging"),
    ],
)
def test_a_stage_called_like_a_place_to_deploy_to_is_a_deploy(stage, operation, name):
    event = last(az.azure_part("stage", "10:09:00", "completed", "succeeded", name=stage))
    assert (event.operation, event.name) == (operation, name)


# -- releases ----------------------------------------------------------------------------------


def test_a_release_reaches_an_environment():
    started, ended = az.azure_release("10:30:00"), az.azure_release("10:40:00", "succeeded")
    key = last(started).key
    span = folded(key, ended, started).span
    assert (span.operation, span.status) == ("deploy", Status.OK)
    assert (span.started_at, span.ended_at) == (at("10:30:00"), at("10:40:00"))
    assert (span.service, span.environment, span.actor) == ("cart.cd", "Production", "Bob")
    assert (span.name, span.project) == ("cart.CD to Production", "Shop")
    assert span.attributes["deployment.status"] == "succeeded"
    assert span.attributes["vs.version"] == "20260302.1"
    assert answers(last(ended), last(az.azure_build())) == {"structure"}
    assert ("built", "built", MERGE, "") in sought(last(ended))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("succeeded", Status.OK),
        ("rejected", Status.ERROR),
        ("partiallySucceeded", Status.ERROR),
        ("canceled", Status.CANCELLED),
    ],
)
def test_results_of_releases(status, expected):
    body = az.azure_release("10:40:00", status)
    assert folded(last(body).key, body).span.status is expected


def test_a_release_deployed_again():
    bodies = [
        az.azure_release("10:30:00"),
        az.azure_release("10:40:00", "rejected"),
        az.azure_release("10:50:00"),
        az.azure_release("11:00:00", "succeeded"),
    ]
    span = folded(last(bodies[0]).key, *bodies).span
    assert (span.status, span.reopens, span.ended_at) == (Status.OK, 1, at("11:00:00"))
    second = last(az.azure_release("10:50:00", deployment={"attempt": 2}))
    assert (second.attempt, answers(second, last(bodies[0]))) == (2, {"attempt"})
    third = last(az.azure_release("10:50:00", deployment={"attempt": 3}))
    assert answers(third, second) == {"attempt"}


# -- boards ------------------------------------------------------------------------------------


def test_a_work_item_passes_its_states_as_stages():
    found = folded(
        ITEM,
        az.azure_item("created", "08:00:00", **{CHANGED: stamp("08:00:00")}),
        az.azure_item("updated", "09:00:00", "Active", **{CHANGED: stamp("09:00:00")}),
        az.azure_item(
            "updated",
            "11:30:00",
            "Shipped",
            **{CHANGED: stamp("11:29:59"), CLOSED: stamp("11:30:00")},
        ),
    )
    span = found.span
    assert (span.operation, span.status, span.name) == ("issue", Status.OK, "Carts are slow")
    assert (span.started_at, span.ended_at) == (at("08:00:00"), at("11:30:00"))
    assert [(s.name, s.started_at, s.ended_at) for s in found.stages] == [
        ("New", at("08:00:00"), at("09:00:00")),
        ("Active", at("09:00:00"), at("11:30:00")),
    ]
    assert (span.ref, span.actor, span.project) == ("vstrace-azure-issue-Shop-12", "Bob", "Shop")
    assert span.url == "https://dev.azure.com/acme/Shop/_workitems/edit/12"
    assert span.attributes["vs.issue.type"] == "Bug"


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("New", Status.IN_FLIGHT),
        ("Resolved", Status.IN_FLIGHT),
        ("Done", Status.OK),
        ("Closed", Status.OK),
        ("Removed", Status.CANCELLED),
    ],
)
def test_without_dates_the_names_of_microsofts_states_tell(state, status):
    span = folded(ITEM, az.azure_item("updated", "09:00:00", state)).span
    assert span.status is status
    if status is not Status.IN_FLIGHT:
        assert span.ended_at == at("09:00:00")


def test_a_reopened_work_item_is_one_span():
    closed = {CHANGED: stamp("11:30:00"), CLOSED: stamp("11:30:00")}
    bodies = [
        az.azure_item("updated", "11:30:00", "Done", **closed),
        az.azure_item("updated", "12:00:00", "Active", **{CHANGED: stamp("12:00:00")}),
    ]
    span = folded(ITEM, *bodies).span
    assert (span.status, span.reopens, span.ended_at) == (Status.IN_FLIGHT, 1, None)


def test_an_edit_after_the_end_moves_nothing():
    closed = {CHANGED: stamp("11:30:00"), CLOSED: stamp("11:30:00")}
    edited = az.azure_item("updated", "13:00:00", "Done", **closed, System__Title="Fast carts")
    span = folded(ITEM, az.azure_item("updated", "11:30:00", "Done", **closed), edited).span
    assert (span.ended_at, span.name) == (at("11:30:00"), "Fast carts")
    # An edit that neither changed the state nor tells when it changed is a note.
    note = az.azure_item("updated", "13:00:00", "Active")
    note["resource"]["fields"] = {"System.Title": {"newValue": "x"}}
    assert last(note).state is State.NOTE


def test_a_deleted_work_item_is_cancelled_and_a_restored_one_goes_on():
    deleted = az.azure_item("deleted", "12:30:00")
    assert folded(ITEM, deleted).span.status is Status.CANCELLED
    restored = az.azure_item("restored", "12:40:00")
    assert folded(ITEM, restored, deleted).span.status is Status.IN_FLIGHT


def test_a_work_item_names_its_parent():
    child = az.azure_item("created", "08:00:00", System__Parent=7)
    assert ("hierarchy", "issue", "7", f"azure:{ORG}") in sought(last(child))


def test_the_test_button_sends_no_number_of_the_item_at_all():
    body = az.azure_item("updated", "09:00:00", "Approved")
    body["resource"]["workItemId"] = 0
    assert last(body).key == ITEM


def test_no_two_organizations_share_a_span():
    other = az.azure_build()
    other["resourceContainers"]["collection"]["id"] = "another"
    assert last(other).key != last(az.azure_build()).key


@pytest.mark.parametrize(("header", "value", "path"), real_bodies("azuredevops"))
def test_real_bodies_parse(header, value, path):
    parsed = SOURCE.parse(Inbound("/azure", {}, path.read_bytes(), RECEIVED))
    assert parsed.events
    assert all(f.span.name and f.span.started_at for f in fold_deliveries([parsed]).values())
