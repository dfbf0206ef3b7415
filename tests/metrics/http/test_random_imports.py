"""What random histories ship that are imported, instead of webhooks or beside them."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.cli.fake_api import FakeApi
from tests.ingest.server import TOKEN, nearby, run
from tests.metrics.http.apis_of_hosts import Recorded, github, gitlab
from tests.metrics.http.flows import FLOWS, gitflow
from tests.metrics.http.git import HOSTS
from tests.metrics.http.story import Post, Story, send, settle
from tests.metrics.http.test_random_flows import differing

SEEDS = range(4)
TOOLS = {"hub": ("github", github), "lab": ("gitlab", gitlab)}


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
async def test_an_import_with_some_webhooks_gives_what_all_webhooks_give(
    tmp_path, aiohttp_server, host, share
) -> None:
    teams = told(host)
    tool, routes = TOOLS[host]
    (tmp_path / "config.toml").touch()
    api = FakeApi({path: answer for t in teams.values() for path, answer in routes(t).items()})
    url = str((await aiohttp_server(api.app())).make_url("/")).rstrip("/")
    wrong = await asyncio.to_thread(imported, tmp_path, tool, teams, url, share)
    assert not wrong, json.dumps(wrong, indent=1).replace("\\n", "\n")


def imported(
    folder: Path, tool: str, teams: dict[str, Recorded], url: str, share: float
) -> dict[str, str]:
    """What differs after an import beside the newest webhooks."""

    def newest(posts: list[Post]) -> list[Post]:
        return posts[len(posts) - round(len(posts) * share) :]

    with nearby(folder) as server:
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(lambda t: send(server, newest(t.git.story.posts)), teams.values()))
        words = ("import", tool, *teams, "--url", url, "--since", "2026-02-01", "--to", server.url)
        secrets = {"VS_TOKEN": TOKEN, f"{tool.upper()}_TOKEN": "t"}
        done = run(folder, *words, env=secrets)
        assert done.returncode == 0, done.stderr
        settle(server)
        return differing(teams, server.db)
