"""What the keys of the table do, on the screens where they mean something."""

from pathlib import Path

import pytest
from textual import events

from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery_links, delivery_trace, span
from tests.tui.stage import NARROW, does, some_cards, stage
from tests.tui.test_output import write_all
from vs_tui.model.time import MINUTE, SECOND
from vs_tui.model.vocabulary import Link, Rule, State
from vs_tui.tui import actions
from vs_tui.tui.screens.delivery import DeliveryView
from vs_tui.tui.screens.help import HelpView
from vs_tui.tui.screens.trace import TraceView
from vs_tui.tui.widgets.inputs import FilterBox


def titles(on) -> list[str]:
    return [row.data.name for row in on.list.rows]


@does("down", "up", "page_down", "page_up", "top", "bottom")
async def test_moving_by_row_page_and_to_the_ends() -> None:
    async with stage() as on:
        keys = [row.key for row in on.list.rows]
        assert on.list.selected_key == keys[0]
        await on.press("j", "j", "down")
        assert on.list.selected_key == keys[3]
        await on.press("k", "up")
        assert on.list.selected_key == keys[1]
        await on.press("G")
        assert on.list.selected_key == keys[-1]
        await on.press("g")
        assert on.list.selected_key == keys[0]
        await on.press("ctrl+d")
        assert on.list.selected_key == keys[min(on.list.rows_visible, len(keys) - 1)]
        await on.press("ctrl+u")
        assert on.list.selected_key == keys[0]


async def test_a_page_in_a_long_list_scrolls() -> None:
    many = [span(f"b-{n}", "build", f"build {n}", began=n * SECOND, took=1) for n in range(400)]
    async with stage(FakeReader(many), size=NARROW) as on:
        await on.press("G")
        await on.sees("build 399")
        await on.press("g")
        await on.sees("build 0 ")


@does("live", "traces", "dora", "events", "sources")
@pytest.mark.parametrize(
    ("key", "name"),
    [("1", "live"), ("2", "traces"), ("3", "dora"), ("4", "events"), ("5", "sources")],
)
async def test_digits_choose_the_view(key, name) -> None:
    async with stage() as on:
        await on.press("3" if key != "3" else "4", key)
        assert on.app.view.where == name
        await on.sees(f"[{key} ")


@does("last_view")
async def test_minus_swaps_with_the_view_before() -> None:
    async with stage() as on:
        await on.press("4", "minus")
        assert on.app.view.where == "live"
        await on.press("minus")
        assert on.app.view.where == "events"


@does("open", "back")
async def test_enter_opens_the_trace_and_escape_returns_to_the_same_place() -> None:
    many = [span(f"b-{n}", "build", f"build {n}", began=n * SECOND, took=1) for n in range(100)]
    async with stage(FakeReader(many), size=NARROW) as on:
        await on.press("slash", *"build", "enter", *["j"] * 40)
        selected, first = on.list.selected_key, on.list.first
        assert first > 0
        await on.press("enter")
        assert isinstance(on.app.screen, TraceView)
        await on.sees("Live", "build 40")
        await on.press("escape")
        assert on.app.view.where == "live"
        assert (on.list.selected_key, on.list.first) == (selected, first)
        assert on.app.view.filter_text == "build"


async def test_the_trace_opens_at_the_span_it_was_opened_from() -> None:
    async with stage() as on:
        on.list.select("t-1")
        await on.press("enter")
        assert on.app.screen.waterfall.selected_key == "t-1"


async def test_enter_folds_and_unfolds_a_span_with_children() -> None:
    async with stage() as on:
        on.list.select("dep-214")
        await on.press("enter")
        before = on.app.screen.waterfall.count
        assert before > 5
        await on.press("g", "enter")
        assert on.app.screen.waterfall.count == 1
        await on.sees("(8)")
        await on.press("enter")
        assert on.app.screen.waterfall.count == before


@does("next_failed", "previous_failed")
async def test_next_failed_goes_round_in_both_directions() -> None:
    async with stage() as on:
        await on.press("n")
        assert on.list.selected_key == "d-18"
        await on.press("G", "N")
        assert on.list.selected_key == "d-18"


async def test_next_failed_says_when_there_is_none() -> None:
    reader = FakeReader([span("b-1", "build", "one", began=SECOND)])
    async with stage(reader) as on:
        await on.press("n")
        await on.sees("nothing in this list has failed")


