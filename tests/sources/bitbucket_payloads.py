"""Webhook bodies in the documented shapes of Bitbucket Cloud and Bitbucket Server."""

from __future__ import annotations

import json
from typing import Any

from tests.sources.webhook_tools import RECEIVED, at
from vs_tui.sources.base import Inbound

HEAD = "1f" * 20
MERGE = "ed" * 20
BASE = "ba" * 20


def stamp(clock: str) -> str:
    """`10:00:00` on 2 March 2026 as Cloud writes it."""
    return f"2026-03-02T{clock}.123456+00:00"


def millis(clock: str) -> int:
    return at(clock) // 1_000


def account(name: str) -> dict[str, Any]:
    return {"type": "user", "nickname": name, "display_name": name.title(), "uuid": "{1}"}


def cloud_repo(full: str = "acme/api") -> dict[str, Any]:
    return {
        "type": "repository",
        "full_name": full,
        "name": full.partition("/")[2],
        "links": {"html": {"href": f"https://bitbucket.org/{full}"}},
    }


def cloud(**fields: Any) -> dict[str, Any]:
    return {"actor": account("cid"), "repository": cloud_repo(), **fields}


def cloud_pull(
    state: str = "OPEN",
    clock: str = "10:00:00",
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    found = {
        "id": 34,
        "title": "TP-3 cache invoices",
        "description": "Closes #12",
        "state": state,
        "draft": False,
        "author": account("bob"),
        "comment_count": 4,
        "task_count": 0,
        # Cloud shortens the commits of a pull request to 12 digits.
        "source": {
            "branch": {"name": "feature/cache"},
            "commit": {"hash": HEAD[:12]},
            "repository": cloud_repo(),
        },
        "destination": {
            "branch": {"name": "main"},
            "commit": {"hash": BASE[:12]},
            "repository": cloud_repo(),
        },
        "merge_commit": {"hash": MERGE[:12]} if state == "MERGED" else None,
        "reviewers": [account("cid"), account("dan")],
        "participants": [],
        "links": {"html": {"href": "https://bitbucket.org/acme/api/pull-requests/34"}},
        "created_on": stamp("10:00:00"),
        "updated_on": stamp(clock),
    }
    return cloud(pullrequest={**found, **changes}) | (extra or {})


def cloud_push(
    name: str = "feature/cache",
    kind: str = "branch",
    sha: str = HEAD,
    message: str = "Finish\n",
    **changes: Any,
) -> dict[str, Any]:
    target = {
        "type": "commit",
        "hash": sha,
        "message": message,
        "date": stamp("10:20:00"),
        "author": {"user": account("bob")},
    }
    entry = {
        "new": {"type": kind, "name": name, "target": target},
        "old": {"type": kind, "name": name, "target": {"hash": BASE}},
        "created": False,
        "forced": False,
        "closed": False,
        "truncated": False,
        "commits": [
            {"hash": sha, "message": message, "date": stamp("10:20:00")},
            {"hash": "c0" * 20, "message": "Start\n", "date": stamp("09:30:00")},
        ],
        "links": {"html": {"href": "https://bitbucket.org/acme/api/branches/compare/a..b"}},
    }
    return cloud(push={"changes": [{**entry, **changes}]})


def commit_status(state: str, clock: str, **changes: Any) -> dict[str, Any]:
    found = {
        "key": "api-build",
        "name": "api » feature/cache #12",
        "state": state,
        "refname": "feature/cache",
        "url": "https://ci.acme.test/job/12",
        "description": "",
        "type": "build",
        "created_on": stamp("10:30:00"),
        "updated_on": stamp(clock),
        "links": {
            "commit": {"href": f"https://api.bitbucket.org/2.0/repositories/acme/api/commit/{HEAD}"}
        },
    }
    return cloud(commit_status={**found, **changes})


def cloud_issue(state: str, clock: str = "09:00:00", **changes: Any) -> dict[str, Any]:
    found = {
        "id": 12,
        "title": "Invoices are slow",
        "content": {"raw": "A minute."},
        "state": state,
        "kind": "bug",
        "priority": "major",
        "reporter": account("ann"),
        "assignee": account("bob"),
        "created_on": stamp("09:00:00"),
        "updated_on": stamp(clock),
        "links": {"html": {"href": "https://bitbucket.org/acme/api/issues/12"}},
    }
    return cloud(issue={**found, **changes})


def server_repo(project: str = "ACME", slug: str = "api") -> dict[str, Any]:
    page = f"https://git.acme.test/projects/{project}/repos/{slug}/browse"
    return {
        "slug": slug,
        "name": slug,
        "id": 4,
        "project": {"key": project, "name": project},
        "links": {"self": [{"href": page}]},
    }


def server_pull(
    key: str,
    state: str = "OPEN",
    clock: str = "10:00:00",
    extra: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    closed = {} if state == "OPEN" else {"closedDate": millis(clock)}
    merge = {"mergeCommit": {"id": MERGE, "displayId": MERGE[:11]}} if state == "MERGED" else {}
    found = {
        "id": 34,
        "version": 1,
        "title": "TP-3 cache invoices",
        "description": "See TP-4",
        "state": state,
        "open": state == "OPEN",
        "closed": state != "OPEN",
        "draft": False,
        "createdDate": millis("10:00:00"),
        "updatedDate": millis(clock),
        **closed,
        "fromRef": {
            "id": "refs/heads/feature/cache",
            "displayId": "feature/cache",
            "latestCommit": HEAD,
            "repository": server_repo(),
        },
        "toRef": {
            "id": "refs/heads/main",
            "displayId": "main",
            "latestCommit": BASE,
            "repository": server_repo(),
        },
        "author": {"user": {"name": "bob"}, "role": "AUTHOR"},
        "properties": merge,
        "reviewers": [{"user": {"name": "cid"}, "status": "UNAPPROVED"}],
        "links": {
            "self": [{"href": "https://git.acme.test/projects/ACME/repos/api/pull-requests/34"}]
        },
    }
    return {
        "eventKey": key,
        "date": f"2026-03-02T{clock}+0000",
        "actor": {"name": "cid"},
        "pullRequest": {**found, **changes},
    } | (extra or {})


def server_push(ref: str = "refs/heads/feature/cache", **changes: Any) -> dict[str, Any]:
    entry = {
        "ref": {"id": ref, "displayId": ref.rpartition("/")[2], "type": "BRANCH"},
        "refId": ref,
        "fromHash": BASE,
        "toHash": HEAD,
        "type": "UPDATE",
    }
    newest = {"id": HEAD, "message": "Finish", "committerTimestamp": millis("10:18:00")}
    return {
        "eventKey": "repo:refs_changed",
        "date": "2026-03-02T11:20:00+0100",
        "actor": {"name": "bob"},
        "repository": server_repo(),
        "toCommit": newest,
        "commits": [
            newest,
            {"id": "c0" * 20, "message": "TP-5 start", "committerTimestamp": millis("09:30:00")},
        ],
        "changes": [{**entry, **changes}],
    }


def inbound(event: str, body: Any) -> Inbound:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Inbound("/bitbucket", {"x-event-key": event}, raw, RECEIVED)
