"""Short bodies of tools that were sent to /customhttp: each is read as its tool's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.sources.webhook_tools import RECEIVED, fold_all
from vs_tui.model.vocabulary import Verdict
from vs_tui.sources.base import Inbound
from vs_tui.sources.customhttp import SOURCE

SHA = "1" * 40
BODIES: dict[str, Any] = {
    "opsgenie-incident-a1": {
        "action": "Create",
        "alert": {
            "alertId": "a1",
            "message": "Checkout down",
            "createdAt": 1795600800000,
            "priority": "P1",
            "tags": ["prod"],
            "source": "x",
        },
        "source": {"name": "", "type": "web"},
        "integrationName": "Webhook",
    },
    "incidentio-incident-01": {
        "event_type": "public_incident.incident_created_v2",
        "public_incident.incident_created_v2": {
            "id": "01",
            "name": "Checkout down",
            "created_at": "2026-11-25T10:00:00Z",
            "incident_status": {"category": "triage"},
            "severity": {"name": "Major"},
        },
    },
    "sentry-incident-1": {
        "action": "created",
        "data": {
            "issue": {
                "id": "1",
                "title": "TypeError",
                "level": "error",
                "status": "unresolved",
                "firstSeen": "2026-11-25T10:00:00Z",
            }
        },
        "installation": {"uuid": "x"},
        "actor": {"type": "application"},
    },
    "statuspage-incident-i1": {
        "page": {"id": "p"},
        "incident": {
            "id": "i1",
            "name": "Down",
            "status": "investigating",
            "impact": "major",
            "created_at": "2026-11-25T10:00:00Z",
        },
    },
    "vercel-deploy-dpl_1": {
        "id": "uev_1",
        "type": "deployment.succeeded",
        "createdAt": 1795600800000,
        "payload": {
            "deployment": {"id": "dpl_1", "url": "x.vercel.app", "name": "shop"},
            "target": "production",
            "project": {"id": "p"},
        },
    },
    "netlify-deploy-d1": {
        "id": "d1",
        "state": "ready",
        "name": "shop",
        "context": "production",
        "commit_ref": SHA,
        "branch": "main",
        "created_at": "2026-11-25T10:00:00Z",
        "published_at": "2026-11-25T10:01:00Z",
    },
    "heroku-deploy-r1": {
        "id": "h1",
        "action": "update",
        "resource": "release",
        "data": {
            "id": "r1",
            "version": 42,
            "status": "succeeded",
            "app": {"name": "shop"},
            "slug": {"commit": SHA},
        },
        "created_at": "2026-11-25T10:00:00Z",
    },
    "octopus-deploy-Deployments-1": {
        "Timestamp": "2026-11-25T10:00:00Z",
        "EventType": "SubscriptionPayload",
        "Payload": {
            "Event": {
                "Id": "Events-1",
                "Category": "DeploymentSucceeded",
                "Occurred": "2026-11-25T10:00:00Z",
                "RelatedDocumentIds": ["Deployments-1", "Projects-1", "Environments-1"],
            }
        },
    },
    "sonarqube-test-t1": {
        "taskId": "t1",
        "status": "SUCCESS",
        "analysedAt": "2026-11-25T10:00:00+0000",
        "revision": SHA,
        "project": {"key": "api"},
        "qualityGate": {"status": "ERROR"},
    },
    "teamcity-build-1": {
        "eventType": "BUILD_FINISHED",
        "payload": {
            "id": 1,
            "number": "12",
            "status": "SUCCESS",
            "state": "finished",
            "buildTypeId": "Api_Build",
        },
    },
    "spinnaker-pipeline-e1": {
        "details": {
            "type": "orca:pipeline:complete",
            "created": "1795600800000",
            "application": "shop",
        },
        "content": {"execution": {"id": "e1", "name": "ship", "status": "SUCCEEDED"}},
    },
    f"flux-deploy-Kustomization/flux-system/apps/main@sha1:{SHA}": {
        "involvedObject": {"kind": "Kustomization", "namespace": "flux-system", "name": "apps"},
        "severity": "info",
        "timestamp": "2026-11-25T10:00:00Z",
        "message": "Applied revision",
        "reason": "ReconciliationSucceeded",
        "metadata": {"revision": f"main@sha1:{SHA}"},
        "reportingController": "kustomize-controller",
    },
    "argorollouts-deploy-cart": {"rollout": "cart", "phase": "Healthy"},
    "drone-pipeline-acme/api-7": {
        "event": "build",
        "action": "completed",
        "repo": {"slug": "acme/api"},
        "build": {
            "id": 1,
            "number": 7,
            "status": "success",
            "started": 1795600800,
            "finished": 1795601100,
            "after": SHA,
        },
    },
    "bamboo-build-A-B-1": {"build": {"buildResultKey": "A-B-1", "status": "SUCCESS"}},
    "aws-pipeline-x": {
        "version": "0",
        "detail-type": "CodePipeline Pipeline Execution State Change",
        "source": "aws.codepipeline",
        "time": "2026-11-25T10:00:00Z",
        "detail": {"pipeline": "ship", "execution-id": "x", "state": "SUCCEEDED"},
    },
    "servicenow-incident-INC001": {
        "number": "INC001",
        "state": "1",
        "opened_at": "2026-11-25 10:00:00",
    },
    "rootly-incident-1": {
        "event": {"id": "1", "type": "incident.created", "issued_at": "2026-11-25T10:00:00Z"},
        "data": {"id": "1", "title": "x"},
    },
    "devlake-deploy-customhttp-dep-1": {
        "id": "dep-1",
        "result": "SUCCESS",
        "startedDate": "2026-11-25T10:00:00Z",
        "finishedDate": "2026-11-25T10:05:00Z",
        "environment": "PRODUCTION",
        "deploymentCommits": [
            {
                "repoUrl": "https://github.com/acme/api",
                "refName": "main",
                "commitSha": SHA,
            }
        ],
    },
}


@pytest.mark.parametrize("ref", BODIES)
def test_a_tools_own_body_at_customhttp_makes_that_tools_span(ref) -> None:
    body = json.dumps(BODIES[ref]).encode()
    parsed = SOURCE.parse(Inbound("/customhttp", {}, body, RECEIVED))
    assert parsed.verdict is Verdict.ACCEPTED, parsed.reason
    assert list(fold_all(parsed.events)) == [f"vstrace-{ref}"]
    assert parsed.reason.startswith("read as a body of ")