async def test_next_failed_in_a_trace_finds_what_is_folded_away() -> None:
    trace = "f" * 32
    spans = [
        span("p", "pipeline", "run", began=90 * SECOND, took=80 * SECOND, trace=trace),
        span("j", "build", "job", began=80 * SECOND, took=9 * SECOND, trace=trace, parent="p"),
        span("s", "stage", "step", began=80 * SECOND, took=SECOND, trace=trace, parent="j",
             state=State.ERROR),
    ]  # fmt: skip
    async with stage(FakeReader(spans)) as on:
        on.list.select("p")
        await on.press("enter", "g", "n")
        assert on.app.screen.waterfall.selected_key == "s", "a fold hides no failure by itself"
        await on.press("left_square_bracket", "n")
        assert on.app.screen.waterfall.selected_key == "p"


@does("filter")
async def test_filter_counts_what_matches_and_escape_clears_it() -> None:
    async with stage() as on:
        await on.press("slash", *"team:web kind:deploy", "enter")
        assert titles(on) == ["web v97"]
        await on.sees("1 of 17", "team:web kind:deploy")
        await on.press("escape")
        assert len(titles(on)) == 17


async def test_filter_filters_while_it_is_typed_and_keys_are_text_there() -> None:
    async with stage() as on:
        await on.press("slash", *"quit")
        assert on.app.is_running
        assert titles(on) == []
        await on.sees("nothing matches")
        await on.press("escape")
        assert len(titles(on)) == 17


async def test_a_wrong_filter_says_below_the_box_what_is_accepted_and_keeps_the_list() -> None:
    async with stage() as on:
        await on.press("slash")
        on.app.screen.query_one("#filter").value = "colour:red"
        await on.sees("colour:red", "team")
        assert len(titles(on)) == 17
        box = next(i for i, line in enumerate(on.lines) if "colour:red" in line)
        assert "team" in on.lines[box + 1]
        await on.press("escape")
        assert not on.app.screen.query_one("#problem").display


@pytest.mark.parametrize("keys", [("1",), ("1", "b"), ("2",), ("4",)])
async def test_the_empty_filter_shows_one_that_is_accepted_there(keys) -> None:
    async with stage(by_trace=True) as on:
        await on.press(*keys, "slash")
        box = on.app.screen.query_one(FilterBox)
        assert box.placeholder and box.placeholder in on.text
        await on.press(*box.placeholder, "enter")
        assert not on.app.view.filtering, on.text


@does("sort", "sort_reverse")
async def test_sort_and_reverse() -> None:
    async with stage() as on:
        while on.app.screen.sort != "name":
            await on.press("s")
        assert titles(on) == sorted(titles(on))
        await on.press("S")
        assert titles(on) == sorted(titles(on), reverse=True)


async def test_sorting_keeps_the_cursor_on_its_row() -> None:
    async with stage() as on:
        on.list.select("d-18")
        await on.press("s", "S", "s")
        assert on.list.selected_key == "d-18"


@does("time")
async def test_time_range_leaves_out_what_is_old() -> None:
    async with stage() as on:
        assert "search v17" in titles(on)
        await on.press("t", "2")
        assert on.app.range_name == "24h"
        assert "search v17" not in titles(on)


@does("freeze")
async def test_freeze_keeps_the_moment_counts_what_comes_and_scrolls() -> None:
    async with stage() as on:
        await on.press("p")
        await on.sees("FROZEN at 09:41:07")
        on.clock.now += 30 * SECOND
        on.reader.put(span("new", "build", "came later", began=-20 * SECOND))
        await on.sees("+1 new, p to resume")
        assert "came later" not in on.text
        await on.press("j", "j")
        assert on.list.cursor == 2
        await on.press("p")
        await on.sees("came later", "LIVE")


async def test_a_frozen_trace_shows_what_was_not_what_is() -> None:
    async with stage() as on:
        on.list.select("p-8842")
        await on.press("p")
        on.clock.now += 60 * SECOND
        on.reader.end("p-8842", State.ERROR)
        await on.sees("+1 new")
        await on.press("enter")
        await on.sees("6:40", "run")
        assert "fail" not in "\n".join(on.lines[3:12])
        await on.press("escape", "p")
        await on.sees("✗ fail   pipeline web #8842")


