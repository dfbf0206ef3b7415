"""Time ranges: what may be written, what the picker does, and that each view keeps its own."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from textual.containers import Vertical

from tests.tui.fakes import NOW, FakeReader, span
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, stage
from vs_tui.model.filters import parse
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, parse_instant
from vs_tui.tui.filtering import PRESETS, parse_range

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> int:
    return parse_instant(text) or 0


@pytest.mark.parametrize(
    ("text", "length"), [("1h", HOUR), ("24h", DAY), ("90d", 90 * DAY), (" 1D 12h ", 36 * HOUR)]
)
def test_back_from_now(text, length) -> None:
    found = parse_range(text, NOW, None)
    assert found.window(NOW) == (NOW - length, NOW)
    (term,) = parse(found.terms).terms
    assert (term.key, term.op, term.number) == ("fresh", "<", length)


def test_all_time_has_no_terms() -> None:
    assert parse_range("all", NOW, None).terms == ""
    assert parse_range("all", NOW, None).window(NOW) == (None, NOW)


@pytest.mark.parametrize(
    ("text", "since", "until"),
    [
        ("2026-11-01..2026-11-08", "2026-10-31T23:00:00Z", "2026-11-08T23:00:00Z"),
        ("2026-11-01 .. 2026-11-01", "2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z"),
        ("2026-11-01T08:30..09:15", "2026-11-01T07:30:00Z", "2026-11-01T08:15:00Z"),
        ("2026-11-01 08:30..2026-11-02 09:15", "2026-11-01T07:30:00Z", "2026-11-02T08:15:00Z"),
        ("2026-11-01T08:00:00Z..2026-11-02", "2026-11-01T08:00:00Z", "2026-11-02T23:00:00Z"),
    ],
)
def test_from_one_moment_to_another_in_the_users_zone(text, since, until) -> None:
    found = parse_range(text, NOW, BERLIN)
    assert found.window(NOW) == (at(since), at(until))
    terms = {term.key: term.number for term in parse(found.terms).terms}
    assert terms == {"since": at(since), "until": at(until)}
    assert parse_range(found.text, NOW, BERLIN) == found, "it is remembered as it was written"


def test_an_open_end_goes_on() -> None:
    found = parse_range("2026-11-01..", NOW, BERLIN)
    assert found.window(NOW) == (at("2026-10-31T23:00:00Z"), NOW)
    assert found.window(NOW + DAY) == (at("2026-10-31T23:00:00Z"), NOW + DAY)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("soon", "'soon' is no time range"),
        ("7", "'7' is no time range"),
        ("1s", "too short"),
        ("..2026-11-01", "the beginning is missing"),
        ("2026-11-08..2026-11-01", "ends before it begins"),
        ("2027-01-01..", "begins in the future"),
        ("2026-13-01..", "no day and no time"),
        ("2026-11-01..later", "no day and no time"),
    ],
)
def test_errors_say_what_is_accepted(text, why) -> None:
    with pytest.raises(ValueError, match=why) as error:
        parse_range(text, NOW, BERLIN)
    assert "12h, 90d, all, 2026-11-01.." in str(error.value)


@pytest.mark.parametrize("number", range(len(PRESETS)))
async def test_digits_choose(number) -> None:
    async with stage() as on:
        await on.press("t", str(number + 1))
        assert on.app.range_name == PRESETS[number]
        assert len(on.app.screen_stack) == 2


async def test_arrows_and_enter_choose_and_escape_keeps() -> None:
    async with stage() as on:
        await on.press("t", "j", "down", "k", "enter")
        assert on.app.range_name == "30d"
        await on.press("t", "up", "escape")
        assert on.app.range_name == "30d"


async def test_any_other_range_is_written_with_its_errors_below() -> None:
    async with stage() as on:
        await on.press("t", "tab", *"2026-11-21T08:00..07")
        await on.sees("no day and no time", "write 12h, 90d")
        await on.press("enter")
        assert on.app.range_name == "7d"
        await on.press("backspace", "backspace", *"09:30", "enter")
        assert on.app.range_name == "2026-11-21T08:00..2026-11-21T09:30"
        shown = {row.data.name for row in on.list.rows}
        assert "web #8842 main" not in shown, "it began later"
        await on.press("t")
        await on.sees("2026-11-21T08:00..2026-11-21T09:30", "enter chooses")
        await on.press("up", "enter")
        assert on.app.range_name == "all"


async def test_each_view_keeps_its_own_over_restarts(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("t", "2", "2", "t", "4", "4", "t", "tab", *"2026-11-20..", "enter", "1")
    async with stage(remember_to=path) as on:
        for key, name in (("1", "24h"), ("2", "30d"), ("3", "30d"), ("4", "2026-11-20..")):
            await on.press(key)
            assert on.app.range_name == name
            await on.sees(f" {name} ")


async def test_what_is_opened_from_a_view_has_its_range() -> None:
    async with stage() as on:
        await on.press("t", "1", "enter")
        assert on.app.range_name == "1h"


async def test_a_view_without_a_range_says_so() -> None:
    async with stage() as on:
        await on.press("5", "t")
        await on.sees("this view has no time range")


async def test_in_a_past_moment_it_is_back_from_then() -> None:
    reader = FakeReader(
        [
            span("old", "build", "an old build", began=3 * DAY, took=MINUTE),
            span("new", "build", "a new build", began=26 * HOUR, took=MINUTE),
            span("later", "build", "a later build", began=MINUTE, took=SECOND),
        ]
    )
    async with stage(reader, at=NOW - DAY) as on:
        await on.press("t", "2")
        assert [row.data.name for row in on.list.rows] == ["a new build"]
        await on.sees("1 of 2")


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_looks(size) -> None:
    async with stage(size=size) as on:
        await on.press("t", "tab", *"2026-11-30..")
        await on.sees("begins in the future")
        x, y, width, height = on.app.screen.query_one(Vertical).region
        picker = [line[x : x + width].rstrip() for line in on.lines[y : y + height]]
        assert_golden(f"range-{size[0]}x{size[1]}", "\n".join(picker) + "\n")


async def test_metrics_have_one_range_wherever_they_are_shown() -> None:
    async with stage() as on:
        assert on.app.range_name == "7d"
        assert on.app.metrics_range_name == "30d", "as on every face"
        await on.press("3", "t", "2")
        await on.sees("24h against the 24h before")
        await on.press("1")
        assert on.app.range_name == "7d"
        await on.sees("DORA 24h")
