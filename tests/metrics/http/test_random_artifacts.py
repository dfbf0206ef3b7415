"""What random histories of plyzen's artifacts and products count, against a model of them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.ingest.server import Server
from tests.metrics.http.artifacts import Figures, Namespace
from tests.metrics.http.clock import minutes
from tests.metrics.http.orders import ORDERS, ordered
from tests.metrics.http.story import LEAD, command, items, send
from tests.metrics.http.test_random_operations import found_in as numbers_in

SEEDS = range(50)
MONTH = ("2026-03-02", "2026-04-30")


def told(order: str, seeds: range = SEEDS) -> dict[str, Namespace]:
    found = {}
    for seed in seeds:
        found[f"p{seed}"] = Namespace(f"p{seed}", f"artifacts {seed}", tries=order == ORDERS[0])
        found[f"p{seed}"].live()
    return found


def found_in(item: dict[str, Any] | None) -> Figures:
    lead = item["metrics"][LEAD] if item else {"value": None, "n": 0, "unknown": 0}
    return Figures(*numbers_in(item), (minutes(lead["value"]), lead["n"]), lead["unknown"])


def differing(spaces: dict[str, Namespace], server: Server) -> dict[str, str]:
    by = {name: items(server, name, MONTH) for name in ("service", "project", "product")}
    wrong = {}
    for name, space in spaces.items():
        wanted = {("service", a.name): space.of_artifact(a) for a in space.artifacts}
        wanted["project", name] = space.of_project()
        if space.product:
            wanted["product", space.product] = space.of_project(space.product)
        said = [
            f"{group}: {field} wanted {was}, found {is_}"
            for group, figures in wanted.items()
            for found in [found_in(by[group[0]].get(group[1]))]
            for field, was, is_ in zip(Figures._fields, figures, found, strict=True)
            if was != is_
        ]
        if said:
            wrong[name] = "\n".join([*space.log, *said])
    return wrong


@pytest.mark.timeout(600)
@pytest.mark.parametrize("order", [*ORDERS, "reverse"])
def test_random_artifacts_have_the_numbers_of_what_happened(configured, order) -> None:
    spaces = told(order)
    server = configured("")
    with ThreadPoolExecutor(16) as pool:
        stories = [space.story for space in spaces.values()]
        list(pool.map(lambda story: send(server, ordered(story.posts, order)), stories))
    wrong = differing(spaces, server)
    assert not wrong, json.dumps(wrong, indent=1).replace("\\n", "\n")
    if order == ORDERS[0]:
        command(server, "db", "rebuild")
        assert not differing(spaces, server)
