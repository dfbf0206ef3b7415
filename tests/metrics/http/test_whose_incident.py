"""One decision says which deployment an incident is about: the trace links it there, the number
counts it there, and a person can say otherwise."""

import json

import pytest

from tests.metrics.http.others import Plyzen, Script, alertmanager, pagerduty
from tests.metrics.http.story import FAIL, RECOVERY, Story, figure, items, rate, send


def decide(server, action: str, child: str, parent: str) -> None:
    body = {"action": action, "child": child, "parent": parent}
    status, answer = server.call("/api/links", json.dumps(body).encode())
    assert status == 200, answer


def counted(server, name: str) -> tuple[int, int]:
    return rate(figure(server, name, FAIL))


@pytest.mark.parametrize("version", ["", "2"])
def test_a_cut_of_the_link_takes_the_failure_back_and_its_undoing_brings_it_again(
    configured, version
) -> None:
    story = Story()
    own = Script(story, "acme/cut")
    own.deploy("09:00", version="1", key="first")
    own.deploy("10:00", version="2", key="second")
    alertmanager(story, own.service, "10:30", "10:50", **({"version": version} if version else {}))
    story.tell(server := configured(""))

    def linked() -> list[str]:
        (incident,) = server.spans("&filter=kind:incident")
        return [link["parent"] for link in incident["links"]]

    (incident,) = server.spans("&filter=kind:incident")
    (deploy,) = linked()
    assert deploy.endswith("second")
    assert counted(server, own.name) == (1, 2)
    decide(server, "cut", incident["span_id"], deploy)
    assert linked() == []
    assert counted(server, own.name) == (0, 2), "the deployment before is innocent as well"
    assert figure(server, own.name, RECOVERY)["n"] == 0
    decide(server, "clear", incident["span_id"], deploy)
    assert linked() == [deploy]
    assert counted(server, own.name) == (1, 2)
    assert figure(server, own.name, RECOVERY)["n"] == 1


def test_a_cut_of_a_failed_test_takes_the_failure_back(configured) -> None:
    story = Story()
    own = Script(story, "acme/cut-test")
    own.deploy("09:00", version="1", key="tested")
    own.span("test", "09:09", "09:10", False, version="1")
    story.tell(server := configured(""))
    (test,) = server.spans("&filter=kind:test")
    assert counted(server, own.name) == (1, 1)
    decide(server, "cut", test["span_id"], test["parent_span_id"])
    assert counted(server, own.name) == (0, 1)
    decide(server, "clear", test["span_id"], test["parent_span_id"])
    assert counted(server, own.name) == (1, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sender", ["alertmanager", "pagerduty"])
def test_an_alert_that_knows_no_repository_is_about_production_before_a_later_staging(
    configured, sender, reverse
) -> None:
    """A tier that a tool states counts, whatever the environment is called."""
    story = Story()
    own = Script(story, "acme/placeless")
    tier = {"vs.environment.tier": "production"}
    own.deploy("09:00", version="1", key="live", environment="blue", **tier)
    own.deploy("10:00", version="2", key="staged", environment="staging")
    if sender == "alertmanager":
        alertmanager(story, own.service, "10:30", environment="")
    else:
        pagerduty(story, own.service, "10:30")
    server = configured("")
    send(server, reversed(story.posts) if reverse else story.posts)
    (incident,) = server.spans("&filter=kind:incident")
    assert [link["parent"].rpartition("-")[2] for link in incident["links"]] == ["live"]
    assert counted(server, own.name) == (1, 1)


PARTS = [("auth", "1", ""), ("ui", "1", "")]


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("version", ["1", ""])
@pytest.mark.parametrize("reverse", [False, True])
def test_plyzen_an_alarm_of_an_artifact_is_the_product_deployments(
    configured, named, version, reverse
) -> None:
    story = Story()
    own = Plyzen(story, "shop")
    product = "store" if named else ""
    own.advanced("c-1", "deploy", "09:59", "10:00", artifacts=PARTS, product=product)
    later = [("ui", "2", "")]
    own.advanced(
        "c-2", "deploy", "10:09", "10:10", artifacts=[*later, ("db", "1", "")], product=product
    )
    own.activity("alarm", "10:20", "10:50", artifact="auth", version=version)
    server = configured("")
    send(server, reversed(story.posts) if reverse else story.posts)
    assert counted(server, own.name) == (1, 2)
    (incident,) = server.spans("&filter=kind:incident")
    assert [link["parent"].rpartition("-c-")[2] for link in incident["links"]] == ["1"]
    assert rate(figure(server, "auth", FAIL, by="service")) == (1, 1)
    assert rate(figure(server, "ui", FAIL, by="service")) == (0, 2)
    assert figure(server, own.name, RECOVERY)["value"] == 30 * 60


@pytest.mark.parametrize("reverse", [False, True])
def test_plyzen_a_test_of_an_artifact_is_the_product_deployments(configured, reverse) -> None:
    story = Story()
    own = Plyzen(story, "shop")
    own.advanced("c-1", "deploy", "09:59", "10:00", artifacts=PARTS, product="store")
    own.activity("smoke-test", "10:04", "10:05", "failure", artifact="auth")
    own.activity("smoke-test", "10:19", "10:20", artifact="auth")
    server = configured("")
    send(server, reversed(story.posts) if reverse else story.posts)
    assert counted(server, own.name) == (1, 1)
    assert rate(figure(server, "auth", FAIL, by="service")) == (1, 1)
    assert rate(figure(server, "ui", FAIL, by="service")) == (0, 1)
    assert figure(server, own.name, RECOVERY)["value"] == 15 * 60


def test_plyzen_an_artifact_that_is_deployed_alone_has_its_own_alarms(configured) -> None:
    story = Story()
    own = Plyzen(story, "shop")
    own.advanced("c-1", "deploy", "09:59", "10:00", artifacts=PARTS, product="store")
    own.deploy("10:10", artifact="auth", version="2")
    own.activity("alarm", "10:20", "10:50", artifact="auth", version="")
    story.tell(server := configured(""))
    assert counted(server, own.name) == (1, 2)
    assert rate(figure(server, "store", FAIL, by="product")) == (0, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_an_alert_whose_start_moves_is_one_incident_of_one_deployment(configured, order) -> None:
    """Two Prometheus servers state different starts; a deployment ended between them."""
    story = Story()
    own = Script(story, "moving")
    own.deploy("10:00", version="1", key="first")
    own.deploy("10:20", version="2", key="second")
    alertmanager(story, own.service, "10:22")
    alertmanager(story, own.service, "10:18", "10:50")
    deploys, alerts = story.posts[:4], story.posts[4:]
    server = configured("")
    send(server, deploys)
    send(server, [alerts[number] for number in order])
    (incident,) = server.spans("&filter=kind:incident")
    assert incident["started_at"].startswith("2026-03-02T10:18")
    assert [link["parent"].rpartition("-")[2] for link in incident["links"]] == ["first"]
    assert counted(server, own.name) == (1, 2)
    assert figure(server, own.name, RECOVERY)["value"] == 32 * 60
    assert items(server, by="all")[""]["beside"]["incidents"] == 1
