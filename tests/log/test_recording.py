"""Recordings: what is written is read back, secrets are not written, times move exactly."""

from __future__ import annotations

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vs_tui.log.recording import (
    Delivery,
    RecordingError,
    clean,
    format_line,
    is_time_key,
    pace,
    parse_line,
    read,
    shift,
    whole_seconds,
    write,
)
from vs_tui.model.time import DAY, HOUR, MINUTE, SECOND, parse_instant

AT = 1_772_445_600 * SECOND  # 2026-03-02T10:00:00Z


def back(delivery: Delivery, *, exact: bool = False) -> Delivery:
    return parse_line(format_line(delivery, exact=exact).strip(), "here:1")


# --- writing and reading ---


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"null",
        b"1",
        b"",
        b'"a bare JSON string"',
        b"payload=%7B%7D",
        b"\xff\xfe not UTF-8",
        b'{"a":123456789012345678901234567890}',
        b'{"a":"\\ud800"}',
        '{"title":"支払い 🚀 \\u202e"}'.encode(),
        b"[" * 900 + b"]" * 900,
    ],
)
def test_every_body_comes_back(body: bytes) -> None:
    found = back(Delivery(AT, "/github", body)).body
    try:
        expected = orjson.loads(body)
    except orjson.JSONDecodeError:
        assert found == body
    else:
        assert orjson.loads(found) == expected
    assert back(Delivery(AT, "/github", body), exact=True).body == body


def test_whole_numbers_beyond_64_bits_are_not_rounded() -> None:
    body = b'{"a":123456789012345678901234567890}'
    assert back(Delivery(AT, "/x", body)).body == body


@given(st.binary(max_size=200), st.integers(1, 4_000_000_000_000_000), st.text(max_size=20))
def test_round_trip(body: bytes, at: int, value: str) -> None:
    header = value.encode("utf-8", "replace").decode()
    found = back(Delivery(at, "/x?a=1", body, {"x-kind": header}), exact=True)
    assert found == Delivery(at, "/x?a=1", body, {"x-kind": header})


def test_a_recording_is_read_as_it_streams() -> None:
    good = format_line(Delivery(AT, "/github", b"{}"))

    def lines():
        yield b"\xef\xbb\xbf" + good  # editors on Windows begin a file so
        yield b"\n"
        yield good
        raise AssertionError("read further than asked")

    stream = read(lines(), "a.jsonl")
    assert [next(stream).path, next(stream).path] == ["/github", "/github"]


def test_lines_of_a_whole_recording() -> None:
    told = [Delivery(AT + n, "/github", b'{"n":%d}' % n) for n in range(3)]
    assert list(read(list(write(told)), "a.jsonl")) == told


# --- secrets ---

SECRETS = (
    "Authorization", "Proxy-Authorization", "Cookie", "Set-Cookie", "X-Gitlab-Token",
    "X-Hub-Signature", "X-Hub-Signature-256", "Circleci-Signature", "Webhook-Signature",
    "X-PagerDuty-Signature", "X-Buildkite-Token", "X-Api-Key", "X-VS-Signature",
    "Linear-Signature", "X-Grafana-Alerting-Signature", "Sentry-Hook-Signature",
)  # fmt: skip
NO_SECRETS = (
    "x-github-event", "x-github-delivery", "x-gitlab-event", "idempotency-key", "x-event-key",
    "webhook-id", "content-type", "user-agent", "x-atlassian-webhook-identifier", "ce-id",
)  # fmt: skip


def test_headers_that_prove_who_sent_it_are_not_written() -> None:
    headers = dict.fromkeys((*SECRETS, *NO_SECRETS), "s3cret")
    kept = back(Delivery(AT, "/github", b"{}", headers)).headers
    assert set(kept) == set(NO_SECRETS)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/jenkins?token=s3cret", "/jenkins"),
        ("/jenkins?TOKEN=s3cret&kind=build", "/jenkins?kind=build"),
        ("/x?a=1&access_token=s&api_key=s&sig=s&secret=s&b=", "/x?a=1&b="),
        ("/x?", "/x"),
        ("/deployments/d-1/deployed", "/deployments/d-1/deployed"),
    ],
)
def test_query_parameters_that_are_secret_are_not_written(path: str, written: str) -> None:
    assert clean(Delivery(AT, path, b"{}")).path == written
    assert b"s3cret" not in format_line(Delivery(AT, path, b"{}"))


