"""Lists keep their row, their place and their filter; long ones are read as far as one goes."""

import asyncio
from dataclasses import replace

import pytest

from tests.tui.fakes import NOW, FakeReader, busy_reader, cards, delivery, span
from tests.tui.stage import NARROW, WIDE, Stage, stage
from vs_tui.metrics.cards import Card
from vs_tui.model.time import HOUR, MINUTE, SECOND, Instant
from vs_tui.model.vocabulary import State
from vs_tui.store.queries.reader_protocol import COUNTED, Counts
from vs_tui.traces.baseline import Baseline
from vs_tui.tui import span_format
from vs_tui.tui.app import Setup, VsTuiApp
from vs_tui.tui.dashboard_settings import no_cards
from vs_tui.tui.theme import UNICODE
from vs_tui.tui.widgets.listing import Listing


def builds(count: int, prefix: str = "b") -> list:
    return [
        span(f"{prefix}-{n:05}", "build", f"build {n}", began=n * SECOND + SECOND, took=SECOND)
        for n in range(count)
    ]


def line_of(on: Stage, text: str) -> int:
    return next(number for number, line in enumerate(on.lines) if text in line)


async def test_enter_opens_the_row_the_cursor_is_on_though_others_came_above() -> None:
    async with stage(FakeReader(builds(30))) as on:
        on.list.select("b-00009")
        await on.settle()
        at = line_of(on, "build 9 ")
        for n in range(5):
            on.reader.put(span(f"new-{n}", "deploy", f"new {n}", began=0))
        await on.until(lambda: len(on.list.rows) == 35, "the new rows")
        await on.settle()
        assert on.list.selected_key == "b-00009"
        assert on.list.cursor == 14
        assert line_of(on, "build 9 ") == at
        await on.press("enter")
        await on.sees("Live › build 9")
        await on.press("escape")
        assert line_of(on, "▌✓ ok     build    build 9 ") == at


async def test_a_row_below_the_screen_repaints_no_row_in_sight(monkeypatch) -> None:
    painted: list[int] = []
    paint = Listing.paint_row

    def noting(box: Listing, index: int, width: int) -> object:
        painted.append(index)
        return paint(box, index, width)

    async with stage(FakeReader(builds(200)), size=NARROW) as on:
        await on.sees("of 200")
        monkeypatch.setattr(Listing, "paint_row", noting)
        on.reader.put(span("old", "build", "old", began=HOUR, took=SECOND))
        await on.sees("of 201")
        await on.settle()
        assert painted == []


async def test_a_scrolled_list_keeps_the_row_at_its_line() -> None:
    async with stage(FakeReader(builds(200)), size=NARROW) as on:
        on.list.select("b-00100")
        await on.settle()
        at = line_of(on, "build 100 ")
        for n in range(5):
            on.reader.put(span(f"new-{n}", "deploy", f"new {n}", began=0))
        await on.until(lambda: len(on.list.rows) == 205, "the new rows")
        await on.settle()
        assert line_of(on, "build 100 ") == at
        assert on.list.selected_key == "b-00100"


async def test_who_only_looks_sees_what_is_new_and_so_does_who_goes_to_the_top() -> None:
    async with stage(FakeReader(builds(200)), size=NARROW) as on:
        first = line_of(on, "build 0 ")

        async def more(batch: str, count: int) -> None:
            wanted = len(on.list.rows) + count
            for n in range(count):
                on.reader.put(span(f"{batch}-{n:03}", "deploy", f"{batch} {n}", began=0))
            await on.until(lambda: len(on.list.rows) == wanted, "the new rows")
            await on.settle()

        await more("d", 2)
        assert (line_of(on, "build 0 "), on.list.selected_key) == (first + 2, "b-00000")
        await more("c", 50)
        assert (on.list.first, on.list.cursor) == (0, 0), "pushed out, it came back to the top"
        await on.press("j")
        chosen = on.list.selected_key
        await more("b", 2)
        assert (on.list.first, on.list.selected_key) == (2, chosen)
        await on.press("g")
        await more("a", 2)
        assert on.list.first == 0


