"""The DORA view and what is behind a number, on a database of its own."""

from contextlib import asynccontextmanager
from datetime import UTC

import pytest

from tests.metrics.conftest import BEGIN, NOW
from tests.metrics.deliveries import Database, deploy
from tests.tui.stage import NARROW, WIDE, stage
from vs_tui.api.codec.metrics import DETAIL
from vs_tui.export.report_writer import _figure
from vs_tui.metrics.cards import delta_text, value_text
from vs_tui.metrics.definitions import METRICS, Figure
from vs_tui.metrics.report import Detail
from vs_tui.metrics.windows import Window
from vs_tui.model.time import DAY, HOUR, MINUTE
from vs_tui.store.queries.reader import SqliteReader
from vs_tui.store.queries.reports import Reports
from vs_tui.tui.metric_detail import chart, facts_of
from vs_tui.tui.theme import ASCII, UNICODE, choose
from vs_tui.tui.widgets.dora import condensed, sparkline


@asynccontextmanager
async def shown(config, size=WIDE, **more):
    reader = await SqliteReader(config.db, lambda: NOW).open()
    reports = Reports(reader, config, lambda: NOW)
    try:
        async with stage(size=size, cards=reports.cards, detail=reports.detail, **more) as on:
            await on.press("3")
            await on.sees("DORA per team")
            await on.press("t", "4")
            await on.sees("30d against the 30d before", "core")
            yield on
    finally:
        await reader.close()


def line(on, *words: str) -> str:
    return next(text for text in on.lines if all(word in text for word in words))


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_row_a_team_and_a_card_a_metric(config, size) -> None:
    async with shown(config, size) as on:
        assert "1/week" in line(on, " core ", "%")
        idle = line(on, " idle ")
        assert "-" in idle.split()
        assert "0" not in idle
        assert all(len(text) <= size[0] for text in on.lines)


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_enter_explains_a_number_and_enter_again_opens_the_trace(config, size) -> None:
    async with shown(config, size) as on:
        await on.press("l", "l", "enter")
        await on.sees("core change fail rate", "25 %", "deploy failed")
        if size == WIDE:
            assert "1 of 4 deployments" in on.text
        assert line(on, "deploy-3").split("▌")[-1].split()[1:4] == ["Mar", "18:00", "✗"]
        opened = []
        on.app.navigation.open_span = opened.append
        await on.press("enter")
        await on.until(lambda: bool(opened), "the trace")
        assert opened == ["deploy-3"]
        await on.press("escape")
        await on.sees("DORA per team")


async def test_lead_times_name_their_stages_and_the_bottleneck(config) -> None:
    async with shown(config) as on:
        await on.press("l")
        await on.sees("1 from pull request opened", "longest", "change 1")
        assert "longest" in line(on, "│ deploy wait ")
        assert "-" in line(on, "review")


async def test_an_empty_team_explains_itself(config) -> None:
    async with shown(config) as on:
        await on.press("G")
        await on.sees("idle deployment frequency", "No deploy of team idle", "n=0")


async def test_a_frozen_screen_shows_the_numbers_of_its_moment(config) -> None:
    """A deployment and a failure that came later are not in them."""
    until = BEGIN + 10 * HOUR
    async with shown(config, at=until) as on:
        assert "n 2 few" in on.text
        await on.press("l", "l")
        await on.sees("core change fail rate", "0 of 2 deployments")


async def test_a_failure_seen_after_the_frozen_moment_is_none_yet(config) -> None:
    incident = BEGIN + 41 * HOUR
    for at, said in ((incident - MINUTE, "0 of 1"), (incident + MINUTE, "1 of 1")):
        async with shown(config, at=at) as on:
            await on.press("j", "l", "l")
            await on.sees("web change fail rate", f"{said} deployment ")


async def test_all_time_begins_with_the_first_deployment_known(config) -> None:
    async with shown(config) as on:
        await on.press("t", "5")
        await on.sees("all time")
        assert "25 % *" in on.text
        assert "n 4 few" in on.text
        await on.press("l", "l")
        await on.sees("nothing before to compare with")


