"""Webhook bodies in GitHub's documented shape, as small as the adapter needs and no smaller."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED
from vs_tui.sources.base import Inbound

BASE = "a" * 40
HEAD_1 = "1" * 40
HEAD_2 = "2" * 40
MERGE = "e" * 40


def stamp(clock: str) -> str:
    """`10:00:00` on 2 March 2026 as GitHub writes it."""
    return clock if "T" in clock else f"2026-03-02T{clock}Z"


def user(name: str) -> dict[str, Any]:
    return {"login": name, "id": 7, "type": "User", "html_url": f"https://github.com/{name}"}


def repo(full: str = "acme/api") -> dict[str, Any]:
    owner, _, name = full.partition("/")
    return {
        "id": 1296269 + sum(map(ord, full)) * (full != "acme/api"),
        "name": name,
        "full_name": full,
        "owner": user(owner),
        "html_url": f"https://github.com/{full}",
        "url": f"https://api.github.com/repos/{full}",
        "default_branch": "main",
    }


def hook(action: str | None, full: str = "acme/api", **fields: Any) -> dict[str, Any]:
    body = {**fields, "repository": repo(full), "sender": user("octocat")}
    return body if action is None else {"action": action, **body}


def issue(action: str, number: int = 12, **changes: Any) -> dict[str, Any]:
    found = {
        "id": 900_000_012,
        "number": number,
        "title": "Invoices are slow",
        "body": "They take a minute.",
        "user": user("ann"),
        "state": "open",
        "state_reason": None,
        "labels": [{"name": "bug"}, {"name": "p1"}],
        "assignees": [user("bob")],
        "milestone": None,
        "comments": 3,
        "html_url": f"https://github.com/acme/api/issues/{number}",
        "created_at": stamp("09:00:00"),
        "updated_at": stamp("09:00:00"),
        "closed_at": None,
    }
    return hook(action, issue={**found, **changes})


def pull(
    action: str,
    number: int = 34,
    extra: dict[str, Any] | None = None,
    head: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    found = {
        "id": 1_500_000_034,
        "number": number,
        "title": "Cache invoices",
        "body": "Closes #12",
        "user": user("bob"),
        "state": "open",
        "draft": False,
        "merged": False,
        "merge_commit_sha": "f" * 40,
        "head": {
            "ref": "feature/cache",
            "sha": HEAD_1,
            "label": "acme:feature/cache",
            "user": user("acme"),
            "repo": repo(),
        }
        | (head or {}),
        "base": {
            "ref": "main",
            "sha": BASE,
            "label": "acme:main",
            "user": user("acme"),
            "repo": repo(),
        },
        "requested_reviewers": [user("cid")],
        "requested_teams": [{"slug": "platform"}],
        "labels": [],
        "comments": 2,
        "review_comments": 5,
        "commits": 2,
        "additions": 120,
        "deletions": 30,
        "changed_files": 4,
        "html_url": f"https://github.com/acme/api/pull/{number}",
        "created_at": stamp("10:00:00"),
        "updated_at": stamp("10:00:00"),
        "closed_at": None,
        "merged_at": None,
        "merged_by": None,
    }
    body = hook(action, number=number, pull_request={**found, **changes})
    return body | (extra or {})


def merged(**changes: Any) -> dict[str, Any]:
    return pull(
        "closed",
        **{
            "state": "closed",
            "merged": True,
            "merge_commit_sha": MERGE,
            "merged_by": user("cid"),
            "merged_at": stamp("11:30:00"),
            "closed_at": stamp("11:30:00"),
            "updated_at": stamp("11:30:01"),
            "head": {"sha": HEAD_2},
            **changes,
        },
    )


def review(action: str = "submitted", state: str = "approved", **changes: Any) -> dict[str, Any]:
    found = {
        "id": 80,
        "user": user("cid"),
        "body": "fine",
        "commit_id": HEAD_2,
        "state": state,
        "submitted_at": stamp("11:00:00"),
        "html_url": "https://github.com/acme/api/pull/34#pullrequestreview-80",
    }
    # The pull request of a review is the short form: no merged, no additions, no counts.
    whole = pull("submitted", updated_at=stamp("11:00:00"))["pull_request"]
    short = {
        name: value
        for name, value in whole.items()
        if name
        not in {
            "merged",
            "merged_by",
            "additions",
            "deletions",
            "changed_files",
            "commits",
            "comments",
            "review_comments",
        }
    }
    return hook(action, review={**found, **changes}, pull_request=short)


def commit(sha: str, message: str, clock: str, distinct: bool = True) -> dict[str, Any]:
    return {
        "id": sha,
        "message": message,
        "timestamp": stamp(clock),
        "distinct": distinct,
        "author": {"name": "Bob", "username": "bob"},
    }


def push(
    ref: str = "refs/heads/feature/cache",
    after: str = HEAD_2,
    commits: list[dict[str, Any]] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    listed = [
        commit(HEAD_1, "Start", "09:30:00"),
        commit(HEAD_2, "TP-3 finish\n\nDetails", "10:20:00"),
    ]
    listed = listed if commits is None else commits
    body = hook(
        None,
        ref=ref,
        before=BASE,
        after=after,
        created=False,
        deleted=False,
        forced=False,
        compare="https://github.com/acme/api/compare/a...b",
        commits=listed,
        head_commit=listed[-1] if listed else None,
        pusher={"name": "bob"},
    )
    body["repository"]["pushed_at"] = 1772446500  # 2026-03-02T10:15:00Z
    return body | changes


def run(action: str, clock: str = "10:31:00", attempt: int = 1, **changes: Any) -> dict[str, Any]:
    status = {"requested": "queued", "in_progress": "in_progress"}.get(action, "completed")
    found = {
        "id": 555,
        "name": "CI for #34",
        "path": ".github/workflows/ci.yml",
        "display_title": "Cache invoices",
        "run_number": 163,
        "run_attempt": attempt,
        "event": "pull_request",
        "status": status,
        "conclusion": "success" if status == "completed" else None,
        "head_branch": "feature/cache",
        "head_sha": HEAD_2,
        "head_repository": repo(),
        "head_commit": {"id": HEAD_2, "message": "finish", "timestamp": stamp("10:20:00")},
        "pull_requests": [
            {
                "number": 34,
                "id": 1_500_000_034,
                "url": "https://api.github.com/repos/acme/api/pulls/34",
                "head": {"ref": "feature/cache", "sha": HEAD_2, "repo": repo()},
                "base": {"ref": "main", "sha": BASE, "repo": repo()},
            }
        ],
        "check_suite_id": 4444,
        "previous_attempt_url": None,
        "actor": user("bob"),
        "triggering_actor": user("bob"),
        "html_url": "https://github.com/acme/api/actions/runs/555",
        # created_at stays that of the first attempt.
        "created_at": stamp("10:30:00"),
        "run_started_at": stamp("10:30:00"),
        "updated_at": stamp(clock),
    }
    return hook(
        action,
        workflow={"id": 9, "name": "CI", "path": found["path"]},
        workflow_run={**found, **changes},
    )


def step(
    number: int, name: str, start: str | None, end: str | None, conclusion: str | None = "success"
) -> dict[str, Any]:
    return {
        "number": number,
        "name": name,
        "conclusion": conclusion if end else None,
        "status": "completed" if end else "in_progress" if start else "queued",
        "started_at": stamp(start) if start else None,
        "completed_at": stamp(end) if end else None,
    }


def job(
    action: str,
    identifier: int = 7001,
    attempt: int = 1,
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    done = action == "completed"
    begun = done or action == "in_progress"
    found = {
        "id": identifier,
        "run_id": 555,
        "run_attempt": attempt,
        "name": "build (3.11)",
        "workflow_name": "CI",
        "head_branch": "feature/cache",
        "head_sha": HEAD_2,
        "status": action,
        "conclusion": "success" if done else None,
        "created_at": stamp("10:30:01"),
        "started_at": stamp("10:30:31" if begun else "10:30:01"),
        "completed_at": stamp("10:35:00") if done else None,
        "check_run_url": f"https://api.github.com/repos/acme/api/check-runs/{identifier}",
        "html_url": f"https://github.com/acme/api/actions/runs/555/job/{identifier}",
        "labels": ["ubuntu-latest"],
        "runner_id": 5 if begun else None,
        "runner_name": "GitHub Actions 5" if begun else None,
        "steps": [
            step(1, "Set up job", "10:30:31", "10:30:33"),
            step(2, "Run tests", "10:30:33", "10:34:58"),
        ]
        if done
        else [],
    }
    return hook(action, workflow_job={**found, **changes}) | (extra or {})


def deployment(identifier: int = 42, **changes: Any) -> dict[str, Any]:
    return {
        "id": identifier,
        "sha": MERGE,
        "ref": "main",
        "task": "deploy",
        "payload": {},
        "original_environment": "production",
        "environment": "production",
        "description": "Ship it",
        "creator": user("cid"),
        "production_environment": True,
        "transient_environment": False,
        "created_at": stamp("11:40:00"),
        "updated_at": stamp("11:40:00"),
        **changes,
    }


def deploy(**changes: Any) -> dict[str, Any]:
    return hook("created", deployment=deployment(**changes), workflow=None, workflow_run=None)


def deploy_status(
    state: str,
    clock: str,
    status: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    found = {
        "id": 1,
        "state": state,
        "environment": "production",
        "description": "",
        "creator": user("cid"),
        "target_url": "",
        "log_url": "https://github.com/acme/api/actions/runs/600/job/8001",
        "environment_url": "https://api.acme.test",
        "created_at": stamp(clock),
        "updated_at": stamp(clock),
    } | (status or {})
    found_deployment = deployment(**({"updated_at": stamp(clock)} | changes))
    return hook("created", deployment_status=found, deployment=found_deployment) | (extra or {})


def check_run(action: str, app: str = "sonar", **changes: Any) -> dict[str, Any]:
    done = action == "completed"
    found = {
        "id": 3001,
        "name": "quality gate",
        "head_sha": HEAD_2,
        "status": "completed" if done else "in_progress",
        "conclusion": "success" if done else None,
        "started_at": stamp("10:32:00"),
        "completed_at": stamp("10:33:00") if done else None,
        "html_url": "https://github.com/acme/api/runs/3001",
        "app": {"slug": app, "name": app.title()},
        "pull_requests": [],
        "check_suite": {"id": 2001, "head_branch": "feature/cache"},
    }
    return hook(action, check_run={**found, **changes})


def check_suite(action: str = "completed", app: str = "sonar", **changes: Any) -> dict[str, Any]:
    found = {
        "id": 2001,
        "head_branch": "feature/cache",
        "head_sha": HEAD_2,
        "status": "completed",
        "conclusion": "success",
        "app": {"slug": app, "name": app.title()},
        "pull_requests": [],
        "created_at": stamp("10:31:00"),
        "updated_at": stamp("10:34:00"),
    }
    return hook(action, check_suite={**found, **changes})


def status(state: str, clock: str, **changes: Any) -> dict[str, Any]:
    return hook(
        None,
        **{
            "id": 5,
            "sha": HEAD_2,
            "context": "ci/jenkins",
            "state": state,
            "description": "",
            "target_url": "https://ci.acme.test/job/1",
            "created_at": stamp(clock),
            "updated_at": stamp(clock),
            "commit": {"sha": HEAD_2, "commit": {"message": "finish"}},
            **changes,
        },
    )


def release(action: str = "published", **changes: Any) -> dict[str, Any]:
    found = {
        "id": 66,
        "tag_name": "v1.2.0",
        "target_commitish": "main",
        "name": "1.2.0",
        "draft": False,
        "prerelease": False,
        "author": user("cid"),
        "body": "",
        "html_url": "https://github.com/acme/api/releases/tag/v1.2.0",
        "created_at": stamp("08:00:00"),
        "published_at": stamp("11:45:00"),
    }
    return hook(action, release={**found, **changes})


def story() -> list[tuple[str, dict[str, Any]]]:
    """One delivery of one repository: issue, change, reviews, runs, a retry, a deploy."""
    closed = {"state": "closed", "state_reason": "completed"}
    retried = {"attempt": 2, "run_started_at": stamp("10:40:00"), "triggering_actor": user("cid")}
    on_main = {
        "id": 600,
        "event": "push",
        "head_branch": "main",
        "head_sha": MERGE,
        "pull_requests": [],
        "display_title": "Cache invoices (#34)",
        "run_started_at": stamp("11:30:05"),
        "created_at": stamp("11:30:05"),
    }
    failed = step(2, "Run tests", "10:30:33", "10:34:58", "failure")
    deploying = {"workflow_run": {"id": 600, "run_attempt": 1}, "check_run": {"id": 8001}}
    return [
        ("issues", issue("opened")),
        ("issues", issue("labeled", updated_at=stamp("09:05:00"))),
        ("push", push(after=HEAD_1, commits=[commit(HEAD_1, "Start", "09:30:00")])),
        ("pull_request", pull("opened", draft=True)),
        (
            "pull_request",
            pull(
                "synchronize",
                extra={"before": HEAD_1, "after": HEAD_2},
                head={"sha": HEAD_2},
                updated_at=stamp("10:21:00"),
                draft=True,
            ),
        ),
        ("push", push()),
        (
            "pull_request",
            pull("ready_for_review", head={"sha": HEAD_2}, updated_at=stamp("10:25:00")),
        ),
        ("workflow_run", run("requested", "10:30:00")),
        ("workflow_job", job("queued")),
        ("workflow_job", job("in_progress")),
        ("workflow_run", run("in_progress", "10:30:31")),
        (
            "workflow_job",
            job(
                "completed",
                conclusion="failure",
                steps=[step(1, "Set up job", "10:30:31", "10:30:33"), failed],
            ),
        ),
        ("workflow_run", run("completed", "10:35:02", conclusion="failure")),
        ("workflow_run", run("requested", "10:40:00", **retried)),
        (
            "workflow_job",
            job(
                "completed",
                7002,
                attempt=2,
                created_at=stamp("10:40:01"),
                started_at=stamp("10:40:10"),
                completed_at=stamp("10:44:00"),
            ),
        ),
        ("workflow_run", run("completed", "10:44:02", **retried)),
        ("check_run", check_run("created")),
        ("check_run", check_run("completed")),
        ("status", status("pending", "10:32:00")),
        ("status", status("success", "10:38:00")),
        ("pull_request_review", review()),
        ("pull_request", merged()),
        (
            "issues",
            issue("closed", **closed, closed_at=stamp("11:30:02"), updated_at=stamp("11:30:02")),
        ),
        ("issues", issue("reopened", closed_at=stamp("11:30:02"), updated_at=stamp("11:35:00"))),
        (
            "issues",
            issue("closed", **closed, closed_at=stamp("12:10:00"), updated_at=stamp("12:10:00")),
        ),
        (
            "push",
            push("refs/heads/main", MERGE, [commit(MERGE, "Cache invoices (#34)", "11:30:00")]),
        ),
        ("workflow_run", run("requested", "11:30:05", **on_main)),
        ("workflow_run", run("completed", "11:50:00", **on_main)),
        (
            "workflow_job",
            job(
                "completed",
                8001,
                run_id=600,
                name="deploy",
                head_branch="main",
                head_sha=MERGE,
                created_at=stamp("11:39:00"),
                started_at=stamp("11:39:30"),
                completed_at=stamp("11:49:00"),
            ),
        ),
        ("deployment", deploy()),
        ("deployment_status", deploy_status("queued", "11:40:05", extra=deploying)),
        ("deployment_status", deploy_status("in_progress", "11:41:00", extra=deploying)),
        ("deployment_status", deploy_status("success", "11:48:00", extra=deploying)),
        ("deployment_status", deploy_status("inactive", "12:30:00", extra=deploying)),
        ("push", push("refs/tags/v1.2.0", MERGE, [])),
        ("create", hook(None, ref="v1.2.0", ref_type="tag", master_branch="main")),
        ("release", release()),
    ]


def inbound(event: str, body: Any, **headers: str) -> Inbound:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {"x-github-event": event, **{k.replace("_", "-"): v for k, v in headers.items()}}
    return Inbound("/github", named, raw, RECEIVED)
