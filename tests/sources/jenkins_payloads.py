"""Bodies in the shapes of Jenkins' statistics-gatherer and Notification plugins."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED, at
from vs_tui.sources.base import Inbound

HEAD = "1f" * 20
CI = "https://ci.example.com/jenkins/"
SCM = {"url": "git@github.com:acme/api.git", "commit": HEAD, "branch": "origin/feature/cache"}


def inbound(body: Any, path: str = "/jenkins") -> Inbound:
    return Inbound(path, {}, json.dumps(body).encode(), RECEIVED)


def millis(clock: str) -> int:
    return at(clock) // 1_000


def start(clock: str = "10:30:10", **changes: Any) -> dict[str, Any]:
    return {
        "ciUrl": CI,
        "jobName": "build-api",
        "fullJobName": "backend/build-api",
        "number": 7,
        "result": "INPROGRESS",
        "startTime": millis(clock),
        "queueTime": 10_000,
        "buildUrl": "job/backend/job/build-api/7/",
        "buildCause": "Started by an SCM change",
        "contextId": 4711,
        "startedUserId": "bob",
        "startedUsername": "Bob Builder",
        "parameters": {},
        "scmInfo": dict(SCM),
        "slaveInfo": {"slaveName": "optimus"},
    } | changes


def end(result: str = "SUCCESS", clock: str = "10:35:10", **changes: Any) -> dict[str, Any]:
    """An end has no parameters."""
    return {
        "ciUrl": CI,
        "jobName": "build-api",
        "fullJobName": "backend/build-api",
        "number": 7,
        "result": result,
        "endTime": millis(clock),
        "duration": 300_000,
        "buildUrl": "job/backend/job/build-api/7/",
    } | changes


def queue(status: str | None, clock: str, **changes: Any) -> dict[str, Any]:
    body = {
        "ciUrl": CI,
        "jobName": "Backend » build-api",
        "jenkinsQueueId": 99,
        "entryTime": millis("10:30:00"),
        "exitTime": millis(clock) if status == "LEFT" else None,
        "startedBy": "SCM",
        "queueCauses": [],
    }
    if status:
        body |= {"status": status, "duration": 10_000}
    return body | changes


def cause(kind: str, clock: str) -> dict[str, Any]:
    why = f"{kind}: no executor"
    return {"type": kind, "reasonForWaiting": why, "entryTime": millis(clock), "exitTime": None}


def step(started: str | None, ended: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "startTime": millis(started) if started else 0,
        "endTime": millis(ended) if ended else 0,
        "buildStepType": "hudson.tasks.Shell",
        "buildStepId": "hudson.tasks.Shell@1234",
        "buildUrl": "job/backend/job/build-api/7/",
    } | changes


def checkout(started: str | None, ended: str | None) -> dict[str, Any]:
    body = step(started, ended)
    del body["buildStepType"], body["buildStepId"]
    return body


def notification(
    phase: str, clock: str | None, status: str | None = None, **changes: Any
) -> dict[str, Any]:
    """The build of `start` and `end`, told by the other plugin."""
    duration = {"COMPLETED": 300_000, "FINALIZED": 300_000}.get(phase, 0)
    build = {
        "number": 7,
        "queue_id": 99,
        "phase": phase,
        "status": status,
        "timestamp": millis(clock) if clock else 0,
        "duration": duration,
        "url": "job/backend/job/build-api/7/",
        "full_url": f"{CI}job/backend/job/build-api/7/",
        "scm": {**SCM, "changes": [], "culprits": []},
        **changes,
    }
    return {
        "name": "build-api",
        "display_name": "build-api",
        "url": "job/backend/job/build-api/",
        "build": build,
    }
