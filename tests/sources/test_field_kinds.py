"""Kinds of fault that were seen in the field, each in the sources where it can occur."""

from __future__ import annotations

import json
from itertools import permutations
from typing import Any

import pytest

from tests.sources import bitbucket_payloads as bb
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.sources import jira_payloads as ji
from tests.sources.api_payloads import cdevent, otlp, otlp_span, post, stamp
from tests.sources.deploy_payloads import argo
from tests.sources.webhook_tools import at, fold_all, offered, sought
from vs_tui.model.vocabulary import Event, State, Status, Verdict
from vs_tui.sources import argocd, cdevents, customhttp, gitea, github, gitlab, jenkins, jira
from vs_tui.sources import otlp as otlp_source
from vs_tui.sources.base import BadBody, Inbound, Source
from vs_tui.sources.dispatch import sources
from vs_tui.traces.folding import Folded, fold

SHA = "1" * 40


def only(events: list[Event]) -> Folded:
    (folded,) = fold_all(events).values()
    return folded


def in_any_order(source: Source, *deliveries: Inbound) -> list[Folded]:
    """The one span of these deliveries, in every order of arrival; all of them are equal."""
    found = [
        only([event for inbound in order for event in source.parse(inbound).events])
        for order in permutations(deliveries)
    ]
    assert len({repr((folded.span, folded.stages)) for folded in found}) == 1
    return found


# A verdict that is older than the operation; an end without a verdict.


def sync(health: str, health_at: str, phase: str = "Succeeded") -> Inbound:
    return post("/argocd", argo(phase, health, healthAt=stamp(health_at)))


def test_the_old_pods_health_is_no_verdict_once_the_new_ones_are_told() -> None:
    stale = sync("Healthy", "08:00:00")
    rolling, broken = sync("Progressing", "10:01:01"), sync("Degraded", "10:11:00")
    running = sync("Healthy", "08:00:00", "Running")
    assert in_any_order(argocd.SOURCE, running, stale)[0].span.ended_at == at("10:01:00")
    assert in_any_order(argocd.SOURCE, running, stale, rolling)[0].span.in_flight
    span = in_any_order(argocd.SOURCE, running, stale, rolling, broken)[0].span
    assert (span.status, span.error, span.ended_at) == (Status.ERROR, "degraded", at("10:11:00"))
    assert span.reopens == 0
    healed = sync("Healthy", "10:05:00")
    span = in_any_order(argocd.SOURCE, stale, rolling, healed)[0].span
    assert (span.status, span.ended_at) == (Status.OK, at("10:05:00"))


def test_a_suspended_sync_counts_and_a_promotion_may_still_fail() -> None:
    paused = sync("Suspended", "08:00:00")
    assert in_any_order(argocd.SOURCE, paused)[0].span.status is Status.OK
    promoted = in_any_order(argocd.SOURCE, paused, sync("Healthy", "10:30:00"))[0]
    assert (promoted.span.status, promoted.span.ended_at) == (Status.OK, at("10:30:00"))
    assert "suspended" in [stage.name for stage in promoted.stages]
    broken = in_any_order(argocd.SOURCE, paused, sync("Degraded", "10:30:00"))[0].span
    assert (broken.status, broken.error) == (Status.ERROR, "degraded")


@pytest.mark.parametrize(
    ("word", "status"),
    [("SUCCESS", Status.OK), ("FAILURE", Status.ERROR), ("ABORTED", Status.CANCELLED)],
)
def test_a_completed_phase_without_a_result_is_no_verdict(word: str, status: Status) -> None:
    begun = jk.inbound(jk.notification("STARTED", "10:30:10"))
    early = jk.inbound(jk.notification("COMPLETED", "10:34:00", status=None))
    told = jk.inbound(jk.notification("COMPLETED", "10:35:10", status=word))
    final = jk.inbound(jk.notification("FINALIZED", "10:35:12", status=word))
    span = in_any_order(jenkins.SOURCE, begun, early, told, final)[0].span
    assert (span.status, span.ended_at) == (status, at("10:35:10"))
    # Where nothing more comes, it has ended all the same.
    assert in_any_order(jenkins.SOURCE, begun, early)[0].span.status is Status.CANCELLED


# Parts of a job's path.


