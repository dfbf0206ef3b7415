"""Keys that very many spans share: what a delivery costs does not grow with them, and their links
are the same in every order of arrival."""

import json
import random
import sys
from collections.abc import Callable, Iterator
from itertools import count, pairwise

import pytest

from tests.sources import github_payloads as gh
from tests.store.conftest import T, custom, ref
from tests.store.tracing import World, decided, from_github
from vs_tui.log import sqlite_log
from vs_tui.log.delivery import Intake
from vs_tui.model.artifacts import is_moving, is_moving_version
from vs_tui.store.folding import crowded_keys, linker
from vs_tui.store.folding import projector as projector_module
from vs_tui.store.folding.projector import Projector
from vs_tui.store.maintenance import retention
from vs_tui.traces.correlation import CROWD

SHA = "a" * 40


def both(kind: str, number: object, at: float, **more: object) -> Iterator[Intake]:
    yield custom(kind, number, "start", at=int(at), **more)
    yield custom(kind, number, "end", at=int(at) + 1)


def deploy(version: str, environment: str, n: int) -> Iterator[Intake]:
    tags = {"service": "api", "version": version, "environment": environment}
    return both("deploy", n, n, tags=tags)


def one_commit(n: int) -> Iterator[Intake]:
    tags = {"commit": SHA, "service": "api", "environment": f"e{n}"}
    return both("build" if n % 2 else "deploy", n, n, tags=tags)


def one_version(*kinds: str) -> Callable[[int], Iterator[Intake]]:
    def member(n: int) -> Iterator[Intake]:
        tags = {"service": "api", "version": "1.0", "environment": "prod"}
        return both(kinds[n % len(kinds)], n, 7 * n, tags=tags)

    return member


def one_hour(n: int) -> Iterator[Intake]:
    kind = "incident" if n % 2 else "deploy"
    return both(kind, n, n * 0.4, tags={"service": "api", "environment": "prod"})


def one_hour_anywhere(n: int) -> Iterator[Intake]:
    kind = "incident" if n % 2 else "deploy"
    tags = {"service": "api", "environment": "" if n % 2 else f"prod-{n % 3}"}
    return both(kind, n, n * 0.4, tags=tags)


def one_parent(n: int) -> Iterator[Intake]:
    if n == 0:
        yield custom("pipeline", "p", "start")
    yield from both("build", n, n, parentid="vstrace-customhttp-pipeline-default-p")
    yield custom("pipeline", "p", "end", at=100_000 + n)


HUBS: dict[str, Callable[[int], Iterator[Intake]]] = {
    "latest": lambda n: deploy("latest", "prod", n),
    "a snapshot": lambda n: deploy("1.0-SNAPSHOT", "prod", n),
    "a version again and again": lambda n: deploy("1.0", "prod", n),
    "a version on many instances": lambda n: deploy("1.0", f"i{n}", n),
    "a version of builds and deploys": one_version("build", "release", "deploy"),
    "a version with tests and incidents": one_version("build", "deploy", "test", "incident"),
    "a commit": one_commit,
    "an hour": one_hour,
    "an hour, anywhere": one_hour_anywhere,
    "a parent": one_parent,
}


def steps_of(world: World, intakes: list[Intake]) -> float:
    """Instructions of SQLite's machine for a delivery, and rows it hands to Python."""
    count = [0]

    def count_up() -> int:
        count[0] += 1
        return 0

    world.db.set_progress_handler(count_up, 10)
    world.deliver(*intakes)
    world.db.set_progress_handler(None, 0)
    return count[0] / len(intakes)


@pytest.mark.parametrize("name", HUBS)
def test_what_a_delivery_costs_does_not_grow_with_the_hub(name) -> None:
    hub = HUBS[name]
    world = World()
    costs = []
    grown = 0
    for size in (50, 250):
        world.deliver(*([*hub(n)] for n in range(grown, size)))
        costs.append(steps_of(world, [d for n in range(size, size + 10) for d in hub(n)]))
        grown = size + 10
    assert costs[1] < 2 * costs[0], costs


def calls_of(world: World, intakes: list[Intake]) -> float:
    """Calls of Python functions for a delivery: as good as its CPU time, and the same each time."""
    count = [0]

    def count_up(_frame: object, event: str, _arg: object) -> None:
        count[0] += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count_up)
    world.deliver(*intakes)
    sys.setprofile(before)
    return count[0] / len(intakes)


