"""Traces across the API, alert, CI and deploy tools, without any id passed by hand, in any order,
and the same after a rebuild."""

from __future__ import annotations

import random

import pytest

from tests.sources import alert_payloads as al
from tests.sources import api_payloads as api
from tests.sources import deploy_payloads as dp
from tests.sources import github_payloads as gh
from tests.store.tracing import World, from_github, posted, sent
from vs_tui.sources.dispatch import sources

IMAGE = f"registry.example/acme/cart:{gh.MERGE}"


def azure() -> list:
    return [sent(sources()["azure"], delivery) for delivery in dp.azure_story()]


def github_and_others() -> list:
    """An issue and its pull request; CircleCI and Buildkite build it, Argo CD ships what was
    built, an alert names the version, PagerDuty the service."""
    vcs = {**al.circle()["pipeline"]["vcs"], "branch": "main", "revision": gh.MERGE}
    vcs["target_repository_url"] = "https://github.com/acme/api"
    pipeline = {"vcs": vcs}
    kite = al.kite(
        "build.finished",
        al.kite_build(
            "passed",
            commit=gh.HEAD_1,
            pull_request=None,
            message="wip",
            started_at=api.stamp("10:20:30"),
            finished_at=api.stamp("10:25:00"),
            created_at=api.stamp("10:20:00"),
            scheduled_at=api.stamp("10:20:00"),
        ),
    )
    kite["pipeline"]["repository"] = "git@github.com:acme/api.git"
    shipped = {"startedAt": api.stamp("12:00:00"), "finishedAt": api.stamp("12:01:00")}
    page = al.pager("incident.triggered", "12:20:00", created_at=api.stamp("12:20:00"))
    page["event"]["data"]["title"] = "Checkout fails"
    alert = al.alert(start="12:10:00", version=gh.MERGE)
    return [
        from_github("issues", gh.issue("opened")),
        from_github("pull_request", gh.pull("opened", body="Closes #12")),
        from_github("pull_request", gh.merged(body="Closes #12")),
        posted("buildkite", kite),
        posted("circleci", al.circle(pipeline=pipeline)),
        posted("circleci", al.circle("job-completed", pipeline=pipeline)),
        posted("argocd", dp.argo(images=[IMAGE], repository=None, revision=None, **shipped)),
        posted("alertmanager", al.alerts(alert)),
        posted("pagerduty", page),
    ]


def cdevents() -> list:
    return [sent(sources()["cdevents"], delivery) for delivery in api.cdevents_story()]


def otlp() -> list:
    resource = {**api.RESOURCE, "vcs.repository.url.full": "https://github.com/acme/api"}
    resource |= {"vcs.ref.head.revision": gh.HEAD_1, "vcs.ref.head.name": "main"}
    pipeline = api.otlp_span(start="10:20:00", attributes={"cicd.pipeline.name": "ship"})
    job = api.otlp_span(
        api.CHILD, api.ROOT, "10:21:00", attributes={"cicd.pipeline.task.name": "unit"}
    )
    return [
        from_github("pull_request", gh.pull("opened", body="")),
        *(posted("otlp", api.otlp(span, resource=resource)) for span in (job, pipeline)),
    ]


def emmetrics() -> list:
    return [sent(sources()["emmetrics"], delivery) for delivery in api.emmetrics_story()]


STORIES = {
    "azure": azure(),
    "github and others": github_and_others(),
    "cdevents": cdevents(),
    "otlp": otlp(),
}


def traces(world: World) -> list[set[str]]:
    """The operations of each trace."""
    found: dict[str, set[str]] = {}
    for trace, operation in world.db.execute(
        "SELECT trace_id, operation FROM spans WHERE derived = 0"
    ):
        found.setdefault(trace, set()).add(operation)
    return sorted(found.values(), key=len, reverse=True)


