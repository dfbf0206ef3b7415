"""The whole story: the deliveries in sample_events, and those after its end.

`python -m vs_tui.demo.story` rewrites sample_events/: one recording per source, and the teams.

It begins on a Monday and ends on a Thursday afternoon in the sixth week, in the middle of the work.
What the teams do after that is generated too; only the live demo shows it: about every half minute
a team begins something, which it also finishes. People are quick then, so that a whole delivery can
be watched: a review takes minutes, not hours. Builds and deploys take as long as in the weeks
before, so that their expected durations hold.
"""

from __future__ import annotations

import shutil
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from itertools import count, dropwhile, takewhile
from pathlib import Path
from typing import Final

from vs_tui.demo import gitlab, team_core, team_platform, team_web
from vs_tui.demo.other_tools import Issue
from vs_tui.demo.world import CORE, PLAT, WEB, World, title_of
from vs_tui.log.recording import Delivery, write
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
Team = Callable[[Instant, int], None]
"""Sends the n-th piece of work of a team, begun at an instant."""
PAUSE: Final = (18 * SECOND, 55 * SECOND)


def told(seed: int = SEED) -> list[Delivery]:
    """All deliveries of the story in order of receipt, also those after END."""
    world = World(seed, first_number=101)
    team_core.tell(world, START, WEEKS)
    team_web.tell(world, START, WEEKS)
    team_platform.tell(world, START, WEEKS)
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


def flows(world: World, start: Instant) -> Iterator[tuple[Instant, list[Delivery]]]:
    """(at, deliveries) of each piece of work, in order of its start. Nothing yielded later is
    received before `at`."""
    teams = (_core(world), _web(world), _core(world), _plat(world), _web(world), _load(world))
    at, turn = start, 0
    while True:
        world.sent.clear()
        teams[turn % len(teams)](at, turn)
        # Earlier times, such as when a commit was written, are only in bodies.
        at_next = at + world.between(*PAUSE)
        yield at_next, list(world.sent)
        at, turn = at_next, turn + 1


def _core(world: World) -> Team:
    services = list(team_core.services(world).values())
    for service in services:
        service.fails, service.rolled_back = frozenset({4, 13, 27}), frozenset({7, 19})

    def begin(at: Instant, turn: int) -> None:
        service = services[turn % len(services)]
        title = title_of("core", turn * 7)
        author = world.rng.choice(CORE)
        kind = "Bug" if title.startswith("Fix") else "Story"
        ticket = Issue(world.number("ticket"), title, kind, author, author, at)
        ticket.send(world, at, "created")
        ticket.move(world, at + 5 * SECOND, "In Progress")
        change = team_core.open_pull(world, service, ticket, author, at + 20 * SECOND)
        ticket.move(world, change.created_at + 10 * SECOND, "In Review")
        trouble = ("", "", "flaky", "")[turn % 4]
        green = team_core.checks(world, change, change.created_at + 5 * SECOND, trouble)
        reviewer = world.other(CORE, author)
        approved = green + world.between(40 * SECOND, 6 * MINUTE)
        change.review(approved, reviewer)
        merged = team_core.merge(
            world, change, ticket, approved + 30 * SECOND, reviewer, urgent=True
        )
        team_core.deliver(world, service, merged)

    return begin


def _web(world: World) -> Team:
    shop = team_web.shop(world)
    shop.fails, shop.rolled_back = frozenset({5, 16}), frozenset({9, 25})

    def begin(at: Instant, turn: int) -> None:
        change = team_web.propose(world, shop, title_of("web", turn * 5), at, hurry=True)
        green = team_web.check(world, change, "unit" if turn % 9 == 4 else "")
        reviewer = world.other(WEB, change.request.author)
        approved = green + world.between(30 * SECOND, 5 * MINUTE)
        gitlab.merge_request(world, approved, "approved", change.request, reviewer)
        team_web.ship(world, shop, change, approved + 20 * SECOND, reviewer)

    return begin


def _plat(world: World) -> Team:
    infra = team_platform.infra(world)

    def begin(at: Instant, turn: int) -> None:
        title = title_of("platform", turn)
        change = team_platform.propose(world, infra, title, at, hurry=True)
        planned = team_platform.plan(world, change, change.created_at + 6 * SECOND)
        change.merged_by = world.other(PLAT, change.author)
        approved = planned + world.between(30 * SECOND, 4 * MINUTE)
        change.review(approved, change.merged_by)
        team_platform.apply(world, infra, change, approved + 15 * SECOND)

    return begin


def _load(world: World) -> Team:
    def begin(at: Instant, turn: int) -> None:
        team_platform.load(world, at, failing=turn % 5 == 3)

    return begin


def main(folder: Path) -> None:
    """Write the recordings of the story into a folder, in place of those there."""
    for path in folder.glob("*.jsonl"):
        path.unlink()
    for source, deliveries in sorted(by_source(story()).items()):
        (folder / f"{source}.jsonl").write_bytes(b"".join(write(deliveries)))
    shutil.copyfile(TEAMS, folder / TEAMS.name)


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "sample_events"))
