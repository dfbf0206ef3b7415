"""The same deliveries in any order give the same numbers, also after a rebuild and everywhere."""

import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Plyzen, Script, alertmanager, pagerduty
from tests.metrics.http.story import Post, Story, command, send

TEAMS = """
[teams.forge]
projects = ["acme/forge-*"]
[teams.tools]
projects = ["acme/tools", "tools-*"]
"""


def everything() -> Story:
    """Examples of every kind, in one database."""
    story = Story()
    for tool in (GitHub, GitLab):
        own = tool(story, f"acme/forge-{tool.__name__.lower()}")
        own.push((f"{own.name} old", "2026-02-27 08:00"))
        own.deploy("2026-02-27 09:00", commit=f"{own.name} old")
        own.pull(1, "09:00", "10:00", base="develop", pushed=True)
        own.pull(2, "12:30", "15:00", commits=[(f"{own.name} x", "11:00")], pushed=True)
        own.pull(4, "13:00", "15:30", reviews=[("14:00", "cid", "approved")], pushed=True)
        own.deploy("16:00", ok=False, commit=own.merge_of(4))
        own.deploy("16:10", commit=own.merge_of(2))
        own.deploy("18:00", commit=own.merge_of(4))
        own.pull(3, "Tue 09:50", "Tue 10:00", head="develop", pushed=True)
        own.deploy("Tue 11:00", commit=own.merge_of(3))
        alertmanager(story, own.service, "Tue 11:30", "Tue 12:05")
        own.deploy("Tue 12:00", commit=own.merge_of(4))
        own.issue(9, "Wed 10:00", "Wed 11:00")
    script = Script(story, "acme/tools")
    script.deploy("09:00", version="1.0")
    script.deploy("10:00", ok=False, version="1.1")
    pagerduty(story, "acme/tools", "10:02", "10:30")
    script.span("test", "10:20", "10:25", ok=False, version="1.1", type="smoke")
    script.deploy("11:00", version="1.0", key="again")
    plyzen = Plyzen(story, "tools-plyzen", "cart")
    for n, clock in enumerate(("09:00", "10:00", "11:00"), 1):
        plyzen.activity("build", clock, f"{clock[:3]}05", version=str(n), environment="ci")
    plyzen.deploy("09:30", version="1")
    plyzen.activity("smoke-test", "09:31", "09:35", "failure", version="1")
    plyzen.activity("smoke-test", "09:41", "09:45", version="1")
    plyzen.deploy("13:00", version="3")
    plyzen.activity("alarm", "13:10", "13:40", version="3")
    em = EmMetrics(story, "tools-em")
    em.deploy("10:00", first_commit="06:00", key="em-1")
    return story


def answers(server) -> dict:
    found = {}
    for by in ("team", "project", "service", "environment", "all"):
        status, found[by] = server.call(
            f"/api/dora?by={by}&since=2026-02-20&until=2026-03-12&tz=UTC"
        )
        assert status == 200
    return found


def told(folder: Path, posts: Sequence[Post]) -> dict:
    """The answers of a receiver that got the requests in this order."""
    (folder / "config.toml").write_text(TEAMS)
    with nearby(folder) as server:
        send(server, posts)
        return answers(server)


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory) -> dict:
    return told(tmp_path_factory.mktemp("right"), everything().posts)


@pytest.mark.parametrize("seed", [1, 2])
def test_numbers_do_not_depend_on_the_order_of_arrival(tmp_path, in_order, seed) -> None:
    posts = everything().posts
    # em-metrics refuses the end of what it does not know; everything else may come first.
    assert told(tmp_path, random.Random(seed).sample(posts, len(posts))) == in_order


def test_rebuilding_gives_the_same_numbers_and_every_face_prints_them(tmp_path, in_order) -> None:
    (tmp_path / "config.toml").write_text(TEAMS)
    with nearby(tmp_path) as server:
        everything().tell(server)
    command(server, "db", "rebuild")
    with nearby(tmp_path) as server:
        assert answers(server) == in_order
        window = ("--since", "2026-02-20", "--until", "2026-03-12", "--tz", "UTC")
        for by in in_order:
            printed = command(server, "report", "dora", "--by", by, "--json", *window)
            assert json.loads(printed) == in_order[by]
        numbers = {item["name"]: item["metrics"] for item in in_order["team"]["items"]}
        assert numbers["forge"]["deployment_frequency"]["n"] > 5
        table = command(server, "report", "dora", "--by", "team", *window)
        for metrics in numbers.values():
            for figure in metrics.values():
                assert figure["text"] in table