def test_matrix_cells_and_maven_modules_are_builds_below_their_build() -> None:
    paths = ("job/it/", "job/it/OS=linux/", "job/it/com.acme$core/", "job/a/job/it/OS=linux/")
    bodies = [
        jk.notification("STARTED", "10:30:10") | {"url": path, "name": path.split("/")[-2]}
        for path in paths
    ]
    events = [e for body in bodies for e in jenkins.SOURCE.parse(jk.inbound(body)).events]
    spans = fold_all(events)
    assert len(spans) == len(paths)
    top = next(key for key in spans if "/it-" in key and "/a/" not in key)
    below = [f for f in spans.values() if any(s.key.value == top for s in f.seeks)]
    assert len(below) == 2


# Texts that no database can hold; bytes of another encoding.


@pytest.mark.parametrize(
    ("source", "path", "body"),
    [
        (customhttp.SOURCE, "/customhttp", {"type": "build", "id": "1", "action": "start"}),
        (jira.SOURCE, "/jira", ji.issue("created")),
        (gitlab.SOURCE, "/gitlab", gl.issue("open")),
    ],
    ids=["customhttp", "jira", "gitlab"],
)
@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (rb"caf\ud83d", "caf\ufffd"),
        (rb"\ud83d\ud83d\ude00", "\ufffd\U0001f600"),
        (rb"\\ud83d", "\\ud83d"),
        (rb"\udc00\\\ud800 ok", "\ufffd\\\ufffd ok"),
        (b"M\xfcnchen", "M\ufffdnchen"),
    ],
)
def test_text_that_is_no_unicode_is_mended(source, path, body, raw, expected) -> None:
    names = {"customhttp": ("name",), "jira": ("issue", "fields", "summary")}
    place = names.get(source.name, ("object_attributes", "title"))
    body = json.loads(json.dumps(body))
    inner: Any = body
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = "MARK"
    sent = json.dumps(body).encode().replace(b"MARK", raw)
    (event, *_) = source.parse(Inbound(path, {}, sent, at("12:00:00"))).events
    assert event.name.endswith(expected)


def test_a_byte_order_mark_and_a_charset_are_read() -> None:
    body = '{"type":"build","id":"1","action":"start","name":"München"}'
    json_type = {"content-type": "application/json; charset=ISO-8859-1"}
    for raw, headers in (
        (b"\xef\xbb\xbf" + body.encode(), {}),
        (body.encode("latin-1"), json_type),
        (body.encode("utf-16"), {}),
    ):
        inbound = Inbound("/customhttp", headers, raw, at("12:00:00"))
        assert customhttp.SOURCE.parse(inbound).events[0].name == "München"
    with pytest.raises(BadBody, match="not JSON"):
        customhttp.SOURCE.parse(Inbound("/customhttp", {}, b"\xef\xbb\xbfnonsense", 1))


# One odd part must not cost the whole.


def test_a_step_without_a_conclusion_ends_with_its_job() -> None:
    odd = gh.step(2, "Run", "10:30:33", None) | {"status": "completed", "conclusion": None}
    job = gh.job("completed", conclusion="failure", steps=[odd])
    parsed = github.SOURCE.parse(gh.inbound("workflow_job", job))
    spans = [folded.span for folded in fold_all(parsed.events).values()]
    assert [span.status for span in spans] == [Status.ERROR, Status.ERROR]
    assert len({span.ended_at for span in spans}) == 1


def test_an_odd_job_costs_no_pipeline() -> None:
    body = gl.pipeline("running", None, [gl.build(900, "success"), gl.build(901, "quantum")])
    operations = [event.operation for event in gitlab.SOURCE.parse(gl.inbound(body)).events]
    assert "pipeline" in operations
    assert "build" in operations


# Dialects of the CI/CD conventions.


