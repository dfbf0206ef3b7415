"""em-metrics over a real socket: its statuses, its lists, its spelling of the paths."""

from __future__ import annotations

import base64
import tomllib
from typing import Any

import pytest

from tests.ingest.server import TOKEN, Server

DEPLOYMENT = {
    "project_id": "acme/shop",
    "first_commit_at": "2026-03-02T08:00:00.000Z",
    "deploy_start_at": "2026-03-02T10:00:00.000Z",
}
KNOWN = {"create_if_not_exists": False}
MAYBE = {"create_if_not_exists": True, **DEPLOYMENT}


def listed(server: Server, path: str) -> dict[str, dict[str, Any]]:
    status, answer = server.call(path)
    assert status == 200, answer
    assert isinstance(answer, list)
    return {entry["id"]: entry for entry in answer}


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
def test_a_deployment_in_two_calls(shared, prefix) -> None:
    path, identifier = f"{prefix}/deployments", f"two{len(prefix)}"
    status, _ = shared.call(path, {"id": identifier, **DEPLOYMENT})
    assert status == 201
    assert listed(shared, path)[identifier] == {
        "id": identifier,
        "project_id": "acme/shop",
        "first_commit_at": "2026-03-02T08:00:00Z",
        "deploy_start_at": "2026-03-02T10:00:00Z",
        "deployed_at": None,
    }
    when = {"deployed_at": "2026-03-02T10:10:00Z"}
    status, _ = shared.call(f"{path}/{identifier}/deployed", {**KNOWN, **when})
    assert status == 200
    status, found = shared.call(f"{path}/{identifier}")
    assert (status, found["deployed_at"]) == (200, "2026-03-02T10:10:00Z")
    assert listed(shared, path)[identifier] == found


def test_deployed_creates_once_if_it_is_asked_to(shared) -> None:
    status, answer = shared.call("/deployments/absent/deployed", KNOWN)
    assert (status, answer["error"]) == (404, "not_found")
    status, _ = shared.call("/deployments/one/deployed", MAYBE)
    assert status == 201
    later = {**MAYBE, "deployed_at": "2026-03-02T11:00:00Z"}
    status, _ = shared.call("/deployments/one/deployed", later)
    assert status == 200
    # What the sender claims of it does not count.
    status, _ = shared.call("/deployments/one/deployed?vs-new=true", {**KNOWN, **DEPLOYMENT})
    assert status == 200


@pytest.mark.parametrize("parameter", ["type", "filter"])
def test_incidents_in_progress(shared, parameter) -> None:
    for name in ("open", "over"):
        body = {
            "id": f"{parameter}-{name}",
            "project_id": "acme/shop",
            "started_at": "2026-03-02T10:20:00Z",
        }
        status, answer = shared.call("/incidents", body)
        assert (status, answer["id"]) == (201, f"{parameter}-{name}")
    over = f"{parameter}-over"
    status, _ = shared.call(f"/incidents/{over}/restored", {"date": "2026-03-02T10:50:00Z"})
    assert status == 200
    found = listed(shared, f"/incidents?{parameter}=in-progress")
    assert f"{parameter}-open" in found
    assert over not in found
    everything = listed(shared, "/api/v1/incidents")
    assert everything[over]["restored_at"] == "2026-03-02T10:50:00Z"
    assert everything[over]["finished_at"] is None
    shared.call(f"/incidents/{over}/finished", {"date": "2026-03-02T11:30:00Z"})
    ended = listed(shared, "/incidents")[over]
    assert ended["restored_at"] == "2026-03-02T10:50:00Z"
    assert ended["finished_at"] == "2026-03-02T11:30:00Z"


def test_an_incident_without_an_id_is_told_its_own(shared) -> None:
    status, first = shared.call("/incidents", {"project_id": "p"})
    _, second = shared.call("/incidents", {"project_id": "p"})
    assert status == 201
    assert first["id"] != second["id"], "two incidents, though the bodies are the same"
    assert {first["id"], second["id"]} <= set(listed(shared, "/incidents?type=in-progress"))
    status, _ = shared.call(f"/incidents/{first['id']}/restored", {})
    assert status == 200
    assert first["id"] not in listed(shared, "/incidents?type=in-progress")


def test_what_it_does_not_know_is_told(shared) -> None:
    assert shared.call("/deployments/absent")[0] == 404
    assert shared.call("/incidents/absent/restored", {})[0] == 404
    assert shared.call("/pull-requests/absent/merged", {})[0] == 404
    assert shared.call("/deployments", {"id": "x"})[0] == 400


def test_empty_texts_and_nulls_are_missing_values(shared) -> None:
    """em-metrics' GitHub action sends an empty text for whatever is not set."""
    body = {
        "create_if_not_exists": "true",
        "project_id": "blank",
        "username": "",
        "first_commit_at": "2026-03-02T08:00:00Z",
        "deploy_start_at": "2026-03-02T09:00:00Z",
        "deployed_at": "",
    }
    assert shared.call("/deployments/blank-1/deployed", body)[0] == 201
    again = {"create_if_not_exists": False, "project_id": None, "first_commit_at": ""}
    assert shared.call("/deployments/blank-1/deployed", again)[0] == 200
    listed_now = shared.call("/deployments?project_id=blank")[1]
    assert [(entry["id"], entry["project_id"]) for entry in listed_now] == [("blank-1", "blank")]
    assert (
        shared.call("/deployments", {"id": "x", "project_id": "p", "first_commit_at": ""})[0] == 400
    )


