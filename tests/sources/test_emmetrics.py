"""em-metrics: its calls, its defaults, and what it requires to exist."""

from __future__ import annotations

import json

import pytest

from tests.sources.api_payloads import deployment, emmetrics_story, post, stamp
from tests.sources.webhook_tools import RECEIVED, answers, at, fold_all, fold_deliveries
from vs_tui.config import ConfigError, load
from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Status
from vs_tui.sources.base import BadBody, Inbound, Unauthorized
from vs_tui.sources.emmetrics import SOURCE

DEPLOY = "vstrace-emmetrics-deploy-77"
INCIDENT = "vstrace-emmetrics-incident-i-1"
PULL = "vstrace-emmetrics-pull_request-34"


def parse(path, body=None, minutes=0):
    return SOURCE.parse(post(path, b"" if body is None else body, minutes))


def span_of(key, *calls):
    return fold_deliveries([parse(path, body) for path, body in calls])[key].span


def test_it_proves_itself_by_the_token_only():
    with pytest.raises(Unauthorized, match="token"):
        SOURCE.verify(Inbound("/deployments", {}, b"{}", RECEIVED), [b"x"])


# -- deployments -------------------------------------------------------------------------------


def test_a_deployment_in_two_calls():
    created = parse("/deployments", deployment())
    deployed = parse(
        "/deployments/77/deployed",
        {"create_if_not_exists": False, "deployed_at": stamp("10:10:00")},
    )
    assert (created.status, deployed.status) == (201, 200)
    assert (created.requires, deployed.requires) == ("", DEPLOY)
    span = fold_deliveries([deployed, created])[DEPLOY].span
    assert (span.operation, span.status, span.duration) == ("deploy", Status.OK, 10 * MINUTE)
    assert (span.name, span.project, span.service) == ("shop to production", "acme/shop", "shop")
    assert span.environment == span.attributes["deployment.environment.name"] == "production"
    assert span.attributes["vs.commit.first_at"] == "2026-03-02T08:00:00Z"


def test_a_deployment_in_one_call():
    body = {name: value for name, value in deployment().items() if name != "id"}
    parsed = parse("/deployments/77/deployed", {"create_if_not_exists": True, **body})
    assert parsed.requires == ""
    span = fold_all(parsed.events)[DEPLOY].span
    assert (span.started_at, span.ended_at) == (at("10:00:00"), RECEIVED)


def test_a_deployment_may_be_created_as_deployed():
    span = span_of(DEPLOY, ("/deployments", deployment(deployed_at=stamp("10:04:00"))))
    assert (span.status, span.ended_at) == (Status.OK, at("10:04:00"))


def test_times_default_to_now():
    (event,) = parse("/deployments", deployment(deploy_start_at=None)).events
    assert event.occurred_at == RECEIVED


# -- incidents ---------------------------------------------------------------------------------


def test_an_incident_ends_when_it_is_restored():
    created = parse(
        "/incidents",
        {
            "id": "i-1",
            "project_id": "acme/shop",
            "deployment_id": "77",
            "started_at": stamp("10:20:00"),
        },
    )
    assert (created.status, created.answer) == (201, {"id": "i-1"})
    restored = parse("/incidents/i-1/restored", {"date": stamp("10:50:00")})
    finished = parse("/incidents/i-1/finished", {"date": stamp("11:30:00")})
    assert (restored.status, restored.requires) == (200, INCIDENT)
    span = fold_deliveries([finished, restored, created])[INCIDENT].span
    assert (span.status, span.duration) == (Status.OK, 30 * MINUTE)
    assert span.attributes["vs.incident.restored_at"] == "2026-03-02T10:50:00Z"
    assert span.attributes["vs.incident.finished_at"] == "2026-03-02T11:30:00Z"
    (deploy,) = parse("/deployments", deployment()).events
    assert answers(created.events[0], deploy) == {"structure"}


def test_finished_alone_restores():
    calls = [("/incidents", {"id": "i-1", "project_id": "p"}), ("/incidents/i-1/finished", {})]
    assert span_of(INCIDENT, *calls).status is Status.OK


def test_an_incident_may_be_told_when_it_is_over():
    body = {"id": "i-1", "project_id": "p", "started_at": stamp("10:00:00")}
    over = {**body, "restored_at": stamp("10:30:00"), "finished_at": stamp("11:00:00")}
    span = span_of(INCIDENT, ("/incidents", over))
    assert (span.status, span.duration) == (Status.OK, 30 * MINUTE)


def test_an_incident_without_an_id_gets_one():
    at_ten = {"project_id": "p", "started_at": stamp("10:00:00")}
    first, again = parse("/incidents", at_ten), parse("/incidents", at_ten, minutes=5)
    assert first.answer == again.answer
    assert str(first.answer["id"]).startswith("incident_p_")
    assert parse("/incidents", {**at_ten, "project_id": "q"}).answer != first.answer


def test_two_incidents_that_state_nothing_are_two():
    one, two = (post("/incidents", {"project_id": "p"}, minutes) for minutes in (0, 5))
    assert SOURCE.parse(one).answer != SOURCE.parse(two).answer
    assert SOURCE.dedupe_key(one) != SOURCE.dedupe_key(two)
    told = post("/incidents", {"project_id": "p", "started_at": stamp("10:00:00")})
    assert SOURCE.dedupe_key(told) == ""
    assert SOURCE.dedupe_key(post("/incidents/i/restored", {})) == "/incidents/i/restored"


# -- pull requests -----------------------------------------------------------------------------


