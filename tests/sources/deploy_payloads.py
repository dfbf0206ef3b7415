"""Bodies of Azure DevOps' service hooks and of the template for Argo CD."""

from __future__ import annotations

from typing import Any

from tests.sources.api_payloads import SHA, post, stamp
from vs_tui.sources.base import Inbound

ORG = "c12d0eb8-e382-443b-9f9c-c52cba5014c2"
HEAD, MERGE = "5" * 40, "e" * 40
REPOSITORY = {
    "id": "278d5cd2-584d-4b63-824a-2ba458937249",
    "name": "Cart",
    "url": "https://dev.azure.com/acme/_apis/git/repositories/278d5cd2",
    "project": {"id": "6ce954b1", "name": "Shop", "state": "wellFormed"},
    "defaultBranch": "refs/heads/main",
    "remoteUrl": "https://acme@dev.azure.com/acme/Shop/_git/Cart",
}


def azure(kind: str, resource: dict[str, Any], clock: str, **changes: Any) -> dict[str, Any]:
    return {
        "subscriptionId": "4f6e6328-0251-4814-a009-c01dfa368e3f",
        "notificationId": 1,
        "id": f"{kind}-{clock}",
        "eventType": kind,
        "publisherId": "tfs",
        "message": {"text": "something happened"},
        "resource": resource,
        "resourceVersion": "1.0",
        "resourceContainers": {
            "collection": {"id": ORG},
            "account": {"id": "f844ec47"},
            "project": {"id": "be9b3917"},
        },
        "createdDate": stamp(clock),
        **changes,
    }


def azure_push(ref: str = "refs/heads/feature/cache", **changes: Any) -> dict[str, Any]:
    resource = {
        "commits": [
            {
                "commitId": HEAD,
                "author": {"name": "Ann", "date": stamp("09:30:00")},
                "committer": {"name": "Ann", "date": stamp("09:31:00")},
                "comment": "Cache carts #12\n\nSee vstrace-jira-issue-TP-3",
            }
        ],
        "refUpdates": [{"name": ref, "oldObjectId": "a" * 40, "newObjectId": HEAD}],
        "repository": REPOSITORY,
        "pushedBy": {"displayName": "Ann Lee", "uniqueName": "ann@acme.example"},
        "pushId": 14,
        "date": stamp("09:40:00"),
        **changes,
    }
    return azure("git.push", resource, "09:40:01")


def azure_pull(kind: str, clock: str, status: str = "active", **changes: Any) -> dict[str, Any]:
    resource = {
        "repository": REPOSITORY,
        "pullRequestId": 34,
        "status": status,
        "createdBy": {"displayName": "Ann Lee"},
        "creationDate": stamp("09:50:00"),
        "closedDate": None,
        "title": "Cache carts",
        "description": "Fixes AB#12, see #13",
        "sourceRefName": "refs/heads/feature/cache",
        "targetRefName": "refs/heads/main",
        "mergeStatus": "succeeded",
        "isDraft": False,
        "lastMergeSourceCommit": {"commitId": HEAD},
        "lastMergeTargetCommit": {"commitId": "a" * 40},
        "lastMergeCommit": {"commitId": MERGE},
        "reviewers": [{"displayName": "Bob", "vote": 10}, {"displayName": "Cid", "vote": 0}],
        **changes,
    }
    return azure(f"git.pullrequest.{kind}", resource, clock)


def azure_comment(clock: str = "10:05:01", pull: Any = None, **changes: Any) -> dict[str, Any]:
    """A comment by Bob at 10:05 on the pull request, which has the fields of `pull` as well."""
    known = azure_pull("created", clock)["resource"]
    comment = {
        "id": 2,
        "parentCommentId": 1,
        "author": {"displayName": "Bob", "uniqueName": "bob@acme.example"},
        "content": "Why?",
        "publishedDate": stamp("10:05:00"),
        "commentType": "text",
        **changes,
    }
    whole = known | pull if pull and isinstance(pull, dict) else known if pull is None else pull
    resource = {"comment": comment, "pullRequest": whole}
    return azure("ms.vss-code.git-pullrequest-comment-event", resource, clock)


def azure_build(status: str = "completed", result: str = "succeeded", **changes: Any) -> Any:
    resource = {
        "_links": {"web": {"href": "https://dev.azure.com/acme/Shop/_build/results?buildId=11"}},
        "id": 11,
        "buildNumber": "20260302.1",
        "status": status,
        "result": result,
        "queueTime": stamp("10:00:00"),
        "startTime": stamp("10:00:20"),
        "finishTime": stamp("10:10:00"),
        "sourceBranch": "refs/heads/main",
        "sourceVersion": MERGE,
        "definition": {"id": 2, "name": "ship", "project": {"name": "Shop"}},
        "project": {"id": "6ce954b1", "name": "Shop"},
        "repository": {"id": "278d5cd2", "type": "TfsGit", "name": "Cart", "url": CLONE},
        "requestedFor": {"displayName": "Ann Lee"},
        **changes,
    }
    return azure("build.complete", resource, "10:10:01", resourceVersion="2.0")


