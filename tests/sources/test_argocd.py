"""Argo CD: a sync is a deploy that ends when the application is healthy."""

from __future__ import annotations

import pytest

from tests.sources.api_payloads import SHA, post, stamp
from tests.sources.deploy_payloads import argo
from tests.sources.webhook_tools import RECEIVED, at, fold_deliveries, offered, sought
from vs_tui.model.vocabulary import Status
from vs_tui.sources.argocd import SOURCE
from vs_tui.sources.base import BadBody, Unauthorized


def parse(body):
    return SOURCE.parse(post("/argocd", body))


def only(*bodies):
    (folded,) = fold_deliveries([parse(body) for body in bodies]).values()
    return folded


def test_it_proves_itself_by_the_token_only():
    with pytest.raises(Unauthorized, match="token"):
        SOURCE.verify(post("/argocd", {}), [b"x"])


def test_a_sync_rolls_out_until_the_application_is_healthy():
    bodies = [
        argo("Running"),
        argo("Succeeded", "Progressing"),
        argo("Succeeded", "Healthy", healthAt=stamp("10:03:00")),
    ]
    found = only(*reversed(bodies))
    span = found.span
    assert (span.operation, span.status) == ("deploy", Status.OK)
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:03:00"))
    assert [(s.name, s.started_at, s.ended_at) for s in found.stages] == [
        ("syncing", at("10:00:00"), at("10:01:00")),
        ("rolling out", at("10:01:00"), at("10:03:00")),
    ]
    assert (span.service, span.environment, span.name) == ("cart", "prod", "cart to prod")
    assert (span.project, span.actor) == ("Acme/deployments", "ann")
    assert span.url == "https://argocd.example/applications/cart-prod"
    assert span.attributes["vs.version"] == "1.4.2"
    assert span.attributes["deployment.status"] == "succeeded"
    assert only(*bodies[:2]).span.status is Status.IN_FLIGHT


@pytest.mark.parametrize(
    ("phase", "health", "more", "status", "error", "ended"),
    [
        ("Succeeded", "Healthy", {}, Status.OK, "", "10:01:00"),
        # Healthy since before the sync: nothing changed that had to become healthy.
        ("Succeeded", "Healthy", {"healthAt": stamp("09:00:00")}, Status.OK, "", "10:01:00"),
        ("Failed", "Healthy", {}, Status.ERROR, "failure", "10:01:00"),
        ("Error", "", {}, Status.ERROR, "error", "10:01:00"),
        (
            "Succeeded",
            "Degraded",
            {"healthAt": stamp("10:11:00")},
            Status.ERROR,
            "degraded",
            "10:11:00",
        ),
        ("Succeeded", "Suspended", {}, Status.OK, "", "10:01:00"),
        ("Succeeded", "Missing", {}, Status.IN_FLIGHT, "", None),
        ("Running", "Degraded", {}, Status.IN_FLIGHT, "", None),
        ("Terminating", "Healthy", {}, Status.IN_FLIGHT, "", None),
    ],
)
def test_phases_and_health(phase, health, more, status, error, ended):
    span = only(argo(phase, health, **more)).span
    assert (span.status, span.error) == (status, error)
    assert span.ended_at == (at(ended) if ended else None)


def test_what_degrades_after_it_was_healthy_stays_deployed():
    healthy = argo("Succeeded", "Healthy", healthAt=stamp("10:03:00"))
    later = argo("Succeeded", "Degraded", healthAt=stamp("18:00:00"))
    assert only(later, healthy).span.status is Status.OK


def test_each_sync_is_a_deploy():
    assert len(fold_deliveries([parse(argo()), parse(argo(startedAt=stamp("11:00:00")))])) == 2
    bare = [argo(startedAt=None), argo(startedAt=None, revision="f" * 40)]
    found = fold_deliveries([parse(body) for body in bare])
    assert len(found) == 2
    assert all(folded.span.started_at is None for folded in found.values())


