"""The time axis: without the times in which no machine worked, and zoom that only widens."""

from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.traces.time_axis import (
    Axis,
    Viewport,
    broken,
    fitted,
    followed,
    linear,
    moved_to,
    panned,
    short,
    ticks,
    zoomed_in,
    zoomed_out,
)

T = 1_772_445_600_000_000


def test_a_linear_axis() -> None:
    axis = linear(T, T + HOUR, 60)
    assert [axis.column(T + n * MINUTE) for n in (0, 30, 60)] == [0, 30, 60]
    assert axis.scale == MINUTE
    assert axis.instant(30) == T + 30 * MINUTE


def test_a_long_wait_is_left_out_and_named() -> None:
    end = T + 9 * DAY + HOUR
    axis = broken([(T, T + HOUR), (T + 9 * DAY, end)], (), T, end, 64)
    (left_out,) = axis.breaks
    assert left_out.label == "8d23h"
    assert (left_out.first, left_out.until) == (28.5, 35.5)
    assert axis.hidden == 9 * DAY - HOUR
    assert axis.scale == 2 * HOUR / 57
    assert axis.column(end) == 64


def test_time_stays_around_an_instant() -> None:
    """A review is an instant between two long waits: there is a place for it on the axis."""
    review, end = T + DAY, T + 2 * DAY
    axis = broken([(T, T + HOUR), (end - HOUR, end)], [review], T, end, 80)
    assert len(axis.breaks) == 2
    before, after = axis.breaks
    assert (review - before.ends, after.begins - review) == (30 * SECOND, 30 * SECOND)


def test_short_waits_leave_the_axis_linear() -> None:
    busy = [(T, T + HOUR), (T + 80 * MINUTE, T + 3 * HOUR)]
    assert broken(busy, (), T, T + 3 * HOUR, 60).breaks == ()


INTERVALS = st.lists(
    st.tuples(st.integers(0, 100_000), st.integers(0, 500)).map(
        lambda p: (T + p[0] * SECOND, T + (p[0] + p[1]) * SECOND)
    ),
    min_size=1,
    max_size=12,
)
WIDTHS = st.integers(10, 200)


def axis_of(busy, width) -> Axis:
    return broken(busy, (), min(a for a, _ in busy), max(b for _, b in busy), width)


@given(INTERVALS, WIDTHS, st.lists(st.integers(0, 100_500)))
def test_an_axis_never_goes_back_and_stays_inside(busy, width, moments) -> None:
    axis = axis_of(busy, width)
    inside = sorted(t for m in moments if axis.begin <= (t := T + m * SECOND) <= axis.end)
    columns = [axis.column(instant) for instant in inside]
    assert columns == sorted(columns)
    assert all(-1e-6 <= column <= width + 1e-6 for column in columns)


@given(INTERVALS, WIDTHS)
def test_breaks_are_few_and_hide_most_of_the_time_or_nothing(busy, width) -> None:
    axis = axis_of(busy, width)
    assert len(axis.breaks) <= 5
    assert sum(b.until - b.first for b in axis.breaks) <= width / 3 + 1e-6
    assert not axis.breaks or 2 * axis.hidden >= axis.end - axis.begin
    for a, b in busy:
        assert not any(x.begins < at < x.ends for x in axis.breaks for at in (a, b))