@pytest.mark.parametrize(
    ("attributes", "on_resource", "operation", "status"),
    [
        ({"ci.pipeline.id": "s", "ci.pipeline.run.result": "ABORTED"}, 0, "pipeline", "cancelled"),
        ({"ci.pipeline.id": "s", "ci.pipeline.run.result": "UNSTABLE"}, 0, "pipeline", "error"),
        (
            {"jenkins.pipeline.step.name": "x", "jenkins.pipeline.step.result": "NOT_BUILT"},
            False,
            "build",
            "cancelled",
        ),
        (
            {"cicd.pipeline.run.id": "5", "cicd.pipeline.run.status": "cancellation"},
            True,
            "pipeline",
            "cancelled",
        ),
        (
            {"cicd.pipeline.task.run.id": "8", "cicd.pipeline.run.task.status": "skip"},
            True,
            "build",
            "cancelled",
        ),
        (
            {"cicd.pipeline.run.id": "5", "cicd.pipeline.result": "canceled"},
            0,
            "pipeline",
            "cancelled",
        ),
        ({"github.run_id": "5", "github.conclusion": "cancelled"}, 0, "pipeline", "cancelled"),
        ({"github.run_id": "5", "github.conclusion": "success"}, 0, "pipeline", "ok"),
    ],
)
def test_dialects_of_the_conventions(attributes, on_resource, operation, status) -> None:
    span = otlp_span(attributes={} if on_resource else attributes)
    body = otlp(span, resource=attributes if on_resource else {"service.name": "ci"})
    found = only(list(otlp_source.SOURCE.parse(post("/v1/traces", body)).events)).span
    assert (found.operation, found.status) == (operation, status)


# One created_at for several states.


def test_the_course_of_a_gated_job_is_told_by_its_deployment() -> None:
    def job(action: str, clock: str) -> Inbound:
        gate = {"deployment": {"id": 42, "updated_at": gh.stamp(clock)}}
        return gh.inbound("workflow_job", gh.job(action, extra=gate))

    states = [job("queued", "10:30:10"), job("waiting", "10:31:00"), job("queued", "11:00:00")]
    folded = in_any_order(github.SOURCE, *states)[0]
    assert folded.span.state is State.QUEUED
    assert [stage.name for stage in folded.stages] == ["queued", "waiting", "queued"]


# Incidents that are issues.


def test_an_issue_labelled_incident_names_its_cause() -> None:
    body = f"Down.\n\nRoot cause: {SHA}"
    wanted = ("version", "artifact", f"api@{SHA}", "acme/api")
    label = [{"name": "Incident"}]
    issue = gh.issue("opened", labels=label, body=body)
    (found, *_) = github.SOURCE.parse(gh.inbound("issues", issue)).events
    assert (found.operation, found.service) == ("incident", "api")
    assert wanted in sought(found)
    (other, *_) = github.SOURCE.parse(gh.inbound("issues", gh.issue("opened", body=body))).events
    assert (other.operation, wanted in sought(other)) == ("issue", False)
    ticket = gl.issue("open", description=body) | {"labels": [{"title": "incident"}]}
    (found, *_) = gitlab.SOURCE.parse(gl.inbound(ticket)).events
    assert (found.operation, found.service) == ("incident", "api")
    assert wanted in sought(found)
    headers = {"x-gitea-event": "issues"}
    (found, *_) = gitea.SOURCE.parse(post("/gitea", issue, **headers)).events
    assert found.operation == "incident"


# Tekton's own CloudEvents.


def tekton(kind: str, run: dict[str, Any]) -> list[Event]:
    name = "pipelineRun" if kind.startswith("pipelinerun") else "taskRun"
    names = {
        "ce-id": kind,
        "ce-type": f"dev.tekton.event.{kind}.v1",
        "ce-source": "/apis/ci",
        "ce-time": stamp("10:06:00"),
    }
    return list(cdevents.SOURCE.parse(post("/cdevents", {name: run}, **names)).events)


def tekton_run(name: str, reason: str = "", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "namespace": "ci", "uid": f"u-{name}", "labels": labels},
        "spec": {"params": [{"name": "gitrevision", "value": SHA}]},
        "status": {
            "startTime": stamp("10:00:00"),
            "completionTime": stamp("10:05:00") if reason else None,
            "conditions": [{"type": "Succeeded", "reason": reason}],
        },
    }


def test_tektons_own_events_are_a_pipeline_and_its_tasks() -> None:
    run = tekton_run("ship-x")
    done = tekton_run("ship-x", "Succeeded")
    events = tekton("pipelinerun.started", run) + tekton("pipelinerun.successful", done)
    folded = only(events)
    assert (folded.span.operation, folded.span.status) == ("pipeline", Status.OK)
    assert (folded.span.started_at, folded.span.ended_at) == (at("10:00:00"), at("10:05:00"))
    assert ("built", SHA, "") in offered(events[0])
    labels = {"tekton.dev/pipelineRun": "ship-x", "tekton.dev/pipelineTask": "test"}
    (task,) = tekton("taskrun.failed", tekton_run("ship-x-test", "Failed", **labels))
    assert (task.operation, task.name, task.state) == ("build", "test", State.ERROR)
    assert ("structure", "ref", folded.span.ref, "") in sought(task)
    (stopped,) = tekton("taskrun.failed", tekton_run("t", "TaskRunCancelled"))
    assert stopped.state is State.CANCELLED


