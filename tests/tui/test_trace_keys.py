"""Keys in a trace: folding, why its links exist, cutting one, what is shown of a span."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.tui import invoices
from tests.tui.fakes import NOW, FakeReader, busy_reader, delivery_links, delivery_trace, span
from tests.tui.stage import NARROW, WIDE, Stage, does, stage
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.model.vocabulary import Link, Rule, State
from vs_tui.traces.baseline import Baseline


@asynccontextmanager
async def checkout(**options) -> AsyncIterator[Stage]:
    async with stage(busy_reader(), **options) as on:
        on.list.select("dep-214")
        await on.press("enter")
        yield on


@asynccontextmanager
async def delivery(**options) -> AsyncIterator[Stage]:
    """The trace of two days that waits most of its time."""
    async with stage(FakeReader(delivery_trace(), links=delivery_links()), **options) as on:
        on.list.select("is-960")
        await on.press("enter")
        yield on


def names(on: Stage) -> list[str]:
    return [row.span.name for row in on.app.screen.waterfall.rows]


async def test_a_wait_in_the_trace_below_a_list_opens_in_its_trace() -> None:
    async with stage(FakeReader(delivery_trace(), links=delivery_links())) as on:
        on.list.select("is-960")
        await on.settle()
        below = on.app.screen.trace
        below.focus()
        below.go_to(next(n for n, row in enumerate(below.rows) if row.span.operation == "wait"))
        chosen = below.selected_key
        await on.press("enter")
        assert on.app.screen.waterfall.selected_wait is not None
        assert on.app.screen.waterfall.selected_key == chosen


@does("fold_all", "unfold_all")
async def test_folding_and_unfolding_all() -> None:
    async with checkout() as on:
        assert "compile" not in names(on), "jobs that went well begin folded"
        await on.press("right_square_bracket")
        assert {"compile", "canary 5%"} <= set(names(on))
        on.app.screen.waterfall.reveal("r-1")
        await on.press("left_square_bracket")
        assert names(on) == ["checkout-api v214"]
        assert on.app.screen.waterfall.selected_key == "dep-214", "the row that folds it"


async def test_folds_and_cursor_stay_when_events_come() -> None:
    async with checkout() as on:
        on.app.screen.waterfall.reveal("r-1")
        await on.press("enter")
        assert "canary 25%" not in names(on)
        on.reader.put(
            span("s-1", "test", "smoke", began=SECOND, parent="dep-214",
                 trace=on.reader.by_key["dep-214"].trace_id)
        )  # fmt: skip
        await on.sees("smoke")
        assert "canary 25%" not in names(on)
        assert on.app.screen.waterfall.selected_key == "r-1"


@does("why")
async def test_why_puts_the_links_with_rule_and_confidence_first() -> None:
    async with delivery() as on:
        on.app.screen.waterfall.reveal("pr-1211")
        await on.sees("closes #960 (strong)")
        first = next(i for i, line in enumerate(on.lines) if "own time" in line)
        assert "closes #960" not in on.lines[first - 1]
        await on.press("i")
        first = next(i for i, line in enumerate(on.lines) if "own time" in line)
        assert "closes #960" in on.lines[first - 1]


async def test_links_that_are_no_parents_are_named_from_both_ends() -> None:
    async with delivery() as on:
        on.app.screen.waterfall.reveal("ci-2")
        await on.sees("linked to build ci — by runs it again")
        on.app.screen.waterfall.reveal("ci-1")
        await on.sees("linked from build ci — by runs it again")


@does("cut")
async def test_cutting_a_link_sends_the_decision() -> None:
    sent: list[tuple[str, str, str]] = []

    async def send(action: str, child: str, parent: str) -> None:
        sent.append((action, child, parent))

    async with checkout(send_links=send) as on:
        await on.press("x")
        assert sent == [], "the root has no parent"
        on.app.screen.waterfall.reveal("t-1")
        await on.press("x")
        assert sent == [], "asked for twice"
        await on.press("x")
        assert sent == [("cut", "t-1", "dep-214")]
        # A notice wraps.
        shown = " ".join(on.text.replace("│", " ").split())
        assert "link cut" in shown
        assert list(on.app.notices)[-1:] == [
            "link cut; U restores it, as does vs-tui link clear t-1"
        ]


async def test_the_link_of_an_incident_to_a_deploy_of_another_trace_is_cut() -> None:
    sent: list[tuple[str, str, str]] = []

    async def send(action: str, child: str, parent: str) -> None:
        sent.append((action, child, parent))

    alert = span("alert-1", "incident", "Errors", began=MINUTE)
    links = [*delivery_links(), Link("alert-1", "d-pay", Rule.PROXIMITY, "4 min after it")]
    reader = FakeReader([*delivery_trace(), alert], links=links)
    async with stage(reader, send_links=send) as on:
        on.list.select("is-960")
        await on.press("enter")
        waterfall = on.app.screen.waterfall
        await on.sees("Errors")
        waterfall.reveal(next(iter(waterfall.outline.elsewhere)))
        await on.press("x", "x")
        assert sent == [("cut", "alert-1", "d-pay")]


@does("undo")
async def test_what_was_cut_last_is_joined_again() -> None:
    sent: list[tuple[str, str, str]] = []

    async def send(action: str, child: str, parent: str) -> None:
        sent.append((action, child, parent))

    async with checkout(send_links=send) as on:
        await on.press("U")
        await on.sees("nothing was cut here")
        on.app.screen.waterfall.reveal("t-1")
        await on.press("x", "x", "U")
        assert sent == [("cut", "t-1", "dep-214"), ("clear", "t-1", "dep-214")]


async def test_a_phase_of_a_span_cannot_be_cut_from_it() -> None:
    sent: list[tuple[str, str, str]] = []

    async def send(action: str, child: str, parent: str) -> None:
        sent.append((action, child, parent))

    phase = span("dep-214/verify", "stage", "verify", began=MINUTE, parent="dep-214")
    told = span("own-key", "stage", "sent by a tool", began=MINUTE, parent="dep-214")
    async with checkout(send_links=send) as on:
        trace = on.reader.by_key["dep-214"].trace_id
        on.reader.put(phase._replace(trace_id=trace), told._replace(trace_id=trace))
        await on.sees("verify", "sent by a tool")
        on.app.screen.waterfall.reveal("dep-214/verify")
        await on.press("x")
        await on.sees("a stage is a phase of the span above it")
        assert sent == []
        on.app.screen.waterfall.reveal("own-key")
        await on.press("x", "x")
        assert sent == [("cut", "own-key", "dep-214")]


async def test_a_read_only_dashboard_says_why_it_cannot_cut() -> None:
    async with checkout() as on:
        on.app.screen.waterfall.reveal("t-1")
        await on.press("x")
        await on.sees("this dashboard is read-only")


async def test_waits_are_rows_on_the_critical_path_that_say_what_bounds_them() -> None:
    async with delivery() as on:
        assert "nobody reviews" in names(on)
        on.app.screen.waterfall.reveal("rv-1")
        await on.press("k", "k", "k")
        row = next(line for line in on.lines if line.startswith("│▌"))
        assert "░ nobody reviews" in row
        assert "19h 40m ◆" in row
        await on.sees("began with pr #1211 charge once", "ended by review by eve")
        await on.press("x")
        await on.sees("this row is no span")
        marked = [line for line in on.lines if "◆" in line]
        assert any("pay v31" in line for line in marked)
        assert not any("unit tests" in line for line in marked)


async def test_an_open_bar_grows_to_now_and_dots_go_on_to_its_expected_end() -> None:
    async with checkout() as on:
        row = next(line for line in on.lines if "rollout" in line)
        assert row.index("▶") < row.index("┈")
        length = row.count("▒")
        on.clock.now += 60 * SECOND
        on.app._tick()
        await on.settle()
        grown = next(line for line in on.lines if "rollout" in line)
        assert grown.count("▒") > length
        on.clock.now += 10 * MINUTE
        on.app._tick()
        await on.settle()
        late = next(line for line in on.lines if "rollout" in line)
        assert "┈" not in late, "later than expected: nothing is promised any more"


async def test_no_sign_of_life_is_shown_as_lost_not_as_an_endless_bar() -> None:
    async with stage() as on:
        on.list.select("p-77")
        await on.press("enter")
        row = next(line for line in on.lines if line.startswith("│▌pipeline ml-train"))
        assert "? stale" in row
        assert "▶" not in row


async def test_self_time_and_history_stand_in_the_details() -> None:
    async with checkout() as on:
        await on.sees("own time 0:02", "usual 4:31 (n=12, 9 of 10 under 6:00)", "stage canary 25%")


@pytest.mark.parametrize(("n", "known"), [(4, False), (5, True)])
async def test_fewer_than_five_values_are_no_usual_time(n, known) -> None:
    reader = FakeReader([span("b", "build", "big", began=2 * MINUTE)])
    reader.history = {"b": Baseline(n, 5 * MINUTE, 6 * MINUTE)}
    for size in (WIDE, NARROW):
        async with stage(reader, size=size) as on:
            await on.sees("big", "0.4x" if known else " -  ")
            assert ("┈" in on.text) == (known and size == WIDE)
            assert ("/~5:00" in on.text) == (known and size == NARROW)
            await on.press("enter")
            await on.sees("so far 2:00")
            assert ("usual 5:00 (n=5" in on.text) == known
            assert ("┈┈" in on.lines[6]) == known
    async with stage(reader, by_trace=True) as on:
        await on.press("space")
        await on.sees("2:00  3:00 left" if known else "2:00")
        assert ("left" in on.text) == known
    reader.history = {"b": Baseline(n, MINUTE, 2 * MINUTE)}
    reader.put(reader.by_key["b"]._replace(started_at=NOW - HOUR, last_event_at=NOW - HOUR))
    async with stage(reader) as on:  # a few values are enough to miss a sign of life
        await on.sees("? stale", "lost?")


async def test_attributes_are_listed_and_scroll() -> None:
    reader = FakeReader([
        span("b", "build", "big", began=60 * SECOND, took=SECOND,
             attributes={f"vs.key.{n:02}": f"value {n}" for n in range(40)}),
    ])  # fmt: skip
    async with stage(reader, size=NARROW) as on:
        await on.press("enter", "tab")
        assert "vs.key.39" not in on.text
        await on.press("G")
        await on.sees("vs.key.39 value 39")


@does("zoom_in", "zoom_out", "earlier", "later", "whole", "fit", "true_axis")
async def test_the_keys_of_the_time_axis() -> None:
    async with checkout() as on:
        waterfall = on.app.screen.waterfall

        def columns(name: str) -> int:
            row = next(line for line in on.lines if name in line)
            return sum(row.count(sign) for sign in "█▄▒▶")

        await on.press("minus")
        await on.sees("all of it is shown; + zooms in", "true time, all of it")
        assert isinstance(on.app.screen, type(on.app.view)), "and does not leave the screen"
        waterfall.reveal("b-1")
        before = columns("build (2)")
        await on.press("plus")
        assert columns("build (2)") >= before
        line = next(line for line in on.lines if "true time, [ ] is shown" in line)
        assert line.count("[") == 2
        await on.press("l")
        moved = waterfall.scene.axis.shown
        await on.press("h")
        assert waterfall.scene.axis.shown < moved
        await on.press("h", "h")
        await on.sees("this is the begin")
        await on.press(*["plus"] * 6)
        await on.sees("this is the closest")
        await on.press("minus", "0")
        assert not waterfall.zoomed_in
        waterfall.reveal("c-5")
        await on.press("f")
        begins, ends = waterfall.scene.axis.shown
        step = on.reader.by_key["c-5"]
        assert begins < step.started_at < step.ended_at < ends
        assert ends - begins < 60 * SECOND, "a second a column at the closest"
        length = waterfall.scene.axis.scale
        on.app.screen.waterfall.reveal("b-1")
        assert "█" in next(line for line in on.lines if "build (2)" in line), "the window moved"
        assert round(waterfall.scene.axis.scale) == round(length), "and not the zoom"
        await on.press("f", "f")
        assert not waterfall.zoomed_in, "fitting again shows the whole"


async def test_breaks_leave_out_what_no_machine_worked_in() -> None:
    async with delivery() as on:
        assert "of work; ≈ hides 1d" in on.text
        assert "≈22h≈" in on.text
        root = next(line for line in on.lines if "#960 card" in line and "≈" in line)
        assert root.count("≈") > 8
        await on.press("a")
        assert "≈" not in on.text, "nothing is left out, and the legend says so"
        await on.press("a")
        await on.sees("≈22h≈", "≈ left out")


async def test_a_running_deploy_is_fitted_and_ancestors_stay_above_a_scrolled_list() -> None:
    async with stage(invoices.reader(), size=NARROW) as on:
        on.list.select("i")
        await on.press("enter")
        waterfall = on.app.screen.waterfall
        await on.sees("true time, [ ] is shown", "‹")
        begins, ends = waterfall.scene.axis.shown
        prod = on.reader.by_key["prod"]
        assert begins < prod.started_at < NOW < ends
        assert NOW - begins < 10 * MINUTE
        assert all("‹" in line for line in on.lines if "CI #822" in line)
        waterfall.reveal("c25")
        await on.settle()
        first = next(line for line in on.lines if line.startswith("│^"))
        assert "issue CORE-419" in first
        above = on.lines.index(first)
        await on.pilot.click("#waterfall", offset=(5, above - 2))
        await on.settle()
        assert waterfall.selected_key == "i"
        assert not any(line.startswith("│^") for line in on.lines), "it scrolled to the row itself"
        await on.press("G")
        row = next(line for line in on.lines if line.startswith("│▌"))
        assert "also ships CORE-418" in row
        await on.press("enter")
        await on.sees("Number invoices per country")
        assert on.app.screen.trace_id == on.reader.by_key["o2"].trace_id
        await on.press("escape")
        assert on.app.screen.waterfall.selected_link.span.key == "o2", "back at the same row"


async def test_a_trace_that_is_one_span_needs_no_parent() -> None:
    lone = [span("x", "custom thing", "lone", began=None, took=SECOND, state=State.ERROR)]
    async with stage(FakeReader(lone)) as on:
        await on.press("enter")
        await on.sees("lone", "began not told")
        await on.press("i")
        await on.sees("no links: it stands alone")
        await on.press("x")
        await on.sees("no parent to cut it from")
        await on.press("h")
        await on.sees("all of it is shown; + zooms in")


async def test_a_trace_says_that_nothing_failed_and_what_a_phase_hangs_on() -> None:
    trace = "e" * 32
    spans = [
        span("p", "pipeline", "run", began=90 * SECOND, took=80 * SECOND, trace=trace),
        span("p/verify", "stage", "verify", began=90 * SECOND, took=SECOND, trace=trace,
             parent="p"),
    ]  # fmt: skip
    async with stage(FakeReader(spans)) as on:
        on.list.select("p")
        await on.press("enter", "n")
        await on.sees("nothing in this trace has failed")
        await on.press("i")
        await on.sees("no link: the trace begins with it")
        await on.press("j")
        await on.sees("it is a phase of the span above it")


async def test_a_past_moment_shows_only_what_had_begun() -> None:
    async with stage(at=NOW - 100 * SECOND) as on:
        on.list.select("dep-214")
        await on.press("enter")
        assert names(on) == ["checkout-api v214", "build", "tests", "image push", "prod", "smoke"]
        assert sum("◌ next" in line for line in on.lines) == 3, "what was to come then"
        assert "canary" not in on.text.replace("stage canary 25%", "")


async def test_what_a_trace_led_to_in_another_stands_at_its_end() -> None:
    incident = span(
        "inc-7", "incident", "5xx on /pay", began=50 * MINUTE, took=20 * MINUTE, actor="eve"
    )
    links = [*delivery_links(), Link("inc-7", "d-pay", Rule.PROXIMITY, "following the deploy")]
    async with stage(FakeReader([*delivery_trace(), incident], links=links)) as on:
        on.list.select("is-960")
        await on.press("enter")
        await on.sees("pr #1211 charge once", "→ incident after it 5xx on /pay")
        assert names(on)[-1] == "incident after it 5xx on /pay"


async def test_the_foot_names_this_trace_s_commit_only() -> None:
    other = span("o", "pipeline", "other", began=MINUTE, took=SECOND,
                 attributes={"vcs.ref.head.revision": "bad0bad0bad"})  # fmt: skip
    links = [*delivery_links(), Link("o", "d-pay", Rule.SHIPS, "since v30")]
    async with stage(FakeReader([*delivery_trace(), other], links=links)) as on:
        on.list.select("is-960")
        await on.press("enter")
        await on.sees("commit 9f3c1e2")
        assert "bad0bad" not in on.text


async def test_an_issue_that_is_usually_open_for_days_does_not_stretch_the_axis() -> None:
    reader = invoices.reader()
    reader.history["i"] = Baseline(18, 40 * DAY, 50 * DAY)
    async with stage(reader) as on:
        on.list.select("i")
        await on.press("enter", "0")
        assert on.app.screen.waterfall.scene.axis.end < NOW + 10 * MINUTE
        assert "┈" not in next(line for line in on.lines if "issue CORE-419" in line)