@given(INTERVALS, WIDTHS, st.lists(st.integers(0, 11), min_size=1, max_size=20), st.booleans())
def test_no_zoom_in_narrows_a_bar(busy, width, chosen, pan) -> None:
    """Whatever is selected, and from any place that panning leads to."""
    whole, window = axis_of(busy, width), None
    for choice in chosen:
        begins, ends = busy[choice % len(busy)]
        shown = window.of(whole) if window else whole
        before = [shown.cells(a, b) for a, b in busy]
        window = zoomed_in(whole, window, (begins + ends) // 2) or window
        after = [window.of(whole).cells(a, b) for a, b in busy] if window else before
        for (first, last), (new_first, new_last) in zip(before, after, strict=True):
            assert new_last - new_first >= last - first
        if window and pan:
            window = panned(whole, window, 1)


@given(INTERVALS, WIDTHS, st.lists(st.sampled_from("+-hlfm"), max_size=30), st.integers(0, 11))
def test_the_window_never_leaves_the_whole(busy, width, keys, choice) -> None:
    whole, window = axis_of(busy, width), None
    begins, ends = busy[choice % len(busy)]
    for key in keys:
        if key == "+":
            window = zoomed_in(whole, window, begins) or window
        elif key == "f":
            window = fitted(whole, begins, ends)
        elif window is not None:
            window = {
                "-": lambda w: zoomed_out(whole, w),
                "h": lambda w: panned(whole, w, -1),
                "l": lambda w: panned(whole, w, 1),
                "m": lambda w: moved_to(whole, w, ends),
            }[key](window)
        if window is not None:
            shown = window.of(whole)
            assert shown.columns[0] <= 0.01
            assert shown.columns[-1] >= shown.width - 0.01


def test_zooming_in_halves_the_columns_and_zooming_out_reverses_it() -> None:
    whole = linear(T, T + 64 * MINUTE, 64)
    near = zoomed_in(whole, None, T + 32 * MINUTE)
    assert near is not None
    assert near.of(whole).shown == (T + 16 * MINUTE, T + 48 * MINUTE)
    nearer = zoomed_in(whole, near, T + 32 * MINUTE)
    assert nearer is not None
    assert zoomed_out(whole, nearer) == near
    assert zoomed_out(whole, near) is None
    assert zoomed_in(linear(T, T + 30 * SECOND, 60), None, T) is None, "a second a column"


def test_panning_goes_by_quarters_and_ends_at_the_end() -> None:
    whole = linear(T, T + 64 * MINUTE, 64)
    window = Viewport(T + 16 * MINUTE, 32.0 * MINUTE)
    assert panned(whole, window, 1).begins == T + 24 * MINUTE
    assert panned(whole, Viewport(T + 32 * MINUTE, 32.0 * MINUTE), 1).begins == T + 32 * MINUTE


def test_a_step_is_fitted_with_a_tenth_on_each_side() -> None:
    whole = linear(T, T + 10 * HOUR, 60)
    shown = fitted(whole, T + HOUR, T + 2 * HOUR).of(whole).shown  # type: ignore[union-attr]
    assert shown == (T + 54 * MINUTE, T + 126 * MINUTE)
    assert fitted(whole, T, T + 10 * HOUR) is None


def test_the_window_follows_now_while_it_shows_it() -> None:
    before, after = linear(T, T + HOUR, 60), linear(T, T + HOUR + MINUTE, 60)
    live = Viewport(T + 50 * MINUTE, 10.0 * MINUTE)
    moved = followed(before, T + HOUR, after, T + HOUR + MINUTE, live)
    assert abs(moved.begins - (T + 51 * MINUTE)) < SECOND
    past = Viewport(T, 10.0 * MINUTE)
    assert followed(before, T + HOUR, after, T + HOUR + MINUTE, past) == past


def test_ticks_are_round_and_few() -> None:
    marks = ticks(T + 7 * SECOND, T + 5 * MINUTE, 6)
    assert [(m - T) // MINUTE for m in marks] == [1, 2, 3, 4, 5]
    assert ticks(T, T + HOUR, 0) == []
    midnight = ticks(T, T + 3 * DAY, 3, offset=HOUR)
    assert {(m + HOUR) % DAY for m in midnight} == {0}


def test_lengths_are_short() -> None:
    lengths = (45 * SECOND, 12 * MINUTE, 3 * HOUR, 27 * HOUR, 2 * DAY, 12 * DAY + HOUR)
    assert [short(length) for length in lengths] == ["45s", "12m", "3h", "1d3h", "2d", "12d"]
    assert [short(days * DAY) for days in (999, 1000, 2831)] == ["999d", "2.7y", "7.8y"]
