"""A rebuild folds the log again from the beginning; it gives what came of the deliveries one by
one."""

from __future__ import annotations

import sqlite3
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.store.conftest import T, custom
from tests.store.ingesting import fold_anew
from tests.store.stories import SCENARIOS
from tests.store.tracing import World, again
from vs_tui.model.teams import Team, Teams
from vs_tui.model.vocabulary import Event, Rule, State
from vs_tui.sources.base import Parsed
from vs_tui.store.schema import DERIVED_TABLES

STORIES = [intake for scenario in SCENARIOS for intake in scenario.deliveries]
MINUTES = st.integers(0, 5)


def state(db: sqlite3.Connection) -> dict[str, Any]:
    """All that is derived, whole, and the names of the indexes."""
    found: dict[str, Any] = {}
    for table in DERIVED_TABLES:
        names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
        columns = ", ".join(name for name in names if name != "changed")
        found[table] = sorted(db.execute(f"SELECT {columns} FROM {table}").fetchall(), key=repr)
    found["indexes"] = set(db.execute("SELECT name, sql FROM sqlite_master"))
    return found


def rebuilt(world: World, chunk: int = 20) -> dict[str, Any]:
    """In transactions so small that many spans are told of in several of them."""
    fold_anew(world.db, world.folding, at_once=chunk)
    return state(world.db)


def test_a_rebuild_gives_what_was_there() -> None:
    teams = Teams((Team("core", ("acme/*",)),))
    world = World(teams=teams).deliver(STORIES)
    before = state(world.db)
    assert len(before["spans"]) > 100
    assert rebuilt(world) == before


@st.composite
def streams(draw: st.DrawFn) -> list[Any]:
    """Deliveries about few spans that name each other, in any way: rings, changes, deploys."""
    made = []
    for number in range(draw(st.integers(1, 14))):
        kind = draw(st.sampled_from(["build", "deploy", "pull_request", "incident", "issue"]))
        more: dict[str, Any] = {"namespace": draw(st.sampled_from(["acme/api", "acme/web"]))}
        more["tags"] = {"environment": "prod", "service": "api"}
        if draw(st.booleans()):
            more["tags"]["commit"] = draw(st.sampled_from(["a" * 40, "b" * 40]))
        if draw(st.booleans()):
            other = draw(st.sampled_from(["build", "deploy", "pull_request"]))
            more["parentid"] = (
                f"vstrace-customhttp-{other}-{more['namespace']}-{draw(st.integers(1, 3))}"
            )
        action = draw(st.sampled_from(["start", "end"]))
        intake = custom(kind, draw(st.integers(1, 3)), action, draw(MINUTES) * 60, **more)
        made.append(intake._replace(dedupe=f"id:{number}"))
    return made


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
)
@given(stream=streams(), size=st.integers(1, 5), chunk=st.integers(1, 9))
def test_any_stream_is_rebuilt_to_the_same_rows(stream, size, chunk) -> None:
    world = World()
    for begin in range(0, len(stream), size):
        world.deliver(stream[begin : begin + size])
    assert rebuilt(world, chunk) == state(world.db)


def test_any_part_of_the_stories_is_rebuilt_to_the_same_rows() -> None:
    for step in (2, 3, 5):
        world = World(disabled=[Rule.BRANCH] if step == 3 else ())
        world.deliver(*STORIES[::-step])
        before = state(world.db)
        assert rebuilt(world) == before
        world.deliver([again(intake, n) for n, intake in enumerate(STORIES[::step])])
        assert rebuilt(world) == state(world.db)


def test_owners_of_one_short_ref_go_by_their_keys() -> None:
    made = []
    for number, owner in enumerate(("acme", "fork", "other")):
        event = Event(
            key=f"vstrace-github-issue-{owner}/api-1",
            ref=f"vstrace-github-issue-api-{1 + number // 2}",
            source="github",
            operation="issue",
            state=State.RUNNING,
            occurred_at=T,
        )
        made.append(custom("build", number, "start")._replace(events=(event,)))
    world = World().deliver(*made)
    before = state(world.db)
    parsed = {intake.body: Parsed(kind=intake.kind, events=intake.events) for intake in made}

    def parse(_source: str, _path: str, _headers: object, body: bytes, _at: int) -> Parsed:
        return parsed[body]

    fold_anew(world.db, world.folding, parse)
    assert state(world.db) == before
    refs = {row[0] for row in world.db.execute("SELECT ref FROM spans WHERE ref <> key")}
    assert refs == {"vstrace-github-issue-api-2"}
