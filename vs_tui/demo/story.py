"""The whole story: what stands in sample_events, and what is still to come when it ends.

It begins on a Monday and ends on a Thursday afternoon in the sixth week, in the middle of the
work: what the teams do after that is told too, and reaches only who goes on watching.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from heapq import heappop, heappush
from itertools import count, dropwhile, takewhile
from pathlib import Path
from typing import Final

from vs_tui.demo import core, plat, web
from vs_tui.demo.live import flows
from vs_tui.demo.world import World
from vs_tui.log.recording import Delivery
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, Instant

START: Final[Instant] = 1_769_385_600 * SECOND
"""Monday 2026-01-26, 00:00 UTC."""
END: Final[Instant] = START + 38 * DAY + 15 * HOUR + 30 * MINUTE
"""Thursday 2026-03-05, 15:30 UTC."""
TEAMS: Final = Path(__file__).with_name("teams.toml")
"""The configuration that names the story's teams."""
WEEKS: Final = 6
SEED: Final = 7
LIVE_FOR: Final = 20 * MINUTE
"""For so long before the end the pace is the demo's: something new every half a minute."""


def told(seed: int = SEED) -> list[Delivery]:
    """The deliveries of the story, by the time of their receipt; those after END included."""
    world = World(seed, first_number=101)
    core.tell(world, START, WEEKS)
    web.tell(world, START, WEEKS)
    plat.tell(world, START, WEEKS)
    return world.deliveries()


def story(seed: int = SEED) -> list[Delivery]:
    """What was received by END."""
    return list(takewhile(lambda delivery: delivery.received_at <= END, going_on(seed)))


def going_on(seed: int = SEED) -> Iterator[Delivery]:
    """The story and, without an end, the live traffic that begins shortly before END."""
    waiting: list[tuple[Instant, int, Delivery]] = []
    ordinal = count()
    for delivery in told(seed):
        heappush(waiting, (delivery.received_at, next(ordinal), delivery))
    world = World(seed + 1, first_number=801)
    for at, sent in flows(world, END - LIVE_FOR):
        for delivery in sent:
            heappush(waiting, (delivery.received_at, next(ordinal), delivery))
        while waiting and waiting[0][0] <= at:
            yield heappop(waiting)[2]


def after_end(seed: int = SEED) -> Iterator[Delivery]:
    """What is received after END, without an end."""
    return dropwhile(lambda delivery: delivery.received_at <= END, going_on(seed))


def by_source(deliveries: list[Delivery]) -> dict[str, list[Delivery]]:
    """The deliveries of each source, by the first part of its path."""
    found: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.path.split("/")[1]].append(delivery)
    return dict(found)
