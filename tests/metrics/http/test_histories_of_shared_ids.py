"""em-metrics: ids that two projects gave to different deployments, incidents and pull requests."""

from __future__ import annotations

import pytest

from tests.metrics.http.clock import at
from tests.metrics.http.orders import ORDERS, told_in
from tests.metrics.http.others import EmMetrics
from tests.metrics.http.story import Story, command, items, send
from tests.metrics.http.test_histories import Wanted

TEAMS = """
[teams.red]
projects = ["acme/red"]
[teams.blue]
projects = ["acme/blue"]
"""


def in_one_call(story: Story) -> Wanted:
    """Deployment 77 of each of two projects; the incident of the second names 77: its own."""
    one, two = EmMetrics(story, "acme/one"), EmMetrics(story, "acme/two")
    one.deploy("10:00", key="77", first_commit="08:00")
    two.deploy("10:30", key="77", first_commit="09:00")
    two.incident("x1", "10:40", "11:10", deployment="77")
    return {"project": "acme/two", "fail": (1, 1), "recovery": (30.0, 1), "lead": (1.5, 1)}


def the_other(story: Story) -> Wanted:
    """What the project `acme/one` of that history has: no failure."""
    return {"project": "acme/one", "fail": (0, 1), "recovery": (None, 0), "lead": (2.0, 1)}


def begun(own: EmMetrics, key: str, clock: str) -> None:
    body = {"id": key, "project_id": own.name, "first_commit_at": at("08:00")}
    own.story.add("/deployments", {**body, "deploy_start_at": at(clock)})


def ended_by_id_alone(story: Story) -> Wanted:
    """Both begin, then both are deployed by calls without a project: each ends once."""
    begun(EmMetrics(story, "acme/p3"), "78", "10:00")
    begun(EmMetrics(story, "acme/p4"), "78", "10:05")
    for clock in ("10:20", "10:30"):
        done = {"create_if_not_exists": False, "deployed_at": at(clock)}
        story.add("/deployments/78/deployed", done)
    return {"project": "acme/p3", "fail": (0, 1), "lead": (2.3333, 1), "successes": 1}


def the_second(story: Story) -> Wanted:
    return {"project": "acme/p4", "fail": (0, 1), "lead": (2.5, 1), "successes": 1}


def created_by_deployed(story: Story) -> Wanted:
    """As em-metrics' GitHub action sends it: each call names its project."""
    for project, clock in (("acme/p5", "10:20"), ("acme/p6", "10:40")):
        about = {"project_id": project, "first_commit_at": at("08:20")}
        done = {"create_if_not_exists": "true", "deploy_start_at": at("10:10")} | about
        story.add("/deployments/79/deployed", {**done, "deployed_at": at(clock)})
    return {"project": "acme/p5", "lead": (2.0, 1), "successes": 1}


def incidents(story: Story) -> Wanted:
    """Incident 5 of each of two projects, restored by calls without a project in this order."""
    one, two = EmMetrics(story, "acme/p7"), EmMetrics(story, "acme/p8")
    one.deploy("10:00", key="80")
    two.deploy("10:00", key="81")
    one.incident("5", "10:30", deployment="80")
    two.incident("5", "10:35", deployment="81")
    for clock in ("10:50", "11:35"):
        story.add("/incidents/5/restored", {"date": at(clock)})
    return {"project": "acme/p7", "fail": (1, 1), "recovery": (20.0, 1), "open": 0}


def the_second_incident(story: Story) -> Wanted:
    return {"project": "acme/p8", "fail": (1, 1), "recovery": (60.0, 1), "open": 0}


def spelt_differently(story: Story) -> Wanted:
    """`Acme/P9` and `acme/p9` are one project, so its deployment 82 is one."""
    for project in ("acme/p9", "Acme/P9"):
        EmMetrics(story, project).deploy("10:00", key="82", first_commit="09:00")
    return {"project": "acme/p9", "lead": (1.0, 1), "successes": 1}


def of_another_project(story: Story) -> Wanted:
    """An incident of another project names a deployment whose id only one project has."""
    EmMetrics(story, "p10").deploy("10:00", key="83")
    EmMetrics(story, "p11").incident("6", "10:10", "10:30", deployment="83")
    return {"project": "p10", "fail": (1, 1), "recovery": (20.0, 1)}


HISTORIES = {
    "in one call": in_one_call,
    "the other": the_other,
    "ended by id alone": ended_by_id_alone,
    "the second": the_second,
    "created by deployed": created_by_deployed,
    "incidents": incidents,
    "the second incident": the_second_incident,
    "spelt differently": spelt_differently,
    "of another project": of_another_project,
}


@pytest.mark.parametrize("order", ORDERS)
def test_an_id_of_two_projects_is_two_things(configured, order) -> None:
    server = configured("")
    assert told_in(order, server, HISTORIES) == {}
    command(server, "db", "rebuild")
    assert told_in("none", server, HISTORIES) == {}


def test_a_pull_request_id_of_two_teams_is_two_pull_requests(configured) -> None:
    story = Story()
    for team, clock in (("red", "08:00"), ("blue", "08:30")):
        story.add("/pull-requests", {"id": "34", "team_id": team, "opened_at": at(clock)})
    for clock in ("09:00", "10:30"):
        story.add("/pull-requests/34/merged", {"merged_at": at(clock)})
    server = configured(TEAMS)
    send(server, story.posts)
    _, answer = server.call("/api/spans?filter=kind:pull_request")
    found = {item["team"]: (item["status"], item["duration_s"]) for item in answer["items"]}
    assert found == {"red": ("ok", 3600.0), "blue": ("ok", 7200.0)}


def test_deployments_of_one_id_are_listed_apart(configured) -> None:
    story = Story()
    EmMetrics(story, "acme/one").deploy("10:00", key="77")
    EmMetrics(story, "acme/two").deploy("10:30", key="77")
    server = configured("")
    send(server, story.posts)
    _, listed = server.call("/deployments")
    assert {(d["id"], d["project_id"]) for d in listed} == {("77", "acme/one"), ("77", "acme/two")}
    for project in ("acme/one", "acme/two"):
        status, found = server.call(f"/deployments/77?project_id={project}")
        assert (status, found["project_id"]) == (200, project)
    assert server.call("/deployments/77?project_id=acme/three")[0] == 404
    assert set(items(server)) == {"acme/one", "acme/two"}


@pytest.mark.parametrize(("project", "status"), [("acme/one", 200), ("acme/two", 201)])
def test_deployed_creates_the_deployment_of_its_own_project(configured, project, status) -> None:
    story = Story()
    EmMetrics(story, "acme/one").deploy("10:00", key="77")
    server = configured("")
    send(server, story.posts)
    body = {"create_if_not_exists": True, "project_id": project, "first_commit_at": at("09:00")}
    body |= {"deploy_start_at": at("11:00"), "deployed_at": at("11:10")}
    assert server.call("/deployments/77/deployed", body)[0] == status