@pytest.mark.parametrize("name", [name for name in HUBS if "version" in name])
def test_a_hub_just_below_the_limit_costs_little_more_than_a_small_one(name) -> None:
    """Up to the limit a delivery is compared with each member once, not each with each: that cost
    19 times as much at 60 members as now."""
    hub = HUBS[name]
    world = World()
    costs = {}
    grown = 0
    for size in (10, 20, 40):
        world.deliver(*([*hub(n)] for n in range(grown, size)))
        grown = size + 8
        costs[size] = calls_of(world, [d for n in range(size, grown) for d in hub(n)])
    assert costs[20] < 1.5 * costs[10], costs
    assert costs[40] < 2.2 * costs[10], costs


def any_work(chance: random.Random) -> list[Intake]:
    """Deliveries about few versions and commits, in any order, with what people decided."""
    found: list[Intake] = []
    keys: list[str] = []
    for n in range(chance.randint(6, 40)):
        kind = chance.choice(["build", "release", "deploy", "test", "incident", "pipeline", "task"])
        tags = {"service": chance.choice(["api", "api", "api", "web"])}
        tags |= {"version": f"1.{chance.randrange(2)}"} if chance.random() < 0.9 else {}
        tags |= {"commit": chance.choice("ab") * chance.choice([40, 12])} if n % 3 == 0 else {}
        tags |= {"environment": "prod"} if chance.random() < 0.6 else {}
        namespace = chance.choice(["default", "default", "red", "blue"])
        parent = chance.choice(keys) if keys and chance.random() < 0.1 else ""
        more = {"tags": tags, "namespace": namespace, "parentid": parent}
        keys.append(ref(kind, n).replace("default", namespace))
        at = chance.randrange(400)
        found.append(custom(kind, n, "start", at, **more))
        found.append(custom(kind, n, chance.choice(["end", "fail"]), at + 30, **more))
    for _ in range(2):
        found.append(decided(chance.choice(["cut", "pin"]), *chance.sample(keys, 2)))
    chance.shuffle(found)
    return found


@pytest.mark.parametrize("seed", range(12))
def test_what_is_not_linked_again_has_its_links(seed, monkeypatch) -> None:
    deliveries = any_work(random.Random(seed))
    fewer = World().deliver(*deliveries)
    monkeypatch.setattr(linker, "_concerned", lambda db, offers, crowded, seeking: set(seeking))
    assert fewer.rows() == World().deliver(*deliveries).rows()
    assert any(fewer.parents().values())


@pytest.mark.parametrize("name", HUBS)
def test_a_hub_has_the_same_links_in_every_order(name) -> None:
    deliveries = [delivery for n in range(2 * CROWD) for delivery in HUBS[name](n)]
    if name == "a commit":
        deliveries += both("deploy", "late", 9_000, tags={"commit": SHA, "service": "api"})
    forward = World().deliver(*deliveries)
    expected = forward.rows()
    assert World().deliver(*reversed(deliveries)).rows() == expected
    random.Random(1).shuffle(deliveries)
    assert World().deliver(*deliveries).rows() == expected
    assert forward.rebuild().rows() == expected


@pytest.mark.parametrize("number", [400, pytest.param(10_000, marks=pytest.mark.full)])
def test_an_offer_links_those_that_wait_in_slices_with_deliveries_in_between(
    number, monkeypatch
) -> None:
    monkeypatch.setattr(projector_module, "LEAST_FOLDING", 1)  # they take turns
    monkeypatch.setattr(projector_module, "thread_time", count().__next__)
    seekers = [
        custom("task", n, "start", at=n, parentid=ref("pipeline", "p")) for n in range(number)
    ]
    later = [custom("pipeline", "p", "start"), *(custom("job", n, "start") for n in range(120))]
    world = World().deliver(seekers)
    db, at_once = world.db, crowded_keys.LINKED_AT_ONCE
    sqlite_log.append(db, later, world.folding.bodies, lambda _: True)
    projector = Projector(at_once=10, seconds=0)
    projector.opened(db)
    linked, positions = [0], [projector.position]
    while projector.behind:
        projector.committed(projector.fold_some(db, world.folding))
        projector.look(db)
        linked.append(db.execute("SELECT COUNT(*) FROM links").fetchone()[0])
        positions.append(projector.position)
        if len(linked) == 4:  # a process that ends here goes on where it was
            projector = Projector(at_once=10, seconds=0)
            projector.opened(db)
    assert linked[-1] == number
    assert max(after - before for before, after in pairwise(linked)) == at_once
    assert positions[-1] == projector.head
    folded_while_linking = {at for at, n in zip(positions, linked, strict=True) if 0 < n < number}
    assert len(folded_while_linking) > 2
    reverse = World().deliver(later, seekers)
    assert reverse.rows() == world.rows()
    assert world.rebuild().rows() == reverse.rows()