# --- malformed and hostile lines ---

OK = '"received_at":"2026-03-02T10:00:00Z","path":"/x"'


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object, not list"),
        ("7", "must be a JSON object, not int"),
        ('{"path":"/x","body":{}}', "received_at is missing"),
        ('{"received_at":"soon","path":"/x","body":{}}', "received_at is missing or no time"),
        ('{"received_at":true,"path":"/x","body":{}}', "received_at is missing or no time"),
        ('{"received_at":"2026-03-02T10:00:00Z","body":{}}', "path is missing"),
        ('{"received_at":"2026-03-02T10:00:00Z","path":"x","body":{}}', "path is missing or no"),
        (f"{{{OK}}}", "body is missing"),
        (f'{{{OK},"body":{{}},"body_base64":""}}', "both body and body_base64"),
        (f'{{{OK},"body_base64":"%%%"}}', "body_base64 is not base64"),
        (f'{{{OK},"body_base64":7}}', "body_base64 is not base64"),
        (f'{{{OK},"body":{{}},"headers":[]}}', "headers must be an object"),
        (f'{{{OK},"body":{{}},"headers":{{"a":1}}}}', "header 'a' must be a string"),
        (f'{{{OK},"body":{{}},"boddy":{{}}}}', "unknown field 'boddy'"),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_a_bad_line_says_where_and_why(line: str, says: str) -> None:
    good = format_line(Delivery(AT, "/x", b"{}"))
    stream = read([good, b"\n", line.encode()], "week-1.jsonl")
    next(stream)
    with pytest.raises(RecordingError) as error:
        next(stream)
    assert str(error.value).startswith("week-1.jsonl:3: ")
    assert says in str(error.value)


def test_a_line_that_is_not_utf8_is_an_error_too() -> None:
    with pytest.raises(RecordingError, match=r"^a:1: is not JSON"):
        list(read([b'{"path":"\xff"}'], "a"))


# --- shifting ---

DELTA = DAY + HOUR + MINUTE + SECOND


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("2026-03-02T10:00:00Z", "2026-03-03T11:01:01Z"),
        ("2026-03-02T10:00:00.123Z", "2026-03-03T11:01:01.123Z"),
        ("2026-03-02T10:00:00.1234567Z", "2026-03-03T11:01:01.1234567Z"),
        ("2026-03-02T10:00:00.123456789Z", "2026-03-03T11:01:01.123456789Z"),
        ("2026-03-02T10:00:00+02:00", "2026-03-03T11:01:01+02:00"),
        ("2026-03-02T10:00:00.000+0000", "2026-03-03T11:01:01.000+0000"),
        ("2026-03-02 10:00:00 UTC", "2026-03-03 11:01:01 UTC"),
        ("2026-03-02 10:00:00 +0200", "2026-03-03 11:01:01 +0200"),
        ("2026-03-02 10:00:00", "2026-03-03 11:01:01"),
        ("2026-03-02T10:00:00", "2026-03-03T11:01:01"),
        ("20260302T100000Z", "20260303T110101Z"),
        ("2026-12-31T23:30:00Z", "2027-01-02T00:31:01Z"),
        ("2028-02-28T12:00:00Z", "2028-02-29T13:01:01Z"),
    ],
)
def test_times_keep_their_format_under_any_key(before: str, after: str) -> None:
    assert shifted({"whatever": before}) == {"whatever": after}
    moved, start = parse_instant(after), parse_instant(before)
    assert moved is not None and start is not None
    assert moved - start == DELTA


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (1_772_445_600, 1_772_535_661),
        (1_772_445_600_000, 1_772_535_661_000),
        (1_772_445_600_000_000, 1_772_535_661_000_000),
        (1_772_445_600_000_000_007, 1_772_535_661_000_000_007),
        ("1772445600", "1772535661"),
        ("1772445600000000007", "1772535661000000007"),
        (1_772_445_600.5, 1_772_535_661.5),
        ("2026-03-02", "2026-03-03"),
        ([1_772_445_600], [1_772_535_661]),
    ],
)
def test_epochs_and_dates_move_only_where_the_key_names_a_time(before, after) -> None:
    for key in ("startTime", "created_at", "occurredAt", "date", "timestamp", "created", "at"):
        assert shifted({key: before}) == {key: after}
    for key in ("id", "number", "title", "status", "format", "build_id", "attempt", "what"):
        assert shifted({key: before}) == {key: before}


