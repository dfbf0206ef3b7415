"""Who acts next: states made of the tools' own payloads, each with the section, what is to be done
and by whom. The day is 2 March 2026."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.sources import alert_payloads as al
from tests.sources import api_payloads as api
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.sources.webhook_tools import at
from tests.store.tracing import World, from_github, from_gitlab, from_jenkins, from_jira, posted
from vs_tui.log.delivery import Intake
from vs_tui.model.time import MINUTE, Instant
from vs_tui.model.vocabulary import Span
from vs_tui.store import rows
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.next_action import RULES, NextAction, Section, decide
from vs_tui.traces.trace_facts import TraceFacts

INCIDENT, RUNNING, WAITING = Section.INCIDENT, Section.RUNNING, Section.WAITING
FINISHED, NOT_STARTED = Section.FINISHED, Section.NOT_STARTED


def issue(action: str = "opened", **changes: Any) -> Intake:
    return from_github("issues", gh.issue(action, **changes))


def pull(action: str = "opened", **changes: Any) -> Intake:
    return from_github("pull_request", gh.pull(action, **{"requested_teams": [], **changes}))


def review(state: str, clock: str = "11:00:00", by: str = "cid", **changes: Any) -> Intake:
    more = {"id": f"{state} {clock} {by}", "user": gh.user(by), "commit_id": gh.HEAD_1}
    body = gh.review(state=state, submitted_at=gh.stamp(clock), **{**more, **changes})
    body["pull_request"]["requested_teams"] = []
    return from_github("pull_request_review", body)


def run(action: str, clock: str = "10:31:00", attempt: int = 1, **changes: Any) -> Intake:
    return from_github("workflow_run", gh.run(action, clock, attempt, **changes))


def job(action: str, identifier: int = 7001, name: str = "unit", **changes: Any) -> Intake:
    return from_github("workflow_job", gh.job(action, identifier, name=name, **changes))


def push(clock: str, sha: str) -> Intake:
    commits = [gh.commit(sha, "finish", clock)]
    body = gh.push(after=sha, commits=commits)
    body["repository"]["pushed_at"] = at(clock) // 1_000_000
    return from_github("push", body)


def deploy(state: str, clock: str = "11:41:00", environment: str = "production") -> Intake:
    number = 42 if environment == "production" else 41
    more = {
        "id": number,
        "environment": environment,
        "original_environment": environment,
        "production_environment": environment == "production",
    }
    body = gh.deploy_status(state, clock, {"environment": environment})
    body["deployment"] |= more
    return from_github("deployment_status", body)


def merged(**changes: Any) -> Intake:
    return from_github("pull_request", gh.merged(**changes))


def request(action: str = "open", clock: str = "10:00:00", **changes: Any) -> Intake:
    return from_gitlab(gl.merge_request(action, clock, **changes))


def pipeline(status: str, builds: list[Any], finished: str | None = None, **more: Any) -> Intake:
    return from_gitlab(gl.pipeline(status, finished, builds, **more))


def ticket(*moves: tuple[str, str], **fields: Any) -> list[Intake]:
    """An issue of Jira that was created at nine, and moved at an hour each."""
    found = [from_jira(ji.issue("created", "09:00:00", ji.TODO, **fields))]
    before = ji.TODO
    for hour, column in enumerate(moves, 10):
        found.append(from_jira(ji.moved(f"{hour}:00:00", before, column, **fields)))
        before = column
    return found


def asked_to_deploy(job_id: int) -> Intake:
    """Two reviewers of production are asked to let a job go on."""
    job = {
        "id": job_id,
        "name": "ship",
        "status": "waiting",
        "conclusion": None,
        "created_at": gh.stamp("12:00:00"),
        "updated_at": gh.stamp("12:00:05"),
        "environment": "production",
        "html_url": "https://github.com/acme/api/actions/runs/555",
    }
    body = gh.run("in_progress") | {
        "action": "requested", "environment": "production", "since": gh.stamp("12:00:05"),
        "reviewers": [{"type": "User", "reviewer": gh.user("dee")},
                      {"type": "Team", "reviewer": {"name": "Admins", "slug": "admins"}}],
        "workflow_job_run": job, "workflow_job_runs": [job]}  # fmt: skip
    return from_github("deployment_review", body)


NO_ONE = {"assignees": []}
CID = {"id": 9, "username": "cid", "name": "Cid"}
DOING = ("In Progress", "indeterminate")
DONE = ("Done", "done")
RED = {"conclusion": "failure"}
BOT = {"login": "dependabot[bot]", "id": 8, "type": "Bot", "html_url": ""}
CI_FAILED = [run("in_progress"), job("completed", **RED), run("completed", "10:36:00", **RED)]
CI_PASSED = [run("in_progress"), job("completed"), run("completed", "10:36:00")]
OPENED = [issue(**NO_ONE), pull()]
RUNNING_JOB = gl.build(900, "running", started="10:30:12")


class State(NamedTuple):
    """What was sent, and what has to be said at a time of that day."""

    name: str
    sent: list[Any]
    clock: str
    section: Section
    verb: str
    what: str = ""
    who: tuple[str, ...] = ()
    nobody: str = ""
    deploys: bool = False
    """Whether changes of the project are usually deployed later."""


STATES = [
    # GitHub: from the issue to the change.
    State("an issue that nobody took", [issue(**NO_ONE)], "12:00", NOT_STARTED, ""),
    State("an issue that is assigned", [issue()], "12:00", WAITING, "code", "", ("bob",)),
    State("an issue that was pushed for", [issue(**NO_ONE), push("10:15:00", gh.HEAD_1),
          pull("opened", draft=True)], "12:00", WAITING, "code", "draft", ("bob",)),
    State("a draft", [pull("opened", draft=True)], "12:00", WAITING, "code", "draft", ("bob",)),
    State("an issue that was closed as not planned",
          [issue("closed", state="closed", state_reason="not_planned",
                 closed_at=gh.stamp("10:00:00"), **NO_ONE)], "11:00", FINISHED, "closed"),
    # GitHub: reviews.
    State("a change nobody looked at", OPENED, "12:00", WAITING, "review", "", ("cid",)),
    State("nobody was asked", [pull(requested_reviewers=[])], "12:00", WAITING, "review", "", (),
          "nobody asked"),
    State("a comment is no verdict", [*OPENED, review("commented")], "12:00", WAITING, "review",
          "", ("cid",)),
    State("changes were asked for", [*OPENED, review("changes_requested")], "12:00", WAITING,
          "change", "", ("bob",)),
    State("asked for, then pushed",
          [*OPENED, review("changes_requested", commit_id=gh.HEAD_1),
           pull("synchronize", head={"sha": gh.HEAD_2}, updated_at=gh.stamp("11:30:00"))],
          "12:00", WAITING, "review", "", ("cid",)),
    State("approved", [*OPENED, review("approved")], "12:00", WAITING, "merge", "", ("bob",)),
    State("approved by one, refused by another",
          [*OPENED, review("approved"), review("changes_requested", "11:10:00", "dee")],
          "12:00", WAITING, "change", "", ("bob",)),
    State("refused, then approved by the same",
          [*OPENED, review("changes_requested"), review("approved", "11:20:00")],
          "12:00", WAITING, "merge", "", ("bob",)),
    State("an approval that was dismissed",
          [*OPENED, review("approved"), review("dismissed", "11:20:00")],
          "12:00", WAITING, "review", "", ("cid",)),
    State("a bot's approval counts for nothing",
          [*OPENED, review("approved", user=BOT)],
          "12:00", WAITING, "review", "", ("cid",)),
    # GitHub: machines.
    State("a run that is queued", [*OPENED, run("requested")], "10:31", RUNNING, "queued"),
    State("a job runs", [*OPENED, run("in_progress"), job("in_progress")], "10:33", RUNNING, "CI",
          "unit"),
    State("one job failed while another runs",
          [*OPENED, run("in_progress"), job("completed", 7001, "lint", **RED),
           job("in_progress", 7002, "e2e")], "10:36", RUNNING, "CI", "e2e"),
    State("a run failed", [*OPENED, *CI_FAILED], "12:00", WAITING, "fix", "unit", ("bob",)),
    State("it failed after a review was asked for", [*OPENED, *CI_FAILED, review("approved")],
          "12:00", WAITING, "fix", "unit", ("bob",)),
    State("a failed run that passed at the second try",
          [*OPENED, *CI_FAILED, run("completed", "10:50:00", 2)], "12:00", WAITING, "review", "",
          ("cid",)),
    State("a failed nightly run is nobody's",
          [run("completed", "10:36:00", event="schedule", pull_requests=[],
               head_branch="main", head_sha="c" * 40, **RED)],
          "12:00", WAITING, "fix", "CI", (), "nobody"),
    State("nothing was heard of a run for a day", [*OPENED, run("in_progress")], "2026-03-04T10:40",
          WAITING, "check", "silent", ("bob",)),
    State("a change that was closed unmerged",
          [pull(), *CI_FAILED, pull("closed", state="closed", closed_at=gh.stamp("11:00:00"))],
          "12:00", FINISHED, "closed", "unmerged"),
    # GitHub: deploys.
    State("merged, and a deploy will take it along", [issue(**NO_ONE), pull(), merged()], "12:30",
          WAITING, "next deploy", "", (), "nobody", deploys=True),
    State("merged, where nothing is ever deployed", [pull(), merged()], "12:30", FINISHED,
          "merged"),
    State("a deploy waits for an approval", [pull(), merged(), deploy("waiting")], "13:00", WAITING,
          "approve", "production", (), "anyone"),
    State("a deploy runs", [pull(), merged(), deploy("in_progress")], "11:45", RUNNING, "deploy",
          "production"),
    State("a deploy failed: who merged looks after it",
          [pull(), merged(merged_by=gh.user("dee")), deploy("failure", "11:50:00")], "12:30",
          WAITING, "fix", "deploy production", ("dee",)),
    State("in production", [pull(), merged(), deploy("success", "11:50:00")], "12:30", FINISHED,
          "production", "main", deploys=True),
    State("staging is not all of it", [pull(), merged(), deploy("in_progress", environment="stg")],
          "11:45", RUNNING, "deploy", "stg"),
    # GitLab.
    State("a merge request", [request()], "12:00", WAITING, "review", "", ("cid",)),
    State("a draft of a merge request", [request(draft=True)], "12:00", WAITING, "code", "draft",
          ("bob",)),
    State("approved in GitLab", [request(), request("approved", "11:00:00",
          user=CID)], "12:00", WAITING, "merge", "",
          ("bob",)),
    State("an approval taken back", [request(), request("approved", "11:00:00",
          user=CID),
          request("unapproved", "11:30:00", user=CID)],
          "12:00", WAITING, "review", "", ("cid",)),
    State("a job of GitLab runs", [request(), pipeline("running", [RUNNING_JOB])], "10:32",
          RUNNING, "CI", "unit"),
    State("a manual job holds the pipeline up",
          [request(), pipeline("manual", [gl.build(901, "manual", name="ship")])], "12:00",
          WAITING, "start", "ship", (), "anyone"),
    State("a manual job that nobody needs",
          [request(), pipeline("success", [gl.build(900, "success", started="10:30:12",
           finished="10:35:00"), gl.build(901, "manual", name="ship", allow_failure=True)],
           "10:35:00")], "12:00", WAITING, "review", "", ("cid",)),
    State("a failed pipeline of a merge request",
          [request(), pipeline("failed", [gl.build(900, "failed", started="10:30:12",
           finished="10:35:00")], "10:35:00")], "12:00", WAITING, "fix", "unit", ("bob",)),
    State("GitLab deploys to production",
          [request(), request("merge", "11:30:00"),
           from_gitlab(gl.deployment("running", "12:01:00"))], "12:02", RUNNING, "deploy",
          "production"),
    State("a blocked deployment", [from_gitlab(gl.deployment("blocked", "12:01:00"))], "13:00",
          WAITING, "approve", "production", (), "anyone"),
    # Jira.
    State("a ticket in the backlog", ticket(assignee=None), "12:00", NOT_STARTED, ""),
    State("a ticket in progress", ticket(DOING), "12:00", WAITING, "code", "", ("Bob Builder",)),
    State("in progress, and nobody's", ticket(DOING, assignee=None), "12:00", WAITING, "code", "",
          (), "nobody"),
    State("a ticket that is done", ticket(DOING, DONE), "12:00", FINISHED, "done"),
    State("a ticket with a merge request", [*ticket(DOING), request()], "12:00", WAITING, "review",
          "", ("cid",)),
    # Jenkins.
    State("Jenkins builds", [from_jenkins(jk.start())], "10:33", RUNNING, "backend/build-api"),
    State("Jenkins failed", [from_jenkins(jk.start()), from_jenkins(jk.end("FAILURE"))], "11:00",
          WAITING, "fix", "backend/build-api", ("bob",)),
    State("Jenkins passed", [from_jenkins(jk.start()), from_jenkins(jk.end())], "11:00", FINISHED,
          "passed", "backend/build-api"),
    State("Jenkins was stopped", [from_jenkins(jk.start()), from_jenkins(jk.end("ABORTED"))],
          "11:00", FINISHED, "cancelled", "backend/build-api"),
    State("Jenkins says nothing for two days", [from_jenkins(jk.start())], "2026-03-04T11:00",
          WAITING, "check", "silent", ("bob",)),
    # Incidents.
    State("an incident that nobody took", [posted("pagerduty", al.pager("incident.triggered",
          "12:20:00", created_at=api.stamp("12:20:00")))], "12:40", INCIDENT, "restore", "", (),
          "nobody has it"),
    # What a team meets on a common day.
    State("ready for review, after a draft",
          [pull("opened", draft=True), pull("ready_for_review", updated_at=gh.stamp("10:30:00"))],
          "12:00", WAITING, "review", "", ("cid",)),
    State("back to a draft", [*OPENED, pull("converted_to_draft", draft=True,
          updated_at=gh.stamp("10:30:00"))], "12:00", WAITING, "code", "draft", ("bob",)),
    State("refused, and the reviewer asked again", [*OPENED, review("changes_requested",
          commit_id=gh.HEAD_1), pull("synchronize", head={"sha": gh.HEAD_2},
          updated_at=gh.stamp("11:30:00")), pull("review_requested", head={"sha": gh.HEAD_2},
          updated_at=gh.stamp("11:31:00"))], "12:00", WAITING, "review", "", ("cid",)),
    State("auto-merge waits for its checks", [*OPENED, review("approved"),
          pull("auto_merge_enabled", auto_merge={"enabled_by": gh.user("bob"),
               "merge_method": "squash"}, updated_at=gh.stamp("11:10:00"))], "12:00", WAITING,
          "merge", "", (), "auto-merge"),
    State("auto-merge was switched off", [*OPENED, review("approved"),
          pull("auto_merge_enabled", auto_merge={"enabled_by": gh.user("bob")},
               updated_at=gh.stamp("11:10:00")),
          pull("auto_merge_disabled", auto_merge=None, updated_at=gh.stamp("11:20:00"))], "12:00",
          WAITING, "merge", "", ("bob",)),
    State("in the merge queue", [*OPENED, review("approved"),
          pull("enqueued", updated_at=gh.stamp("11:10:00"))], "11:20", RUNNING, "merge queue"),
    State("thrown out of the merge queue", [*OPENED, review("approved"),
          pull("enqueued", updated_at=gh.stamp("11:10:00")), pull("dequeued",
          extra={"reason": "CI_FAILURE"}, updated_at=gh.stamp("11:20:00"))], "12:00", WAITING,
          "merge", "", ("bob",)),
    State("it conflicts with main", [*OPENED, pull("synchronize", mergeable_state="dirty",
          updated_at=gh.stamp("11:20:00"))], "12:00", WAITING, "resolve", "conflict", ("bob",)),
    State("the conflict was resolved", [*OPENED, pull("synchronize", mergeable_state="dirty",
          updated_at=gh.stamp("11:20:00")), pull("synchronize", mergeable_state="blocked",
          updated_at=gh.stamp("11:30:00"))], "12:00", WAITING, "review", "", ("cid",)),
    State("closed, then opened again", [pull(), pull("closed", state="closed",
          closed_at=gh.stamp("11:00:00"), updated_at=gh.stamp("11:00:00")),
          pull("reopened", updated_at=gh.stamp("11:10:00"))], "12:00", WAITING, "review", "",
          ("cid",)),
    State("a bot's change that was approved: who approved it merges it",
          [review("approved"), pull(user=BOT, updated_at=gh.stamp("11:01:00"))], "12:00",
          WAITING, "merge", "", ("cid",)),
    State("a job waits for the reviewers of its environment",
          [pull(), merged(), run("in_progress", event="push", head_branch="main",
           head_sha=gh.MERGE), job("waiting", 7002, "ship", status="waiting", head_sha=gh.MERGE,
           head_branch="main"), asked_to_deploy(7002)], "12:30", WAITING, "approve", "production",
          ("dee", "admins")),
    State("it was approved, and goes on",
          [pull(), merged(), run("in_progress", event="push", head_branch="main",
           head_sha=gh.MERGE), asked_to_deploy(7002), job("in_progress", 7002, "ship",
           head_sha=gh.MERGE, head_branch="main", started_at=gh.stamp("12:20:00"))], "12:30",
          RUNNING, "CI", "ship"),
    State("a fork's run waits for permission",
          [pull(), run("completed", conclusion="action_required")], "12:00", WAITING, "approve",
          "CI", (), "anyone"),
    State("a run that a newer push cancelled",
          [*OPENED, run("completed", "10:32:00", conclusion="cancelled"),
           run("in_progress", "10:33:00", id=556, run_number=164,
               run_started_at=gh.stamp("10:32:30"), created_at=gh.stamp("10:32:30"))],
          "10:35", RUNNING, "CI"),
    State("the issue was opened again after the merge",
          [issue(), pull(), merged(), issue("closed", state="closed", state_reason="completed",
           closed_at=gh.stamp("11:30:00"), updated_at=gh.stamp("11:30:00")),
           issue("reopened", state="open", state_reason="reopened",
                 updated_at=gh.stamp("14:00:00"))], "15:00", WAITING, "code", "", ("bob",)),
    State("a deploy that the next one replaced",
          [pull(), merged(), deploy("in_progress"), deploy("inactive", "11:55:00")], "12:30",
          FINISHED, "merged"),
    State("one of two required approvals in GitLab",
          [request(), request("approval", "11:00:00", user=CID)], "12:00", WAITING, "review", "",
          (), "one more approval"),
    State("GitLab merges when the pipeline has passed",
          [request(), request("approved", "11:00:00", user=CID),
           request("update", "11:10:00", merge_when_pipeline_succeeds=True)], "12:00", WAITING,
          "merge", "", (), "auto-merge"),
    State("GitLab sees a conflict",
          [request(), request("update", "11:10:00", detailed_merge_status="conflict")], "12:00",
          WAITING, "resolve", "conflict", ("bob",)),
    State("approved in GitLab, but threads are open",
          [request(), request("approved", "11:00:00", user=CID,
           blocking_discussions_resolved=False)], "12:00", WAITING, "resolve", "threads",
          ("bob",)),
    State("a ticket that waits for QA", ticket(DOING, ("Ready for QA", "indeterminate")), "12:00",
          WAITING, "test", "", ("Bob Builder",)),
    State("a ticket that is blocked", ticket(DOING, ("Blocked", "indeterminate")), "12:00",
          WAITING, "unblock", "", ("Bob Builder",)),
    State("merged, then moved to QA", [*ticket(DOING), request(), request("merge", "10:30:00"),
          from_jira(ji.moved("11:00:00", DOING, ("In QA", "indeterminate")))], "12:00", WAITING,
          "test", "", ("Bob Builder",)),
    State("an incident that Ann took", [posted("pagerduty", al.pager("incident.triggered",
          "12:20:00", created_at=api.stamp("12:20:00"), assignees=[])),
          posted("pagerduty", al.pager("incident.acknowledged", "12:25:00",
          created_at=api.stamp("12:20:00"), assignees=[]))], "12:40", INCIDENT, "restore", "",
          ("Ann",)),
    State("an incident that is over", [posted("pagerduty", al.pager("incident.triggered",
          "12:20:00", created_at=api.stamp("12:20:00"))), posted("pagerduty",
          al.pager("incident.resolved", "12:35:00", created_at=api.stamp("12:20:00")))], "12:40",
          FINISHED, "restored"),
]  # fmt: skip


def moment(clock: str) -> Instant:
    """An instant of `12:00`, that day, or of a day and a time."""
    return at(f"{clock}:00Z" if "T" in clock else f"{clock}:00")


def spans_of(sent: list[Any]) -> list[Span]:
    """The spans of the only trace that deliveries make."""
    world = World().deliver(*sent)
    sql = f"SELECT {rows.SELECT_SPAN} FROM spans ORDER BY started_at"
    found = [rows.span_of(row) for row in world.db.execute(sql)]
    assert len({span.trace_id for span in found}) == 1, [(s.ref, s.parent_key) for s in found]
    return found


def decided(state: State) -> NextAction:
    return decide(TraceFacts(spans_of(state.sent), moment(state.clock), {}, state.deploys))


@pytest.mark.parametrize("state", STATES, ids=[state.name for state in STATES])
def test_who_acts_next(state: State) -> None:
    found = decided(state)
    said = (found.section, found.verb, found.what, found.who)
    assert said == (state.section, state.verb, state.what, state.who), found
    if not state.who and state.section in (WAITING, INCIDENT) and state.nobody:
        assert found.nobody == state.nobody


def test_the_table_is_large_and_of_all_sections_and_rules() -> None:
    assert len(STATES) >= 40
    assert {state.section for state in STATES} == set(Section)
    found = {decided(state).rule for state in STATES}
    assert len(found) == len(RULES) + 1, "each rule decides somewhere; drafts have their own name"


def test_a_job_without_history_is_measured_by_its_run() -> None:
    spans = spans_of([*OPENED, run("in_progress"), job("in_progress")])
    (flight,) = (span for span in spans if span.operation == "pipeline")
    usual = {flight.key: Baseline(20, 6 * MINUTE, 7 * MINUTE)}
    assert decide(TraceFacts(spans, moment("10:45"), usual, False)).rule == "machine"
    lost = decide(TraceFacts(spans, moment("11:10"), usual, False))
    assert (lost.rule, lost.who) == ("silent", ("bob",))
    unknown = decide(TraceFacts(spans, moment("11:10"), {}, False))
    assert unknown.rule == "machine", "nothing is known of its kind"
