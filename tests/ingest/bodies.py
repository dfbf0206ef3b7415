"""One or more honest deliveries of every source, to be mutated: (path, headers, body)."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from vs_tui.ingest.bodies import ZSTD
from vs_tui.log.recording import read
from vs_tui.sources.mapped import presets

Honest = tuple[str, dict[str, str], Any]
EXAMPLE = re.compile(
    r"`POST (?P<path>/\S+)`(?P<rest>[^\n]*)\n\n```json\n(?P<body>.*?)\n```", re.DOTALL
)
HEADER = re.compile(r"`([A-Za-z-]+): ([^`]+)`")
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
    return found or _documented(source)


def _documented(source: str) -> list[Honest]:
    """The examples of the source's page, which say what to post where."""
    page = (SAMPLES.parent / "docs" / "sources" / f"{source}.md").read_text("utf-8")
    found = [
        (each["path"], dict(HEADER.findall(each["rest"])), json.loads(each["body"]))
        for each in EXAMPLE.finditer(page)
    ]
    assert found, f"docs/sources/{source}.md has no example"
    return found


def zstd(body: bytes) -> bytes:
    """A frame with its checksum, as `zstd` on the command line writes it."""
    found = import_module(f"{ZSTD}.zstd")
    return found.compress(body, options={found.CompressionParameter.checksum_flag: 1})
