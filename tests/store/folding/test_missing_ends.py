"""A job that its run left behind is cancelled with the run, in every source and order."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.sources import alert_payloads as ap
from tests.sources import deploy_payloads as az
from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.sources.api_payloads import binary, cdevent
from tests.sources.webhook_tools import at
from tests.store.tracing import World, custom, from_github, from_gitlab, posted, sent
from vs_tui.model.time import iso
from vs_tui.model.vocabulary import State
from vs_tui.sources import cdevents as cdevents_source


def github(run_end: str = "10:35:00", conclusion: str = "startup_failure"):
    return [
        from_github("workflow_run", gh.run("requested", "10:30:00")),
        from_github("workflow_job", gh.job("queued")),
        from_github("workflow_run", gh.run("completed", run_end, conclusion=conclusion)),
    ]


def gitlab(status: str = "canceled"):
    return [
        from_gitlab(gl.pipeline("running", builds=[gl.build(900, "pending")])),
        from_gitlab(gl.job_hook("pending")),
        from_gitlab(gl.pipeline(status, "10:35:00")),
    ]


def cdevents():
    run = {"pipelineRun": {"id": "run-1", "source": "/ci"}}
    return [
        from_cdevents("pipelinerun.started", "run-1", "10:30:00"),
        from_cdevents("taskrun.started", "t-1", "10:31:00", {"taskName": "unit", **run}),
        from_cdevents("pipelinerun.finished", "run-1", "10:35:00", {"outcome": "error"}),
    ]


def gitea():
    told = [("workflow_run", gh.run("requested", "10:30:00")), ("workflow_job", gh.job("queued"))]
    told.append(("workflow_run", gh.run("completed", "10:35:00", conclusion="cancelled")))
    return [posted("gitea", body, **{"x-gitea-event": event}) for event, body in told]


def buildkite():
    began = {"started_at": gh.stamp("10:31:00")}
    running = ap.kite_build("running", **began)
    ended = ap.kite_build("canceled", finished_at=gh.stamp("10:35:00"), **began)
    told = [("build.running", running), ("job.scheduled", running, ap.kite_job("scheduled"))]
    told.append(("build.finished", ended))
    return [posted("buildkite", ap.kite(*each), **{"x-buildkite-event": each[0]}) for each in told]


def gitlab_deploy():
    """A job that is cancelled takes its deploy along, which failed nothing."""
    return [
        from_gitlab(gl.job_hook("running", "10:31:00")),
        from_gitlab(gl.deployment("running", "10:31:00", deployable_id=900)),
        from_gitlab(gl.job_hook("canceled", "10:31:00", "10:35:00")),
    ]


def azure_deploy():
    names = {"name": "Deploy_production", "displayName": "Deploy production"}
    end = {"finishedDate": gh.stamp("10:35:00")}
    bodies = [
        az.azure_run("10:30:00", "inProgress"),
        az.azure_part("stage", "10:31:00", "running", startTime=gh.stamp("10:31:00"), **names),
        az.azure_run("10:35:00", "completed", "canceled", **end),
    ]
    return [posted("azure", body) for body in bodies]


def from_cdevents(*told):
    event = cdevent(*told)
    event["context"]["source"] = event["subject"]["source"] = "/ci"
    return sent(cdevents_source.SOURCE, binary(event))


def jobs(world: World) -> list[tuple[str, str, str | None]]:
    """(operation, status, end) of all that is below a run, phases included."""
    rows = world.db.execute(
        "SELECT operation, status, ended_at FROM spans WHERE key IN "
        "(SELECT key FROM spans WHERE operation = 'build') OR parent_key IN "
        "(SELECT key FROM spans WHERE operation = 'build') ORDER BY operation, key"
    )
    return [(operation, status, iso(end) if end else None) for operation, status, end in rows]


@pytest.mark.parametrize("story", [gitlab_deploy, azure_deploy])
def test_a_deploy_is_cancelled_with_its_job_in_any_order(story) -> None:
    deliveries = story()
    expected = World().deliver(*deliveries)
    sql = "SELECT status FROM spans WHERE operation = 'deploy'"
    assert expected.db.execute(sql).fetchall() == [("cancelled",)]
    for order in permutations(deliveries):
        assert World().deliver(*order).rows() == expected.rows()
    assert expected.rebuild().rows() == World().deliver(*deliveries).rows()


@pytest.mark.parametrize("story", [github, gitlab, cdevents, gitea, buildkite])
def test_a_job_that_still_runs_ends_with_its_run_in_any_order(story) -> None:
    deliveries = story()
    expected = World().deliver(*deliveries)
    found = jobs(expected)
    assert found
    assert {row[1:] for row in found} == {("cancelled", "2026-03-02T10:35:00Z")}
    for order in permutations(deliveries):
        assert World().deliver(*order).rows() == expected.rows()
    assert World().deliver(deliveries).rows() == expected.rows()
    assert expected.rebuild().rows() == World().deliver(*deliveries).rows()


def test_what_is_told_of_the_job_later_counts() -> None:
    late = from_github("workflow_job", gh.job("completed"))
    deliveries = github()
    for order in permutations([*deliveries, late]):
        build = jobs(World().deliver(*order))[0]
        assert build == ("build", "ok", "2026-03-02T10:35:00Z")


def test_a_job_goes_on_with_a_run_that_is_opened_again() -> None:
    again = from_gitlab(gl.pipeline("running", started_at=gl.stamp("10:40:00")))
    world = World().deliver(*gitlab())
    assert jobs(world)[0][1] == "cancelled"
    key = "SELECT key FROM spans WHERE operation = 'pipeline'"
    (pipeline,) = world.db.execute(key).fetchone()
    reopened = again.events[0]._replace(
        key=pipeline, state=State.RUNNING, occurred_at=at("10:40:00"), supersedes=True
    )
    for order in permutations([*gitlab(), again._replace(events=(reopened,), dedupe="id:x")]):
        assert jobs(World().deliver(*order))[0] == ("build", "in_flight", None)


def test_what_a_script_started_may_end_after_it() -> None:
    """And a deployment has an end of its own."""
    pipeline = "vstrace-customhttp-pipeline-default-1"
    deliveries = [
        custom("pipeline", 1, "start", "10:30:00"),
        custom("build", 2, "start", "10:31:00", parentid=pipeline),
        custom("deploy", 3, "start", "10:32:00", parentid=pipeline),
        custom("pipeline", 1, "end", "10:35:00", error=True),
    ]
    found = dict(World().deliver(*deliveries).db.execute("SELECT operation, status FROM spans"))
    assert found == {"pipeline": "error", "build": "in_flight", "deploy": "in_flight"}
