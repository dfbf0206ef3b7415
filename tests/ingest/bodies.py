"""One or more honest deliveries of every source, to be mutated: (path, headers, body)."""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from vs_tui.ingest.decoding import ZSTD
from vs_tui.log.recording import read
from vs_tui.sources.mapped import presets

Honest = tuple[str, dict[str, str], Any]
SAMPLES = Path(__file__).parents[2] / "sample_events"
AT = "2026-03-02T10:00:00Z"
SHA = "c" * 40
REPO = {"name": "api", "full_name": "acme/api", "html_url": "https://git.example/acme/api"}

WRITTEN: dict[str, list[Honest]] = {
    "gitea": [
        (
            "/gitea",
            {"X-Gitea-Event": "pull_request"},
            {
                "action": "opened",
                "number": 3,
                "pull_request": {
                    "id": 9,
                    "number": 3,
                    "title": "Faster",
                    "state": "open",
                    "created_at": AT,
                    "updated_at": AT,
                    "user": {"login": "ana"},
                    "head": {"ref": "fast", "sha": SHA},
                    "base": {"ref": "main"},
                },
                "repository": REPO,
                "sender": {"login": "ana"},
            },
        )
    ],
    "bitbucket": [
        (
            "/bitbucket",
            {"X-Event-Key": "pullrequest:created", "X-Hook-UUID": "u"},
            {
                "actor": {"nickname": "ana"},
                "repository": {"full_name": "acme/api", "name": "api"},
                "pullrequest": {
                    "id": 3,
                    "title": "Faster",
                    "state": "OPEN",
                    "created_on": AT,
                    "updated_on": AT,
                    "source": {"branch": {"name": "fast"}, "commit": {"hash": SHA[:12]}},
                    "destination": {"branch": {"name": "main"}},
                },
            },
        )
    ],
    "circleci": [
        (
            "/circleci",
            {"circleci-event-type": "workflow-completed"},
            {
                "id": "e1",
                "type": "workflow-completed",
                "happened_at": AT,
                "project": {"name": "api", "slug": "gh/acme/api"},
                "workflow": {
                    "id": "w1",
                    "name": "build",
                    "status": "success",
                    "created_at": AT,
                    "stopped_at": AT,
                },
                "pipeline": {"number": 4, "vcs": {"revision": SHA, "branch": "main"}},
            },
        )
    ],
    "buildkite": [
        (
            "/buildkite",
            {"X-Buildkite-Event": "build.finished"},
            {
                "event": "build.finished",
                "build": {
                    "id": "b1",
                    "number": 5,
                    "state": "passed",
                    "commit": SHA,
                    "branch": "main",
                    "created_at": AT,
                    "started_at": AT,
                    "finished_at": AT,
                },
                "pipeline": {"slug": "api", "repository": "git@git.example:acme/api.git"},
            },
        )
    ],
    "azure": [
        (
            "/azure",
            {},
            {
                "id": "i1",
                "eventType": "build.complete",
                "createdDate": AT,
                "resource": {
                    "id": 2,
                    "buildNumber": "20260302.1",
                    "status": "completed",
                    "result": "succeeded",
                    "startTime": AT,
                    "finishTime": AT,
                    "definition": {"name": "api"},
                    "project": {"name": "acme"},
                },
            },
        )
    ],
    "argocd": [
        (
            "/argocd",
            {},
            {
                "app": "api",
                "namespace": "acme",
                "revision": SHA,
                "phase": "Succeeded",
                "startedAt": AT,
                "finishedAt": AT,
            },
        )
    ],
    "linear": [
        (
            "/linear",
            {"Linear-Event": "Issue"},
            {
                "action": "update",
                "type": "Issue",
                "createdAt": AT,
                "data": {
                    "id": "l1",
                    "identifier": "ENG-4",
                    "title": "Slow",
                    "createdAt": AT,
                    "updatedAt": AT,
                    "state": {"name": "Doing", "type": "started"},
                    "team": {"key": "ENG"},
                },
            },
        )
    ],
    "trello": [
        (
            "/trello",
            {},
            {
                "action": {
                    "id": "t1",
                    "type": "updateCard",
                    "date": AT,
                    "data": {
                        "card": {"id": "c1", "name": "Slow", "idShort": 4, "shortLink": "ab"},
                        "listBefore": {"name": "To do"},
                        "listAfter": {"name": "Doing"},
                        "board": {"name": "Shop", "shortLink": "b1"},
                    },
                    "memberCreator": {"username": "ana"},
                },
                "model": {"id": "b1"},
            },
        )
    ],
    "grafana": [
        (
            "/grafana",
            {},
            {
                "status": "firing",
                "orgId": 1,
                "alerts": [
                    {
                        "status": "firing",
                        "labels": {"alertname": "Errors", "service": "api"},
                        "annotations": {"summary": "many"},
                        "startsAt": AT,
                        "endsAt": "0001-01-01T00:00:00Z",
                        "fingerprint": "f1",
                    }
                ],
            },
        )
    ],
    "emmetrics": [
        (
            "/deployments",
            {},
            {"id": "d1", "project_id": "acme/api", "first_commit_at": AT},
        ),
        ("/incidents", {}, {"id": "i1", "project_id": "acme/api", "started_at": AT}),
    ],
    "cdevents": [
        (
            "/cdevents",
            {"Content-Type": "application/cloudevents+json"},
            {
                "specversion": "1.0",
                "id": "e1",
                "source": "/ci",
                "type": "dev.cdevents.pipelinerun.finished.0.2.0",
                "time": AT,
                "data": {
                    "context": {
                        "version": "0.4.1",
                        "id": "e1",
                        "source": "/ci",
                        "type": "dev.cdevents.pipelinerun.finished.0.2.0",
                        "timestamp": AT,
                    },
                    "subject": {
                        "id": "r1",
                        "type": "pipelineRun",
                        "content": {"pipelineName": "api", "outcome": "success"},
                    },
                },
            },
        )
    ],
    "otlp": [
        (
            "/v1/traces",
            {},
            {
                "resourceSpans": [
                    {
                        "resource": {
                            "attributes": [{"key": "service.name", "value": {"stringValue": "api"}}]
                        },
                        "scopeSpans": [
                            {
                                "spans": [
                                    {
                                        "traceId": "0af7651916cd43dd8448eb211c80319c",
                                        "spanId": "b7ad6b7169203331",
                                        "name": "build",
                                        "startTimeUnixNano": "1772445600000000000",
                                        "endTimeUnixNano": "1772445660000000000",
                                        "attributes": [
                                            {
                                                "key": "cicd.pipeline.name",
                                                "value": {"stringValue": "api"},
                                            }
                                        ],
                                        "status": {},
                                    }
                                ]
                            }
                        ],
                    }
                ]
            },
        )
    ],
    "devlake": [
        (
            "/api/rest/plugins/webhook/connections/1/deployments",
            {},
            {
                "id": "d-1",
                "displayTitle": "Ship TP-3",
                "result": "SUCCESS",
                "environment": "STAGING",
                "startedDate": AT,
                "finishedDate": AT,
                "deploymentCommits": [
                    {
                        "repoUrl": "https://git.example/acme/api",
                        "refName": "main",
                        "commitSha": SHA,
                    }
                ],
            },
        ),
        (
            "/api/plugins/webhook/1/issues",
            {},
            {
                "issue_key": "DLK-1234",
                "title": "Checkout is down",
                "type": "INCIDENT",
                "status": "TODO",
                "original_status": "created",
                "created_date": AT,
                "updated_date": AT,
                "assignee_name": "ana",
            },
        ),
    ],
    "user": [
        (
            "/api/links",
            {},
            {
                "action": "pin",
                "child": "vstrace-customhttp-build-default-1",
                "parent": "vstrace-customhttp-build-default-2",
            },
        )
    ],
}


@cache
def honest(source: str) -> list[Honest]:
    """What a source's tool sends; every source has at least one."""
    found = list(WRITTEN.get(source, ()))
    sample = SAMPLES / f"{source}.jsonl"
    if sample.is_file():
        with sample.open("rb") as lines:
            deliveries = [d for _, d in zip(range(60), read(lines, sample.name), strict=False)]
        found += [(d.path, dict(d.headers), json.loads(d.body)) for d in deliveries]
    if preset := presets().get(source):
        found += [
            (preset.paths[0], sample.get("headers", {}), json.loads(sample["body"]))
            for sample in preset.definition["samples"]
        ]
    assert found, f"write an honest delivery of {source}"
    return found


def zstd(body: bytes) -> bytes:
    """A frame with its checksum, as `zstd` on the command line writes it."""
    found = import_module(f"{ZSTD}.zstd")
    return found.compress(body, options={found.CompressionParameter.checksum_flag: 1})