def test_other_cloudevents_of_tekton_are_ignored() -> None:
    names = {"ce-id": "1", "ce-type": "dev.tekton.event.trigger.done.v1", "ce-source": "/x"}
    parsed = cdevents.SOURCE.parse(post("/cdevents", {}, **names))
    assert parsed.verdict is Verdict.IGNORED


def test_a_provisional_end_gives_way_to_what_is_firm_in_any_order() -> None:
    def event(state: State, clock: str, *, provisional: bool = False) -> Event:
        return Event("k", "test", "deploy", state, at(clock), provisional=provisional)

    maybe = event(State.OK, "10:00:00", provisional=True)
    before, after = event(State.RUNNING, "09:00:00"), event(State.RUNNING, "11:00:00")
    assert not fold([before, maybe]).span.in_flight
    assert fold([after, maybe]).span.in_flight
    assert fold([event(State.ERROR, "09:30:00"), maybe]).span.status is Status.ERROR


def test_an_event_of_a_batch_is_read_without_its_odd_neighbours() -> None:
    good, odd = cdevent("build.started", "b", "09:00:00"), {"specversion": "1.0"}
    parsed = cdevents.SOURCE.parse(post("/cdevents", [odd, good]))
    assert len(parsed.events) >= 1
    assert parsed.reason.startswith("left out 0")


# Gitea, as seen with a real one.


def test_an_annotated_tag_names_its_commit() -> None:
    obj_sha, commit_sha = "a" * 40, "b" * 40
    body = gh.push("refs/tags/v1.0", obj_sha, [], head_commit={"id": commit_sha})
    for source, name in ((github.SOURCE, "x-github-event"), (gitea.SOURCE, "x-gitea-event")):
        (tag,) = source.parse(post("/x", body, **{name: "push"})).events
        assert tag.attributes["vcs.ref.head.revision"] == commit_sha
        assert ("commit", "commit", commit_sha, "acme/api") in sought(tag)


def test_commits_newest_first_are_put_in_order() -> None:
    old = gh.commit("c" * 40, "Start", "09:00:00")
    new = gh.commit("d" * 40, "Finish it", "10:00:00")
    names = set()
    for commits in ([old, new], [new, old]):
        body = gh.push(after="d" * 40, commits=commits)
        (push,) = gitea.SOURCE.parse(post("/gitea", body, **{"x-gitea-event": "push"})).events
        names.add((push.name, str(push.attributes["vs.push.log"])))
    assert [name for name, _ in names] == ["Finish it"]


def test_a_status_that_repeats_an_actions_job_is_dropped() -> None:
    page = "https://git.acme.test/acme/api/actions/runs/12/jobs/0"
    headers = {"x-gitea-event": "status"}
    body = gh.status("success", "10:00:00", target_url=page)
    parsed = gitea.SOURCE.parse(post("/gitea", body, **headers))
    assert (parsed.verdict, parsed.events) == (Verdict.IGNORED, ())
    other = gh.status("success", "10:00:00", target_url="https://ci.acme.test/12")
    assert gitea.SOURCE.parse(post("/gitea", other, **headers)).events


def test_steps_numbered_from_zero_are_all_kept() -> None:
    steps = [gh.step(n, f"s{n}", "10:30:31", "10:30:33") for n in (0, 1)]
    body = gh.job("completed", steps=steps)
    parsed = gitea.SOURCE.parse(post("/gitea", body, **{"x-gitea-event": "workflow_job"}))
    assert {e.key.rpartition("/")[2] for e in parsed.events if e.operation == "stage"} == {"0", "1"}


def test_a_job_without_its_run_joins_by_its_commit() -> None:
    for source, name in ((github.SOURCE, "x-github-event"), (gitea.SOURCE, "x-gitea-event")):
        events = source.parse(post("/x", gh.job("queued"), **{name: "workflow_job"})).events
        head = gh.job("queued")["workflow_job"]["head_sha"]
        assert any(("commit", "commit", head, "acme/api") in sought(event) for event in events)


