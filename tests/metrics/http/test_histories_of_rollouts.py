"""Rollouts that tools tell of: drift put right, regions, canaries, aborts, promotions, restarts."""

from __future__ import annotations

from typing import Any

import pytest

from tests.metrics.http.clock import at, moment, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, RULES, told_in
from tests.metrics.http.others import EmMetrics, Plyzen, alertmanager
from tests.metrics.http.presets import (
    codedeploy,
    codepipeline,
    flux,
    heroku,
    millis,
    octopus,
    vercel,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted
from tests.metrics.http.tools import argo_sync

CONFIG = RULES + '\n[teams.reviewers]\nprojects = ["rev1*"]\n'


def with_fields(story: Story, count: int, **fields: Any) -> None:
    """Add fields to the bodies of the last requests."""
    for post in story.posts[-count:]:
        post.body.update(fields)


def rollout(story: Story, name: str, *told: tuple[str, str, str], namespace: str = "prod") -> None:
    """Notifications of Argo Rollouts, each (image tag, phase, time)."""
    for tag, phase, clock in told:
        body = {"rollout": name, "namespace": namespace, "phase": phase, "updatedAt": at(clock)}
        body |= {"currentPodHash": sha(tag)[:10], "image": f"registry.example/{name}:{tag}"}
        story.add("/argorollouts", body)


def harness(story: Story, project: str, run: str, *told: tuple[str, str], scale: int = 1) -> None:
    """A pipeline's execution, told by (event, time)."""
    began = int(moment(told[0][1]).timestamp()) * scale
    for word, clock in told:
        body = {"accountIdentifier": "a", "orgIdentifier": "acme", "projectIdentifier": project}
        body |= {"pipelineIdentifier": "ship_it", "planExecutionId": f"{project}{run}"}
        body |= {"eventType": word, "nodeStatus": "x", "startTs": began}
        if word != "PipelineStart":
            body |= {"endTs": int(moment(clock).timestamp()) * scale}
        story.add("/harness", body)


def spinnaker(story: Story, application: str, run: str, *told: tuple[str, str, str]) -> None:
    """A pipeline's execution, told by (event, status, time)."""
    for word, status, clock in told:
        execution = {"id": f"{application}{run}", "name": "ship_it", "application": application}
        execution |= {"status": status, "startTime": millis(told[0][2])}
        if word != "starting":
            execution |= {"endTime": millis(clock)}
        details = {"source": "orca", "type": f"orca:pipeline:{word}", "application": application}
        details |= {"created": str(millis(clock))}
        story.add("/spinnaker", {"details": details, "content": {"execution": execution}})


def argo_puts_drift_right(story: Story) -> Wanted:
    """Argo CD applies the same revision again, because somebody changed the cluster."""
    GitHub(story, "acme/drf1").push(("drf1 a", "08:00"))
    argo_sync(story, "drf1-prod", "09:00", "09:10", repository="acme/drf1", revision="drf1 a")
    for clock, end in (("11:00", "11:01"), ("12:00", "12:01")):
        argo_sync(story, "drf1-prod", clock, end, repository="acme/drf1", revision="drf1 a")
        with_fields(story, 3, selfHeal=1)
    return {"fail": (0, 1), "successes": 1, "rework": (0, 1)}


def argo_fails_to_put_drift_right(story: Story) -> Wanted:
    argo_sync(story, "drf2-prod", "09:00", "09:10", repository="acme/drf2", revision="drf2 a")
    argo_sync(
        story, "drf2-prod", "11:00", "11:01", False, repository="acme/drf2", revision="drf2 a"
    )
    with_fields(story, 3, selfHeal=2)
    alertmanager(story, "drf2", "11:02", "11:12")
    return {"fail": (1, 1), "recovery": (10.0, 1)}


def argo_deploys_two_regions(story: Story) -> Wanted:
    """Two applications of one set, with the service as a label: one deployment that failed."""
    for region, ok in (("eu", True), ("us", False)):
        argo_sync(
            story, f"rgn1-prod-{region}", "10:00", "10:05", ok, repository="acme/rgn1", revision="r"
        )
        with_fields(story, 3, service="rgn1")
    return {"fail": (1, 1), "rework": (0, 1)}


def argo_and_the_workflow_that_waits_for_it(story: Story) -> Wanted:
    """GitHub's deployment and the sync of its commit are one deployment."""
    own = GitHub(story, "acme/two1")
    own.push(("two1 a", "08:00"))
    own.deploy("10:10", began="10:00", commit="two1 a")
    argo_sync(story, "two1-prod", "10:02", "10:08", repository=own.name, revision="two1 a")
    with_fields(story, 3, environment="production")
    return {"lead": (2.1667, 1), "fail": (0, 1), "successes": 1}


def argo_promotes_an_image(story: Story) -> Wanted:
    own = GitHub(story, "acme/prm1")
    own.push(("prm1 a", "08:00"))
    for place, began, end in (("staging", "09:00", "09:05"), ("prod", "12:00", "12:10")):
        argo_sync(story, f"prm1-{place}", began, end, repository=own.name, revision="prm1 a")
    return {"lead": (4.1667, 1), "fail": (0, 1), "successes": 1}


def argo_of_an_environment_that_is_not_production(story: Story) -> Wanted:
    argo_sync(story, "npr1-prod", "10:00", "10:05", repository="acme/npr1", revision="a")
    for place in ("non-prod", "nonprod", "pre_prod", "preprod"):
        argo_sync(
            story, f"npr1-{place}", "11:00", "11:05", False, repository="acme/npr1", revision="b"
        )
    return {"fail": (0, 1)}


def rollout_with_a_canary(story: Story) -> Wanted:
    rollout(story, "cnr1", ("1.0", "Progressing", "09:00"), ("1.0", "Healthy", "09:05"))
    rollout(
        story,
        "cnr1",
        ("1.1", "Progressing", "10:00"),
        ("1.1", "Paused", "10:05"),
        ("1.1", "Progressing", "10:35"),
        ("1.1", "Healthy", "10:40"),
    )
    alertmanager(story, "cnr1", "10:20", "10:30")
    return {"fail": (1, 2), "recovery": (10.0, 1), "rework": (0, 2), "project": "prod/cnr1"}


def rollout_of_two_clusters(story: Story) -> Wanted:
    for cluster, began, end in (("eu", "10:00", "10:05"), ("us", "10:03", "10:09")):
        rollout(story, "clu1", ("1.0", "Progressing", began), ("1.0", "Healthy", end))
        with_fields(story, 2, cluster=cluster)
    return {"fail": (0, 1), "successes": 1, "project": "prod/clu1"}


def rollout_aborted_and_taken_back(story: Story) -> Wanted:
    rollout(story, "abt1", ("1.0", "Progressing", "09:00"), ("1.0", "Healthy", "09:05"))
    rollout(story, "abt1", ("1.1", "Progressing", "10:00"), ("1.1", "Degraded", "10:10"))
    rollout(story, "abt1", ("1.0", "Progressing", "10:15"), ("1.0", "Healthy", "10:20"))
    return {"fail": (1, 3), "recovery": (10.0, 1), "rework": (1, 3), "project": "prod/abt1"}


def flux_puts_drift_right(story: Story) -> Wanted:
    """The same revision is applied again; a revision after it is a deployment."""
    for commit, began, end in (
        ("fxd1 a", "09:00", "09:01"),
        ("fxd1 a", "11:00", "11:01"),
        ("fxd1 a", "12:00", "12:02"),
        ("fxd1 b", "13:00", "13:01"),
    ):
        told = (("Progressing", began), ("ReconciliationSucceeded", end))
        flux(story, "fxd1", f"main@sha1:{sha(commit)}", *told, kind="Kustomization")
    return {"fail": (0, 2), "successes": 2, "rework": (0, 2), "project": "prod/fxd1"}


def flux_tries_until_it_works(story: Story) -> Wanted:
    told = (("Progressing", "10:00"), ("HealthCheckFailed", "10:05"), ("Progressing", "10:10"))
    flux(
        story,
        "fxt1",
        f"main@sha1:{sha('fxt1')}",
        *told,
        ("ReconciliationSucceeded", "10:12"),
        kind="Kustomization",
    )
    return {"fail": (0, 1), "successes": 1, "project": "prod/fxt1"}


def flux_of_two_clusters(story: Story) -> Wanted:
    revision = f"main@sha1:{sha('fxc1')}"
    for cluster, began, end in (("eu", "10:00", "10:03"), ("us", "10:02", "10:09")):
        told = (("Progressing", began), ("ReconciliationSucceeded", end))
        flux(story, "fxc1", revision, *told, kind="Kustomization")
        for post in story.posts[-2:]:
            post.body["metadata"]["cluster"] = cluster
    return {"fail": (0, 1), "successes": 1, "project": "prod/fxc1"}


def flux_goes_back_and_puts_drift_right(story: Story) -> Wanted:
    own = GitHub(story, "acme/frd1")
    own.push(("frd a", "08:00"))
    own.push(("frd b", "09:00"))
    for commit, began, end in (
        ("frd a", "08:30", "08:31"),
        ("frd b", "09:30", "09:31"),
        ("frd a", "10:00", "10:04"),
        ("frd a", "11:00", "11:01"),
        ("frd b", "12:00", "12:01"),
    ):
        told = (("Progressing", began), ("ReconciliationSucceeded", end))
        flux(story, "frd1", f"main@sha1:{sha(commit)}", *told, kind="Kustomization")
    return {"fail": (1, 4), "rework": (1, 4), "successes": 4, "project": "prod/frd1"}


def drift_put_right_during_an_incident(story: Story) -> Wanted:
    """It is no deployment, so it repairs nothing."""
    argo_sync(story, "ddi9-prod", "09:00", "09:05", repository="acme/ddi9", revision="a")
    alertmanager(story, "ddi9", "10:00", "10:30")
    argo_sync(story, "ddi9-prod", "10:10", "10:12", repository="acme/ddi9", revision="a")
    with_fields(story, 3, selfHeal=1)
    return {"fail": (1, 1), "rework": (0, 1), "recovery": (30.0, 1)}


def octopus_deploys_to_two_tenants(story: Story) -> Wanted:
    """One release to two tenants at a time, of which one fails."""
    for identifier, tenant, began, end, word in (
        ("1", "Ada", "10:00", "10:10", "Succeeded"),
        ("2", "Bob", "10:05", "10:12", "Failed"),
    ):
        octopus(
            story, "oct7", (identifier, "Started", "1.0", began), (identifier, word, "1.0", end)
        )
        for post in story.posts[-2:]:
            post.body["Payload"]["Event"]["Message"] += f" for {tenant}"
    project = story.posts[0].body["Payload"]["Event"]["RelatedDocumentIds"][1]
    return {"fail": (1, 1), "project": project}


def harness_runs_again(story: Story) -> Wanted:
    harness(story, "hrn1", "1", ("PipelineStart", "10:00"), ("PipelineFailed", "10:10"))
    harness(
        story,
        "hrn1",
        "2",
        ("PipelineStart", "10:20"),
        ("PipelinePaused", "10:22"),
        ("PipelineSuccess", "10:40"),
        ("PipelineEnd", "10:40"),
        scale=1000,
    )
    return {"fail": (1, 2), "rework": (0, 2), "recovery": (30.0, 1)}


def spinnaker_restarts_a_stage(story: Story) -> Wanted:
    """The execution goes on, and its last result counts."""
    spinnaker(
        story,
        "spn1",
        "1",
        ("starting", "RUNNING", "10:00"),
        ("failed", "TERMINAL", "10:10"),
        ("complete", "SUCCEEDED", "10:40"),
    )
    return {"fail": (0, 1), "successes": 1}


def codedeploy_waits_with_its_traffic(story: Story) -> Wanted:
    codedeploy(story, "blg1", "d-1", ("START", "09:00"), ("SUCCESS", "09:10"))
    codedeploy(story, "blg1", "d-2", ("START", "10:00"), ("READY", "10:10"), ("SUCCESS", "11:10"))
    alertmanager(story, "blg1", "10:30", "10:50")
    return {"fail": (1, 2), "recovery": (20.0, 1), "rework": (0, 2)}


def codepipeline_of_two_regions(story: Story) -> Wanted:
    for region, word in (("EU", "SUCCEEDED"), ("US", "FAILED")):
        codepipeline(story, "cpr1", "e1", ("STARTED", "10:00"), (word, "10:05"))
        for post in story.posts[-2:]:
            post.body["detail"]["action"] = f"Deploy{region}"
    return {"fail": (1, 1)}


def codepipeline_abandoned(story: Story) -> Wanted:
    codepipeline(story, "cpa1", "e1", ("STARTED", "10:00"), ("SUCCEEDED", "10:05"))
    codepipeline(story, "cpa1", "e2", ("STARTED", "11:00"), ("ABANDONED", "11:05"))
    return {"fail": (0, 1), "successes": 1}


def heroku_review_app(story: Story) -> Wanted:
    """An app of a pull request is not production."""
    heroku(story, "rev1", (1, "10:00", "10:01", "succeeded", "Deploy aaa"))
    heroku(story, "rev1-pr-12", (1, "11:00", "11:01", "failed", "Deploy bbb"))
    heroku(story, "rev1-pr-13-x7", (1, "11:30", "11:31", "failed", "Deploy ccc"))
    return {"fail": (0, 1), "by": "team", "project": "reviewers"}


def vercel_promoted_later(story: Story) -> Wanted:
    """A production build that is not assigned its domain yet is live when it is promoted."""
    own = GitHub(story, "acme/vcp1")
    own.pull(1, "08:00", "09:00", pushed=True)
    told = (("created", "09:10"), ("succeeded", "09:20"), ("promoted", "12:00"))
    vercel(story, "vcp1", "dpl_p1", *told, commit=own.merge_of(1), repository=own.name)
    return {"lead": (4.0, 1), "fail": (0, 1), "successes": 1}


def vercel_rolled_back(story: Story) -> Wanted:
    own = GitHub(story, "acme/vcr1")
    for n, clock in ((1, "09:00"), (2, "10:00")):
        own.push((f"vcr1 {n}", f"0{n + 6}:30"))
        vercel(
            story,
            "vcr1",
            f"dpl_r{n}",
            ("created", f"{clock[:2]}:00"),
            ("succeeded", f"{clock[:2]}:05"),
            ("promoted", f"{clock[:2]}:05"),
            commit=f"vcr1 {n}",
            repository=own.name,
        )
    body = {"id": "roll", "type": "deployment.rollback", "createdAt": millis("10:30")}
    payload = {"fromDeploymentId": "dpl_r2", "toDeploymentId": "dpl_r1", "project": {"id": "p"}}
    story.add("/vercel", body | {"payload": payload})
    alertmanager(story, "vcr1", "10:10", "10:40")
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (30.0, 1)}


