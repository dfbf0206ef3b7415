"""What real repositories do all the time and small stories leave out: a merge queue, a fork's first
run, a force push, several workflows, an approval, a manual deploy, downstream pipelines, branches
as jobs. Each is delivered forwards and backwards, and its spans are looked at."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources import jenkins_payloads as jk
from tests.store.tracing import World, from_github, from_gitlab, from_jenkins, short
from vs_tui.log.delivery import Intake
from vs_tui.model.time import iso

QUEUED = "9" * 40
QUEUE = f"gh-readonly-queue/main/pr-34-{gh.BASE}"
ON_MAIN = {"head_branch": "main", "head_sha": gh.MERGE, "pull_requests": [], "event": "push"}
CHANGE = "github-pull_request-api-34"


def lines(world: World) -> list[str]:
    """Every span that is no step and no phase: name, status, times, parent."""
    sql = (
        "SELECT s.name, s.status, s.started_at, s.ended_at, COALESCE(p.ref, '') FROM spans s "
        "LEFT JOIN spans p ON p.key = s.parent_key WHERE s.operation <> 'stage' "
        "ORDER BY s.started_at, s.name"
    )
    return [
        f"{name} {status} {clock(started)}-{clock(ended)} < {short(parent) or 'none'}"
        for name, status, started, ended, parent in world.db.execute(sql)
    ]


def clock(instant: int | None) -> str:
    return (iso(instant) or "")[11:16]


def phases(world: World, ref: str) -> list[str]:
    sql = (
        "SELECT s.name, s.started_at FROM spans s JOIN spans p ON p.key = s.parent_key "
        "WHERE p.ref = ? AND s.derived = 1 ORDER BY s.started_at, s.ended_at, s.name"
    )
    return [f"{name} {clock(at)}" for name, at in world.db.execute(sql, (f"vstrace-{ref}",))]


def workflow(name: str, action: str, at: str, identifier: int, begun: str, **changes: object):
    times = {"run_started_at": gh.stamp(begun), "created_at": gh.stamp(begun)}
    body = gh.run(action, at, id=identifier, **{**times, **changes})
    return from_github("workflow_run", body | {"workflow": {"id": 9, "name": name}})


def pull(action: str, at: str = "10:00:00", **changes: object) -> Intake:
    return from_github("pull_request", gh.pull(action, updated_at=gh.stamp(at), **changes))


def merge_queue() -> list[Intake]:
    queued = {"head_branch": QUEUE, "head_sha": QUEUED, "pull_requests": []}
    group = {"head_sha": QUEUED, "head_ref": f"refs/heads/{QUEUE}", "base_ref": "refs/heads/main"}
    return [
        pull("opened"),
        pull("enqueued", "11:00:00"),
        from_github("merge_group", gh.hook("checks_requested", merge_group=group)),
        from_github("push", gh.push(f"refs/heads/{QUEUE}", QUEUED)),
        workflow("CI", "completed", "11:20:00", 555, "11:01:00", event="merge_group", **queued),
        pull("dequeued", "11:29:59", extra={"reason": "MERGE"}),
        from_github("pull_request", gh.merged(merge_commit_sha=QUEUED)),
    ]


def forks_first_run() -> list[Intake]:
    fork = {"ref": "patch-1", "sha": gh.HEAD_2, "repo": gh.repo("eve/api"), "user": gh.user("eve")}
    own = {"head_branch": "patch-1", "head_repository": gh.repo("eve/api"), "pull_requests": []}
    asked = {**own, "conclusion": "action_required"}
    return [
        pull("opened", head=fork, user=gh.user("eve")),
        workflow("CI", "completed", "10:30:00", 555, "10:30:00", **asked),
        # A maintainer approves it an hour later: the same run begins anew.
        workflow("CI", "in_progress", "11:31:00", 555, "11:30:00", **own),
        workflow("CI", "completed", "11:40:00", 555, "11:30:00", **own),
    ]


def force_push() -> list[Intake]:
    again = [gh.commit(gh.HEAD_2, "Start again", "10:10:00")]
    moved = {"before": gh.HEAD_1, "after": gh.HEAD_2}
    return [
        pull("opened"),
        workflow("CI", "completed", "10:12:00", 1, "10:01:00", head_sha=gh.HEAD_1, head_branch=""),
        from_github("push", gh.push(commits=again, forced=True, before=gh.HEAD_1)),
        pull("synchronize", "10:15:01", head={"sha": gh.HEAD_2}, extra=moved),
        workflow("CI", "completed", "10:25:00", 2, "10:16:00", pull_requests=[]),
    ]


def monorepo() -> list[Intake]:
    squashed = gh.commit(gh.MERGE, "Cache invoices (#34)", "11:30:00")
    by_hand = {**ON_MAIN, "event": "workflow_dispatch", "display_title": "Deploy"}
    return [
        pull("opened"),
        from_github("pull_request", gh.merged()),
        from_github("push", gh.push("refs/heads/main", gh.MERGE, [squashed])),
        workflow("API", "completed", "11:40:00", 601, "11:31:00", **ON_MAIN),
        workflow("Web", "completed", "11:41:00", 602, "11:31:00", **ON_MAIN),
        from_github("workflow_dispatch", gh.hook(None, workflow=".github/workflows/deploy.yml")),
        workflow("Deploy", "completed", "12:41:00", 603, "12:31:00", **by_hand),
    ]


def gated_deploy() -> list[Intake]:
    made = {"created_at": gh.stamp("10:30:00")}
    gate = {"deployment": {"id": 42}}
    job = {"run_id": 600, "name": "ship", "head_sha": gh.MERGE, "head_branch": "main", "steps": []}
    late = {**job, "created_at": gh.stamp("10:30:00"), "started_at": gh.stamp("14:00:00")}
    return [
        workflow("Deploy", "requested", "10:30:00", 600, "10:30:00", **ON_MAIN),
        from_github("workflow_job", gh.job("waiting", 8001, extra=gate, **job)),
        from_github("deployment", gh.deploy(**made)),
        from_github("deployment_status", gh.deploy_status("waiting", "10:30:01", **made)),
        from_github("workflow_job", gh.job("in_progress", 8001, extra=gate, **late)),
        from_github("deployment_status", gh.deploy_status("in_progress", "14:00:01", **made)),
        from_github("deployment_status", gh.deploy_status("success", "14:05:00", **made)),
        from_github(
            "workflow_job",
            gh.job("completed", 8001, completed_at=gh.stamp("14:05:01"), **late),
        ),
        workflow("Deploy", "completed", "14:05:02", 600, "10:30:00", **ON_MAIN),
    ]


SHIP = {"name": "ship", "stage": "deploy", "environment": {"name": "production"}}
MAIN = {"ref": "main", "sha": gl.MERGE, "created_at": gl.stamp("11:01:00")}


def manual_deploy() -> list[Intake]:
    unit = gl.build(900, "success", "11:01:00", "11:02:00", "11:10:00")
    created = gl.build(901, "created", "11:01:00", **SHIP)
    offered = gl.build(901, "manual", "11:01:00", allow_failure=True, **SHIP)
    played = gl.build(901, "success", "11:01:00", "15:00:05", "15:05:00", **SHIP)
    running = gl.build(901, "running", "11:01:00", "15:00:05", **SHIP)
    return [
        from_gitlab(gl.merge_request("open")),
        from_gitlab(gl.merge_request("merge", "11:00:00")),
        from_gitlab(gl.pipeline("running", builds=[created], **MAIN)),
        from_gitlab(gl.pipeline("success", "11:10:00", [unit, offered], **MAIN)),
        from_gitlab(gl.pipeline("running", "11:10:00", [unit, running], **MAIN)),
        from_gitlab(gl.deployment("running", "15:00:05")),
        from_gitlab(gl.deployment("success", "15:05:00")),
        from_gitlab(gl.pipeline("success", "15:05:01", [unit, played], **MAIN)),
    ]


def downstream() -> list[Intake]:
    """A merge request's pipeline, its child, and a pipeline of another project below it."""
    above = {"project": {"path_with_namespace": "acme/api"}, "pipeline_id": 555, "job_id": 910}
    triggered = {"created_at": gl.stamp("10:34:00"), "queued_duration": 0}
    own = {"source_pipeline": above}
    other = own | {"project": gl.project("acme/deploy"), "commit": {"id": "5f" * 20}}
    ref = "refs/merge-requests/34/head"
    change = {"iid": 34, "url": f"{gl.WEB}/-/merge_requests/34"}
    return [
        from_gitlab(gl.merge_request("open")),
        from_gitlab(gl.pipeline("running", ref=ref, extra={"merge_request": change})),
        from_gitlab(gl.pipeline("success", "10:38:00", id=556, iid=22, extra=own, **triggered)),
        from_gitlab(
            gl.pipeline(
                "failed", "10:39:00", id=70, iid=3, sha="5f" * 20, ref="main", extra=other,
                **triggered,
            )
        ),
    ]  # fmt: skip