@pytest.mark.parametrize(
    "value",
    [
        "0001-01-01T00:00:00Z",
        "2026-13-02T10:00:00Z",
        "2026-03-02T10:00:00Z and more",
        "1.2.3",
        "12:30",
        "",
        0,
        -1,
        29,
        True,
        None,
        1e300,
    ],
)
def test_what_is_no_time_stays(value) -> None:
    assert shifted({"created_at": value}) == {"created_at": value}


def test_time_keys() -> None:
    assert all(map(is_time_key, ("startTimeUnixNano", "pushed_at", "startsAt", "statusDate", "ts")))
    assert not any(
        map(is_time_key, ("format", "state", "bat", "CHAT", "id", "duration", "uptimes"))
    )


def test_a_shift_is_whole_seconds_so_that_no_distance_changes() -> None:
    body = {"startTime": 1_772_445_600_999, "created_at": "2026-03-02T10:00:01Z"}
    told = Delivery(AT + 250_000, "/x", orjson.dumps(body))
    moved = shift(told, 5 * SECOND + 999_999)
    assert moved.received_at == AT + 5_250_000
    assert orjson.loads(moved.body) == {
        "startTime": 1_772_445_605_999,
        "created_at": "2026-03-02T10:00:06Z",
    }
    assert whole_seconds(-1) == -SECOND


@given(st.integers(-10_000, 10_000), st.integers(0, 10**9))
def test_there_and_back_again(seconds: int, offset: int) -> None:
    body = {"a": {"created_at": 1_500_000_000 + offset}, "b": ["2026-03-02 10:00:00 UTC"]}
    told = Delivery(AT, "/x", orjson.dumps(body))
    assert shift(shift(told, seconds * SECOND), -seconds * SECOND) == told


@pytest.mark.parametrize(
    "body", [b"", b"text 2026-03-02T10:00:00Z", b'"2026-03-02T10:00:00Z"', b"\xff", b"7"]
)
def test_bodies_that_are_no_object_stay(body: bytes) -> None:
    assert shift(Delivery(AT, "/x", body), DELTA) == Delivery(AT + DELTA, "/x", body)


def test_deeply_nested_bodies_move_too() -> None:
    body = b'{"a":' * 900 + b'"2026-03-02T10:00:00Z"' + b"}" * 900
    assert b'"2026-03-03T11:01:01Z"' in shift(Delivery(AT, "/x", body), DELTA).body


def test_times_beyond_the_calendar_stay() -> None:
    assert shifted({"at": "2199-12-31T00:00:00Z"}, 9_000 * 365 * DAY) == {
        "at": "2199-12-31T00:00:00Z"
    }


def shifted(body: object, delta: int = DELTA):
    return orjson.loads(shift(Delivery(AT, "/x", orjson.dumps(body)), delta).body)


# --- pacing ---


def test_pace_keeps_order_and_divides_time() -> None:
    told = [Delivery(AT + at * SECOND, "/x", b"{}") for at in (0, 60, 30, 120)]
    assert [wait for wait, _ in pace(told, 60)] == [0, SECOND, SECOND, 2 * SECOND]
    assert [wait for wait, _ in pace(told, math.inf)] == [0, 0, 0, 0]
    assert [delivery for _, delivery in pace(told, 1)] == told


@pytest.mark.parametrize("speed", [0, -1, math.nan])
def test_a_speed_that_gets_nowhere_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="is not positive"):
        pace([], speed)