@pytest.mark.parametrize("number", [400, projector_module.MOST_EVENTS - 1])
def test_those_that_come_with_their_offer_are_linked_once(number) -> None:
    world = World()
    known = custom("task", "known", "start", parentid=ref("pipeline", "p"))
    world.deliver(known)
    seekers = [custom("task", n, "start", parentid=ref("pipeline", "p")) for n in range(number)]
    together = [custom("pipeline", "p", "start"), *seekers]
    sqlite_log.append(world.db, together, world.folding.bodies, lambda _: True)
    projector = Projector(at_once=len(together), seconds=1)
    projector.opened(world.db)
    while projector.position < projector.head:
        projector.committed(projector.fold_some(world.db, world.folding))
    assert not crowded_keys.is_waiting(world.db)
    parents = [*world.parents().values()]
    assert parents.count("customhttp-pipeline-default-p") == number + 1
    assert World().deliver(seekers, together[:1], known).rows() == world.rows()


def test_the_one_build_of_a_version_is_found_among_its_many_deploys() -> None:
    tags = {"service": "api", "version": "1.0"}
    world = World().deliver(*both("build", "b", 0, tags=tags))
    for n in range(2 * CROWD):
        world.deliver(*deploy("1.0", f"i{n}", n))
    parents = world.parents()
    deploys = [parent for child, parent in parents.items() if "-deploy-" in child]
    assert len(deploys) == 2 * CROWD
    assert {parent.rpartition("-")[2] for parent in deploys} == {"b"}


def test_many_keys_are_no_crowd() -> None:
    world = World()
    for n in range(2 * CROWD):
        world.deliver(*both("build", f"other{n}", n, tags={"service": f"s{n}", "version": "2.0"}))
    world.deliver(*both("build", "b", 0, tags={"service": "api", "version": "1.0"}))
    world.deliver(*deploy("1.0", "prod", 5))
    assert world.db.execute("SELECT * FROM crowded_keys").fetchall() == []
    assert world.parents()["customhttp-deploy-default-5"] == "customhttp-build-default-b"


def test_each_repository_has_its_own_number_and_branch() -> None:
    """However many repositories have a pull request 34 from a branch of that name."""

    def deliveries(n: int) -> Iterator[Intake]:
        commits = ({"sha": f"{n:05x}{side}" + "0" * 34} for side in "ab")
        head, later = commits
        for event, body in (
            ("pull_request", gh.pull("opened", head=head)),
            ("workflow_run", gh.run("requested", head_sha=later["sha"], head_commit=None)),
        ):
            text = json.dumps(body).replace("acme/api", f"acme/r{n}")
            yield from_github(event, json.loads(text.replace("1296269", f"{2_000_000 + n}")))

    world = World()
    for n in range(CROWD + 5):
        world.deliver(*deliveries(n))
    sql = (
        "SELECT l.rule, COUNT(*) FROM spans p JOIN spans c ON c.parent_key = p.key "
        "AND c.operation = 'pipeline' AND c.project = p.project "
        "JOIN links l ON (l.child, l.parent) = (c.key, p.key) GROUP BY 1"
    )
    assert world.db.execute(sql).fetchall() == [("change_number", CROWD + 5)]


def test_a_crowd_that_was_pruned_is_none_any_more() -> None:
    """As a rebuild would see it."""
    tags = {"commit": SHA, "service": "api"}
    world = World().deliver(*both("deploy", "d", 1_000, tags=tags))
    for n in range(CROWD + 1):
        world.deliver(*both("build", n, n, tags=tags))
    assert not world.links()
    assert world.db.execute("SELECT COUNT(*) FROM crowded_keys").fetchone()[0] > 0
    world.db.execute("BEGIN")
    retention.prune_traces(world.db, T + 6 * 1_000_000, None)
    retention.relink_scattered(world.db, world.folding)
    world.db.execute("COMMIT")
    assert world.db.execute("SELECT COUNT(*) FROM crowded_keys").fetchone()[0] == 0
    assert len(world.links()) + sum(map(bool, world.parents().values())) > 0


@pytest.mark.parametrize(
    "version",
    ["latest", "LATEST", "1.0-SNAPSHOT", "main", "feature/login", "refs/heads/x", "latest-alpine"],
)
def test_a_version_that_moves_is_no_key(version) -> None:
    assert is_moving_version(version)
    assert is_moving("artifact", f"api@{version}")


@pytest.mark.parametrize(
    "version", ["1.0", "v1.4.0-rc1", "2026.11.29", "sha256:0b31", "3f2a9c1", "api/v1.2"]
)
def test_a_version_that_stays_is_one(version) -> None:
    assert not is_moving_version(version)
    assert not is_moving("artifact", f"api@{version}")
