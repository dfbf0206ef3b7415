"""Live by trace: sections, the track, who acts next, unfolding in place."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rich.cells import cell_len

from tests.tui.fakes import NOW, FakeReader, baselines, busy_reader, past_runs, span
from tests.tui.golden import assert_golden
from tests.tui.stage import Stage, does, stage
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Span, State
from vs_tui.traces.baseline import Baseline
from vs_tui.traces.standing import Custom, DeployBefore, standing
from vs_tui.tui import trace_format
from vs_tui.tui.span_format import is_stale
from vs_tui.tui.theme import UNICODE
from vs_tui.tui.trace_format import Person

SIZES = [(120, 40), (80, 24), (200, 60)]


def work(number: int, *, team: str = "core", reviewers: str = "ana") -> list[Span]:
    """A change that waits for a review, with its run."""
    trace = f"{number:032x}"
    began = (number + 1) * 37 * MINUTE
    asked = {"vcs.change.id": str(number), "vs.pr.reviewers": reviewers}
    change = span(f"pr-{number}", "pull_request", f"Change 日本 {number}", began=began,
                  trace=trace, team=team, actor="ben", project="acme/shop",
                  last_event_at=NOW - began, attributes=asked)  # fmt: skip
    state = State.ERROR if number % 7 == 3 else None
    run = span(f"ci-{number}", "build", "unit", began=began - MINUTE, took=5 * MINUTE, trace=trace,
               team=team, parent=change.key, project="acme/shop", state=state)  # fmt: skip
    return [change, run]


def team_reader(count: int) -> FakeReader:
    """The busy morning and some changes that wait, an incident and an issue of nobody."""
    reader = busy_reader() if count > 1 else FakeReader(work(0))
    for number in range(1, count - 12):
        reader.put(*work(number, team="web" if number % 3 else "core"))
    if count > 1:
        reader.put(
            span("inc-31", "incident", "Checkout answers 502", began=23 * MINUTE,
                 environment="prod", attributes={"vs.incident.severity": "sev1"}),
            span("is-1", "issue", "Someday", began=90 * DAY),
        )  # fmt: skip
        reader.custom = Custom(frozenset({"ci", "production"}))
    reader.history, reader.past = dict(baselines()), past_runs()
    reader.stored.clear()
    return reader


async def test_a_machine_falls_silent_and_a_finished_row_leaves_although_nothing_comes() -> None:
    running = span("ci-1", "build", "unit", began=MINUTE, project="acme/shop")
    ended = span("ci-2", "build", "lint", began=119 * MINUTE, took=MINUTE, project="acme/shop")
    reader = FakeReader([running, ended])
    reader.history = {"ci-1": Baseline(n=9, p50=MINUTE, p90=MINUTE)}
    async with stage(reader, by_trace=True) as on:
        await on.sees("RUNNING 1", "1 running · 0 waiting", "JUST FINISHED 1")
        on.clock.now += 11 * MINUTE
        on.app.feed.wake()
        await on.sees("RUNNING 0", "0 running · 1 waiting", "check: silent")
        await on.no_longer_sees("JUST FINISHED")


async def test_rows_that_nobody_touched_for_long_are_listed_where_nothing_else_waits() -> None:
    old = span("pr-1", "pull_request", "Old one", began=40 * DAY, last_event_at=NOW - 40 * DAY)
    async with stage(FakeReader([old]), by_trace=True) as on:
        assert lines_with(on, "Old one") and not lines_with(on, "untouched")
        on.reader.put(*work(2))
        on.app.feed.wake()
        await on.sees("1 more, untouched for over 14d")


async def test_an_issue_that_nobody_has_begun_is_a_row_and_no_empty_box_stands_below() -> None:
    reader = FakeReader([span("is-1", "issue", "Someday", began=DAY)])
    async with stage(reader, by_trace=True) as on:
        assert not on.app.screen.on_first_page
        assert lines_with(on, "NOT STARTED 1")
        assert not on.app.screen.trace.display
        await on.press("G", "space")
        assert lines_with(on, "Someday") and on.app.screen.trace.display


async def test_of_what_happens_now_the_name_is_cut_and_not_who_acts_next(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "Analyze (javascript, 22.04)"
    failed = span("ci-1", "build", name, began=HOUR, took=MINUTE, state=State.ERROR, actor="ana")
    async with stage(FakeReader([failed]), by_trace=True) as on:
        assert lines_with(on, " fix Analyze (javas… 59m: ana ")
        await on.press("e", "enter")
        assert f"fix {name} 59m: ana" in (tmp_path / "vs-tui-live.csv").read_text()


async def test_on_a_wide_screen_projects_and_what_happens_now_are_whole() -> None:
    name = "Analyze (js)"
    failed = span("ci-1", "build", name, began=HOUR, took=MINUTE, state=State.ERROR,
                  project="acme/checkout-gateway-api", actor="codebytere")  # fmt: skip
    async with stage(FakeReader([failed]), size=(200, 50), by_trace=True) as on:
        assert lines_with(on, " checkout-gateway-api ", f" fix {name} 59m: ")
        await on.press("b")
        assert on.lines[3].count("PROJECT") == 1 and lines_with(on, "acme/checkout-gateway-api")


def lines_with(on: Stage, *words: str) -> list[str]:
    return [line for line in on.lines if all(word in line for word in words)]


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("count", [1, 20, 300])
async def test_looks_as_written(count, size) -> None:
    async with stage(team_reader(count), size=size, by_trace=True) as on:
        assert all(cell_len(line) <= size[0] for line in on.lines)
        assert_golden(f"by-trace-{count}-{size[0]}x{size[1]}", on.text)


@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
@pytest.mark.parametrize("state", ["ascii", "frozen", "stale", "filtered"])
async def test_states_look_as_written(state, size) -> None:
    async with stage(team_reader(20), size=size, by_trace=True, ascii=state == "ascii") as on:
        if state == "frozen":
            await on.press("p")
            on.clock.now += 30 * SECOND
            on.reader.put(*work(99))
            await on.sees("+2 new")
        elif state == "stale":
            on.reader.fails = OSError("disk I/O error")
            on.app.feed.wake()
            await on.sees("STALE")
        elif state == "filtered":
            on.app.view.set_filter("section:running next:ana")
            await on.settle()
        if state == "ascii":
            assert on.text.replace("日本", "").isascii() or on.text.isascii()
        on.app.clear_notice()
        await on.settle()
        assert_golden(f"by-trace-{state}-{size[0]}x{size[1]}", on.text)


@pytest.mark.parametrize("width", [60, 80, 100, 108, 120])
async def test_no_column_is_cut_by_the_frame(width) -> None:
    reader = FakeReader([*work(0, team="platform"), *work(1, team="web")])
    async with stage(reader, size=(width, 24), by_trace=True) as on:
        title = lines_with(on, "WHAT", "NOW, AND WHO")[0]
        columns = title.strip("│ ").split("  ")[-1].split()
        assert columns[-1] in {"TEAM", "AGE", "USUAL", "NEXT"}
        assert bool(lines_with(on, "ana", "platform")) == (width >= 108)


async def test_the_trace_below_stays_up_to_date_wherever_the_cursor_is() -> None:
    reader = FakeReader([span("b-1", "build", "first build", began=SECOND)])
    async with stage(reader, by_trace=True) as on:
        await on.until(lambda: on.app.view.trace.trace is not None, "the trace below the list")
        on.list.select("section:running")
        await on.settle()
        reader.end("b-1")
        on.app.feed.wake()
        await on.sees("JUST FINISHED")
        await on.until(lambda: not on.app.view.trace.trace.spans[0].in_flight, "its end below")


@does("by_trace")
async def test_b_goes_to_the_spans_and_back() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        await on.press("b")
        await on.sees("b: by trace", "In flight")
        await on.press("2", "1")
        await on.sees("b: by trace")
        await on.press("b")
        await on.sees("WAITING FOR SOMEONE")


@does("unfold")
async def test_space_unfolds_a_trace_and_folds_a_section() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        on.list.select(on.reader.by_key["dep-214"].trace_id)
        await on.press("space")
        await on.sees("rollout", "smoke next", "build, tests")
        await on.press("space")
        await on.no_longer_sees("smoke next")
        on.list.select("section:waiting")
        await on.press("space")
        await on.no_longer_sees("#977 slow checkout")
        assert lines_with(on, "▸ WAITING FOR SOMEONE")


@pytest.mark.parametrize(("size", "told"), [((80, 24), True), ((120, 40), False)])
async def test_a_narrow_list_tells_age_and_team_in_the_unfolded_row(size, told) -> None:
    async with stage(FakeReader(work(3)), size=size, by_trace=True) as on:
        await on.press("n", "space")
        await on.sees("unit")
        row = next(n for n, line in enumerate(on.lines) if "▾" in line and "Change" in line)
        assert ("2h 28m  core · acme/shop" in on.lines[row + 1]) == told


@pytest.mark.parametrize("steps", [0, 1, 2])
async def test_a_run_that_is_the_whole_trace_names_its_step_and_not_itself_again(steps) -> None:
    run = span("run", "pipeline", "Nightly load", began=2 * MINUTE, trace="t")
    below = [span(f"j{n}", "task", f"load {n}", began=(9 - n) * SECOND, trace="t", parent="run")
             for n in range(steps)]  # fmt: skip
    async with stage(FakeReader([run, *below]), by_trace=True) as on:
        await on.sees(("pipeline 2:00", "load 0 0:09", "load 0 +1 0:09")[steps])


@does("next_section", "previous_section")
@does("sort", "sort_reverse", "follow")
async def test_the_frame_and_the_headings_say_the_order_that_holds() -> None:
    async with stage(team_reader(20), size=SIZES[1], by_trace=True) as on:
        assert "the longest first" in on.text
        for keys, order in (("s", "over ▼"), ("S", "over ▲"), ("s", "person ▲"), ("S", "person ▼")):
            await on.press(*keys)
            await on.sees(f"  {order} ─")
            assert "the longest first" not in on.text
        chosen = on.list.selected_key
        await on.press("f")
        await on.sees("rows stand by state here; b lists spans")
        assert on.list.selected_key == chosen


async def test_by_person_each_has_a_line_that_says_what_waits_and_folds() -> None:
    own = [
        span(f"pr-{who}-{n}", "pull_request", f"{who} {n}", began=n * HOUR, last_event_at=NOW,
             attributes={"vs.pr.reviewers": who})
        for who, several in (("ana", 2), ("ben", 1), ("", 1)) for n in range(1, several + 1)
    ]  # fmt: skip
    code = span("i", "issue", "Slow", began=30 * MINUTE, actor="ben",
                attributes={"vs.issue.assignees": "ben", "vs.issue.status_category": "in_progress"},
                stage="in progress", last_event_at=NOW)  # fmt: skip
    async with stage(FakeReader([*own, code]), by_trace=True) as on:
        await on.press("s", "s")
        await on.sees("▾ ana 2  review 2 ")
        names = [row.data.name for row in on.list.rows if isinstance(row.data, Person)]
        assert names == ["ana", "ben", "nobody"]
        (ana,), (ben,) = lines_with(on, "▾ ana 2"), lines_with(on, "▾ ben 2")
        assert "the longest 2h 0m" in ana
        assert "review 1" in ben
        assert "code 1" in ben
        await on.press("g", "J", "J", "space")  # from RUNNING to WAITING and to the first person
        await on.sees("▸ ana 2  review 2 ")
        assert not lines_with(on, "review 2h 0m: ana")
        assert lines_with(on, "review 1h 0m: ben")
        await on.press("S")
        await on.sees("person ▼")
        names = [row.data.name for row in on.list.rows if isinstance(row.data, Person)]
        assert names == ["nobody", "ben", "ana"]


@pytest.mark.parametrize("size", SIZES)
async def test_incidents_and_the_heading_stay_above_a_scrolled_list(size) -> None:
    async with stage(team_reader(300), size=size, by_trace=True) as on:
        await on.press("ctrl+d", "ctrl+d", "ctrl+d")
        await on.until(lambda: on.list.first > 20, "it scrolled")
        top = next(n for n, line in enumerate(on.lines) if " WHAT " in line)
        assert "✗ INCIDENT" in on.lines[top + 1]
        assert "▾ WAITING FOR SOMEONE 292" in on.lines[top + 2]
        shown = on.list.selected_key
        while on.list.first + 2 < on.list.cursor:
            await on.press("k")
        assert lines_with(on, "▌▸"), "the row under the cursor is not below what stays"
        await on.press("k", "k")
        assert lines_with(on, "▌▸")
        assert on.list.selected_key != shown
        await on.press("g")
        await on.sees("RUNNING")


async def test_jumping_from_section_to_section() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        for name in ("running", "waiting", "finished"):
            await on.press("J")
            assert on.list.selected_key == f"section:{name}"
        await on.press("K", "K")
        assert on.list.selected_key == "section:running"


@does("why_next")
async def test_why_a_row_stands_where_it_does() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        on.list.select(on.reader.by_key["pr-1219"].trace_id)
        await on.press("i")
        await on.sees("review: the change is open and not approved")


async def test_the_cursor_goes_with_its_row_to_another_section() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        key = on.reader.by_key["p-8842"].trace_id
        on.list.select(key)
        on.reader.end("p-8842", State.ERROR)
        await on.sees("now in WAITING FOR SOMEONE")
        assert on.list.selected_key == key


async def test_an_incident_is_shown_whatever_the_filter_says() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        on.app.view.set_filter("team:nobody")
        await on.sees("Checkout answers 502", "(outside the filter)")


async def test_a_filter_counts_finished_rows_apart() -> None:
    reader = FakeReader(
        [span(f"b-{n}", "build", f"{n} build", began=SECOND, team="web") for n in range(3)]
        + [span("c-1", "build", "other", began=SECOND, team="core")]
    )
    reader.end("b-0")
    async with stage(reader, by_trace=True) as on:
        await on.sees("/ all  3 open")
        on.app.view.set_filter("team:web")
        await on.sees("/ team:web  2 of 3 open + 1 finished")


async def test_enter_opens_the_trace_at_the_step_that_now_speaks_of() -> None:
    async with stage(team_reader(20), by_trace=True) as on:
        on.list.select(on.reader.by_key["dep-214"].trace_id)
        assert on.app.view.selection() == "r-1"
        await on.press("enter")
        await on.sees("canary 25%", "rollout")
        await on.press("escape")
        await on.sees("WAITING FOR SOMEONE")


async def test_quiet_rows_are_one_line_that_space_opens() -> None:
    old = span("pr-old", "pull_request", "Forgotten", began=40 * DAY, last_event_at=NOW - 20 * DAY)
    async with stage(FakeReader([old, *work(1)]), by_trace=True) as on:
        assert lines_with(on, "1 more, untouched for over 14d")
        assert not lines_with(on, "Forgotten")
        on.list.select("section:quiet")
        await on.press("space")
        await on.sees("Forgotten")


async def test_a_quiet_board_writes_no_seconds() -> None:
    async with stage(FakeReader(work(1)), by_trace=True) as on:
        assert on.app.is_moving is False
        before = on.text
        on.clock.now += 5 * SECOND
        on.app._tick()
        await on.settle()
        assert on.text == before


def test_what_takes_longer_than_most_is_not_lost_until_three_times_as_long() -> None:
    usual = Baseline(n=20, p50=10 * MINUTE, p90=20 * MINUTE)
    for minutes, lost in ((25, False), (59, False), (61, True)):
        began = minutes * MINUTE
        running = span("b", "build", "b", began=began, last_event_at=NOW - began)
        assert is_stale(running, usual, NOW) is lost, minutes


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (116, "✗ INCIDENT sev1 Checkout answers 502 · prod · open 23m, ana has it · "
              "5m after checkout v214? · fix CORE-431"),
        (100, "✗ INCIDENT sev1 Checkout answers 502 · open 23m, ana has it · "
              "5m after checkout v214? · fix CORE-431"),
        (76, "✗ INCIDENT sev1 Checkout answers 502 · open 23m, ana has it · fix CORE-431"),
        (60, "✗ INCIDENT sev1 Check… · open 23m, ana has it · fix CORE-431"),
    ],
)  # fmt: skip
def test_an_incident_names_its_fix_at_every_width(width, told) -> None:
    facts = {"vs.incident.severity": "sev1", "vs.incident.assignees": "ana"}
    one = span("i", "incident", "Checkout answers 502", began=23 * MINUTE, environment="prod",
               attributes=facts)  # fmt: skip
    row = replace(
        standing(one.trace_id, [one], NOW),
        after=DeployBefore("checkout v214", 5 * MINUTE),
        fix="CORE-431",
    )
    pieces = trace_format.incident_line(row, UNICODE, NOW, width, outside=False)
    assert "".join(text for text, _ in pieces) == told
    certain = replace(row, after=DeployBefore("checkout v214", 5 * MINUTE, is_named=True))
    pieces = trace_format.incident_line(certain, UNICODE, NOW, 200, outside=True)
    line = "".join(text for text, _ in pieces)
    assert "after checkout v214 · " in line
    assert line.endswith("(outside the filter)")
