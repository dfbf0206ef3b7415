"""DORA on the whole screen: every key of it, many teams, goals, what counts for no team."""

from dataclasses import replace

import pytest

from tests.tui.fakes import cards, cards_with_goals, some_detail
from tests.tui.stage import NARROW, WIDE, does, stage
from vs_tui.metrics.cards import Card
from vs_tui.metrics.missing import unowned
from vs_tui.metrics.windows import Window
from vs_tui.model.time import DAY
from vs_tui.tui.screens import dora

HUGE = (200, 60)


class Reports:
    """What the dashboard reads, and what it asked for."""

    def __init__(self, found: list[Card] | None = None) -> None:
        self.found = found if found is not None else cards_with_goals()
        self.buckets: list[str] = []
        self.asked: list[tuple[str, str]] = []

    async def cards(self, team: str, *asked: object) -> list[Card]:
        self.buckets.append(str(asked[-1]))
        return [card for card in self.found if team in ("", card.team)]

    async def detail(self, team: str, metric: str, *asked: object):
        self.asked.append((team, metric))
        found = await some_detail(team, metric)
        window = Window(found.window.since, found.window.until, found.window.now)
        return replace(found, window=replace(window, wanted=str(asked[-1])))


def shown(reports: Reports, size=WIDE, **more):
    return stage(size=size, cards=reports.cards, detail=reports.detail, **more)


def chosen(on) -> tuple[str, str]:
    card = on.app.screen.grid.chosen
    return card.team, card.metric


@does("next_metric", "previous_metric")
@pytest.mark.parametrize(
    ("right", "left", "down", "up"), [("l", "h", "j", "k"), ("right", "left", "down", "up")]
)
async def test_keys_choose_a_number_and_what_is_below_follows(right, left, down, up) -> None:
    reports = Reports()
    async with shown(reports) as on:
        await on.press("3")
        assert chosen(on) == ("core", "deploys")
        await on.press(right)
        await on.sees("core change lead time", "#1204 retry on", "longest")
        await on.press(down, right)
        await on.sees("plat change fail rate", "smoke tests")
        await on.press(up, left, left, left)
        assert chosen(on) == ("core", "deploys")
        assert reports.asked[-1] == ("core", "deploys")


async def test_of_a_cursor_that_runs_only_the_last_number_is_read(monkeypatch) -> None:
    assert dora._FOLLOW > 0, "it waits whether the cursor goes on"
    reports = Reports()
    async with shown(reports) as on:
        await on.press("3")
        before = len(reports.asked)
        monkeypatch.setattr(dora, "_FOLLOW", 3_600)  # on any machine longer than until the next
        await on.pilot.press("l", "l")
        monkeypatch.setattr(dora, "_FOLLOW", 0)
        await on.press("l")
        await on.sees("core recovery time")
        assert reports.asked[before:] == [("core", "restore")]


@pytest.mark.parametrize("size", [WIDE, NARROW, HUGE])
async def test_enter_and_tab_go_into_the_list_and_escape_comes_back(size) -> None:
    async with shown(Reports(), size) as on:
        await on.press("3", "l", "enter")
        screen = on.app.screen
        assert screen.focused is screen.list
        opened = []
        on.app.navigation.open_span = opened.append
        await on.press("j", "enter")
        assert opened == ["d-211"]
        await on.press("escape")
        assert screen.focused is screen.grid
        await on.press("tab")
        assert screen.focused is screen.list
        await on.press("escape", "escape")
        assert on.app.view.where in ("live", "board")


@does("counts")
@pytest.mark.parametrize("size", [WIDE, NARROW, HUGE])
async def test_i_says_what_the_number_counts(size) -> None:
    async with shown(Reports(), size) as on:
        await on.press("3", "l", "i")
        await on.sees("The median time from the begin of a change", "docs/metrics.md")
        assert "DORA's levels: " in on.text
        await on.press("escape")
        await on.no_longer_sees("docs/metrics.md")
        assert chosen(on) == ("core", "lead")


@does("bucket")
async def test_b_chooses_what_a_bar_is() -> None:
    reports = Reports()
    async with shown(reports) as on:
        await on.press("3")
        for bucket in ("day", "week", "month", ""):
            await on.press("b")
            assert reports.buckets[-1] == bucket
            await on.sees(f"a bar a {bucket or 'day'}")


async def test_n_goes_to_what_became_worse_or_misses_its_goal() -> None:
    found = cards_with_goals()
    for number in (5, 6):
        found[number] = replace(found[number], n=9, before_n=9, goal="")
    found[10] = replace(found[10], goal="missed")
    async with shown(Reports(found)) as on:
        await on.press("3", "n")
        assert chosen(on) == ("plat", "lead")
        await on.press("n")
        assert chosen(on) == ("plat", "fail")
        await on.press("N", "N")
        assert chosen(on) == ("(no team)", "fail")