@does("follow")
async def test_follow_keeps_the_newest_selected() -> None:
    async with stage() as on:
        await on.press("j", "f")
        assert on.list.selected_key == on.list.rows[0].key
        on.clock.now += 5 * SECOND
        on.reader.put(span("new", "build", "newest", began=-4 * SECOND))
        await on.until(lambda: on.list.selected_key == "new", "the newest row selected")
        await on.press("j")
        assert on.list.follow is False


@does("zoom")
async def test_zoom_gives_a_panel_the_screen_and_back() -> None:
    async with stage() as on:
        assert "DORA 30d" in on.text
        await on.press("z")
        assert "DORA 30d" not in on.text
        await on.press("escape")
        assert "DORA 30d" in on.text


@pytest.mark.parametrize(
    "screen",
    [
        ("1",),
        ("2",),
        ("3",),
        ("3", "tab"),
        ("4",),
        ("4", "tab"),
        ("5",),
        ("2", "enter"),
        ("4", "enter"),
    ],
)
async def test_a_zoomed_panel_has_all_lines_but_those_of_the_footer_and_a_notice(screen) -> None:
    async with stage(cards=some_cards) as on:
        await on.press(*screen)
        before = on.lines
        await on.press("z")
        assert on.lines[0].startswith("┌─") and on.lines[-2].startswith("└─")
        assert "esc back" in on.lines[-1] or "enter open" in on.lines[-1]
        await on.press("c" if screen[0] == "2" else "U")
        assert on.lines[-3].startswith("└─"), "a notice is shown"
        await on.press("escape")
        assert [line[:4] for line in on.lines[:3]] == [line[:4] for line in before[:3]]


@does("next_panel")
async def test_tab_goes_to_the_next_panel_and_keys_follow() -> None:
    async with stage() as on:
        on.list.select("dep-214")
        await on.settle()
        await on.press("tab")
        while on.app.screen.focused is not on.app.screen.trace:
            await on.press("tab")
        await on.press("g", "j")
        assert on.list.selected_key == "dep-214"
        assert on.app.screen.trace.selected_key != "dep-214"


@does("watch")
async def test_watching_tells_when_the_span_ends() -> None:
    async with stage() as on:
        on.list.select("p-8842")
        await on.press("w")
        await on.sees("watching web #8842")
        on.reader.end("p-8842", State.ERROR)
        await on.sees("web #8842 main: error")


async def test_watching_what_has_ended_gives_the_reason() -> None:
    async with stage() as on:
        on.list.select("d-18")
        await on.press("w")
        await on.sees("has ended already")


@does("yank")
async def test_yank_copies_the_id_then_the_link_then_the_row(tmp_path: Path) -> None:
    async with stage(remember_to=str(tmp_path / "state.json")) as on:
        on.list.select("d-18")
        await on.press("y")
        assert (tmp_path / "yanked.txt").read_text() == "d-18"
        await on.press("y")
        assert (tmp_path / "yanked.txt").read_text() == "https://ci.example/search/18"
        await on.press("y")
        assert '"status":"error"' in (tmp_path / "yanked.txt").read_text()


@pytest.mark.parametrize("tmux", ["", "/tmp/tmux-0/default,1,0"])
async def test_yank_writes_osc_52(tmp_path, monkeypatch, tmux) -> None:
    monkeypatch.setenv("TMUX", tmux)
    async with stage(remember_to=str(tmp_path / "state.json")) as on:
        written: list[str] = []
        monkeypatch.setattr(on.app._driver, "write", written.append)
        on.app.output.copy("dep-214")
        bare = "\x1b]52;c;ZGVwLTIxNA==\a"
        wrapped = f"{bare}\x1bPtmux;\x1b{bare}\x1b\\"
        assert "".join(written) == (wrapped if tmux else bare)


