"""The line over every screen: the worst first, each with what to do, never more than one line."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery, span
from tests.tui.golden import assert_golden
from tests.tui.stage import NARROW, WIDE, stage
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Verdict
from vs_tui.store.queries.reader_protocol import SourceHealth
from vs_tui.tui import feed
from vs_tui.tui.header import LOOK_EVERY, clock_trouble


def well() -> FakeReader:
    """A reader about which nothing is to be said."""
    reader = busy_reader()
    for number in [n for n, d in reader.stored.items() if d.row.verdict is Verdict.QUARANTINED]:
        del reader.stored[number]
    return reader


def aged(reader: FakeReader, source: str, age: int) -> FakeReader:
    """With one accepted delivery of a source that came so long ago."""
    number = max(reader.stored) + 1
    found = delivery(number, "push", source=source)
    reader.stored[number] = replace(found, row=replace(found.row, received_at=NOW - age))
    return reader


def banner_of(on) -> str:
    line = on.app.screen.query_one("#banner")
    return "".join(t for t, _ in line._left) if on.app.screen.has_class("-banner") else ""


async def test_nothing_is_said_when_all_is_well() -> None:
    async with stage(well()) as on:
        assert banner_of(on) == ""


def top(on) -> str:
    """The frame's lines over the list."""
    return "\n".join(on.lines[:3]) + "\n"


