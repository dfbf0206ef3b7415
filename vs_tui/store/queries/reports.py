"""Reads every report, for the view, the API, the commands and Prometheus."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path
from typing import Protocol, TypeVar

from vs_tui.config import Config
from vs_tui.metrics.cards import Card, cards_of
from vs_tui.metrics.counted import NO_TEAM
from vs_tui.metrics.missing import Seen, hints, unowned
from vs_tui.metrics.pull_requests import PeriodFigures, PullRequest
from vs_tui.metrics.report import Detail, Scorecard
from vs_tui.metrics.statistics import FlakyJob, SpanGroup
from vs_tui.metrics.windows import BUCKETS, MONDAY, Window, periods_of, window_of, zone_of
from vs_tui.model.teams import Teams
from vs_tui.model.time import DAY, Duration, Instant
from vs_tui.store.metrics import scorecards
from vs_tui.store.metrics.metric_rows import read_detail
from vs_tui.store.queries.span_reports import (
    Expected,
    Whose,
    read_durations,
    read_expected,
    read_flaky,
    read_periods,
    read_pull_requests,
    spans_of,
    teams_of_spans,
)

T = TypeVar("T")
DEFAULT_WINDOW = 30 * DAY
PAGE = 1_000
"""Most pull requests in memory at a time."""


class Runs(Protocol):
    """A reader that runs functions on its connection."""

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T: ...


@dataclass(slots=True)
class Reports:
    """Reads the reports of one database. The ValueError of every method says what is accepted."""

    reader: Runs
    config: Config
    clock: Callable[[], Instant]

    @property
    def _teams(self) -> Teams:
        """The configured teams without their bots, which do not count as engineers."""
        is_bot = self.config.metrics.is_bot
        return Teams(
            tuple(
                replace(team, users=tuple(user for user in team.users if not is_bot(user)))
                for team in self.config.teams.teams
            )
        )

    def window(self, asked: Asked) -> Window:
        """The requested time range."""
        return asked.window(self.config, self.clock())

    async def scorecards(self, asked: Asked, *, beside: bool = True) -> Sequence[Scorecard]:
        """The five metrics of every team, or of each group."""
        window = self.window(asked)

        def read(db: sqlite3.Connection) -> Sequence[Scorecard]:
            asked.check_team(self.config, scorecards.team_names(db, self.config.teams))
            return scorecards.read_scorecards(
                db,
                window,
                teams=self._teams,
                team=asked.team,
                by=asked.by or "team",
                beside=beside,
            )

        return self._with_goals(await self.reader.run(read))

    async def periods(self, asked: Asked) -> Sequence[Sequence[Scorecard]]:
        """The scorecards of each week or month of the window, in time order; empty unless
        requested."""
        if not asked.by_period:
            return ()
        windows = periods_of(self.window(asked), asked.by_period)

        def read(db: sqlite3.Connection) -> Sequence[Sequence[Scorecard]]:
            by = asked.by or "team"
            return [
                scorecards.read_scorecards(db, window, teams=self._teams, team=asked.team, by=by)
                for window in windows
            ]

        return [self._with_goals(cards) for cards in await self.reader.run(read)]

    def _with_goals(self, cards: Sequence[Scorecard]) -> Sequence[Scorecard]:
        """The cards with the configured goals of their teams."""
        goals = self.config.goals
        return [
            replace(
                card,
                figures={
                    name: replace(figure, goal=goals.get(card.name, {}).get(name))
                    for name, figure in card.figures.items()
                },
            )
            if card.by == "team" and card.name in goals
            else card
            for card in cards
        ]

    async def seen(self, asked: Asked) -> Seen:
        """The environments of deploys, which explain why some deploys do not count."""
        window = self.window(asked)
        return await self.reader.run(
            lambda db: scorecards.read_seen(db, window, self.config.environments, asked.team)
        )

    async def cards(
        self, team: str, length: Duration, at: Instant | None = None, bucket: str = ""
    ) -> Sequence[Card]:
        """The dashboard's cards for a time before a moment or now; length 0 is all time. `bucket`
        is `day`, `week`, `month` or empty, which chooses by the length."""

        def read(db: sqlite3.Connection) -> Sequence[Scorecard]:
            window = self._back(db, length, at, bucket)
            return scorecards.read_scorecards(db, window, teams=self.config.teams, team=team)

        found = self._with_goals(await self.reader.run(read))
        return [own for card in found for own in cards_of(card.name, card.figures)]

    async def detail(
        self, team: str, metric: str, length: Duration, at: Instant | None = None, bucket: str = ""
    ) -> Detail:
        """The details of a card."""

        def read(db: sqlite3.Connection) -> Detail:
            window = self._back(db, length, at, bucket)
            found = read_detail(db, window, team, metric)
            goal = self.config.goals.get(team, {}).get(metric)
            found = replace(found, figure=replace(found.figure, goal=goal))
            own = "" if team == NO_TEAM else team
            seen = scorecards.read_seen(db, window, self.config.environments, own)
            if not seen.counted:
                return replace(found, hints=() if found.of else hints(seen))
            projects = scorecards.unowned_projects(db, window) if team == NO_TEAM else {}
            return replace(found, left_out=[*unowned(projects), *hints(seen)])

        return await self.reader.run(read)

    def _back(
        self, db: sqlite3.Connection, length: Duration, at: Instant | None, bucket: str
    ) -> Window:
        if bucket and bucket not in BUCKETS:
            raise ValueError(f"'{bucket}' is no bucket; use one of {', '.join(BUCKETS)}")
        end = self.clock() if at is None else at
        since = end - length if length else scorecards.first_deploy(db)
        if since is None or since >= end:
            since = end - DEFAULT_WINDOW
        return Window(since, end, end, configured_zone(self.config), bucket)

    def _check_team(self, db: sqlite3.Connection, asked: Asked) -> None:
        if asked.team:
            deploying = scorecards.team_names(db, self.config.teams)
            asked.check_team(self.config, [*deploying, *teams_of_spans(db)])

    def _whose(self, db: sqlite3.Connection, asked: Asked) -> Whose:
        self._check_team(db, asked)
        return spans_of(db, asked.team, self.config.teams)

    async def durations(
        self, asked: Asked, grouping: Sequence[str], filter_text: str, most: int
    ) -> tuple[Sequence[SpanGroup], int]:
        """(the groups of spans with the most finished spans, at most `most`, number of all)."""
        window = self.window(asked)
        return await self.reader.run(
            lambda db: read_durations(
                db, window, grouping, filter_text, self._whose(db, asked), most
            )
        )

    async def pull_requests(self, asked: Asked) -> tuple[Window, Sequence[PullRequest]]:
        """(window, pull requests created in it, oldest first)."""
        window = self.window(asked)
        return window, await self.reader.run(
            lambda db: read_pull_requests(db, window, self._whose(db, asked))
        )

    async def pull_request_pages(self, asked: Asked) -> AsyncIterator[Sequence[PullRequest]]:
        """The same pull requests in pages, so that any number fits."""
        whose = await self.reader.run(lambda db: self._whose(db, asked))
        return self._pages(self.window(asked), whose)

    async def _pages(self, window: Window, whose: Whose) -> AsyncIterator[Sequence[PullRequest]]:
        last: PullRequest | None = None
        while True:
            page = await self.reader.run(
                partial(read_pull_requests, window=window, whose=whose, after=last, limit=PAGE)
            )
            if page:
                yield page
            if len(page) < PAGE:
                return
            last = page[-1]

    async def pull_request_periods(
        self, asked: Asked, week_start: int = MONDAY
    ) -> Sequence[PeriodFigures]:
        """Figures of pull requests for each repository and day, week or month."""
        window = self.window(asked)
        return await self.reader.run(
            lambda db: read_periods(db, window, self._whose(db, asked), asked.by, week_start)
        )

    async def flaky(self, asked: Asked) -> Sequence[FlakyJob]:
        """Jobs that passed and failed on the same commit in the window."""
        window = self.window(asked)
        return await self.reader.run(lambda db: read_flaky(db, window, self._whose(db, asked)))

    async def stages(self, asked: Asked) -> Detail:
        """The lead time by stage, with its bottleneck and the stages that became slower."""
        window = self.window(asked)

        def read(db: sqlite3.Connection) -> Detail:
            self._check_team(db, asked)
            return read_detail(db, window, asked.team, "lead")

        return await self.reader.run(read)

    async def expected(self, asked: Asked) -> Sequence[Expected]:
        """Spans in flight with their expected ends."""
        now = self.clock()
        return await self.reader.run(lambda db: read_expected(db, self._whose(db, asked), now))


DEFAULT_SINCE = "30d"


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters as text, from a command line or a query string."""

    since: str = ""
    until: str = ""
    team: str = ""
    by: str = ""
    tz: str = ""
    by_period: str = ""
    """`week` or `month`: also report each of these periods in the window."""

    def window(self, config: Config, now: Instant) -> Window:
        """The time range. The ValueError says what is accepted."""
        zone = configured_zone(config, self.tz)
        return window_of(self.since or DEFAULT_SINCE, self.until, now, zone)

    def check_team(self, config: Config, known: list[str]) -> None:
        """ValueError if there is no such team, so that a typing error does not look like a quiet
        team."""
        names = list(dict.fromkeys([*config.teams.names, *known]))
        if self.team and self.team not in names:
            listed = ", ".join(names) or "none is configured; see [teams] in the configuration"
            raise ValueError(f"there is no team '{self.team}'; teams: {listed}")


def local_zone() -> tzinfo:
    """The zone from `TZ`, else from /etc/localtime; today's offset if neither names one."""
    linked = os.path.realpath("/etc/localtime").replace("/Etc/UTC", "/UTC")  # one name for it
    for name in (os.environ.get("TZ", "").lstrip(":"), linked.partition("zoneinfo/")[2]):
        try:
            if name and not Path(name).is_absolute():
                return zone_of(name)
        except ValueError:
            continue
    offset = datetime.now().astimezone().tzinfo
    return offset if offset is not None else zone_of("")


def configured_zone(config: Config, name: str = "") -> tzinfo:
    """The requested zone, else the configured one, else this machine's. ValueError as zone_of."""
    return zone_of(name or config.zone) if name or config.zone else local_zone()
