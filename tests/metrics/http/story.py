"""A list of webhook requests, which can be posted to a receiver in any order."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.ingest.server import SECRETS, TOKEN, Server, run
from tests.patience import wait_for
from vs_tui.log import sqlite_position

LEAD = "change_lead_time"
FAIL = "change_fail_rate"
RECOVERY = "failed_deployment_recovery_time"
REWORK = "deployment_rework_rate"
FREQUENCY = "deployment_frequency"
WEEK = ("2026-03-02", "2026-03-09")

_QUEUES = ("renamed_spans", "link_queue", "judge_queue")


@dataclass(frozen=True)
class Post:
    """One request."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str] = field(default_factory=dict)
    verdicts: tuple[str, ...] = ("accepted", "duplicate")


class Story:
    """Requests in the order in which they happened."""

    def __init__(self) -> None:
        self.posts: list[Post] = []

    def add(self, path: str, body: dict[str, Any], **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.posts.append(Post(path, body, named))

    def tell(self, server: Server) -> None:
        send(server, self.posts)


def send(server: Server, posts: Iterable[Post]) -> None:
    """Post each request with its tool's signature; none may be refused, or ignored
    unless it says so."""
    for post in posts:
        raw = json.dumps(post.body).encode()
        token = TOKEN
        headers = dict(post.headers)
        if post.path == "/github":
            digest = hmac.new(SECRETS["github"].encode(), raw, hashlib.sha256).hexdigest()
            headers["X-Hub-Signature-256"] = f"sha256={digest}"
            headers.setdefault("X-GitHub-Delivery", hashlib.sha256(raw).hexdigest()[:32])
            token = ""
        if post.path == "/gitlab":
            headers["X-Gitlab-Token"] = SECRETS["gitlab"]
            token = ""
        status, answer = server.call(post.path, raw, headers, token=token)
        assert status in (200, 201), (post.path, status, answer)
        if isinstance(answer, dict) and "verdict" in answer:
            assert answer["verdict"] in post.verdicts, (post, answer)
    settle(server)


def settle(server: Server) -> None:
    """Wait until all is folded and judged. An answer waits two seconds for it, which a busy machine
    may exceed."""
    with contextlib.closing(sqlite3.connect(f"file:{server.db}?mode=ro", uri=True)) as db:
        head = sqlite_position.head(db)

        def is_settled() -> bool:
            left = " UNION ALL ".join(f"SELECT 1 FROM {table}" for table in _QUEUES)
            return sqlite_position.position(db) >= head and db.execute(left).fetchone() is None

        wait_for(is_settled, "the folding")


def items(
    server: Server,
    by: str = "project",
    window: tuple[str, str] = WEEK,
    **query: str,
) -> dict[str, dict[str, Any]]:
    """`/api/dora` by name of the group."""
    asked = {"by": by, "since": window[0], "until": window[1], "tz": "UTC"} | query
    text = "&".join(f"{name}={value}" for name, value in asked.items() if value)
    status, answer = server.call(f"/api/dora?{text}")
    assert status == 200, answer
    return {item["name"] or "": item for item in answer["items"]}


def figure(
    server: Server,
    name: str,
    metric: str,
    by: str = "project",
    window: tuple[str, str] = WEEK,
    **query: str,
) -> dict[str, Any]:
    """One metric of one group; an empty one where the group is not listed."""
    item = items(server, by, window, **query).get(name)
    if item is None:
        return {"value": None, "n": 0, "hits": 0, "unknown": 0, "open": 0}
    return item["metrics"][metric]


def rate(found: dict[str, Any]) -> tuple[int, int]:
    """A share as (hits, n), checked against its value."""
    value = found["value"]
    if found["n"]:
        assert abs(value - found["hits"] / found["n"]) < 1e-9
    else:
        assert value is None
    return found["hits"], found["n"]


def command(server: Server, *arguments: str) -> str:
    """What `vs-tui` prints about the receiver's database."""
    done = run(server.folder, *arguments, "--db", str(server.db))
    assert done.returncode == 0, done.stderr
    return done.stdout


def stages(
    server: Server, since: str = WEEK[0], until: str = "2026-03-16"
) -> dict[str, dict[str, Any]]:
    """The stages of the lead time, from `vs-tui report stages`."""
    window = ("--since", since, "--until", until, "--tz", "UTC")
    printed = json.loads(command(server, "report", "stages", "--json", *window))
    return {stage["stage"].replace("_", " "): stage for stage in printed["items"]}
