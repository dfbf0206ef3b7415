"""Recordings: deliveries as JSON Lines, one a line, to replay, share and test with.

    {"received_at": "2026-03-02T10:00:00Z", "path": "/github", "headers": {...}, "body": {...}}

`body` is the decoded JSON, or a string if the body is other text. `body_base64` replaces it if
neither can be turned back into the original bytes. Secrets are never written. The functions work on
lines; the caller opens the files.

`shift` moves a delivery in time, so that an old recording can be replayed as of today: every time
in its body moves by the same whole number of seconds and keeps its format, so durations and order
stay the same.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

import orjson

from vs_tui.model.errors import Explained
from vs_tui.model.time import DAY, SECOND, Duration, Instant, iso, parse_instant

MAX_LINE: Final = 64 * 1024 * 1024
"""Longest line, in bytes: a body of 25 MiB in base64, with room for its headers."""

_SECRET_HEADER: Final = re.compile(
    r"authori[sz]ation|authentication|^x-auth|cookie|token|secret|signature|api-?key|password|"
    r"passwd|credential|session",
    re.IGNORECASE,
)
_SECRET_PARAMETER: Final = re.compile(
    r"token|secret|signature|^sig$|^key$|api-?_?key|password|passwd|^auth$|credential",
    re.IGNORECASE,
)
_FIELDS: Final = frozenset({"received_at", "path", "headers", "body", "body_base64"})
# The whole string is a date and a time of day. Fraction and zone are kept as they are.
_DATE_TIME: Final = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)(?P<gap>[T ])(?P<clock>\d\d:\d\d(?::\d\d)?)"
    r"(?P<rest>(?:[.,]\d+)? ?(?:Z|UTC|[+-]\d\d(?::?\d\d)?)?)\Z"
)
_BASIC: Final = re.compile(
    r"(?P<date>\d{8})(?P<gap>T)(?P<clock>\d{6})(?P<rest>(?:[.,]\d+)?(?:Z|[+-]\d{4})?)\Z"
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d\Z")
_TIME_KEY: Final = re.compile(
    r"(?:time|timestamp|date|nano|created|updated|started|finished|completed|closed|ended|"
    r"resolved|activated|merged|opened|_ts|_on)\Z",
    re.IGNORECASE,
)
_AT_KEY: Final = re.compile(r"(?:^|_)at\Z|(?<=[a-z0-9])At\Z|^ts\Z|^[Ss]ince\Z|^[Uu]ntil\Z")
# Digits of an epoch in seconds, milliseconds, microseconds and nanoseconds: 2001 to 2286.
_UNITS: Final = {10: 1, 13: 1_000, 16: 1_000_000, 19: 1_000_000_000}


class RecordingError(Explained, ValueError):
    """A line is not a delivery; the message has file and line, and says what is expected."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One recorded request."""

    received_at: Instant
    path: str
    """The path with its query, if it has one."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names."""


def read(lines: Iterable[bytes], name: str) -> Iterator[Delivery]:
    """The deliveries of a recording, one at a time; `lines` may be an open binary file.

    Blank lines are skipped. Raises RecordingError at the first line that is not a delivery.
    """
    for number, line in enumerate(lines, start=1):
        stripped = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if stripped:
            yield parse_line(stripped, f"{name}:{number}")


def parse_line(line: bytes, where: str) -> Delivery:
    """The delivery in a line; `where` (file:line) begins the message of a RecordingError."""
    if len(line) > MAX_LINE:
        raise RecordingError(f"{where}: the line is longer than 64 MiB; split or remove it")
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise RecordingError(
            f"{where}: is not JSON ({str(error)[:100]}); a recording has one JSON object a line"
        ) from None
    if not isinstance(record, dict):
        raise RecordingError(f"{where}: must be a JSON object, not {type(record).__name__}")
    unknown = sorted(set(record) - _FIELDS)
    if unknown:
        raise RecordingError(
            f"{where}: unknown field {unknown[0][:60]!r}; known are {', '.join(sorted(_FIELDS))}"
        )
    received_at = parse_instant(record.get("received_at"))
    if received_at is None:
        raise RecordingError(
            f"{where}: received_at is missing or no time; write 2026-03-02T10:00:00Z"
        )
    path = record.get("path")
    if not isinstance(path, str) or not path.startswith("/"):
        raise RecordingError(f"{where}: path is missing or no path; write /github")
    return Delivery(received_at, path, _body(record, where), _headers(record, where))


