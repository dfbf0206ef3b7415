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


def counted(server, name: str, by: str = "project") -> tuple[int, int]:
    return rate(figure(server, name, FAIL, by=by))


def only(server, kind: str, service: str) -> dict:
    """The one span of this kind of a service."""
    (found,) = [s for s in server.spans(f"&filter=kind:{kind}") if s["service"] == service]
    return found


def linked(server, service: str) -> list[str]:
    return [link["parent"] for link in only(server, "incident", service)["links"]]


@pytest.mark.parametrize("version", ["", "2"])
def test_a_cut_of_the_link_takes_the_failure_back_and_its_undoing_brings_it_again(
    receiver, version
) -> None:
    story = Story()
    own = Script(story, f"acme/cut{version}")
    own.deploy("09:00", version="1", key="first")
    own.deploy("10:00", version="2", key="second")
    alertmanager(story, own.service, "10:30", "10:50", **({"version": version} if version else {}))
    story.tell(receiver)
    incident, (deploy,) = only(receiver, "incident", own.service), linked(receiver, own.service)
    assert deploy.endswith("second")
    assert counted(receiver, own.name) == (1, 2)
    decide(receiver, "cut", incident["span_id"], deploy)
    assert linked(receiver, own.service) == []
    assert counted(receiver, own.name) == (0, 2), "the deployment before is innocent as well"
    assert figure(receiver, own.name, RECOVERY)["n"] == 0
    decide(receiver, "clear", incident["span_id"], deploy)
    assert linked(receiver, own.service) == [deploy]
    assert counted(receiver, own.name) == (1, 2)
    assert figure(receiver, own.name, RECOVERY)["n"] == 1


def test_a_cut_of_a_failed_test_takes_the_failure_back(receiver) -> None:
    story = Story()
    own = Script(story, "acme/cut-test")
    own.deploy("09:00", version="1", key="tested")
    own.span("test", "09:09", "09:10", False, version="1")
    story.tell(receiver)
    test = only(receiver, "test", own.service)
    assert counted(receiver, own.name) == (1, 1)
    decide(receiver, "cut", test["span_id"], test["parent_span_id"])
    assert counted(receiver, own.name) == (0, 1)
    decide(receiver, "clear", test["span_id"], test["parent_span_id"])
    assert counted(receiver, own.name) == (1, 1)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("sender", ["alertmanager", "pagerduty"])
def test_an_alert_that_knows_no_repository_is_about_production_before_a_later_staging(
    receiver, sender, reverse
) -> None:
    """A tier that a tool states counts, whatever the environment is called."""
    story = Story()
    own = Script(story, f"acme/placeless-{sender}-{reverse}".lower())
    tier = {"vs.environment.tier": "production"}
    own.deploy("09:00", version="1", key="live", environment="blue", **tier)
    own.deploy("10:00", version="2", key="staged", environment="staging")
    if sender == "alertmanager":
        alertmanager(story, own.service, "10:30", environment="")
    else:
        pagerduty(story, own.service, "10:30")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert [key.rpartition("-")[2] for key in linked(receiver, own.service)] == ["live"]
    assert counted(receiver, own.name) == (1, 1)


class Shop(Plyzen):
    """A product of artifacts, which are told with the advanced schema."""

    def brought(self, number: int, clock: str, product: str, **versions: str) -> None:
        parts = [(f"{self.name}-{name}", version, "") for name, version in versions.items()]
        self.advanced(
            f"{self.name}-{number}", "deploy", clock, clock, artifacts=parts, product=product
        )

    def about(self, activity: str, artifact: str, *times: str, **more: str) -> None:
        self.activity(activity, *times, artifact=f"{self.name}-{artifact}", **more)


