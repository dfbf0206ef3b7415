"""Deployments that platforms tell of: retried, rolled back, deployed again with other values."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at, number, sha
from tests.metrics.http.github import GitHub
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.presets import (
    cdevent,
    codedeploy,
    codepipeline,
    datadog,
    flux,
    heroku,
    netlify,
    octopus,
    opsgenie,
    vercel,
)
from tests.metrics.http.story import Story
from tests.metrics.http.test_histories import Wanted


def execution_of(story: Story, pipeline: str, execution: str, *told: tuple[str, str]) -> None:
    for state, clock in told:
        story.add(
            "/aws",
            {
                "id": f"{execution}{state}{clock}p",
                "source": "aws.codepipeline",
                "time": at(clock),
                "detail-type": "CodePipeline Pipeline Execution State Change",
                "detail": {"pipeline": pipeline, "execution-id": execution, "state": state},
            },
        )


def octopus_retry_and_older_release(story: Story) -> Wanted:
    octopus(
        story,
        "octo1",
        ("1", "Queued", "1.0.0", "09:00"),
        ("1", "Started", "1.0.0", "09:10"),
        ("1", "Succeeded", "1.0.0", "09:20"),
    )
    octopus(story, "octo1", ("2", "Started", "1.1.0", "10:00"), ("2", "Failed", "1.1.0", "10:10"))
    octopus(
        story, "octo1", ("3", "Started", "1.1.0", "10:20"), ("3", "Succeeded", "1.1.0", "10:30")
    )
    octopus(
        story, "octo1", ("4", "Started", "1.0.0", "11:00"), ("4", "Succeeded", "1.0.0", "11:07")
    )
    octopus(
        story,
        "octo1",
        ("5", "Started", "1.2.0", "11:10"),
        ("5", "Failed", "1.2.0", "11:12"),
        place="Staging",
    )
    return {
        "fail": (2, 4),
        "rework": (1, 4),
        "recovery": (13.5, 2),
        "project": f"Projects-{number('octo1')}",
    }


def octopus_and_opsgenie(story: Story) -> Wanted:
    octopus(
        story, "octo2", ("21", "Started", "1.0.0", "10:00"), ("21", "Succeeded", "1.0.0", "10:10")
    )
    opsgenie(story, "octo2", "z", ("Create", "10:20"), ("Close", "10:50"))
    return {"fail": (1, 1), "recovery": (30.0, 1), "project": f"Projects-{number('octo2')}"}


def helm_older_chart(story: Story) -> Wanted:
    flux(story, "flx1", "1.0.0", ("InstallSucceeded", "09:00"))
    flux(story, "flx1", "1.1.0", ("UpgradeSucceeded", "10:00"))
    flux(story, "flx1", "1.0.0", ("UpgradeSucceeded", "11:00"))
    return {"fail": (1, 3), "rework": (1, 3), "project": "prod/flx1"}


def helm_tried_again(story: Story) -> Wanted:
    flux(story, "flx2", "1.0.0", ("InstallSucceeded", "09:00"))
    flux(story, "flx2", "1.1.0", ("UpgradeFailed", "10:00"), ("UpgradeSucceeded", "10:20"))
    return {"fail": (0, 2), "rework": (0, 2), "project": "prod/flx2"}


def helm_rolled_back_by_flux(story: Story) -> Wanted:
    flux(story, "flx3", "1.0.0", ("InstallSucceeded", "09:00"))
    flux(story, "flx3", "1.1.0", ("UpgradeFailed", "10:00"))
    flux(story, "flx3", "1.0.0", ("RollbackSucceeded", "10:02"))
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (2.0, 1), "project": "prod/flx3"}


def helm_other_values(story: Story) -> Wanted:
    """Each upgrade of one chart is a deployment; what is tried again is an attempt of it."""
    flux(
        story,
        "flx6",
        "1.0.0",
        ("InstallSucceeded", "09:00"),
        ("UpgradeSucceeded", "10:00"),
        ("UpgradeFailed", "11:00"),
        ("UpgradeFailed", "11:05"),
        ("UpgradeSucceeded", "11:10"),
        ("UpgradeSucceeded", "12:00"),
    )
    flux(story, "flx6", "1.1.0", ("UpgradeFailed", "13:00"), ("UpgradeFailed", "13:10"))
    return {"fail": (1, 5), "rework": (0, 5), "project": "prod/flx6", "successes": 4, "open": 1}


def helm_test_fails(story: Story) -> Wanted:
    flux(
        story,
        "flx7",
        "1.0.0",
        ("InstallSucceeded", "09:00"),
        ("TestSucceeded", "09:01"),
        ("UpgradeSucceeded", "10:00"),
        ("TestFailed", "10:02"),
        ("UpgradeSucceeded", "10:20"),
        ("TestSucceeded", "10:22"),
    )
    return {"fail": (1, 3), "project": "prod/flx7", "recovery": (20.0, 1), "rework": (1, 3)}


def kustomization_of_an_older_commit(story: Story) -> Wanted:
    own = GitHub(story, "acme/flx4")
    for c, t in (("k1", "08:00"), ("k2", "09:30")):
        own.push((c, t))
    for c, t, e in (("k1", "08:30", "08:31"), ("k2", "10:00", "10:01"), ("k1", "11:00", "11:01")):
        flux(
            story,
            "flx4",
            f"main@sha1:{sha(c)}",
            ("Progressing", t),
            ("ReconciliationSucceeded", e),
            kind="Kustomization",
        )
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (1.0, 1), "project": "prod/flx4"}


def netlify_builds(story: Story) -> Wanted:
    netlify(story, "nl1", "d1", ("building", "09:00"), ("ready", "09:05"), commit="n1")
    netlify(story, "nl1", "d2", ("building", "10:00"), ("error", "10:03"), commit="n2")
    netlify(story, "nl1", "d3", ("building", "10:10"), ("ready", "10:15"), commit="n3")
    netlify(
        story, "nl1", "d4", ("building", "10:20"), ("error", "10:21"), commit="n4", skipped=True
    )
    netlify(
        story,
        "nl1",
        "d5",
        ("building", "10:30"),
        ("error", "10:31"),
        commit="n5",
        context="deploy-preview",
    )
    return {"fail": (1, 3), "rework": (0, 3), "recovery": (12.0, 1)}


def heroku_release_phase_fails(story: Story) -> Wanted:
    heroku(
        story,
        "hero1",
        (1, "09:00", "09:01", "succeeded", "Deploy aaa"),
        (2, "10:00", "10:02", "pending", "Deploy bbb"),
        (2, "10:00", "10:03", "failed", "Deploy bbb"),
        (3, "10:20", "10:23", "succeeded", "Deploy ccc"),
    )
    return {"fail": (1, 3), "rework": (0, 3), "recovery": (20.0, 1)}


def heroku_staging_app(story: Story) -> Wanted:
    heroku(story, "hero2-staging", (1, "09:00", "09:01", "failed", "Deploy aaa"))
    heroku(story, "hero2", (1, "10:00", "10:01", "succeeded", "Promote hero2-staging v1 aaa"))
    return {"fail": (0, 1)}


def heroku_config_vars(story: Story) -> Wanted:
    heroku(
        story,
        "hero3",
        (1, "09:00", "09:01", "succeeded", "Deploy aaa"),
        (2, "10:00", "10:01", "succeeded", "Set DEBUG config vars"),
        commit="same",
    )
    return {"fail": (0, 2), "rework": (0, 2)}


def vercel_builds(story: Story) -> Wanted:
    own = GitHub(story, "acme/ver1")
    own.pull(1, "08:00", "09:00", pushed=True)
    vercel(
        story,
        "site1",
        "dpl_v1",
        ("created", "09:20"),
        ("ready", "09:29"),
        ("succeeded", "09:30"),
        commit=own.merge_of(1),
        repository=own.name,
    )
    vercel(
        story,
        "site1",
        "dpl_v2",
        ("created", "10:20"),
        ("error", "10:30"),
        commit="v2",
        repository=own.name,
    )
    vercel(
        story,
        "site1",
        "dpl_v3",
        ("created", "10:32"),
        ("canceled", "10:33"),
        commit="v3",
        repository=own.name,
    )
    vercel(
        story,
        "site1",
        "dpl_v4",
        ("created", "10:40"),
        ("succeeded", "10:50"),
        commit="v4",
        repository=own.name,
    )
    vercel(
        story,
        "site1",
        "dpl_v5",
        ("created", "10:55"),
        ("error", "10:57"),
        commit="v5",
        target=None,
        repository=own.name,
    )
    return {"fail": (1, 3), "rework": (0, 3), "recovery": (20.0, 1)}


def codepipeline_stage_retried(story: Story) -> Wanted:
    execution_of(
        story,
        "cp1",
        "e1-1",
        ("STARTED", "08:50"),
        ("FAILED", "09:05"),
        ("RESUMED", "09:29"),
        ("SUCCEEDED", "09:41"),
    )
    codepipeline(
        story,
        "cp1",
        "e1-1",
        ("STARTED", "09:00"),
        ("FAILED", "09:05"),
        ("STARTED", "09:30"),
        ("SUCCEEDED", "09:40"),
    )
    return {"fail": (0, 1), "rework": (0, 1)}


def codepipeline_other_stage(story: Story) -> Wanted:
    codepipeline(story, "cp2", "e1", ("STARTED", "09:00"), ("FAILED", "09:05"), stage="Staging")
    codepipeline(story, "cp2", "e2", ("STARTED", "09:30"), ("SUCCEEDED", "09:35"), stage="Staging")
    codepipeline(story, "cp2", "e2", ("STARTED", "09:40"), ("SUCCEEDED", "09:50"))
    return {"fail": (0, 1), "rework": (0, 1)}


def codedeploy_alarm_during_a_failed_deploy(story: Story) -> Wanted:
    codedeploy(story, "cdd1", "d-1", ("START", "09:00"), ("SUCCESS", "09:10"))
    codedeploy(story, "cdd1", "d-2", ("START", "10:00"), ("FAILURE", "10:10"))
    codedeploy(story, "cdd1", "d-3", ("START", "10:11"), ("SUCCESS", "10:20"))
    datadog(story, "cdd1", "c9", ("Triggered", "10:05"), ("Recovered", "10:18"))
    return {"fail": (1, 3), "recovery": (15.0, 1), "rework": (0, 3)}


def cdevents_rolled_back(story: Story) -> Wanted:
    cdevent(
        story,
        "service.deployed",
        "cdv1",
        "09:00",
        environment={"id": "production"},
        artifactId="pkg:oci/cdv1@1.0",
        source="/cdv1",
    )
    cdevent(
        story,
        "service.upgraded",
        "cdv1",
        "10:00",
        environment={"id": "production"},
        artifactId="pkg:oci/cdv1@1.1",
        source="/cdv1",
    )
    cdevent(
        story,
        "incident.detected",
        "inc1",
        "10:10",
        environment={"id": "production"},
        service={"id": "cdv1"},
        description="bad",
        source="/cdv1mon",
    )
    cdevent(
        story,
        "service.rolledback",
        "cdv1",
        "10:30",
        environment={"id": "production"},
        artifactId="pkg:oci/cdv1@1.0",
        source="/cdv1",
    )
    cdevent(
        story,
        "incident.resolved",
        "inc1",
        "10:35",
        environment={"id": "production"},
        service={"id": "cdv1"},
        source="/cdv1mon",
    )
    return {"fail": (1, 3), "rework": (1, 3), "recovery": (25.0, 1), "project": "cdv1"}


HISTORIES = {
    "octo1": octopus_retry_and_older_release,
    "octo2": octopus_and_opsgenie,
    "flx1": helm_older_chart,
    "flx2": helm_tried_again,
    "flx3": helm_rolled_back_by_flux,
    "flx6": helm_other_values,
    "flx7": helm_test_fails,
    "flx4": kustomization_of_an_older_commit,
    "nl1": netlify_builds,
    "hero1": heroku_release_phase_fails,
    "hero2": heroku_staging_app,
    "hero3": heroku_config_vars,
    "acme/ver1": vercel_builds,
    "cp1": codepipeline_stage_retried,
    "cp2": codepipeline_other_stage,
    "cdd1": codedeploy_alarm_during_a_failed_deploy,
    "cdv1": cdevents_rolled_back,
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_platform_has_the_values_computed_by_hand(configured, order) -> None:
    assert told_in(order, configured(""), HISTORIES) == {}
