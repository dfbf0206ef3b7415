"""Endless traffic: about every half minute a team begins something, which it also finishes.

People are quick here, so that a whole delivery can be watched: a review takes minutes, not hours.
Builds and deploys take as long as in the weeks before, so that their expected durations hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from vs_tui.demo import core, github, gitlab, plat, web
from vs_tui.demo.jira import Issue
from vs_tui.demo.titles import CORE_TITLES, PLAT_TITLES, WEB_TITLES
from vs_tui.demo.world import CORE, PLAT, WEB, World
from vs_tui.log.recording import Delivery
from vs_tui.model.time import MINUTE, SECOND, Instant

Team = Callable[[Instant, int], None]
"""Sends the n-th piece of work of a team, begun at an instant."""
PAUSE: Final = (18 * SECOND, 55 * SECOND)


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
    services = list(core.services(world).values())
    for service in services:
        service.fails, service.rolled_back = frozenset({4, 13, 27}), frozenset({7, 19})

    def begin(at: Instant, turn: int) -> None:
        service = services[turn % len(services)]
        title = CORE_TITLES[(turn * 7) % len(CORE_TITLES)]
        author = world.rng.choice(CORE)
        kind = "Bug" if title.startswith("Fix") else "Story"
        ticket = Issue(world.number("ticket"), title, kind, author, author, at)
        ticket.send(world, at, "created")
        ticket.move(world, at + 5 * SECOND, "In Progress")
        change = core.open_pull(world, service, ticket, author, at + 20 * SECOND)
        ticket.move(world, change.created_at + 10 * SECOND, "In Review")
        trouble = ("", "", "flaky", "")[turn % 4]
        green = core.checks(world, change, change.created_at + 5 * SECOND, trouble)
        reviewer = world.other(CORE, author)
        approved = green + world.between(40 * SECOND, 6 * MINUTE)
        github.review(world, approved, change, reviewer, "approved")
        merged = core.merge(world, change, ticket, approved + 30 * SECOND, reviewer, urgent=True)
        core.deliver(world, service, merged)

    return begin


def _web(world: World) -> Team:
    shop = web.shop(world)
    shop.fails, shop.rolled_back = frozenset({5, 16}), frozenset({9, 25})

    def begin(at: Instant, turn: int) -> None:
        change = web.propose(world, shop, WEB_TITLES[(turn * 5) % len(WEB_TITLES)], at, hurry=True)
        green = web.check(world, change, "unit" if turn % 9 == 4 else "")
        reviewer = world.other(WEB, change.request.author)
        approved = green + world.between(30 * SECOND, 5 * MINUTE)
        gitlab.merge_request(world, approved, "approved", change.request, reviewer)
        web.ship(world, shop, change, approved + 20 * SECOND, reviewer)

    return begin


def _plat(world: World) -> Team:
    infra = plat.infra(world)

    def begin(at: Instant, turn: int) -> None:
        title = PLAT_TITLES[turn % len(PLAT_TITLES)]
        change = plat.propose(world, infra, title, at, hurry=True)
        planned = plat.plan(world, change, change.created_at + 6 * SECOND)
        change.merged_by = world.other(PLAT, change.author)
        approved = planned + world.between(30 * SECOND, 4 * MINUTE)
        github.review(world, approved, change, change.merged_by, "approved")
        plat.apply(world, infra, change, approved + 15 * SECOND)

    return begin


def _load(world: World) -> Team:
    def begin(at: Instant, turn: int) -> None:
        plat.load(world, at, failing=turn % 5 == 3)

    return begin