def branch_as_job() -> list[Intake]:
    """A multibranch project's build, told by both plugins; its end knows no branch."""
    path = "job/acme/job/api/job/feature%252Fcache/3/"
    job = {"jobName": "feature%2Fcache", "fullJobName": "acme/api/feature%2Fcache"}
    named = {**job, "buildUrl": path, "number": 3}
    told = jk.notification("FINALIZED", "10:35:12", "SUCCESS", number=3, url=path)
    told["build"]["full_url"] = f"{jk.CI}{path}"
    told["name"] = "feature%2Fcache"
    told["url"] = "job/acme/job/api/job/feature%252Fcache/"
    return [
        pull("opened"),
        from_jenkins(jk.start(**named)),
        from_jenkins(jk.end(**named)),
        from_jenkins(told),
    ]


CASES = {
    "merge queue": (
        merge_queue(),
        [
            "Cache invoices ok 10:00-11:30 < none",
            f"CI #163 ok 11:01-11:20 < {CHANGE}",
        ],
        CHANGE,
        ["merge queue 11:00"],
    ),
    "a fork's first run": (
        forks_first_run(),
        ["Cache invoices in_flight 10:00- < none", f"CI #163 ok 10:30-11:40 < {CHANGE}"],
        "github-pipeline-api-555",
        ["waiting 10:30", "queued 11:30", "running 11:31"],
    ),
    "force push": (
        force_push(),
        [
            "Cache invoices in_flight 10:00- < none",
            f"CI #163 ok 10:01-10:12 < {CHANGE}",
            f"Start again ok 10:15-10:15 < {CHANGE}",
            f"CI #163 ok 10:16-10:25 < {CHANGE}",
        ],
        CHANGE,
        [],
    ),
    "several workflows": (
        monorepo(),
        [
            "Cache invoices ok 10:00-11:30 < none",
            f"Cache invoices (#34) ok 10:15-10:15 < {CHANGE}",
            f"API #163 ok 11:31-11:40 < {CHANGE}",
            f"Web #163 ok 11:31-11:41 < {CHANGE}",
            f"Deploy #163 ok 12:31-12:41 < {CHANGE}",
        ],
        CHANGE,
        [],
    ),
    "approval": (
        gated_deploy(),
        [
            "Deploy #163 ok 10:30-14:05 < none",
            "api to production ok 10:30-14:05 < github-build-api-8001",
            "ship ok 10:30-14:05 < github-pipeline-api-600",
        ],
        "github-deploy-api-42",
        ["pending 10:30", "waiting 10:30", "running 14:00"],
    ),
    "manual deploy": (
        manual_deploy(),
        [
            "TP-3 cache invoices ok 10:00-11:00 < none",
            "api #21 ok 11:01-15:05 < gitlab-pull_request-api-34",
            "unit ok 11:01-11:10 < gitlab-pipeline-api-555",
            "ship ok 15:00-15:05 < gitlab-pipeline-api-555",
            "api to production ok 15:00-15:05 < gitlab-job-api-901",
        ],
        "gitlab-job-api-901",
        ["queued 15:00", "running 15:00"],
    ),
    "downstream pipelines": (
        downstream(),
        [
            "TP-3 cache invoices in_flight 10:00- < none",
            "api #21 in_flight 10:30- < gitlab-pull_request-api-34",
            "api #22 ok 10:34-10:38 < gitlab-pipeline-api-555",
            "deploy #3 error 10:34-10:39 < gitlab-pipeline-api-555",
        ],
        "gitlab-pipeline-api-555",
        ["queued 10:30", "running 10:30"],
    ),
    "a branch as a job": (
        branch_as_job(),
        [
            "Cache invoices in_flight 10:00- < none",
            f"acme/api/feature/cache #3 ok 10:30-10:35 < {CHANGE}",
        ],
        "jenkins-build-feature%252Fcache-3",
        ["queued 10:30", "running 10:30"],
    ),
}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("name", CASES)
def test_what_comes_of_it(name: str, order: int) -> None:
    deliveries, spans, ref, expected = CASES[name]
    world = World().deliver(*deliveries[::order])
    assert sorted(lines(world)) == sorted(spans)
    assert phases(world, ref) == expected


def test_no_delivery_of_them_is_refused_or_unreadable() -> None:
    found: Sequence[Intake] = [intake for case in CASES.values() for intake in case[0]]
    verdicts = {intake.verdict.value for intake in found}
    assert verdicts == {"accepted", "ignored"}
