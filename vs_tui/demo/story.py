"""The whole story: the deliveries in sample_events, and those after its end.

It begins on a Monday and ends on a Thursday afternoon in the sixth week, in the middle of the work.
What the teams do after that is generated too; only the live demo shows it.
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
"""How long before END the live traffic begins, with something new about every half minute."""


def told(seed: int = SEED) -> list[Delivery]:
    """All deliveries of the story in order of receipt, also those after END."""
    world = World(seed, first_number=101)
    core.tell(world, START, WEEKS)
    web.tell(world, START, WEEKS)
    plat.tell(world, START, WEEKS)
    return world.deliveries()


def story(seed: int = SEED) -> list[Delivery]:
    """The deliveries received by END."""
    return list(takewhile(lambda delivery: delivery.received_at <= END, going_on(seed)))


def going_on(seed: int = SEED) -> Iterator[Delivery]:
    """The story, and the endless live traffic that begins shortly before END."""
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
    """The endless deliveries after END."""
    return dropwhile(lambda delivery: delivery.received_at <= END, going_on(seed))


def by_source(deliveries: list[Delivery]) -> dict[str, list[Delivery]]:
    """Source (the first part of the path) -> its deliveries."""
    found: defaultdict[str, list[Delivery]] = defaultdict(list)
    for delivery in deliveries:
        found[delivery.path.split("/")[1]].append(delivery)
    return dict(found)
