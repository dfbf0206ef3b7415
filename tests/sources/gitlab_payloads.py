"""Webhook bodies in GitLab's documented shapes: one small story of one project."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED
from vs_tui.sources.base import Inbound

HEAD = "1f" * 20
HEAD_2 = "2f" * 20
MERGE = "ed" * 20
WEB = "https://gitlab.example.com/acme/api"
BOB = {"id": 7, "name": "Bob Builder", "username": "bob"}
CID = {"id": 8, "name": "Cid", "username": "cid"}


def stamp(clock: str | None) -> str | None:
    """`10:00:00` on 2 March 2026 as most events write it."""
    return f"2026-03-02 {clock} UTC" if clock else None


def iso_stamp(clock: str) -> str:
    return f"2026-03-02T{clock}Z"


def inbound(body: Any, **headers: str) -> Inbound:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Inbound("/gitlab", names, json.dumps(body).encode(), RECEIVED)


def project(path: str = "acme/api") -> dict[str, Any]:
    return {
        "id": 3 + sum(map(ord, path)) * (path != "acme/api"),
        "name": "Billing API",
        "namespace": "Acme",
        "web_url": f"https://gitlab.example.com/{path}",
        "git_ssh_url": f"git@gitlab.example.com:{path}.git",
        "path_with_namespace": path,
        "default_branch": "main",
    }


def body(kind: str, **fields: Any) -> dict[str, Any]:
    return {"object_kind": kind, "user": BOB, "project": project(), **fields}


def issue(action: str, clock: str = "09:00:00", kind: str = "issue", **changes: Any) -> Any:
    closed = action == "close"
    found = {
        "id": 301,
        "iid": 12,
        "title": "Invoices are slow",
        "description": "see vstrace-github-issue-web-4",
        "author_id": 7,
        "state": "closed" if closed else "opened",
        "action": action,
        "created_at": iso_stamp("09:00:00"),
        "updated_at": iso_stamp(clock),
        "closed_at": iso_stamp(clock) if closed else None,
        "url": f"{WEB}/-/issues/12",
        **changes,
    }
    return body(kind, object_attributes=found, labels=[{"title": "perf"}], assignees=[CID])


def merge_request(action: str, clock: str = "10:00:00", **changes: Any) -> dict[str, Any]:
    extra = {
        name: changes.pop(name) for name in ("changes", "user", "reviewers") if name in changes
    }
    states = {"merge": "merged", "close": "closed"}
    found = {
        "id": 99,
        "iid": 34,
        "title": "TP-3 cache invoices",
        "description": "Closes #12",
        "author_id": 7,
        "source_branch": "feature/cache",
        "target_branch": "main",
        "state": states.get(action, "opened"),
        "action": action,
        "draft": False,
        "created_at": stamp("10:00:00"),
        "updated_at": stamp(clock),
        "last_commit": {"id": HEAD, "message": "wip"},
        "merge_commit_sha": MERGE if action == "merge" else None,
        "source": project(),
        "target": project(),
        "url": f"{WEB}/-/merge_requests/34",
        **changes,
    }
    found_body = body("merge_request", object_attributes=found, labels=[], reviewers=[CID])
    return found_body | extra


def build(
    number: int,
    status: str,
    created: str | None = "10:30:00",
    started: str | None = None,
    finished: str | None = None,
    **changes: Any,
) -> dict[str, Any]:
    """A job as a pipeline's snapshot lists it."""
    return {
        "id": number,
        "stage": "test",
        "name": "unit",
        "status": status,
        "created_at": stamp(created),
        "started_at": stamp(started),
        "finished_at": stamp(finished),
        "queued_duration": 5.0 if started else None,
        "failure_reason": "script_failure" if status == "failed" else None,
        "allow_failure": False,
        "user": BOB,
        "runner": {"id": 5, "description": "shared-5"} if started else None,
        "environment": None,
        **changes,
    }


