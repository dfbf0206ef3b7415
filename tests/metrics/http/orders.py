"""Histories sent in several orders, and what differs from the values computed by hand."""

from __future__ import annotations

import contextlib
import random
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.ingest.server import Server
from tests.metrics.http.clock import hours, minutes
from tests.metrics.http.story import (
    FAIL,
    FREQUENCY,
    LEAD,
    RECOVERY,
    REWORK,
    WEEK,
    Post,
    Story,
    items,
    rate,
    send,
)
from vs_tui.config.model import configure

ORDERS = ("as sent", "mixed and twice")
ABOUT = ("by", "project", "window")
"""What a history says of the group that it asks for; all else is a value."""
RULES = """
[[metrics.deployments]]
filter = 'kind:build name:"Deploy TC*"'
environment = "production"
service = "{project}"
[[metrics.deployments]]
filter = 'kind:pipeline name:"ship_*"'
environment = "production"
service = "{project}"
[[metrics.incidents]]
filter = 'kind:issue label:outage'
"""
"""Jobs that deploy and issues that are incidents, by a rule."""
_ENDS = ("/incidents/", "/deployments/", "/pull-requests/")
Histories = Mapping[str, Callable[[Story], dict[str, Any]]]
Tell = Callable[[Story, str], dict[str, Any]]
"""A history of the project `acme/NAME`, unless it says otherwise."""


def of_projects(histories: Mapping[str, Tell]) -> Histories:
    def named(name: str, tell: Tell) -> Callable[[Story], dict[str, Any]]:
        return lambda story: {"project": f"acme/{name}"} | tell(story, name)

    return {name: named(name, tell) for name, tell in histories.items()}


@contextlib.contextmanager
def mapped(config: str) -> Iterator[None]:
    """Have the mapped sources of a configuration in this process."""
    configure(tomllib.loads(config)["sources"])
    try:
        yield
    finally:
        configure({})


def ordered(posts: list[Post], order: str) -> list[Post]:
    if order == "as sent":
        return posts
    if order == "none":  # all were sent before
        return []
    if order == "reverse":
        mixed = posts[::-1]
    else:
        mixed = random.Random(7).sample(posts + posts, 2 * len(posts))
    # em-metrics refuses the end of what it does not know.
    return sorted(mixed, key=lambda post: post.path.startswith(_ENDS))


def told_in(order: str, server: Server, histories: Histories) -> dict[str, tuple[Any, Any]]:
    """Group -> (values wanted, values found), where they differ. Many senders post at once, each
    one history."""
    stories = {name: Story() for name in histories}
    wanted = {name: tell(stories[name]) for name, tell in histories.items()}
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda s: send(server, ordered(s.posts, order)), stories.values()))
    return differing(server, wanted)


def differing(server: Server, wanted: Mapping[str, dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    found = {}
    answers: dict[Any, Any] = {}
    for name, values in wanted.items():
        asked = values.get("by", "project"), values.get("window", WEEK)
        if asked not in answers:
            answers[asked] = items(server, *asked)
        item = answers[asked].get(values.get("project", name))
        expected = {key: value for key, value in values.items() if key not in ABOUT}
        got = values_of(item["metrics"], expected) if item else None
        if got != expected:
            found[name] = (expected, got)
    return found


def values_of(metrics: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    lead, recovery = metrics[LEAD], metrics[RECOVERY]
    found = {
        "lead": (lead["value"] and hours(lead["value"]), lead["n"]),
        "unknown": lead["unknown"],
        "fail": rate(metrics[FAIL]),
        "rework": rate(metrics[REWORK]),
        "recovery": (minutes(recovery["value"]), recovery["n"]),
        "open": recovery["open"],
        "successes": metrics[FREQUENCY]["n"],
        "changes": metrics["changes_per_deployment"]["value"],
    }
    return {name: found[name] for name in wanted}