def test_deployments_of_a_project_up_to_a_limit(shared) -> None:
    for number in range(3):
        body = {"id": f"lim-{number}", "project_id": "lim"}
        body["first_commit_at"] = body["deploy_start_at"] = f"2026-03-02T0{number}:00:00Z"
        assert shared.call("/deployments", body)[0] == 201
    assert list(listed(shared, "/deployments?project_id=lim&limit=2")) == ["lim-2", "lim-1"]
    assert not listed(shared, "/deployments?project_id=none")


def test_incidents_without_an_id_are_numbered_by_project(shared) -> None:
    told = {"project_id": "numbered", "started_at": "2026-03-02T08:00:00Z"}
    assert shared.call("/incidents", told)[1]["id"] == "incident_numbered_1"
    spoofed = shared.call("/incidents", {"project_id": "numbered"}, {"vs-incident-number": "99"})
    assert spoofed[1]["id"] == "incident_numbered_2"
    assert shared.call("/incidents", told)[1]["id"] == "incident_numbered_1"
    assert shared.call("/incidents", {"project_id": "other"})[1]["id"] == "incident_other_1"
    assert shared.call("/incidents/incident_numbered_2/restored", {})[0] == 200
    open_ones = listed(shared, "/incidents?type=in-progress")
    assert "incident_numbered_1" in open_ones
    assert "incident_numbered_2" not in open_ones


def test_unfinished_incidents_and_words_it_does_not_know(shared) -> None:
    body = {"id": "inc-f", "project_id": "p", "started_at": "2026-03-02T08:00:00Z"}
    assert shared.call("/incidents", body)[0] == 201
    assert shared.call("/incidents/inc-f/restored", {})[0] == 200
    assert "inc-f" not in listed(shared, "/incidents?filter=in-progress")
    assert "inc-f" in listed(shared, "/incidents?filter=unfinished")
    assert shared.call("/incidents/inc-f/finished", {})[0] == 200
    assert "inc-f" not in listed(shared, "/incidents?filter=unfinished")
    assert "inc-f" in listed(shared, "/incidents?type=resolved")


def test_incidents_of_other_tools_are_not_em_metrics_own(shared) -> None:
    body = {"type": "incident", "id": "foreign", "action": "start"}
    assert shared.call("/customhttp", body)[0] == 200
    assert None not in listed(shared, "/incidents")
    assert "foreign" not in listed(shared, "/incidents")


def test_its_three_ways_to_authenticate(shared) -> None:
    basic = base64.b64encode(f"anyone:{TOKEN}".encode()).decode()
    for value in (f"Token {TOKEN}", f"token {TOKEN}", f"Basic {basic}"):
        assert shared.call("/incidents", headers={"Authorization": value})[0] == 200
    for path in ("/incidents", "/deployments", "/deployments/x", "/api/v1/incidents"):
        assert shared.call(path, token="")[0] == 401
        assert shared.call(path, token="wrong")[0] == 401


def test_pull_requests_are_created_and_merged(shared) -> None:
    body = {"id": "34", "team_id": "web", "opened_at": "2026-03-02T08:30:00Z"}
    assert shared.call("/pull-requests", body)[0] == 201
    status, _ = shared.call("/pull-requests/34/reviewed", {"approved": True})
    assert status == 200
    status, _ = shared.call("/pull-requests/34/merged", {"merged_at": "2026-03-02T09:30:00Z"})
    assert status == 200
    status, span = shared.call("/api/spans/vstrace-emmetrics-pull_request-34")
    assert (status, span["status"], span["duration_s"]) == (200, "ok", 3600)


def test_plyzens_answer_over_a_socket(shared) -> None:
    body = {"artifact": "a", "version": "1", "environment": "prod", "activity": "deploy"}
    status, answer = shared.call("/plyzen", {**body, "event": "finish"})
    assert (status, answer["result"]) == (200, "success")
    status, answer = shared.call("/plyzen", {**body, "event": "middle"})
    assert (status, answer["detail"].startswith("event:")) == (400, True)


def test_plyzens_scripts_send_its_secret_as_their_key(shared) -> None:
    kept = tomllib.loads((shared.folder / "secrets.toml").read_text())["plyzen"]["secrets"]
    body = {"artifact": "k", "version": "1", "environment": "prod", "activity": "deploy"}
    for key, expected in ((kept[0], 200), ("wrong", 401)):
        sent = {**body, "event": "finish", "instance": key[:5]}
        status, answer = shared.call("/plyzen", sent, {"x-api-key": key}, token="")
        assert status == expected, answer
        # Since 2024 they send it as `Authorization: $PLYZEN_APIKEY`, without a scheme.
        status, answer = shared.call("/plyzen", sent, {"Authorization": key}, token="")
        assert status == expected, answer
        body_of_ours = {"type": "build", "id": "k", "action": "start"}
        assert shared.call("/customhttp", body_of_ours, {"Authorization": key}, token="")[0] == 401


def test_a_refusal_names_the_secret_that_is_there(shared) -> None:
    for path, name in (("/incidents", "token"), ("/azure", "token"), ("/plyzen", "plyzen")):
        status, answer = shared.call(path, {}, token="")
        assert status == 401
        assert f"`vs-tui secret show {name}`" in answer["detail"]
    for path, header in (("/github", "X-Hub-Signature-256"), ("/gitlab", "X-Gitlab-Token")):
        status, answer = shared.call(path, {}, {header: "sha256=00"}, token="")
        assert status == 401
        assert f"`vs-tui secret show {path[1:]}`" in answer["detail"]


def test_a_long_number_beside_a_wrong_charset_is_text(shared) -> None:
    body = b'{"project_id": 1e+308, "started_at": "2026-03-02T10:00:00Z"}'
    status, made = shared.call(
        "/incidents", body, {"Content-Type": "application/json; charset=utf-16"}
    )
    assert (status, made["id"]) == (201, "incident_1e+308_1")
