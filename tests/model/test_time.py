"""Every time format that the tools' payloads hold, and what is none."""

import math
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.model.time import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    duration_setting,
    format_duration,
    iso,
    parse_duration,
    parse_instant,
)

AT = "2026-03-02T10:00:00Z"
US = 1_772_445_600 * SECOND


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (AT, US),
        ("2026-03-02T10:00:00.5Z", US + 500_000),
        ("2026-03-02T10:00:00.123456789Z", US + 123_456),
        ("2026-03-02T12:00:00+02:00", US),
        ("2026-03-02T12:00:00.000+0200", US),
        ("2026-03-02 10:00:00 UTC", US),
        ("2026-03-02 12:00:00 +0200", US),
        ("2026-03-02 10:00:00", US),
        ("2026-03-02T10:00:00", US),
        ("2026-03-02T09:59:60Z", US),
        ("2026-03-02T11:59:60.25+02:00", US + 250_000),
        (1_772_445_600, US),
        (1_772_445_600.5, US + 500_000),
        (1_772_445_600_000, US),
        (1_772_445_600_000_000, US),
        (1_772_445_600_000_000_000, US),
        ("1772445600", US),
        ("1772445600000", US),
    ],
)
def test_times(text, expected) -> None:
    assert parse_instant(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        0,
        "0",
        -5,
        True,
        math.nan,
        math.inf,
        "0001-01-01T00:00:00Z",
        "soon",
        "9" * 50,
        [],
        {},
        "2026-13-45T00:00:00Z",
        "9999-12-31T00:00:00Z",
        10**30,
    ],
)
def test_what_is_no_time(text) -> None:
    assert parse_instant(text) is None


@given(st.integers(1, 4_000_000_000_000_000))
def test_iso_round_trip(instant) -> None:
    assert parse_instant(iso(instant)) == instant


@given(st.one_of(st.text(max_size=50), st.integers(), st.floats(), st.none()))
def test_anything_is_read_without_an_exception(value) -> None:
    parse_instant(value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90 * SECOND),
        ("15m", 15 * MINUTE),
        ("1d12h", 36 * HOUR),
        ("1.5h", 90 * MINUTE),
        ("2w", 14 * DAY),
        (" 2 h ", 2 * HOUR),
    ],
)
def test_durations(text, expected) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize("text", ["", "5", "h", "5 parsecs", "5m x", "-5m"])
def test_bad_durations_say_how_to_write_one(text) -> None:
    with pytest.raises(ValueError, match="write it like"):
        parse_duration(text)


def test_a_long_text_is_no_duration_and_is_not_searched() -> None:
    """Of 8,000 digits each was tried as the first of all that follow: three seconds."""
    began = process_time()
    with pytest.raises(ValueError, match=r"^'1{40}' is not a duration; write it like 90s"):
        parse_duration("1" * 8_000)
    assert process_time() - began < 1


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (None, "-"),
        (9 * SECOND, "0:09"),
        (192 * SECOND, "3:12"),
        (72 * MINUTE, "1h 12m"),
        (23 * HOUR + 59 * MINUTE, "23h 59m"),
        (99 * DAY + 23 * HOUR, "99d 23h"),
        (76 * HOUR, "3d 4h"),
        (400 * DAY, "400d"),
        (2754 * DAY, "7.5y"),
        (-5, "0:00"),
    ],
)
def test_format_duration(duration, text) -> None:
    assert format_duration(duration) == text
    assert len(text) <= 7


@pytest.mark.parametrize("text", ["0s", "45m", "2h", "1d12h", "180d", "1m30s", "250ms", "1us"])
def test_a_setting_reads_back(text) -> None:
    assert duration_setting(parse_duration(text)) == text
