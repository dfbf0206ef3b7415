"""A thousand broken bodies a source, stored as they arrive: nothing is half stored, whatever was
made of them can be made again, and one of them never spoils its neighbours."""

from __future__ import annotations

from collections import Counter
from time import process_time
from typing import Any

import pytest

from tests.sources import (
    github_payloads,
    gitlab_payloads,
    jenkins_payloads,
    jira_payloads,
    test_customhttp,
    test_gitlab,
    test_jenkins,
    test_jira,
)
from tests.sources.webhook_tools import malformed
from tests.store.tracing import World, custom, sent
from vs_tui.sources import customhttp, github, gitlab, jenkins, jira
from vs_tui.sources.base import BadBody

VARIANTS = 1_000
MORE = {"tags": {f"tag{number}": {"deep": [number, "x"]} for number in range(12)}}
"""Of a body of our own schema, what may be anything; the rest is refused when it is broken."""
SOURCES: dict[str, tuple[Any, list[Any]]] = {
    "github": (
        github.SOURCE,
        [(name, body) for name, body in github_payloads.story()],
    ),
    "gitlab": (gitlab.SOURCE, [(body,) for body in test_gitlab.DELIVERIES]),
    "jenkins": (jenkins.SOURCE, [(body,) for body in test_jenkins.DELIVERIES]),
    "jira": (jira.SOURCE, [(body,) for body in test_jira.DELIVERIES]),
    "customhttp": (customhttp.SOURCE, [(body | MORE,) for body in test_customhttp.STORY]),
}
INBOUND = {
    "github": github_payloads.inbound,
    "gitlab": gitlab_payloads.inbound,
    "jenkins": jenkins_payloads.inbound,
    "jira": jira_payloads.inbound,
    "customhttp": test_customhttp.inbound,
}


def variants(name: str) -> list[Any]:
    source, bodies = SOURCES[name]
    found = []
    for number in range(VARIANTS):
        *header, body = bodies[number % len(bodies)]
        inbound = INBOUND[name](*header, malformed(body, number))
        try:
            found.append(sent(source, inbound))
        except BadBody as refused:  # answered 400, with the field, and not stored
            assert refused.field
            assert refused.why
    return found


@pytest.mark.parametrize("name", SOURCES)
def test_what_is_stored_is_whole(name) -> None:
    intakes = variants(name)
    assert len(intakes) >= VARIANTS // 2, "the others were answered 400"
    world = World()
    for begin in range(0, len(intakes), 50):
        good = custom("build", begin, "start", "10:00:00")
        world.deliver([*intakes[begin : begin + 25], good, *intakes[begin + 25 : begin + 50]])
    db = world.db
    stored = Counter(dict(db.execute("SELECT verdict, n FROM counts WHERE source = ?", (name,))))
    wanted = Counter(i.verdict.value for i in intakes)
    duplicates = stored.pop("duplicate", 0)
    goods = len(range(0, len(intakes), 50))
    own = goods if name == "customhttp" else 0
    assert sum(stored.values()) + duplicates == len(intakes) + own, "every one is counted once"
    assert set(stored) == set(wanted)
    spans = "SELECT COUNT(*) FROM spans WHERE key LIKE 'vstrace-customhttp-build-default-%'"
    assert db.execute(spans).fetchone()[0] >= goods
    # No row without the row it belongs to.
    for lost in (
        "SELECT key FROM events WHERE key NOT IN (SELECT key FROM spans)",
        "SELECT key FROM spans WHERE derived = 0 AND key NOT IN (SELECT key FROM events)",
        "SELECT key FROM offers WHERE key NOT IN (SELECT key FROM spans)",
        "SELECT key FROM seeks WHERE key NOT IN (SELECT key FROM spans)",
        "SELECT child FROM links WHERE child NOT IN (SELECT key FROM spans)",
        "SELECT parent FROM links WHERE parent NOT IN (SELECT key FROM spans)",
        "SELECT key FROM spans WHERE parent_key <> '' "
        "AND parent_key NOT IN (SELECT key FROM spans)",
        "SELECT key FROM spans WHERE ended_at < started_at AND status = 'in_flight'",
    ):
        assert db.execute(lost).fetchall() == [], lost
    before = world.rows()
    assert world.rebuild().rows() == before


@pytest.mark.parametrize("way", [1, -1])
def test_a_chain_of_thousands_is_linked_in_a_moment(way) -> None:
    """Who names the span before as the parent each time made one commit take minutes, and all
    senders wait: every span walked the whole chain up."""
    chain = [custom("build", 0, "start", "10:00:00")]
    for number in range(1, 2_000):
        above = f"vstrace-customhttp-build-default-{number - 1}"
        chain.append(custom("build", number, "start", "10:00:00", parentid=above))
    began = process_time()
    world = World().deliver(chain[:1_000][::way], chain[1_000:][::way])
    took = process_time() - began
    assert world.traces() == 1
    assert all(parent for child, parent in world.parents().items() if not child.endswith("-0"))
    assert took < 5