async def test_when_the_row_is_gone_the_cursor_stays_at_its_line() -> None:
    async with stage(FakeReader(builds(30))) as on:
        on.list.select("b-00009")
        await on.settle()
        del on.reader.by_key["b-00009"]
        on.reader.put()
        await on.until(lambda: len(on.list.rows) == 29, "one row less")
        assert on.list.selected_key == "b-00010"
        assert on.list.cursor == 9


async def test_a_long_list_is_read_as_far_as_one_goes() -> None:
    async with stage(FakeReader(builds(2_300))) as on:
        assert len(on.list.rows) == 500
        await on.sees("of 2300")
        await on.press("G")
        await on.until(lambda: len(on.list.rows) == 2_300, "all rows")
        await on.settle()
        assert on.list.selected_key == "b-02299"
        await on.sees("build 2299", "-2300 of 2300")
        await on.press("g")
        on.reader.put(span("new", "deploy", "new", began=0))
        await on.until(lambda: len(on.list.rows) == 500, "only what is near again")


async def test_the_end_is_reached_though_another_reading_comes_between() -> None:
    async with stage(FakeReader(builds(2_300))) as on:
        on.list.select("b-00480")
        on.app.do("bottom")
        on.app.reload_view()
        await on.until(lambda: on.list.selected_key == "b-02299", "the last row")


async def test_who_goes_up_again_is_not_taken_to_the_end() -> None:
    async with stage(FakeReader(builds(2_300))) as on:
        on.app.do("bottom")
        on.app.do("up")
        await on.until(lambda: len(on.list.rows) == 2_300, "all rows")
        await on.settle()
        assert on.list.selected_key == "b-00498"


async def test_deliveries_are_read_as_far_as_one_goes() -> None:
    many = [delivery(n, "ping") for n in range(1, 1_301)]
    async with stage(FakeReader(builds(3), deliveries=many)) as on:
        await on.press("4")
        await on.sees("of 1300", "1300 deliveries")
        await on.press("G")
        await on.until(lambda: on.list.selected_key == "1300", "the oldest")


async def test_a_stage_is_what_runs_below_and_never_a_dash_for_what_waits() -> None:
    pipeline = span("p", "pipeline", "CI #1", began=60 * SECOND, stage="running")
    jobs = [
        span(name, "build", name, began=30 * SECOND + n, parent="p", trace="p")
        for n, name in enumerate(("lint", "e2e"))
    ]
    queued = span("q", "build", "image", began=SECOND, state=State.QUEUED, parent="p", trace="p")
    async with stage(FakeReader([pipeline, *jobs, queued])) as on:
        assert "lint +1" in on.lines[line_of(on, "CI #1")]
        assert "queued" in on.lines[line_of(on, "image")]


