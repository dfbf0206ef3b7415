"""Shifts a recorded delivery in time, so that an old recording can be replayed as of today.

Every time in the body moves by the same whole number of seconds and keeps its format, so durations
and order stay the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final

import orjson

from vs_tui.log.recording import Delivery, whole_seconds
from vs_tui.model.time import DAY, SECOND, Duration, parse_instant

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
        lambda: _format(f"{match['date']}{match['gap']}{clock}", form, seconds) + match["rest"]
    )


def _format(text: str, form: str, seconds: int) -> str:
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
