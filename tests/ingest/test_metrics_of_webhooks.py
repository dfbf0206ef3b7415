"""Worked examples of docs/metrics.md sent as tools send them, over a real socket: what the API says
of them, and that the command says the same."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

from tests.ingest.server import SECRETS, Server, nearby, run
from tests.sources import github_payloads as gh

WINDOW = ("2026-03-02", "2026-03-09")


def at(clock: str) -> str:
    """`10:00` on 2 March 2026."""
    return f"2026-03-02T{clock}:00Z"


def github(server: Server, kind: str, body: dict[str, Any]) -> None:
    raw = json.dumps(body).encode()
    proof = hmac.new(SECRETS["github"].encode(), raw, hashlib.sha256).hexdigest()
    headers = {
        "X-GitHub-Event": kind,
        "X-GitHub-Delivery": hashlib.sha256(raw).hexdigest()[:32],
        "X-Hub-Signature-256": f"sha256={proof}",
    }
    status, answer = server.call("/github", raw, headers, token="")
    assert (status, answer["verdict"]) == (200, "accepted"), answer


def deploy(server: Server, number: int, clock: str, state: str) -> None:
    deployment = {
        "id": number,
        "sha": gh.MERGE,
        "ref": "main",
        "task": "deploy",
        "environment": "production",
        "creator": gh.user("bob"),
        "created_at": at(clock),
        "updated_at": at(clock),
    }
    told = {"id": number + 1, "state": state, "created_at": at(clock), "environment": "production"}
    body = gh.hook("created", deployment=deployment, deployment_status=told)
    github(server, "deployment_status", body)


def send(server: Server, path: str, **body: Any) -> None:
    status, answer = server.call(path, body)
    assert status in (200, 201), answer


def plyzen(server: Server, namespace: str, artifact: str, clock: str, **more: Any) -> None:
    for event in ("start", "finish"):
        body = {"environment": "prod", "activity": "deploy", "timestamp": at(clock), **more}
        send(server, "/plyzen", namespace=namespace, artifact=artifact, event=event, **body)


def tell(server: Server) -> None:
    """L4 by GitHub, C1 and R6 by plyzen, R3 by em-metrics, C3 by scripts."""
    commits = [gh.commit(gh.HEAD_1, "a", "10:00:00"), gh.commit(gh.HEAD_2, "b", "12:00:00")]
    github(server, "push", gh.push(commits=commits))
    github(server, "pull_request", gh.pull("opened", created_at=at("12:30")))
    merged = {name: at("15:00") for name in ("merged_at", "closed_at", "updated_at")}
    github(server, "pull_request", gh.merged(created_at=at("12:30"), **merged))
    for number, clock, state in ((10, "16:00", "failure"), (20, "18:00", "success")):
        deploy(server, number, clock, state)
    deploy(server, 30, "20:00", "success")

    for version, clock, result in (
        ("1", "09:00", ""),
        ("2", "10:00", "failure"),
        ("3", "11:00", ""),
    ):
        plyzen(server, "c1", "cart", clock, version=version, result=result or "success")
    plyzen(server, "c1", "cart", "11:05", activity="smoke-test", version="3", result="failure")
    plyzen(server, "c1", "cart", "12:00", version="4", result="success")
    plyzen(server, "c1", "cart", "12:30", activity="alarm", version="4")

    for name, result in (("auth", "success"), ("ui", "success"), ("data", "failure")):
        more = {"correlationId": "a", "product": "shop", "version": "1", "result": result}
        plyzen(server, "r6", name, "10:00", **more)
    again = {"correlationId": "b", "product": "shop", "version": "1", "result": "success"}
    plyzen(server, "r6", "data", "10:30", **again)

    send(
        server,
        "/deployments",
        id="d1",
        project_id="acme/em",
        first_commit_at=at("06:00"),
        deploy_start_at=at("09:00"),
        deployed_at=at("09:30"),
    )
    for name, began, restored in (("i1", "10:00", "10:30"), ("i2", "10:20", "11:10")):
        incident = {"id": name, "deployment_id": "d1", "project_id": "acme/em"}
        send(server, "/incidents", started_at=at(began), **incident)
        send(server, f"/incidents/{name}/restored", date=at(restored))

    tags = {"service": "c3", "environment": "prod"}
    for name, clock in (("a", "09:00"), ("b", "11:00")):
        for action in ("start", "end"):
            event = {"type": "deploy", "id": name, "action": action, "timestamp": at(clock)}
            send(server, "/customhttp", namespace="c3", tags=tags, **event)
    event = {"type": "incident", "id": "i", "action": "start", "timestamp": at("12:00")}
    send(server, "/customhttp", namespace="c3", tags=tags, **event)


def test_worked_examples_of_five_senders_give_the_numbers_of_the_page(tmp_path) -> None:
    with nearby(tmp_path) as server:
        tell(server)
        query = f"by=project&since={WINDOW[0]}&until={WINDOW[1]}&tz=UTC"
        status, answer = server.call(f"/api/dora?{query}")
        assert status == 200, answer
        command = ("report", "dora", "--by", "project", "--json", "--tz", "UTC")
        window = ("--since", WINDOW[0], "--until", WINDOW[1])
        printed = run(tmp_path, *command, *window, "--db", str(server.db))
    assert json.loads(printed.stdout) == answer
    found = {item["name"]: item["metrics"] for item in answer["items"]}

    def value(project: str, metric: str) -> tuple[float | None, int]:
        figure = found[project][metric]
        return figure["value"], figure["n"]

    lead, fail = "change_lead_time", "change_fail_rate"
    recovery, rework = "failed_deployment_recovery_time", "deployment_rework_rate"
    assert value("acme/api", lead) == (8 * 3600, 1)
    assert found["acme/api"][lead]["starts"] == {"first commit": 1}
    assert value("acme/api", fail) == (1 / 3, 3)
    assert value("acme/api", rework) == (0, 3), "a retry of a failed deploy is no rework"
    assert value("acme/api", "deployment_frequency") == (2 / 7, 2)
    assert found["acme/api"]["deployment_frequency"]["text"] == "2/week"
    assert value("acme/api", recovery) == (2 * 3600, 1)
    assert value("c1", fail) == (0.75, 4)
    assert value("r6", fail) == (0.5, 2)
    assert value("r6", recovery) == (30 * 60, 1)
    assert value("acme/em", recovery) == (70 * 60, 1)
    assert value("acme/em", lead) == (3.5 * 3600, 1)
    assert value("c3", fail) == (0.5, 2)