def plyzen_alarm_in_chunks(story: Story) -> Wanted:
    own = Plyzen(story, "plq1", "cart")
    own.deploy("10:00", version="1")
    environment = {"name": "prod"}
    for chunk in (
        {"name": "alarm", "artifacts": [{"namespace": "plq1", "name": "cart"}]},
        {"events": [{"type": "start", "timestamp": at("10:10")}], "environment": environment},
        {"events": [{"type": "finish", "timestamp": at("10:40")}]},
    ):
        story.add("/plyzen", {"activities": [{"correlationId": "plq1-a", **chunk}]})
    return {"fail": (1, 1), "recovery": (30.0, 1)}


def plyzen_deploy_never_ends(story: Story) -> Wanted:
    own = Plyzen(story, "plq2", "cart")
    own.activity("deploy", "09:00", version="1")
    own.deploy("13:00", version="2")
    return {"fail": (1, 2), "recovery": (120.0, 1)}


def plyzen_alarm_during_a_rollout(story: Story) -> Wanted:
    own = Plyzen(story, "plq3", "cart")
    own.deploy("09:00", version="1")
    own.deploy("10:30", began="10:00", version="2")
    own.activity("alarm", "10:10", "10:40")
    return {"fail": (1, 2), "recovery": (30.0, 1), "rework": (0, 2)}