def format_line(delivery: Delivery, *, exact: bool = False) -> bytes:
    """A delivery as a line, with its newline and without its secrets.

    `exact` keeps the exact bytes of the body, so that its signature can be checked by other means.
    """
    kept = clean(delivery)
    record: dict[str, Any] = {
        "received_at": iso(kept.received_at),
        "path": kept.path,
        "headers": dict(sorted(kept.headers.items())),
    }
    record.update(_written(kept.body, exact))
    return orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)


def write(deliveries: Iterable[Delivery], *, exact: bool = False) -> Iterator[bytes]:
    """The lines of a recording."""
    for delivery in deliveries:
        yield format_line(delivery, exact=exact)


def clean(delivery: Delivery) -> Delivery:
    """The delivery without headers and query parameters that carry a secret or a proof."""
    headers = {
        name.lower(): value
        for name, value in delivery.headers.items()
        if not _SECRET_HEADER.search(name)
    }
    path, mark, query = delivery.path.partition("?")
    if mark:
        pairs = parse_qsl(query, keep_blank_values=True)
        kept = [(name, value) for name, value in pairs if not _SECRET_PARAMETER.search(name)]
        path = f"{path}?{urlencode(kept)}" if kept else path
    return Delivery(delivery.received_at, path, delivery.body, headers)


def pace(deliveries: Iterable[Delivery], speed: float) -> Iterator[tuple[Duration, Delivery]]:
    """Each delivery with the time to send it, counted from the replay's start.

    `speed` 60 plays an hour in a minute; infinity sends at once. The order of the recording is
    kept. Raises ValueError if the speed is not positive.
    """
    if not speed > 0:
        raise ValueError(f"speed {speed} is not positive; write 60 (an hour a minute) or max")
    return _paced(deliveries, speed)


def _paced(deliveries: Iterable[Delivery], speed: float) -> Iterator[tuple[Duration, Delivery]]:
    first: Instant | None = None
    latest: Duration = 0
    for delivery in deliveries:
        first = delivery.received_at if first is None else first
        latest = max(latest, int((delivery.received_at - first) / speed))
        yield latest, delivery


def whole_seconds(delta: Duration) -> Duration:
    """The shift cut to whole seconds, which every time format can hold; so all time differences
    stay the same."""
    return delta // SECOND * SECOND


def _body(record: dict[str, Any], where: str) -> bytes:
    if "body" in record and "body_base64" in record:
        raise RecordingError(f"{where}: has both body and body_base64; keep one of them")
    if "body_base64" in record:
        encoded = record["body_base64"]
        try:
            return base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError, TypeError):
            raise RecordingError(
                f"{where}: body_base64 is not base64; write the body as JSON in body instead"
            ) from None
    if "body" not in record:
        raise RecordingError(f"{where}: body is missing; write {{}} for an empty object")
    body = record["body"]
    return body.encode() if isinstance(body, str) else orjson.dumps(body)


def _headers(record: dict[str, Any], where: str) -> dict[str, str]:
    headers = record.get("headers", {})
    if not isinstance(headers, dict):
        raise RecordingError(f"{where}: headers must be an object of names and values")
    for name, value in headers.items():
        if not isinstance(value, str):
            raise RecordingError(f"{where}: header {name[:60]!r} must be a string")
    return {name.lower(): value for name, value in headers.items()}


def _written(body: bytes, exact: bool) -> dict[str, Any]:
    encoded = {"body_base64": base64.b64encode(body).decode()}
    if exact:
        return encoded
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        try:
            return {"body": body.decode()}
        except UnicodeDecodeError:
            return encoded
    if isinstance(value, str) or not _same(body, value):
        # A bare JSON string would be read back as other text.
        return encoded
    return {"body": value} if _writable(value) else encoded


def _writable(value: Any) -> bool:
    """Whether orjson can write the value; it reads deeper nesting than it writes."""
    try:
        orjson.dumps(value)
    except TypeError:
        return False
    return True


