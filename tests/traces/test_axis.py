"""The time axis: linear where time is used, short where it is only waited."""

from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND
from vs_tui.traces.axis import Axis, fitted, linear, moved, offset_text, ticks

T = 1_772_445_600_000_000


def test_a_linear_axis() -> None:
    axis = linear(T, T + HOUR, 60)
    assert axis.column(T) == 0
    assert axis.column(T + 30 * MINUTE) == 30
    assert axis.column(T + HOUR) == 60


def test_a_long_wait_is_drawn_short() -> None:
    busy = [(T, T + HOUR), (T + 9 * DAY, T + 9 * DAY + HOUR)]
    axis = fitted(busy, T, T + 9 * DAY + HOUR, 63)
    assert axis.breaks == (30.0,)
    assert axis.column(T + HOUR) == 30
    assert axis.column(T + 9 * DAY) == 33
    assert axis.column(T + 9 * DAY + HOUR) == 63


def test_short_waits_leave_the_axis_linear() -> None:
    busy = [(T, T + HOUR), (T + 80 * MINUTE, T + 3 * HOUR)]
    assert fitted(busy, T, T + 3 * HOUR, 60).breaks == ()


INTERVALS = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(0, 500)).map(
        lambda p: (T + p[0] * SECOND, T + (p[0] + p[1]) * SECOND)
    ),
    max_size=8,
)


@given(INTERVALS, st.integers(1, 10_000), st.integers(10, 200), st.lists(st.integers(0, 10_000)))
def test_an_axis_never_goes_back_and_stays_inside(busy, length, width, moments) -> None:
    end = T + length * SECOND
    axis: Axis = fitted(busy, T, end, width)
    instants = sorted(T + min(m, length) * SECOND for m in moments)
    columns = [axis.column(instant) for instant in instants]
    assert columns == sorted(columns)
    assert all(-1e-6 <= column <= width + 1e-6 for column in columns)


def test_ticks_are_round_and_few() -> None:
    marks = ticks(T, T + 5 * MINUTE, 60)
    assert [offset_text(m - T) for m in marks] == ["0", "1m", "2m", "3m", "4m", "5m"]
    assert offset_text(36 * HOUR) == "36h"
    assert offset_text(90 * SECOND) == "90s"


def test_zooming_and_panning_move_the_window_until_all_is_shown_again() -> None:
    whole = (0, 400 * SECOND)
    near = moved("zoom_in", None, whole, 100 * SECOND)
    assert near == (0, 200 * SECOND)
    assert moved("later", near, whole) == (25 * SECOND, 225 * SECOND)
    assert moved("earlier", near, whole) == (-25 * SECOND, 175 * SECOND)
    assert moved("zoom_out", near, whole) == (-100 * SECOND, 300 * SECOND)
    assert moved("zoom_out", (10 * SECOND, 390 * SECOND), whole) is None
    assert moved("zoom_in", (0, SECOND), whole) == (SECOND // 2 - SECOND, SECOND // 2 + SECOND)
