"""What random histories ship, against the graph of their commits."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path

import pytest

from tests.ingest.server import nearby
from tests.metrics.http.clock import moment
from tests.metrics.http.flows import FLOWS, Lead, Team, Verdict
from tests.metrics.http.git import HOSTS
from tests.metrics.http.habits import HABITS, LIST_FILES, SERVICES, Crew, services
from tests.metrics.http.orders import ORDERS, ordered
from tests.metrics.http.story import Story, command, send

SEEDS = range(5)
RULES = "".join(f'[services.{name}]\npaths = ["{path}/**"]\n' for name, path in SERVICES.items())


def told(
    seeds: Iterable[int] = SEEDS,
    hosts: Iterable[str] = tuple(HOSTS),
    flows: Sequence[Callable[[Crew], None]] = (*FLOWS, *HABITS),
) -> dict[str, Team]:
    """Project -> its team, whose history has been told."""
    found = {}
    for host, flow, seed in product(hosts, flows, seeds):
        name = f"acme/{flow.__name__}-{seed}-{host}"
        if flow is not services or host in LIST_FILES:
            found[name] = Crew(HOSTS[host](Story(), name), f"{flow.__name__} {seed}")
            flow(found[name])
    return found


def shipped(db: Path) -> dict[str, tuple[Counter[Lead], Counter[Verdict]]]:
    """Project -> the lead times of all that it shipped, and how its deployments went."""
    ships = (
        "SELECT d.project, d.service, MIN(d.ended_at), c.lead FROM dora_changes c JOIN "
        "dora_deployments d ON d.key = c.deployment WHERE d.unit < 2 GROUP BY d.place, c.change"
    )
    went = (
        "SELECT project, service, ended_at, failed_at IS NOT NULL, repair <> '' "
        "FROM dora_deployments WHERE unit < 2"
    )
    begins = round(moment("00:00").timestamp())
    found: dict[str, tuple[Counter[Lead], Counter[Verdict]]]
    found = defaultdict(lambda: (Counter(), Counter()))
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        for project, service, ended, lead in connection.execute(ships):
            place = _own(project, service), (ended // 1_000_000 - begins) // 60
            found[project][0][(*place, -1 if lead is None else round(lead / 60e6))] += 1
        for project, service, ended, is_failed, is_repair in connection.execute(went):
            place = _own(project, service), (ended // 1_000_000 - begins) // 60
            found[project][1][(*place, bool(is_failed), bool(is_repair))] += 1
    return found


def _own(project: str, service: str) -> str:
    names = (name.lower().removesuffix("-renamed") for name in (project, service))
    return "" if next(names).endswith(f"/{next(names)}") else service


def links(db: Path) -> set[tuple[str, str]]:
    """(deploy, change) of all that ships."""
    with contextlib.closing(sqlite3.connect(f"file:{db}?mode=ro", uri=True)) as connection:
        return {*connection.execute("SELECT child, parent FROM links WHERE rule = 'ships'")}


def differing(teams: dict[str, Team], db: Path) -> dict[str, str]:
    found, wrong = shipped(db), {}
    for name, team in teams.items():
        wanted = team.leads(), team.verdicts()
        if found[team.git.project] != wanted:
            parts = zip(wanted, found[team.git.project], strict=True)
            said = [f"wanted {ours - theirs}, not {theirs - ours}" for ours, theirs in parts]
            wrong[name] = "\n".join([*team.log, *said])
    return wrong


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_a_deployment_ships_what_its_commit_contains_in_random_histories(tmp_path, order) -> None:
    teams = told()
    (tmp_path / "config.toml").write_text(RULES)
    with nearby(tmp_path) as server:
        with ThreadPoolExecutor(16) as pool:
            stories = [team.git.story for team in teams.values()]
            list(pool.map(lambda story: send(server, ordered(story.posts, order)), stories))
        wrong = differing(teams, server.db)
        assert not wrong, json.dumps(wrong, indent=1).replace("\\n", "\n")
        linked = links(server.db)
    if order == ORDERS[0]:
        command(server, "db", "rebuild")
        assert not differing(teams, server.db)
        assert links(server.db) == linked