CASES = {
    "open": (well, {"open_mode": True}, "restart without --no-auth"),
    "quarantined": (busy_reader, {}, "4 shows why"),
    "silent": (lambda: aged(well(), "gitlab", 9 * DAY), {}, "gitlab is silent since 9d"),
    "clock": (lambda: aged(well(), "github", -3 * HOUR), {}, "timedatectl"),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_each(name, size) -> None:
    reader, options, words = CASES[name]
    async with stage(reader(), size=size, **options) as on:
        await on.sees(words)
        assert_golden(f"banner-{name}-{size[0]}x{size[1]}", top(on))


async def test_a_lag_shows_from_a_second_on_and_goes_by_itself() -> None:
    reader = well()
    async with stage(reader, size=WIDE) as on:

        def looked() -> str:
            on.app.feed._looked = 0
            on.app.feed.wake()
            return on.text

        on.app.lag, on.app.unfolded = SECOND // 2, 10
        assert banner_of(on) == ""
        reader.behind, reader.lag = 1_200, 3 * SECOND
        await on.until(lambda: "3 s behind: 1200 deliveries stored" in looked())
        reader.behind = reader.lag = 0
        await on.until(lambda: "s behind:" not in looked())


async def test_the_screen_is_read_more_rarely_while_folding_is_behind(monkeypatch) -> None:
    sleep, slept, rarely = asyncio.sleep, [], 0.123

    async def noted(seconds: float, *rest: object) -> None:
        slept.append(seconds)
        await sleep(seconds, *rest)

    monkeypatch.setattr(feed, "BEHIND_POLL_SECONDS", rarely)
    monkeypatch.setattr(asyncio, "sleep", noted)
    reader = well()
    async with stage(reader, size=WIDE) as on:
        for lag, name in ((SECOND, "in time"), (SECOND + 1, "late"), (0, "in time again")):
            slept.clear()
            reader.lag = lag
            reader.put(span(f"a-{lag}", "build", f"build {name}", began=-HOUR))
            on.app.feed.wake()
            await on.sees(f"build {name}")
            await on.until(lambda lag=lag: (rarely if lag > SECOND else feed.POLL_SECONDS) in slept)
            assert lag > SECOND or rarely not in slept


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_storage_trouble_shows_although_nothing_is_committed_any_more(size) -> None:
    reader = well()
    async with stage(reader, size=size) as on:
        assert banner_of(on) == ""
        reader.trouble = "the disk is full; free some space, it goes on by itself"
        on.app.feed._looked = 0
        on.app.feed.wake()
        await on.sees("the disk is full", "hooks: trouble" if size == WIDE else "")
        assert_golden(f"banner-storage-{size[0]}x{size[1]}", top(on))
        reader.trouble = ""
        on.app.feed._looked = 0
        on.app.feed.wake()
        await on.no_longer_sees("the disk is full")


async def test_a_collector_that_is_away_is_said_until_it_is_back() -> None:
    reader = well()
    async with stage(reader) as on:
        for text in ("the OTLP collector answered 503: traces wait here until it is back", ""):
            reader.export_trouble = text
            on.app.feed._looked = 0
            on.app.feed.wake()
            await (on.sees(text) if text else on.no_longer_sees("OTLP collector"))


async def test_what_cannot_be_read_is_said_and_what_was_read_stays() -> None:
    reader = well()
    async with stage(reader) as on:
        reader.fails = ConnectionError("http://jump:5000 does not answer; is the receiver up?")
        on.app.feed.wake()
        await on.sees("does not answer", "checkout-api v214", "? STALE")
        assert "LIVE" not in on.lines[0]
        reader.fails = None
        on.app.feed.wake()
        await on.no_longer_sees("does not answer", "STALE")
        await on.sees("● LIVE")
        assert "checkout-api v214" in on.text


async def test_a_taken_port_stays_said() -> None:
    async def start() -> str:
        raise OSError("cannot listen on 127.0.0.1:5000; choose another with --port")

    reader = well()
    async with stage(reader, after_paint=start) as on:
        await on.sees("cannot listen on 127.0.0.1:5000; choose another with --port")
        reader.put(span("b-new", "build", "newcomer", began=SECOND))
        on.app.feed.wake()
        await on.sees("newcomer", "cannot listen on 127.0.0.1:5000")
    async with stage(FakeReader(), after_paint=start) as on:
        await on.sees("nothing can be:", "choose another with --port")
        assert "curl" not in on.text, "there is nothing to send it to"


@pytest.mark.parametrize("width", [80, 100, 250])
async def test_the_worst_stands_in_one_line_with_the_number_of_the_others(width) -> None:
    reader = aged(busy_reader(), "gitlab", 9 * DAY)
    reader.trouble = "the disk is full; " + "free some space " * 30
    async with stage(reader, size=(width, 30), open_mode=True) as on:
        await on.sees("the disk is full")
        line = banner_of(on)
        assert line.endswith("+3: 5")
        assert len(line) == width
        assert on.app.screen.query_one("#banner").size.height == 1


@pytest.mark.parametrize(("width", "folder"), [(80, "…"), (250, f"/srv/{'x' * 70}")])
async def test_where_room_is_short_a_path_gives_way_to_what_is_wrong(width, folder) -> None:
    reader = well()
    reader.trouble = f"/srv/{'x' * 70}/t.db was moved; put it back"
    async with stage(reader, size=(width, 30)) as on:
        await on.sees("was moved; put it back")
        assert banner_of(on).strip() == f"{folder}/t.db was moved; put it back"


async def test_quarantined_says_another_thing_where_it_can_be_mended() -> None:
    async with stage() as on:
        await on.sees("4 shows why")
        await on.press("4")
        await on.sees("r reads it again")


async def test_many_silent_sources_and_hostile_names() -> None:
    reader = aged(aged(well(), "gitlab", 9 * DAY), "\x1b[31mevil", 30 * DAY)
    async with stage(reader) as on:
        await on.sees("2 sources are silent")
        assert "\x1b" not in banner_of(on)


@pytest.mark.parametrize("age", [6 * DAY, 61 * DAY])
async def test_a_quiet_week_and_a_retired_tool_are_no_concern(age) -> None:
    async with stage(aged(well(), "gitlab", age)) as on:
        assert banner_of(on) == ""


def seen(age: int) -> list[SourceHealth]:
    return [SourceHealth("github", NOW - age, "push", {"accepted": 1})]


def test_clocks() -> None:
    young = span("a", "build", "a", began=-5 * MINUTE, source="gitlab")
    assert clock_trouble(NOW, seen(MINUTE), None) == ""
    assert clock_trouble(NOW, [], span("a", "build", "a", began=-MINUTE)) == ""
    assert "gitlab is 5:00 ahead" in clock_trouble(NOW, seen(0), young)
    assert "3h 0m behind" in clock_trouble(NOW, seen(-3 * HOUR), None)
    assert "ahead of this one's" in clock_trouble(NOW, seen(0), None, 10 * MINUTE)
    assert "behind this one's" in clock_trouble(NOW, seen(0), None, -10 * MINUTE)


async def test_a_wrong_clock_is_seen_also_when_nothing_comes_after_it(monkeypatch) -> None:
    monkeypatch.setattr(feed, "LOOK_SECONDS", 0)
    reader = well()
    async with stage(reader) as on:
        reader.put(span("b-ahead", "build", "from the future", began=-HOUR, source="gitlab"))
        on.app.feed.wake()
        await on.sees("from the future")
        assert banner_of(on) == ""
        on.clock.now += LOOK_EVERY
        on.app.feed.wake()
        await on.sees("the clock of gitlab is 59:50 ahead")


async def test_a_changed_configuration_is_in_force_and_says_so() -> None:
    async with stage(well()) as on:
        on.app.setup.keys = {"help": "Z"}
        told = "config.toml was read again: [keys] in force; [server] port after a restart"
        await on.app.show_settings(told, "", "[server] port after a restart")
        await on.sees(told)
        assert "changed: [server] port after a restart" in banner_of(on)
        await on.press("Z")
        await on.sees("Help")


async def test_a_wrong_configuration_stays_said_until_it_is_mended() -> None:
    async with stage(well()) as on:
        problem = "/home/ana/config.toml: [colours] is not a section; use one of teams, views"
        await on.app.show_settings(problem, problem, "")
        assert "[colours] is not a section" in banner_of(on)
        await on.app.show_settings("config.toml was read again: [teams] in force", "", "")
        assert banner_of(on) == ""


async def test_a_program_that_was_upgraded_while_it_runs_says_so() -> None:
    async with stage() as on:
        on.reader.fails = ModuleNotFoundError("No module named 'vs_tui.store.queries.x'")
        on.app.feed.wake()
        await on.sees("the files of vs-tui changed while it runs: quit and start it again")


@pytest.mark.parametrize(("key", "title"), [("2", "Traces"), ("4", "Events"), ("5", "Sources")])
async def test_a_view_opened_while_nothing_can_be_read_has_its_title_and_no_count(
    key, title
) -> None:
    async with stage() as on:
        on.reader.fails = OSError("disk I/O error")
        on.app.feed.wake()
        await on.sees("STALE")
        await on.press(key)
        await on.sees(f"┌─ {title} ", "reading…")
        assert " 0 " not in on.lines[1]
        on.reader.fails = None
        on.app.feed.wake()
        await on.no_longer_sees("reading…", "STALE")