CLONE = "https://dev.azure.com/acme/Shop/_git/Cart"


def azure_run(clock: str, state: str, result: str | None = None, **changes: Any) -> dict[str, Any]:
    ended = stamp("10:10:00") if state == "completed" else None
    run = {
        "_links": {"web": {"href": "https://dev.azure.com/acme/Shop/_build/results?buildId=11"}},
        "pipeline": {"id": 2, "name": "ship", "folder": "\\"},
        "state": state,
        "result": result,
        "createdDate": stamp("10:00:00"),
        "finishedDate": ended,
        "id": 11,
        "name": "20260302.1",
        **changes,
    }
    return azure("ms.vss-pipelines.run-state-changed-event", pipeline_resource(run=run), clock)


def pipeline_resource(**parts: Any) -> dict[str, Any]:
    return {
        **parts,
        "pipeline": {"id": 2, "name": "ship", "folder": "\\"},
        "repositories": [
            {
                "type": "Git",
                "change": {"author": {"name": "Ann"}, "message": "Cache", "version": MERGE},
                "url": "https://acme@dev.azure.com/acme/Shop/_git/Cart",
            }
        ],
    }


def azure_part(
    kind: str, clock: str, state: str, result: str | None = None, **changes: Any
) -> dict[str, Any]:
    """A stage or a job of run 11."""
    part = {
        "_links": {"web": {"href": "https://dev.azure.com/acme/Shop/_build/results?buildId=11"}},
        "id": "00000000-0000-0000-0000-000000000000",
        "name": "Build",
        "displayName": None,
        "state": state,
        "result": result,
        "startTime": None,
        "finishTime": None,
        **changes,
    }
    run = {"id": 11, "name": "20260302.1", "state": "inProgress", "createdDate": stamp("10:00:00")}
    parts = {kind: part, "run": run}
    if kind == "job":
        parts["stage"] = {"id": "0", "name": "Build", "state": "running"}
    event = f"ms.vss-pipelines.{kind}-state-changed-event"
    return azure(event, pipeline_resource(**parts), clock)


def azure_release(clock: str, status: str = "", **changes: Any) -> dict[str, Any]:
    """The start of a release's deployment, or with a status its end."""
    version = {"id": "11", "name": "20260302.1"}
    resource = {
        "environment": {
            "id": 5,
            "name": "Production",
            "status": status or "queued",
            "deploySteps": [],
            "owner": {"displayName": "Chuck"},
            "release": {
                "id": 9,
                "name": "Release-9",
                "_links": {"web": {"href": "https://dev.azure.com/acme/Shop/_release?releaseId=9"}},
            },
            "releaseDefinition": {"id": 1, "name": "cart.CD"},
        },
        "deployment": {
            "attempt": 1,
            "requestedFor": {"displayName": "Bob"},
            "release": {
                "artifacts": [
                    {
                        "type": "Build",
                        "alias": "cart.CI",
                        "isPrimary": True,
                        "definitionReference": {
                            "version": version,
                            "sourceVersion": {"id": MERGE, "name": ""},
                        },
                    }
                ]
            },
        },
        "project": {"id": "6ce954b1", "name": "Shop"},
        **changes,
    }
    word = "completed" if status else "started"
    return azure(f"ms.vss-release.deployment-{word}-event", resource, clock)


def azure_item(kind: str, clock: str, state: str = "New", **fields: Any) -> dict[str, Any]:
    """A work item; its fields are those of its revision where it was updated."""
    found = {
        "System.AreaPath": "Shop",
        "System.TeamProject": "Shop",
        "System.IterationPath": "Shop\\Sprint 1",
        "System.WorkItemType": "Bug",
        "System.State": state,
        "System.Reason": "New defect reported",
        "System.CreatedDate": stamp("08:00:00"),
        "System.CreatedBy": "Ann Lee <ann@acme.example>",
        "System.ChangedDate": stamp(clock),
        "System.AssignedTo": {"displayName": "Bob", "uniqueName": "bob@acme.example"},
        "System.Title": "Carts are slow",
        "Microsoft.VSTS.Common.Priority": 2,
        **{name.replace("__", "."): value for name, value in fields.items()},
    }
    links = {"html": {"href": "https://dev.azure.com/acme/Shop/_workitems/edit/12"}}
    if kind == "updated":
        resource = {
            "id": 3,
            "workItemId": 12,
            "rev": 2,
            "fields": {"System.State": {"oldValue": "New", "newValue": state}},
            "revision": {"id": 12, "rev": 2, "fields": found, "_links": links},
        }
    else:
        resource = {"id": 12, "rev": 1, "fields": found, "_links": links}
    return azure(f"workitem.{kind}", resource, clock)


