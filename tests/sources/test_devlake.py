"""DevLake's webhook bodies of old and new versions, at its own paths."""

from __future__ import annotations

import json

import pytest

from tests.sources.webhook_tools import (
    RECEIVED,
    assert_survives,
    at,
    fold_all,
    fold_deliveries,
    offered,
    same_spans,
    sought,
    variants,
)
from vs_tui.model.vocabulary import State, Verdict
from vs_tui.sources.base import BadBody, Inbound
from vs_tui.sources.devlake import SOURCE
from vs_tui.sources.dispatch import route

SHA, OTHER = "015e3d3b480e417aede5a1293bd61de9b0fd051d", "66fed0e5a1a5dbd4ae9d1c0f0cd5d2b15d3ed6cd"
OLD = {
    "pipeline_id": "p-1",
    "environment": "PRODUCTION",
    "repo_url": "https://github.com/acme/api/",
    "commit_sha": SHA,
    "ref_name": "release-1",
    "start_time": "2026-03-02T10:00:00+00:00",
    "end_time": "2026-03-02T10:05:00+00:00",
    "result": "FAILURE",
}
NEW = {
    "id": "d-1",
    "displayTitle": "Ship TP-3",
    "result": "SUCCESS",
    "environment": "STAGING",
    "startedDate": "2026-03-02T10:00:00+00:00",
    "finishedDate": "2026-03-02T10:05:00+00:00",
    "deploymentCommits": [
        {"repoUrl": "https://github.com/acme/api", "refName": "main", "commitSha": SHA},
        {"repoUrl": "https://github.com/acme/web", "refName": "main", "commitSha": OTHER},
    ],
}
ISSUE = {
    "issue_key": "DLK-1234",
    "title": "Checkout is down",
    "type": "INCIDENT",
    "status": "TODO",
    "original_status": "created",
    "created_date": "2026-03-02T10:00:00+00:00",
    "updated_date": "2026-03-02T10:01:00+00:00",
    "parent_issue_key": "DLK-1200",
    "assignee_name": "Kim",
}
ROOT = "/api/rest/plugins/webhook"


def inbound(path: str, body: object = None) -> Inbound:
    raw = b"" if body is None else json.dumps(body).encode()
    return Inbound(path, {}, raw, RECEIVED)


def deployed(body: object, path: str = f"{ROOT}/connections/1/deployments"):
    (event,) = SOURCE.parse(inbound(path, body)).events
    return event


@pytest.mark.parametrize("prefix", ["/api/rest", "/api", "/rest", ""])
@pytest.mark.parametrize("place", ["1", "connections/1", "connections/by-name/1", "projects/1"])
def test_every_path_of_devlake_leads_here(prefix, place) -> None:
    path = f"{prefix}/plugins/webhook/{place}/deployments"
    assert route(path) is SOURCE
    assert deployed(OLD, path).key == "vstrace-devlake-deploy-1-p-1"


def test_an_old_body_is_a_deploy_of_its_commit() -> None:
    event = deployed(OLD)
    assert (event.state, event.environment, event.service) == (State.ERROR, "production", "api")
    assert (event.started_at, event.occurred_at) == (at("10:00:00"), at("10:05:00"))
    assert ("commit", "commit", SHA, "acme/api") in sought(event)
    assert event.name == "api to production"


def test_a_new_body_is_a_deploy_of_all_its_commits() -> None:
    event = deployed(NEW)
    assert (event.key, event.state) == ("vstrace-devlake-deploy-1-d-1", State.OK)
    assert (event.name, event.project, event.environment) == ("Ship TP-3", "acme/api", "staging")
    seeks = sought(event)
    assert {("commit", "commit", SHA, "acme/api"), ("commit", "commit", OTHER, "acme/web")} <= seeks
    assert ("issue_key", "issue_key", "TP-3", "") in seeks


def test_what_devlake_fills_in_is_filled_in() -> None:
    body = {"repo_url": "devlake", "commit_sha": SHA, "start_time": "2026-03-02T10:00:00+00:00"}
    event = deployed(body)
    assert (event.state, event.environment) == (State.OK, "production")
    assert event.occurred_at == RECEIVED
    assert SHA in event.key


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("deployments", {**OLD, "start_time": None}, "startedDate"),
        ("deployments", {**OLD, "result": "GREAT"}, "result"),
        ("deployments", {"start_time": "2026-03-02T10:00:00Z"}, "deploymentCommits"),
        ("issues", {**ISSUE, "issue_key": ""}, "issueKey"),
        ("issues", {**ISSUE, "title": None}, "title"),
        ("issues", {**ISSUE, "status": "OPEN"}, "status"),
        ("issues", {**ISSUE, "created_date": "soon"}, "createdDate"),
        ("issues", [], "body"),
    ],
)
def test_what_devlake_would_refuse_is_400_with_its_field(path, body, field) -> None:
    with pytest.raises(BadBody) as refused:
        SOURCE.parse(inbound(f"{ROOT}/1/{path}", body))
    assert refused.value.field == field


def test_an_incident_runs_until_it_is_done_or_closed() -> None:
    opened = SOURCE.parse(inbound(f"{ROOT}/1/issues", ISSUE))
    done = {**ISSUE, "status": "DONE", "resolution_date": "2026-03-02T11:00:00Z"}
    resolved = SOURCE.parse(inbound(f"{ROOT}/1/issues", done))
    (folded,) = fold_deliveries([resolved, opened]).values()
    assert (folded.span.operation, folded.span.state) == ("incident", State.OK)
    assert (folded.span.started_at, folded.span.ended_at) == (at("10:00:00"), at("11:00:00"))
    closed = SOURCE.parse(inbound(f"{ROOT}/connections/1/issue/DLK-1234/close"))
    assert closed.requires == "vstrace-devlake-issue-1-DLK-1234"
    (folded,) = fold_deliveries([opened, closed]).values()
    assert (folded.span.operation, folded.span.name) == ("incident", "Checkout is down")
    assert (folded.span.state, folded.span.ended_at) == (State.OK, RECEIVED)
    assert same_spans(fold_deliveries([closed, opened]), fold_deliveries([opened, closed]))


def test_an_issue_is_found_by_its_key_and_finds_its_parent() -> None:
    (event,) = SOURCE.parse(inbound(f"{ROOT}/1/issues", {**ISSUE, "type": "BUG"})).events
    assert event.operation == "issue"
    assert ("issue_key", "DLK-1234", "") in offered(event)
    assert ("hierarchy", "issue_key", "DLK-1200", "") in sought(event)
    assert event.state is State.QUEUED


@pytest.mark.parametrize("what", ["", "1", "1/pull_requests", "1/issue/X", "1/test_results"])
def test_what_is_not_read_is_ignored(what) -> None:
    assert SOURCE.parse(inbound(f"{ROOT}/{what}", {})).verdict is Verdict.IGNORED


def test_odd_bodies_survive() -> None:
    told = [
        inbound(f"{ROOT}/1/deployments", OLD),
        inbound(f"{ROOT}/1/deployments", NEW),
        inbound(f"{ROOT}/1/issues", ISSUE),
    ]
    seen = assert_survives(SOURCE, variants(told, 1_000))
    assert seen["accepted"]
    assert seen["BadBody"]


def test_only_a_deployment_of_devlake_is_taken_for_one() -> None:
    assert SOURCE.recognises(NEW)
    for body in (OLD, ISSUE, {}, [], {"startedDate": "x", "deploymentCommits": []}):
        assert not SOURCE.recognises(body)
    assert fold_all([deployed(NEW)])