async def test_without_teams_their_column_is_the_repositories(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lone = span("x", "build", "assets", began=60 * SECOND, took=SECOND, project="acme/checkout",
                state=State.ERROR, error="failure")  # fmt: skip
    async with stage(FakeReader([lone])) as on:
        await on.sees("PROJECT", "checkout")
        assert "TEAM" not in on.text and "failure" not in on.text
        await on.press("e", "enter")
        exported = (tmp_path / "vs-tui-live.csv").read_text().splitlines()
        assert exported[0].split(",")[3] == "PROJECT"
        on.reader.put(span("y", "build", "lint", began=SECOND, team="core"))
        on.app.feed.wake()
        await on.sees("TEAM", "core")


async def test_paging_on_reads_more() -> None:
    async with stage(FakeReader(builds(1_700)), size=NARROW) as on:
        on.list.select("b-00480")
        await on.until(lambda: len(on.list.rows) >= 1_000, "more rows")
        assert on.list.selected_key == "b-00480"


async def test_sort_is_kept_through_drill_down_views_and_restarts(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("s", "S")
        chosen = on.app.screen.sort
        assert chosen == "-started"
        order = [row.key for row in on.list.rows]
        await on.press("enter", "escape", "2", "s", "1")
        assert [row.key for row in on.list.rows] == order
    async with stage(remember_to=path) as on:
        assert on.app.screen.sort == chosen
        assert [row.key for row in on.list.rows] == order
        await on.press("2")
        assert on.app.screen.sort == "began"


async def test_traces_sort_by_each_of_their_orders() -> None:
    async with stage() as on:
        await on.press("2")
        seen = set()
        for _ in on.app.screen.sorts:
            await on.press("s")
            seen.add(tuple(row.key for row in on.list.rows))
        assert len(seen) >= 5
        while on.app.screen.sort != "spans":
            await on.press("s")
        assert on.list.rows[0].data.spans == 9
        await on.press("S")
        assert on.list.rows[-1].data.spans == 9


async def test_completion_takes_what_the_language_and_the_list_offer() -> None:
    async with stage() as on:
        await on.press("slash", *"te", "tab", *"co", "right")
        assert on.app.screen.query_one("#filter").value == "team:core"
        await on.press("space", *"kind:dep", "tab", "enter")
        assert on.app.view.filter_text == "team:core kind:deploy"
        await on.sees("3 of 17")
        await on.press("slash")
        await on.press("space", *"state:")
        await on.sees("state:in_flight  state:running")


async def test_a_wrong_filter_keeps_the_box_open_and_is_not_remembered(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("slash", *"team:core ")
        on.app.screen.query_one("#filter").value = "team:core dur:soon"
        await on.sees("write dur>10m")
        await on.press("enter")
        assert on.app.view.filtering
    async with stage(remember_to=path) as on:
        assert on.app.view.filter_text.strip() == "team:core"


async def test_filters_are_kept_per_view_and_named_below_what_is_opened() -> None:
    async with stage() as on:
        await on.press("slash", *"team:core", "enter", "2", "slash", *"kind:pr", "enter", "1")
        assert on.app.view.filter_text == "team:core"
        await on.press("enter")
        await on.sees("/ kept: team:core")
        await on.press("2")
        await on.sees("/ kind:pr", "2 traces")


async def test_the_past_shows_what_was_and_p_comes_back() -> None:
    async with stage(at=NOW - HOUR) as on:
        await on.sees("FROZEN at 08:41:07", "7 of 7")
        assert "web #8842" not in on.text
        await on.press("2")
        await on.sees("ml-train #77")
        assert "web #8842" not in on.text
        await on.press("1", "p")
        await on.sees("LIVE", "web #8842", "17 of 17")


async def test_the_usual_times_are_those_of_the_moment_shown(monkeypatch) -> None:
    asked: list[Instant | None] = []
    read = FakeReader.baselines

    async def baselines(reader, spans, *, at=None):
        asked.append(at)
        return await read(reader, spans, at=at)

    monkeypatch.setattr(FakeReader, "baselines", baselines)
    async with stage(at=NOW - HOUR) as on:
        await on.sees("FROZEN at 08:41:07")
        assert set(asked) == {NOW - HOUR}
        asked.clear()
        await on.press("p")
        await on.sees("LIVE", "web #8842")
        assert set(asked) == {None}


async def test_what_ended_since_was_in_flight_then() -> None:
    at = NOW - 300 * SECOND
    async with stage(at=at) as on:
        row = next(line for line in on.lines if "search v18" in line)
        assert "● run" in row
        assert "1:40" in row
        await on.press("p")
        await on.sees("✗ fail   deploy   search v18")


async def test_pending_counts_add_up_and_are_gone_after_resuming() -> None:
    async with stage() as on:
        await on.press("p")
        for n in range(3):
            on.reader.put(*builds(2, prefix=f"n{n}"))
            await on.sees(f"+{2 * n + 2} new")
        await on.press("p")
        await on.until(lambda: len(on.list.rows) == 23, "six rows more")
        assert "new," not in on.lines[0]


async def test_a_watched_span_rings_the_bell_and_runs_the_command(monkeypatch) -> None:
    ran: list[list[str]] = []
    monkeypatch.setattr(
        "vs_tui.tui.output.subprocess.Popen", lambda command, **_: ran.append(command)
    )
    async with stage(watch_command="notify-send --urgency low") as on:
        rung: list[bool] = []
        monkeypatch.setattr(on.app, "bell", lambda: rung.append(True))
        on.list.select("p-8842")
        await on.press("w", "p")
        on.reader.end("p-8842", State.ERROR)
        await on.sees("web #8842 main: error")
        assert rung == [True]
        assert ran == [["notify-send", "--urgency", "low", "--", "web #8842 main", "error"]]
        assert "● run    pipeline web #8842" in on.text, "frozen, but told all the same"


async def test_watching_can_be_taken_back() -> None:
    async with stage() as on:
        on.list.select("p-8842")
        await on.press("w", "w")
        await on.sees("not watching web #8842 main any more")
        on.reader.end("p-8842")
        await on.no_longer_sees("● run    pipeline web #8842")
        assert "web #8842 main: ok" not in on.text


async def test_a_reader_that_fails_is_told_and_tried_again() -> None:
    async with stage() as on:
        on.reader.fails = OSError("disk I/O error")
        on.reader.put()
        await on.sees("disk I/O error")
        await on.press("j", "k")
        on.reader.fails = None
        on.reader.put(span("new", "build", "came back", began=SECOND))
        await on.sees("came back")
        await on.no_longer_sees("disk I/O error")


async def test_rows_are_painted_again_only_when_they_changed() -> None:
    async with stage() as on:
        painted: list[int] = []
        plain = on.list.refresh_row
        on.list.refresh_row = lambda index: (painted.append(index), plain(index))
        on.app._tick()
        await on.settle()
        assert painted == []
        on.clock.now += SECOND
        on.app._tick()
        await on.settle()
        flying = [n for n, row in enumerate(on.list.rows) if row.data.in_flight]
        assert set(painted) <= set(flying)
        assert painted


async def test_a_long_name_of_a_team_is_shown_whole_where_there_is_room() -> None:
    named = [replace(card, team="platform") for card in cards()[4:]]

    async def some(*_: object) -> list[Card]:
        return [*cards()[:4], *named]

    async with stage(cards=some) as on:
        on.reader.put(span("p-1", "build", "infra", began=SECOND, team="platform"))
        await on.until(lambda: sum("platform" in line for line in on.lines) == 2, "both names")
        assert all("platform" in line for line in on.lines if "deploys 0.4/d" in line)
        assert any("infra" in line and " platform " in line for line in on.lines)
        on.reader.put(span("p-2", "build", "docs", began=SECOND, team="a" * 40))
        await on.sees("aaaaaaaa…")
        assert any(" core " in line and " 3:12 " in line for line in on.lines)


async def test_what_is_new_waits_while_the_line_is_behind_and_keys_do_not() -> None:
    async with stage() as on:
        on.app._driver.behind = True
        on.reader.put(span("new-1", "deploy", "a new deploy", began=SECOND))
        on.app.feed.wake()
        await on.press("j")
        assert on.app.feed._dirty.is_set(), "it waits to be read"
        assert "a new deploy" not in on.text
        assert on.list.cursor == 1
        on.app._driver.behind = False
        await on.sees("a new deploy")


async def test_a_view_opened_before_the_first_status_was_read_is_read_too() -> None:
    reader = busy_reader()
    opened, go_on = asyncio.Event(), asyncio.Event()
    sources = reader.sources

    async def slow_sources():
        opened.set()
        await go_on.wait()
        return await sources()

    reader.sources = slow_sources
    app = VsTuiApp(Setup(reader=reader, clock=reader.clock, cards=no_cards, zone="UTC"))
    async with app.run_test(size=WIDE) as pilot:
        await opened.wait()
        await pilot.press("4")
        on = Stage(app, pilot, reader, reader.clock)
        await on.sees("[4 Events]", "accepted")
        go_on.set()
        await on.settle()


async def test_a_wrong_term_is_told_while_the_next_is_typed() -> None:
    async with stage() as on:
        await on.press("slash", *"state:brok")
        await on.sees("state: 'brok' is not known", "use in_flight, running")
        on.reader.put(span("b-new", "build", "new", began=SECOND))  # rows are read meanwhile
        on.app.feed.wake()
        await on.settle()
        await on.app.view.load()
        assert "state: 'brok' is not known" in on.text
        await on.press("space", *"te")
        await on.sees("state: 'brok' is not known")
        on.app.screen.query_one("#filter").value = "state:ok te"
        await on.sees("team:")
        assert "is not known" not in on.text


async def test_a_notice_covers_no_counts_no_keys_and_no_row() -> None:
    async with stage(FakeReader(builds(30)), size=NARROW) as on:
        before = on.lines
        await on.press("f")
        await on.sees("following the newest")
        assert on.lines[-1] == before[-1], "the keys"
        assert on.lines[:2] == before[:2], "the counts"
        await on.press("G")
        await on.press("f", "f")
        await on.sees("not following")
        assert on.list.region.bottom < on.app.screen.query_one("#notice").region.y + 1
        await on.press("f")
        await on.press("f")
        await on.sees("not following")
        assert "following the newest" not in on.text, "one at a time"


async def test_a_search_that_goes_on_is_read_again_and_says_how_far_it_came() -> None:
    async with stage(FakeReader(builds(30))) as on:
        seen: list[str] = []
        plain = on.app.screen.paint_frame
        on.app.screen.paint_frame = lambda: (seen.append(on.list.note), plain())
        on.reader.searched = [NOW - HOUR, NOW - 2 * HOUR]
        on.reader.calls.clear()
        await on.press("slash", *"b", "enter")
        await on.settle()
        assert any("searching: back to 08:41" in note for note in seen)
        assert any("searching: back to 07:41" in note for note in seen)
        assert "searching" not in on.text


async def test_a_search_that_gets_no_further_is_not_asked_for_ever() -> None:
    async with stage(FakeReader(builds(30))) as on:
        on.reader.searched = [NOW - HOUR] * 50
        on.reader.calls.clear()
        await on.press("slash", *"b", "enter")
        await on.settle()
        assert on.reader.calls.count("spans") < 10
        await on.sees("searching: back to")


async def test_an_order_of_the_newest_alone_says_so() -> None:
    reader = FakeReader(builds(30))
    plain = reader.counts

    async def many(filter: str = "", *, at: int | None = None) -> Counts:
        return replace(await plain(filter, at=at), matched=COUNTED, total=COUNTED, more=True)

    reader.counts = many
    async with stage(reader) as on:
        await on.sees("/ all  10000+")
        await on.press("s")
        await on.sees("started ▼ of the newest 10000")


async def test_a_long_paste_into_the_filter_is_refused_below_its_box() -> None:
    async with stage(FakeReader(builds(30))) as on:
        await on.press("slash")
        on.app.screen.query_one("#filter").value = "word " * 1_000
        await on.sees("it can have 4000")
        assert "LIVE" in on.text and "STALE" not in on.text


async def test_a_start_in_the_future_stands_behind_what_has_begun_and_is_marked() -> None:
    ahead = span("ahead", "build", "from 2031", began=-5 * 365 * 24 * HOUR)
    begun = span("begun", "build", "begun today", began=MINUTE)
    async with stage(FakeReader([ahead, begun, *builds(3)])) as on:
        assert line_of(on, "begun today") < line_of(on, "from 2031") < line_of(on, "build 0")
        assert "ahead?" in on.lines[line_of(on, "from 2031")]
        assert "is 5.0y ahead" in on.text


@pytest.mark.parametrize("took, shown", [(None, ""), (SECOND, "<0.1x"), (30 * MINUTE, "0.5x")])
def test_no_ratio_is_told_as_zero(took, shown) -> None:
    one = span("b", "build", "unit", began=MINUTE if took is None else HOUR, took=took)
    usual = Baseline(20, HOUR, 2 * HOUR)
    text, _ = span_format.ratio_text(one, usual, UNICODE, NOW)
    assert (text.strip(), len(text)) == (shown, 6)
