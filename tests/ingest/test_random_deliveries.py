"""The trace of each span in random deliveries, against what the team did."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.ingest.deliveries_of_teams import ROOT, Delivery, Name
from tests.ingest.server import nearby
from tests.metrics.http.clock import moment
from tests.metrics.http.flows import trunk
from tests.metrics.http.git import HOSTS
from tests.metrics.http.orders import ORDERS, ordered
from tests.metrics.http.story import Story, command, send

SEEDS = range(5)
TOOLS = [
    *product(("hub", "lab"), ("jira", "host", ""), ("own", "jenkins")),
    *product(("tea", "bucket", "server"), ("jira", ""), ("jenkins",)),
]
"""Host, tracker and CI."""


def told() -> list[Delivery]:
    found = []
    for seed in SEEDS:
        for host, tracker, ci in TOOLS:
            name = f"acme/{host}{tracker}{ci}{seed}"
            found.append(Delivery(HOSTS[host](Story(), name), host, tracker, ci))
            trunk(found[-1])
    return found


def parents(db: Path) -> dict[Name, Name]:
    """Span -> its stored parent."""
    begins = round(moment("00:00").timestamp())
    sql = (
        "SELECT key, project, operation, ended_at, parent_key FROM spans WHERE derived = 0 "
        "AND operation <> 'review'"
    )
    names: dict[str, Name] = {"": ROOT}
    above: dict[str, str] = {}
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        for key, project, operation, ended, parent in connection.execute(sql):
            what = key.rpartition("-")[2].rpartition("/")[2]
            if operation == "deploy":
                what = str((ended // 1_000_000 - begins) // 60)
            names[key], above[key] = (project, operation, what.lstrip("@")), parent
    return {names[key]: names[parent] for key, parent in above.items()}


def differing(teams: list[Delivery], db: Path) -> dict[str, list[str]]:
    stored, wrong = parents(db), {}
    for team in teams:
        said = []
        for name, wanted in team.parents().items():
            found = stored.get(name)
            # Where a host shortens commits, the push stands between.
            is_below = found is not None and found[1] == "push" and stored[found] == wanted
            if found != wanted and not is_below:
                said.append(f"{name} is below {found}, not {wanted}")
        if said:
            wrong[team.git.name] = [*team.log, *said]
    return wrong


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_each_span_is_below_what_it_was_made_for_in_random_deliveries(tmp_path, order) -> None:
    teams = told()
    assert sum(len(team.parents()) for team in teams) > 1_000
    with nearby(tmp_path) as server:
        with ThreadPoolExecutor(16) as pool:
            stories = [team.git.story for team in teams]
            list(pool.map(lambda story: send(server, ordered(story.posts, order)), stories))
        wrong = differing(teams, server.db)
        assert not wrong, json.dumps(wrong, indent=1)
        if order == ORDERS[0]:
            command(server, "db", "rebuild")
            assert not differing(teams, server.db)
