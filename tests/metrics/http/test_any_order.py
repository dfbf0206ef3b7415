"""The same deliveries in any order give the same numbers, also after a rebuild and everywhere."""

import json
import random

import pytest

from tests.ingest.server import serving
from tests.metrics.http.github import GitHub
from tests.metrics.http.gitlab import GitLab
from tests.metrics.http.others import EmMetrics, Plyzen, Script, alertmanager, pagerduty
from tests.metrics.http.story import Story, command, send

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


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_numbers_do_not_depend_on_the_order_of_arrival(tmp_path, seed) -> None:
    posts = everything().posts
    shuffled = random.Random(seed).sample(posts, len(posts))
    # em-metrics refuses the end of what it does not know; everything else may come first.
    found = []
    for name, order in (("right", posts), ("shuffled", shuffled)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "config.toml").write_text(TEAMS)
        with serving(folder) as server:
            send(server, order)
            found.append(answers(server))
    assert found[1] == found[0]


def test_rebuilding_gives_the_same_numbers_and_every_face_prints_them(tmp_path) -> None:
    (tmp_path / "config.toml").write_text(TEAMS)
    with serving(tmp_path) as server:
        everything().tell(server)
        told = answers(server)
    command(server, "db", "rebuild")
    with serving(tmp_path) as server:
        assert answers(server) == told
        window = ("--since", "2026-02-20", "--until", "2026-03-12", "--tz", "UTC")
        for by in told:
            printed = command(server, "report", "dora", "--by", by, "--json", *window)
            assert json.loads(printed) == told[by]
        numbers = {item["name"]: item["metrics"] for item in told["team"]["items"]}
        assert numbers["forge"]["deployment_frequency"]["n"] > 5
        table = command(server, "report", "dora", "--by", "team", *window)
        for metrics in numbers.values():
            for figure in metrics.values():
                assert figure["text"] in table
