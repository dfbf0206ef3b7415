"""The line of the true time above a waterfall."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tui.fakes import NOW, span
from vs_tui.model.time import MINUTE
from vs_tui.model.vocabulary import Span, State, Status
from vs_tui.store.queries.reader_protocol import Trace
from vs_tui.traces.critical_path import Wait
from vs_tui.traces.outline import Outline
from vs_tui.traces.time_axis import Axis
from vs_tui.tui.span_format import trace_facts
from vs_tui.tui.theme import PALETTES, UNICODE, Look
from vs_tui.tui.widgets.timeline import scale_text, true_time
from vs_tui.tui.widgets.waterfall_rows import Scene

WIDTH = 40


def line(wait: tuple[int, int], work: list[tuple[int, int]]) -> str:
    """One wait for a review and some builds, in columns of a minute."""
    begins, ends = (column * MINUTE for column in wait)
    waits = {"w": Wait("w", "nobody reviews: emeka asked", "pr", begins, ends, until="r")}
    axis = Axis((0, WIDTH * MINUTE), (0.0, float(WIDTH)), WIDTH)
    scene = Scene(
        Look(PALETTES["dark"], UNICODE), axis, 2 * WIDTH * MINUTE, {}, Outline(waits=waits)
    )
    spans = [
        Span(
            *(f"b{n}", f"b{n}", "github", "build", "b", Status.OK, State.OK),
            *(first * MINUTE, last * MINUTE),
        )
        for n, (first, last) in enumerate(work)
    ]
    return "".join(text for text, _ in true_time(scene, (0, WIDTH * MINUTE), spans))


def test_a_wait_is_named_where_nothing_ran() -> None:
    assert "nobody reviews 30m" in line((5, 35), [])
    assert line((5, 35), [(6, 18)]).index("nobody reviews") >= 18, "beside the build"
    assert "nobody" not in line((5, 35), [(6, 14), (18, 26)]), "there is no room for it"


CELL = st.integers(0, WIDTH)
PART = st.tuples(CELL, CELL).map(sorted).map(tuple)


@given(PART, st.lists(PART, max_size=4))
def test_no_part_of_a_name_is_shown(wait, work) -> None:
    words = re.findall(r"[a-z]+", line(wait, work))
    assert words in ([], ["nobody", "reviews"], ["nobody", "reviews", "m"])


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (0.01, "<1ms"),
        (1.0, "<1ms"),
        (999.0, "<1ms"),
        (1_000.0, "0.001s"),
        (250_000.0, "0.25s"),
        (2_000_000.0, "2s"),
        (75.0 * 1_000_000, "75s"),
    ],
)
def test_the_scale_is_told_in_a_unit_that_fits(scale, said) -> None:
    axis = Axis((0, 100), (0.0, 50.0), 50, (), scale)
    assert scale_text(axis, UNICODE, short_form=False) == f"1 column = {said}"


@pytest.mark.parametrize(
    "state, word", [(State.OK, "merged"), (State.CANCELLED, "closed"), (State.ERROR, "closed")]
)
def test_only_a_change_that_was_merged_is_called_so(state, word) -> None:
    change = span("pr", "pull_request", "#7 x", began=9 * MINUTE, took=2 * MINUTE, state=state)
    facts = trace_facts(Trace("t", change, (change,), ()), lambda _: "then", NOW)
    assert facts[0] == f"PR #7 {word} then"
