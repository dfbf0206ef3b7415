"""ValueStream's five paths: a start and an end make finished spans, in both orders, and a
kill -9 between them loses nothing."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest

from tests.ingest.server import SECRETS, Server, nearby, serving

REPO = {
    "id": 1,
    "name": "api",
    "full_name": "acme/api",
    "owner": {"login": "acme"},
    "html_url": "https://github.com/acme/api",
    "default_branch": "main",
}


def github(action: str, state: str, updated: str, closed: str | None) -> tuple[str, dict, dict]:
    body = {
        "action": action,
        "issue": {
            "id": 5,
            "number": 7,
            "title": "Slow checkout",
            "state": state,
            "created_at": "2026-03-02T10:00:00Z",
            "updated_at": updated,
            "closed_at": closed,
            "user": {"login": "ana"},
            "html_url": "https://github.com/acme/api/issues/7",
        },
        "repository": REPO,
        "sender": {"login": "ana"},
    }
    return "/github", {"X-GitHub-Event": "issues"}, body


def gitlab(action: str, state: str, updated: str) -> tuple[str, dict, dict]:
    body = {
        "object_kind": "issue",
        "event_type": "issue",
        "user": {"username": "bo"},
        "project": {
            "id": 3,
            "name": "shop",
            "path_with_namespace": "acme/web/shop",
            "web_url": "https://gitlab.example/acme/web/shop",
            "default_branch": "main",
        },
        "object_attributes": {
            "id": 301,
            "iid": 9,
            "title": "Broken cart",
            "state": state,
            "action": action,
            "created_at": "2026-03-02 10:00:00 UTC",
            "updated_at": updated,
            "closed_at": updated if state == "closed" else None,
            "url": "https://gitlab.example/acme/web/shop/-/issues/9",
        },
    }
    return "/gitlab", {"X-Gitlab-Event": "Issue Hook"}, body


def jenkins(result: str, **more: Any) -> tuple[str, dict, dict]:
    body = {
        "ciUrl": "http://ci.example/",
        "jobName": "infra",
        "fullJobName": "plat/infra",
        "number": 12,
        "buildUrl": "job/plat/job/infra/12/",
        "result": result,
        **more,
    }
    return "/jenkins", {}, body


def jira(status: str, category: str, when: int, **fields: Any) -> tuple[str, dict, dict]:
    body = {
        "timestamp": when,
        "webhookEvent": "jira:issue_updated",
        "issue": {
            "key": "TP-3",
            "self": "https://acme.atlassian.net/rest/api/2/issue/10003",
            "fields": {
                "summary": "Checkout",
                "created": "2026-03-02T10:00:00.000+0000",
                "priority": None,
                "project": {"key": "TP"},
                "status": {"name": status, "statusCategory": {"key": category}},
                **fields,
            },
        },
        "changelog": {"items": [{"field": "status", "fromString": "x", "toString": status}]},
    }
    return "/jira", {}, body


def custom(action: str) -> tuple[str, dict, dict]:
    return "/customhttp", {}, {"type": "deploy", "id": "42", "action": action, "name": "shop"}


START_MS = 1_772_445_600_000
CASES = {
    "github": (
        github("opened", "open", "2026-03-02T10:00:00Z", None),
        github("closed", "closed", "2026-03-02T12:00:00Z", "2026-03-02T12:00:00Z"),
        "vstrace-github-issue-api-7",
    ),
    "gitlab": (
        gitlab("open", "opened", "2026-03-02 10:00:00 UTC"),
        gitlab("close", "closed", "2026-03-02 12:00:00 UTC"),
        "vstrace-gitlab-issue-shop-9",
    ),
    "jenkins": (
        jenkins("INPROGRESS", startTime=START_MS, queueTime=29, parameters={"type": "deploy"}),
        jenkins("SUCCESS", startTime=START_MS, endTime=START_MS + 90_000, duration=90_000),
        "vstrace-jenkins-deploy-infra-12",
    ),
    "jira": (
        jira("In Arbeit", "indeterminate", START_MS),
        jira("Fertig", "done", START_MS + 7_200_000, resolutiondate="2026-03-02T12:00:00.000+0000"),
        "vstrace-jira-issue-TP-3",
    ),
    "customhttp": (custom("start"), custom("end"), "vstrace-customhttp-deploy-default-42"),
}


def post(server: Server, call: tuple[str, dict, dict]) -> dict[str, Any]:
    path, headers, body = call
    status, answer = server.call(path, body, headers)
    assert status == 200, answer
    assert answer["verdict"] == "accepted", answer
    return answer


@pytest.mark.parametrize("order", ["start first", "end first"])
@pytest.mark.parametrize("killed", [False, True])
def test_a_start_and_an_end_in_any_order_with_a_kill_between(tmp_path, order, killed) -> None:
    with (serving if killed else nearby)(tmp_path) as server:
        for start, end, _ in CASES.values():
            post(server, start if order == "start first" else end)
        if killed:
            server.kill()
            server.start()
        for start, end, _ in CASES.values():
            post(server, end if order == "start first" else start)
        listed = {s["span_id"] for s in server.spans() if s["operation"] != "stage"}
        found = {}
        for source, (_, _, ref) in CASES.items():
            status, span = server.call(f"/api/spans/{ref}")
            assert (status, span["source"], span["status"]) == (200, source, "ok")
            # Jenkins' end does not tell that it is a deploy: its start does.
            assert span["operation"] == ref.split("-")[2]
            assert span["started_at"] is not None
            assert span["ended_at"] is not None
            if source != "customhttp":
                assert span["duration_s"] == pytest.approx(7200 if source != "jenkins" else 90.029)
            found[source] = span["span_id"]
        assert listed == set(found.values())


def signed(source: str, secret: str, body: bytes) -> dict[str, str]:
    digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return {
        "github": {"X-Hub-Signature-256": f"sha256={digest}"},
        "gitlab": {"X-Gitlab-Token": secret},
        "jira": {"X-Hub-Signature": f"sha256={digest}"},
        "customhttp": {"X-VS-Signature": digest},
    }[source]


@pytest.mark.parametrize("source", SECRETS)
def test_signatures_are_checked_and_two_secrets_are_valid(shared, source) -> None:
    path, headers, payload = CASES[source][0]
    body = json.dumps(payload).encode()

    def status(proof: dict[str, str], token: str = "") -> int:
        return shared.call(path, body, {**headers, **proof}, token=token)[0]

    good = signed(source, SECRETS[source], body)
    assert status(good) == 200
    assert status(signed(source, f"old-{SECRETS[source]}", body)) == 200
    assert status(signed(source, "wrong", body)) == 401
    assert status({}) == 401
    (name, value) = next(iter(good.items()))
    assert status({name: value[:-1]}) == 401
    assert status({name: value + value}) == 401
    assert status({name: "sch\xf6n"}) == 401
    assert status(signed(source, "wrong", body), token="test-token-0123456789") == 401, (
        "a wrong signature is wrong whatever else is there"
    )