def parents(world: World) -> dict[str, str]:
    sql = (
        "SELECT s.operation || ' of ' || s.source, p.operation || ' of ' || p.source "
        "FROM spans s JOIN spans p ON p.key = s.parent_key WHERE s.derived = 0"
    )
    return dict(world.db.execute(sql))


@pytest.mark.parametrize("name", STORIES)
def test_the_order_changes_nothing_and_a_rebuild_neither(name):
    story = STORIES[name]
    expected = World().deliver(*story).rows()
    for seed in range(12):
        order = random.Random(seed).sample(story, len(story))
        world = World().deliver(*order)
        assert world.rows() == expected
    assert World().deliver(*story).rebuild().rows() == expected


def test_azure_from_the_work_item_to_production():
    world = World().deliver(*STORIES["azure"])
    found = parents(world)
    assert found["pull_request of azure"] == "issue of azure"
    assert found["pipeline of azure"] == "pull_request of azure"
    assert found["build of azure"] == "stage of azure"
    (whole,) = traces(world)
    assert {"issue", "pull_request", "push", "pipeline", "stage", "build", "deploy"} <= whole


def test_a_delivery_across_six_tools():
    world = World().deliver(*STORIES["github and others"])
    found = parents(world)
    assert found["pull_request of github"] == "issue of github"
    assert found["pipeline of buildkite"] == "pull_request of github"
    assert found["pipeline of circleci"] == "pull_request of github"
    assert found["build of circleci"] == "pipeline of circleci"
    assert found["deploy of argocd"] in ("pull_request of github", "pipeline of circleci")
    assert found["incident of alertmanager"] == "deploy of argocd"
    whole = traces(world)[0]
    assert {"issue", "pull_request", "pipeline", "build", "deploy", "incident"} == whole


def test_the_image_of_a_repository_with_capitals_is_its_release():
    """An image can only be called in lower case."""
    release = gh.release() | {"repository": gh.repo("Acme/Cart")}
    shipped = dp.argo(images=["registry.example/acme/cart:v1.2.0"], repository=None, revision=None)
    for order in (1, -1):
        deliveries = [from_github("release", release), posted("argocd", shipped)][::order]
        found = parents(World().deliver(*deliveries))
        assert found == {"deploy of argocd": "release of github"}


def test_an_alert_meets_the_deploy_of_a_repository_with_capitals():
    """Kubernetes' names, which labels are made of, are in lower case."""
    body = gh.deploy_status("success", "11:48:00", id=77) | {"repository": gh.repo("Acme/Cart")}
    deliveries = [
        from_github("deployment_status", body),
        posted("alertmanager", al.alerts(al.alert(start="12:10:00"))),
    ]
    for order in (1, -1):
        world = World().deliver(*deliveries[::order])
        assert [*world.links().values()] == ["proximity"]


def test_a_pull_request_in_github_names_a_work_item_in_azure():
    pull = gh.pull("opened", title="Cache carts, fixes AB#12", body="")
    item = posted("azure", dp.azure_item("created", "08:00:00"))
    for order in (
        [from_github("pull_request", pull), item],
        [item, from_github("pull_request", pull)],
    ):
        assert parents(World().deliver(*order)) == {"pull_request of github": "issue of azure"}


def test_cdevents_hang_together_by_their_chain():
    world = World().deliver(*STORIES["cdevents"])
    found = parents(world)
    assert found["pull_request of cdevents"] == "issue of cdevents"
    assert found["incident of cdevents"] == "deploy of cdevents"
    assert len(traces(world)) == 1


def test_otlps_root_is_below_its_change():
    world = World().deliver(*STORIES["otlp"])
    found = parents(world)
    assert found["build of otlp"] == "pipeline of otlp"
    assert found["pipeline of otlp"] == "pull_request of github"


def test_em_metrics_incident_is_below_its_deployment():
    world = World().deliver(*emmetrics())
    found = parents(world)
    assert found["incident of emmetrics"] == "deploy of emmetrics"
    assert found["review of emmetrics"] == "pull_request of emmetrics"