def plyzen_alarm_of_a_version_of_staging(story: Story) -> Wanted:
    """Version 2 is in staging only; an alarm of it in production fails nothing."""
    own = Plyzen(story, "plq4", "cart")
    own.deploy("09:00", version="1")
    own.deploy("10:00", version="2", environment="staging")
    own.activity("alarm", "10:10", "10:40", version="2")
    return {"fail": (0, 1)}


def plyzen_failed_build_resumes_development(story: Story) -> Wanted:
    own = Plyzen(story, "plq5", "cart")
    own.activity("build", "09:00", "09:01", version="1")
    own.deploy("09:30", version="1")
    own.activity("build", "10:00", "10:01", "failure", version="2")
    own.activity("build", "11:00", "11:01", version="3")
    own.deploy("12:00", version="3")
    return {"lead": (1.25, 2)}


def plyzen_instances(story: Story) -> Wanted:
    """Blue and green: the alarm of the last one that was deployed."""
    own = Plyzen(story, "plq6", "cart")
    own.deploy("09:00", version="1", instance="blue")
    own.deploy("10:00", version="2", instance="green")
    own.activity("alarm", "10:10", "10:30", instance="green")
    return {"fail": (1, 2), "recovery": (20.0, 1)}


def plyzen_advanced_failure(story: Story) -> Wanted:
    """One artifact, whose result fails; the same artifact again is a new deployment."""
    own = Plyzen(story, "plq7", "cart")
    own.advanced("plq7-1", "deploy", "10:00", "10:05", artifacts=[("cart", "1", "failure")])
    own.advanced("plq7-2", "deploy", "10:20", "10:25", artifacts=[("cart", "1", "success")])
    own.advanced("plq7-3", "smoke-test", "10:30", "10:31", artifacts=[("cart", "1", "failure")])
    own.advanced("plq7-4", "smoke-test", "10:40", "10:41", artifacts=[("cart", "1", "success")])
    return {"fail": (2, 2), "recovery": (15.0, 2), "rework": (0, 2)}