def test_a_pull_request_from_opened_to_merged():
    opened = parse("/pull-requests", {"id": "34", "team_id": "web", "opened_at": stamp("08:30:00")})
    merged = parse("/pull-requests/34/merged", {"merged_at": stamp("09:30:00")})
    span = fold_deliveries([merged, opened])[PULL].span
    assert (opened.status, merged.status, merged.requires) == (201, 200, PULL)
    assert (span.status, span.project, span.duration) == (Status.OK, "web", 60 * MINUTE)
    assert span.attributes["vcs.change.state"] == "merged"


def test_a_pull_request_closed_is_cancelled_and_a_review_is_below_it():
    closed = parse("/pull-requests/34/closed", {"closed_at": stamp("09:31:00")})
    assert fold_all(closed.events)[PULL].span.status is Status.CANCELLED
    (review,) = parse("/pull-requests/34/reviewed", {"approved": True}).events
    opened = parse("/pull-requests", {"id": "34", "team_id": "web"}).events[0]
    assert answers(review, opened) == {"structure"}
    assert review.attributes["vs.review.state"] == "approved"


# -- schema ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/deployments", {}, "id"),
        ("/deployments", deployment(id=""), "id"),
        ("/deployments", deployment(project_id=None), "project_id"),
        ("/deployments", deployment(first_commit_at=None), "first_commit_at"),
        ("/deployments", deployment(first_commit_at="then"), "first_commit_at"),
        ("/deployments/77/deployed", {}, "create_if_not_exists"),
        ("/deployments/77/deployed", {"create_if_not_exists": "perhaps"}, "create_if_not_exists"),
        ("/deployments/77/deployed", {"create_if_not_exists": True}, "project_id"),
        (
            "/deployments/77/deployed",
            {"create_if_not_exists": True, "project_id": "p", "first_commit_at": stamp("08:00:00")},
            "deploy_start_at",
        ),
        ("/incidents", {"id": "x"}, "project_id"),
        ("/incidents/i/restored", {"date": "later"}, "date"),
        ("/pull-requests", {"id": "1"}, "team_id"),
        ("/deployments/77/exploded", {}, "path"),
        ("/deployments/77", {}, "path"),
        ("/incidents/i/merged", {}, "path"),
        (f"/incidents/{'i' * 201}/restored", {}, "path"),
    ],
)
def test_what_breaks_the_schema_names_its_field(path, body, field):
    with pytest.raises(BadBody) as refusal:
        parse(path, body)
    assert refusal.value.field == field


def test_an_empty_body_will_do_where_all_has_a_default():
    assert parse("/incidents/i-1/restored").events[0].occurred_at == RECEIVED


def test_the_paths_below_api_v1_are_the_same():
    plain = [SOURCE.parse(call) for call in emmetrics_story()]
    versioned = [
        SOURCE.parse(Inbound(f"/api/v1{call.path}", {}, call.body, call.received_at))
        for call in emmetrics_story()
    ]
    assert plain == versioned


def test_a_slash_in_an_id_is_part_of_it():
    (event,) = parse("/incidents/acme/shop/7/restored", {}).events
    assert event.key == "vstrace-emmetrics-incident-acme/shop/7"


# -- its settings ------------------------------------------------------------------------------


@pytest.fixture
def env(tmp_path):
    return {"VS_CONFIG_DIR": str(tmp_path), "SQLITE_DB": str(tmp_path / "em.db")}


def config(env, **more):
    return load(env={**env, **more})


def test_its_token_and_basic_settings_are_the_token(env, monkeypatch, tmp_path):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    assert config(env, EM_METRICS_TOKEN_AUTH="t-1").secrets.token == "t-1"
    basic = {"EM_METRICS_BASIC_AUTH_USERNAME": "u", "EM_METRICS_BASIC_AUTH_PASSWORD": "p"}
    assert config(env, **basic).secrets.token == "p"
    assert config(env, EM_METRICS_BASIC_AUTH_USERNAME="u").secrets.token == "u"
    assert config(env, VS_TOKEN="ours", **basic).secrets.tokens == [b"ours", b"p"]
    both = config(env, EM_METRICS_TOKEN_AUTH="t-1", **basic).secrets
    assert both.tokens == [b"t-1", b"p"], "a user's name beside a password is no secret"
    assert str(config(env).db) == env["SQLITE_DB"]


@pytest.mark.parametrize(
    ("value", "open_"), [("1", True), ("yes", True), ("", False), ("false", False), ("0", False)]
)
def test_its_no_auth_setting(env, monkeypatch, tmp_path, value, open_):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    assert config(env, EM_METRICS_NO_AUTH=value).no_auth is open_


def test_its_teams_file(env, monkeypatch, tmp_path):
    monkeypatch.setenv("VS_CONFIG_DIR", str(tmp_path))
    file = tmp_path / "teams.json"
    teams = {
        "backend": {
            "projects": ["acme/shop", "infra"],
            "users": ["bob", {"github_username": "jane", "email": "jane@acme.example"}],
        },
        "web": {"users": ["lucy"]},
    }
    file.write_text(json.dumps({"teams": teams, "ticketing": {"linear": {}}}))
    found = config(env, CONFIG=str(file)).teams
    assert found.of("acme/shop", "", "") == "backend"
    assert found.of("other", "", "jane") == "backend"
    assert found.of("other", "", "jane@acme.example") == "backend"
    assert found.of("other", "", "lucy") == "web"
    file.write_text("{")
    with pytest.raises(ConfigError, match=r"teams\.json"):
        config(env, CONFIG=str(file))
