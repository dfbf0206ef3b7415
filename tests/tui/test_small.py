"""A very small terminal: nothing is cut without a mark, and what matters most stays."""

from __future__ import annotations

import pytest

from tests.tui.fakes import FakeReader, busy_reader, cards, span
from tests.tui.stage import stage
from tests.tui.test_sources import connections
from vs_tui.model.time import MINUTE
from vs_tui.tui.paint import strip_of
from vs_tui.tui.theme import ASCII, PALETTES, UNICODE, Look

SIZE = (40, 12)


async def some_cards(*_: object) -> list[object]:
    return cards()


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ("", ("[1 Live]", "5", "run", "WHAT", "NOW, AND WHO NEXT")),
        ("b", ("[1 Live]", "open", "STATE", "TITLE", "DUR")),
        ("2", ("[2 Traces]", "STATE", "TITLE", "TOOK")),
        ("3", ("[3 DORA]", "TEAM", "deploys", "lead")),
        ("4", ("[4 Events]", "EVENT", "VERDICT")),
        ("5", ("[5 Sources]", "SOURCE", "HEALTH")),
    ],
)
async def test_each_view_keeps_its_main_columns_and_the_counts(keys, words) -> None:
    more = {"cards": some_cards, "connections": connections}
    async with stage(busy_reader(), size=SIZE, by_trace=True, **more) as on:
        await on.press(*keys)
        await on.sees(*words)
        assert "run ·" in on.lines[0] or "open ·" in on.lines[0]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("exactly ten", "exactly t…"),
        ("ten cells!   ", "ten cells!"),
        ("日本語日本語", "日本語日 …"),
    ],
)
def test_a_line_that_is_too_long_ends_with_a_mark(text, shown) -> None:
    pieces = [(text, "text"), ("next", "text")]
    assert strip_of(pieces, Look(PALETTES["dark"], UNICODE), 10).text == shown
    in_ascii = strip_of(pieces, Look(PALETTES["dark"], ASCII), 10).text
    assert in_ascii[-1] == shown[-1].replace("…", "~") and in_ascii.isascii()


@pytest.mark.parametrize("width", [60, 80, 120])
async def test_a_run_and_a_job_of_long_names_leave_the_time_whole(width) -> None:
    names = ("nightly", "Maintain all warehouses", "vacuum every table")
    spans = [
        span(f"s{n}", "task", name, began=MINUTE, parent=f"s{n - 1}" if n else "", trace="t")
        for n, name in enumerate(names)
    ]
    reader = FakeReader(spans)
    async with stage(reader, size=(width, 24), by_trace=True) as on:
        [row] = [line for line in on.lines if "▸ " in line]
        assert " 1:00 " in row, row


@pytest.mark.parametrize("size", [(80, 24), (120, 40)])
async def test_the_name_of_a_deep_step_gets_half_of_its_column(size) -> None:
    spans = [span("s0", "task", "level 0", began=MINUTE, trace="t")]
    for n in range(1, 60):
        spans.append(
            span(f"s{n}", "task", f"level {n}", began=MINUTE, parent=f"s{n - 1}", trace="t")
        )
    async with stage(FakeReader(spans), size=size, by_trace=True) as on:
        await on.press("enter")
        await on.sees("task level")
        rows = [line for line in on.lines if "task" in line and "▶" in line]
        assert len(rows) > 5
        for line in rows:
            assert "task level " in line, line