@pytest.mark.parametrize("product", ["store", ""])
@pytest.mark.parametrize("version", ["1", ""])
@pytest.mark.parametrize("reverse", [False, True])
def test_plyzen_an_alarm_of_an_artifact_is_the_product_deployments(
    receiver, product, version, reverse
) -> None:
    story = Story()
    own = Shop(story, f"alarmed-{product}-{version}-{reverse}".lower())
    own.brought(1, "10:00", product, auth="1", ui="1")
    own.brought(2, "10:10", product, ui="2", db="1")
    own.about("alarm", "auth", "10:20", "10:50", version=version)
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert counted(receiver, own.name) == (1, 2)
    (deploy,) = linked(receiver, f"{own.name}-auth".lower())
    assert deploy.endswith(f"{own.name}-1")
    assert counted(receiver, f"{own.name}-auth", by="service") == (1, 1)
    assert counted(receiver, f"{own.name}-ui", by="service") == (0, 2)
    assert figure(receiver, own.name, RECOVERY)["value"] == 30 * 60


@pytest.mark.parametrize("reverse", [False, True])
def test_plyzen_an_alarm_finds_an_artifact_that_was_deployed_without_a_version(
    receiver, reverse
) -> None:
    story = Story()
    own = Shop(story, f"Bare-{reverse}")
    own.brought(1, "10:00", f"{own.name} store", auth="", ui="2")
    own.about("alarm", "auth", "10:20", "10:50")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert counted(receiver, own.name) == (1, 1)
    (deploy,) = linked(receiver, f"{own.name}-auth".lower())
    assert deploy.endswith(f"{own.name}-1")


@pytest.mark.parametrize("reverse", [False, True])
def test_plyzen_a_test_of_an_artifact_is_the_product_deployments(receiver, reverse) -> None:
    story = Story()
    own = Shop(story, f"tested-{reverse}".lower())
    own.brought(1, "10:00", "store", auth="1", ui="1")
    own.about("smoke-test", "auth", "10:04", "10:05", "failure")
    own.about("smoke-test", "auth", "10:19", "10:20")
    send(receiver, reversed(story.posts) if reverse else story.posts)
    assert counted(receiver, own.name) == (1, 1)
    assert counted(receiver, f"{own.name}-auth", by="service") == (1, 1)
    assert counted(receiver, f"{own.name}-ui", by="service") == (0, 1)
    assert figure(receiver, own.name, RECOVERY)["value"] == 15 * 60


def test_plyzen_an_artifact_that_is_deployed_alone_has_its_own_alarms(receiver) -> None:
    story = Story()
    own = Shop(story, "alone")
    own.brought(1, "10:00", "alone-store", auth="1", ui="1")
    own.deploy("10:10", artifact="alone-auth", version="2")
    own.about("alarm", "auth", "10:20", "10:50", version="")
    story.tell(receiver)
    assert counted(receiver, own.name) == (1, 2)
    assert counted(receiver, "alone-store", by="product") == (0, 1)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_an_alert_whose_start_moves_is_one_incident_of_one_deployment(receiver, order) -> None:
    """Two Prometheus servers state different starts; a deployment ended between them."""
    story = Story()
    name = "".join(map(str, order))
    own = Script(story, f"moving-{name}")
    own.deploy("10:00", version="1", key=f"{name} first")
    own.deploy("10:20", version="2", key=f"{name} second")
    alertmanager(story, own.service, "10:22")
    alertmanager(story, own.service, "10:18", "10:50")
    before = items(receiver, by="all")[""]["beside"]["incidents"] if order[0] else 0
    deploys, alerts = story.posts[:4], story.posts[4:]
    send(receiver, deploys)
    send(receiver, [alerts[number] for number in order])
    assert only(receiver, "incident", own.service)["started_at"].startswith("2026-03-02T10:18")
    (deploy,) = linked(receiver, own.service)
    assert deploy.endswith("first")
    assert counted(receiver, own.name) == (1, 2)
    assert figure(receiver, own.name, RECOVERY)["value"] == 32 * 60
    assert not before or items(receiver, by="all")[""]["beside"]["incidents"] == before + 1
