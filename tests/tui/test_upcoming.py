"""Expected steps on screen: below their run, dotted, and never taken for spans."""

from __future__ import annotations

from tests.tui.fakes import MINUTE, NOW, SECOND, busy_reader
from tests.tui.stage import NARROW, Stage, stage
from vs_tui.tui.session import MAX_RUNS, Histories


async def opened(on: Stage) -> None:
    on.app.navigation.open_trace(on.reader.by_key["dep-214"].trace_id)
    await on.sees("true time", "waits")


def line_of(on: Stage, name: str) -> str:
    return next(line for line in on.lines if name in line)


async def test_a_step_that_has_not_begun_stands_dotted_below_its_run() -> None:
    async with stage() as on:
        await opened(on)
        line = line_of(on, "smoke")
        assert "┈┈" in line
        assert "~0:31" in line
        assert "◌ next" in line
        assert "n=6" in line
        assert "└ " in line, "the last one below the run"
        assert "├ ▾ deploy rollout" in line_of(on, "rollout"), "so this is not the last one"
        names = [row.span.name for row in on.app.screen.waterfall.rows]
        assert names[-1] == "smoke"


async def test_it_is_never_counted_nor_selected() -> None:
    async with stage() as on:
        await opened(on)
        fall = on.app.screen.waterfall
        await on.press("G")
        assert fall.selected.name == "canary 25%"
        await on.press("j")
        assert fall.selected.name == "canary 25%"
        index = next(n for n, row in enumerate(fall.rows) if row.span.name == "smoke")
        await on.pilot.click(fall, offset=(5, index + 1 + fall.head_lines))
        await on.settle()
        assert fall.selected.name == "canary 25%"
        rows = on.app.screen.export_rows()[1]
        assert "smoke" not in {row[3] for row in rows}
        before = on.app.in_flight
        await on.press("g", "enter")
        assert "(8)" in line_of(on, "▸ "), "folding hides spans, not expectations"
        assert not any("smoke" in row.span.name for row in fall.rows)
        assert on.app.in_flight == before


async def test_it_becomes_a_span_when_it_begins_and_goes_when_its_run_ends() -> None:
    async with stage() as on:
        await opened(on)
        root = on.reader.by_key["dep-214"]
        on.reader.put(
            on.reader.by_key["t-1"]._replace(key="s-1", ref="s-1", name="smoke",
                    started_at=NOW - SECOND, ended_at=None, parent_key=root.key,
                    status=root.status, state=root.state)
        )  # fmt: skip
        await on.no_longer_sees("◌ next")
        assert "run" in line_of(on, "smoke")
    async with stage() as on:
        await opened(on)
        on.reader.end("dep-214")
        await on.no_longer_sees("◌ next")


async def test_a_run_that_is_late_expects_it_from_now_on() -> None:
    async with stage() as on:
        await opened(on)
        on.clock.now += 5 * MINUTE
        on.app._tick()
        await on.settle()
        before, _, _ = line_of(on, "smoke").partition("┈")
        assert len(before) >= line_of(on, "now ").index("now") - 1


async def test_it_is_off_without_enough_history_and_for_what_was_lost() -> None:
    reader = busy_reader()
    reader.past = {"dep-214": reader.past["dep-214"][:2]}
    async with stage(reader) as on:
        await opened(on)
        assert "◌ next" not in on.text
    reader = busy_reader()
    reader.put(reader.by_key["dep-214"]._replace(last_event_at=NOW - 3 * 60 * MINUTE,
                       started_at=NOW - 4 * 60 * MINUTE))  # fmt: skip
    async with stage(reader) as on:
        await opened(on)
        assert "? stale" in on.text
        assert "◌ next" not in on.text


async def test_it_shows_in_ascii_on_a_frozen_screen_and_in_the_strip() -> None:
    async with stage(ascii=True, size=NARROW) as on:
        await on.press("p")
        await opened(on)
        assert ". next" in line_of(on, "smoke")
        assert ".." in line_of(on, "smoke").partition("smoke")[2]
    async with stage(size=NARROW) as on:
        await on.until(lambda: any("checkout-api v214" in line for line in on.lines))
        on.list.select("dep-214")
        await on.sees("smoke ◌┈┈")


async def test_what_earlier_runs_did_is_read_once_a_minute() -> None:
    async with stage() as on:
        await opened(on)
        asked = on.reader.calls.count("past_runs")
        on.reader.put(on.reader.by_key["c-25"])
        await on.until(lambda: on.app.feed.seq == on.reader.seq)
        await on.settle()
        assert on.reader.calls.count("past_runs") == asked
        await on.press("p")
        on.app.screen.start_reload()
        await on.settle()
        assert on.reader.calls.count("past_runs") == asked + 1, "of the moment that is shown"


async def test_past_runs_are_kept_of_the_spans_that_were_read_last() -> None:
    reader = busy_reader()
    ((_, past),) = list(reader.past.items())[:1]
    run = reader.by_key["dep-214"]
    spans = [run._replace(key=f"run-{n}") for n in range(MAX_RUNS + 5)]
    reader.past = {span.key: past for span in spans}
    histories = Histories(reader, lambda: NOW, lambda: None)
    for span in spans:
        await histories.learn([span])
    assert set(histories.runs) == {span.key for span in spans[5:]}
    asked = reader.calls.count("past_runs")
    await histories.learn(spans[5:])
    assert reader.calls.count("past_runs") == asked, "known for a minute"
    await histories.learn(spans[:5])
    assert set(histories.runs) == {span.key for span in [*spans[10:], *spans[:5]]}
    later = Histories(reader, lambda: NOW, lambda: None)
    await later.learn(spans)
    assert len(later.runs) == len(spans), "one trace may have more of them"