CHANGED, CLOSED = "Microsoft__VSTS__Common__StateChangeDate", "Microsoft__VSTS__Common__ClosedDate"


def azure_story() -> list[Inbound]:
    """A bug, its change, the run of it, and the release to production: deployed, and again."""
    done = {CHANGED: stamp("11:30:00"), CLOSED: stamp("11:30:00")}
    reopened = {CHANGED: stamp("12:00:00"), CLOSED: None}
    bodies = [
        azure_item("created", "08:00:00", **{CHANGED: stamp("08:00:00")}),
        azure_item("updated", "09:00:00", "Active", **{CHANGED: stamp("09:00:00")}),
        azure_push(),
        azure_pull("created", "09:50:00", isDraft=True),
        azure_pull("merged", "09:51:00"),
        azure_pull("updated", "09:58:00", "abandoned", closedDate=stamp("09:57:00")),
        azure_pull("updated", "10:00:00", "completed", closedDate=stamp("09:59:00")),
        azure_run("10:00:05", "inProgress"),
        azure_part("stage", "10:00:30", "running"),
        azure_part("job", "10:00:35", "running", name="Compile"),
        azure_part(
            "job",
            "10:03:00",
            "completed",
            "failed",
            name="Compile",
            startTime=stamp("10:00:34"),
            finishTime=stamp("10:02:59"),
        ),
        azure_part("stage", "10:03:05", "completed", "failed"),
        azure_part("stage", "10:06:00", "completed", "succeeded"),
        azure_part("stage", "10:07:00", "waiting", name="Deploy_QA", displayName="Deploy to QA"),
        azure_part(
            "stage",
            "10:09:00",
            "completed",
            "succeeded",
            name="Deploy_QA",
            displayName="Deploy to QA",
        ),
        azure_run("10:10:02", "completed", "succeeded"),
        azure_build(),
        azure_release("10:30:00"),
        azure_release("10:40:00", "rejected"),
        azure_release("10:50:00"),
        azure_release("11:00:00", "succeeded"),
        azure_item("updated", "11:30:00", "Shipped", **done),
        azure_item("updated", "12:00:00", "Active", **reopened),
        azure_item("deleted", "12:30:00", "Active", **reopened),
    ]
    return [post("/azure", body, n) for n, body in enumerate(bodies)]


# -- Argo CD -----------------------------------------------------------------------------------


def argo(phase: str = "Succeeded", health: str = "Healthy", **changes: Any) -> dict[str, Any]:
    """What the template in docs/sources/argocd.md renders."""
    return {
        "app": "cart-prod",
        "appNamespace": "argocd",
        "project": "shop",
        "phase": phase,
        "startedAt": stamp("10:00:00"),
        "finishedAt": stamp("10:01:00") if phase in ("Succeeded", "Failed", "Error") else None,
        "message": "successfully synced (all tasks run)",
        "health": health,
        "healthAt": None,
        "revision": SHA,
        "repository": "https://github.com/Acme/deployments.git",
        "images": ["registry.example/acme/cart:1.4.2"],
        "cluster": "https://kubernetes.default.svc",
        "namespace": "shop",
        "environment": None,
        "service": "cart",
        "user": "ann",
        "url": "https://argocd.example/applications/cart-prod",
        **changes,
    }


def argocd_story() -> list[Inbound]:
    """A sync that rolls out, one that fails, one that never gets healthy."""
    second = {"startedAt": stamp("11:00:00")}
    third = {"startedAt": stamp("12:00:00"), "finishedAt": stamp("12:01:00")}
    bodies = [
        argo("Running", "Healthy"),
        argo("Succeeded", "Progressing"),
        argo("Succeeded", "Healthy", healthAt=stamp("10:03:00")),
        argo("Running", "Healthy", **second),
        argo("Failed", "Healthy", **second, finishedAt=stamp("11:00:40"), message="hook failed"),
        argo("Succeeded", "Progressing", **third),
        argo("Succeeded", "Degraded", **third, healthAt=stamp("12:10:00")),
        argo("Succeeded", "Suspended", startedAt=stamp("13:00:00")),
    ]
    return [post("/argocd", body, n) for n, body in enumerate(bodies)]
