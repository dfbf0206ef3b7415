"""Deployments that nobody approved, that were stopped, or that were not published: what of them
ran, counts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.clock import at, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import RULES, Tell, of_projects, told_in
from tests.metrics.http.presets import netlify, octopus, vercel
from tests.metrics.http.story import Story, command
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.test_histories_of_builds import drone_told
from tests.metrics.http.test_histories_of_rollouts import harness, spinnaker, with_fields
from tests.metrics.http.tools import Azure, argo_sync

TERMINAL, DONE, CANCELED, LEFT = "TERMINAL", "SUCCEEDED", "CANCELED", "NOT_STARTED"


def octopus_waits(story: Story, name: str) -> Wanted:
    """One is aborted where it waits, one fails after it was approved, one where a step failed."""
    for identifier, *told in (
        ("1", ("Started", "09:00"), ("Succeeded", "09:10")),
        ("2", ("Started", "10:00"), ("Waits", "10:05"), ("Failed", "11:00")),
        ("3", ("Started", "12:00"), ("Waits", "12:05"), ("Resumed", "12:30"), ("Failed", "12:40")),
        ("4", ("Started", "13:00"), ("Guided", "13:05"), ("Failed", "13:20")),
        ("5", ("Queued", "14:00"), ("Started", "14:02"), ("Waits", "14:05")),
        ("5", ("Resumed", "14:30"), ("Succeeded", "14:40")),
    ):
        octopus(story, name, *((identifier, word, f"{identifier}.0", at) for word, at in told))
    return {
        "project": f"Projects-{number(name)}",
        "fail": (2, 4),
        "successes": 2,
        "recovery": (100.0, 2),  # 120 and 80 min
        "open": 0,
    }


def harness_refused(story: Story, name: str) -> Wanted:
    """An execution that is refused or aborted is told as failed, but for its `nodeStatus`."""
    for run, status, word, began, end in (
        ("1", "completed", "PipelineSuccess", "09:00", "09:10"),
        ("2", "rejected", "PipelineFailed", "10:00", "11:00"),
        ("3", "aborted", "PipelineFailed", "12:00", "12:05"),
        ("4", "expired", "PipelineFailed", "13:00", "14:00"),
        ("5", "completed", "PipelineEnd", "15:00", "15:10"),
    ):
        harness(story, name, run, ("PipelineStart", began), (word, end))
        with_fields(story, 1, nodeStatus=status)
    return {"fail": (1, 3), "successes": 2, "recovery": (70.0, 1)}


def harness_stages(story: Story, name: str) -> Wanted:
    """Stages that deploy: to staging, to production, in vain, again, an older version, aborted. The
    stage of two regions is one deployment."""
    where = {"stg": ["staging"], "prod": ["prod_eu", "prod_us"]}
    for run, (stage, tag, word, status, began, end) in enumerate(
        (
            ("stg", "1.0", "StageFailed", "failed", "08:00", "08:10"),
            ("prod", "1.0", "StageSuccess", "completed", "09:00", "09:10"),
            ("prod", "1.1", "StageFailed", "failed", "11:00", "11:10"),
            ("prod", "1.1", "StageSuccess", "completed", "11:30", "11:40"),
            ("prod", "1.0", "StageSuccess", "completed", "12:00", "12:06"),
            ("prod", "1.2", "StageFailed", "aborted", "13:00", "13:05"),
        )
    ):
        harness(story, name, f"{run}", ("StageStart", began), (word, end))
        info = {"services": [name], "environments": where[stage]}
        with_fields(story, 2, stageIdentifier=f"Deploy_{stage}", nodeStatus=status)
        with_fields(story, 1, moduleInfo=info | {"artifactInfo": [f"acme/{name}:{tag}"]})
        story.posts[-2].body.update(moduleInfo=info, nodeStatus="started", endTs=None)
    return {"fail": (2, 4), "successes": 3, "rework": (1, 4), "recovery": (18.0, 2)}


def judged(*stages: tuple[str, str], stop: bool = True) -> list[dict[str, Any]]:
    """Stages of an execution of Spinnaker, each (type, status)."""
    told: list[dict[str, Any]] = [{"type": kind, "status": at} for kind, at in stages]
    for stage in told:
        stage["context"] = (
            {"judgmentStatus": "stop"} if stop and stage["status"] == TERMINAL else {}
        )
    return told


def spinnaker_judged(story: Story, name: str) -> Wanted:
    """A judgment is refused or never given before the deploy; it is refused after the last deploy;
    somebody cancels after and during the deploy; the deploy fails."""
    deploy, judge = "deployManifest", "manualJudgment"
    for run, (began, end, status, stages) in enumerate(
        (
            ("09:00", "09:10", DONE, judged((deploy, DONE))),
            ("10:00", "10:30", TERMINAL, judged((deploy, DONE), (judge, TERMINAL), (deploy, LEFT))),
            ("11:00", "14:00", TERMINAL, judged((judge, TERMINAL), (deploy, LEFT), stop=False)),
            ("15:00", "15:30", TERMINAL, judged((deploy, DONE), (judge, TERMINAL), ("wait", LEFT))),
            ("16:00", "16:30", CANCELED, judged((deploy, DONE), (judge, CANCELED))),
            ("17:00", "17:10", CANCELED, judged((deploy, CANCELED))),
            ("18:00", "18:10", TERMINAL, judged((judge, DONE), (deploy, TERMINAL))),
        )
    ):
        word = "complete" if status == DONE else "failed"
        spinnaker(story, name, f"{run}", ("starting", "RUNNING", began), (word, status, end))
        story.posts[-1].body["content"]["execution"]["stages"] = stages
    return {"project": name, "fail": (2, 4), "successes": 2, "recovery": (60.0, 1), "open": 1}


def spinnaker_triggered(story: Story, name: str) -> Wanted:
    """By a commit, by the execution that a commit started, and by images, the last one older."""
    own = GitHub(story, f"acme/{name}")
    pushed = {"type": "git", "source": "github", "project": "acme", "slug": name, "branch": "main"}
    for run, (clock, began, end) in enumerate(
        (("08:00", "09:50", "10:00"), ("10:00", "10:50", "11:00"))
    ):
        own.push((f"{name} {run}", clock))
        trigger: dict[str, Any] = pushed | {"hash": sha(f"{name} {run}")}
        if run:
            trigger = {"type": "pipeline", "parentExecution": {"trigger": trigger}}
        spinnaker(story, name, f"{run}", ("starting", "RUNNING", began), ("complete", DONE, end))
        for post in story.posts[-2:]:
            post.body["content"]["execution"]["trigger"] = trigger
    for tag, began, end in (("1.0", "12:00", "12:05"), ("1.1", "13:00", "13:05")):
        spinnaker(story, name, tag, ("starting", "RUNNING", began), ("complete", DONE, end))
        image = {"type": "docker", "repository": f"acme/{name}", "tag": tag}
        for post in story.posts[-2:]:
            post.body["content"]["execution"]["trigger"] = image
    spinnaker(story, name, "back", ("starting", "RUNNING", "14:00"), ("complete", DONE, "14:06"))
    for post in story.posts[-2:]:
        post.body["content"]["execution"]["trigger"] = image | {"tag": "1.0"}
    return {
        "project": name,
        "lead": (1.5, 2),
        "fail": (1, 5),
        "rework": (1, 5),
        "recovery": (6.0, 1),
    }


def codepipeline(story: Story, pipeline: str, execution: str, *told: tuple[str, str]) -> None:
    """An execution that counts by a rule, told by (state, time); `approval` tells of its action."""
    for word, clock in told:
        state = word.removeprefix("approval ")
        kind = "Pipeline" if state == word else "Action"
        body = {"id": f"{execution}{word}{clock}", "source": "aws.codepipeline", "time": at(clock)}
        body["detail-type"] = f"CodePipeline {kind} Execution State Change"
        detail: dict[str, Any] = {"pipeline": pipeline, "execution-id": execution, "state": state}
        if kind == "Action":
            detail |= {"stage": "Prod", "action": "Approve"}
            detail["type"] = {"owner": "AWS", "category": "Approval", "provider": "Manual"}
        story.add("/aws", body | {"detail": detail})


def codepipeline_refused(story: Story, name: str) -> Wanted:
    """One is refused, one fails after it was approved, one is refused and then retried."""
    pipeline = f"ship_{name}"
    for execution, *told in (
        ("e1", ("STARTED", "09:00"), ("SUCCEEDED", "09:20")),
        ("e2", ("STARTED", "10:00"), ("approval STARTED", "10:05")),
        ("e2", ("approval FAILED", "10:30"), ("FAILED", "10:30")),
        ("e3", ("STARTED", "11:00"), ("approval STARTED", "11:05")),
        ("e3", ("approval SUCCEEDED", "11:20"), ("FAILED", "11:30")),
        ("e4", ("STARTED", "12:00"), ("approval STARTED", "12:05")),
        ("e4", ("approval FAILED", "12:10"), ("FAILED", "12:10"), ("RESUMED", "12:20")),
        ("e4", ("approval STARTED", "12:20:05"), ("approval SUCCEEDED", "12:30")),
        ("e4", ("SUCCEEDED", "12:40")),
    ):
        codepipeline(story, pipeline, f"{name}{execution}", *told)
    return {"project": pipeline, "fail": (1, 3), "successes": 2, "recovery": (70.0, 1)}


def azure_stopped(story: Story, name: str) -> Wanted:
    """One is stopped while a gate is missing after its deployment, one during it."""
    own = Azure(story, name)
    own.release(1, "09:00", "09:10", False)
    own.release(2, "10:00", "10:20", status="canceled")
    story.posts[-1].body["resource"]["deployment"]["deploymentStatus"] = "succeeded"
    own.release(3, "11:00", "11:05", status="canceled")
    story.posts[-1].body["resource"]["deployment"]["deploymentStatus"] = "failed"
    return {"project": name, "fail": (1, 2), "successes": 1, "recovery": (70.0, 1)}


def published(story: Story, name: str, deploy: str, began: str, clock: str) -> None:
    """Somebody publishes a deploy of Netlify by hand."""
    netlify(story, name, deploy, ("ready", clock), commit=f"{name} {deploy}", created_at=at(began))
    story.posts[-1].headers["X-Netlify-Event"] = "deploy_restored"


def netlify_locked(story: Story, name: str) -> Wanted:
    """The site is locked to its first deploy. The third one is published by hand, then the first
    one again."""
    for n, began, end in (
        ("1", "09:00", "09:05"),
        ("2", "10:00", "10:05"),
        ("3", "10:20", "10:25"),
    ):
        netlify(story, name, n, ("building", began), ("ready", end), commit=f"{name} {n}")
        with_fields(story, 1, published_at=at(end) if n == "1" else None)
    published(story, name, "3", "10:20", "11:00")
    published(story, name, "1", "09:00", "12:00")
    return {"project": name, "fail": (1, 3), "successes": 3, "rework": (1, 3)}


def netlify_again(story: Story, name: str) -> Wanted:
    """The content changes, the commit does not."""
    for n, began, end in (("1", "09:00", "09:05"), ("2", "11:00", "11:05")):
        netlify(story, name, f"{name}{n}", ("building", began), ("ready", end), commit=name)
    return {"project": name, "fail": (0, 2), "successes": 2}


def vercel_again(story: Story, name: str) -> Wanted:
    """The live commit is built and deployed again, for other settings: a deployment, no promotion
    of the first one."""
    own = GitHub(story, f"acme/{name}")
    own.push((f"{name} 1", "08:00"))
    for n, clock in ((1, "09"), (2, "11")):
        vercel(
            story, name, f"dpl_{name}{n}", ("created", f"{clock}:00"), ("succeeded", f"{clock}:05"),
            commit=f"{name} 1", repository=own.name,
        )  # fmt: skip
    return {"fail": (0, 2), "successes": 2, "lead": (1.0833, 1)}


def argo_terminated(story: Story, name: str) -> Wanted:
    """Somebody stops one sync, and the next one takes too long for Argo CD."""
    terminated = "Operation terminated"
    for commit, began, end, message in (
        ("a", "09:00", "09:05", ""),
        ("b", "10:00", "10:10", terminated),
        ("c", "11:00", "11:10", f"{terminated}, triggered by controller sync timeout"),
        ("d", "12:00", "12:05", ""),
    ):
        argo_sync(
            story, f"{name}-prod", began, end, repository=f"acme/{name}", revision=f"{name}{commit}"
        )
        if message:
            del story.posts[-2]
            with_fields(story, 1, phase="Failed", finishedAt=at(end), message=message)
    return {"fail": (1, 3), "successes": 2, "recovery": (55.0, 1), "rework": (0, 3)}


def drone_rolled_back(story: Story, name: str) -> Wanted:
    """To a build of which nothing else is known."""
    drone_told(story, name, 5, "success", "09:00", "09:10", after=sha(f"{name} c2"))
    drone_told(story, name, 6, "success", "10:00", "10:06", event="rollback", parent=3)
    return {"fail": (1, 2), "rework": (1, 2), "recovery": (6.0, 1)}


def codepipeline_rolled_back(story: Story, name: str) -> Wanted:
    pipeline = f"ship_{name}"
    codepipeline(story, pipeline, f"{name}1", ("STARTED", "09:00"), ("SUCCEEDED", "09:10"))
    codepipeline(story, pipeline, f"{name}2", ("STARTED", "10:00"), ("SUCCEEDED", "10:04"))
    trigger = {"trigger-type": "ManualRollback", "trigger-detail": "arn:aws:iam::1:user/kim"}
    story.posts[-2].body["detail"]["execution-trigger"] = trigger
    return {"project": pipeline, "fail": (1, 2), "rework": (1, 2), "recovery": (4.0, 1)}


HISTORIES: dict[str, Tell] = {
    "oap1": octopus_waits,
    "hap1": harness_refused,
    "hap2": harness_stages,
    "sap1": spinnaker_judged,
    "sap2": spinnaker_triggered,
    "cap1": codepipeline_refused,
    "aap1": azure_stopped,
    "gap1": argo_terminated,
    "dap1": drone_rolled_back,
    "cap2": codepipeline_rolled_back,
    "nap1": netlify_locked,
    "nap2": netlify_again,
    "vap1": vercel_again,
}


@pytest.mark.parametrize("order", ["as sent", "reverse", "mixed and twice"])
def test_every_history_of_approvals_has_the_values_computed_by_hand(configured, order) -> None:
    server = configured(RULES)
    assert told_in(order, server, of_projects(HISTORIES)) == {}
    if order == "reverse":
        command(server, "db", "rebuild")
        assert told_in("none", server, of_projects(HISTORIES)) == {}