@pytest.mark.parametrize("size", [WIDE, NARROW, HUGE])
async def test_a_card_says_its_goal_and_small_samples_are_marked(size) -> None:
    async with shown(Reports(), size) as on:
        await on.press("3")
        core = next(line for line in on.lines if " core " in line and "6.2/d" in line)
        assert core.count("✓") == 3, core
        assert "?" in core, "recovery of three"
        assert ("goal 1d" in core) == (size != NARROW)
        sample = on.lines[on.lines.index(core) + (1 if size == NARROW else 2)]
        assert sample.split()[1:4] == ["▌n", "43", "▲12%"] or "▌n 43 ▲12%" in sample
        assert "n 3 few" in sample


@pytest.mark.parametrize("size", [WIDE, NARROW, HUGE])
async def test_what_counts_for_no_team_stands_last_with_counts_only(size) -> None:
    async with shown(Reports(), size) as on:
        await on.press("3")
        line = next(line for line in on.lines if "(no team)" in line)
        assert "3 deployments" in line
        assert "2 of 4 failed" in line
        assert "%" not in line
        await on.press("G")
        assert chosen(on)[0] == "(no team)"


@pytest.mark.parametrize("size", [WIDE, NARROW, HUGE])
async def test_enter_on_no_team_says_whose_they_are_and_what_to_write(size) -> None:
    reports = Reports()
    known = reports.detail

    async def detail(team: str, metric: str, *asked: object):
        found = await known(team, metric, *asked)
        return replace(found, left_out=unowned({"acme/tools": 2, "acme/docs": 1}))

    reports.detail = detail  # type: ignore[method-assign]
    async with shown(reports, size) as on:
        await on.press("3", "G", "enter")
        await on.sees("acme/tools 2", "[teams.NAME]", '"acme/docs"]')
        await on.press("enter")
        assert on.app.screen.focused is on.app.screen.list


@pytest.mark.parametrize("size", [WIDE, NARROW])
@pytest.mark.parametrize("count", [1, 20])
async def test_of_many_teams_the_chosen_one_is_in_sight(size, count) -> None:
    found = [replace(card, team=f"team{n}") for n in range(count) for card in cards()[:4]]
    async with shown(Reports(found), size) as on:
        await on.press("3")
        for key, team in (("G", f"team{count - 1}"), ("k", f"team{max(count - 2, 0)}")):
            await on.press(key)
            await on.sees(f"│ {team} ", "▌")
        await on.press("g")
        await on.sees("│ team0 ")
        assert on.app.screen.list.size.height > 6, "what is behind it keeps its room"


async def test_metrics_without_room_come_into_sight_with_the_cursor() -> None:
    async with shown(Reports(), (60, 24)) as on:
        await on.press("3")
        await on.sees("metrics 1-3 of 4")
        await on.press("l", "l", "l")
        await on.sees("metrics 2-4 of 4", "recovery")


async def test_a_click_chooses_a_card_and_another_one_opens_its_list() -> None:
    async with shown(Reports()) as on:
        await on.press("3")
        y = next(n for n, line in enumerate(on.lines) if "4.5d" in line)
        x = on.lines[y].index("4.5d")
        await on.pilot.click(offset=(x, y))
        await on.settle()
        assert chosen(on) == ("plat", "lead")
        await on.pilot.click(offset=(x, y))
        await on.settle()
        assert on.app.screen.focused is on.app.screen.list


async def test_the_cursor_keeps_its_number_when_the_cards_are_read_again() -> None:
    reports = Reports()
    async with shown(reports) as on:
        await on.press("3", "j", "l")
        reports.found = [replace(card, team="new") for card in cards()[:4]] + reports.found
        on.reader.put()
        await on.sees(" new ")
        assert chosen(on) == ("plat", "lead")
        reports.found = []
        on.reader.put()
        await on.sees("No production deployments yet")


async def test_the_export_has_the_cards_or_the_list() -> None:
    async with shown(Reports()) as on:
        await on.press("3", "l")
        titles, rows = on.app.screen.export_rows()
        assert titles == ("team", "metric", "value", "n", "change", "goal", "level")
        assert rows[1] == ("core", "lead", "9h", "31", "-31%", "1d", "elite 2024")
        await on.press("enter")
        titles, rows = on.app.screen.export_rows()
        assert titles[:2] == ["DEPLOYED", "WHAT"]
        assert rows[0][1].startswith("#1204 retry on 429")


async def test_a_goal_that_buckets_miss_is_counted() -> None:
    reports = Reports()

    async def detail(team: str, metric: str, *_: object):
        found = await some_detail(team, "lead")
        return replace(found, figure=replace(found.figure, goal=float(DAY)))

    reports.detail = detail  # type: ignore[method-assign]
    async with shown(reports) as on:
        await on.press("3", "l")
        await on.sees("misses the goal of 24h in 2 of 6 days")