@does("browser")
async def test_browser_opens_only_web_pages(monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    reader = busy_reader()
    reader.put(span("evil", "build", "evil", began=SECOND, url="file:///etc/passwd"))
    async with stage(reader) as on:
        on.list.select("d-18")
        await on.press("o")
        assert opened == ["https://ci.example/search/18"]
        on.list.select("evil")
        await on.press("o")
        await on.sees("no page to open")
        assert len(opened) == 1


@does("export")
async def test_export_writes_what_is_on_screen(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    reader = busy_reader()
    reader.put(span("f", "build", "=cmd|' /C calc'!A0", began=SECOND))
    async with stage(reader) as on:
        shown = on.text
        await write_all(on)
        await on.sees("wrote")
        csv = (tmp_path / "vs-tui-live.csv").read_text()
        assert csv.startswith("STATE,KIND,TITLE")
        assert "web #8842 main" in csv
        assert "'=cmd" in csv, "a spreadsheet must not run it"
        assert (tmp_path / "vs-tui-live.txt").read_text() == shown
        assert (tmp_path / "vs-tui-live.svg").read_text().startswith("<svg")
        assert '"web #8842 main"' in (tmp_path / "vs-tui-live.json").read_text()


@does("theme")
async def test_theme_changes_and_keeps_place_and_filter(tmp_path) -> None:
    async with stage(remember_to=str(tmp_path / "state.json")) as on:
        await on.press("slash", *"team:core", "enter")
        assert on.app.look.palette.name == "dark"
        await on.press("T")
        assert on.app.look.palette.name == "light"
        assert on.app.view.filter_text == "team:core"
        await on.press("2", "1")
        assert all(row.data.team == "core" for row in on.list.rows)


async def test_what_was_chosen_is_there_after_a_restart(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("slash", *"kind:deploy", "enter", "t", "4", "m")
        chosen = (on.app.range_name, on.app.team)
        shown = titles(on)
    async with stage(remember_to=path) as on:
        assert on.app.view.filter_text == "kind:deploy"
        assert (on.app.range_name, on.app.team) == chosen
        assert titles(on) == shown


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"filters": 3}', '{"ranges": 3}', '{"ranges": {"live": "x"}}']
)
async def test_a_broken_memory_means_defaults(tmp_path, text) -> None:
    path = tmp_path / "state.json"
    path.write_text(text)
    async with stage(remember_to=str(path)) as on:
        assert len(titles(on)) == 17


@does("team")
async def test_team_narrows_every_view() -> None:
    async with stage() as on:
        while on.app.team != "plat":
            await on.press("m")
        assert {row.data.team for row in on.list.rows} == {"plat"}
        await on.sees("team plat")


@does("help")
async def test_help_is_made_from_the_table() -> None:
    async with stage(size=(100, 110)) as on:
        await on.press("question_mark")
        assert isinstance(on.app.screen, HelpView)
        shown = on.text
        missing = [a.help for a in actions.ACTIONS if a.help[:50] not in shown]
        assert missing == []
        await on.press("escape")
        assert on.app.view.where == "live"


@does("palette")
async def test_palette_finds_actions_and_named_views() -> None:
    async with stage(views={"failing [/now]": "state:failed"}) as on:
        await on.press("colon")
        await on.sees("a command, a view or a team")
        await on.press(*"failing")
        await on.sees("failing [/now]")
        await on.press("enter")
        await on.until(lambda: on.app.view is not None, "back on the list")
        await on.until(lambda: titles(on) == ["search v18"], "the named view's rows")


@does("compare")
async def test_compare_marks_one_trace_then_shows_both() -> None:
    async with stage() as on:
        on.list.select("dep-214")
        await on.press("c")
        await on.sees("c on another trace compares the two")
        on.list.select("d-213")
        await on.press("c")
        await on.sees("compare", "checkout-api v214", "checkout-api v213")
        await on.sees("deploy checkout-api to prod")
        await on.press("s")
        order = [row.data.delta is None for row in on.list.rows]
        assert order == sorted(order), "what both have first"
        assert {True, False} == set(order)


async def test_events_open_the_inspector_and_from_there_the_span() -> None:
    async with stage() as on:
        await on.press("4", "enter")
        assert isinstance(on.app.screen, DeliveryView)
        await on.sees("POST /github", "deployment_status", '"number": 7', "dep-214")
        await on.press("enter")
        await on.sees("Trace 4b1f")
        await on.press("escape", "escape")
        assert on.app.view.where == "events"


@does("quit")
async def test_quit() -> None:
    async with stage() as on:
        await on.press("q")
        await on.until(lambda: not on.app.is_running, "the end")
    assert on.app.return_code in (0, None)


@pytest.mark.parametrize("before", [(), ("slash",), ("colon",), ("t",)])
async def test_the_key_of_textual_asks_as_well(before) -> None:
    async with stage(stops_receiver=True) as on:
        await on.press(*before, "ctrl+q")
        await on.sees("q again stops the receiver")
        assert on.app.is_running
        await on.press("ctrl+q")
        await on.until(lambda: not on.app.is_running, "the end")


@pytest.mark.parametrize("opened", ["colon", "t"])
async def test_what_is_shown_goes_on_below_a_question(opened) -> None:
    async with stage() as on:
        await on.press(opened)
        on.reader.put(span("new", "build", "newest", began=-4 * SECOND))
        before = on.lines[0]
        on.clock.now += 65 * SECOND
        await on.until(lambda: on.lines[0] != before, "another time in the header")
        await on.press("escape")
        await on.sees("newest")


async def test_the_footer_has_the_keys_that_work_now() -> None:
    async with stage(size=NARROW) as on:
        usual = on.lines[-1]
        await on.press("slash")
        assert " ".join(on.lines[-1].split()) == (
            "enter keep it tab complete up the one before esc clear the filter"
        )
        await on.press("escape")
        assert on.lines[-1] == usual
        await on.press("e")
        assert " ".join(on.lines[-1].split()) == "enter ok esc cancel"
        await on.press("escape")
        assert on.lines[-1] == usual


async def test_what_stops_the_receiver_is_asked_for_twice() -> None:
    async with stage(stops_receiver=True) as on:
        await on.press("q")
        await on.sees("q again stops the receiver")
        assert on.app.is_running
        await on.press("q")
        await on.until(lambda: not on.app.is_running, "the end")


async def test_keys_can_be_bound_anew() -> None:
    async with stage(keys={"down": "x", "freeze": "F5,space"}) as on:
        await on.press("x")
        assert on.list.cursor == 1
        await on.press("j")
        assert on.list.cursor == 1
        await on.press("space")
        assert on.app.frozen_at == NOW
        await on.press("f5")
        assert on.app.frozen_at is None


@pytest.mark.parametrize(
    ("called", "pressed"),
    [("F5", "f5"), ("esc", "escape"), ("PgDn", "pagedown"), ("ctrl-D", "ctrl+d"), ("/", "slash")],
)
async def test_keys_are_named_as_people_call_them_and_taken_from_others(called, pressed) -> None:
    async with stage(keys={"freeze": called}) as on:
        await on.press(pressed)
        assert on.app.frozen_at == NOW
        await on.sees(f"{called.replace('PgDn', 'pgdn').replace('-D', '+d')} resume")


async def test_what_lost_its_key_is_still_in_the_palette() -> None:
    async with stage(keys={"freeze": "/"}, size=(250, 40)) as on:
        assert "filter" not in on.lines[-1]
        await on.press("colon")
        await on.sees("a command, a view or a team")  # a letter typed before its list is lost
        await on.press(*"filter")
        await on.sees("filter the list")
        await on.press("enter")
        await on.until(lambda: on.app.view is not None and on.app.view.filtering, "the box")


async def test_texts_on_the_screen_name_the_keys_as_they_are_bound() -> None:
    keys = {"freeze": "F5", "sources": "s", "sort": "o", "browser": "b", "dora": "D", "yank": "c-y"}
    async with stage(FakeReader(), keys=keys) as on:
        await on.sees("s lists them", "D: all of it", "(c-y copies it)")
        await on.press("f5")
        on.reader.put(span("b-new", "build", "newcomer", began=SECOND))
        on.app.feed.wake()
        await on.sees("new, F5 to resume")


def test_an_unknown_action_names_those_that_exist() -> None:
    with pytest.raises(ValueError, match=r"'?fly'? .*freeze"):
        actions.with_keys({"fly": "F1"})


@pytest.mark.parametrize("where", ["live", "traces", "dora", "events", "trace", "inspector"])
@pytest.mark.parametrize("width", [20, 40, 80, 120, 250])
def test_the_footer_never_wraps_and_always_names_help_and_quit(where, width) -> None:
    shown = actions.footer(actions.ACTIONS, where, width)
    text = "".join(f" {action.key} {action.label} " for action in shown)
    assert len(text) <= max(width, 20)
    assert [action.id for action in shown][-2:] == ["help", "quit"]


def test_no_key_means_two_things_in_one_place() -> None:
    for key, candidates in actions.by_key(actions.ACTIONS).items():
        places = [action.where for action in candidates]
        assert len(places) == len(set(places)), key


@pytest.mark.parametrize(
    "opened",
    [
        ("2",),
        ("3",),
        ("4",),
        ("5",),
        ("4", "enter"),
        ("2", "enter"),
        ("2", "d"),
        ("question_mark",),
    ],
)
async def test_keys_that_come_faster_than_a_screen_opens_are_for_that_screen(opened) -> None:
    """Such as those of a paste into a terminal that does not mark it."""
    async with stage(busy_reader()) as on:
        for key in (*opened, *"jkxUhlfiraRvYgGsSzcwn0[", "question_mark"):
            on.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await on.settle()
        assert isinstance(on.app.view, HelpView), "the last of them came to it"


async def test_the_filter_box_recalls_what_was_used_also_after_a_restart(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("slash", *"kind:deploy", "enter")
        await on.press("slash", *(["backspace"] * 11), *"team:web", "escape")
        await on.press("slash", "up")
        assert on.app.screen.query_one(FilterBox).value == "team:web"
        await on.until(lambda: "web v97" in titles(on), "it filters while it is recalled")
        await on.press("up")
        assert on.app.screen.query_one(FilterBox).value == "kind:deploy"
        await on.press("up", "down", "down", "down")
        assert on.app.screen.query_one(FilterBox).value == ""
        # Used again, it becomes the newest.
        await on.press("up", "up", "enter", "2")
    async with stage(remember_to=path) as on:
        await on.press("1", "slash")
        assert on.app.screen.query_one(FilterBox).value == "kind:deploy"
        await on.press("up")
        assert on.app.screen.query_one(FilterBox).value == "team:web"
        await on.press("escape", "4", "slash", "up")
        assert on.app.screen.query_one(FilterBox).value == "", "Events has another language"


@does("palette")
async def test_the_palette_finds_traces_of_all_time_from_every_screen() -> None:
    async with stage() as on:
        await on.press("3", "colon", *"checkout", "enter")
        await on.until(lambda: on.app.view is not None and on.app.view.where == "traces", "Traces")
        await on.sees("checkout-api v214", "/ checkout", "all time")
        assert on.app.view.range.text == "all"
        await on.press("colon", *"colour:red")
        assert "find colour" not in on.text


async def test_a_narrow_line_of_tabs_leaves_the_filter_before_what_has_ended() -> None:
    async with stage(size=NARROW, by_trace=True) as on:
        await on.press("slash", *"kind:pr", "enter")
        line = on.lines[1]
        assert "/ kind:pr" in line and " open" in line and "…" not in line, line


async def test_a_named_view_opens_from_a_start_on_another_screen(tmp_path) -> None:
    path = str(tmp_path / "state.json")
    async with stage(remember_to=path) as on:
        await on.press("3")
    for by_trace in (False, True):
        views = {"web": "team:web"}
        async with stage(remember_to=path, views=views, by_trace=by_trace, reopen=True) as on:
            assert on.app.view.where == "dora"
            await on.press("colon", *"view web", "enter")
            await on.until(lambda: on.app.view is not None and on.app.view.where != "dora", "Live")
            await on.sees("/ team:web")
            await on.press("3")


async def test_every_hint_names_the_key_that_is_bound_now() -> None:
    keys = {"open": "F6", "back": "F7", "zoom_in": "F8"}
    parts = [span(f"j{n}", "build", f"job {n}", began=SECOND * (n + 1), parent="p", trace="p")
             for n in range(9)]  # fmt: skip
    reader = FakeReader([span("p", "pipeline", "CI", began=MINUTE, trace="p"), *parts])
    async with stage(reader, keys=keys, by_trace=True) as on:
        await on.press("space")
        await on.sees("4 more: F6")
        await on.press("f6", "0", "minus")
        await on.sees("all of it is shown; F8 zooms in")
        on.app.navigation.open_trace("nowhere")
        await on.sees("this trace is gone: it was pruned; F7 goes back")
    incident = span("inc-7", "incident", "5xx on /pay", began=50 * MINUTE, took=20 * MINUTE)
    links = [*delivery_links(), Link("inc-7", "d-pay", Rule.PROXIMITY, "following the deploy")]
    async with stage(FakeReader([*delivery_trace(), incident], links=links), keys=keys) as on:
        on.list.select("is-960")
        await on.press("f6", "G")
        await on.sees("F6 opens that trace, F7 comes back to this row")
