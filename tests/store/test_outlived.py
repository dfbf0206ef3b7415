"""A job that its run left behind is cancelled with the run, in every source and order."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.sources import github_payloads as gh
from tests.sources import gitlab_payloads as gl
from tests.store.tracing import World, custom, from_github, from_gitlab
from vs_tui.model.time import iso

PIPELINE = "vstrace-customhttp-pipeline-default-1"


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


def customs():
    return [
        custom("pipeline", 1, "start", "10:30:00"),
        custom("build", 2, "start", "10:31:00", parentid=PIPELINE),
        custom("pipeline", 1, "end", "10:35:00", error=True),
    ]


def jobs(world: World) -> list[tuple[str, str, str | None]]:
    """(operation, status, end) of all that is below a run, phases included."""
    rows = world.db.execute(
        "SELECT operation, status, ended_at FROM spans WHERE key IN "
        "(SELECT key FROM spans WHERE operation = 'build') OR parent_key IN "
        "(SELECT key FROM spans WHERE operation = 'build') ORDER BY operation, key"
    )
    return [(operation, status, iso(end) if end else None) for operation, status, end in rows]


@pytest.mark.parametrize("story", [github, gitlab, customs])
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
    again = custom("pipeline", 1, "start", "10:40:00")
    for order in permutations([*customs(), again]):
        assert jobs(World().deliver(*order)) == [("build", "in_flight", None)]


def test_what_may_outlive_its_run_is_left_alone() -> None:
    """A deployment has an end of its own, and what begins after the end belongs to another turn."""
    deliveries = [
        *customs(),
        custom("deploy", 3, "start", "10:32:00", parentid=PIPELINE),
        custom("build", 4, "start", "10:36:00", parentid=PIPELINE),
    ]
    world = World().deliver(*deliveries)
    found = dict(world.db.execute("SELECT ref, status FROM spans WHERE operation <> 'stage'"))
    assert found["vstrace-customhttp-build-default-2"] == "cancelled"
    assert found["vstrace-customhttp-deploy-default-3"] == "in_flight"
    assert found["vstrace-customhttp-build-default-4"] == "in_flight"


def test_steps_of_a_job_that_was_left_behind_end_too() -> None:
    deliveries = [
        custom("pipeline", 1, "start", "10:30:00"),
        custom("build", 2, "start", "10:31:00", parentid=PIPELINE),
        custom("stage", 3, "start", "10:32:00", parentid="vstrace-customhttp-build-default-2"),
        custom("pipeline", 1, "end", "10:35:00"),
    ]
    for order in permutations(deliveries):
        found = dict(World().deliver(*order).db.execute("SELECT operation, status FROM spans"))
        assert found == {"pipeline": "ok", "build": "cancelled", "stage": "cancelled"}