@pytest.mark.parametrize(
    ("changes", "environment"),
    [
        ({"environment": "live"}, "live"),
        ({"app": "cart-staging"}, "staging"),
        ({"app": "cart", "namespace": "shop-qa"}, "qa"),
        ({"app": "cart", "namespace": "shop"}, "shop"),
        ({"app": "cart", "namespace": None}, "https://kubernetes.default.svc"),
    ],
)
def test_environments(changes, environment):
    assert only(argo(**changes)).span.environment == environment


def test_images_and_revision_find_the_build():
    images = [f"registry.example/acme/cart:{SHA}", "redis:7", "bare", None, "", {"name": 1}, 7]
    (event,) = parse(argo(images=images)).events
    wishes = sought(event)
    assert ("version", "artifact", f"cart@{SHA}", "") in wishes
    assert ("built", "built", SHA, "") in wishes
    assert ("built", "built", SHA, "acme/deployments") in wishes
    assert ("artifact", f"cart@{SHA}", "") in offered(event)
    assert ("artifact", "redis@7", "") in offered(event)
    assert event.attributes["vs.version"] == SHA
    told = {key.value: key.via for key in event.offers}
    # The next deploy may have the same side-car: it says nothing of the whole.
    assert (told[f"cart@{SHA}"], told["redis@7"]) == ("version", "part")
    chart = parse(argo(images=None, revision="1.2.3")).events[0]
    assert chart.attributes["vs.version"] == "1.2.3"
    assert "vcs.ref.head.revision" not in chart.attributes


@pytest.mark.parametrize(
    ("images", "version"),
    [
        (["acme/cart:1.4", "envoy:2"], "1.4"),
        (["envoy:2", "acme/cart:1.4"], "1.4"),
        (["envoy:2", "acme/cart-prod:1.5"], "1.5"),
        (["acme/other:7"], "7"),
        (["envoy:2", "acme/other:7"], SHA),
        ([], SHA),
    ],
)
def test_the_version_is_that_of_its_own_image_not_of_a_side_car(images, version):
    assert only(argo(images=images)).span.attributes["vs.version"] == version


def test_what_argo_cd_does_not_know_is_null():
    names = ("appNamespace", "project", "health", "revision", "repository", "images", "cluster")
    empty = dict.fromkeys((*names, "namespace", "environment", "service", "user", "url"))
    span = only(argo("Running", **empty)).span
    assert (span.service, span.name, span.environment) == ("cart", "cart to prod", "prod")
    assert span.started_at == at("10:00:00")


@pytest.mark.parametrize(
    ("app", "environment", "service"),
    [
        ("cart-prod", None, "cart"),
        ("Staging_cart", None, "cart"),
        ("cart-pre-prod", None, "cart"),
        ("prod", None, "prod"),
        ("cart", None, "cart"),
        # Its label says where, so that the name says what.
        ("dev-portal", "prod", "dev-portal"),
    ],
)
def test_an_application_that_is_called_by_its_environment_is_that_service_there(
    app, environment, service
):
    span = only(argo(app=app, environment=environment, service=None)).span
    assert span.service == service


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (argo(app=None), "app"),
        (argo(phase=""), "phase"),
        (argo(startedAt="then"), "startedAt"),
        (argo(startedAt=None, revision=None), "startedAt"),
        (argo(images="cart:1"), "images"),
        ({"message": "Application cart is now running"}, "app"),
    ],
)
def test_what_another_template_made_names_the_field(body, field):
    with pytest.raises(BadBody) as refusal:
        parse(body)
    assert refusal.value.field == field


def test_long_messages_are_cut_and_only_web_addresses_shown():
    span = only(argo("Failed", message="x" * 5_000, url="javascript:alert(1)")).span
    assert len(span.attributes["vs.error.message"]) == 500
    assert span.url == ""


def test_no_times_are_the_time_of_arrival():
    span = only(argo("Failed", finishedAt=None)).span
    assert span.ended_at == RECEIVED
