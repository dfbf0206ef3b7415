"""CircleCI: workflows and jobs out of the webhooks that tell of their ends."""

from __future__ import annotations

import hmac
import json

import pytest

from tests.sources.alert_payloads import WORKFLOW, circle
from tests.sources.api_payloads import SHA, post
from tests.sources.webhook_tools import RECEIVED, answers, at, fold_deliveries, offered, sought
from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Event, Status, Verdict
from vs_tui.sources.base import Inbound, Unauthorized, Unreadable
from vs_tui.sources.circleci import SOURCE

BODY = json.dumps(circle()).encode()
PIPELINE = f"vstrace-circleci-pipeline-{WORKFLOW}"


def one(body) -> Event:
    (event,) = SOURCE.parse(post("/circleci", body)).events
    return event


def span_of(body):
    (folded,) = fold_deliveries([SOURCE.parse(post("/circleci", body))]).values()
    return folded.span


def mac(secret=b"s3cret", body=BODY) -> str:
    return hmac.new(secret, body, "sha256").hexdigest()


@pytest.mark.parametrize(
    ("signature", "accepted"),
    [
        (f"v1={mac()}", True),
        (f"v1={mac(b'old')}", True),
        (f"v2=x,v1={mac()}", True),
        (f"v1={mac()}, v2=x", True),
        ("", False),
        (mac(), False),
        (f"v2={mac()}", False),
        (f"v1={mac(b'other')}", False),
        (f"v1={mac()[:-2]}", False),
        (f"v1={mac(body=BODY + b' ')}", False),
        ("v1=é", False),
    ],
)
def test_signature(signature, accepted):
    inbound = Inbound("/circleci", {"circleci-signature": signature}, BODY, RECEIVED)
    if accepted:
        SOURCE.verify(inbound, [b"s3cret", b"old"])
    else:
        with pytest.raises(Unauthorized, match="circleci-signature"):
            SOURCE.verify(inbound, [b"s3cret", b"old"])


@pytest.mark.parametrize(
    ("body", "secret", "signature"),
    [
        (
            b"hello world",
            b"secret",
            "734cc62f32841568f45715aeb9f4d7891324e6d948e4c6c60c0621cdac48623a",
        ),
        (
            b"lalala",
            b"another-secret",
            "daa220016c8f29a8b214fbfc3671aeec2145cfb1e6790184ffb38b6d0425fa00",
        ),
    ],
)
def test_circlecis_published_signature_vectors(body, secret, signature):
    # https://circleci.com/docs/outbound-webhooks/#validate-webhooks
    inbound = Inbound("/circleci", {"circleci-signature": f"v1={signature}"}, body, RECEIVED)
    SOURCE.verify(inbound, [secret])


def test_an_end_is_a_whole_span():
    span = span_of(circle())
    assert (span.key, span.operation, span.name) == (PIPELINE, "pipeline", "ship")
    assert (span.started_at, span.ended_at) == (at("10:00:00"), at("10:20:00"))
    assert (span.status, span.project, span.actor) == (Status.OK, "Acme/cart", "Ann")
    assert (span.attributes["vcs.owner.name"], span.attributes["vcs.repository.name"]) == (
        "Acme",
        "cart",
    )
    assert span.attributes["vcs.ref.head.revision"] == SHA
    assert span.attributes["cicd.pipeline.result"] == "success"


@pytest.mark.parametrize(
    ("status", "expected", "error"),
    [
        ("success", Status.OK, ""),
        ("failed", Status.ERROR, "failure"),
        ("error", Status.ERROR, "error"),
        ("infrastructure_fail", Status.ERROR, "error"),
        ("timedout", Status.ERROR, "timeout"),
        ("canceled", Status.CANCELLED, ""),
        ("unauthorized", Status.CANCELLED, ""),
    ],
)
@pytest.mark.parametrize("kind", ["workflow-completed", "job-completed"])
def test_statuses(kind, status, expected, error):
    span = span_of(circle(kind, status))
    assert (span.status, span.error) == (expected, error)


def test_a_job_is_below_its_workflow():
    job = one(circle("job-completed"))
    assert (job.operation, job.name, job.started_at) == ("build", "unit", at("10:01:00"))
    assert answers(job, one(circle())) == {"structure"}


def test_a_job_that_deploys():
    job = {"name": "deploy-production", "stopped_at": None}
    found = one(circle("job-completed", job=job))
    assert (found.operation, found.service, found.environment) == ("deploy", "cart", "production")
    assert ("artifact", f"cart@{SHA}", "acme/cart") in offered(found)
    # Without a time of its own it ended when the webhook says that it happened.
    assert found.occurred_at == at("10:20:00")


def test_a_tag_names_the_version():
    vcs = {"vcs": {**circle()["pipeline"]["vcs"], "branch": None, "tag": "v1.2.0"}}
    found = one(circle("job-completed", job={"name": "deploy"}, pipeline=vcs))
    assert found.attributes["vs.version"] == "v1.2.0"
    assert found.attributes["vcs.ref.head.type"] == "tag"


def test_what_finds_the_change():
    wishes = sought(one(circle()))
    assert ("change_number", "change", "34", "acme/cart") in wishes
    assert ("commit", "commit", SHA, "acme/cart") in wishes
    assert ("branch", "branch", "feature/cache", "acme/cart") in wishes
    forked = {"vcs": {**circle()["pipeline"]["vcs"], "branch": "pull/35"}}
    assert ("change_number", "change", "35", "acme/cart") in sought(one(circle(pipeline=forked)))


def test_the_github_app_and_gitlab_name_the_commit_elsewhere():
    git = {
        "checkout_sha": SHA,
        "branch": "feature/cache",
        "repo_owner": "Acme",
        "repo_name": "Cart",
        "author_login": "ann",
        "commit_message": "Cache carts (#34)",
        "default_branch": "main",
    }
    body = circle(project={"slug": "circleci/f22b/8499"})
    body["pipeline"]["vcs"] = None
    body["pipeline"]["trigger_parameters"] = {"git": git}
    event = one(body)
    assert (event.project, event.actor) == ("Acme/Cart", "ann")
    assert ("built", SHA, "acme/cart") in offered(event)
    assert ("change_number", "change", "34", "acme/cart") in sought(event)


def test_a_project_that_names_no_repository_goes_by_its_name():
    body = circle(project={"slug": "circleci/f22b/8499"})
    body["pipeline"]["vcs"] = {}
    assert one(body).project == "Acme/cart"
    body["project"]["slug"] = "gh/Acme/Cart"
    assert one(body).project == "Acme/Cart"


@pytest.mark.parametrize("kind", ["ping", "pipeline-started", ""])
def test_other_events_are_ignored(kind):
    parsed = SOURCE.parse(post("/circleci", {"type": kind}))
    assert parsed.verdict is Verdict.IGNORED
    assert parsed.reason


@pytest.mark.parametrize(
    "body",
    [
        circle(workflow={"id": None}),
        circle(status="levitating"),
        circle("job-completed", job={"id": ""}),
        {"type": "workflow-completed"},
    ],
)
def test_undocumented_bodies_are_quarantined(body):
    with pytest.raises(Unreadable, match="completed"):
        SOURCE.parse(post("/circleci", body))


def test_a_second_run_of_a_workflow_is_another_span():
    bodies = [circle(status="failed"), circle(workflow={"id": "again"})]
    found = fold_deliveries([SOURCE.parse(post("/circleci", body)) for body in bodies])
    assert {f.span.duration for f in found.values()} == {20 * MINUTE}
    assert len(found) == 2