def _same(body: bytes, value: Any) -> bool:
    """Whether decoding lost nothing; integers beyond 64 bits become floats."""
    try:
        return bool(json.loads(body) == value)
    except (ValueError, RecursionError):
        return False


def shift(delivery: Delivery, delta: Duration) -> Delivery:
    """The delivery with its time and every time in its JSON body moved by `delta`, cut to whole
    seconds.

    It moves strings with a date and a time in any format that `parse_instant` reads. Under keys
    that name a time (`created_at`, `startTime`, `date`) it also moves dates and epochs of 10, 13,
    16 or 19 digits. A date without a time of day moves by whole days. Unset times (`0`,
    `0001-01-01T00:00:00Z`), other text and bodies that are not JSON stay as they are.
    """
    delta = whole_seconds(delta)
    moved = replace(delivery, received_at=delivery.received_at + delta)
    if not delta:
        return moved
    try:
        payload = orjson.loads(delivery.body)
    except orjson.JSONDecodeError:
        return moved
    if not isinstance(payload, dict | list):
        return moved
    _shift_in_place(payload, delta // SECOND)
    return replace(moved, body=_dumps(payload))


def _dumps(payload: Any) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # nested deeper than orjson writes, though not than it reads
        return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def is_time_key(key: str) -> bool:
    """Whether a field of this name holds a time."""
    return bool(_TIME_KEY.search(key) or _AT_KEY.search(key))


def _shift_in_place(payload: dict[str, Any] | list[Any], seconds: int) -> None:
    # An explicit stack, because bodies may be nested deeper than Python recurses.
    open_containers: list[tuple[Any, bool]] = [(payload, False)]
    while open_containers:
        container, timely = open_containers.pop()
        entries = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in list(entries):
            named = is_time_key(key) if isinstance(key, str) else timely
            if isinstance(value, dict | list):
                open_containers.append((value, named))
            elif (moved := _moved(value, seconds, named)) is not None:
                container[key] = moved


def _moved(value: object, seconds: int, timely: bool) -> object | None:
    """The value `seconds` later; None if it is not a time."""
    if isinstance(value, str):
        return _moved_text(value, seconds, timely)
    if not timely or isinstance(value, bool):
        return None
    if isinstance(value, int):
        unit = _UNITS.get(len(str(value))) if value > 0 else None
        return None if unit is None else value + seconds * unit
    if isinstance(value, float) and 1e9 <= value < 1e10:
        return value + seconds
    return None


def _moved_text(text: str, seconds: int, timely: bool) -> str | None:
    if len(text) > 40 or not text[:1].isdigit() or not text.isascii():
        return None
    if match := _DATE_TIME.match(text):
        return _moved_match(match, text, seconds, "%Y-%m-%d")
    if match := _BASIC.match(text):
        return _moved_match(match, text, seconds, "%Y%m%d")
    if not timely:
        return None
    if _DATE.match(text):
        days = seconds * SECOND // DAY
        return _guarded(lambda: _format_date(text, timedelta(days=days)))
    if text.isdigit() and (unit := _UNITS.get(len(text))):
        return str(int(text) + seconds * unit)
    return None


def _moved_match(match: re.Match[str], text: str, seconds: int, date: str) -> str | None:
    if parse_instant(text) is None:
        return None  # a sentinel such as the year 1, or no time at all
    clock = match["clock"]
    style = {8: "%H:%M:%S", 5: "%H:%M", 6: "%H%M%S"}[len(clock)]
    form = f"{date}{match['gap']}{style}"
    return _guarded(
        lambda: _format_time(f"{match['date']}{match['gap']}{clock}", form, seconds) + match["rest"]
    )


def _format_time(text: str, form: str, seconds: int) -> str:
    moved = datetime.strptime(text, form) + timedelta(seconds=seconds)  # noqa: DTZ007
    # %Y of an early year has fewer than four digits on some platforms.
    return moved.strftime(form.replace("%Y", f"{moved.year:04d}"))


def _format_date(text: str, delta: timedelta) -> str:
    return (datetime.fromisoformat(text) + delta).date().isoformat()


def _guarded(produce: Callable[[], str]) -> str | None:
    """The produced text; None if the date is out of range."""
    try:
        return produce()
    except (ValueError, OverflowError):
        return None