def pipeline(
    status: str,
    finished: str | None = None,
    builds: list[dict[str, Any]] | None = None,
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    queued = None if status in ("created", "pending", "skipped") else 10
    found = {
        "id": 555,
        "iid": 21,
        "name": None,
        "ref": "feature/cache",
        "tag": False,
        "sha": HEAD,
        "source": "push",
        "status": status,
        "stages": ["build", "test"],
        "created_at": stamp("10:30:00"),
        "finished_at": stamp(finished),
        "queued_duration": queued,
        "duration": 60 if finished else None,
        "variables": [],
        "url": f"{WEB}/-/pipelines/555",
        **changes,
    }
    commit = {"id": HEAD, "message": "TP-3 wip", "title": "TP-3 wip"}
    return body("pipeline", object_attributes=found, builds=builds or [], commit=commit) | (
        extra or {}
    )


def job_hook(
    status: str,
    started: str | None = None,
    finished: str | None = None,
    number: int = 900,
    **changes: Any,
) -> dict[str, Any]:
    """The Job Hook: `build_` fields, and no `project` before GitLab 16."""
    return {
        "object_kind": "build",
        "ref": "feature/cache",
        "tag": False,
        "sha": HEAD,
        "build_id": number,
        "build_name": "unit",
        "build_stage": "test",
        "build_status": status,
        "build_created_at": stamp("10:30:00"),
        "build_started_at": stamp(started),
        "build_finished_at": stamp(finished),
        "build_queued_duration": 5.0 if started else None,
        "build_failure_reason": "script_failure" if status == "failed" else "unknown_failure",
        "build_allow_failure": False,
        "retries_count": 0,
        "pipeline_id": 555,
        "project_id": 3,
        "project_name": "Acme / Billing API",
        "user": {"id": 7, "name": "Bob Builder"},
        "commit": {"id": 555, "sha": HEAD, "message": "TP-3 wip"},
        "repository": {
            "name": "Billing API",
            "git_ssh_url": "git@gitlab.example.com:acme/api.git",
            "homepage": WEB,
        },
        "runner": {"id": 5, "description": "shared-5"} if started else None,
        "environment": None,
        **changes,
    }


def deployment(status: str, clock: str, **changes: Any) -> dict[str, Any]:
    return (
        body(
            "deployment",
            status=status,
            status_changed_at=f"2026-03-02 {clock} +0000",
            deployment_id=15,
            deployable_id=901,
            deployable_url=f"{WEB}/-/jobs/901",
            environment="production",
            environment_tier="production",
            environment_external_url="https://api.example.com",
            short_sha=MERGE[:8],
            commit_url=f"{WEB}/-/commit/{MERGE}",
            commit_title="Merge branch 'feature/cache' into 'main'",
            ref="main",
        )
        | changes
    )


def push(ref: str = "refs/heads/feature/cache", **changes: Any) -> dict[str, Any]:
    commits = [
        {"id": HEAD, "message": "Start\n\nCloses #12", "timestamp": iso_stamp("09:30:00")},
        {"id": HEAD_2, "message": "Finish TP-5", "timestamp": iso_stamp("10:10:00")},
    ]
    found = {
        "object_kind": "push",
        "event_name": "push",
        "before": "aa" * 20,
        "after": HEAD_2,
        "checkout_sha": HEAD_2,
        "ref": ref,
        "user_name": "Cid",
        "user_username": "cid",
        "project": project(),
        "commits": commits,
        "total_commits_count": 2,
    }
    return found | changes


def tag_push(tag: str = "v1.2.0", **changes: Any) -> dict[str, Any]:
    commits = [{"id": MERGE, "message": "Merge", "timestamp": iso_stamp("11:30:00")}]
    return (
        push(f"refs/tags/{tag}", commits=commits)
        | {"object_kind": "tag_push", "after": "cc" * 20, "checkout_sha": MERGE}
        | changes
    )


def release(action: str = "create", **changes: Any) -> dict[str, Any]:
    return {
        "object_kind": "release",
        "id": 1,
        "action": action,
        "name": "Spring",
        "tag": "v1.2.0",
        "released_at": stamp("11:50:00"),
        "created_at": stamp("11:40:00"),
        "url": f"{WEB}/-/releases/v1.2.0",
        "project": project(),
        "commit": {"id": MERGE, "message": "Merge"},
    } | changes