def em_metrics_told_in_two_steps(story: Story) -> Wanted:
    for clock, end in (("10:00", "10:30"), ("11:00", "11:30")):
        body = {"id": f"emo1 {clock}", "project_id": "emo1", "first_commit_at": at("08:30")}
        body["deploy_start_at"] = at(clock)
        story.add("/deployments", body)
        told = body | {"create_if_not_exists": True, "deployed_at": at(end)}
        story.add(f"/deployments/emo1%20{clock}/deployed", told)
    own = EmMetrics(story, "emo1")
    own.incident("emo-1", "11:10", restored="11:40", finished="Tue 10:00")
    return {"lead": (2.5, 2), "fail": (1, 2), "recovery": (30.0, 1)}


def em_metrics_names_a_deployment_of_another_project(story: Story) -> Wanted:
    own, other = EmMetrics(story, "emo2"), EmMetrics(story, "emo3")
    own.deploy("10:00", first_commit="08:00", key="emo2-1")
    other.deploy("10:00", first_commit="08:00", key="emo3-1")
    own.incident("emo-2", "10:10", restored="10:40", deployment="emo3-1")
    return {"fail": (1, 1), "recovery": (30.0, 1), "project": "emo3"}


def em_metrics_blames_the_other_project(story: Story) -> Wanted:
    own, other = EmMetrics(story, "emo4"), EmMetrics(story, "emo5")
    own.deploy("10:00", first_commit="08:00", key="emo4-1")
    other.deploy("10:00", first_commit="08:00", key="emo5-1")
    own.incident("emo-4", "10:10", restored="10:40", deployment="emo5-1")
    return {"fail": (0, 1)}


