"""What random histories ship that are imported, instead of webhooks or beside them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import product
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.ingest.server import TOKEN, nearby, run
from tests.metrics.http.apis_of_hosts import Recorded, github, gitlab
from tests.metrics.http.flows import FLOWS, gitflow
from tests.metrics.http.git import HOSTS
from tests.metrics.http.story import Story, send, settle
from tests.metrics.http.test_random_flows import differing

SEEDS = range(4)
TOOLS = {"hub": ("github", github), "lab": ("gitlab", gitlab)}


class Handler(BaseHTTPRequestHandler):
    """Answers from the routes of its server."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        found = self.server.routes.get(asked.path)  # type: ignore[attr-defined]
        if asked.path.endswith("/commits") and isinstance(found, dict):
            query = parse_qs(asked.query)
            branch = (query.get("sha") or query["ref_name"])[0]
            # Branches of features are deleted after their merge.
            found = None if branch.startswith("feature/") else found.get(branch)
        raw = json.dumps({"message": "Not Found"} if found is None else found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def api() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def told(host: str) -> dict[str, Recorded]:
    found = {}
    # No API tells when a branch was moved on to another one by a push.
    for flow, seed in product([flow for flow in FLOWS if flow is not gitflow], SEEDS):
        name = f"acme/{flow.__name__}-{seed}-{host}"
        found[name] = Recorded(HOSTS[host](Story(), name), f"{flow.__name__} {seed}")
        flow(found[name])
    return found


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", [0, 0.5, 1], ids=["without", "with half of", "with all"])
@pytest.mark.parametrize("host", TOOLS)
def test_an_import_with_some_webhooks_gives_what_all_webhooks_give(
    tmp_path, api, host, share
) -> None:
    teams = told(host)
    tool, routes = TOOLS[host]
    api.routes = {}  # type: ignore[attr-defined]
    for team in teams.values():
        api.routes |= routes(team)  # type: ignore[attr-defined]
    (tmp_path / "config.toml").touch()

    def newest(posts: list[Any]) -> list[Any]:
        return posts[len(posts) - round(len(posts) * share) :]

    with nearby(tmp_path) as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda t: send(server, newest(t.git.story.posts)), teams.values()))
        url = f"http://127.0.0.1:{api.server_port}"
        words = ("import", tool, *teams, "--url", url, "--since", "2026-02-01", "--to", server.url)
        secrets = {"VS_TOKEN": TOKEN, f"{tool.upper()}_TOKEN": "t"}
        done = run(tmp_path, *words, env=secrets)
        assert done.returncode == 0, done.stderr
        settle(server)
        wrong = differing(teams, server.db)
    assert not wrong, json.dumps(wrong, indent=1).replace("\\n", "\n")