async def test_the_list_and_what_is_behind_it_compare_alike(config) -> None:
    reader = await SqliteReader(config.db, lambda: NOW).open()
    try:
        reports = Reports(reader, config, lambda: NOW)
        for length in (DAY, 15 * DAY, 30 * DAY, 0):
            for card in await reports.cards("", length):
                detail = await reports.detail(card.team, card.metric, length)
                assert delta_text(detail.figure) == card.delta
                assert (value_text(detail.figure), detail.figure.n) == (card.text, card.n)
    finally:
        await reader.close()


async def test_projects_of_no_team_stand_last_and_say_what_to_write(config) -> None:
    base = Database(config.db)
    base.tell(*deploy(8, BEGIN + HOUR, service="tools"), *deploy(9, BEGIN, service="tools"))
    base.db.close()
    async with shown(config) as on:
        assert [name for name, _ in on.app.screen.grid.teams][-1] == "(no team)"
        assert "2 deployments" in line(on, "(no team)")
        await on.press("G", "enter")
        await on.sees("acme/tools 2.", '[teams.NAME] projects = ["acme/tools"]')


async def test_ascii_stays_ascii(config) -> None:
    async with shown(config, ascii=True) as on:
        await on.sees("core deployment frequency", "#")
        assert on.text.isascii()


async def test_a_viewer_elsewhere_sees_the_same(config) -> None:
    reader = await SqliteReader(config.db, lambda: NOW).open()
    try:
        for metric in METRICS:
            here = await Reports(reader, config, lambda: NOW).detail("core", metric, 0)
            there = DETAIL.read(DETAIL.write(here))
            assert DETAIL.write(there) == DETAIL.write(here)
            assert there.behind == here.behind
    finally:
        await reader.close()


def test_sparklines_stand_on_zero_and_show_gaps() -> None:
    assert sparkline([5, 5, 5], 3, UNICODE) == "███"
    assert sparkline([0, None, 8], 3, UNICODE) == "▁·█"
    assert sparkline([1, None], 2, ASCII) == "@."
    assert condensed([1, 3, None, None, 5, None], 3) == [2, None, 5]


@pytest.mark.parametrize(
    ("n", "before_n", "said", "colour"),
    [(5, 5, "40% worse than before", "bad"), (4, 9, "", "dim"), (9, 4, "", "dim")],
)
def test_a_change_of_few_values_is_no_verdict(n, before_n, said, colour) -> None:
    """A median of four may be another one with the next value: 7 h after 5 h is 40 % more."""
    figure = Figure("lead", 7.0 * HOUR, n, before=5.0 * HOUR, before_n=before_n)
    look = choose("dark", ascii_only=True, env={})
    lines = facts_of(Detail("core", figure, Window(NOW - DAY, NOW, NOW)), look)
    (role,) = [role for line in lines for text, role in line if text == "+40% "]
    assert role == colour
    digest = _figure(figure, UTC)
    assert ("than before" in digest) == bool(said)
    assert said in digest


def test_a_chart_has_a_bar_a_value_and_none_where_there_is_none() -> None:
    look = choose("dark", ascii_only=True, env={})
    figure = Figure("batch", 2.0, 3, series=[1, None, 2])
    lines = chart(figure, ["02 Mar", "03 Mar", "04 Mar"], (30, 9), look)
    assert len({len(line) for line in lines}) == 1, "as wide as whole bars need"
    assert lines[1].startswith("2+")
    bars = ["".join(line[2 + 8 * n] for n in range(3)) for line in lines[1:7]]
    assert bars == ["  #", "  #", "# #", "# #", "# #", "# #"], "half as high, none, the highest"
    assert "02 Mar" in lines[-1] and "04 Mar" in lines[-1]
    assert chart(figure, (), (30, 5), look) == (), "no room"
    assert chart(Figure("batch", None, 0, series=[None, None]), (), (30, 9), look) == ()