# A change whose fork is deleted.

PATCH = {"ref": "patch-1", "repo": None, "user": None}
GONE = {
    "github": ("x-github-event", "pull_request", gh.pull("opened", head=PATCH | {"label": None})),
    "github, labelled": (
        "x-github-event",
        "pull_request",
        gh.pull("opened", head=PATCH | {"label": "mallory:patch-1"}),
    ),
    "gitea": ("x-gitea-event", "pull_request", gh.pull("opened", head=PATCH | {"label": ""})),
    "gitlab": (
        "x-gitlab-event",
        "Merge Request Hook",
        gl.merge_request("open", source=None, source_branch="patch-1", source_project_id=99),
    ),
    "bitbucket": (
        "x-event-key",
        "pullrequest:created",
        bb.cloud_pull(
            source={
                "branch": {"name": "patch-1"},
                "commit": {"hash": SHA[:12]},
                "repository": None,
            }
        ),
    ),
}


@pytest.mark.parametrize("name", GONE)
def test_the_branch_of_a_deleted_fork_is_no_branch_of_the_repository(name) -> None:
    header, event, body = GONE[name]
    source = sources()[name.partition(",")[0]]
    inbound = Inbound(source.paths[0], {header: event}, json.dumps(body).encode(), 1)
    (change,) = source.parse(inbound).events
    branches = [key for key in change.offers if key.kind == "branch"]
    assert [key.value for key in branches] == ["patch-1"]
    assert branches[0].scope not in ("acme/api", ""), "a branch of that name would be its own"
    commits = {key.scope for key in change.offers if key.kind == "commit"}
    assert "acme/api" in commits, "its commits are in the repository, too"


def test_a_run_of_a_deleted_fork_seeks_no_branch() -> None:
    body = gh.run("completed", head_branch="patch-1", head_repository=None)
    inbound = Inbound("/github", {"x-github-event": "workflow_run"}, json.dumps(body).encode(), 1)
    *_, run = github.SOURCE.parse(inbound).events
    assert "branch" not in {seek.key.kind for seek in run.seeks}
    assert "commit" in {seek.key.kind for seek in run.seeks}


# States in another case.

STATES = {
    *("state", "status", "conclusion", "state_reason", "mergeable_state", "build_status"),
    *("merge_status", "detailed_merge_status"),
}
WITH_STATES = [
    *(("github", gh.inbound(event, body)) for event, body in gh.story()),
    ("github", gh.inbound("status", gh.status("failure", "10:05:00"))),
    ("github", gh.inbound("check_run", gh.check_run("completed", conclusion="timed_out"))),
    ("github", gh.inbound("deployment_status", gh.deploy_status("failure", "10:40:00"))),
    ("github", gh.inbound("pull_request", gh.pull("edited", mergeable_state="dirty"))),
    *(
        ("gitlab", gl.inbound(body))
        for body in (
            gl.issue("update", state="closed"),
            gl.merge_request("update", state="merged", detailed_merge_status="conflict"),
            gl.merge_request("update", merge_status="cannot_be_merged"),
            gl.pipeline("failed"),
            gl.deployment("failed", "10:40:00"),
        )
    ),
    ("bitbucket", bb.inbound("repo:commit_status_updated", bb.commit_status("FAILED", "10:05:00"))),
    ("bitbucket", bb.inbound("pullrequest:updated", bb.cloud_pull(state="MERGED"))),
    ("bitbucket", bb.inbound("issue:updated", bb.cloud_issue("wontfix"))),
]


def _in_another_case(value: Any) -> Any:
    if isinstance(value, list):
        return [_in_another_case(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    return {
        name: found.swapcase()
        if name in STATES and isinstance(found, str)
        else _in_another_case(found)
        for name, found in value.items()
    }


def test_a_state_in_another_case_is_the_same_state() -> None:
    def told(name: str, inbound: Inbound) -> list[tuple[Any, ...]]:
        events = sources()[name].parse(inbound).events
        return [(e.key, e.state, e.occurred_at, e.stage, e.error, e.supersedes) for e in events]

    changed = 0
    for name, inbound in WITH_STATES:
        raw = json.dumps(_in_another_case(json.loads(inbound.body))).encode()
        assert told(name, inbound._replace(body=raw)) == told(name, inbound), (name, inbound.body)
        changed += json.loads(raw) != json.loads(inbound.body)
    assert changed > 20
