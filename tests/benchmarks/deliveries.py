"""Deliveries to rebuild from, in any number: simple ones, the sample story, and the story in
bodies as large as GitHub's and GitLab's own. Every copy of the story has repositories, tickets
and namespaces of its own, so that it meets no other one."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha1
from itertools import count, islice
from pathlib import Path
from typing import Any, Final

import orjson

from tests.store.ingesting import ingest
from vs_tui.log import recording
from vs_tui.log.delivery import Intake
from vs_tui.model.time import SECOND, Instant, parse_instant
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import intake_of, read, route
from vs_tui.store.folding import transaction
from vs_tui.store.folding.span_folding import Context

SAMPLES: Final = Path(__file__).parents[2] / "sample_events"
BEGAN: Final[Instant] = parse_instant("2026-01-05T08:00:00Z") or 0

_OWN: Final = re.compile(rb"acme|CORE|search-index")
_SHA: Final = re.compile(rb"\b(?=[0-9a-f]*[a-f])[0-9a-f]{7,40}\b")
_NUMBER: Final = re.compile(rb"(?<![\w.-])\d{9,10}(?![\w.-])")
_DELIVERY_IDS: Final = frozenset({"x-github-delivery", "idempotency-key", "x-gitlab-event-uuid"})
_REPOSITORY_URLS: Final = (
    *("forks", "keys", "collaborators", "teams", "hooks", "issue_events", "events", "assignees"),
    *("branches", "tags", "blobs", "git_tags", "git_refs", "trees", "statuses", "languages"),
    *("stargazers", "contributors", "subscribers", "subscription", "commits", "git_commits"),
    *("comments", "issue_comment", "contents", "compare", "merges", "archive", "downloads"),
    *("issues", "pulls", "milestones", "notifications", "labels", "releases", "deployments"),
)
_USER_URLS: Final = (
    *("followers", "following", "gists", "starred", "subscriptions", "organizations"),
    *("repos", "events", "received_events"),
)


def simple(total: int) -> Iterator[Intake]:
    """Starts and ends of builds by the custom format, about 300 bytes each."""
    for number in range(total):
        build, end = divmod(number, 2)
        body = {
            "type": "build",
            "id": f"build-{build}",
            "action": "end" if end else "start",
            "namespace": f"team-{build % 50}",
            "name": f"job {build % 200}",
            "timestamp": (BEGAN + build * 7 * SECOND + end * 90 * SECOND) // SECOND,
            "tags": {
                "repository": f"https://github.com/acme/service-{build % 40}",
                "commit": sha1(b"%d" % build, usedforsecurity=False).hexdigest(),
                "branch": f"feature-{build % 1000}",
            },
        }
        yield _intake("/customhttp", {}, orjson.dumps(body), BEGAN + number * SECOND)


def story(total: int, *, whole: bool = False) -> Iterator[Intake]:
    """The sample story again and again; `whole`: its bodies as large as the tools send them."""
    told = sorted(
        (
            delivery
            for path in sorted(SAMPLES.glob("*.jsonl"))
            for delivery in recording.read(path.read_bytes().splitlines(), path.name)
        ),
        key=lambda delivery: delivery.received_at,
    )
    if whole:
        told = [replace(d, body=orjson.dumps(enlarged(orjson.loads(d.body)))) for d in told]
    return islice(_copies(told), total)


def _copies(told: list[recording.Delivery]) -> Iterator[Intake]:
    for copy in count():
        mark = b"%d" % copy
        for delivery in told:
            body = _OWN.sub(rb"\g<0>" + mark, delivery.body)
            body = _SHA.sub(partial(_moved, copy), body)
            yield _intake(
                delivery.path.partition("?")[0], delivery.headers, body, delivery.received_at
            )


def _moved(copy: int, found: re.Match[bytes]) -> bytes:
    """Another commit, the same for its short form."""
    start = (int(found[0][:5], 16) + copy * 7919) % 16**5
    return b"%05x" % start + found[0][5:]


def templates(name: str) -> Iterator[tuple[str, Mapping[str, str], bytes]]:
    """(path, headers, body) of a tool's part of the story, for `wrk`: `@N@` and `@S@` stand where
    one copy differs from the next, in names, numbers and commits."""
    for delivery in recording.read((SAMPLES / name).read_bytes().splitlines(), name):
        body = orjson.dumps(enlarged(orjson.loads(delivery.body)))
        body = _SHA.sub(lambda found: b"@S@" + found[0][5:], _OWN.sub(rb"\g<0>@N@", body))
        headers = {
            key: f"{value}-@N@" if key in _DELIVERY_IDS else value
            for key, value in delivery.headers.items()
            if key != "content-type"
        }
        yield delivery.path, headers, _NUMBER.sub(rb"\g<0>@N@", body)


def enlarged(value: Any) -> Any:
    """Repositories and users with the links that GitHub gives with each of them."""
    if isinstance(value, list):
        return [enlarged(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    found = {name: enlarged(entry) for name, entry in value.items()}
    if "full_name" in value:
        api = f"https://api.github.com/repos/{value['full_name']}"
        found |= {f"{name}_url": f"{api}/{name}{{/sha}}" for name in _REPOSITORY_URLS}
    elif "login" in value:
        api = f"https://api.github.com/users/{value['login']}"
        found |= {f"{name}_url": f"{api}/{name}{{/other_user}}" for name in _USER_URLS}
        found |= {"node_id": "MDQ6VXNlcjE=", "gravatar_id": "", "site_admin": False}
    return found


def _intake(path: str, headers: Mapping[str, str], body: bytes, at: Instant) -> Intake:
    source = route(path)
    assert source is not None
    inbound = Inbound(path, headers, body, at)
    return intake_of(source, inbound, read(source, inbound))


def store_unfolded(db: sqlite3.Connection, intakes: Iterable[Intake], now: Instant) -> None:
    """Store deliveries as received, without folding them: for a rebuild to begin with."""
    folding = transaction.Folding(Context(now=now, seq=0))
    some = iter(intakes)
    number = 0
    while found := [
        intake._replace(events=(), dedupe=f"id:{number + place}")
        for place, intake in enumerate(islice(some, 500))
    ]:
        number += len(found)
        transaction.in_transaction(
            db, folding, now, lambda db, f, found=found: ingest(db, found, f)
        )