HISTORIES = {
    "acme/drf1": argo_puts_drift_right,
    "acme/drf2": argo_fails_to_put_drift_right,
    "acme/rgn1": argo_deploys_two_regions,
    "acme/two1": argo_and_the_workflow_that_waits_for_it,
    "acme/prm1": argo_promotes_an_image,
    "acme/npr1": argo_of_an_environment_that_is_not_production,
    "cnr1": rollout_with_a_canary,
    "clu1": rollout_of_two_clusters,
    "abt1": rollout_aborted_and_taken_back,
    "fxd1": flux_puts_drift_right,
    "fxt1": flux_tries_until_it_works,
    "fxc1": flux_of_two_clusters,
    "frd1": flux_goes_back_and_puts_drift_right,
    "acme/ddi9": drift_put_right_during_an_incident,
    "oct7": octopus_deploys_to_two_tenants,
    "acme/hrn1": harness_runs_again,
    "spn1": spinnaker_restarts_a_stage,
    "blg1": codedeploy_waits_with_its_traffic,
    "cpr1": codepipeline_of_two_regions,
    "cpa1": codepipeline_abandoned,
    "rev1": heroku_review_app,
    "acme/vcp1": vercel_promoted_later,
    "acme/vcr1": vercel_rolled_back,
    "plq1": plyzen_alarm_in_chunks,
    "plq2": plyzen_deploy_never_ends,
    "plq3": plyzen_alarm_during_a_rollout,
    "plq4": plyzen_alarm_of_a_version_of_staging,
    "plq5": plyzen_failed_build_resumes_development,
    "plq6": plyzen_instances,
    "plq7": plyzen_advanced_failure,
    "emo1": em_metrics_told_in_two_steps,
    "emo2": em_metrics_names_a_deployment_of_another_project,
    "emo4": em_metrics_blames_the_other_project,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_rollout_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(CONFIG), HISTORIES) == {}
