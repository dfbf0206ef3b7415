"""The sample story: over five weeks of three teams, nobody passes an id between tools, and every
deploy leads back to the issue it was made for."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path

import pytest

from tests.store.tracing import World
from vs_tui.log import recording
from vs_tui.log.delivery import Intake
from vs_tui.model.time import DAY
from vs_tui.sources.base import Inbound
from vs_tui.sources.dispatch import intake_of, read, route

FOLDER = Path(__file__).parents[3] / "sample_events"
# A custom event's parent is part of its format; everything else that names a span is taken out.
REFERENCE = re.compile(rb'(?<!"parentid":")vstrace-[^"\\\s]+')
TRACEPARENT = re.compile(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def intakes() -> list[Intake]:
    """Every delivery of the story by its time, without references and trace contexts."""
    told = [
        delivery
        for path in sorted(FOLDER.glob("*.jsonl"))
        for delivery in recording.read(path.read_bytes().splitlines(), path.name)
    ]
    found = []
    for delivery in sorted(told, key=lambda each: each.received_at):
        body = TRACEPARENT.sub(b"", REFERENCE.sub(b"", delivery.body))
        path = delivery.path.partition("?")[0]
        source = route(path)
        assert source is not None
        inbound = Inbound(path, delivery.headers, body, delivery.received_at)
        found.append(intake_of(source, inbound, read(source, inbound)))
    return found


@pytest.fixture(scope="module")
def story() -> list[Intake]:
    return intakes()


@pytest.fixture(scope="module")
def world(story) -> World:
    found = World()
    for begin in range(0, len(story), 100):
        found.deliver(story[begin : begin + 100])
    return found


def test_every_delivery_is_read(story) -> None:
    assert Counter(intake.verdict.value for intake in story) == {"accepted": len(story)}
    assert {intake.source for intake in story} >= {
        *("github", "gitlab", "jenkins", "jira", "customhttp", "pagerduty", "alertmanager"),
    }


def test_from_issue_to_deploy_is_one_trace(world) -> None:
    sql = (
        "SELECT s.operation, r.operation, COUNT(*) FROM spans s "
        "JOIN spans r ON r.trace_id = s.trace_id AND r.parent_key = '' "
        "WHERE s.source IN ('github', 'gitlab', 'jenkins') AND s.operation <> 'stage' "
        "GROUP BY 1, 2"
    )
    roots = Counter()
    for operation, root, count in world.db.execute(sql):
        roots[operation, root] += count
    operations = {operation for operation, _ in roots}
    assert operations >= {"issue", "pull_request", "review", "pipeline", "build", "deploy"}
    assert {root for _, root in roots} == {"issue"}, roots


def test_every_trace_has_one_root(world) -> None:
    sql = (
        "SELECT trace_id, COUNT(*) FROM spans WHERE parent_key = '' "
        "GROUP BY trace_id HAVING COUNT(*) > 1"
    )
    assert world.db.execute(sql).fetchall() == []


def test_every_incident_leads_to_the_deploy_or_the_build_before_it(world) -> None:
    sql = (
        "SELECT s.key, p.operation FROM spans s LEFT JOIN links l ON l.child = s.key "
        "LEFT JOIN spans p ON p.key = l.parent WHERE s.operation = 'incident'"
    )
    found = dict(world.db.execute(sql))
    assert len(found) >= 3
    assert set(found.values()) <= {"deploy", "build"}, found


def test_a_rebuild_gives_the_same(world) -> None:
    before = world.rows()
    assert world.rebuild().rows() == before


def test_a_week_of_it_in_any_order_gives_the_same(story) -> None:
    last = story[-1].received_at
    week = [intake for intake in story if intake.received_at > last - 7 * DAY]
    assert len(week) > 500
    expected = World().deliver(week)
    for seed in (1, 2):
        shuffled = random.Random(seed).sample(week, len(week))
        world = World()
        for begin in range(0, len(week), 150):
            world.deliver(shuffled[begin : begin + 150])
        assert world.rows() == expected.rows()
